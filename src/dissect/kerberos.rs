//! Kerberos 5 (RFC 4120): messages in DER, over TCP with their length in four octets before them.

use super::{Facts, Outcome, ber};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};
use crate::wire::reader::Reader;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (bytes, framed) = match opening.transport {
        Transport::Udp => (opening.newest(), false),
        Transport::Tcp => (opening.stream(opening.latest).bytes, true),
        Transport::Other(_) => return Outcome::NotMine,
    };
    match message(bytes, framed) {
        // 30 octets hold all that is looked at.
        None if framed && bytes.len() < 30 && may_be_framed(bytes) => Outcome::NeedMore,
        None => Outcome::NotMine,
        Some(answer) => {
            facts.proto = Some(Proto::KERBEROS);
            facts.swapped = answer == (opening.latest == Side::Client);
            Outcome::Done
        }
    }
}

/// Whether the first octets of a stream may be a length and an application tag.
fn may_be_framed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0)
        && bytes
            .get(4)
            .is_none_or(|tag| matches!(tag, 0x6a..=0x6f | 0x7e))
}

/// Whether the message at the front is one that a server sends.
fn message(bytes: &[u8], framed: bool) -> Option<bool> {
    let mut reader = Reader::new(bytes);
    let expected = match framed {
        // Section 7.2.2: the highest bit is reserved; nothing is that long anyway.
        true => reader.be32().filter(|len| (20..0x10_0000).contains(len))? as usize,
        false => bytes.len(),
    };
    let kind = reader.rest().first()?;
    // The application tag's number is the message type (section 5.10).
    let (message_type, version_tag, answer) = match kind {
        0x6a => (10, 0xa1, false),
        0x6b => (11, 0xa0, true),
        0x6c => (12, 0xa1, false),
        0x6d => (13, 0xa0, true),
        0x6e => (14, 0xa0, false),
        0x6f => (15, 0xa0, true),
        0x7e => (30, 0xa0, true),
        _ => return None,
    };
    let before = reader.left();
    let (_, len) = ber::header(&mut reader)?;
    if before - reader.left() + len != expected {
        return None;
    }
    let (sequence, sequence_len) = ber::header(&mut reader)?;
    if sequence != ber::SEQUENCE || sequence_len >= len {
        return None;
    }
    let version = reader.array::<5>()?;
    let kind = reader.array::<5>()?;
    let agrees = *version == [version_tag, 3, ber::INTEGER, 1, 5]
        && *kind == [version_tag + 1, 3, ber::INTEGER, 1, message_type];
    agrees.then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const AS_REQ: &str = "6a 16 30 14 a1 03 02 01 05 a2 03 02 01 0a a4 08 30 06 a0 04 03 02 00 40";
    const ERROR: &str = "7e 13 30 11 a0 03 02 01 05 a1 03 02 01 1e a4 05 18 03 32 30 33";

    fn framed(text: &str) -> Vec<u8> {
        let message = hex(text);
        [&(message.len() as u32).to_be_bytes()[..], &message].concat()
    }

    fn recognised() -> Vec<(&'static str, Trial, bool)> {
        vec![
            ("datagram", Trial::udp(88).client(hex(AS_REQ)), false),
            ("answer", Trial::udp(88).server(hex(ERROR)), false),
            (
                "answer from the client's side",
                Trial::udp(88).client(hex(ERROR)),
                true,
            ),
            ("stream", Trial::tcp(88).client(framed(AS_REQ)), false),
        ]
    }

    #[test]
    fn messages_are_recognised() {
        for (what, trial, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::KERBEROS), swapped),
                "{what}"
            );
        }
        Trial::udp(88).client(hex(AS_REQ)).refused_when_cut(dissect);
        Trial::tcp(88)
            .client(framed(AS_REQ))
            .same_by_octets(dissect);
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, text) in [
            ("version 4", AS_REQ.replace("01 05", "01 04")),
            ("type of another tag", AS_REQ.replace("01 0a", "01 0c")),
            ("length", AS_REQ.replacen("16", "17", 1)),
            ("sequence too long", AS_REQ.replacen("30 14", "30 20", 1)),
        ] {
            let datagram = Trial::udp(88).client(hex(&text));
            assert_eq!(datagram.ask(dissect).0, Outcome::NotMine, "{what}");
            Trial::tcp(88).client(framed(&text)).refused(dissect);
        }
        assert_eq!(
            Trial::tcp(88).client(b"GET /").ask(dissect).0,
            Outcome::NotMine
        );
    }

    #[test]
    fn withstands_mutations() {
        let seeds: Vec<_> = recognised()
            .into_iter()
            .map(|(_, trial, _)| trial)
            .collect();
        withstands(dissect, &seeds);
    }
}
