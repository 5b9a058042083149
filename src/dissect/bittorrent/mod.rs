//! BitTorrent: the peer protocol over TCP (BEP 3) and uTP (BEP 29), the DHT (BEP 5), trackers over
//! UDP (BEP 15) and local service discovery (BEP 14).
//!
//! Announces over HTTP are HTTP. Message stream encryption looks like random bytes from its first
//! one and is not claimed.

pub mod swarm;
mod utp;

use memchr::memmem;

use self::utp::{HANDSHAKE, Packet};
use super::plain::text;
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::wire::reader::Reader;

/// Where the peer identifier begins in a handshake, after eight reserved bytes and the info hash.
const PEER_ID: usize = 48;

/// Connect request of BEP 15: a number that stands for the protocol, and action 0.
const TRACKER_CONNECT: &[u8] = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0";

/// Messages that prove the peer protocol where the handshake was not seen.
const ENOUGH_MESSAGES: usize = 4;

/// Reads what either side sent.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let outcome = match opening.transport {
        Transport::Tcp => peer(opening, facts),
        Transport::Udp => datagrams(opening),
        Transport::Other(_) => Outcome::NotMine,
    };
    if outcome == Outcome::Done {
        facts.proto = Some(Proto::BITTORRENT);
    }
    outcome
}

fn peer(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let mut undecided = false;
    for side in [Side::Client, Side::Server] {
        let stream = opening.stream(side);
        let bytes = stream.bytes;
        if bytes.starts_with(HANDSHAKE) {
            // Azureus style: `-UT3550-`, then random bytes.
            let peer_id = bytes.get(PEER_ID..PEER_ID + 8);
            if let Some(id @ [b'-', .., b'-']) = peer_id {
                facts.banner.get_or_insert_default().software = text(id, id.len());
            }
            return Outcome::Done;
        }
        undecided |= !stream.ended && !bytes.is_empty() && HANDSHAKE.starts_with(bytes);
        if stream.mid_stream {
            if has_messages(stream) {
                return Outcome::Done;
            }
            undecided |= !stream.ended;
        }
    }
    if undecided {
        Outcome::NeedMore
    } else {
        Outcome::NotMine
    }
}

/// Whether some segment begins a run of peer messages of which the lengths agree with the kinds.
///
/// A stream joined in the middle may start inside a block: only segments that begin with a
/// message are of use, and of those the requests and haves between.
fn has_messages(stream: Stream<'_>) -> bool {
    let mut found = 0;
    for segment in stream.messages() {
        let mut reader = Reader::new(segment);
        let mut here = 0;
        while !reader.is_empty() {
            let (Some(len), Some(kind)) = (reader.be32(), reader.u8()) else {
                here = 0;
                break;
            };
            let fits = match kind {
                // A block that fills the segment and more: its length is that of blocks and its
                // place a multiple of it.
                7 if is_long_block(len, &reader) => {
                    here += ENOUGH_MESSAGES / 2;
                    break;
                }
                // Have; request and cancel; port.
                4 => len == 5,
                6 | 8 => len == 13 && is_block(&reader),
                _ => false,
            };
            if !fits || reader.skip(len as usize - 1).is_none() {
                here = 0;
                break;
            }
            here += 1;
        }
        found += here;
    }
    found >= ENOUGH_MESSAGES
}

/// Index, offset and length of a block: offsets are multiples of the length, a power of two.
fn is_block(reader: &Reader<'_>) -> bool {
    let mut ahead = *reader;
    let (Some(_index), Some(begin), Some(len)) = (ahead.be32(), ahead.be32(), ahead.be32()) else {
        return false;
    };
    (1..=1 << 17).contains(&len) && begin.is_multiple_of(1 << 14)
}

/// Index and offset of a block of which the usual 16 KiB are sent, behind the message's length.
fn is_long_block(len: u32, reader: &Reader<'_>) -> bool {
    let mut ahead = *reader;
    let (Some(index), Some(begin)) = (ahead.be32(), ahead.be32()) else {
        return false;
    };
    len == 9 + (1 << 14) && index < 1 << 20 && begin.is_multiple_of(1 << 14) && begin < 1 << 26
}

fn datagrams(opening: &Opening<'_>) -> Outcome {
    let newest = opening.newest();
    let sure = match newest {
        [b'd', ..] => is_dht(newest),
        [0, 0, 4, ..] => newest.starts_with(TRACKER_CONNECT) && newest.len() >= 16,
        [b'B', ..] => newest.starts_with(b"BT-SEARCH * HTTP/1."),
        _ => false,
    };
    if sure {
        return Outcome::Done;
    }
    if Packet::read(newest).is_none() {
        return Outcome::NotMine;
    }
    if utp::is_connection(opening) {
        Outcome::Done
    } else {
        Outcome::NeedMore
    }
}

/// A message of the DHT: a dictionary with a query, a response or an error, as `y` says.
///
/// Keys are sorted, so arguments (`a`), error (`e`), the address of BEP 42 (`ip`) or the response
/// (`r`) come first; `y` stands after the transaction (`t`) and the version (`v`) near the end.
fn is_dht(datagram: &[u8]) -> bool {
    const NODE: &[u8] = b"2:id20:";
    const WINDOW: usize = 64;
    let window = datagram.get(..WINDOW).unwrap_or(datagram);
    let begins = window.starts_with(b"d1:el")
        || [&b"d1:ad"[..], b"d1:rd", b"d2:ip"]
            .iter()
            .any(|key| window.starts_with(key))
            && memmem::find(window, NODE).is_some();
    let kind = |kind: &[u8]| memmem::rfind(datagram, kind).is_some();
    begins && datagram.ends_with(b"e") && (kind(b"1:y1:q") || kind(b"1:y1:r") || kind(b"1:y1:e"))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::opening::Script;

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = dissect(&script.opening(), &mut facts);
        let claimed = outcome == Outcome::Done;
        assert_eq!(facts.proto, claimed.then_some(Proto::BITTORRENT));
        (outcome, facts)
    }

    fn handshake() -> Vec<u8> {
        [HANDSHAKE, &[0; 8], &[7; 20], b"-UT3550-abcdefghijkl"].concat()
    }

    #[test]
    fn peers_shake_hands() {
        let whole = handshake();
        let (outcome, facts) = run(&Script::tcp(6881).client(&whole));
        assert_eq!(
            (
                outcome,
                facts
                    .banner
                    .as_ref()
                    .and_then(|banner| banner.software.as_deref())
            ),
            (Outcome::Done, Some("-UT3550-"))
        );
        assert_eq!(run(&Script::tcp(6881).server(&whole)).0, Outcome::Done);
        for end in 1..whole.len() {
            let want = if end < HANDSHAKE.len() {
                Outcome::NeedMore
            } else {
                Outcome::Done
            };
            assert_eq!(
                run(&Script::tcp(6881).client(&whole[..end])).0,
                want,
                "cut at {end}"
            );
        }
        for bytes in [&b"\x13BitTorrent Protocol"[..], b"\x12", b"GET", b""] {
            assert_eq!(run(&Script::tcp(6881).client(bytes)).0, Outcome::NotMine);
        }
    }

    #[test]
    fn peers_are_known_in_the_middle() {
        let request = |n: u32| {
            [
                &b"\0\0\0\x0d\x06\0\0\0\x09"[..],
                &(n << 14).to_be_bytes(),
                b"\0\0\x40\0",
            ]
            .concat()
        };
        let segment: Vec<u8> = (0..5).flat_map(request).collect();
        let script = Script::tcp(6881).client(&segment);
        let mut opening = script.opening();
        assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::NotMine);
        opening.client.mid_stream = true;
        assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::Done);
        // Two blocks, each at the front of a segment.
        let block = |n: u32| {
            let head = b"\0\0\x40\x09\x07\0\0\0\x09";
            [&head[..], &(n << 14).to_be_bytes(), &[0x5a; 100]].concat()
        };
        let script = Script::tcp(6881).client(&block(1)).client(&block(2));
        let mut opening = script.opening();
        opening.client.mid_stream = true;
        assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::Done);
        let mut odd = segment.clone();
        odd[12] = 1;
        let script = Script::tcp(6881).client(&odd);
        let mut opening = script.opening();
        opening.client.mid_stream = true;
        assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::NeedMore);
    }

    #[test]
    fn datagrams_prove_themselves() {
        let rows: &[(&[u8], Outcome)] = &[
            (
                b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
                Outcome::Done,
            ),
            (
                b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
                Outcome::Done,
            ),
            (
                b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
                Outcome::Done,
            ),
            (
                b"d2:ip6:\x01\x02\x03\x04\x05\x061:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
                Outcome::Done,
            ),
            (
                b"d1:ad2:bsi1e2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:v4:UT011:y1:qe",
                Outcome::Done,
            ),
            (b"d1:ad2:id20:abcdefghij", Outcome::NotMine),
            (
                b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:xe",
                Outcome::NotMine,
            ),
            (
                b"d1:ad2:ix20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
                Outcome::NotMine,
            ),
            (b"d4:spam4:eggse", Outcome::NotMine),
            (
                b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\x12\x34\x56\x78",
                Outcome::Done,
            ),
            (b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0", Outcome::NotMine),
            (
                b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\x01\x12\x34\x56\x78",
                Outcome::NotMine,
            ),
            (
                b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n",
                Outcome::Done,
            ),
            (b"", Outcome::NotMine),
        ];
        for (bytes, want) in rows {
            assert_eq!(run(&Script::udp(6881).client(bytes)).0, *want, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_not_bittorrent(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8),
        ) {
            for (mut script, first) in [(Script::udp(9), 0x21), (Script::tcp(9), 0x13)] {
                for message in &messages {
                    script = script.client(message).server(&[&[first, 0], &message[..]].concat());
                    prop_assert!(run(&script).0 != Outcome::Done);
                }
            }
        }
    }
}
