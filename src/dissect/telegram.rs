//! MTProto's transports over TCP, Telegram's (core.telegram.org/mtproto/mtproto-transports).
//!
//! Plain ones are abridged, intermediate, padded intermediate and full; what clients use is the
//! obfuscated one: 64 random octets that hold the key under which their own last eight name the
//! transport. Decrypting them proves it: other bytes pass once in 2^30.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Stream};
use crate::wire::reader::Reader;

const ABRIDGED: u8 = 0xef;
const INTERMEDIATE: [u8; 4] = [0xee; 4];
const PADDED: [u8; 4] = [0xdd; 4];

/// Constructors of the first, unencrypted message: `req_pq` and `req_pq_multi`, as on the wire.
const FIRST_REQUESTS: [[u8; 4]; 2] = [[0x78, 0x97, 0x46, 0x60], [0xf1, 0x8e, 0x7e, 0xbe]];

/// How obfuscated streams never begin, so that they are not taken for something else.
const NEVER_OBFUSCATED: [&[u8]; 8] = [
    b"HEAD",
    b"POST",
    b"GET ",
    b"OPTI",
    &INTERMEDIATE,
    &PADDED,
    &[0x16, 0x03, 0x01],
    &[ABRIDGED],
];

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let stream = opening.client;
    if stream.is_empty() {
        // A server never speaks first.
        return Outcome::NotMine;
    }
    if stream.mid_stream {
        return Outcome::NotMine;
    }
    let mut outcome = Outcome::NotMine;
    for judge in [plain, full, obfuscated] {
        match judge(stream) {
            Outcome::NotMine => {}
            Outcome::NeedMore => outcome = Outcome::NeedMore,
            sure => {
                facts.proto = Some(Proto::MTPROTO);
                return sure;
            }
        }
    }
    outcome
}

/// Judges the transports whose first octets name them.
fn plain(stream: Stream<'_>) -> Outcome {
    let mut reader = Reader::new(stream.bytes);
    let len = match stream.bytes {
        [ABRIDGED, ..] => abridged_length(&mut reader),
        [0xee | 0xdd, ..] => intermediate_length(&mut reader),
        _ => return Outcome::NotMine,
    };
    match len {
        Some(Some(len)) => packet(reader, len, stream, 0),
        Some(None) => Outcome::NotMine,
        None => Outcome::NeedMore,
    }
}

/// How long the first packet is, `Some(None)` if it cannot be one, `None` if bytes are missing.
fn abridged_length(reader: &mut Reader<'_>) -> Option<Option<u32>> {
    reader.skip(1)?;
    Some(match reader.u8()? {
        words @ 1..0x7f => Some(u32::from(words) * 4),
        0x7f => {
            let &[low, middle, high] = reader.array::<3>()?;
            Some(u32::from_le_bytes([low, middle, high, 0]) * 4)
        }
        _ => None,
    })
}

fn intermediate_length(reader: &mut Reader<'_>) -> Option<Option<u32>> {
    let bytes = reader.rest();
    for tag in [INTERMEDIATE, PADDED] {
        if bytes.iter().zip(&tag).all(|(a, b)| a == b) {
            reader.skip(4)?;
            return Some(Some(reader.le32()?));
        }
    }
    Some(None)
}

/// Judges the packet of `len` octets at the front of `reader`, which `trailer` octets follow.
///
/// It must end where a segment does, and be a first request in the clear or be sealed: a key's
/// number, a message key and whole blocks.
fn packet(mut reader: Reader<'_>, len: u32, stream: Stream<'_>, trailer: u32) -> Outcome {
    let start = stream.bytes.len() - reader.left();
    let Ok(start) = u32::try_from(start) else {
        return Outcome::NotMine;
    };
    if !(24..0x10_0000).contains(&len) {
        return Outcome::NotMine;
    }
    let (Some(&key), Some(rest)) = (reader.array::<8>(), reader.sub(12)) else {
        return Outcome::NeedMore;
    };
    if key == [0; 8] {
        // In the clear: message identifier, length, then the constructor.
        let mut length = rest;
        let inner = length.skip(8).and_then(|()| length.le32());
        return match (inner, reader.array::<4>()) {
            (Some(20 | 40), Some(constructor)) if FIRST_REQUESTS.contains(constructor) => {
                Outcome::Done
            }
            (_, None) => Outcome::NeedMore,
            _ => Outcome::NotMine,
        };
    }
    // Padding of up to 15 octets may follow the blocks in the padded transport only.
    let blocks = (len - 24) % 16;
    let padded = stream.bytes.starts_with(&PADDED);
    let four_bytes_tag = padded || stream.bytes.starts_with(&INTERMEDIATE);
    let end = start + len + trailer;
    let whole = stream.bytes.len() >= end as usize;
    match (blocks == 0 || padded) && four_bytes_tag {
        true if stream.ends.binary_search(&end).is_ok() => Outcome::Done,
        true if !whole => Outcome::NeedMore,
        // Abridged and sealed is one octet of proof: a signature with an address has to say it.
        _ => Outcome::NotMine,
    }
}

/// Judges the full transport: length, sequence number zero, packet, CRC-32.
fn full(stream: Stream<'_>) -> Outcome {
    let mut reader = Reader::new(stream.bytes);
    let (Some(len), Some(sequence)) = (reader.le32(), reader.le32()) else {
        let zero_high = stream
            .bytes
            .get(2..)
            .unwrap_or_default()
            .iter()
            .all(|&b| b == 0);
        return if zero_high {
            Outcome::NeedMore
        } else {
            Outcome::NotMine
        };
    };
    if sequence != 0 || !(36..0x1_0000).contains(&len) {
        return Outcome::NotMine;
    }
    let body_len = len as usize - 4;
    let Some(body) = stream.bytes.get(..body_len) else {
        return Outcome::NeedMore;
    };
    let Some(&crc) = stream
        .bytes
        .get(body_len..)
        .and_then(|rest| rest.first_chunk())
    else {
        return Outcome::NeedMore;
    };
    let mut computed = flate2::Crc::new();
    computed.update(body);
    if computed.sum() == u32::from_le_bytes(crc) {
        Outcome::Done
    } else {
        Outcome::NotMine
    }
}

/// Judges the obfuscated transport by decrypting its first 64 octets.
///
/// The two octets after the tag are a data centre's number only towards a proxy; direct clients
/// may leave them random, so they prove nothing.
fn obfuscated(stream: Stream<'_>) -> Outcome {
    let bytes = stream.bytes;
    if NEVER_OBFUSCATED
        .iter()
        .any(|start| bytes.starts_with(start))
        || bytes.get(4..8) == Some(&[0; 4])
    {
        return Outcome::NotMine;
    }
    let Some(header) = bytes.first_chunk::<64>() else {
        return Outcome::NeedMore;
    };
    let mut reader = Reader::new(header);
    let (Some(()), Some(key), Some(iv)) =
        (reader.skip(8), reader.array::<32>(), reader.array::<16>())
    else {
        return Outcome::NotMine;
    };
    let mut clear = *header;
    Ctr128BE::<Aes256>::new(key.into(), iv.into()).apply_keystream(&mut clear);
    match clear.get(56..60) {
        Some([0xef, 0xef, 0xef, 0xef] | [0xee, 0xee, 0xee, 0xee] | [0xdd, 0xdd, 0xdd, 0xdd]) => {
            Outcome::Done
        }
        _ => Outcome::NotMine,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    /// A message in the clear: no key, identifier, length, `req_pq_multi`, nonce.
    const FIRST: &str = "00*8 11 22 33 44 55 66 77 60 14 00 00 00 f1 8e 7e be 4e*16";
    /// A sealed one: a key's number, a message key, two blocks.
    const SEALED: &str = "a1*8 b2*16 c3*32";

    fn obfuscate(tag: u8) -> Vec<u8> {
        let mut header: Vec<u8> = (0..64_u8).map(|i| i.wrapping_mul(37) ^ 0x5c).collect();
        let mut stream = header.clone();
        stream[56..60].fill(tag);
        Ctr128BE::<Aes256>::new_from_slices(&header[8..40], &header[40..56])
            .unwrap()
            .apply_keystream(&mut stream);
        header[56..].copy_from_slice(&stream[56..]);
        header
    }

    fn full_packet() -> Vec<u8> {
        let body = hex(FIRST);
        let mut packet = (body.len() as u32 + 12).to_le_bytes().to_vec();
        packet.extend([0; 4]);
        packet.extend(body);
        let mut crc = flate2::Crc::new();
        crc.update(&packet);
        packet.extend(crc.sum().to_le_bytes());
        packet
    }

    fn trials() -> Vec<(&'static str, Trial)> {
        let to = |bytes: Vec<u8>| Trial::tcp(443).client(bytes);
        vec![
            ("abridged", to(hex(&format!("ef 0a {FIRST}")))),
            (
                "abridged, long form",
                to(hex(&format!("ef 7f 0a 00 00 {FIRST}"))),
            ),
            (
                "intermediate",
                to(hex(&format!("ee*4 28 00 00 00 {FIRST}"))),
            ),
            (
                "intermediate, sealed",
                to(hex(&format!("ee*4 38 00 00 00 {SEALED}"))),
            ),
            (
                "padded, sealed",
                to(hex(&format!("dd*4 3d 00 00 00 {SEALED} 01 02 03 04 05"))),
            ),
            ("full", to(full_packet())),
            ("obfuscated abridged", to(obfuscate(0xef))),
            ("obfuscated intermediate", to(obfuscate(0xee))),
            (
                "obfuscated padded",
                to([&obfuscate(0xdd)[..], b"more"].concat()),
            ),
        ]
    }

    #[test]
    fn every_transport_is_recognised() {
        for (what, trial) in trials() {
            assert_eq!(trial.facts(dissect).proto, Some(Proto::MTPROTO), "{what}");
            assert_eq!(
                trial.mid_stream().ask(dissect).0,
                Outcome::NotMine,
                "{what}"
            );
        }
        Trial::tcp(443)
            .client(obfuscate(0xee))
            .same_by_octets(dissect);
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let mut broken = full_packet();
        broken[20] ^= 1;
        for (what, bytes) in [
            ("another key", {
                let mut o = obfuscate(0xef);
                o[9] ^= 1;
                o
            }),
            ("another tag", obfuscate(0xec)),
            ("random", vec![0x9e; 64]),
            ("abridged and sealed", hex(&format!("ef 0e {SEALED}"))),
            (
                "intermediate, not whole blocks",
                hex(&format!("ee*4 39 00 00 00 {SEALED} 01")),
            ),
            (
                "another request",
                hex("ee*4 28 00 00 00 00*8 11*8 14 00 00 00 01 02 03 04 4e*16"),
            ),
            ("CRC that fails", broken),
            ("length of gigabytes", hex("ee*4 ff ff ff ff a1*64")),
            (
                "HTTP",
                [b"GET / HTTP/1.1\r\n".as_slice(), &[b'x'; 64]].concat(),
            ),
        ] {
            let (outcome, _) = Trial::tcp(443).client(bytes).ask(dissect);
            assert_eq!(outcome, Outcome::NotMine, "{what}");
        }
        assert_eq!(
            Trial::tcp(443).server(b"220 hello").ask(dissect).0,
            Outcome::NotMine
        );
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = trials().into_iter().map(|(_, trial)| trial).collect();
        withstands(dissect, &seeds);
    }
}
