//! MQTT 3.1, 3.1.1 and 5.0 (OASIS): the CONNECT packet, or a keep-alive in the middle.

use super::{Facts, Outcome, dialogue};
use crate::app::Proto;
use crate::flow::{Opening, Side};
use crate::wire::reader::Reader;

/// First octets: packet type and its fixed flags (section 2.1).
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PINGREQ: [u8; 2] = [0xc0, 0];
const PINGRESP: [u8; 2] = [0xd0, 0];

/// How many packets in a row make a flow seen from its middle sure.
const MIN_PACKETS: usize = 4;

/// Connect flags (section 3.1.2.3).
const RESERVED: u8 = 0x01;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// What one side's bytes are.
enum Seen<'a> {
    Other,
    Short,
    Connect(Connect<'a>),
}

#[derive(Default)]
struct Connect<'a> {
    client_id: &'a [u8],
    user_name: Option<&'a [u8]>,
    /// All of the packet has come.
    whole: bool,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    for side in [Side::Client, Side::Server] {
        let bytes = opening.stream(side).bytes;
        match look(bytes) {
            Seen::Other if bytes.is_empty() => {}
            Seen::Other if side == Side::Client && answers(bytes) => {}
            Seen::Other => return middle(opening, facts),
            Seen::Short => return Outcome::NeedMore,
            Seen::Connect(connect) => {
                facts.proto = Some(Proto::MQTT);
                facts.swapped = side == Side::Server;
                facts.software = dialogue::text(connect.client_id);
                // Cloud services put the client's software into the user name.
                facts.user_agent = connect.user_name.and_then(dialogue::text);
                return match connect.whole {
                    true => Outcome::Done,
                    false => Outcome::Partial,
                };
            }
        }
    }
    match opening.client.is_empty() && opening.server.is_empty() {
        true => Outcome::NeedMore,
        false => middle(opening, facts),
    }
}

/// Whether a server's CONNACK is at the front: its client may be on the other side.
fn answers(bytes: &[u8]) -> bool {
    bytes.first() == Some(&CONNACK)
}

/// Judges a flow whose beginning was not captured: a keep-alive and its answer, or whole packets
/// in a row from both sides.
fn middle(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if !opening.client.mid_stream && !opening.server.mid_stream {
        return Outcome::NotMine;
    }
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    let (Some(from_client), Some(from_server)) = (packets(client), packets(server)) else {
        return Outcome::NotMine;
    };
    let swapped = client.starts_with(&PINGRESP) || server.starts_with(&PINGREQ);
    let pings = client.starts_with(&PINGREQ) && server.starts_with(&PINGRESP)
        || client.starts_with(&PINGRESP) && server.starts_with(&PINGREQ);
    let many = from_client > 0 && from_server > 0 && from_client + from_server >= MIN_PACKETS;
    if !pings && !many {
        return Outcome::NeedMore;
    }
    facts.proto = Some(Proto::MQTT);
    facts.swapped = swapped;
    Outcome::Done
}

/// How many whole packets are in a row in `bytes`, looking at the first few. `None` if one of them
/// cannot be (section 3).
fn packets(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    let mut count = 0;
    while count < MIN_PACKETS && !reader.is_empty() {
        let first = reader.u8()?;
        let left = reader.left();
        let Some(len) = variable(&mut reader) else {
            return (left < 4).then_some(count);
        };
        let mut body = Reader::new(
            reader
                .rest()
                .get(..len as usize)
                .unwrap_or_else(|| reader.rest()),
        );
        let plausible = match first {
            // PUBLISH: any quality of service but 3, then a topic without wildcards.
            0x30..=0x3f => {
                let topic_len = body.be16().map_or(0, usize::from);
                let topic = body.rest().get(..topic_len).unwrap_or_else(|| body.rest());
                let text = |b: &u8| *b >= 0x20 && !matches!(b, b'#' | b'+');
                first & 6 != 6 && topic_len + 2 <= len as usize && topic.iter().all(text)
            }
            // PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK: an identifier, in 5.0 a little more.
            0x40 | 0x50 | 0x62 | 0x70 | 0xb0 => (2..128).contains(&len),
            // SUBSCRIBE, SUBACK, UNSUBSCRIBE.
            0x82 => (6..4096).contains(&len),
            0x90 => (3..128).contains(&len),
            0xa2 => (5..4096).contains(&len),
            // PINGREQ and PINGRESP.
            0xc0 | 0xd0 => len == 0,
            _ => false,
        };
        if !plausible {
            return None;
        }
        if reader.skip(len as usize).is_none() {
            break;
        }
        count += 1;
    }
    Some(count)
}

fn look(bytes: &[u8]) -> Seen<'_> {
    if bytes.first() != Some(&CONNECT) {
        return Seen::Other;
    }
    let mut reader = Reader::new(bytes);
    let Some((len, protocol)) = header(&mut reader) else {
        return match bytes.len() < 16 {
            true => Seen::Short,
            false => Seen::Other,
        };
    };
    let Some(level) = protocol else {
        return Seen::Other;
    };
    let (Some(flags), Some(_keep_alive)) = (reader.u8(), reader.be16()) else {
        return Seen::Short;
    };
    let will = flags & WILL != 0;
    let bad = flags & RESERVED != 0
        || flags & WILL_QOS == WILL_QOS
        || !will && flags & (WILL_QOS | WILL_RETAIN) != 0
        || level < 5 && flags & PASSWORD != 0 && flags & USER_NAME == 0;
    // What has been read so far counts: the name's length, the name, level, flags, keep-alive.
    let fixed = if level == 3 { 12 } else { 10 };
    if bad || len < fixed + 2 {
        return Seen::Other;
    }
    let body = (len - fixed) as usize;
    let whole = reader.left() >= body;
    let mut payload = Reader::new(reader.rest().get(..body).unwrap_or_else(|| reader.rest()));
    let mut connect = Connect {
        whole,
        ..Connect::default()
    };
    let read = read_payload(&mut payload, level, flags, &mut connect);
    match read.is_none() && whole {
        true => Seen::Other, // a field runs over the packet's end
        false => Seen::Connect(connect),
    }
}

/// Reads the fixed header, the protocol's name and its level: the packet's length, and the level
/// if name and level belong together. `None` if bytes are missing.
fn header(reader: &mut Reader<'_>) -> Option<(u32, Option<u8>)> {
    reader.skip(1)?;
    let len = variable(reader)?;
    let name_len = reader.be16()?;
    if !matches!(name_len, 4 | 6) {
        return Some((len, None));
    }
    let name = reader.take(usize::from(name_len))?;
    // Bridges between servers set the highest bit of the level.
    let level = reader.u8()? & 0x7f;
    let agree = matches!((name, level), (b"MQIsdp", 3) | (b"MQTT", 4 | 5));
    Some((len, agree.then_some(level)))
}

/// A variable byte integer (section 1.5.5).
fn variable(reader: &mut Reader<'_>) -> Option<u32> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let octet = reader.u8()?;
        value |= u32::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn read_payload<'a>(
    reader: &mut Reader<'a>,
    level: u8,
    flags: u8,
    connect: &mut Connect<'a>,
) -> Option<()> {
    fn field<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
        let len = reader.be16()?;
        reader.take(usize::from(len))
    }
    fn properties(reader: &mut Reader<'_>, level: u8) -> Option<()> {
        match level {
            5 => {
                let len = variable(reader)?;
                reader.skip(len as usize)
            }
            _ => Some(()),
        }
    }
    properties(reader, level)?;
    connect.client_id = field(reader)?;
    if flags & WILL != 0 {
        properties(reader, level)?;
        field(reader)?;
        field(reader)?;
    }
    if flags & USER_NAME != 0 {
        connect.user_name = Some(field(reader)?);
    }
    if flags & PASSWORD != 0 {
        field(reader)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    fn packet(body: &str) -> Vec<u8> {
        let body = hex(body);
        [&[CONNECT, body.len() as u8], &body[..]].concat()
    }

    fn recognised() -> Vec<(
        &'static str,
        Trial,
        Option<&'static str>,
        Option<&'static str>,
    )> {
        let to = |bytes| Trial::tcp(1883).client(bytes);
        vec![
            (
                "3.1.1 with user and password",
                to(packet(
                    "00 04 4d 51 54 54 04 c2 00 3c 00 02 63 31 00 01 75 00 01 70",
                )),
                Some("c1"),
                Some("u"),
            ),
            (
                "3.1 with a will",
                to(packet(
                    "00 06 4d 51 49 73 64 70 03 04 00 3c 00 01 63 00 01 74 00 01 77",
                )),
                Some("c"),
                None,
            ),
            (
                "5.0 with properties",
                to(packet(
                    "00 04 4d 51 54 54 05 02 00 3c 05 11 00 00 00 0a 00 03 61 62 63",
                )),
                Some("abc"),
                None,
            ),
            (
                "nameless bridge",
                to(packet("00 04 4d 51 54 54 84 02 00 3c 00 00")),
                None,
                None,
            ),
        ]
    }

    #[test]
    fn connect_is_read() {
        for (what, trial, client_id, user) in recognised() {
            trial.same_by_octets(dissect);
            for (trial, swapped) in [(trial.clone(), false), (trial.turned(), true)] {
                assert_eq!(trial.ask(dissect).0, Outcome::Done, "{what}");
                let facts = trial.facts(dissect);
                assert_eq!(facts.proto, Some(Proto::MQTT), "{what}");
                assert_eq!(facts.software.as_deref(), client_id, "{what}");
                assert_eq!(facts.user_agent.as_deref(), user, "{what}");
                assert_eq!(facts.swapped, swapped, "{what}");
            }
        }
    }

    #[test]
    fn keep_alive_is_enough_in_the_middle() {
        let pings = Trial::tcp(1883).client(PINGREQ).server(PINGRESP);
        pings.refused(dissect);
        assert_eq!(pings.mid_stream().facts(dissect).proto, Some(Proto::MQTT));
    }

    #[test]
    fn packets_in_a_row_are_enough_in_the_middle() {
        // PUBLISH with quality of service 1, its PUBACK.
        let (publish, acknowledgement) = (hex("32 07 00 01 74 00 02 68 69"), hex("40 02 00 02"));
        let twice = Trial::tcp(1883)
            .mid_stream()
            .server(&publish)
            .client(&acknowledgement)
            .server(&publish);
        twice.refused(dissect);
        twice.client(&acknowledgement).facts(dissect);
        for (what, bytes) in [
            ("quality 3", "36 07 00 01 74 00 02 68 69"),
            ("topic over the end", "32 07 00 09 74 00 02 68 69"),
            ("wildcard", "32 07 00 01 23 00 02 68 69"),
            ("no such packet", "f1 00"),
            ("keep-alive with a body", "c0 01 00"),
        ] {
            let trial = Trial::tcp(1883).mid_stream().client(hex(bytes));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, body) in [
            ("reserved flag", "00 04 4d 51 54 54 04 03 00 3c 00 02 63 31"),
            (
                "QoS 3",
                "00 04 4d 51 54 54 04 1c 00 3c 00 02 63 31 00 00 00 00",
            ),
            (
                "QoS without will",
                "00 04 4d 51 54 54 04 08 00 3c 00 02 63 31",
            ),
            (
                "password without user",
                "00 04 4d 51 54 54 04 42 00 3c 00 02 63 31 00 01 70",
            ),
            (
                "name of another level",
                "00 04 4d 51 54 54 03 02 00 3c 00 02 63 31",
            ),
            (
                "identifier over the end",
                "00 04 4d 51 54 54 04 02 00 3c 00 09 63 31",
            ),
            ("too short", "00 04 4d 51 54 54 04 02 00 3c"),
            ("another name", "00 04 48 54 54 50 04 02 00 3c 00 02 63 31"),
        ] {
            let trial = Trial::tcp(1883).client(packet(body));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        let endless =
            Trial::tcp(1883).client(hex("10 ff ff ff ff ff 00 04 4d 51 54 54 04 02 00 3c"));
        assert_eq!(endless.ask(dissect).0, Outcome::NotMine);
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
