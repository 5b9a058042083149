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

const PORTS: [u16; 2] = [1883, 8883];

/// How many bits packets of a flow seen from its middle must fix, and what a registered port adds.
const ENOUGH: u32 = 48;
const PORT_BITS: u32 = 20;

/// What is fixed by a packet's end being a segment's.
const EXACT: u32 = 8;

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
                let mqtt = facts.mqtt.get_or_insert_default();
                mqtt.client_id = dialogue::text(connect.client_id);
                mqtt.user_name = connect.user_name.and_then(dialogue::text);
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

/// Judges a flow whose beginning was not captured: a keep-alive and its answer, whole packets in a
/// row from both sides, or packets that fix enough by themselves.
fn middle(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if !opening.client.mid_stream && !opening.server.mid_stream {
        return Outcome::NotMine;
    }
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    let (Some(from_client), Some(from_server)) = (packets(client), packets(server)) else {
        return Outcome::NotMine;
    };
    let pings = client.starts_with(&PINGREQ) && server.starts_with(&PINGRESP)
        || client.starts_with(&PINGRESP) && server.starts_with(&PINGREQ);
    let many = from_client.count > 0
        && from_server.count > 0
        && from_client.count + from_server.count >= MIN_PACKETS;
    let port = if PORTS.iter().any(|&port| opening.has_port(port)) {
        PORT_BITS
    } else {
        0
    };
    let exact = if from_client.exact || from_server.exact {
        EXACT
    } else {
        0
    };
    let bits = from_client.bits + from_server.bits + exact;
    if !pings && !many && (bits < PORT_BITS || bits + port < ENOUGH) {
        return Outcome::NeedMore;
    }
    facts.proto = Some(Proto::MQTT);
    facts.swapped = from_client.answers
        || server.starts_with(&PINGREQ)
        || !from_server.answers
            && PORTS.contains(&opening.client_port)
            && !PORTS.contains(&opening.server_port);
    Outcome::Done
}

/// Whole packets in a row.
#[derive(Default)]
struct Run {
    count: usize,
    /// How many bits of them are fixed.
    bits: u32,
    /// There is one that only servers send.
    answers: bool,
    /// The last one ends where the bytes do.
    exact: bool,
}

/// The whole packets at the front of `bytes`, the first few. `None` if one of them cannot be
/// (section 3).
fn packets(bytes: &[u8]) -> Option<Run> {
    let mut reader = Reader::new(bytes);
    let mut run = Run::default();
    while run.count < MIN_PACKETS && !reader.is_empty() {
        let first = reader.u8()?;
        let left = reader.left();
        let Some(len) = variable(&mut reader) else {
            return (left < 4).then_some(run);
        };
        let whole = reader.left() >= len as usize;
        let body = reader.rest().get(..len as usize);
        let bits = plausible(first, len, body.unwrap_or_else(|| reader.rest()), whole)?;
        if reader.skip(len as usize).is_none() {
            break;
        }
        run.count += 1;
        run.bits += bits;
        run.answers |= matches!(first, 0x20 | 0x90 | 0xb0 | 0xd0);
    }
    run.exact = run.count > 0 && reader.is_empty();
    Some(run)
}

/// How many bits a packet fixes; `None` if it cannot be one.
fn plausible(first: u8, len: u32, bytes: &[u8], whole: bool) -> Option<u32> {
    let mut body = Reader::new(bytes);
    let fits = |fits: bool, bits: u32| fits.then_some(bits);
    match first {
        // CONNACK: a flag, a reason, from 5.0 on properties that fill the rest.
        CONNACK => {
            let (Some(session), Some(reason)) = (body.u8(), body.u8()) else {
                return fits(len >= 2 && !whole, 8);
            };
            if session > 1 {
                return None;
            }
            if len == 2 {
                return fits(reason <= 5, 30);
            }
            match variable(&mut body) {
                Some(properties) if whole => {
                    fits(properties as usize == body.left(), 30)?;
                    Some(30 + are_properties(body)?)
                }
                _ => fits(!whole, 8),
            }
        }
        // PUBLISH: any quality of service but 3, then a topic without wildcards.
        0x30..=0x3f => {
            let topic_len = body.be16().map_or(0, usize::from);
            let topic = body.rest().get(..topic_len).unwrap_or_else(|| body.rest());
            let text = |b: &u8| *b >= 0x20 && !matches!(b, b'#' | b'+');
            let common = topic.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
            let known = if common {
                topic.len().min(18) as u32
            } else {
                0
            };
            fits(
                first & 6 != 6 && topic_len + 2 <= len as usize && topic.iter().all(text),
                if topic_len > 3 {
                    13 + known + known / 2
                } else {
                    5
                },
            )
        }
        // PUBACK, PUBREC, PUBREL, PUBCOMP: an identifier, in 5.0 a reason and properties.
        0x40 | 0x50 | 0x62 | 0x70 => {
            let agree = bytes.get(3).is_none_or(|&n| u32::from(n) + 4 == len);
            fits(matches!(len, 2 | 3) || (4..128).contains(&len) && agree, 8)
        }
        // UNSUBACK: the same, or a reason for each topic.
        0xb0 => fits((2..128).contains(&len), 8),
        // SUBSCRIBE, SUBACK, UNSUBSCRIBE.
        0x82 | 0xa2 => fits((5..4096).contains(&len), 8),
        0x90 => fits((3..128).contains(&len), 8),
        // PINGREQ and PINGRESP.
        0xc0 | 0xd0 => fits(len == 0, 16),
        _ => None,
    }
}

/// The bits that properties of a CONNACK fix (5.0, section 2.2.2); `None` if they are none.
fn are_properties(mut reader: Reader<'_>) -> Option<u32> {
    let mut bits = 0;
    while let Some(kind) = reader.u8() {
        match kind {
            0x11 | 0x27 => reader.skip(4)?,
            0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => {
                let len = reader.be16()?;
                reader.skip(usize::from(len))?;
            }
            0x26 => {
                for _ in 0..2 {
                    let len = reader.be16()?;
                    reader.skip(usize::from(len))?;
                }
            }
            0x13 | 0x21 | 0x22 => reader.skip(2)?,
            0x24 | 0x25 | 0x28..=0x2a => fit_flag(reader.u8()?)?,
            _ => return None,
        }
        bits += 6;
    }
    Some(bits)
}

fn fit_flag(value: u8) -> Option<()> {
    (value <= 1).then_some(())
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
                assert_eq!(
                    facts.mqtt.as_ref().unwrap().client_id.as_deref(),
                    client_id,
                    "{what}"
                );
                assert_eq!(
                    facts.mqtt.as_ref().unwrap().user_name.as_deref(),
                    user,
                    "{what}"
                );
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
    fn one_packet_that_fixes_enough_is_enough_in_the_middle() {
        // CONNACK with properties; a long topic on another port; a short one on the registered port.
        let connack = "20 0f 00 00 0c 22 00 0a 12 00 06 61 75 74 6f 2d 31";
        let publish =
            "30 1a 00 16 68 6f 6d 65 2f 6b 69 74 63 68 65 6e 2f 74 65 6d 70 65 72 61 74 75 32 31";
        let short = "30 0b 00 05 68 6f 6d 65 2f 32 31 2e 35";
        for (port, bytes, answers) in [
            (40_000, connack, true),
            (40_000, publish, false),
            (1883, short, false),
        ] {
            let bytes = hex(bytes);
            let sent = Trial::tcp(port).mid_stream().server(&bytes);
            assert_eq!(sent.facts(dissect).proto, Some(Proto::MQTT));
            let turned = Trial::tcp(40_001)
                .client_port(port)
                .mid_stream()
                .client(&bytes);
            assert_eq!(turned.facts(dissect).swapped, answers || port == 1883);
            Trial::tcp(port).server(&bytes).refused(dissect);
        }
        for (port, bytes) in [
            (40_000, short),
            (1883, "30 0b 00 05 68 6f 6d 65 2f 32 31 2e"),
            (1883, "20 0f 00 00 0d 22 00 0a 12 00 06 61 75 74 6f 2d 31"),
            (1883, "20 0f 00 00 0c 02 00 0a 12 00 06 61 75 74 6f 2d 31"),
            (1883, "20 0f 02 00 0c 22 00 0a 12 00 06 61 75 74 6f 2d 31"),
        ] {
            Trial::tcp(port)
                .mid_stream()
                .server(hex(bytes))
                .refused(dissect);
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
