//! SNMP versions 1, 2c and 3 (RFC 1157, RFC 3416, RFC 3412): whole messages in BER.

use super::{Facts, Outcome, ber};
use crate::app::Proto;
use crate::flow::{Opening, Side};
use crate::wire::reader::Reader;

const GET_RESPONSE: u8 = 0xa2;
const TRAP_V1: u8 = 0xa4;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let Some(pdu) = message(opening.newest()) else {
        return Outcome::NotMine;
    };
    facts.proto = Some(Proto::SNMP);
    facts.swapped = (opening.latest == Side::Client) == (pdu == Some(GET_RESPONSE))
        && pdu.is_some_and(|pdu| matches!(pdu, 0xa0..=0xa3 | 0xa5));
    Outcome::Done
}

/// The type of the PDU in a message that is nothing but one; `Some(None)` where it is sealed.
fn message(bytes: &[u8]) -> Option<Option<u8>> {
    if bytes.first() != Some(&ber::SEQUENCE) {
        return None;
    }
    let mut datagram = Reader::new(bytes);
    let mut reader = Reader::new(ber::content(&mut datagram, ber::SEQUENCE)?);
    if !datagram.is_empty() {
        return None;
    }
    let version = ber::unsigned(&mut reader, ber::INTEGER)?;
    match version {
        0 | 1 => {
            ber::content(&mut reader, ber::OCTET_STRING)?;
            let (pdu, content) = ber::element(&mut reader)?;
            let known = match version {
                0 => matches!(pdu, 0xa0..=0xa4),
                _ => matches!(pdu, 0xa0..=0xa3 | 0xa5..=0xa8),
            };
            // A request identifier, or in version 1's traps the enterprise.
            let first = match pdu {
                TRAP_V1 => ber::OBJECT_IDENTIFIER,
                _ => ber::INTEGER,
            };
            let agrees = known && reader.is_empty() && content.first() == Some(&first);
            agrees.then_some(Some(pdu))
        }
        3 => {
            let mut header = Reader::new(ber::content(&mut reader, ber::SEQUENCE)?);
            ber::unsigned(&mut header, ber::INTEGER)?;
            let max_size = ber::unsigned(&mut header, ber::INTEGER)?;
            let flags = ber::content(&mut header, ber::OCTET_STRING)?;
            ber::unsigned(&mut header, ber::INTEGER)?;
            ber::content(&mut reader, ber::OCTET_STRING)?;
            let (data, _) = ber::element(&mut reader)?;
            // RFC 3412 section 6: the least maximum is 484; data is a scoped PDU or its sealing.
            let agrees = max_size >= 484
                && flags.len() == 1
                && header.is_empty()
                && reader.is_empty()
                && matches!(data, ber::SEQUENCE | ber::OCTET_STRING);
            agrees.then_some(None)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const GET: &str = "30 26 02 01 01 04 06 70 75 62 6c 69 63 a0 19 02 01 01 02 01 00 02 01 00 \
        30 0e 30 0c 06 08 2b 06 01 02 01 01 01 00 05 00";
    const TRAP: &str =
        "30 19 02 01 00 04 06 70 75 62 6c 69 63 a4 0c 06 03 2b 06 01 40 04 c0 00 02 01 05";
    const V3: &str = "30 23 02 01 03 30 0d 02 01 05 02 02 05 dc 04 01 04 02 01 03 04 02 30 00 \
        30 0b 04 00 04 00 a0 05 02 01 00 02 00";

    fn recognised() -> Vec<(&'static str, Trial, bool)> {
        let response = hex(GET)
            .iter()
            .map(|&b| if b == 0xa0 { 0xa2 } else { b })
            .collect::<Vec<_>>();
        vec![
            ("get", Trial::udp(161).client(hex(GET)), false),
            (
                "get from the server's side",
                Trial::udp(161).server(hex(GET)),
                true,
            ),
            (
                "response from the client's side",
                Trial::udp(9).client(response),
                true,
            ),
            ("trap", Trial::udp(162).client(hex(TRAP)), false),
            ("version 3", Trial::udp(161).client(hex(V3)), false),
        ]
    }

    #[test]
    fn messages_are_recognised() {
        for (what, trial, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::SNMP), swapped),
                "{what}"
            );
            trial.refused_when_cut(dissect);
        }
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, text) in [
            ("trailing octet", format!("{GET} 00")),
            ("version 2", GET.replacen("02 01 01", "02 01 02", 1)),
            (
                "PDU of version 2 in 1",
                GET.replacen("02 01 01", "02 01 00", 1).replace("a0", "a5"),
            ),
            ("PDU too short", GET.replace("a0 19", "a0 18")),
            ("no request identifier", GET.replace("a0 19 02", "a0 19 04")),
            ("maximum too small", V3.replace("05 dc", "00 dc")),
            ("LDAP", "30 0c 02 01 01 60 07 02 01 03 04 00 80 00".into()),
        ] {
            let trial = Trial::udp(161).client(hex(&text));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
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
