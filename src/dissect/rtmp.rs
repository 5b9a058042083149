//! RTMP (Adobe's Real Time Messaging Protocol 1.0): the handshake, and the `connect` command that
//! names application and address.

use super::{Facts, Outcome, dialogue};
use crate::app::Proto;
use crate::flow::Opening;
use crate::wire::reader::Reader;

/// Version of plain RTMP (section 5.2.2), and that of the encrypted one.
const PLAIN: u8 = 3;
const ENCRYPTED: u8 = 6;

/// C0 and C1 (sections 5.2.2 and 5.2.3).
const GREETING: usize = 1 + HANDSHAKE;
const HANDSHAKE: usize = 1536;

/// How much of a `connect` is read.
const MAX_COMMAND: usize = 2048;

const SET_CHUNK_SIZE: u8 = 1;
const COMMAND_AMF3: u8 = 17;
const COMMAND_AMF0: u8 = 20;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (opening.client, opening.server);
    let Some(&version) = client.bytes.first() else {
        return Outcome::NotMine;
    };
    // Without its SYN the stream begins with the greeting only if the command proves it.
    if !matches!(version, PLAIN | ENCRYPTED) || client.mid_stream && version != PLAIN {
        return Outcome::NotMine;
    }
    if client.bytes.len() < GREETING {
        return match server.is_empty() {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    }
    let commands = client.bytes.get(GREETING + HANDSHAKE..);
    let command = commands.and_then(connect);
    if command.is_none() {
        if client.mid_stream {
            let hopeless = commands.is_some_and(|c| c.len() > MAX_COMMAND) || client.ended;
            return match hopeless {
                true => Outcome::NotMine,
                false => Outcome::NeedMore,
            };
        }
        // The client waits for the server's half: its first flight ends with C1.
        if client.ends.binary_search(&(GREETING as u32)).is_err() {
            return Outcome::NotMine;
        }
        match server.bytes.first() {
            None => return Outcome::NeedMore,
            Some(&answer) if answer == version => {}
            Some(_) => return Outcome::NotMine,
        }
        if server.bytes.len() < GREETING {
            return Outcome::NeedMore;
        }
    }
    facts.proto = Some(Proto::RTMP);
    let Some(command) = command else {
        let hopeless = version == ENCRYPTED || commands.is_some_and(|c| c.len() > MAX_COMMAND);
        return match hopeless {
            true => Outcome::Done,
            false => Outcome::Partial,
        };
    };
    Command::read(&command, facts);
    Outcome::Done
}

/// The first command message (sections 5.3 and 7.1.1), put together from its chunks, if it is a
/// whole `connect`.
fn connect(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(bytes);
    let mut chunk_size = 128;
    // Control messages may come first; none of them travels between a message's own chunks.
    for _ in 0..4 {
        let first = reader.u8()?;
        match first & 0x3f {
            0 => reader.skip(1)?,
            1 => reader.skip(2)?,
            _ => {}
        }
        if first >> 6 > 1 {
            return None; // a first message has a full header, or one without stream
        }
        let timestamp = reader.be24()?;
        let len = reader.be24()? as usize;
        let kind = reader.u8()?;
        if first >> 6 == 0 {
            reader.skip(4)?;
        }
        if timestamp == 0xff_ffff {
            reader.skip(4)?;
        }
        if kind == SET_CHUNK_SIZE && len == 4 {
            chunk_size = usize::try_from(reader.be32()?)
                .ok()
                .filter(|&size| size > 0)?;
            continue;
        }
        if !matches!(kind, COMMAND_AMF0 | COMMAND_AMF3) {
            reader.skip(len.min(chunk_size))?;
            continue;
        }
        if !(12..=MAX_COMMAND).contains(&len) {
            return None;
        }
        let start = reader.rest().get(usize::from(kind == COMMAND_AMF3)..)?;
        if !start.starts_with(b"\x02\x00\x07connect") {
            return None;
        }
        let mut message = Vec::with_capacity(len);
        loop {
            message.extend_from_slice(reader.take((len - message.len()).min(chunk_size))?);
            if message.len() == len {
                return Some(message);
            }
            if reader.u8()? >> 6 != 3 {
                return None;
            }
        }
    }
    None
}

/// A `connect` command in AMF 0.
struct Command;

impl Command {
    /// Reads the properties of the command object until one is of no simple type.
    fn read(message: &[u8], facts: &mut Facts) {
        let start = message.iter().position(|&b| b == 2).unwrap_or(0);
        let mut reader = Reader::new(message.get(start..).unwrap_or_default());
        // Name and transaction number, then the object's marker.
        if reader.skip(10 + 9).is_none() || reader.u8() != Some(3) {
            return;
        }
        let rtmp = facts.rtmp.get_or_insert_default();
        while let Some((key, value)) = Self::property(&mut reader) {
            match key {
                b"app" => rtmp.app = dialogue::text(value),
                b"tcUrl" => facts.server_name = dialogue::host_of_uri(value),
                b"flashVer" => rtmp.user_agent = dialogue::text(value),
                b"pageUrl" => rtmp.referer = dialogue::host_of_uri(value),
                _ => {}
            }
        }
    }

    /// A key and its value; the value of what is no string is empty.
    fn property<'a>(reader: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
        let key_len = reader.be16()?;
        let key = reader.take(usize::from(key_len))?;
        let value: &[u8] = match reader.u8()? {
            0 => {
                reader.skip(8)?;
                &[]
            }
            1 => {
                reader.skip(1)?;
                &[]
            }
            2 => {
                let len = reader.be16()?;
                reader.take(usize::from(len))?
            }
            5 | 6 => &[],
            _ => return None,
        };
        Some((key, value))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    fn greeting(version: u8) -> Vec<u8> {
        let mut bytes = vec![version, 0, 0, 0, 1, 0, 0, 0, 0];
        bytes.resize(GREETING, 0x6b);
        bytes
    }

    fn string(text: &str) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn connect_chunks() -> Vec<u8> {
        let mut message = hex("02 00 07 63 6f 6e 6e 65 63 74 00 3f f0 00*6 03");
        for (key, value) in [
            ("app", "live"),
            ("flashVer", "LNX 9,0,124,2"),
            ("tcUrl", "rtmp://Media.Example.com:1935/live"),
            (
                "pageUrl",
                "https://www.example.org/a-page-with-a-long-path-to-fill-two-chunks",
            ),
        ] {
            message.extend([string(key), vec![2], string(value)].concat());
        }
        message.extend(hex("00 00 09"));
        let mut chunks = vec![
            3,
            0,
            0,
            0,
            0,
            0,
            message.len() as u8,
            COMMAND_AMF0,
            0,
            0,
            0,
            0,
        ];
        for (index, part) in message.chunks(128).enumerate() {
            if index > 0 {
                chunks.push(0xc3);
            }
            chunks.extend_from_slice(part);
        }
        chunks
    }

    fn typical() -> Trial {
        Trial::tcp(1935)
            .client(greeting(PLAIN))
            .server(greeting(PLAIN))
            .server([0x6b; HANDSHAKE])
            .client([0x6b; HANDSHAKE])
            .client(connect_chunks())
    }

    #[test]
    fn connect_is_read_from_its_chunks() {
        let with_size = [
            &hex("02 00*3 00 00 04 01 00*4 00 00 10 00")[..],
            &connect_chunks(),
        ]
        .concat();
        // Larger chunks: no header between them.
        let larger: Vec<u8> = {
            let at = with_size.iter().position(|&b| b == 0xc3).unwrap();
            [&with_size[..at], &with_size[at + 1..]].concat()
        };
        let all = [greeting(PLAIN), vec![0; HANDSHAKE], connect_chunks()].concat();
        for trial in [
            typical(),
            Trial::tcp(1935)
                .client(greeting(PLAIN))
                .client([0; HANDSHAKE])
                .client(larger),
            Trial::tcp(443).client(all),
        ] {
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::RTMP));
            assert_eq!(facts.server_name.as_deref(), Some("media.example.com"));
            assert_eq!(facts.rtmp.as_ref().unwrap().app.as_deref(), Some("live"));
            assert_eq!(
                facts.rtmp.as_ref().unwrap().user_agent.as_deref(),
                Some("LNX 9,0,124,2")
            );
            assert_eq!(
                facts.rtmp.as_ref().unwrap().referer.as_deref(),
                Some("www.example.org")
            );
        }
    }

    #[test]
    fn both_halves_of_the_handshake_are_enough() {
        for version in [PLAIN, ENCRYPTED] {
            let half = Trial::tcp(1935).client(greeting(version));
            half.refused(dissect);
            half.server(greeting(version)).facts(dissect);
        }
    }

    #[test]
    fn other_bytes_are_not() {
        let to = || Trial::tcp(1935);
        for (what, trial) in [
            (
                "TPKT",
                to().client(hex("03 00 00 13 0e e0"))
                    .server(hex("03 00 00 13 0e d0")),
            ),
            (
                "answer of another version",
                to().client(greeting(PLAIN)).server([2; GREETING]),
            ),
            ("more at once", to().client([3; GREETING + 5])),
            ("version 4", to().client([4; GREETING])),
        ] {
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds = [typical(), Trial::tcp(1935).client(connect_chunks())];
        withstands(dissect, &seeds);
        withstands(
            |opening, facts| {
                if let Some(command) = connect(opening.client.bytes) {
                    facts.proto = Some(Proto::RTMP);
                    Command::read(&command, facts);
                    return Outcome::Done;
                }
                Outcome::NeedMore
            },
            &[Trial::tcp(1935).client(connect_chunks())],
        );
    }
}
