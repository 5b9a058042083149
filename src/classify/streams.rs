//! DNS messages in TCP (RFC 1035 section 4.2.2, RFC 7766): several in a stream, cut into segments
//! anywhere.
//!
//! Every worker follows every such stream, so what is kept of each is little and bounded: what has
//! come of the message under way, and a few segments that came too early.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::generations::{Generations, make_old};
use crate::decode::{Packet, TcpSegment};
use crate::dissect::dns;

/// The longest message that is read; longer ones are passed over.
const MAX_MESSAGE: usize = 8 << 10;

/// Segments kept that came before those they follow.
const MAX_EARLY: usize = 4;

/// A segment further ahead is none of this connection's.
const MAX_AHEAD: u32 = 1 << 20;

/// What one direction takes at most.
const STREAM: usize =
    size_of::<(u64, Direction)>() + 2 * (2 + MAX_MESSAGE + MAX_EARLY * MAX_SEGMENT);

/// A longer segment is not kept: it is none that a path carries.
const MAX_SEGMENT: usize = 1500;

/// The directions of DNS connections under way.
#[derive(Debug)]
pub(super) struct Streams {
    state: RandomState,
    /// Where those begin whose SYN was seen.
    begun: Generations<u64, u32>,
    /// Directions in which something was sent: the young ones and those before them.
    limit: usize,
    young: HashMap<u64, Direction, RandomState>,
    old: HashMap<u64, Direction, RandomState>,
}

impl Streams {
    /// Follows as many as fit into `memory` bytes.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            state: RandomState::default(),
            begun: Generations::new(Self::buckets(memory)),
            limit: (memory / 2 / (2 * STREAM)).max(1),
            young: HashMap::default(),
            old: HashMap::default(),
        }
    }

    /// Half of the memory is for where streams begin.
    const fn buckets(memory: usize) -> usize {
        let each = Generations::<u64, u32>::memory(1 << 10) >> 10;
        let most = memory / 2 / (each + 1);
        if most < 8 { 8 } else { 1 << most.ilog2() }
    }

    /// Reads a segment, and calls `each` with every message that it completes.
    pub(super) fn read(
        &mut self,
        packet: &Packet<'_>,
        tcp: TcpSegment,
        each: &mut dyn FnMut(&[u8]),
    ) {
        let mut key = self.state.build_hasher();
        (packet.version, packet.source, packet.destination).hash(&mut key);
        (packet.source_port, packet.destination_port).hash(&mut key);
        let key = std::hash::Hasher::finish(&key);
        let mut sequence = tcp.sequence;
        if tcp.has(TcpSegment::SYN) {
            sequence = sequence.wrapping_add(1);
            // The same SYN again, or another connection.
            self.take(key);
            self.begun.insert(key, sequence);
        }
        if packet.payload.is_empty() {
            return;
        }
        let direction = self.take(key).or_else(|| {
            let next = match self.begun.remove(&key) {
                Some(next) => next,
                None if begins(packet.payload) => sequence,
                None => return None,
            };
            Some(Direction {
                next,
                ..Direction::default()
            })
        });
        if let Some(mut direction) = direction
            && direction.segment(sequence, packet.payload, each).is_some()
        {
            if self.young.len() >= self.limit {
                make_old(&mut self.young, &mut self.old);
            }
            self.young.insert(key, direction);
        }
    }

    fn take(&mut self, key: u64) -> Option<Direction> {
        self.young.remove(&key).or_else(|| self.old.remove(&key))
    }
}

/// What one side of a connection sent so far.
#[derive(Debug, Default)]
struct Direction {
    /// The sequence number of the byte that comes next.
    next: u32,
    /// Bytes of a message that is passed over.
    skipped: usize,
    /// What has come of the message under way, its length included.
    message: Vec<u8>,
    /// Segments that follow a gap.
    early: Vec<(u32, Box<[u8]>)>,
}

impl Direction {
    /// Takes a segment; `None` when where messages begin is lost.
    fn segment(
        &mut self,
        sequence: u32,
        payload: &[u8],
        each: &mut dyn FnMut(&[u8]),
    ) -> Option<()> {
        let ahead = sequence.wrapping_sub(self.next).cast_signed();
        if ahead > 0 {
            return self.keep(sequence, payload, each);
        }
        let seen = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
        if ahead.unsigned_abs() > MAX_AHEAD {
            return self.restart(sequence, payload, each);
        }
        self.append(payload.get(seen..).unwrap_or_default(), each)?;
        while let Some((sequence, bytes)) = self.take_early() {
            let seen = self.next.wrapping_sub(sequence) as usize;
            self.append(bytes.get(seen..).unwrap_or_default(), each)?;
        }
        Some(())
    }

    /// A kept segment that the gap before has been filled of.
    fn take_early(&mut self) -> Option<(u32, Box<[u8]>)> {
        let follows =
            |&(sequence, _): &(u32, _)| sequence.wrapping_sub(self.next).cast_signed() <= 0;
        let place = self.early.iter().position(follows)?;
        Some(self.early.swap_remove(place))
    }

    /// Keeps a segment that came too early.
    fn keep(&mut self, sequence: u32, payload: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
        let ahead = sequence.wrapping_sub(self.next);
        if ahead > MAX_AHEAD || self.early.len() >= MAX_EARLY || payload.len() > MAX_SEGMENT {
            // What is missing was not captured.
            return self.restart(sequence, payload, each);
        }
        if !self.early.iter().any(|&(known, _)| known == sequence) {
            self.early.push((sequence, payload.into()));
        }
        Some(())
    }

    /// Goes on with a segment that begins with a message.
    fn restart(
        &mut self,
        sequence: u32,
        payload: &[u8],
        each: &mut dyn FnMut(&[u8]),
    ) -> Option<()> {
        if !begins(payload) {
            return None;
        }
        *self = Self {
            next: sequence,
            ..Self::default()
        };
        self.append(payload, each)
    }

    /// Takes the bytes that come next.
    fn append(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
        self.next = self.next.wrapping_add(u32::try_from(bytes.len()).ok()?);
        while !bytes.is_empty() {
            let passed = self.skipped.min(bytes.len());
            self.skipped -= passed;
            bytes = bytes.get(passed..)?;
            let wanted = match self.message[..] {
                [high, low, ..] => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => 2,
            };
            let (part, rest) = bytes.split_at(bytes.len().min(wanted - self.message.len()));
            self.message.extend_from_slice(part);
            bytes = rest;
            let [high, low, message @ ..] = &self.message[..] else {
                continue;
            };
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            if len < dns::HEADER_LEN {
                return None;
            }
            if len > MAX_MESSAGE {
                self.skipped = len;
                self.message = Vec::new();
            } else if message.len() == len {
                each(message);
                self.message = Vec::new();
            }
        }
        Some(())
    }
}

/// Whether `bytes`, of a stream whose start was not seen, begin with a message.
fn begins(bytes: &[u8]) -> bool {
    bytes.split_first_chunk::<2>().is_some_and(|(&len, rest)| {
        let len = usize::from(u16::from_be_bytes(len));
        let message = rest.get(..len).unwrap_or(rest);
        len >= dns::HEADER_LEN && dns::transaction(message, |_| ()).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::samples::{dns_answer, tcp};

    const FROM: (u8, u16) = (9, 53);
    const TO: (u8, u16) = (1, 40_000);

    fn framed(names: &[&str]) -> Vec<u8> {
        let one = |name: &&str| {
            let message = dns_answer(name, 7, 60);
            [&(message.len() as u16).to_be_bytes()[..], &message].concat()
        };
        names.iter().flat_map(one).collect()
    }

    /// The lengths of the messages read of segments: control bits, sequence number, payload.
    fn read(segments: &[(u8, u32, &[u8])]) -> Vec<usize> {
        let mut streams = Streams::new(1 << 20);
        let mut lens = Vec::new();
        for &(flags, sequence, payload) in segments {
            let packet = tcp(1, FROM, TO, (flags, sequence), payload);
            streams.read(&packet, packet.tcp.unwrap(), &mut |message| {
                lens.push(message.len())
            });
        }
        lens
    }

    #[test]
    fn messages_are_found_wherever_segments_are_cut() {
        let stream = framed(&["a.test", "bb.test"]);
        let whole = read(&[(2, 99, b""), (16, 100, &stream)]);
        assert_eq!(
            whole,
            [
                framed(&["a.test"]).len() - 2,
                framed(&["bb.test"]).len() - 2
            ]
        );
        assert_eq!(read(&[(16, 100, &stream)]), whole, "without a SYN");
        for cut in 1..stream.len() {
            let (first, second) = stream.split_at(cut);
            let at = 100 + cut as u32;
            let row =
                |segments: &[(u8, u32, &[u8])]| assert_eq!(read(segments), whole, "cut at {cut}");
            row(&[(2, 99, b""), (16, 100, first), (16, at, second)]);
            row(&[(2, 99, b""), (16, at, second), (16, 100, first)]);
            row(&[
                (2, 99, b""),
                (16, 100, first),
                (16, 100, first),
                (16, at, second),
                (16, 100, first),
            ]);
            row(&[(2, 99, b""), (16, 100, first), (16, 100, &stream)]);
        }
        let octets: Vec<_> = (0..)
            .zip(stream.chunks(1))
            .map(|(n, octet)| (16, 100 + n, octet))
            .collect();
        assert_eq!(read(&[&[(2, 99, &b""[..])], &octets[..]].concat()), whole);
    }

    #[test]
    fn what_is_lost_is_given_up() {
        let stream = framed(&["a.test", "bb.test"]);
        let one = framed(&["a.test"]).len();
        let second = &stream[one..];
        let at = 100 + one as u32;
        // What, segments, messages.
        type Row<'a> = (&'a str, &'a [(u8, u32, &'a [u8])], usize);
        let rows: &[Row<'_>] = &[
            ("the first is missing", &[(2, 99, b""), (16, at, second)], 0),
            ("in the middle of a message", &[(16, 100, &stream[5..])], 0),
            (
                "another connection",
                &[
                    (16, 100, &stream),
                    (2, 9_000_000, b""),
                    (16, 9_000_001, second),
                ],
                3,
            ),
            (
                "far away",
                &[(16, 100, &stream), (16, 0x8000_0000, second)],
                3,
            ),
            (
                "not DNS",
                &[(2, 99, b""), (16, 100, b"\0\x05abcde"), (16, 107, second)],
                1,
            ),
            (
                "a long one is passed over",
                &[
                    (2, 99, b""),
                    (16, 100, &[0x30; 2]),
                    (16, 102, &[0; 0x3030]),
                    (16, 102 + 0x3030, second),
                ],
                1,
            ),
        ];
        for (what, segments, count) in rows {
            assert_eq!(read(segments).len(), *count, "{what}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut streams = Streams::new(1 << 20);
        for port in 1..60_000 {
            for (flags, sequence, payload) in [
                (2, 99, &b""[..]),
                (16, 100, &[0x10; 1000]),
                (16, 9000, &[0; 1000]),
            ] {
                let packet = tcp(1, FROM, (1, port), (flags, sequence), payload);
                streams.read(&packet, packet.tcp.unwrap(), &mut |_| {});
            }
        }
        let held = streams.young.len() + streams.old.len();
        assert!(held * STREAM <= 1 << 19, "{held}");
    }
}
