//! IKE versions 1 and 2 (RFC 2408, RFC 7296) on any port, behind the non-ESP marker on port 4500
//! (RFC 3948), in TCP (RFC 9329), and ESP in UDP.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::wire::reader::Reader;

const PORT: u16 = 500;
/// Where UDP encapsulation is spoken.
const NAT_PORT: u16 = 4500;

/// Four zero octets where ESP has its SPI (RFC 3948 section 2.2).
const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// The single octet that keeps a mapping alive (RFC 3948 section 2.3).
const KEEP_ALIVE: [u8; 1] = [0xff];
/// What a TCP stream begins with (RFC 9329 section 4).
const TCP_PREFIX: [u8; 6] = *b"IKETCP";

const HEADER: u32 = 28;

/// How many datagrams of one SPI have to continue one another.
const ESP_MESSAGES: usize = 3;
/// How many datagrams are looked at.
const MAX_MESSAGES: usize = 12;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Message {
    /// It begins an exchange: no responder yet.
    first: bool,
    /// It is from who answers, where the header says so.
    answer: Option<bool>,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if opening.transport == Transport::Tcp {
        return stream(opening, facts);
    }
    let newest = opening.newest();
    let found = match newest.strip_prefix(&NON_ESP_MARKER) {
        Some(behind) => message(behind),
        None => message(newest),
    };
    if let Some(message) = found {
        facts.proto = Some(Proto::IKE);
        facts.swapped = match message.answer {
            Some(answer) => answer == (opening.latest == Side::Client),
            None => message.first && opening.latest == Side::Server,
        };
        return Outcome::Done;
    }
    let few = opening.client.count() + opening.server.count() < MAX_MESSAGES;
    if !opening.has_port(NAT_PORT) {
        // A broken first message does not make port 500 another protocol's.
        return match opening.has_port(PORT) && few && newest.len() >= HEADER as usize {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    }
    match esp(opening.stream(opening.latest)) {
        Outcome::Done => {
            facts.proto = Some(Proto::ESP);
            facts.swapped = false;
            Outcome::Done
        }
        _ if few => Outcome::NeedMore,
        _ => Outcome::NotMine,
    }
}

/// Reads a header whose length is that of `bytes` and whose fields agree.
fn message(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader::new(bytes);
    let initiator = reader.be64()?;
    let responder = reader.be64()?;
    let payload = reader.u8()?;
    let version = reader.u8()?;
    let exchange = reader.u8()?;
    let flags = reader.u8()?;
    let identifier = reader.be32()?;
    let len = reader.be32()?;
    if initiator == 0 || u32::try_from(bytes.len()) != Ok(len) || len < HEADER {
        return None;
    }
    let first = responder == 0;
    match version {
        // Exchanges of RFC 2408 section 3.1 and RFC 2409 appendix A; flags are encryption, commit
        // and authentication only.
        0x10 => {
            let known = matches!(exchange, 1..=6 | 32 | 33);
            let plausible = known && flags & !7 == 0 && !(24..130).contains(&payload);
            // Only phase 1 and what goes wrong in it have no responder, and no identifier.
            let begins = !first || matches!((exchange, payload), (1 | 2 | 4, 1) | (5, 11));
            let phase_1 = matches!(exchange, 1 | 2 | 4);
            (plausible && begins && (!phase_1 || identifier == 0)).then_some(Message {
                first,
                answer: None,
            })
        }
        // Exchanges 34 to 44 as IANA has them; flags are response, version and initiator.
        0x20 => {
            let known =
                matches!(exchange, 34..=44) && (payload == 0 || (33..=60).contains(&payload));
            let begins = !first || matches!(exchange, 34 | 38) && identifier == 0;
            let answer = flags & 0x20 != 0;
            let original_initiator = flags & 0x08 != 0;
            (known && flags & !0x38 == 0 && begins).then_some(Message {
                first,
                // Of the first exchange both flags are sure; later either side may ask.
                answer: (answer != original_initiator).then_some(answer),
            })
        }
        _ => None,
    }
}

/// Judges the last datagrams of one side as ESP (RFC 4303 section 2): an SPI that stays and a
/// sequence number that rises.
fn esp(stream: Stream<'_>) -> Outcome {
    let mut later: Option<(u32, u32)> = None;
    let mut counted = 0;
    for bytes in stream.messages().rev().take(ESP_MESSAGES + 2) {
        if *bytes == KEEP_ALIVE {
            continue;
        }
        let mut reader = Reader::new(bytes);
        let (Some(spi), Some(sequence)) = (reader.be32(), reader.be32()) else {
            return Outcome::NotMine;
        };
        // SPIs up to 255 are reserved; a block and a digest follow.
        if spi < 256 || sequence == 0 || reader.left() < 20 || bytes.len() % 4 != 0 {
            return Outcome::NotMine;
        }
        if let Some((same, after)) = later
            && (same != spi || !(1..256).contains(&after.wrapping_sub(sequence)))
        {
            return Outcome::NotMine;
        }
        later = Some((spi, sequence));
        counted += 1;
    }
    match counted >= ESP_MESSAGES {
        true => Outcome::Done,
        false => Outcome::NeedMore,
    }
}

/// Judges a TCP stream: the prefix, then messages with their length in two octets.
fn stream(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    for side in [Side::Client, Side::Server] {
        let bytes = opening.stream(side).bytes;
        if bytes.is_empty() || !bytes.iter().zip(&TCP_PREFIX).all(|(a, b)| a == b) {
            continue;
        }
        if bytes.len() < TCP_PREFIX.len() {
            return Outcome::NeedMore;
        }
        facts.proto = Some(Proto::IKE);
        facts.swapped = side == Side::Server;
        return Outcome::Done;
    }
    let client = opening.client;
    if !client.mid_stream {
        return Outcome::NotMine;
    }
    // Without the prefix: length, marker and a message must agree.
    for stream in [opening.client, opening.server] {
        let mut reader = Reader::new(stream.bytes);
        let found = || {
            let len = reader.be16()?;
            let whole = reader.take(usize::from(len).checked_sub(2)?)?;
            message(whole.strip_prefix(&NON_ESP_MARKER)?)
        };
        if { found }().is_some() {
            facts.proto = Some(Proto::IKE);
            facts.swapped = false;
            return Outcome::Done;
        }
    }
    Outcome::NotMine
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const INIT_V2: &str = "a1*8 00*8 21 20 22 08 00*4 00 00 00 20 de*4";
    const ANSWER_V2: &str = "a1*8 b2*8 21 20 22 20 00*4 00 00 00 20 de*4";
    const MAIN_V1: &str = "a1*8 00*8 01 10 02 00 00*4 00 00 00 20 de*4";
    const QUICK_V1: &str = "a1*8 b2*8 08 10 20 01 1b 2c 3d 4e 00 00 00 20 de*4";

    fn esp_packet(sequence: u8) -> Vec<u8> {
        hex(&format!("c0 01 02 03 00 00 00 {sequence:02x} de*32"))
    }

    fn recognised() -> Vec<(&'static str, Trial, Proto, bool)> {
        let marked = |text: &str| hex(&format!("00*4 {text}"));
        let nat = || Trial::udp(NAT_PORT);
        vec![
            (
                "version 2",
                Trial::udp(500).client(hex(INIT_V2)),
                Proto::IKE,
                false,
            ),
            (
                "version 2, answer first",
                Trial::udp(500).client(hex(ANSWER_V2)),
                Proto::IKE,
                true,
            ),
            (
                "version 1",
                Trial::udp(848).client(hex(MAIN_V1)),
                Proto::IKE,
                false,
            ),
            (
                "version 1, phase 2",
                Trial::udp(500).client(hex(QUICK_V1)),
                Proto::IKE,
                false,
            ),
            ("marker", nat().client(marked(INIT_V2)), Proto::IKE, false),
            (
                "ESP",
                nat()
                    .client(esp_packet(1))
                    .client(esp_packet(2))
                    .client(KEEP_ALIVE)
                    .client(esp_packet(4)),
                Proto::ESP,
                false,
            ),
            (
                "TCP",
                Trial::tcp(NAT_PORT)
                    .client(hex(&format!("49 4b 45 54 43 50 00 26 00*4 {INIT_V2}"))),
                Proto::IKE,
                false,
            ),
            (
                "TCP in the middle",
                Trial::tcp(NAT_PORT)
                    .mid_stream()
                    .client(hex(&format!("00 26 00*4 {QUICK_V1}"))),
                Proto::IKE,
                false,
            ),
        ]
    }

    #[test]
    fn messages_are_recognised() {
        for (what, trial, proto, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(proto), swapped),
                "{what}"
            );
        }
        Trial::udp(500)
            .client(hex(INIT_V2))
            .refused_when_cut(dissect);
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, port, text) in [
            ("initiator zero", 500, INIT_V2.replacen("a1*8", "00*8", 1)),
            ("length", 500, INIT_V2.replace("00 20 de", "00 21 de")),
            ("version 3", 500, INIT_V2.replace("21 20", "21 30")),
            ("exchange", 500, INIT_V2.replace("22 08", "10 08")),
            ("flags", 500, INIT_V2.replace("22 08", "22 48")),
            (
                "later exchange without responder",
                500,
                INIT_V2.replace("22 08", "25 08"),
            ),
            (
                "version 1 flags",
                500,
                MAIN_V1.replace("02 00 00*4", "02 08 00*4"),
            ),
            (
                "reserved SPI",
                NAT_PORT,
                "00 00 00 ff 00 00 00 01 de*32".into(),
            ),
            (
                "sequence zero",
                NAT_PORT,
                "c0 00 00 ff 00 00 00 00 de*32".into(),
            ),
        ] {
            let trial = Trial::udp(port).client(hex(&text));
            assert_eq!(trial.ask(dissect).1, Facts::default(), "{what}");
            trial.refused(dissect);
        }
        let two = Trial::udp(NAT_PORT)
            .client(esp_packet(1))
            .client(esp_packet(2));
        two.refused(dissect);
        two.client(esp_packet(2)).refused(dissect);
        assert_eq!(
            Trial::tcp(NAT_PORT).client(b"IKEA").ask(dissect).0,
            Outcome::NotMine
        );
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
