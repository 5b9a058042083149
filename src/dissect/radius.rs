//! RADIUS (RFC 2865, RFC 2866, RFC 5176), over TCP as well (RFC 6613).

use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};
use crate::wire::reader::Reader;

/// Authentication, accounting, the numbers they had before, dynamic authorization.
const PORTS: [u16; 5] = [1812, 1813, 1645, 1646, 3799];

const MAX_LEN: u16 = 4096;

/// Attributes of which there may be several: Filter-Id, Login-IP-Host, Reply-Message, Framed-Route,
/// Class, Vendor-Specific, Proxy-State.
const MANY: [u8; 8] = [11, 14, 15, 18, 22, 25, 26, 33];

/// Attributes that are a number or an IPv4 address (RFC 2865 section 5, RFC 2866 section 5).
const NUMBERS: [u8; 31] = [
    4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 23, 27, 28, 29, 37, 38, 40, 41, 42, 43, 45, 46, 47,
    48, 49, 51, 52, 53, 61,
];

/// A packet whose attributes fill it.
struct Packet {
    code: u8,
    identifier: u8,
    len: u16,
    /// The attributes its code must have are there.
    complete: bool,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let streams = opening.transport == Transport::Tcp;
    let newest = match streams {
        true => opening.stream(opening.latest).bytes,
        false => opening.newest(),
    };
    if streams && cut(newest) {
        return Outcome::NeedMore;
    }
    let whole = |bytes: &[u8]| {
        Packet::read(bytes).filter(|packet| streams || usize::from(packet.len) == bytes.len())
    };
    let Some(packet) = whole(newest).filter(|packet| packet.complete) else {
        return Outcome::NotMine;
    };
    let on_port = PORTS.iter().any(|&port| opening.has_port(port));
    if !on_port {
        // A request and the answer that repeats its identifier.
        let other = match streams {
            true => opening.stream(!opening.latest).bytes,
            false => opening.stream(!opening.latest).last(),
        };
        if other.is_empty() {
            return Outcome::NeedMore;
        }
        match whole(other) {
            Some(other) if packet.answers(&other) || other.answers(&packet) => {}
            _ => return Outcome::NotMine,
        }
    }
    facts.proto = Some(Proto::RADIUS);
    facts.swapped = packet.is_answer() == (opening.latest == Side::Client);
    Outcome::Done
}

/// Whether a stream ends inside what may be its first packet.
fn cut(bytes: &[u8]) -> bool {
    let may_be = |code: &u8| matches!(code, 1..=5 | 11..=13 | 40..=45);
    match bytes {
        [code, _, high, low, ..] if may_be(code) => {
            let len = u16::from_be_bytes([*high, *low]);
            (20..=MAX_LEN).contains(&len) && bytes.len() < usize::from(len)
        }
        [code, ..] => bytes.len() < 4 && may_be(code),
        [] => true,
    }
}

impl Packet {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let code = reader.u8()?;
        if !matches!(code, 1..=5 | 11..=13 | 40..=45) {
            return None;
        }
        let identifier = reader.u8()?;
        let len = reader.be16().filter(|len| (20..=MAX_LEN).contains(len))?;
        reader.skip(16)?;
        let mut attributes = reader.sub(usize::from(len) - 20)?;
        let (mut asks, mut status, mut challenges) = (false, false, false);
        let mut seen = 0u64;
        while !attributes.is_empty() {
            let kind = attributes.u8()?;
            let value_len = attributes.u8()?.checked_sub(2)?;
            attributes.skip(usize::from(value_len))?;
            // RFC 2865 section 5: no attribute is empty, except for the one that begins EAP (RFC
            // 3579 section 2.1). Of most there is one (section 5.44), and none of these in answers.
            let bit = 1u64.checked_shl(u32::from(kind)).unwrap_or_default();
            let is_repeated = seen & bit != 0 && !MANY.contains(&kind);
            let is_secret = matches!(kind, 2 | 3) && matches!(code, 2 | 3 | 5 | 11);
            let fits = match kind {
                0 => false,
                79 => true,
                _ if NUMBERS.contains(&kind) => value_len == 4,
                _ => value_len > 0,
            };
            if !fits || is_repeated || is_secret {
                return None;
            }
            seen |= bit;
            // State, Reply-Message.
            challenges |= matches!(kind, 18 | 24 | 79);
            // User-Name, NAS-IP-Address, NAS-Identifier, NAS-IPv6-Address, EAP-Message.
            asks |= matches!(kind, 1 | 4 | 32 | 95 | 79);
            // Acct-Status-Type, in what RFC 2866 section 4.1 asks of every accounting request.
            status |= kind == 40;
        }
        let complete = match code {
            1 => asks,
            4 => status,
            // A challenge has to carry something.
            11 => challenges,
            _ => true,
        };
        Some(Self {
            code,
            identifier,
            len,
            complete,
        })
    }

    const fn is_answer(&self) -> bool {
        matches!(self.code, 2 | 3 | 5 | 11 | 41 | 42 | 44 | 45)
    }

    fn answers(&self, request: &Self) -> bool {
        let pair = match request.code {
            1 => matches!(self.code, 2 | 3 | 11),
            4 => self.code == 5,
            12 => matches!(self.code, 2 | 5),
            40 => matches!(self.code, 41 | 42),
            43 => matches!(self.code, 44 | 45),
            _ => false,
        };
        pair && self.identifier == request.identifier
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const REQUEST: &str = "01 07 00 20 9a*16 01 06 6e 65 6d 6f 04 06 c0 00 02 01";
    const ACCEPT: &str = "02 07 00 14 8b*16";
    const ACCOUNTING: &str = "04 01 00 1a 00*16 28 06 00 00 00 01";

    fn recognised() -> Vec<(&'static str, Trial, bool)> {
        vec![
            ("request", Trial::udp(1812).client(hex(REQUEST)), false),
            (
                "answer from the client's side",
                Trial::udp(1645).client(hex(ACCEPT)),
                true,
            ),
            (
                "accounting",
                Trial::udp(1813).client(hex(ACCOUNTING)),
                false,
            ),
            (
                "other port",
                Trial::udp(9).client(hex(REQUEST)).server(hex(ACCEPT)),
                false,
            ),
            ("stream", Trial::tcp(1812).client(hex(REQUEST)), false),
        ]
    }

    #[test]
    fn packets_are_recognised() {
        for (what, trial, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::RADIUS), swapped),
                "{what}"
            );
        }
        Trial::udp(1812)
            .client(hex(REQUEST))
            .refused_when_cut(dissect);
        Trial::tcp(1812)
            .client(hex(REQUEST))
            .same_by_octets(dissect);
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, port, bytes, answer) in [
            ("code", 1812, REQUEST.replacen("01", "63", 1), ""),
            ("length", 1812, REQUEST.replacen("20", "21", 1), ""),
            (
                "attribute of one octet",
                1812,
                REQUEST.replace("04 06 c0", "04 01 c0"),
                "",
            ),
            (
                "attribute over the end",
                1812,
                REQUEST.replace("04 06 c0", "04 07 c0"),
                "",
            ),
            ("who asks?", 1812, "01 07 00 16 9a*16 19 02".into(), ""),
            ("no status", 1813, ACCOUNTING.replace("28 06", "29 06"), ""),
            (
                "other port, other answer",
                9,
                REQUEST.into(),
                "02 08 00 14 8b*16",
            ),
        ] {
            let trial = Trial::udp(port).client(hex(&bytes)).server(hex(answer));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        Trial::udp(9).client(hex(REQUEST)).refused(dissect);
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
