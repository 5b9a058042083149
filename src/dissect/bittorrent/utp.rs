//! uTP (BEP 29), BitTorrent's transport over UDP: whether packets hang together as a connection.
//!
//! A packet has but ten fixed bits. What proves the protocol is how identifiers, sequence numbers
//! and acknowledgements of several packets answer one another.

use crate::flow::{Opening, Side, Stream};
use crate::wire::reader::Reader;

/// How a peer begins: the length of the name of the protocol, and the name.
pub(super) const HANDSHAKE: &[u8] = b"\x13BitTorrent protocol";

/// A packet: the fields that must agree, and what it carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    kind: u8,
    connection: u16,
    /// Microseconds on the sender's clock.
    time: u32,
    sequence: u16,
    acknowledged: u16,
    payload: &'a [u8],
}

const ST_DATA: u8 = 0;
const ST_STATE: u8 = 2;
const ST_SYN: u8 = 4;

impl<'a> Packet<'a> {
    pub(super) fn read(datagram: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let first = reader.u8()?;
        let (kind, version) = (first >> 4, first & 0x0f);
        if kind > ST_SYN || version != 1 {
            return None;
        }
        let mut extension = reader.u8()?;
        let connection = reader.be16()?;
        let time = reader.be32()?;
        // Difference of the clocks, window.
        reader.skip(8)?;
        let (sequence, acknowledged) = (reader.be16()?, reader.be16()?);
        // Selective acknowledgement, extension bits, close reason: a list that ends with zero.
        while extension != 0 {
            if extension > 3 {
                return None;
            }
            extension = reader.u8()?;
            let len = reader.u8()?;
            reader.skip(usize::from(len))?;
        }
        let payload = reader.rest();
        // Only data carries any.
        (kind == ST_DATA || payload.is_empty()).then_some(Self {
            kind,
            connection,
            time,
            sequence,
            acknowledged,
            payload,
        })
    }
}

/// Whether the packets of both sides, or of one for long enough, hang together as uTP.
pub(super) fn is_connection(opening: &Opening<'_>) -> bool {
    let packets = |side| opening.stream(side).messages().map_while(Packet::read);
    for side in [Side::Client, Side::Server] {
        if packets(side).any(|p| p.kind == ST_DATA && p.payload.starts_with(HANDSHAKE)) {
            return true;
        }
        // Opened here: the answer has the identifier of the SYN and acknowledges its number, and
        // what follows the SYN has the next identifier and the next number.
        let Some(syn) = packets(side).find(|p| p.kind == ST_SYN) else {
            continue;
        };
        let next = |n: u16| n.wrapping_add(1);
        let answered = packets(!side).any(|p| {
            p.kind == ST_STATE && p.connection == syn.connection && p.acknowledged == syn.sequence
        });
        let continued = packets(side).any(|p| {
            p.kind == ST_DATA
                && p.connection == next(syn.connection)
                && p.sequence == next(syn.sequence)
        });
        if answered || continued {
            return true;
        }
    }
    if is_run(opening.client) || is_run(opening.server) {
        return true;
    }
    // Joined in the middle: identifiers differ by one and stay, and each side acknowledges what
    // the other is sending.
    const NEAR: u16 = 256;
    let same = |side| {
        let first = packets(side).next()?;
        let mut count = 0;
        for packet in packets(side) {
            let steady = packet.kind != ST_SYN && packet.connection == first.connection;
            count += usize::from(steady);
            if !steady {
                return None;
            }
        }
        (count >= 2 && count == opening.stream(side).count()).then_some(first)
    };
    let (Some(a), Some(b)) = (same(Side::Client), same(Side::Server)) else {
        return false;
    };
    let near = |x: u16, y: u16| x.wrapping_sub(y).wrapping_add(NEAR) <= 2 * NEAR;
    matches!(a.connection.wrapping_sub(b.connection), 1 | u16::MAX)
        && near(a.acknowledged, b.sequence)
        && near(b.acknowledged, a.sequence)
}

/// Whether one side alone goes on as uTP does: one connection, a clock that runs, numbers that
/// rise a little with each packet and never fall.
fn is_run(stream: Stream<'_>) -> bool {
    const PACKETS: usize = 5;
    const MAX_STEP: u16 = 64;
    const MAX_PAUSE: u32 = 10_000_000;
    let mut before: Option<Packet<'_>> = None;
    let (mut acknowledged, mut sent) = (0, 0);
    for message in stream.messages() {
        let Some(packet) = Packet::read(message).filter(|p| matches!(p.kind, ST_DATA | ST_STATE))
        else {
            return false;
        };
        if let Some(last) = before {
            let pause = packet.time.wrapping_sub(last.time);
            let sequence = packet.sequence.wrapping_sub(last.sequence);
            let step = packet.acknowledged.wrapping_sub(last.acknowledged);
            let goes_on = packet.connection == last.connection
                && (1..=MAX_PAUSE).contains(&pause)
                && sequence <= MAX_STEP
                && step <= MAX_STEP;
            if !goes_on {
                return false;
            }
            sent += u32::from(sequence);
            acknowledged += u32::from(step);
        }
        before = Some(packet);
    }
    // Something was sent or acknowledged: a counter that stands still proves nothing.
    stream.count() >= PACKETS && sent + acknowledged > 0
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::dissect;
    use super::*;
    use crate::dissect::{Facts, Outcome};
    use crate::flow::opening::Script;

    fn run(script: &Script) -> Outcome {
        dissect(&script.opening(), &mut Facts::default())
    }

    fn utp(kind: u8, connection: u16, sequence: u16, acknowledged: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind << 4 | 1, 0];
        bytes.extend_from_slice(&connection.to_be_bytes());
        bytes.extend_from_slice(b"time" as &[u8]);
        bytes.extend_from_slice(b"diffwndw");
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&acknowledged.to_be_bytes());
        [&bytes, payload].concat()
    }

    #[test]
    fn utp_must_hang_together() {
        let syn = utp(ST_SYN, 700, 1, 0, b"");
        let syn = || Script::udp(40_000).client(&syn);
        let rows = [
            (
                "answered",
                syn().server(&utp(ST_STATE, 700, 9, 1, b"")),
                Outcome::Done,
            ),
            (
                "continued",
                syn().client(&utp(ST_DATA, 701, 2, 8, b"x")),
                Outcome::Done,
            ),
            ("alone", syn(), Outcome::NeedMore),
            (
                "repeated",
                syn().client(&utp(ST_SYN, 700, 1, 0, b"")),
                Outcome::NeedMore,
            ),
            (
                "wrong identifier",
                syn().server(&utp(ST_STATE, 702, 9, 1, b"")),
                Outcome::NeedMore,
            ),
            (
                "wrong acknowledgement",
                syn().server(&utp(ST_STATE, 700, 9, 5, b"")),
                Outcome::NeedMore,
            ),
            (
                "handshake inside",
                Script::udp(9).client(&utp(ST_DATA, 5, 2, 8, HANDSHAKE)),
                Outcome::Done,
            ),
            (
                "payload in a SYN",
                Script::udp(9).client(&utp(ST_SYN, 5, 2, 8, b"x")),
                Outcome::NotMine,
            ),
            (
                "kind 5",
                Script::udp(9).client(&utp(5, 5, 2, 8, b"")),
                Outcome::NotMine,
            ),
            (
                "cut",
                Script::udp(9).client(&utp(ST_SYN, 5, 2, 8, b"")[..19]),
                Outcome::NotMine,
            ),
        ];
        for (what, script, want) in rows {
            assert_eq!(run(&script), want, "{what}");
        }
        let middle = |step: u16| {
            Script::udp(9)
                .client(&utp(ST_DATA, 800, 50, 90, b"abc"))
                .server(&utp(ST_STATE, 800 + step, 91, 50, b""))
                .client(&utp(ST_DATA, 800, 51, 90, b"abc"))
                .server(&utp(ST_STATE, 800 + step, 91, 51, b""))
        };
        assert_eq!(run(&middle(1)), Outcome::Done);
        assert_eq!(run(&middle(2)), Outcome::NeedMore);
        let alone = |time: fn(u8) -> u8, step: u16| {
            (0..5_u8).fold(Script::udp(9), |script, n| {
                let mut packet = utp(ST_STATE, 800, 91, 50 + step * u16::from(n), b"");
                packet[4..8].copy_from_slice(&[1, 2, time(n), 4]);
                script.server(&packet)
            })
        };
        assert_eq!(run(&alone(|n| n, 1)), Outcome::Done);
        assert_eq!(run(&alone(|_| 7, 1)), Outcome::NeedMore, "the clock stands");
        assert_eq!(
            run(&alone(|n| 9 - n, 1)),
            Outcome::NeedMore,
            "the clock runs back"
        );
        assert_eq!(
            run(&alone(|n| n, 0)),
            Outcome::NeedMore,
            "nothing is acknowledged"
        );
        assert_eq!(run(&alone(|n| n, 999)), Outcome::NeedMore, "numbers leap");
        let mut extended = utp(ST_STATE, 5, 1, 1, b"\0\x04abcd");
        extended[1] = 1;
        assert!(Packet::read(&extended).is_some());
        extended[1] = 9;
        assert!(Packet::read(&extended).is_none());
    }
}
