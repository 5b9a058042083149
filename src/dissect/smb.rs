//! SMB 1 to 3 over TCP, in the frames of NetBIOS's session service (RFC 1002 section 4.3), on port
//! 139 after a session request and on port 445 without ([MS-SMB], [MS-SMB2]).

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream};
use crate::wire::reader::Reader;

const SESSION_MESSAGE: u8 = 0x00;
const SESSION_REQUEST: u8 = 0x81;
const POSITIVE_RESPONSE: u8 = 0x82;

const PORTS: [u16; 2] = [139, 445];

/// In the middle of a stream, how many messages may pass before one begins with a frame.
const MAX_MESSAGES: usize = 8;

/// What bytes are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Other,
    Short,
    SessionRequest,
    /// An SMB message, and whether it is an answer, where that is not sealed.
    Smb {
        answer: Option<bool>,
    },
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let on_port = PORTS.iter().any(|&port| opening.has_port(port));
    let mut outcome = Outcome::NotMine;
    for side in [Side::Client, Side::Server] {
        let stream = opening.stream(side);
        if stream.is_empty() {
            continue;
        }
        match look(stream, on_port) {
            Seen::Other => {}
            Seen::Short => outcome = Outcome::NeedMore,
            Seen::SessionRequest => {
                facts.proto = Some(Proto::NETBIOS_SSN);
                facts.swapped = side == Side::Server;
                // SMB is what the session is for; the other side has to agree first.
                let answer = opening.stream(!side).bytes;
                return match answer.first() {
                    None | Some(&POSITIVE_RESPONSE) if stream.count() < MAX_MESSAGES => {
                        Outcome::Partial
                    }
                    _ => Outcome::Done,
                };
            }
            Seen::Smb { answer } => {
                facts.proto = Some(Proto::SMB);
                facts.swapped = answer.is_some_and(|answer| (side == Side::Client) == answer);
                return Outcome::Done;
            }
        }
    }
    outcome
}

fn look(stream: Stream<'_>, on_port: bool) -> Seen {
    let seen = frame(stream.bytes);
    match seen {
        // A session that was granted: what follows the request.
        Seen::SessionRequest => {
            let mut reader = Reader::new(stream.bytes);
            let after = || {
                reader.skip(2)?;
                let len = reader.be16()?;
                reader.skip(usize::from(len))?;
                Some(reader.rest())
            };
            match { after }().map(frame) {
                Some(smb @ Seen::Smb { .. }) => smb,
                _ => seen,
            }
        }
        Seen::Other if stream.mid_stream && on_port && stream.count() <= MAX_MESSAGES => {
            match frame(stream.last()) {
                smb @ Seen::Smb { .. } => smb,
                _ => Seen::Short,
            }
        }
        _ => seen,
    }
}

/// Judges the frame at the front of `bytes`.
fn frame(bytes: &[u8]) -> Seen {
    let mut reader = Reader::new(bytes);
    let Some(kind) = reader.u8() else {
        return Seen::Short;
    };
    match kind {
        SESSION_MESSAGE => {
            let Some(len) = reader.be24() else {
                return Seen::Short;
            };
            // The shortest message is SMB 1's header with two empty blocks.
            if len < 35 {
                return Seen::Other;
            }
            smb(reader)
        }
        SESSION_REQUEST => {
            // Flags, a length, two encoded names: each 32 letters A to P, perhaps a scope.
            let (Some(flags), Some(len)) = (reader.u8(), reader.be16()) else {
                return Seen::Short;
            };
            if flags > 1 || !(68..=510).contains(&len) {
                return Seen::Other;
            }
            let Some(name) = reader.take(34) else {
                return Seen::Short;
            };
            match name {
                [32, letters @ .., _] if letters.iter().all(|l| (b'A'..=b'P').contains(l)) => {
                    Seen::SessionRequest
                }
                _ => Seen::Other,
            }
        }
        // A granted session has no body; SMB follows.
        POSITIVE_RESPONSE => match bytes {
            [_, 0, 0, 0, rest @ ..] => frame_after_grant(rest),
            _ if bytes.len() < 4 => Seen::Short,
            _ => Seen::Other,
        },
        _ => Seen::Other,
    }
}

fn frame_after_grant(rest: &[u8]) -> Seen {
    match rest.first() {
        None => Seen::Short,
        Some(&SESSION_MESSAGE) => frame(rest),
        Some(_) => Seen::Other,
    }
}

/// Judges an SMB header: four octets of its own, and a flag that tells request from answer.
fn smb(mut reader: Reader<'_>) -> Seen {
    let Some(magic) = reader.array::<4>() else {
        let magics: [&[u8]; 4] = [b"\xffSMB", b"\xfeSMB", b"\xfdSMB", b"\xfcSMB"];
        return match magics.iter().any(|magic| magic.starts_with(reader.rest())) {
            true => Seen::Short,
            false => Seen::Other,
        };
    };
    match magic {
        // SMB 1: command, status, then flags, whose highest bit marks an answer.
        b"\xffSMB" => match reader.rest().get(5) {
            Some(flags) => Seen::Smb {
                answer: Some(flags & 0x80 != 0),
            },
            None => Seen::Short,
        },
        // SMB 2 and 3: the structure's size is 64; bit 0 of the flags at 16 marks an answer.
        b"\xfeSMB" => match (reader.le16(), reader.rest().get(10)) {
            (Some(64), Some(flags)) => Seen::Smb {
                answer: Some(flags & 1 != 0),
            },
            (Some(64) | None, None) => Seen::Short,
            _ => Seen::Other,
        },
        // Sealed or compressed: nothing tells the sides apart, the opener is the client.
        b"\xfdSMB" | b"\xfcSMB" => Seen::Smb { answer: None },
        _ => Seen::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const SMB1: &str = "00 00 00 2f ff 53 4d 42 72 00 00 00 00 18 53 c8 00*35";
    const SMB2: &str =
        "00 00 00 40 fe 53 4d 42 40 00 00 00 00 00 00 00 00 00 1f 00 00 00 00 00 00*40";

    fn session_request() -> Vec<u8> {
        hex("81 00 00 44 20 43*32 00 20 44*32 00")
    }

    fn recognised() -> Vec<(&'static str, Trial, Proto, bool)> {
        let answer =
            hex("00 00 00 40 fe 53 4d 42 40 00 00 00 00 00 00 00 00 00 01 00 01 00 00 00 00*40");
        vec![
            (
                "SMB 1",
                Trial::tcp(445).client(hex(SMB1)),
                Proto::SMB,
                false,
            ),
            (
                "SMB 2",
                Trial::tcp(8445).client(hex(SMB2)),
                Proto::SMB,
                false,
            ),
            (
                "answer from the client's side",
                Trial::tcp(445).client(answer.clone()),
                Proto::SMB,
                true,
            ),
            (
                "session",
                Trial::tcp(139).client(session_request()),
                Proto::NETBIOS_SSN,
                false,
            ),
            (
                "session, then SMB",
                Trial::tcp(139)
                    .client(session_request())
                    .server(hex("82 00 00 00"))
                    .client(hex(SMB1)),
                Proto::SMB,
                false,
            ),
            (
                "middle of a transfer",
                Trial::tcp(445)
                    .mid_stream()
                    .server(hex("aa*20"))
                    .server(answer),
                Proto::SMB,
                false,
            ),
        ]
    }

    #[test]
    fn frames_are_recognised() {
        for (what, trial, proto, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(proto), swapped),
                "{what}"
            );
        }
        Trial::tcp(445).client(hex(SMB2)).same_by_octets(dissect);
    }

    #[test]
    fn other_frames_are_not() {
        for (what, bytes) in [
            ("too short", hex("00 00 00 04 fe 53 4d 42")),
            (
                "another size",
                hex("00 00 00 40 fe 53 4d 42 41 00 00 00 00 00 00 00 00 00 1f 00 00"),
            ),
            ("another magic", hex("00 00 00 40 fe 53 4d 43")),
            ("no encoded name", hex("81 00 00 44 20 61*33")),
            ("length too long", hex("81 00 ff ff 20 43*33")),
            ("text", b"GET / HTTP/1.1".to_vec()),
        ] {
            assert_eq!(
                Trial::tcp(445).client(bytes).ask(dissect).0,
                Outcome::NotMine,
                "{what}"
            );
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised()
            .into_iter()
            .map(|(_, trial, ..)| trial)
            .collect();
        withstands(dissect, &seeds);
    }
}
