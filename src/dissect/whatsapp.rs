//! WhatsApp's chat connection: the prologue that starts its Noise handshake, and frames of a
//! three-octet length.
//!
//! The client sends `WA`, the protocol's version and that of the token dictionary; newer clients
//! put routing information before it: `ED`, `00 01`, a length and that many octets. The first
//! frame is a ClientHello in protocol buffers: field 2, holding the ephemeral key as field 1. The
//! prologue often travels apart from the rest, an octet or a few a segment. Public clients of the
//! protocol agree on all of this.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side};
use crate::wire::reader::Reader;

/// Versions of protocol and dictionary that clients have sent; the first is today's. Those
/// before 4 precede Noise and are the same application's.
const VERSIONS: [[u8; 2]; 8] = [
    [6, 3],
    [6, 2],
    [5, 3],
    [5, 2],
    [4, 0],
    [2, 0],
    [1, 5],
    [1, 2],
];

/// What one side's bytes are.
enum Seen {
    Other,
    Short,
    Prologue,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let mut outcome = Outcome::NotMine;
    for side in [Side::Client, Side::Server] {
        match look(opening.stream(side).bytes) {
            Seen::Other => {}
            Seen::Short => outcome = Outcome::NeedMore,
            Seen::Prologue => {
                facts.proto = Some(Proto::WHATSAPP_NOISE);
                facts.swapped = side == Side::Server;
                return Outcome::Done;
            }
        }
    }
    outcome
}

fn look(bytes: &[u8]) -> Seen {
    match bytes {
        [b'E', b'D', rest @ ..] => match rest {
            // Routing information is a few octets: the length's first must be zero.
            [0, 1, 0, 0, len, ..] if *len != 0 => Seen::Prologue,
            [] | [0] | [0, 1] | [0, 1, 0] | [0, 1, 0, 0] => Seen::Short,
            _ => Seen::Other,
        },
        [b'W', b'A', rest @ ..] => prologue(rest),
        [b'E' | b'W'] => Seen::Short,
        _ => Seen::Other,
    }
}

/// Judges what follows `WA`.
fn prologue(bytes: &[u8]) -> Seen {
    let mut reader = Reader::new(bytes);
    let (Some(&version), Some(len)) = (reader.array::<2>(), reader.be24()) else {
        let agrees = |version: &[u8; 2]| bytes.iter().zip(version).all(|(a, b)| a == b);
        // A version may come that is not listed; it is no text at least.
        let plausible = VERSIONS.iter().any(agrees) || bytes.first().is_none_or(|&v| v < 0x10);
        return if plausible { Seen::Short } else { Seen::Other };
    };
    if VERSIONS.contains(&version) {
        // The first frame is a handshake or a stream start: far below 64 KiB.
        return if len > 0 && len < 0x1_0000 {
            Seen::Prologue
        } else {
            Seen::Other
        };
    }
    // Another version: its first frame has to be a ClientHello with a key of 32 octets.
    if !(1..0x10).contains(&version[0]) || !(36..0x1000).contains(&len) {
        return Seen::Other;
    }
    match reader.rest() {
        [0x12, _, 0x0a, 0x20, ..] | [0x12, _, _, 0x0a, 0x20, ..] => Seen::Prologue,
        rest if rest.len() < 5 && rest.first().is_none_or(|&tag| tag == 0x12) => Seen::Short,
        _ => Seen::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const HELLO: &str = "00 00 24 12 22 0a 20 c7*32";

    fn trials() -> Vec<(&'static str, Trial)> {
        let to = || Trial::tcp(443);
        vec![
            (
                "one segment",
                to().client(hex(&format!("57 41 06 03 {HELLO}"))),
            ),
            (
                "prologue apart",
                to().client(b"WA\x06\x03").client(hex(HELLO)),
            ),
            ("old", to().client(hex("57 41 01 05 00 00 13 f8 05 01 a3"))),
            (
                "routing",
                to().client(hex("45 44 00 01 00 00 04 08 0b 08 02 57 41 06 03")),
            ),
            (
                "version to come",
                to().client(hex(&format!("57 41 07 00 {HELLO}"))),
            ),
        ]
    }

    #[test]
    fn prologues_are_recognised() {
        for (what, trial) in trials() {
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::WHATSAPP_NOISE), "{what}");
            assert!(!facts.swapped, "{what}");
            trial.same_by_octets(dissect);
            assert!(trial.turned().facts(dissect).swapped, "{what}");
        }
    }

    #[test]
    fn near_misses_are_not() {
        for (what, bytes) in [
            ("text", b"WAIT\r\n".to_vec()),
            ("text", b"EDIT /x HTTP/1.1\r\n".to_vec()),
            ("no frame", hex("57 41 06 03 00 00 00 00")),
            ("frame of megabytes", hex("57 41 06 03 47 45 54 20")),
            (
                "unlisted version without a hello",
                hex("57 41 08 01 00 00 24 00 11 22 33 44 55"),
            ),
            ("no routing information", hex("45 44 00 01 00 00 00 00")),
        ] {
            let (outcome, _) = Trial::tcp(443).client(bytes).ask(dissect);
            assert_eq!(outcome, Outcome::NotMine, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = trials().into_iter().map(|(_, trial)| trial).collect();
        withstands(dissect, &seeds);
    }
}
