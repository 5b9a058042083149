//! OpenVPN over UDP and TCP (draft-openvpn-wire-protocol): the reset that starts a session, its
//! answer, and the data channel in the middle of one.
//!
//! A packet starts with an opcode in five bits, a key number in three and the sender's session.
//! What follows depends on `tls-auth` and `tls-crypt`, which each leave something that agrees:
//! zero counters, the replay protection's first number and time, or the session sent back.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};
use crate::wire::reader::Reader;

/// Opcodes (section "Opcodes" of the draft), shifted, with key number zero.
const RESET_CLIENT_V2: u8 = 7 << 3;
const RESET_SERVER_V2: u8 = 8 << 3;
const RESET_CLIENT_V3: u8 = 10 << 3;
/// The data channel's, any key number.
const DATA_V2: u8 = 9 << 3;

/// Opcode and session.
const START: usize = 1 + 8;
/// Number of acknowledgements (none) and packet number (zero), which end a client's reset.
const RESET_END: [u8; 5] = [0; 5];
/// The replay protection's number and time.
const REPLAY: usize = 8;
/// What `tls-crypt` authenticates with.
const CRYPT_TAG: usize = 32;
/// Digests of `tls-auth`: MD5, SHA-1, SHA-256, SHA-384, SHA-512 and what is as long.
const DIGESTS: [usize; 6] = [16, 20, 28, 32, 48, 64];

/// A client's reset under `tls-crypt`, and a server's: the latter acknowledges the former.
const CRYPT_CLIENT: usize = START + REPLAY + CRYPT_TAG + 5;
const CRYPT_SERVER: usize = CRYPT_CLIENT + 4 + 8;

/// How many datagrams of the data channel have to continue one another.
const DATA_MESSAGES: usize = 4;
/// How many datagrams are looked at.
const MAX_MESSAGES: usize = 12;

/// What one side's first packet is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Other,
    Short,
    /// A reset by its opcode only.
    Reset,
    /// A reset that agrees with itself.
    ProvedReset,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    for (client, swapped) in [(Side::Client, false), (Side::Server, true)] {
        if opening.stream(client).is_empty() {
            continue;
        }
        let asked = reset(packet(opening, client));
        let outcome = match asked {
            Seen::Other => continue,
            Seen::Short => Outcome::NeedMore,
            Seen::ProvedReset => Outcome::Done,
            Seen::Reset => answered(packet(opening, client), packet(opening, !client)),
        };
        if outcome == Outcome::Done {
            facts.proto = Some(Proto::OPENVPN);
            facts.swapped = swapped;
        }
        return outcome;
    }
    let outcome = match opening.transport {
        Transport::Udp => data_channel(opening),
        _ => Outcome::NotMine,
    };
    if outcome == Outcome::Done {
        facts.proto = Some(Proto::OPENVPN);
        facts.swapped = false;
    }
    outcome
}

/// The first packet of `side`, `None` while it is not whole. Over TCP its length in two octets
/// goes before it.
fn packet<'a>(opening: &Opening<'a>, side: Side) -> Option<&'a [u8]> {
    let stream = opening.stream(side);
    match opening.transport {
        Transport::Tcp => {
            let mut reader = Reader::new(stream.bytes);
            let len = usize::from(reader.be16()?);
            // A length that no reset has is given away as another opcode.
            let first = *reader.rest().first()?;
            if !matches!(first, RESET_CLIENT_V2 | RESET_CLIENT_V3 | RESET_SERVER_V2)
                || !(14..1500).contains(&len)
            {
                return Some(&[0]);
            }
            reader.take(len)
        }
        _ => (!stream.is_empty()).then(|| stream.first()),
    }
}

/// Judges a packet as a client's reset.
fn reset(packet: Option<&[u8]>) -> Seen {
    let Some(packet) = packet else {
        return Seen::Short;
    };
    let mut reader = Reader::new(packet);
    let (Some(opcode), Some(&session)) = (reader.u8(), reader.array::<8>()) else {
        return Seen::Other;
    };
    if !matches!(opcode, RESET_CLIENT_V2 | RESET_CLIENT_V3) || session == [0; 8] {
        return Seen::Other;
    }
    let len = packet.len();
    if opcode == RESET_CLIENT_V3 {
        // The client's own key follows, wrapped; its length is the last thing in it.
        let wrapped = packet
            .last_chunk::<2>()
            .map(|&len| usize::from(u16::from_be_bytes(len)));
        let rest = wrapped.and_then(|wrapped| len.checked_sub(wrapped));
        let agrees = rest.is_some_and(|rest| (CRYPT_CLIENT..=CRYPT_CLIENT + 16).contains(&rest));
        return match agrees && plausible_time(packet.get(START..)) {
            true => Seen::ProvedReset,
            false => Seen::Other,
        };
    }
    if packet.get(START..) == Some(&RESET_END) {
        return Seen::ProvedReset;
    }
    if len == CRYPT_CLIENT && plausible_time(packet.get(START..)) {
        return Seen::Reset;
    }
    for digest in DIGESTS {
        if len == START + digest + REPLAY + RESET_END.len() && packet.ends_with(&RESET_END) {
            return match plausible_time(packet.get(START + digest..)) {
                true => Seen::ProvedReset,
                false => Seen::Reset,
            };
        }
    }
    match len {
        // Without time stamps `tls-auth` has a number only.
        14..=100 => Seen::Reset,
        _ => Seen::Other,
    }
}

/// Whether the replay protection is at the front: a number that has just begun, and a time since
/// there is OpenVPN.
fn plausible_time(bytes: Option<&[u8]>) -> bool {
    const YEAR_2001: u32 = 0x3a4f_c880;
    const YEAR_2096: u32 = 0xed00_0000;
    let mut reader = Reader::new(bytes.unwrap_or_default());
    // The client repeats its reset a few times. A number of its own marks newer clients.
    let number = reader.be32();
    let began =
        number.is_some_and(|n| (1..=16).contains(&n) || n >> 24 == 0x0f && n & 0xffff <= 16);
    began
        && reader
            .be32()
            .is_some_and(|time| (YEAR_2001..YEAR_2096).contains(&time))
}

/// Judges a server's answer to a reset.
fn answered(asked: Option<&[u8]>, answer: Option<&[u8]>) -> Outcome {
    let (Some(asked), Some(answer)) = (asked, answer) else {
        return Outcome::NeedMore;
    };
    if answer.first() != Some(&RESET_SERVER_V2) {
        return Outcome::NotMine;
    }
    // Before its own packet number the server puts the session it answers.
    let echoed = answer
        .len()
        .checked_sub(12)
        .and_then(|at| answer.get(at..at + 8));
    let echoes = echoed.is_some() && echoed == asked.get(1..START);
    let sealed = asked.len() == CRYPT_CLIENT
        && answer.len() == CRYPT_SERVER
        && plausible_time(answer.get(START..));
    match echoes || sealed {
        true => Outcome::Done,
        false => Outcome::NotMine,
    }
}

/// Judges datagrams of the data channel, which carry a peer's number and a counter.
fn data_channel(opening: &Opening<'_>) -> Outcome {
    let stream = opening.stream(opening.latest);
    let mut counted = 0;
    let mut later: Option<([u8; 4], u32)> = None;
    for bytes in stream.messages().rev().take(DATA_MESSAGES) {
        let Some((&peer, rest)) = bytes.split_first_chunk::<4>() else {
            return Outcome::NotMine;
        };
        let [opcode, _, high, low] = peer;
        let Some(counter) = Reader::new(rest).be32() else {
            return Outcome::NotMine;
        };
        // TURN's channels have numbers in the same range, but a length where the peer's number is.
        let channel = usize::from(u16::from_be_bytes([high, low])) + 4 <= bytes.len()
            && usize::from(u16::from_be_bytes([high, low])) + 8 > bytes.len();
        // Counter and tag at least.
        if opcode & 0xf8 != DATA_V2 || bytes.len() < 24 || counter == 0 || channel {
            return Outcome::NotMine;
        }
        match later {
            Some((same, after))
                if same != peer || !(1..64).contains(&after.wrapping_sub(counter)) =>
            {
                return Outcome::NotMine;
            }
            _ => {}
        }
        later = Some((peer, counter));
        counted += 1;
    }
    match counted == DATA_MESSAGES {
        true => Outcome::Done,
        false if opening.client.count() + opening.server.count() < MAX_MESSAGES => {
            Outcome::NeedMore
        }
        false => Outcome::NotMine,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const SESSION: &str = "c1 c2 c3 c4 c5 c6 c7 c8";
    const REPLAY_NOW: &str = "00 00 00 01 65 00 00 00";

    fn to() -> Trial {
        Trial::udp(1194)
    }

    fn client(rest: &str) -> Vec<u8> {
        hex(&format!("38 {SESSION} {rest}"))
    }

    fn framed(packet: &[u8]) -> Vec<u8> {
        [&(packet.len() as u16).to_be_bytes()[..], packet].concat()
    }

    fn data(counter: u8) -> Vec<u8> {
        hex(&format!("48 00 00 07 00 00 01 {counter:02x} d4*40"))
    }

    fn recognised() -> Vec<(&'static str, Trial)> {
        let answer = hex(&format!("40 51*8 01 00*4 {SESSION} 00*4"));
        let signed = hex(&format!(
            "40 51*8 a7*20 {REPLAY_NOW} 01 00*4 {SESSION} 00*4"
        ));
        vec![
            ("plain", to().client(client("00*5"))),
            (
                "tls-auth",
                to().client(client(&format!("a7*20 {REPLAY_NOW} 00*5"))),
            ),
            (
                "tls-auth without time",
                to().client(client("a7*20 00 00 00 01 00*5")).server(signed),
            ),
            (
                "tls-crypt",
                to().client(client(&format!("{REPLAY_NOW} a7*37")))
                    .server(hex(&format!("40 51*8 {REPLAY_NOW} a7*49"))),
            ),
            (
                "tls-crypt-v2",
                to().client(hex(&format!(
                    "50 {SESSION} 0f 00 00 01 65 00 00 00 a7*37 b8*100 00 66"
                ))),
            ),
            (
                "TCP",
                Trial::tcp(443)
                    .client(framed(&client("00*5")))
                    .server(framed(&answer)),
            ),
            (
                "data",
                to().client(data(1))
                    .client(data(2))
                    .client(data(3))
                    .client(data(5)),
            ),
        ]
    }

    #[test]
    fn sessions_are_recognised() {
        for (what, trial) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::OPENVPN), false),
                "{what}"
            );
        }
        assert!(to().client(client("00*5")).turned().facts(dissect).swapped);
        to().client(client("00*5")).refused_when_cut(dissect);
        Trial::tcp(443)
            .client(framed(&client("00*5")))
            .same_by_octets(dissect);
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        let crypt = client(&format!("{REPLAY_NOW} a7*37"));
        for (what, trial) in [
            ("session zero", to().client(hex("38 00*8 00*5"))),
            ("tls-crypt alone", to().client(crypt.clone())),
            (
                "tls-crypt, other answer",
                to().client(crypt).server(hex("40 51*8 a7*57")),
            ),
            (
                "another session answered",
                to().client(client("a7*20 00 00 00 01 00*5"))
                    .server(hex("40 51*8 01 00*4 99*8 00*4")),
            ),
            (
                "wrapped key of another length",
                to().client(hex(&format!(
                    "50 {SESSION} {REPLAY_NOW} a7*37 b8*100 00 99"
                ))),
            ),
            (
                "TURN channel",
                (0..4_u8).fold(to(), |to, n| {
                    to.client(hex(&format!("48 00 00 2c 80 60 00 {n:02x} d4*40")))
                }),
            ),
            (
                "counter that stands",
                to().client(data(1))
                    .client(data(1))
                    .client(data(1))
                    .client(data(1)),
            ),
            (
                "TCP, lying length",
                Trial::tcp(443).client(hex("00 05 38")).server(b"x"),
            ),
        ] {
            trial.refused(dissect);
            assert_eq!(trial.ask(dissect).1, Facts::default(), "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised().into_iter().map(|(_, trial)| trial).collect();
        withstands(dissect, &seeds);
    }
}
