//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): the request names where the client wants to go.

use super::{Facts, Outcome, dialogue, starttls, tls};
use crate::app::Proto;
use crate::flow::Opening;
use crate::wire::reader::Reader;

const VERSION_4: u8 = 4;
const VERSION_5: u8 = 5;

const CONNECT: u8 = 1;
const BIND: u8 = 2;
const UDP_ASSOCIATE: u8 = 3;

/// SOCKS 5 methods (RFC 1928 section 3).
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// Address types (RFC 1928 section 5).
const DOMAIN_NAME: u8 = 3;
const IPV6: u8 = 4;

/// The longest user or name: RFC 1928 gives a name's length one octet.
const MAX_NAME: usize = 255;

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if opening.client.mid_stream || opening.server.mid_stream {
        return Outcome::NotMine;
    }
    match opening.client.bytes.first() {
        Some(&VERSION_4) => version_4(opening, facts),
        Some(&VERSION_5) => version_5(opening, facts),
        _ => Outcome::NotMine,
    }
}

/// Reads what goes through the proxy, from where both sides have finished: mostly TLS.
fn inside(
    opening: &Opening<'_>,
    client: Reader<'_>,
    server: Reader<'_>,
    facts: &mut Facts,
) -> Outcome {
    let client_start = opening.client.bytes.len() - client.left();
    let server_start = opening.server.bytes.len() - server.left();
    let asked_for = facts.server_name.take();
    let outcome = starttls::read_records(
        tls::after(opening.client, client_start),
        tls::after(opening.server, server_start),
        facts,
    );
    // What the client told the proxy is what it wants, whatever the name inside is.
    facts.server_name = asked_for.or_else(|| facts.server_name.take());
    outcome
}

/// A request of eight octets, a user terminated by zero, in 4a a name as well; an answer of eight.
fn version_4(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    let mut reader = Reader::new(client);
    let (Some(_), Some(command), Some(port), Some(&address)) =
        (reader.u8(), reader.u8(), reader.be16(), reader.array::<4>())
    else {
        let plausible = client.get(1).is_none_or(|command| matches!(command, 1 | 2));
        return waiting(plausible && server.is_empty());
    };
    if !matches!(command, CONNECT | BIND) || port == 0 {
        return Outcome::NotMine;
    }
    let Some(_user) = terminated(&mut reader) else {
        return waiting(reader.left() < MAX_NAME && server.is_empty());
    };
    // 4a: an address that cannot be, 0.0.0.x, says that a name follows the user.
    let mut name = None;
    if matches!(address, [0, 0, 0, last] if last != 0) {
        let Some(host) = terminated(&mut reader) else {
            return waiting(reader.left() < MAX_NAME && server.is_empty());
        };
        name = dialogue::host(host);
    }
    // An answer's version is zero; 90 grants, 91 to 93 refuse.
    match server {
        [] | [0] => return Outcome::NeedMore,
        [0, 90..=93, ..] if server.len() >= 8 => {}
        [0, 90..=93, ..] => return Outcome::NeedMore,
        _ => return Outcome::NotMine,
    }
    facts.proto = Some(Proto::SOCKS4);
    facts.server_name = name;
    let behind = Reader::new(server.get(8..).unwrap_or_default());
    inside(opening, reader, behind, facts)
}

/// A greeting that offers methods, the server's choice, perhaps a login, then the request.
/// Whether a client would offer these: numbers that IANA assigned or left to private use, each once.
fn are_methods(methods: &[u8]) -> bool {
    methods.iter().enumerate().all(|(place, method)| {
        let before = methods.get(..place).unwrap_or_default();
        matches!(method, 0..=3 | 5..=9 | 0x80..=0xfe) && !before.contains(method)
    })
}

fn version_5(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    let mut reader = Reader::new(client);
    let (Some(_), Some(count)) = (reader.u8(), reader.u8()) else {
        return waiting(server.is_empty());
    };
    if count == 0 {
        return Outcome::NotMine;
    }
    let Some(methods) = reader.take(usize::from(count)) else {
        return waiting(server.is_empty());
    };
    if !are_methods(methods) {
        return Outcome::NotMine;
    }
    let chosen = match server {
        // The client waits for the choice: nothing follows its greeting until then.
        [] => return waiting(reader.is_empty()),
        [VERSION_5] => return Outcome::NeedMore,
        [VERSION_5, NONE_ACCEPTABLE] => NONE_ACCEPTABLE,
        [VERSION_5, method, ..] if methods.contains(method) => *method,
        _ => return Outcome::NotMine,
    };
    facts.proto = Some(Proto::SOCKS5);
    if chosen == NONE_ACCEPTABLE {
        return Outcome::Done;
    }
    match login(&mut reader, chosen).and_then(|()| request(&mut reader)) {
        None => Outcome::Partial,
        Some(Request::Other) => Outcome::Done,
        Some(Request::To(name)) => {
            facts.server_name = name;
            let mut answer = Reader::new(server);
            match answers(&mut answer, chosen) {
                Some(()) => inside(opening, reader, answer, facts),
                None => Outcome::Partial,
            }
        }
    }
}

/// Passes over the login of RFC 1929, where that was chosen.
fn login(reader: &mut Reader<'_>, method: u8) -> Option<()> {
    if method == USER_PASSWORD {
        reader.skip(1)?;
        let user_len = reader.u8()?;
        reader.skip(usize::from(user_len))?;
        let password_len = reader.u8()?;
        reader.skip(usize::from(password_len))?;
    }
    Some(())
}

enum Request {
    /// What a method seals.
    Other,
    To(Option<Box<str>>),
}

/// Reads the request behind the login (RFC 1928 section 4).
fn request(reader: &mut Reader<'_>) -> Option<Request> {
    let (version, command, reserved) = (reader.u8()?, reader.u8()?, reader.u8()?);
    if (version, reserved) != (VERSION_5, 0) || !matches!(command, CONNECT | BIND | UDP_ASSOCIATE) {
        return Some(Request::Other);
    }
    let name = address(reader)?;
    Some(Request::To(name.and_then(dialogue::host)))
}

/// Passes over the server's choice, the result of a login and the answer to the request.
fn answers(reader: &mut Reader<'_>, method: u8) -> Option<()> {
    reader.skip(2)?;
    if method == USER_PASSWORD {
        reader.skip(2)?;
    }
    reader.skip(3)?;
    address(reader).map(drop)
}

/// Reads an address and a port: the name, where it is one (RFC 1928 section 5).
fn address<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    let name = match reader.u8()? {
        DOMAIN_NAME => {
            let len = reader.u8()?;
            Some(reader.take(usize::from(len))?)
        }
        IPV6 => {
            reader.skip(16)?;
            None
        }
        _ => {
            reader.skip(4)?;
            None
        }
    };
    reader.skip(2)?;
    Some(name)
}

/// What precedes a zero octet.
fn terminated<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let end = memchr::memchr(0, reader.rest())?;
    let text = reader.take(end)?;
    reader.skip(1)?;
    Some(text)
}

const fn waiting(plausible: bool) -> Outcome {
    if plausible {
        Outcome::NeedMore
    } else {
        Outcome::NotMine
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::*;

    fn to() -> Trial {
        Trial::tcp(1080)
    }

    fn recognised() -> Vec<(&'static str, Trial, Proto, Option<&'static str>)> {
        let name = "0b 65 78 61 6d 70 6c 65 2e 63 6f 6d";
        vec![
            (
                "4",
                to().client(hex("04 01 00 50 c0 00 02 01 6d 65 00"))
                    .server(hex("00 5a 00*6")),
                Proto::SOCKS4,
                None,
            ),
            (
                "4a",
                to().client(hex("04 01 01 bb 00 00 00 01 00 61 2e 62 00"))
                    .server(hex("00 5b 00*6")),
                Proto::SOCKS4,
                Some("a.b"),
            ),
            (
                "5 without login",
                to().client(hex("05 01 00"))
                    .server(hex("05 00"))
                    .client(hex(&format!("05 01 00 03 {name} 01 bb"))),
                Proto::SOCKS5,
                Some("example.com"),
            ),
            (
                "5 with login",
                to().client(hex("05 02 00 02"))
                    .server(hex("05 02"))
                    .client(hex("01 01 75 02 70 77"))
                    .server(hex("01 00"))
                    .client(hex(&format!("05 01 00 03 {name} 01 bb"))),
                Proto::SOCKS5,
                Some("example.com"),
            ),
            (
                "5 to an address",
                to().client(hex("05 01 00"))
                    .server(hex("05 00"))
                    .client(hex("05 01 00 01 c0 00 02 01")),
                Proto::SOCKS5,
                None,
            ),
            (
                "5, refused",
                to().client(hex("05 01 80")).server(hex("05 ff")),
                Proto::SOCKS5,
                None,
            ),
        ]
    }

    #[test]
    fn requests_name_the_target() {
        for (what, trial, proto, name) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.server_name.as_deref()),
                (Some(proto), name),
                "{what}"
            );
            trial.same_by_octets(dissect);
            trial.mid_stream().refused(dissect);
        }
    }

    #[test]
    fn tls_inside_names_what_an_address_does_not() {
        let answer = hex("05 00 00 01 00*6");
        let greeted = || to().client(hex("05 01 00")).server(hex("05 00"));
        for (request, name) in [
            ("05 01 00 01 c0 00 02 01 01 bb", "a.example"),
            ("05 01 00 03 03 62 2e 63 01 bb", "b.c"),
        ] {
            let trial = greeted().client(hex(request)).server(&answer);
            let facts = trial.client(hex(CLIENT_HELLO)).facts(dissect);
            assert_eq!(facts.proto, Some(Proto::SOCKS5));
            assert_eq!(facts.server_name.as_deref(), Some(name));
            assert!(facts.ja4.is_some());
        }
        let plain = greeted()
            .client(hex("05 01 00 01 c0 00 02 01 00 50"))
            .server(&answer);
        assert_eq!(
            plain.client(b"GET / HTTP/1.1\r\n").ask(dissect).0,
            Outcome::Done
        );
    }

    #[test]
    fn a_request_needs_its_answer() {
        for (what, trial) in [
            (
                "4, answer of its own version",
                to().client(hex("04 01 00 50 c0 00 02 01 00")).server([4]),
            ),
            (
                "4, port zero",
                to().client(hex("04 01 00 00 c0 00 02 01 00")),
            ),
            (
                "4, no such command",
                to().client(hex("04 03 00 50 c0 00 02 01 00")),
            ),
            (
                "4, endless user",
                to().client(hex("04 01 00 50 c0 00 02 01 61*300")),
            ),
            ("5, no methods", to().client(hex("05 00"))),
            (
                "5, method not offered",
                to().client(hex("05 01 00")).server(hex("05 02")),
            ),
            (
                "5, the client goes on",
                to().client(hex("05 01 00 47 45 54")),
            ),
            ("6", to().client(hex("06 01 00"))),
        ] {
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        to().client(hex("05 01 00")).refused(dissect);
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
