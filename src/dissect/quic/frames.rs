//! The frames that Initial packets may carry (RFC 9000 sections 12.4 and 19, and gQUIC's for
//! Google's own versions), and the handshake bytes put together from them.
//!
//! Clients scatter the ClientHello on purpose: small CRYPTO frames in any order with PING and
//! PADDING between, over several packets. [`CryptoStream`] takes them as they come.

use super::header::variable;
use crate::wire::reader::Reader;

/// How much of a handshake is kept. An opening keeps no more of a side than this, so bytes
/// further on can never be joined to the first.
pub(super) const LIMIT: usize = 16 * 1024;

/// The CRYPTO frames of a packet, in its order: offset and bytes.
///
/// Ends at a frame that an Initial packet must not have, or one whose bytes are missing.
#[derive(Clone, Debug)]
pub(super) struct CryptoFrames<'a> {
    reader: Reader<'a>,
    google: bool,
}

impl<'a> CryptoFrames<'a> {
    /// The frames of `payload`; `google` when they are encoded as gQUIC does.
    pub(super) const fn new(payload: &'a [u8], google: bool) -> Self {
        Self {
            reader: Reader::new(payload),
            google,
        }
    }
}

impl<'a> Iterator for CryptoFrames<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let reader = &mut self.reader;
        loop {
            skip_padding(reader);
            match reader.u8()? {
                // PING; gQUIC numbers it 7
                0x01 => {}
                0x07 if self.google => {}
                // ACK, ACK with ECN counts
                kind @ (0x02 | 0x03) => ack(reader, kind == 0x03)?,
                kind @ 0x40..=0x7f if self.google => google_ack(reader, kind)?,
                // CRYPTO; gQUIC numbers it 8
                kind @ (0x06 | 0x08) if kind == 0x06 || self.google => {
                    let offset = variable(reader)?;
                    let len = usize::try_from(variable(reader)?).ok()?;
                    // A packet that was cut ends inside a frame: the part there is counts.
                    let bytes = reader
                        .take(len)
                        .or_else(|| reader.take(reader.left()))
                        .filter(|bytes| bytes.len() == len || !bytes.is_empty())?;
                    return Some((offset, bytes));
                }
                // CONNECTION_CLOSE, or what must not be here: nothing of use follows.
                _ => return None,
            }
        }
    }
}

/// Passes over zeros: more than half of what a client's first datagram is made of.
pub(super) fn skip_padding(reader: &mut Reader<'_>) {
    let (blocks, _) = reader.rest().as_chunks::<16>();
    let zero = blocks
        .iter()
        .take_while(|&&block| u128::from_ne_bytes(block) == 0)
        .count();
    let _ = reader.skip(16 * zero);
    let zero = reader.rest().iter().take_while(|&&byte| byte == 0).count();
    let _ = reader.skip(zero);
}

/// The rest of an ACK frame (RFC 9000 section 19.3).
fn ack(reader: &mut Reader<'_>, ecn: bool) -> Option<()> {
    variable(reader)?;
    variable(reader)?;
    let ranges = variable(reader)?;
    variable(reader)?;
    // Ends with the bytes, whatever the count says.
    for _ in 0..ranges {
        variable(reader)?;
        variable(reader)?;
    }
    if ecn {
        variable(reader)?;
        variable(reader)?;
        variable(reader)?;
    }
    Some(())
}

/// The rest of an ACK frame of gQUIC from Q034 on, whose type is 01ntllmm: `n` more than one
/// block, `ll` and `mm` lengths of the largest acknowledged number and of blocks.
pub(super) fn google_ack(reader: &mut Reader<'_>, kind: u8) -> Option<()> {
    let number_len = google_number_len(kind >> 2);
    let block_len = google_number_len(kind);
    reader.skip(number_len + 2)?;
    let blocks = if kind & 0x20 != 0 { reader.u8()? } else { 0 };
    reader.skip(block_len)?;
    reader.skip(usize::from(blocks) * (1 + block_len))?;
    match usize::from(reader.u8()?) {
        0 => Some(()),
        times => reader.skip(1 + 4 + (times - 1) * (1 + 2)),
    }
}

/// How many bytes a packet number takes by two bits of gQUIC.
pub(super) const fn google_number_len(bits: u8) -> usize {
    match bits & 3 {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => 6,
    }
}

/// The bytes of a handshake, from frames in any order.
pub(super) struct CryptoStream {
    bytes: Vec<u8>,
    /// One bit for each byte that is there: unlike a list of ranges it does not grow with the
    /// number of frames, however small a client makes them.
    there: [u64; LIMIT / 64],
    /// All bytes before this one are there.
    whole: usize,
}

impl CryptoStream {
    /// An empty one.
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            there: [0; LIMIT / 64],
            whole: 0,
        }
    }

    /// Adds `data` at `offset`. What came first stays.
    pub(super) fn add(&mut self, offset: u64, data: &[u8]) {
        let Some(start) = usize::try_from(offset).ok().filter(|&start| start < LIMIT) else {
            return;
        };
        let end = start.saturating_add(data.len()).min(LIMIT);
        if end <= self.whole {
            return;
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut at = start;
        let mut data = data;
        while at < end {
            let len = (64 - at % 64).min(end - at);
            let mask = u64::MAX >> (64 - len) << (at % 64);
            let (Some(there), Some(places), Some((block, rest))) = (
                self.there.get_mut(at / 64),
                self.bytes.get_mut(at..at + len),
                data.split_at_checked(len),
            ) else {
                return;
            };
            if *there & mask == 0 {
                places.copy_from_slice(block);
            } else {
                let free = !*there >> (at % 64);
                for (bit, (place, &byte)) in places.iter_mut().zip(block).enumerate() {
                    if free >> bit & 1 != 0 {
                        *place = byte;
                    }
                }
            }
            *there |= mask;
            (at, data) = (at + len, rest);
        }
        while let Some(there) = self.there.get(self.whole / 64) {
            let run = (there >> (self.whole % 64)).trailing_ones() as usize;
            self.whole += run;
            if run == 0 || !self.whole.is_multiple_of(64) {
                break;
            }
        }
    }

    /// The runs of bytes that are there, behind those that `prefix` gives.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut at = self.whole;
        std::iter::from_fn(move || {
            let start = self.next(at, true)?;
            at = self.next(start, false).unwrap_or(self.bytes.len());
            self.bytes.get(start..at)
        })
    }

    /// The first byte from `at` on that is there, or the first that is not.
    fn next(&self, at: usize, there: bool) -> Option<usize> {
        let has = |at: &usize| {
            let word = self.there.get(at / 64);
            word.is_some_and(|word| word >> (at % 64) & 1 != 0) == there
        };
        (at..self.bytes.len()).find(has)
    }

    /// The bytes from the first to the first that is missing.
    pub(super) fn prefix(&self) -> &[u8] {
        self.bytes.get(..self.whole).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_found_between_others() {
        for (payload, google, expected) in [
            (&b"\x06\x00\x02ab"[..], false, vec![(0, &b"ab"[..])]),
            (b"\x00\x00\x01\x06\x05\x02ab\x01\x06\x00\x01c\x00", false, vec![(5, b"ab"), (0, b"c")]),
            (b"\x02\x00\x00\x00\x00\x06\x00\x01c", false, vec![(0, b"c")]),
            (b"\x02\x09\x00\x02\x00\x01\x01\x02\x02\x06\x00\x01c", false, vec![(0, b"c")]),
            (b"\x03\x00\x00\x00\x00\x07\x08\x09\x06\x00\x01c", false, vec![(0, b"c")]),
            (b"\x06\x40\x25\x40\x01c", false, vec![(0x25, b"c")]),
            (b"\x06\x00\x09cut", false, vec![(0, b"cut")]),
            (b"\x06\x00\x09", false, vec![]),
            (b"\x06\x00\x00\x06\x00\x01c", false, vec![(0, b""), (0, b"c")]),
            (b"\x1c\x00\x06\x00\x01c", false, vec![]),
            (b"\x08\x00\x01c", false, vec![]),
            (b"\x08\x00\x01c\x07\x06\x01\x01d", true, vec![(0, b"c"), (1, b"d")]),
            // one block, no timestamps
            (b"\x40\x01\x00\x00\x01\x00\x08\x00\x01c", true, vec![(0, b"c")]),
            // two blocks of two bytes, two timestamps
            (
                b"\x65\x00\x09\x00\x00\x01\x00\x01\x05\x00\x02\x02\x01\x00\x00\x00\x00\x02\x00\x00\x08\x00\x01c",
                true,
                vec![(0, b"c")],
            ),
            // many ranges that are not there
            (b"\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00", false, vec![]),
        ] {
            let frames: Vec<_> = CryptoFrames::new(payload, google).collect();
            assert_eq!(frames, expected, "{payload:02x?}");
        }
    }

    #[test]
    fn pieces_are_what_is_there_behind_a_gap() {
        let mut stream = CryptoStream::new();
        let pieces = |stream: &CryptoStream| -> Vec<Vec<u8>> {
            stream.pieces().map(<[u8]>::to_vec).collect()
        };
        assert!(pieces(&stream).is_empty());
        stream.add(0, b"ab");
        assert!(pieces(&stream).is_empty());
        stream.add(70, b"xyz");
        stream.add(60, b"0123456789");
        stream.add(200, b"z");
        assert_eq!(stream.prefix(), b"ab");
        assert_eq!(pieces(&stream), [b"0123456789xyz".to_vec(), b"z".to_vec()]);
    }

    #[test]
    fn what_came_first_stays_and_the_end_is_bounded() {
        let mut stream = CryptoStream::new();
        stream.add(2, b"cd");
        assert_eq!(stream.prefix(), b"");
        stream.add(0, b"abXXe");
        assert_eq!(stream.prefix(), b"abcde");
        stream.add(LIMIT as u64 - 1, b"zz");
        stream.add(u64::MAX, b"zz");
        assert_eq!(stream.bytes.len(), LIMIT);
        stream.add(0, &[1; 2 * LIMIT]);
        assert_eq!(stream.prefix().len(), LIMIT);
    }

    proptest! {
        #[test]
        fn any_order_gives_the_same_bytes(
            len in 1_usize..3000,
            cuts in prop::collection::vec(0_usize..3000, 0..20),
            seed in any::<u64>(),
        ) {
            let hello: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % len).collect();
            cuts.extend([0, len]);
            cuts.sort_unstable();
            let mut pieces: Vec<_> = cuts.windows(2).map(|it| it[0]..it[1]).collect();
            pieces.sort_by_key(|piece| (piece.start as u64 + 1).wrapping_mul(seed | 1));
            let mut stream = CryptoStream::new();
            for piece in &pieces {
                stream.add(piece.start as u64, &hello[piece.clone()]);
            }
            prop_assert_eq!(stream.prefix(), &hello[..]);
        }

        #[test]
        fn never_panics(payload: Vec<u8>, google: bool) {
            let mut stream = CryptoStream::new();
            for (offset, bytes) in CryptoFrames::new(&payload, google) {
                stream.add(offset, bytes);
            }
        }
    }
}
