//! WireGuard (wireguard.com/protocol): four kinds of datagram, each of a fixed length or whole
//! blocks.
//!
//! Reserved octets are zero, except where an operator (Cloudflare's WARP) marks its clients there:
//! then only an answer that repeats the initiator's index proves it.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream};
use crate::wire::reader::Reader;

const INITIATION_LEN: usize = 148;
const RESPONSE_LEN: usize = 92;
const COOKIE_LEN: usize = 64;
/// Header and tag around an empty packet: a keep-alive.
const MIN_DATA_LEN: usize = 32;

/// How many datagrams are compared with one another.
const MAX_MESSAGES: usize = 12;

/// A datagram of the right length for its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Initiation { sender: u32, without_cookie: bool },
    Response { receiver: u32 },
    Cookie { receiver: u32 },
    Data { receiver: u32, counter: u64 },
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let Some((newest, reserved)) = Message::read(opening.newest()) else {
        return Outcome::NotMine;
    };
    let initiators = |side: Side, index: u32| {
        opening
            .stream(side)
            .messages()
            .take(MAX_MESSAGES)
            .any(|bytes| {
                let message = Message::read(bytes).map(|(message, _)| message);
                matches!(message, Some(Message::Initiation { sender, .. }) if sender == index)
            })
    };
    let latest = opening.latest;
    let sure = match newest {
        Message::Initiation { without_cookie, .. } => reserved == [0; 3] && without_cookie,
        Message::Response { receiver } | Message::Cookie { receiver } => {
            initiators(!latest, receiver)
        }
        Message::Data { .. } => reserved == [0; 3] && in_sequence(opening.stream(latest)),
    };
    if sure {
        facts.proto = Some(Proto::WIREGUARD);
        // Either peer may initiate; later on that is no news about who came first.
        facts.swapped = false;
        return Outcome::Done;
    }
    match opening.client.count() + opening.server.count() < MAX_MESSAGES {
        true => Outcome::NeedMore,
        false => Outcome::NotMine,
    }
}

/// Whether the last two data messages go to one receiver and the counter rises.
fn in_sequence(stream: Stream<'_>) -> bool {
    let mut data =
        stream
            .messages()
            .rev()
            .take(MAX_MESSAGES)
            .map(|bytes| match Message::read(bytes) {
                Some((Message::Data { receiver, counter }, [0, 0, 0])) => Some((receiver, counter)),
                _ => None,
            });
    match (data.next().flatten(), data.next().flatten()) {
        (Some((receiver, counter)), Some((before, counter_before))) => {
            // A step is one; more is loss or reordering in the network before the capture.
            let step = counter.wrapping_sub(counter_before);
            receiver == before && (1..1024).contains(&step)
        }
        _ => false,
    }
}

impl Message {
    /// Reads a datagram, and its reserved octets.
    fn read(bytes: &[u8]) -> Option<(Self, [u8; 3])> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        let reserved = *reader.array::<3>()?;
        // Some services pad the handshake: there, too, only the repeated index is proof.
        let padded = |len: usize| bytes.len() > len && reserved != [0; 3];
        let message = match (kind, bytes.len()) {
            (1, _) if padded(INITIATION_LEN) => return None,
            (2, _) if padded(RESPONSE_LEN) => return None,
            (1, INITIATION_LEN..) => Self::Initiation {
                sender: reader.le32()?,
                // The second MAC is zero unless the responder asked for a cookie.
                without_cookie: bytes.len() == INITIATION_LEN
                    && bytes.last_chunk::<16>()? == &[0; 16],
            },
            (2, RESPONSE_LEN..) => {
                reader.skip(4)?;
                Self::Response {
                    receiver: reader.le32()?,
                }
            }
            (3, COOKIE_LEN) => Self::Cookie {
                receiver: reader.le32()?,
            },
            (4, len) if len >= MIN_DATA_LEN && len % 16 == 0 => {
                let receiver = reader.le32()?;
                let &counter = reader.array::<8>()?;
                let counter = u64::from_le_bytes(counter);
                // Keys are renewed long before 2^48 messages.
                (counter < 1 << 48).then_some(Self::Data { receiver, counter })?
            }
            _ => return None,
        };
        Some((message, reserved))
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const INITIATION: &str = "01 00 00 00 11 22 33 44 e1*124 00*16";
    const RESPONSE: &str = "02 00 00 00 55 66 77 88 11 22 33 44 e2*64 00*16";
    const COOKIE: &str = "03 00 00 00 11 22 33 44 e3*56";

    fn to() -> Trial {
        Trial::udp(51820)
    }

    fn data(receiver: &str, counter: u8) -> Vec<u8> {
        hex(&format!("04 00 00 00 {receiver} {counter:02x} 00*7 d4*32"))
    }

    fn recognised() -> Vec<(&'static str, Trial)> {
        let warp = |text: &str| hex(&text.replacen("00 00 00", "a1 b2 c3", 1));
        let with_cookie = INITIATION.replace("e1*124 00*16", "e1*140");
        vec![
            ("initiation", to().client(hex(INITIATION))),
            (
                "response",
                to().client(hex(&with_cookie)).server(hex(RESPONSE)),
            ),
            ("cookie", to().client(hex(&with_cookie)).server(hex(COOKIE))),
            (
                "marked by the operator",
                to().client(warp(INITIATION)).server(warp(RESPONSE)),
            ),
            (
                "data",
                to().client(data("01 02 03 04", 7))
                    .client(data("01 02 03 04", 9)),
            ),
        ]
    }

    #[test]
    fn datagrams_are_recognised() {
        for (what, trial) in recognised() {
            assert_eq!(trial.facts(dissect).proto, Some(Proto::WIREGUARD), "{what}");
        }
        to().client(hex(INITIATION)).refused_when_cut(dissect);
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let marked = INITIATION.replacen("00 00 00", "00 00 01", 1);
        for (what, trial) in [
            ("marked, alone", to().client(hex(&marked))),
            (
                "with cookie, alone",
                to().client(hex(&INITIATION.replace("00*16", "01*16"))),
            ),
            ("too long", to().client(hex(&format!("{INITIATION} 00")))),
            (
                "another's response",
                to().client(hex(&marked))
                    .server(hex(&RESPONSE.replace("11 22", "11 23"))),
            ),
            ("data once", to().client(data("01 02 03 04", 7))),
            (
                "data repeated",
                to().client(data("01 02 03 04", 7))
                    .client(data("01 02 03 04", 7)),
            ),
            (
                "data for two",
                to().client(data("01 02 03 04", 7))
                    .client(data("01 02 03 05", 8)),
            ),
            (
                "data going back",
                to().client(data("01 02 03 04", 7))
                    .client(data("01 02 03 04", 6)),
            ),
            (
                "broken block",
                to().client(hex("04 00*15 d4*17"))
                    .client(hex("04 00*7 01 00*7 d4*17")),
            ),
        ] {
            let (outcome, facts) = trial.ask(dissect);
            assert!(outcome != Outcome::Done && facts.proto.is_none(), "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised().into_iter().map(|(_, trial)| trial).collect();
        withstands(dissect, &seeds);
    }
}
