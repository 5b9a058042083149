//! OICQ, the protocol of QQ, and MSF, the framing of its mobile clients ("mobile service
//! framework"). Neither is published; this is what public clients of them write.
//!
//! An OICQ packet is `02`, version, command, sequence (two octets each), the account's number in
//! four, encrypted content and `03`; over TCP its length in two octets goes before it. An MSF
//! frame is a length in four octets (counting itself), a protocol version, how it is encrypted,
//! a session ticket or a sequence number, a zero and the account's number in digits.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::wire::reader::Reader;

/// Where OICQ servers listen for datagrams.
const PORT: u16 = 8000;

const START: u8 = 0x02;
const END: u8 = 0x03;

/// How many datagrams are compared with one another.
const MAX_MESSAGES: usize = 8;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let outcome = match opening.transport {
        Transport::Udp => datagrams(opening),
        Transport::Tcp => streams(opening),
        Transport::Other(_) => Outcome::NotMine,
    };
    if outcome == Outcome::Done {
        facts.proto = Some(Proto::OICQ);
        facts.swapped = opening.client_port == PORT && opening.server_port != PORT;
    }
    outcome
}

/// The fields at the front of an OICQ packet.
#[derive(Clone, Copy)]
struct Packet {
    version: u16,
    command: u16,
    sequence: u16,
    account: u32,
}

impl Packet {
    /// Reads a whole packet.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&END, rest) = bytes.split_last()? else {
            return None;
        };
        let mut reader = Reader::new(rest);
        if reader.u8()? != START {
            return None;
        }
        let packet = Self {
            version: reader.be16()?,
            command: reader.be16()?,
            sequence: reader.be16()?,
            account: reader.be32()?,
        };
        // Clients from 2003 to the last one of this protocol called themselves 0a1d to 3bxx;
        // commands have stayed below 0900.
        let plausible = (0x0a00..0x4000).contains(&packet.version) && packet.command < 0x0900;
        plausible.then_some(packet)
    }

    /// Whether it names an account: the lowest number ever given is 10000.
    const fn has_account(self) -> bool {
        self.account >= 10_000
    }

    fn answers(self, request: Self) -> bool {
        (self.command, self.sequence) == (request.command, request.sequence)
    }

    fn continues(self, other: Self) -> bool {
        self.has_account() && (self.version, self.account) == (other.version, other.account)
    }
}

fn datagrams(opening: &Opening<'_>) -> Outcome {
    let Some(newest) = Packet::read(opening.newest()) else {
        return Outcome::NotMine;
    };
    if opening.has_port(PORT) && newest.has_account() {
        return Outcome::Done;
    }
    let earlier = |side: Side| {
        let stream = opening.stream(side);
        let skip = usize::from(side == opening.latest);
        stream
            .messages()
            .rev()
            .skip(skip)
            .take(MAX_MESSAGES)
            .filter_map(Packet::read)
    };
    let agrees = earlier(!opening.latest).any(|other| newest.answers(other))
        || earlier(opening.latest).any(|other| newest.continues(other));
    let seen = opening.client.count() + opening.server.count();
    match agrees {
        true => Outcome::Done,
        false if seen < MAX_MESSAGES => Outcome::NeedMore,
        false => Outcome::NotMine,
    }
}

fn streams(opening: &Opening<'_>) -> Outcome {
    let mut outcome = Outcome::NotMine;
    for stream in [opening.client, opening.server] {
        match framed_packet(stream) {
            Outcome::NotMine => {}
            Outcome::NeedMore => outcome = Outcome::NeedMore,
            sure => return sure,
        }
        match msf(stream.bytes) {
            Some(true) => return Outcome::Done,
            None if stream.is_empty() => {}
            None => outcome = Outcome::NeedMore,
            Some(false) => {}
        }
    }
    outcome
}

/// Judges a stream as one packet with its length before it.
fn framed_packet(stream: Stream<'_>) -> Outcome {
    let mut reader = Reader::new(stream.bytes);
    let (Some(len), Some(start)) = (reader.be16(), reader.u8()) else {
        return Outcome::NotMine; // no message of one or two octets is sent
    };
    if start != START || !(14..4096).contains(&len) {
        return Outcome::NotMine;
    }
    let Some(packet) = stream.bytes.get(2..usize::from(len)) else {
        return Outcome::NeedMore;
    };
    let alone = stream.ends.binary_search(&u32::from(len)).is_ok();
    match Packet::read(packet) {
        Some(packet) if alone && packet.has_account() => Outcome::Done,
        _ => Outcome::NotMine,
    }
}

/// Whether `bytes` begin with an MSF frame; `None` if there are too few to tell.
fn msf(bytes: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    // The length's first octet is zero in all but the largest uploads, which are not first.
    if *bytes.first()? != 0 {
        return Some(false);
    }
    let len = reader.be32()?;
    let version = reader.be32()?;
    if !(0x0a..=0x0d).contains(&version) || !(20..0x10_0000).contains(&len) {
        return Some(false);
    }
    if reader.u8()? > 2 {
        return Some(false);
    }
    // Servers write the zero and the account here at once.
    let mut answer = reader;
    let answered = account(&mut answer);
    if answered == Some(true) {
        return Some(true);
    }
    // Clients: versions 0a and 0c carry the ticket (its length counts itself), 0b and 0d a
    // sequence number.
    let number = reader.be32()?;
    if matches!(version, 0x0a | 0x0c) {
        if !(4..1024).contains(&number) {
            return Some(false);
        }
        reader.skip(number as usize - 4)?;
    }
    match (answered, account(&mut reader)) {
        (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

/// Whether a zero and an account's number follow: a length that counts itself, and digits, or `0`
/// before login.
fn account(reader: &mut Reader<'_>) -> Option<bool> {
    if reader.u8()? != 0 {
        return Some(false);
    }
    let len = reader.be32()?;
    if !(5..=16).contains(&len) {
        return Some(false);
    }
    let digits = reader.take(len as usize - 4)?;
    Some(digits == b"0" || digits.len() >= 5 && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const LOGIN: &str = "02 36 49 00 22 4d 21 01 5e 0f 03 7a*40 03";

    fn trials() -> Vec<(&'static str, Trial)> {
        vec![
            (
                "one to the server's port",
                Trial::udp(PORT).client(hex(LOGIN)),
            ),
            (
                "answer elsewhere",
                Trial::udp(4000)
                    .client(hex("02 36 49 00 22 4d 21 00 00 00 00 7a*40 03"))
                    .server(hex("02 36 49 00 22 4d 21 11 22 33 44 5b*9 03")),
            ),
            (
                "two of one account",
                Trial::udp(443)
                    .client(hex(LOGIN))
                    .client(hex("02 36 49 00 02 4d 22 01 5e 0f 03 03 03")),
            ),
            (
                "length before it",
                Trial::tcp(443).client(hex("00 36 02 36 49 00 22 4d 21 01 5e 0f 03 7a*40 03")),
            ),
            (
                "MSF with a ticket",
                Trial::tcp(8080).client(hex(
                    "00 00 01 f0 00 00 00 0a 01 00 00 00 14 6c*16 00 00 00 00 0c \
                     31 32 33 34 35 36 37 38 99*60",
                )),
            ),
            (
                "MSF before login, with a sequence number",
                Trial::tcp(443).client(hex(
                    "00 00 01 f0 00 00 00 0d 02 00 01 5f 10 00 00 00 00 05 30 99*60",
                )),
            ),
            (
                "MSF from the server",
                Trial::tcp(14000).mid_stream().server(hex(
                    "00 00 00 80 00 00 00 0b 01 00 00 00 00 09 31 32 33 34 35 88*4",
                )),
            ),
        ]
    }

    #[test]
    fn packets_and_frames_are_recognised() {
        for (what, trial) in trials() {
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::OICQ), "{what}");
            assert!(!facts.swapped, "{what}");
        }
        let turned = Trial::udp(50_000).client_port(PORT).client(hex(LOGIN));
        assert!(turned.facts(dissect).swapped);
        Trial::udp(PORT)
            .client(hex(LOGIN))
            .refused_when_cut(dissect);
    }

    #[test]
    fn near_misses_are_not() {
        for (what, trial) in [
            ("elsewhere, alone", Trial::udp(9999).client(hex(LOGIN))),
            (
                "no such version",
                Trial::udp(PORT).client(hex("02 ff 49 00 22 00 01 01*4 03")),
            ),
            (
                "no such command",
                Trial::udp(PORT).client(hex("02 36 49 ff 22 00 01 01*4 03")),
            ),
            (
                "no account",
                Trial::udp(PORT).client(hex("02 36 49 00 22 00 01 00*4 03")),
            ),
            (
                "another's answer",
                Trial::udp(53)
                    .client(hex("02 36 49 00 22 4d 21 01 5e 0f 03 03"))
                    .server(hex("02 36 49 00 22 4d 22 11 22 33 44 03")),
            ),
            (
                "length too short",
                Trial::tcp(443).client(hex("00 0d 02 36 49 00 22 4d 21 01*4 03")),
            ),
            (
                "length runs on",
                Trial::tcp(443).client(hex("00 0e 02 36 49 00 22 4d 21 01*4 03 03")),
            ),
            (
                "MSF whose account is no number",
                Trial::tcp(8080).client(hex(
                    "00 00 01 f0 00 00 00 0b 01 00 01 5f 10 00 00 00 00 09 41 42 43 44 45",
                )),
            ),
            (
                "MSF with a ticket of gigabytes",
                Trial::tcp(8080)
                    .client(hex("00 00 01 f0 00 00 00 0a 01 ff ff ff ff 00 00 00 00 05")),
            ),
        ] {
            let (outcome, facts) = trial.ask(dissect);
            assert!(
                !matches!(outcome, Outcome::Done | Outcome::Partial) && facts.proto.is_none(),
                "{what}"
            );
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = trials().into_iter().map(|(_, trial)| trial).collect();
        withstands(dissect, &seeds);
    }
}
