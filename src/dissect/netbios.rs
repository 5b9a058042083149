//! NetBIOS over UDP: the name service (RFC 1002 section 4.2) and datagrams (section 4.4).
//!
//! The name service has the form of DNS with names of its own: sixteen octets, each half an
//! octet a letter from A to P. Those letters are the check; the session service over TCP is not
//! read here.

use super::plain::lower;
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side};
use crate::wire::reader::Reader;

const PORT_DNS: u16 = 53;
const PORT_NAMES: u16 = 137;
const PORT_DATAGRAMS: u16 = 138;

/// NB and NBSTAT: the only types with names that may be asked for.
const ASKED: [u16; 2] = [0x20, 0x21];

/// Letters of an encoded name (RFC 1001 section 14.1).
const ENCODED_LEN: usize = 32;

/// Bytes of the header of a name service packet.
const NAME_HEADER_LEN: usize = 12;

/// Bytes in front of the names of a datagram that length field does not count.
const DATAGRAM_HEADER_LEN: usize = 14;

/// Reads the first message of either side.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let side = if opening.client.is_empty() {
        Side::Server
    } else {
        Side::Client
    };
    let message = opening.stream(side).first();
    if opening.has_port(PORT_DATAGRAMS) && is_datagram(message) {
        facts.proto = Some(Proto::NETBIOS_DGM);
        return Outcome::Done;
    }
    // What is sent to a name server is DNS, whatever it asks for.
    if opening.has_port(PORT_DNS) {
        return Outcome::NotMine;
    }
    let Some(packet) = NamePacket::read(message, opening.has_port(PORT_NAMES)) else {
        return Outcome::NotMine;
    };
    facts.proto = Some(Proto::NETBIOS_NS);
    let dns = facts.dns.get_or_insert_default();
    dns.query_name = packet.name;
    dns.query_type = packet.rr_type;
    facts.swapped |= packet.is_response && side == Side::Client;
    Outcome::Done
}

/// What a name service packet asks for or answers.
struct NamePacket {
    is_response: bool,
    name: Option<Box<str>>,
    rr_type: Option<u16>,
}

impl NamePacket {
    /// `usual` says that the port is the service's own: then a broken name is forgiven when the
    /// header adds up, or a broken header when the name is one.
    fn read(message: &[u8], usual: bool) -> Option<Self> {
        let mut reader = Reader::new(message);
        reader.skip(2)?;
        let flags = reader.be16()?;
        let questions = usize::from(reader.be16()?);
        let (answers, authorities) = (usize::from(reader.be16()?), reader.be16()?);
        let records = answers + usize::from(authorities) + usize::from(reader.be16()?);
        // Query, registration, release, wait, refresh (two numbers are in use), multi-homed.
        let known_opcode = matches!((flags >> 11) & 0x0f, 0 | 5..=9 | 15);
        let adds_up = NAME_HEADER_LEN + questions * 5 + records * 11 <= message.len()
            && (1..=64).contains(&(questions + records));
        // RFC 1002 section 4.2: a request has one question and no code of an error; no message has
        // authorities, but the redirections of servers.
        let is_request = flags & 0x8000 == 0;
        let sections = if is_request {
            questions == 1 && answers == 0 && authorities == 0 && flags & 0x0f == 0
        } else {
            questions <= 1
        };
        let name = Encoded::read(&mut reader);
        let rr_type = name.is_some().then(|| reader.be16()).flatten();
        let class = reader.be16();
        let is_name = rr_type.is_some_and(|t| ASKED.contains(&t)) && class == Some(1);
        let sure = if usual {
            known_opcode && adds_up && sections || is_name
        } else {
            let exact = questions == 1 && records == 0 && reader.is_empty();
            known_opcode && is_name && (exact || questions == 0 && records == 1 && adds_up)
        };
        sure.then(|| Self {
            is_response: flags & 0x8000 != 0,
            name: name.and_then(|name| name.text()),
            rr_type,
        })
    }
}

/// Message types direct unique to broadcast, error, and the three of distribution servers.
fn is_datagram(message: &[u8]) -> bool {
    let mut reader = Reader::new(message);
    let Some(&[kind, flags, ..]) = reader.array::<10>() else {
        return false;
    };
    if !(0x10..=0x16).contains(&kind) || flags & 0xf0 != 0 {
        return false;
    }
    match kind {
        0x10..=0x12 => {
            let fits =
                reader.be16().map(usize::from) == message.len().checked_sub(DATAGRAM_HEADER_LEN);
            let offset = reader.be16();
            let mut names = || {
                Encoded::read(&mut reader)?;
                Encoded::read(&mut reader)
            };
            names().is_some() || fits && offset.is_some()
        }
        0x13 => message.len() == 11,
        _ => Encoded::read(&mut reader).is_some(),
    }
}

/// The first label of a name, still in letters.
struct Encoded<'a>(&'a [u8; ENCODED_LEN]);

impl<'a> Encoded<'a> {
    /// A name: the encoded label, then the labels of its scope.
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let mut ahead = *reader;
        if usize::from(ahead.u8()?) != ENCODED_LEN {
            return None;
        }
        let letters = ahead.array::<ENCODED_LEN>()?;
        if !letters
            .iter()
            .all(|letter| letter.is_ascii_uppercase() && *letter <= b'P')
        {
            return None;
        }
        let mut octets = 255;
        loop {
            match ahead.u8()? {
                0 => break,
                len @ 1..=63 => {
                    octets -= 1 + i32::from(len);
                    ahead.skip(usize::from(len))?;
                }
                // A pointer ends the name.
                0xc0.. => break ahead.skip(1)?,
                _ => return None,
            }
            if octets < 0 {
                return None;
            }
        }
        *reader = ahead;
        Some(Self(letters))
    }

    /// The fifteen characters of the name without their padding, lower case; the sixteenth says
    /// what kind of name it is.
    fn text(&self) -> Option<Box<str>> {
        let mut octets = [0; ENCODED_LEN / 2];
        for (octet, pair) in octets.iter_mut().zip(self.0.as_chunks::<2>().0) {
            let [high, low] = pair.map(|letter| letter.wrapping_sub(b'A') & 0x0f);
            *octet = high << 4 | low;
        }
        let [name @ .., _kind] = octets;
        let end = name
            .iter()
            .rposition(|&c| c != 0 && c != b' ')
            .map_or(0, |last| last + 1);
        lower(name.get(..end)?)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::opening::Script;

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = dissect(&script.opening(), &mut facts);
        (outcome, facts)
    }

    fn encode(name: &str, kind: u8) -> Vec<u8> {
        let mut octets = [b' '; 16];
        octets[..name.len()].copy_from_slice(name.as_bytes());
        octets[15] = kind;
        let letters = octets
            .iter()
            .flat_map(|o| [b'A' + (o >> 4), b'A' + (o & 15)]);
        [32].into_iter().chain(letters).chain([0]).collect()
    }

    fn query(name: &str) -> Vec<u8> {
        let header = [0xa7, 0x49, 0x01, 0x10, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], &encode(name, 0), &[0, 0x20, 0, 1]].concat()
    }

    fn response(name: &str) -> Vec<u8> {
        let header = [0xa7, 0x49, 0x85, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        let record = [0, 0x20, 0, 1, 0, 0, 0, 9, 0, 6, 0, 0, 10, 0, 0, 1];
        [&header[..], &encode(name, 0x1b), &record].concat()
    }

    fn datagram(kind: u8) -> Vec<u8> {
        let body = [
            encode("GURU", 0),
            encode("WORKGROUP", 0x1d),
            b"\xffSMB".to_vec(),
        ]
        .concat();
        let mut message = vec![kind, 0x02, 0x12, 0x34, 10, 0, 0, 1, 0, 138];
        message.extend_from_slice(&(body.len() as u16).to_be_bytes());
        [message, vec![0, 0], body].concat()
    }

    #[test]
    fn reads_names() {
        let rows = [
            (query("WORKGROUP"), 137, Some("workgroup"), false),
            (query("PC 1"), 9137, Some("pc 1"), false),
            (response("FRED"), 137, Some("fred"), true),
            (response("FRED"), 9137, Some("fred"), true),
            (
                query("*\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
                137,
                Some("*"),
                false,
            ),
        ];
        for (bytes, port, name, swapped) in rows {
            let (outcome, facts) = run(&Script::udp(port).client(&bytes));
            assert_eq!(
                (outcome, facts.proto),
                (Outcome::Done, Some(Proto::NETBIOS_NS))
            );
            assert_eq!(
                (
                    facts.dns.as_ref().unwrap().query_name.as_deref(),
                    facts.swapped
                ),
                (name, swapped)
            );
            assert_eq!(facts.dns.as_ref().unwrap().query_type, Some(0x20));
        }
        for kind in [0x10, 0x11, 0x12] {
            let (outcome, facts) = run(&Script::udp(138).client(&datagram(kind)));
            assert_eq!(
                (outcome, facts.proto),
                (Outcome::Done, Some(Proto::NETBIOS_DGM))
            );
        }
    }

    #[test]
    fn refuses_what_is_not_netbios() {
        let mut bad_letter = query("FRED");
        bad_letter[13 + 7] = b'Q';
        let mut lying = datagram(0x11);
        lying[11] += 1;
        lying[20] = b'z';
        let rows: &[(&[u8], u16)] = &[
            (&bad_letter, 9137),
            (&query("FRED")[..49], 9137),
            (&datagram(0x11), 9138),
            (&datagram(0x17), 138),
            (&lying, 138),
            (b"\x10\x02", 138),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 137),
            (&query("FRED"), 53),
            (b"", 137),
        ];
        for (bytes, port) in rows {
            let (outcome, facts) = run(&Script::udp(*port).client(bytes));
            assert_eq!(
                (outcome, facts),
                (Outcome::NotMine, Facts::default()),
                "{bytes:02x?}"
            );
        }
        for end in 0..query("FRED").len() {
            let bytes = &query("FRED")[..end];
            assert_eq!(
                run(&Script::udp(9137).client(bytes)).0,
                Outcome::NotMine,
                "{end}"
            );
        }
    }

    proptest! {
        #[test]
        fn survives_anything(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            reply in any::<bool>(),
        ) {
            prop_assert_eq!(run(&Script::udp(9137).client(&bytes)).0, Outcome::NotMine);
            run(&Script::udp(137).client(&bytes));
            run(&Script::udp(138).client(&bytes));
            let mut message = if reply { response("FRED") } else { datagram(0x10) };
            for (at, value) in flips {
                let at = at.index(message.len());
                message[at] = value;
            }
            run(&Script::udp(137).client(&message));
            run(&Script::udp(138).client(&message));
        }
    }
}
