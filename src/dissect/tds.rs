//! TDS of Microsoft SQL Server ([MS-TDS]): the exchange of PRELOGIN messages, and the TLS that
//! shakes hands inside packets of the same type (section 3.2.5.1).
//!
//! All else of the protocol is told by the rules of `signatures/protocol/mssql-tds.toml`.

use super::inside::Framing;
use super::{Facts, Inside, Outcome};
use crate::app::Proto;
use crate::flow::Opening;
use crate::wire::reader::Reader;

/// Packet types (section 2.2.3.1.1). The server answers PRELOGIN with a response, later with
/// PRELOGIN as well.
const PRELOGIN: u8 = 0x12;
const RESPONSE: u8 = 0x04;

/// The type of TLS's records in a handshake.
const HANDSHAKE: u8 = 22;

/// Type, status, length, process, number, window (section 2.2.3.1).
const HEADER: usize = 8;

/// Packets unpacked: a handshake has a handful.
const MAX_PACKETS: usize = 32;

/// Options of PRELOGIN (section 2.2.6.5).
const VERSION: u8 = 0;
const ENCRYPTION: u8 = 1;
const TERMINATOR: u8 = 0xff;
const MAX_OPTIONS: usize = 16;

/// Encryption is not supported.
const NOT_SUPPORTED: u8 = 2;

/// A PRELOGIN message at the front.
struct Message {
    encryption: Option<u8>,
    len: usize,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let swapped = opening.server.bytes.first() == Some(&PRELOGIN)
        && opening.client.bytes.first() != Some(&PRELOGIN);
    let (client, server) = match swapped {
        true => (opening.server.bytes, opening.client.bytes),
        false => (opening.client.bytes, opening.server.bytes),
    };
    let asked = match message(client, PRELOGIN) {
        None => {
            // The server has nothing to say before.
            return match server.is_empty() {
                true => Outcome::NeedMore,
                false => Outcome::NotMine,
            };
        }
        Some(None) => return Outcome::NotMine,
        Some(Some(asked)) => asked,
    };
    facts.proto = Some(Proto::MSSQL_TDS);
    facts.swapped = swapped;
    let behind = client.get(asked.len..).unwrap_or_default();
    if behind.first().is_some_and(|&kind| kind != PRELOGIN) {
        return Outcome::Done; // The login, in clear.
    }
    let inside =
        |server| Outcome::Wraps(Inside::plain(Some(asked.len), server).framed(Framing::Tds));
    match message(server, RESPONSE) {
        None => inside(None),
        Some(None) => Outcome::Done,
        Some(Some(answer)) if answer.encryption == Some(NOT_SUPPORTED) => Outcome::Done,
        Some(Some(answer)) => inside(Some(answer.len)),
    }
}

/// Gives `each` what is inside the packets of a handshake, and what follows them. A record of TLS
/// has a type of its own, so it is no such packet.
pub(super) fn unpack(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    let mut reader = Reader::new(bytes);
    for _ in 0..MAX_PACKETS {
        if reader.is_empty() {
            return;
        }
        let mut packet = reader;
        let mut header = || {
            let (kind, _, len) = (packet.u8()?, packet.u8()?, packet.be16()?);
            packet.skip(4)?;
            Some((kind, usize::from(len)))
        };
        let header = header();
        let hello = packet.rest().first() == Some(&HANDSHAKE);
        match header {
            // Some servers go on as they have answered.
            Some((kind, len))
                if len > HEADER && (kind == PRELOGIN || kind == RESPONSE && hello) =>
            {
                let len = (len - HEADER).min(packet.left());
                each(packet.take(len).unwrap_or_default());
                reader = packet;
            }
            None if reader.rest().first() == Some(&PRELOGIN) => return, // A cut header.
            _ => {
                each(reader.rest());
                return;
            }
        }
    }
}

/// Reads a PRELOGIN message in a packet of this type: `None` as long as it is not whole,
/// `Some(None)` if it is none.
fn message(bytes: &[u8], kind: u8) -> Option<Option<Message>> {
    let mut reader = Reader::new(bytes);
    // Status: the last packet of its message.
    if reader.u8()? != kind || reader.u8()? != 1 {
        return Some(None);
    }
    let len = usize::from(reader.be16()?);
    reader.skip(4)?;
    if !(HEADER + 6..=1024).contains(&len) {
        return Some(None);
    }
    let content = reader.take(len - HEADER)?;
    Some(encryption(content).map(|encryption| Message { encryption, len }))
}

/// The value of the option ENCRYPTION in a table of options that is as it must be.
fn encryption(content: &[u8]) -> Option<Option<u8>> {
    let mut reader = Reader::new(content);
    let mut encryption = None;
    for number in 0..MAX_OPTIONS {
        let token = reader.u8()?;
        if token == TERMINATOR {
            return (number > 0).then_some(encryption);
        }
        let (offset, len) = (usize::from(reader.be16()?), usize::from(reader.be16()?));
        // The version comes first, in six octets.
        if (number == 0) != (token == VERSION) || number == 0 && len != 6 {
            return None;
        }
        let value = content.get(offset..offset + len)?;
        if token == ENCRYPTION {
            encryption = value.first().copied();
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::*;

    const ASKS: &str = "12 01 00 1a 00 00 01 00 00 00 0b 00 06 01 00 11 00 01 ff \
        10 00 07 d0 00 00 00";
    const ANSWERS: &str = "04 01 00 1a 00 00 01 00 00 00 0b 00 06 01 00 11 00 01 ff \
        0f 00 07 d0 00 00 01";

    fn asks() -> Trial {
        Trial::tcp(1433).client(hex(ASKS))
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packet = vec![PRELOGIN, 1, 0, (HEADER + bytes.len()) as u8, 0, 0, 0, 0];
        packet.extend(bytes);
        packet
    }

    #[test]
    fn tls_follows_in_packets() {
        let behind = |server| Outcome::Wraps(Inside::plain(Some(26), server).framed(Framing::Tds));
        let hello = packed(&hex(CLIENT_HELLO));
        let not = ANSWERS.replacen("d0 00 00 01", "d0 00 00 02", 1);
        for (what, trial, outcome) in [
            ("asked", asks(), behind(None)),
            ("answered", asks().server(hex(ANSWERS)), behind(Some(26))),
            (
                "begun",
                asks().server(hex(ANSWERS)).client(&hello),
                behind(Some(26)),
            ),
            ("one-sided", asks().client(&hello), behind(None)),
            ("not supported", asks().server(hex(&not)), Outcome::Done),
            (
                "other answer",
                asks().server(hex("04 01 00 0e 00*4 fd 00*5")),
                Outcome::Done,
            ),
            ("a login", asks().client(hex("10 01 00 80")), Outcome::Done),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
            assert_eq!(trial.facts(dissect).proto, Some(Proto::MSSQL_TDS), "{what}");
        }
        let trial = asks().server(hex(ANSWERS)).client(&hello);
        trial.same_by_octets(dissect);
        assert!(trial.clone().turned().facts(dissect).swapped);
        asks().refused_below(26, dissect);
    }

    #[test]
    fn packets_are_unpacked() {
        let whole = [packed(b"ab"), packed(b"cd"), b"\x17\x03\x03rest".to_vec()].concat();
        for (end, unpacked) in [
            (whole.len(), &b"abcd\x17\x03\x03rest"[..]),
            (20, b"abcd"),
            (19, b"abc"),
            (18, b"ab"),
            (11, b"ab"),
            (9, b"a"),
            (4, b""),
            (0, b""),
        ] {
            let mut found: Vec<u8> = Vec::new();
            unpack(&whole[..end], |part| found.extend(part));
            assert_eq!(found, unpacked, "{end}");
        }
        let mut response = packed(b"\x16ab");
        response[0] = RESPONSE;
        unpack(&response, |part| assert_eq!(part, b"\x16ab"));
        let mut found = 0;
        unpack(&packed(b"x").repeat(100), |_| found += 1);
        assert_eq!(found, MAX_PACKETS);
        unpack(&hex("12 01 00 08 00*4 41"), |part| {
            assert_eq!(part.len(), 9)
        });
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, text) in [
            ("length", ASKS.replacen("00 1a", "00 1c", 1)),
            ("status", ASKS.replacen("12 01", "12 00", 1)),
            ("first option", ASKS.replacen("00 00 0b", "02 00 0b", 1)),
            ("its length", ASKS.replacen("0b 00 06", "0b 00 05", 1)),
            ("offset", ASKS.replacen("00 11 00 01", "00 12 00 01", 1)),
            ("no end", ASKS.replacen("00 01 ff", "00 01 04", 1)),
            ("nothing", "12 01 00 0e 00*4 ff 00*5".into()),
        ] {
            let trial = Trial::tcp(1433).client(hex(&text));
            let sure = trial.ask(dissect).0.is_sure();
            assert!(!sure, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let hello = packed(&hex(CLIENT_HELLO));
        withstands(dissect, &[asks().server(hex(ANSWERS)).client(hello)]);
    }
}
