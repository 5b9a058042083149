//! NTP (RFC 5905), versions 1 to 4, with its control (RFC 9327) and private messages.
//!
//! Little in a packet is fixed: either a port says it, or an answer that repeats the request's
//! time stamp.

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side};

const PORT: u16 = 123;

/// The fields of a packet with time stamps: all before extensions and authentication.
const HEADER: usize = 48;

const ACTIVE: u8 = 1;
const PASSIVE: u8 = 2;
const CLIENT: u8 = 3;
const SERVER: u8 = 4;
const CONTROL: u8 = 6;
const PRIVATE: u8 = 7;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let newest = opening.newest();
    let Some(mode) = mode(newest) else {
        return Outcome::NotMine;
    };
    let outcome = match opening.has_port(PORT) {
        true => Outcome::Done,
        false if matches!(mode, CONTROL | PRIVATE) => Outcome::NotMine,
        false => elsewhere(opening),
    };
    if outcome == Outcome::Done {
        facts.proto = Some(Proto::NTP);
        facts.swapped = match (opening.latest, mode) {
            (Side::Client, SERVER) | (Side::Server, CLIENT) => true,
            (Side::Client, CLIENT) | (Side::Server, SERVER) => false,
            _ => opening.client_port == PORT && opening.server_port != PORT,
        };
    }
    outcome
}

/// Judges a packet between other ports: the other side's must show the same time stamp.
fn elsewhere(opening: &Opening<'_>) -> Outcome {
    let others = opening.stream(!opening.latest);
    if others.is_empty() {
        return match opening.client.count() + opening.server.count() < 4 {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    }
    // Origin of the answer is Transmit of the request (section 7.3).
    let origin = opening.newest().get(24..32);
    let asked_by = match mode(opening.newest()) {
        Some(SERVER) => CLIENT,
        Some(PASSIVE) => ACTIVE,
        _ => return Outcome::NotMine,
    };
    let answers = others.messages().any(|request| {
        let transmit = request.get(40..48);
        mode(request) == Some(asked_by) && transmit == origin && transmit != Some(&[0; 8])
    });
    match answers {
        true => Outcome::Done,
        false => Outcome::NotMine,
    }
}

/// The mode of a packet whose fields agree with its length.
fn mode(bytes: &[u8]) -> Option<u8> {
    let &[first, second, ..] = bytes.first_chunk::<4>()?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    if !(1..=4).contains(&version) {
        return None;
    }
    let len = bytes.len();
    let agrees = match mode {
        // Extension fields and a digest come in whole words; strata end at 16 (section 7.3).
        1..=5 => {
            (HEADER..=1400).contains(&len)
                && len.is_multiple_of(4)
                && second <= 16
                && is_plausible(bytes)
        }
        // A header of 12 octets with the data's length, then data, perhaps padding and a digest.
        CONTROL => {
            let count = usize::from(u16::from_be_bytes(*bytes.get(10..)?.first_chunk()?));
            let padded = 12 + count.next_multiple_of(4);
            // RFC 9327 section 2 numbers operations to 12, and two more from 30.
            let opcode_known = matches!(second & 0x1f, 0..=12 | 30 | 31);
            opcode_known && len >= 12 + count && len <= padded + 68 && count <= 468
        }
        // ntpd's own: request code, item count and size. Not in version 1.
        PRIVATE => {
            let items = usize::from(u16::from_be_bytes(*bytes.get(4..)?.first_chunk()?) & 0xfff);
            let size = usize::from(u16::from_be_bytes(*bytes.get(6..)?.first_chunk()?) & 0xfff);
            // Two numbers of implementations besides the one for all, requests up to 45.
            let known = matches!(bytes, [_, _, 0 | 2 | 3, 0..=45, ..]);
            version >= 2 && known && len >= 8 && items * size <= 500 && len <= 8 + 500 + 68
        }
        _ => false,
    };
    agrees.then_some(mode)
}

/// Whether poll, precision, root delay and root dispersion are in their ranges (section 7.3): 2^17
/// seconds at most, less than a second, and far less than an hour. Clients may leave them zero; those
/// that tell nothing of themselves, as chrony, say 32 for the precision.
fn is_plausible(bytes: &[u8]) -> bool {
    let Some(&[_, _, poll, precision, delay, _, _, _, dispersion, ..]) = bytes.first_chunk::<12>()
    else {
        return false;
    };
    let small = |high: u8| matches!(high, 0..=3 | 0xff);
    poll <= 17 && matches!(precision, 0 | 0x20 | 0xe0..) && small(delay) && small(dispersion)
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const REQUEST: &str = "23 00 06 ec 00*36 e3 11 22 33 44 55 66 77";
    const ANSWER: &str = "24 02 06 ec 00*12 e3*8 e3 11 22 33 44 55 66 77 e4*16";
    const READ_STATUS: &str = "16 01 00 01 00 00 00 00 00 00 00 00";
    const MONLIST: &str = "17 00 03 2a 00*4";

    fn recognised() -> Vec<(&'static str, Trial, bool)> {
        let own = || Trial::udp(PORT);
        vec![
            ("request", own().client(hex(REQUEST)), false),
            ("answer alone", own().client(hex(ANSWER)), true),
            (
                "digest",
                own().client(hex(&format!("{REQUEST} 00 00 00 01 9a*20"))),
                false,
            ),
            ("control", own().client(hex(READ_STATUS)), false),
            ("private", own().client(hex(MONLIST)), false),
            (
                "symmetric",
                own()
                    .client_port(PORT)
                    .client(hex(&REQUEST.replace("23", "21"))),
                false,
            ),
            (
                "other ports",
                Trial::udp(9123).client(hex(REQUEST)).server(hex(ANSWER)),
                false,
            ),
        ]
    }

    #[test]
    fn packets_are_recognised() {
        for (what, trial, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::NTP), swapped),
                "{what}"
            );
        }
        Trial::udp(PORT)
            .client(hex(REQUEST))
            .refused_when_cut(dissect);
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        let other_time = ANSWER.replace("e3 11", "e3 12");
        for (what, port, bytes, answer) in [
            ("version 0", PORT, REQUEST.replace("23", "03"), ""),
            ("version 5", PORT, REQUEST.replace("23", "2b"), ""),
            ("mode 0", PORT, REQUEST.replace("23", "20"), ""),
            (
                "stratum 17",
                PORT,
                REQUEST.replacen("23 00", "23 11", 1),
                "",
            ),
            ("broken word", PORT, format!("{REQUEST} 00"), ""),
            (
                "control data missing",
                PORT,
                "16 01 00 01 00*6 00 08".into(),
                "",
            ),
            (
                "items beyond a packet",
                PORT,
                "17 00 03 2a 0f ff 0f ff".into(),
                "",
            ),
            (
                "other ports, another time",
                9123,
                REQUEST.into(),
                other_time.as_str(),
            ),
            ("other ports, control", 9123, READ_STATUS.into(), ""),
        ] {
            let trial = Trial::udp(port).client(hex(&bytes)).server(hex(answer));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        Trial::udp(9123).client(hex(REQUEST)).refused(dissect);
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
