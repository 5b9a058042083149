//! MySQL's and MariaDB's beginning (MySQL internals manual, connection phase): the server greets
//! with Protocol::HandshakeV10, the client answers, perhaps by asking for TLS only.
//!
//! All else of the protocol is told by the rules of `signatures/protocol/mysql.toml`.

use super::{Facts, Inside, Outcome, dialogue};
use crate::app::Proto;
use crate::flow::Opening;
use crate::wire::reader::Reader;

const PROTOCOL: u8 = 10;

/// The capability flag CLIENT_SSL.
const SSL: u32 = 0x0800;

/// Protocol::SSLRequest: flags, size, character set, and room to fill; then its packet's header.
const SSL_REQUEST: usize = 32;
const HEADER: usize = 4;

/// The longest greeting, its plugin's name and a long version included.
const MAX_GREETING: u32 = 512;
const MAX_VERSION: usize = 64;

/// What the client's answer to a greeting is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    Tls,
    Other,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    let swapped = !client.is_empty() && greeting(client).is_some_and(|it| it.is_some());
    let (client, server) = match swapped {
        true => (server, client),
        false => (client, server),
    };
    let greeting = match greeting(server) {
        None if server.is_empty() => {
            // The server's half may not be in the capture: filled up with zeros, the request
            // fixes enough for itself.
            return match answer(client) {
                Answer::Tls => {
                    facts.proto = Some(Proto::MYSQL);
                    Outcome::Wraps(Inside::plain(Some(HEADER + SSL_REQUEST), None))
                }
                Answer::None => Outcome::NeedMore,
                Answer::Other => Outcome::NotMine,
            };
        }
        None => return Outcome::NeedMore,
        Some(None) => return Outcome::NotMine,
        Some(Some(greeting)) => greeting,
    };
    facts.proto = Some(Proto::MYSQL);
    facts.swapped = swapped;
    facts.banner.get_or_insert_default().software = dialogue::text(greeting.version);
    match answer(client) {
        Answer::None => Outcome::Wraps(Inside::LATER),
        Answer::Tls => Outcome::Wraps(Inside::plain(
            Some(HEADER + SSL_REQUEST),
            Some(greeting.len),
        )),
        Answer::Other => Outcome::Done,
    }
}

struct Greeting<'a> {
    version: &'a [u8],
    len: usize,
}

/// Reads the packet at the front: `None` as long as it is not whole, `Some(None)` if it is no
/// greeting.
fn greeting(bytes: &[u8]) -> Option<Option<Greeting<'_>>> {
    let mut reader = Reader::new(bytes);
    let head = |reader: &mut Reader<'_>| {
        let (low, high) = (reader.le16()?, reader.u8()?);
        Some((u32::from(low) | u32::from(high) << 16, reader.u8()?))
    };
    let plausible = |at: usize, is: fn(u8) -> bool| bytes.get(at).is_none_or(|&byte| is(byte));
    if !plausible(2, |byte| byte == 0)
        || !plausible(3, |byte| byte == 0)
        || !plausible(4, |byte| byte == PROTOCOL)
        || !plausible(5, |byte| byte.is_ascii_digit())
    {
        return Some(None);
    }
    let (len, _) = head(&mut reader)?;
    if !(40..=MAX_GREETING).contains(&len) {
        return Some(None);
    }
    let packet = reader.take(len as usize)?;
    Some(version(packet).map(|version| Greeting {
        version,
        len: HEADER + packet.len(),
    }))
}

/// The server's version in the greeting, if what follows it is as it must be.
fn version(packet: &[u8]) -> Option<&[u8]> {
    let text = packet.get(1..)?;
    let end = memchr::memchr(0, text.get(..MAX_VERSION).unwrap_or(text))?;
    let version = text.get(..end)?;
    let graphic = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    // Connection, eight octets of a challenge, and one to fill; then capabilities.
    let filler = text.get(end + 1 + 4 + 8)?;
    text.get(end + 1 + 4 + 8 + 1 + 2)?;
    (version.iter().all(graphic) && *filler == 0).then_some(version)
}

/// What the client begins with, which is the second packet of the exchange.
fn answer(client: &[u8]) -> Answer {
    let expected = [SSL_REQUEST as u8, 0, 0, 1];
    let start = client.get(..HEADER).unwrap_or(client);
    if !expected.starts_with(start) {
        return Answer::Other;
    }
    let Some(body) = client.get(HEADER..HEADER + SSL_REQUEST) else {
        return Answer::None;
    };
    let mut reader = Reader::new(body);
    let flags = reader.le32().unwrap_or_default();
    // Size and character set. MariaDB puts more flags at the end of the room.
    let filled = reader.skip(5).is_some()
        && reader
            .take(19)
            .is_some_and(|room| room.iter().all(|&byte| byte == 0));
    match flags & SSL != 0 && filled {
        true => Answer::Tls,
        false => Answer::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::*;

    const GREETING: &str = "4a 00 00 00 0a 38 2e 30 2e 33 36 00 08 00 00 00 41*8 00 ff ff ff \
        02 00 ff df 15 00*10 42*12 00 63 61 63 68 69 6e 67 5f 73 68 61 32 5f 70 61 73 73 77 6f 72 \
        64 00";
    const REQUEST: &str = "20 00 00 01 05 ae 03 00 00 00 00 01 ff 00*23";

    fn greeted() -> Trial {
        Trial::tcp(3306).server(hex(GREETING))
    }

    #[test]
    fn tls_follows_its_request() {
        let len = hex(GREETING).len();
        let behind = |server| Outcome::Wraps(Inside::plain(Some(36), server));
        let hello = hex(CLIENT_HELLO);
        for (what, trial, outcome) in [
            ("greeted", greeted(), Outcome::Wraps(Inside::LATER)),
            ("asked", greeted().client(hex(REQUEST)), behind(Some(len))),
            (
                "MariaDB's flags",
                greeted().client(hex("20 00 00 01 05 ae 03 00 00 00 00 01 ff 00*19 1d 00*3")),
                behind(Some(len)),
            ),
            (
                "in clear",
                greeted().client(hex("20 00 00 01 05 a6 03 00 00 00 00 01 ff 00*23")),
                Outcome::Done,
            ),
            (
                "a login",
                greeted().client(hex("54 00 00 01 05")),
                Outcome::Done,
            ),
            (
                "one-sided",
                Trial::tcp(3306).client(hex(REQUEST)).client(&hello),
                behind(None),
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
            assert_eq!(trial.facts(dissect).proto, Some(Proto::MYSQL), "{what}");
        }
        let trial = greeted().client(hex(REQUEST)).client(&hello);
        assert_eq!(
            trial.facts(dissect).banner.unwrap().software.as_deref(),
            Some("8.0.36")
        );
        assert!(trial.clone().turned().facts(dissect).swapped);
        trial.same_by_octets(dissect);
        greeted().refused_below(len, dissect);
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, text) in [
            ("protocol", GREETING.replacen("00 0a 38", "00 09 38", 1)),
            (
                "sequence",
                GREETING.replacen("00 00 00 0a", "00 00 01 0a", 1),
            ),
            ("version", GREETING.replacen("0a 38", "0a 58", 1)),
            ("filler", GREETING.replacen("41*8 00", "41*8 01", 1)),
            ("too short", "20 00 00 00 0a 38 2e 00*29".into()),
            ("no end", "40 00 00 00 0a 38*63".into()),
        ] {
            let trial = Trial::tcp(3306).server(hex(&text));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        let seeds = [
            greeted().client(hex(REQUEST)).client(hex(CLIENT_HELLO)),
            Trial::tcp(3306).client(hex(REQUEST)),
        ];
        withstands(dissect, &seeds);
    }
}
