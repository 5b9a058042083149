//! Short headers (RFC 9000 section 17.3), for connections that were joined in their middle.
//!
//! One says nothing that is fixed but two bits. What gives a connection away is what its packets
//! have in common and what they do not: behind a first byte of which header protection turns the
//! low five bits as by chance (RFC 9001 section 5.4.1) come the same bytes each time, the
//! Destination Connection ID, and behind them nothing is alike: packet number and payload are
//! encrypted. Other protocols with a session at byte 1 have a type, a counter or a length before or
//! behind it. An end whose ID is of no length (section 5.1) shows no more than the two bits, which
//! prove something only in large numbers and on QUIC's own port.
//!
//! The fixed bit may be random where both ends agreed to it (RFC 9287); those are not recognised.

use std::ops::RangeInclusive;

use crate::flow::{Opening, Side, Stream};

/// The length of connection IDs that is looked for. The longest is that of RFC 9000 section 17.2;
/// shorter ones would agree by chance too soon.
const ID_LENS: RangeInclusive<usize> = 4..=20;

/// There is no packet whose number and payload are shorter (RFC 9001 section 5.4.2: a sample of
/// 16 bytes is taken 4 bytes behind the beginning of the number).
const MIN_PROTECTED: usize = 4 + 16;

/// Packets of one end that prove QUIC by the ID they share, elsewhere than on its port.
const RUN: usize = 6;

/// The same on QUIC's port.
const RUN_ON_PORT: usize = 4;

/// The same without an ID, on QUIC's port: that so many random messages begin with the two bits
/// is one chance in 2^24.
const RUN_WITHOUT_ID: usize = 12;

/// HTTP/3 (RFC 9114 section 3.1.2).
const PORT: u16 = 443;

/// Different values of the five protected bits in a run, at least.
const MIN_FIRSTS: u32 = 4;

/// A column of bytes that goes up by no more than this from packet to packet counts something.
const MAX_COUNT: u8 = 8;

/// Columns behind the ID that may hold a counter: those of the packet number.
const NUMBER: usize = 4;

/// What short headers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// There are messages that are none.
    Other,
    /// There may be too few as yet.
    TooFew,
    /// So many of one end prove that this is QUIC. The client, where that is known: who is sent
    /// packets without an ID while its own have one (RFC 9000 section 5.1: servers tell connections
    /// apart by their IDs).
    Enough(Option<Side>),
}

/// Whether `datagram` may be a packet with a short header, for an ID of any length.
#[inline]
pub(super) fn may_be(datagram: &[u8]) -> bool {
    matches!(datagram, [0x40..=0x7f, rest @ ..] if rest.len() >= MIN_PROTECTED)
}

/// Looks at all messages of both sides.
pub(super) fn look(opening: &Opening<'_>) -> Seen {
    let (Some(client), Some(server)) = (Run::of(opening.client), Run::of(opening.server)) else {
        return Seen::Other;
    };
    let on_port = opening.has_port(PORT);
    if !client.proves(opening.client, on_port) && !server.proves(opening.server, on_port) {
        return Seen::TooFew;
    }
    Seen::Enough(match (client.has_id(), server.has_id()) {
        (true, false) if server.len >= 2 => Some(Side::Client),
        (false, true) if client.len >= 2 => Some(Side::Server),
        _ => None,
    })
}

/// The different packets of one side.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    /// How many there are.
    len: usize,
    /// How many bytes behind the first one all have in common.
    shared: usize,
    /// A bit for each value of the protected bits of first bytes.
    firsts: u32,
    /// Bits of the first byte that were set in one and clear in another.
    changed: u8,
    /// The first byte has gone up by more than a few, or down.
    jumped: bool,
}

impl Run {
    /// `None` when there is a message that is no packet with a short header.
    fn of(stream: Stream<'_>) -> Option<Self> {
        let mut run = Self::default();
        let mut packets = packets(stream);
        let mut before = packets.next().unwrap_or_default();
        if before.is_empty() {
            return Some(run);
        }
        let is_packet = |packet: &[u8]| may_be(packet).then_some(());
        is_packet(before)?;
        let first = before;
        run.len = 1;
        run.shared = before.len() - 1;
        run.firsts = 1 << (first_of(before) & 0x1f);
        for packet in packets {
            is_packet(packet)?;
            run.len += 1;
            let pairs = first.iter().zip(packet).skip(1).take(run.shared);
            run.shared = pairs.take_while(|(one, other)| one == other).count();
            run.firsts |= 1 << (first_of(packet) & 0x1f);
            run.changed |= first_of(first) ^ first_of(packet);
            run.jumped |= first_of(packet).wrapping_sub(first_of(before)) > MAX_COUNT;
            before = packet;
        }
        Some(run)
    }

    /// Whether all packets have an ID in common.
    fn has_id(self) -> bool {
        ID_LENS.contains(&self.shared)
    }

    /// Whether it is a run that only QUIC has. `stream` is what it is of.
    fn proves(self, stream: Stream<'_>, on_port: bool) -> bool {
        let needed = match (self.has_id(), on_port) {
            (true, true) => RUN_ON_PORT,
            (true, false) => RUN,
            (false, true) => RUN_WITHOUT_ID,
            (false, false) => return false,
        };
        let id_len = if self.has_id() { self.shared } else { 0 };
        self.len >= needed
            && self.has_protected_first()
            && self.is_encrypted_behind(stream, id_len)
            && (!self.has_id() || self.has_id_of_sorts(stream))
    }

    /// Whether the protected bits of the first byte differ as by chance: each of them, and neither
    /// among few types nor as a counter does.
    const fn has_protected_first(self) -> bool {
        self.firsts.count_ones() >= MIN_FIRSTS && self.changed & 0x1f == 0x1f && self.jumped
    }

    /// Whether what is behind an ID of `id_len` bytes differs from packet to packet as what is
    /// encrypted does.
    fn is_encrypted_behind<'a>(self, stream: Stream<'a>, id_len: usize) -> bool {
        let part = |packet: &'a [u8]| packet.get(1 + id_len..)?.first_chunk();
        if packets(stream).any(|packet| part(packet).is_none()) {
            return false;
        }
        let parts = || packets(stream).filter_map(part);
        let pairs = || parts().zip(parts().skip(1));
        let steps = |column: usize| {
            pairs().map(
                move |(one, other): (&[u8; MIN_PROTECTED], &[u8; MIN_PROTECTED])| {
                    let at = |bytes: &[u8]| bytes.get(column).copied().unwrap_or(0);
                    at(other).wrapping_sub(at(one))
                },
            )
        };
        let counts = (0..NUMBER).any(|column| steps(column).all(|step| step <= MAX_COUNT));
        // Of random bytes one in 256 is that of the packet before; a field that stays is it always.
        let same: usize = (0..MIN_PROTECTED)
            .map(|column| steps(column).filter(|&step| step == 0).count())
            .sum();
        let high = parts().flatten().filter(|&&byte| byte >= 0x80).count();
        let all = self.len * MIN_PROTECTED;
        !counts && same <= self.len / 2 && (all / 4..=all - all / 4).contains(&high)
    }

    /// Whether what is shared looks like an ID: no filler, no small number.
    fn has_id_of_sorts(self, stream: Stream<'_>) -> bool {
        let id = stream.first().get(1..=self.shared).unwrap_or_default();
        let is_new = |&(place, byte): &(usize, &u8)| {
            let before = id.get(..place).unwrap_or_default();
            !before.contains(byte)
        };
        id.iter().enumerate().filter(is_new).count() >= 3
    }
}

/// The messages of a side, without what is the same as the one before: a mirror may show it twice.
fn packets<'a>(stream: Stream<'a>) -> impl Iterator<Item = &'a [u8]> {
    let mut before: &[u8] = &[];
    stream.messages().filter(move |&message| {
        let is_new = message != before;
        before = message;
        is_new
    })
}

fn first_of(packet: &[u8]) -> u8 {
    packet.first().copied().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::opening::Script;

    /// `len` bytes as by chance, other ones for each `seed`: SplitMix64.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0xd129_0d3b_2f8b_5a17);
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as u8
        };
        std::iter::repeat_with(&mut next).take(len).collect()
    }

    /// A 1-RTT packet as header protection leaves it.
    fn packet(number: u64, id: &[u8], len: usize) -> Vec<u8> {
        let mut bytes = noise(number + 1, 1 + id.len() + len);
        bytes[0] = 0x40 | bytes[0] & 0x1f;
        bytes[1..=id.len()].copy_from_slice(id);
        bytes
    }

    const ID: &[u8] = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";

    /// What `message` of a number makes, `count` of them of one side.
    fn seen(port: u16, side: Side, count: u64, message: impl Fn(u64) -> Vec<u8>) -> Seen {
        let script = (0..count).fold(Script::udp(port), |script, number| {
            script.message(side, &message(number))
        });
        look(&script.opening())
    }

    #[test]
    fn packets_of_one_id_are_quic() {
        let long = noise(7, 20);
        // ID, port, packets, who sends them.
        type Row<'a> = (&'a [u8], u16, u64, Side, Seen);
        let rows: &[Row<'_>] = &[
            (ID, 443, 8, Side::Client, Seen::Enough(None)),
            (ID, 443, 8, Side::Server, Seen::Enough(None)),
            (ID, 443, 3, Side::Client, Seen::TooFew),
            (ID, 4433, 8, Side::Client, Seen::Enough(None)),
            (ID, 4433, 5, Side::Client, Seen::TooFew),
            (&ID[..4], 4433, 8, Side::Client, Seen::Enough(None)),
            (&ID[..3], 4433, 8, Side::Client, Seen::TooFew),
            (&long, 4433, 8, Side::Client, Seen::Enough(None)),
            // Too many bytes are the same.
            (&noise(7, 21), 4433, 30, Side::Client, Seen::TooFew),
            (&noise(7, 30), 4433, 30, Side::Client, Seen::TooFew),
            // Fillers are no ID.
            (&[0; 8], 443, 30, Side::Client, Seen::TooFew),
            (b"\0\0\0\0\0\0\0\x01", 443, 30, Side::Client, Seen::TooFew),
            // Without an ID only many of them on QUIC's port.
            (b"", 443, 16, Side::Server, Seen::Enough(None)),
            (b"", 443, 11, Side::Server, Seen::TooFew),
            (b"", 4433, 32, Side::Server, Seen::TooFew),
        ];
        for &(id, port, count, side, expected) in rows {
            let got = seen(port, side, count, |number| packet(number, id, 60));
            assert_eq!(got, expected, "{id:02x?} {port} {count} {side:?}");
        }
    }

    #[test]
    fn both_ends_are_heard() {
        let talk = |server: &dyn Fn(u64) -> Vec<u8>| {
            let script = (0..8).fold(Script::udp(4433), |script, number| {
                script
                    .client(&packet(number, ID, 30))
                    .server(&server(number))
            });
            look(&script.opening())
        };
        assert_eq!(
            talk(&|number| packet(100 + number, b"", 20)),
            Seen::Enough(Some(Side::Client))
        );
        assert_eq!(
            talk(&|number| packet(100 + number, &ID[1..], 900)),
            Seen::Enough(None)
        );
        assert_eq!(talk(&|_| b"OK".to_vec()), Seen::Other);
        assert_eq!(talk(&|number| noise(100 + number, 200)), Seen::Other);
    }

    #[test]
    fn other_sessions_at_byte_1_are_not_quic() {
        let with_first = |number: u64, first: u8| {
            let mut bytes = packet(number, ID, 100);
            bytes[0] = first;
            bytes
        };
        let behind = |number: u64, field: &[u8]| {
            let mut bytes = packet(number, ID, 100);
            bytes[9..9 + field.len()].copy_from_slice(field);
            bytes
        };
        type Make<'a> = &'a dyn Fn(u64) -> Vec<u8>;
        let rows: &[(&str, Make<'_>)] = &[
            ("one type", &|n| with_first(n, 0x48)),
            ("two types", &|n| {
                with_first(n, [0x40, 0x5f][n as usize % 2])
            }),
            ("types", &|n| {
                with_first(n, [0x41, 0x42, 0x44, 0x48][n as usize % 4])
            }),
            ("types in turn", &|n| {
                with_first(n, [0x48, 0x58, 0x50, 0x40][(n * n % 4) as usize])
            }),
            ("a counter before", &|n| with_first(n, 0x40 + n as u8)),
            ("every byte before", &|n| with_first(n, noise(n, 1)[0])),
            ("a counter behind", &|n| {
                behind(n, &(n as u32).to_be_bytes())
            }),
            ("a small-endian one", &|n| {
                behind(n, &(n as u32).to_le_bytes())
            }),
            ("bytes counted", &|n| {
                behind(n, &(n as u32 * 1237).to_be_bytes())
            }),
            ("a time", &|n| {
                behind(n, &(0x5f00_0000 + n as u32 * 960).to_le_bytes())
            }),
            ("a length", &|n| behind(n, &[noise(n, 1)[0], 0, 100])),
            ("text", &|n| {
                let mut bytes = packet(n, ID, 100);
                bytes[9..]
                    .iter_mut()
                    .for_each(|byte| *byte = b'a' + *byte % 26);
                bytes
            }),
            ("the same again", &|n| packet(n / 16, ID, 100)),
            ("too short", &|n| packet(n, ID, 19)),
        ];
        for (what, make) in rows {
            for port in [443, 4433] {
                for count in 1..=32 {
                    let got = seen(port, Side::Client, count, make);
                    assert!(!matches!(got, Seen::Enough(_)), "{what}, {port}, {count}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_connection_is_known_before_its_opening_ends(
            id in proptest::collection::hash_set(any::<u8>(), 4..=20),
            len in 20_usize..60,
            seed in any::<u32>(),
        ) {
            let id: Vec<u8> = id.into_iter().collect();
            let make = |number| packet(u64::from(seed) << 8 | number, &id, len);
            prop_assert_eq!(seen(4433, Side::Client, 24, make), Seen::Enough(None));
        }

        #[test]
        fn any_bytes_are_looked_at(
            messages in proptest::collection::vec(
                (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..32),
            first in 0x40_u8..0x80,
        ) {
            let script = messages.iter().fold(Script::udp(443), |script, (is_client, bytes)| {
                let side = if *is_client { Side::Client } else { Side::Server };
                let bytes: Vec<u8> = [&[first][..], bytes].concat();
                script.message(side, &bytes)
            });
            let got = look(&script.opening());
            prop_assert!(!matches!(got, Seen::Enough(_)));
        }
    }
}
