//! RDP's connection request ([MS-RDPBCGR] section 2.2.1): X.224 in TPKT (RFC 1006), with a cookie
//! or a negotiation of its own. What follows is mostly TLS on the same connection. Beside it, the
//! UDP transport's first datagram ([MS-RDPEUDP] section 2.2.2).

use super::{Facts, Inside, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};
use crate::wire::reader::Reader;

const PORT: u16 = 3389;

const CONNECTION_REQUEST: u8 = 0xe0;
const CONNECTION_CONFIRM: u8 = 0xd0;

/// Types of the negotiation structures (sections 2.2.1.1.1, 2.2.1.2.1 and 2.2.1.2.2).
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if opening.transport == Transport::Udp {
        let Some(answer) = synchronises(opening.newest()) else {
            return Outcome::NotMine;
        };
        facts.proto = Some(Proto::RDP);
        facts.swapped = answer == (opening.latest == Side::Client);
        return Outcome::Done;
    }
    let on_port = opening.has_port(PORT);
    let mut outcome = Outcome::NotMine;
    for side in [Side::Client, Side::Server] {
        match look(opening.stream(side).bytes, on_port) {
            None if opening.stream(side).is_empty() => {}
            None => outcome = Outcome::NeedMore,
            Some(None) => {}
            Some(Some(of)) => {
                facts.proto = Some(Proto::RDP);
                facts.swapped = of != side;
                let client = if facts.swapped {
                    opening.server
                } else {
                    opening.client
                };
                let server = if facts.swapped {
                    opening.client
                } else {
                    opening.server
                };
                return behind(client.bytes, server.bytes);
            }
        }
    }
    outcome
}

/// Whether a datagram that synchronises sequence numbers also acknowledges: it is the server's.
fn synchronises(bytes: &[u8]) -> Option<bool> {
    const SYN: u16 = 0x0001;
    const ACK: u16 = 0x0004;
    // All flags that section 2.2.2.1 defines.
    const KNOWN: u16 = 0x1fff;
    const MTU: std::ops::RangeInclusive<u16> = 1132..=1232;

    let mut reader = Reader::new(bytes);
    let acknowledged = reader.be32()?;
    let _window = reader.be16()?;
    let flags = reader.be16()?;
    let _sequence = reader.be32()?;
    let (up, down) = (reader.be16()?, reader.be16()?);
    // The datagram is filled up to the size it asks for; data and FIN cannot come yet.
    let answer = flags & ACK != 0;
    let agrees = flags & SYN != 0
        && flags & (0x0002 | 0x0008 | !KNOWN) == 0
        && MTU.contains(&up)
        && MTU.contains(&down)
        && MTU.contains(&u16::try_from(bytes.len()).ok()?)
        && (answer || acknowledged == u32::MAX);
    agrees.then_some(answer)
}

/// What follows the two connection frames: RDP's own in more of them, or what was negotiated.
fn behind(client: &[u8], server: &[u8]) -> Outcome {
    let (requested, confirmed) = (frame_len(client), frame_len(server));
    let next = requested.and_then(|len| client.get(len));
    match next {
        Some(3) => Outcome::Done,
        _ => Outcome::Wraps(Inside::plain(requested, confirmed)),
    }
}

/// How long the TPKT frame at the front of `bytes` is.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [3, 0, high, low, ..] => Some(u16::from_be_bytes([*high, *low]).into()),
        _ => None,
    }
}

/// Whose connection request or confirmation is at the front; `None` if bytes are missing.
fn look(bytes: &[u8], on_port: bool) -> Option<Option<Side>> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != 3 {
        return Some(None);
    }
    if reader.u8()? != 0 {
        return Some(None);
    }
    let len = reader.be16()?;
    let indicator = reader.u8()?;
    let code = reader.u8()?;
    // X.224's length counts what follows it; RDP lets nothing else follow in the frame.
    if !(11..512).contains(&len) || u16::from(indicator) + 5 != len {
        return Some(None);
    }
    // The request leaves the destination's reference open; class and options are zero.
    let destination = reader.be16()?;
    reader.skip(2)?;
    if reader.u8()? != 0 {
        return Some(None);
    }
    let rest = reader.take(usize::from(len) - 11)?;
    let negotiates = |kinds: &[u8]| match rest.last_chunk::<8>() {
        Some([kind, _, 8, 0, ..]) => kinds.contains(kind),
        _ => false,
    };
    Some(match code {
        CONNECTION_REQUEST if destination == 0 => {
            let cookie = rest.starts_with(b"Cookie: msts");
            // The oldest clients send nothing at all.
            let bare = on_port && rest.is_empty();
            (cookie || bare || negotiates(&[NEGOTIATION_REQUEST])).then_some(Side::Client)
        }
        CONNECTION_CONFIRM => {
            let answers = negotiates(&[NEGOTIATION_RESPONSE, NEGOTIATION_FAILURE]);
            (rest.len() == 8 && answers).then_some(Side::Server)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::*;

    const NEGOTIATION: &str = "03 00 00 13 0e e0 00 00 00 00 00 01 00 08 00 0b 00 00 00";
    const CONFIRM: &str = "03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 00 00 00 00";

    /// [MS-RDPBCGR] section 4.1.1, in form.
    fn cookie() -> Vec<u8> {
        let cookie = b"Cookie: mstshash=eltons\r\n";
        let mut bytes = hex("03 00 00 2c 27 e0 00 00 00 00 00");
        bytes.extend_from_slice(cookie);
        bytes.extend(hex("01 00 08 00 00 00 00 00"));
        bytes
    }

    #[test]
    fn requests_and_confirmations_are_recognised() {
        let to = Trial::tcp;
        for (what, trial, swapped) in [
            ("cookie", to(3389).client(cookie()), false),
            ("negotiation", to(4000).client(hex(NEGOTIATION)), false),
            ("confirmation", to(4000).server(hex(CONFIRM)), false),
            ("swapped", to(4000).client(hex(CONFIRM)), true),
            (
                "bare",
                to(3389).client(hex("03 00 00 0b 06 e0 00 00 00 00 00")),
                false,
            ),
        ] {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::RDP), swapped),
                "{what}"
            );
            trial.same_by_octets(dissect);
        }
    }

    #[test]
    fn tls_follows_on_the_same_connection() {
        let trial = Trial::tcp(3389)
            .client(hex(NEGOTIATION))
            .server(hex(CONFIRM));
        let inside = Outcome::Wraps(Inside::plain(Some(19), Some(19)));
        let (outcome, facts) = trial.clone().client(hex(CLIENT_HELLO)).ask(dissect);
        assert_eq!((outcome, facts.proto), (inside, Some(Proto::RDP)));
        let own = trial.client(hex("03 00 01 ca 02 f0 80"));
        assert_eq!(own.ask(dissect).0, Outcome::Done, "RDP's own encryption");
    }

    #[test]
    fn datagrams_that_synchronise_are_recognised() {
        let syn = "ff*4 00 40 00 01 9a*4 04 d0 04 d0 00*1216";
        let answer = "9a*4 00 40 00 05 9b*4 04 d0 04 d0 00*1216";
        for (what, text, swapped) in [
            ("first", syn, Some(false)),
            ("answer from the client's side", answer, Some(true)),
            ("no flag", "ff*4 00 40 00 00 9a*4 04 d0 04 d0 00*1216", None),
            ("data", "ff*4 00 40 00 09 9a*4 04 d0 04 d0 00*1216", None),
            (
                "acknowledges nothing yet",
                "fe*4 00 40 00 01 9a*4 04 d0 04 d0 00*1216",
                None,
            ),
            ("size", "ff*4 00 40 00 01 9a*4 05 d0 04 d0 00*1216", None),
            (
                "not filled",
                "ff*4 00 40 00 01 9a*4 04 d0 04 d0 00*16",
                None,
            ),
        ] {
            let (_, facts) = Trial::udp(3389).client(hex(text)).ask(dissect);
            assert_eq!(facts.proto.map(|_| facts.swapped), swapped, "{what}");
        }
        Trial::udp(3389)
            .client(hex(syn))
            .refused_below(1132, dissect);
    }

    #[test]
    fn other_users_of_tpkt_are_not() {
        for (what, text) in [
            (
                "S7",
                "03 00 00 16 11 e0 00 00 00 01 00 c0 01 0a c1 02 01 00 c2 02 01 02",
            ),
            ("H.323", "03 00 00 20 08 02 00 01 05 04 03 80 90 a5"),
            ("bare elsewhere", "03 00 00 0b 06 e0 00 00 00 00 00"),
            (
                "lengths that differ",
                "03 00 00 13 0f e0 00 00 00 00 00 01 00 08 00 0b 00 00 00",
            ),
            (
                "lengths that overflow",
                "03 00 ff ff ff e0 00 00 00 00 00 01 00 08 00",
            ),
            ("version", "03 01 00 13 0e e0"),
        ] {
            let trial = Trial::tcp(102).client(hex(text)).server(b"\xff");
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds = [
            Trial::tcp(3389).client(cookie()),
            Trial::tcp(3389).server(hex(CONFIRM)),
        ];
        withstands(dissect, &seeds);
    }
}
