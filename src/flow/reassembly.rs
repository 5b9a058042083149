//! One side's opening bytes: TCP segments put in order, datagrams kept with their ends.
//!
//! Sequence numbers are compared as RFC 9293 section 3.4 says. Everything is bounded: what would
//! not fit ends the opening of that side.

use super::opening::Stream;

/// Segments held back because bytes before them are missing.
const MAX_HELD: usize = 16;

/// A first segment of so few bytes may be taken back by one that begins where it does.
const MAX_REPLACED: usize = 64;

/// What an allocation takes besides what was asked for: its header, and to the next multiple of 16.
pub(super) const ALLOCATION: usize = 24;

/// The most ends of messages that a buffer in use again has room for.
const ENDS: usize = 16;

/// The bytes one side has sent in a flow's opening.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    bytes: Vec<u8>,
    ends: Ends,
    held: Vec<(u32, Box<[u8]>)>,
    next_sequence: Option<u32>,
    mid_stream: bool,
    ended: bool,
    /// What the stream began with was taken back: that happens once.
    replaced: bool,
}

/// Where messages end. One alone, as most openings have, takes no memory of its own.
#[derive(Debug)]
enum Ends {
    One([u32; 1]),
    Many(Vec<u32>),
}

impl Default for Ends {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Ends {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(end) => end,
            Self::Many(ends) => ends,
        }
    }

    fn push(&mut self, end: u32) {
        match self {
            Self::One([first]) => *self = Self::Many(vec![*first, end]),
            Self::Many(ends) if ends.capacity() == 0 => *self = Self::One([end]),
            Self::Many(ends) => ends.push(end),
        }
    }

    /// Makes it empty, with what room it has up to so many.
    fn reset(&mut self, most: usize) {
        match self {
            Self::Many(ends) if ends.capacity() <= most => ends.clear(),
            _ => *self = Self::default(),
        }
    }

    /// Bytes it has on the heap.
    const fn memory(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(ends) => ends.capacity() * size_of::<u32>(),
        }
    }
}

/// What a payload did to its side's stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival<'p> {
    /// These bytes come next and nothing was stored yet: borrow them or [`Reassembly::keep`] them.
    First(&'p [u8]),
    /// The stored stream grew.
    Grew,
    /// Nothing new can be read: a duplicate, a segment after a gap, or the opening has ended.
    Nothing,
}

impl Reassembly {
    /// The most bytes on the heap of one that was [reset](Self::reset) with so much `room`.
    pub(super) const fn room(room: usize) -> usize {
        room + ENDS * size_of::<u32>() + 2 * ALLOCATION
    }

    /// Makes it that of a flow that has sent nothing, with as much room as it has for bytes if that is
    /// no more than `room`.
    pub(super) fn reset(&mut self, room: usize) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut ends = std::mem::take(&mut self.ends);
        bytes.clear();
        ends.reset(ENDS);
        if bytes.capacity() > room {
            bytes = Vec::new();
        }
        *self = Self {
            bytes,
            ends,
            ..Self::default()
        };
    }

    /// The stream starts at `sequence` (the SYN's number plus one).
    pub(super) fn start_at(&mut self, sequence: u32) {
        if self.next_sequence.is_none() {
            self.next_sequence = Some(sequence);
        }
    }

    /// Takes a TCP segment's payload. `limit` bounds the bytes stored, held ones included.
    pub(super) fn segment<'p>(
        &mut self,
        sequence: u32,
        payload: &'p [u8],
        limit: usize,
    ) -> Arrival<'p> {
        if self.ended || payload.is_empty() {
            return Arrival::Nothing;
        }
        let next = *self.next_sequence.get_or_insert_with(|| {
            self.mid_stream = true;
            sequence
        });
        // Distance from the next expected byte, signed modulo 2^32.
        let ahead = sequence.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            self.hold(sequence, payload, limit);
            return Arrival::Nothing;
        }
        let seen = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
        let Some(fresh) = payload.get(seen..).filter(|fresh| !fresh.is_empty()) else {
            return Arrival::Nothing;
        };
        if self.replaces(payload, seen) {
            self.replaced = true;
            self.bytes.clear();
            self.ends = Ends::default();
            self.next_sequence = Some(sequence);
            self.append(payload, limit);
            self.release(limit);
            return Arrival::Grew;
        }
        if self.bytes.is_empty() && self.held.is_empty() && fresh.len() <= limit {
            return Arrival::First(fresh);
        }
        self.append(fresh, limit);
        self.release(limit);
        Arrival::Grew
    }

    /// Whether `payload`, of which `seen` bytes should be known, says something else than the few
    /// bytes the stream has begun with.
    ///
    /// Of two segments with the same numbers and other bytes the receiver took one: that in front
    /// may have had a bad checksum or too short a life, as those have that are sent to mislead. The
    /// longer one is what a sender who got no acknowledgement goes on with.
    fn replaces(&self, payload: &[u8], seen: usize) -> bool {
        !self.replaced
            && seen == self.bytes.len()
            && (1..=MAX_REPLACED).contains(&seen)
            && payload.get(..seen) != Some(&self.bytes)
    }

    /// Takes a datagram's payload.
    pub(super) fn datagram<'p>(&mut self, payload: &'p [u8], limit: usize) -> Arrival<'p> {
        if self.ended || payload.is_empty() {
            return Arrival::Nothing;
        }
        if self.bytes.is_empty() && payload.len() <= limit {
            return Arrival::First(payload);
        }
        self.append(payload, limit);
        Arrival::Grew
    }

    /// Stores the bytes that [`Arrival::First`] gave back.
    pub(super) fn keep(&mut self, fresh: &[u8]) {
        self.append(fresh, usize::MAX);
    }

    /// Bytes it takes on the heap, what the allocator needs to keep them included.
    pub(super) fn memory(&self) -> usize {
        let list = |bytes: usize| if bytes == 0 { 0 } else { bytes + ALLOCATION };
        let held: usize = self.held.iter().map(|(_, bytes)| list(bytes.len())).sum();
        list(self.bytes.capacity())
            + list(self.ends.memory())
            + list(self.held.capacity() * size_of::<(u32, Box<[u8]>)>())
            + held
    }

    /// Nothing more will come from this side.
    pub(super) fn end(&mut self) {
        // What is held waited in vain for the first byte.
        self.mid_stream |= self.bytes.is_empty() && !self.held.is_empty();
        self.ended = true;
        self.held = Vec::new();
    }

    /// What is stored.
    pub(super) fn stream(&self) -> Stream<'_> {
        Stream {
            bytes: &self.bytes,
            ends: self.ends.as_slice(),
            mid_stream: self.mid_stream,
            ended: self.ended,
        }
    }

    /// A stream of the one message `fresh`, with this side's marks; `end` must hold its length.
    pub(super) fn borrowed<'a>(&self, fresh: &'a [u8], end: &'a [u32; 1]) -> Stream<'a> {
        Stream {
            bytes: fresh,
            ends: end,
            mid_stream: self.mid_stream,
            ended: self.ended,
        }
    }

    fn append(&mut self, fresh: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.bytes.len());
        let taken = fresh.get(..room).unwrap_or(fresh);
        if taken.is_empty() {
            self.end();
            return;
        }
        // Exactly: openings are many and short, so room to spare adds up.
        self.bytes.reserve_exact(taken.len());
        self.bytes.extend_from_slice(taken);
        self.ends
            .push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        if let Some(next) = &mut self.next_sequence {
            // The whole payload is consumed from the sequence space, also what was cut off.
            *next = next.wrapping_add(u32::try_from(fresh.len()).unwrap_or(u32::MAX));
        }
        if taken.len() < fresh.len() {
            self.end();
        }
    }

    fn hold(&mut self, sequence: u32, payload: &[u8], limit: usize) {
        let held: usize = self.held.iter().map(|(_, bytes)| bytes.len()).sum();
        if self.held.len() >= MAX_HELD || held + self.bytes.len() + payload.len() > limit {
            // The gap was not filled in the room there is: what is beyond it is out of reach.
            self.mid_stream |= self.bytes.is_empty();
            self.end();
            return;
        }
        let place = self
            .held
            .partition_point(|&(other, _)| other.wrapping_sub(sequence).cast_signed() < 0);
        self.held.insert(place, (sequence, payload.into()));
    }

    /// Appends held segments that the last one made contiguous.
    fn release(&mut self, limit: usize) {
        while let (Some(next), Some(&(sequence, _))) = (self.next_sequence, self.held.first()) {
            let ahead = sequence.wrapping_sub(next).cast_signed();
            if ahead > 0 {
                break;
            }
            let (_, payload) = self.held.remove(0);
            let seen = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
            if let Some(fresh) = payload.get(seen..).filter(|fresh| !fresh.is_empty()) {
                self.append(fresh, limit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(reassembly: &mut Reassembly, sequence: u32, payload: &[u8], limit: usize) {
        if let Arrival::First(fresh) = reassembly.segment(sequence, payload, limit) {
            let fresh = fresh.to_vec();
            reassembly.keep(&fresh);
            reassembly.release(limit);
        }
    }

    fn rebuilt(
        start: Option<u32>,
        segments: &[(u32, &[u8])],
        limit: usize,
    ) -> (Vec<u8>, bool, bool) {
        let mut reassembly = Reassembly::default();
        if let Some(start) = start {
            reassembly.start_at(start);
        }
        for &(sequence, payload) in segments {
            feed(&mut reassembly, sequence, payload, limit);
        }
        (
            reassembly.bytes.clone(),
            reassembly.mid_stream,
            reassembly.ended,
        )
    }

    #[test]
    fn puts_segments_in_order() {
        type Case<'a> = (
            &'a str,
            Option<u32>,
            &'a [(u32, &'a [u8])],
            &'a [u8],
            bool,
            bool,
        );
        let cases: &[Case<'_>] = &[
            (
                "in order",
                Some(1),
                &[(1, b"ab"), (3, b"cd")],
                b"abcd",
                false,
                false,
            ),
            (
                "swapped",
                Some(1),
                &[(3, b"cd"), (1, b"ab")],
                b"abcd",
                false,
                false,
            ),
            (
                "three swapped",
                Some(1),
                &[(5, b"e"), (3, b"cd"), (1, b"ab")],
                b"abcde",
                false,
                false,
            ),
            (
                "retransmitted",
                Some(1),
                &[(1, b"ab"), (1, b"ab"), (3, b"c")],
                b"abc",
                false,
                false,
            ),
            (
                "overlap",
                Some(1),
                &[(1, b"ab"), (2, b"bcd")],
                b"abcd",
                false,
                false,
            ),
            (
                "held overlap",
                Some(1),
                &[(2, b"bcd"), (1, b"abc")],
                b"abcd",
                false,
                false,
            ),
            (
                "wraps",
                Some(u32::MAX),
                &[(u32::MAX, b"a"), (0, b"b")],
                b"ab",
                false,
                false,
            ),
            (
                "mid-stream",
                None,
                &[(77, b"ab"), (79, b"c")],
                b"abc",
                true,
                false,
            ),
            (
                "gap stays",
                Some(1),
                &[(1, b"a"), (3, b"c")],
                b"a",
                false,
                false,
            ),
            ("old data", Some(10), &[(1, b"abc")], b"", false, false),
            (
                "other bytes at the start",
                Some(1),
                &[(1, b"xy"), (1, b"abcd"), (5, b"ef")],
                b"abcdef",
                false,
                false,
            ),
            (
                "other bytes later, twice, or no more of them",
                Some(1),
                &[(1, b"x"), (1, b"ab"), (2, b"yc"), (1, b"zzzd"), (1, b"uvw")],
                b"abcd",
                false,
                false,
            ),
            (
                "limit",
                Some(1),
                &[(1, b"abcd"), (5, b"efgh")],
                b"abcdef",
                false,
                true,
            ),
            (
                "held over the limit",
                Some(1),
                &[(2, b"bcdefgh"), (1, b"a")],
                b"",
                true,
                true,
            ),
        ];
        for &(name, start, segments, bytes, mid_stream, ended) in cases {
            assert_eq!(
                rebuilt(start, segments, 6),
                (bytes.to_vec(), mid_stream, ended),
                "{name}"
            );
        }
    }

    #[test]
    fn first_payload_can_be_borrowed() {
        let mut reassembly = Reassembly::default();
        assert_eq!(reassembly.datagram(b"one", 100), Arrival::First(b"one"));
        reassembly.keep(b"one");
        assert_eq!(reassembly.datagram(b"two", 100), Arrival::Grew);
        assert_eq!(
            reassembly.stream().messages().collect::<Vec<_>>(),
            [b"one", b"two"]
        );
        assert_eq!(reassembly.datagram(b"", 100), Arrival::Nothing);
    }

    proptest! {
        /// Any order of overlapping cuts of a text gives the text back.
        #[test]
        fn order_does_not_matter(
            text in proptest::collection::vec(any::<u8>(), 1..200),
            start: u32,
            cuts in proptest::collection::vec((0usize..200, 1usize..60), 0..12),
            seed: u64,
        ) {
            let mut segments: Vec<(u32, &[u8])> = Vec::new();
            let step = (text.len() / 6).max(1);
            for (place, chunk) in (0..).step_by(step).zip(text.chunks(step)) {
                segments.push((start.wrapping_add(place), chunk));
            }
            for &(from, len) in &cuts {
                let from = from.min(text.len() - 1);
                let to = (from + len).min(text.len());
                segments.push((start.wrapping_add(u32::try_from(from).unwrap()), &text[from..to]));
            }
            let mut state = seed;
            for index in (1..segments.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                segments.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
            }
            let mut reassembly = Reassembly::default();
            reassembly.start_at(start);
            for (sequence, payload) in segments {
                feed(&mut reassembly, sequence, payload, 1 << 20);
            }
            // More than MAX_HELD segments after a gap end the opening early; it is a prefix then.
            prop_assert!(text.starts_with(&reassembly.bytes));
            prop_assert!(reassembly.ended || reassembly.bytes == text);
        }
    }
}
