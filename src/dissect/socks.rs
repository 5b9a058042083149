//! SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): the request names where the client wants to go.

use std::net::IpAddr;

use super::{Facts, Inside, Outcome, dialogue};
use crate::app::Proto;
use crate::flow::Opening;
use crate::wire::reader::Reader;

const VERSION_4: u8 = 4;
const VERSION_5: u8 = 5;

const CONNECT: u8 = 1;
const BIND: u8 = 2;
const UDP_ASSOCIATE: u8 = 3;

/// How long the choice of a method is: a version and the method.
const CHOICE: usize = 2;

/// How long an answer of SOCKS 4 is.
const ANSWER_4: usize = 8;

/// The version of a login (RFC 1929 section 2).
const LOGIN: u8 = 1;

/// The answer to a request that is granted (RFC 1928 section 6).
const SUCCEEDED: u8 = 0;

/// SOCKS 5 methods (RFC 1928 section 3).
const NO_LOGIN: u8 = 0;
const GSSAPI: u8 = 1;
const USER_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// Address types (RFC 1928 section 5).
const IPV4: u8 = 1;
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
    let is_named = matches!(address, [0, 0, 0, last] if last != 0);
    if is_named {
        let Some(host) = terminated(&mut reader) else {
            return waiting(reader.left() < MAX_NAME && server.is_empty());
        };
        name = dialogue::host(host);
    }
    let asked = Some(client.len() - reader.left());
    // An answer's version is zero; 90 grants, 91 to 93 refuse. That of BIND comes twice.
    let (granted, answered) = match server {
        [] | [0] => return Outcome::NeedMore,
        [0, 90..=93, ..] if server.len() < ANSWER_4 => return Outcome::NeedMore,
        [0, code @ 90..=93, ..] if command == BIND => (*code == 90, 2 * ANSWER_4),
        [0, code @ 90..=93, ..] => (*code == 90, ANSWER_4),
        _ => return Outcome::NotMine,
    };
    facts.proto = Some(Proto::SOCKS4);
    let destination = facts.destination.get_or_insert_default();
    destination.port = Some(port);
    destination.ip = (!is_named).then(|| address.into());
    facts.server_name = name;
    match granted {
        true => Outcome::Wraps(Inside::plain(asked, Some(answered))),
        false => Outcome::Done,
    }
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
        // The client waits for the choice. If it goes on all the same, the capture has nothing of the
        // server: what follows shows it.
        [] => match reader.rest() {
            [] => return Outcome::NeedMore,
            [VERSION_5, ..] if methods.contains(&NO_LOGIN) => NO_LOGIN,
            [LOGIN, ..] if methods.contains(&USER_PASSWORD) => USER_PASSWORD,
            _ => return Outcome::NotMine,
        },
        [VERSION_5] => return Outcome::NeedMore,
        [VERSION_5, NONE_ACCEPTABLE] => NONE_ACCEPTABLE,
        [VERSION_5, method, ..] if methods.contains(method) => *method,
        _ => return Outcome::NotMine,
    };
    match continues(reader.rest(), chosen) {
        Some(true) => {}
        Some(false) => return Outcome::NotMine,
        // A server that has chosen waits as well: two octets, and the client's next, show that the
        // first ones were no chance.
        None if server.len() > CHOICE => return Outcome::NotMine,
        None if opening.client.ended && server.len() == CHOICE => {
            facts.proto = Some(Proto::SOCKS5);
            return Outcome::Done;
        }
        None => return Outcome::NeedMore,
    }
    let asked = login(&mut reader, chosen).and_then(|()| request(&mut reader));
    if server.is_empty() && !matches!(asked, Some(Request::To { .. })) {
        // Only a whole request is strong enough to stand alone.
        return waiting(asked.is_none() && reader.left() < MAX_NAME);
    }
    facts.proto = Some(Proto::SOCKS5);
    if chosen == NONE_ACCEPTABLE {
        return Outcome::Done;
    }
    match asked {
        None => Outcome::Partial,
        Some(Request::Other) => Outcome::Done,
        Some(Request::To { command, to }) => {
            facts.server_name = to.name;
            let destination = facts.destination.get_or_insert_default();
            (destination.ip, destination.port) = (to.ip, Some(to.port));
            let mut answer = Reader::new(server);
            let answers = match command {
                // Nothing goes through: datagrams do, elsewhere.
                UDP_ASSOCIATE => return Outcome::Done,
                BIND => 2,
                _ => 1,
            };
            let asked = Some(client.len() - reader.left());
            match answered(&mut answer, chosen, answers) {
                Some(true) => {
                    let answered = server.len() - answer.left();
                    Outcome::Wraps(Inside::plain(asked, Some(answered)))
                }
                Some(false) => Outcome::Done,
                None => Outcome::Wraps(Inside::plain(asked, None)),
            }
        }
    }
}

/// Whether a client would go on so after the choice of a method; `None` if it has not.
fn continues(rest: &[u8], chosen: u8) -> Option<bool> {
    Some(match (chosen, rest) {
        // There is nothing to wait for.
        (NONE_ACCEPTABLE, []) => true,
        (_, []) => return None,
        // Tor has two commands of its own, which ask for names and addresses.
        (NO_LOGIN, [VERSION_5, command, ..]) => {
            matches!(*command, CONNECT | BIND | UDP_ASSOCIATE | 0xf0 | 0xf1)
                && rest.get(2).is_none_or(|reserved| *reserved == 0)
        }
        (NO_LOGIN, _) => rest == [VERSION_5],
        // RFC 1929 section 2, RFC 1961 section 3.
        (GSSAPI | USER_PASSWORD, _) => rest.starts_with(&[LOGIN]),
        // It may have sent the request of one of its methods at once.
        (NONE_ACCEPTABLE, _) => matches!(rest, [LOGIN | VERSION_5, ..]),
        _ => true,
    })
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
    To {
        command: u8,
        to: Address,
    },
}

/// An address of RFC 1928 section 5.
struct Address {
    name: Option<Box<str>>,
    ip: Option<IpAddr>,
    port: u16,
}

/// Reads the request behind the login (RFC 1928 section 4).
fn request(reader: &mut Reader<'_>) -> Option<Request> {
    let (version, command, reserved) = (reader.u8()?, reader.u8()?, reader.u8()?);
    if (version, reserved) != (VERSION_5, 0) || !matches!(command, CONNECT | BIND | UDP_ASSOCIATE) {
        return Some(Request::Other);
    }
    let to = address(reader)?;
    Some(to.map_or(Request::Other, |to| Request::To { command, to }))
}

/// Passes over the server's choice, the result of a login and the answers to the request: whether it
/// grants that.
fn answered(reader: &mut Reader<'_>, method: u8, answers: usize) -> Option<bool> {
    reader.skip(2)?;
    if method == USER_PASSWORD {
        reader.skip(2)?;
    }
    for _ in 0..answers {
        reader.skip(1)?;
        if reader.u8()? != SUCCEEDED {
            return Some(false);
        }
        reader.skip(1)?;
        if address(reader)?.is_none() {
            return Some(false);
        }
    }
    Some(true)
}

/// Reads an address and a port (RFC 1928 section 5): `None` as long as it is not whole, `Some(None)`
/// if it is of no known type.
fn address(reader: &mut Reader<'_>) -> Option<Option<Address>> {
    let (name, ip) = match reader.u8()? {
        DOMAIN_NAME => {
            let len = reader.u8()?;
            (dialogue::host(reader.take(usize::from(len))?), None)
        }
        IPV6 => (None, Some(IpAddr::from(*reader.array::<16>()?))),
        IPV4 => (None, Some(IpAddr::from(*reader.array::<4>()?))),
        _ => return Some(None),
    };
    let port = reader.be16()?;
    Some(Some(Address { name, ip, port }))
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
    use super::super::trial::{Trial, hex, withstands};
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
    fn the_inside_begins_behind_the_answer() {
        let greeted = || to().client(hex("05 01 00")).server(hex("05 00"));
        let connect = "05 01 00 01 c0 00 02 01 01 bb";
        let login = || {
            to().client(hex("05 02 00 02"))
                .server(hex("05 02"))
                .client(hex("01 01 75 02 70 77"))
                .server(hex("01 00"))
                .client(hex(connect))
        };
        let alone = |text: &str| to().client(hex(text));
        let behind = |client, server| Outcome::Wraps(Inside::plain(Some(client), server));
        for (what, trial, outcome) in [
            ("asked", greeted().client(hex(connect)), behind(13, None)),
            (
                "granted",
                greeted()
                    .client(hex(connect))
                    .server(hex("05 00 00 01 00*6")),
                behind(13, Some(12)),
            ),
            (
                "granted by name",
                greeted()
                    .client(hex(connect))
                    .server(hex("05 00 00 03 02 61 62 00 50")),
                behind(13, Some(11)),
            ),
            (
                "refused",
                greeted()
                    .client(hex(connect))
                    .server(hex("05 05 00 01 00*6")),
                Outcome::Done,
            ),
            (
                "with login",
                login().server(hex("05 00 00 04 00*18")),
                behind(20, Some(26)),
            ),
            (
                "bound, to be called",
                greeted()
                    .client(hex("05 02 00 01 00*6"))
                    .server(hex("05 00 00 01 00*6")),
                behind(13, None),
            ),
            (
                "called",
                greeted()
                    .client(hex("05 02 00 01 00*6"))
                    .server(hex("05 00 00 01 00*6 05 00 00 01 00*6")),
                behind(13, Some(22)),
            ),
            (
                "datagrams",
                greeted().client(hex("05 03 00 01 00*6")),
                Outcome::Done,
            ),
            (
                "one-sided",
                alone("05 01 00").client(hex(connect)),
                behind(13, None),
            ),
            (
                "one-sided, with login",
                alone("05 01 02")
                    .client(hex("01 01 75 01 70"))
                    .client(hex(connect)),
                behind(18, None),
            ),
            (
                "4",
                alone("04 01 01 bb c0 00 02 01 00").server(hex("00 5a 00*6")),
                behind(9, Some(8)),
            ),
            (
                "4, bound",
                alone("04 02 01 bb c0 00 02 01 00").server(hex("00 5a 00*6")),
                behind(9, Some(16)),
            ),
            (
                "4, refused",
                alone("04 01 01 bb c0 00 02 01 00").server(hex("00 5b 00*6")),
                Outcome::Done,
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
        }
        let facts = greeted().client(hex(connect)).facts(dissect);
        assert_eq!(
            facts.destination.as_ref().unwrap().ip,
            Some([192, 0, 2, 1].into())
        );
        assert_eq!(facts.destination.as_ref().unwrap().port, Some(443));
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
                "5, repeated",
                to().client(hex("05 02 05 02 05 02")).server(hex("05 02")),
            ),
            (
                "5, the server goes on first",
                to().client(hex("05 01 00")).server(hex("05 00 05 00")),
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
        let chosen = to().client(hex("05 01 00")).server(hex("05 00"));
        assert_eq!(chosen.ask(dissect).0, Outcome::NeedMore);
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
