//! LDAP over TCP (RFC 4511) and over UDP ([MS-ADTS] section 6.3.3), and TLS begun inside.

use super::{Facts, Inside, Outcome, ber};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};
use crate::wire::reader::Reader;

/// The name of the StartTLS operation (RFC 4511 section 4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// Tags of operations (RFC 4511 appendix B).
const SEARCH_REQUEST: u8 = 0x63;
const EXTENDED_REQUEST: u8 = 0x77;
const EXTENDED_RESPONSE: u8 = 0x78;

/// Messages of a client before it asks for TLS, and of a server before it answers.
const MAX_MESSAGES: usize = 4;
const MAX_ANSWERS: usize = 16;

/// What is looked at lies within the first octets of a message.
const ENOUGH: usize = 64;

/// A message at the front of a side's bytes.
struct Message {
    operation: u8,
    answer: bool,
    start_tls: bool,
    /// How long all of it is.
    len: usize,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    if opening.transport == Transport::Udp {
        let datagram = opening.newest();
        let Some(message) = message(datagram).filter(|m| m.len == datagram.len()) else {
            return Outcome::NotMine;
        };
        facts.proto = Some(Proto::LDAP);
        facts.swapped = message.answer == (opening.latest == Side::Client);
        return Outcome::Done;
    }
    let (client, server) = (opening.client.bytes, opening.server.bytes);
    let (request, answer) = match (message(client), message(server)) {
        (None, None) if may_follow(client) || may_follow(server) => return Outcome::NeedMore,
        (None, None) => return Outcome::NotMine,
        found => found,
    };
    facts.proto = Some(Proto::LDAP);
    facts.swapped = request.as_ref().is_some_and(|message| message.answer)
        || answer.as_ref().is_some_and(|message| !message.answer);
    if facts.swapped {
        return behind(server, client);
    }
    behind(client, server)
}

/// Where TLS begins, if the client asks for it at once or after it has searched for what the server
/// can do.
fn behind(client: &[u8], server: &[u8]) -> Outcome {
    if client.is_empty() {
        return Outcome::Done; // An answer alone.
    }
    let mut end = 0;
    for _ in 0..MAX_MESSAGES {
        let rest = client.get(end..).unwrap_or_default();
        let Some(message) = message(rest) else {
            // The next has not come, or the capture has nothing of this side.
            return match may_follow(rest) || rest.is_empty() {
                true => Outcome::Wraps(Inside::LATER),
                false => Outcome::Done,
            };
        };
        end += message.len;
        if message.operation == EXTENDED_REQUEST && message.start_tls {
            return Outcome::Wraps(Inside::plain(Some(end), answered(server)));
        }
        if message.operation != SEARCH_REQUEST {
            return Outcome::Done;
        }
    }
    Outcome::Done
}

/// Where the server's answer to an extended request ends.
fn answered(server: &[u8]) -> Option<usize> {
    let mut end = 0;
    for _ in 0..MAX_ANSWERS {
        let message = message(server.get(end..)?)?;
        end += message.len;
        if message.operation == EXTENDED_RESPONSE {
            return (end <= server.len()).then_some(end);
        }
    }
    None
}

/// Whether bytes that hold no message yet may become one.
fn may_follow(bytes: &[u8]) -> bool {
    bytes.first() == Some(&ber::SEQUENCE) && bytes.len() < ENOUGH
}

/// Reads the envelope (section 4.1.1) and the beginning of its operation.
fn message(bytes: &[u8]) -> Option<Message> {
    if bytes.first() != Some(&ber::SEQUENCE) {
        return None;
    }
    let mut reader = Reader::new(bytes);
    let (_, content_len) = ber::header(&mut reader)?;
    let start = bytes.len() - reader.left();
    let content = reader.rest().len();
    ber::unsigned(&mut reader, ber::INTEGER)?;
    let (operation, len) = ber::header(&mut reader)?;
    // The operation ends where the envelope does, unless controls follow it.
    let used = content - reader.left();
    let rest = content_len.checked_sub(used)?.checked_sub(len)?;
    let controls = match (rest, reader.rest().get(len..)) {
        (0, _) => true,
        (_, Some([tag, ..])) => *tag == 0xa0,
        _ => rest > 2,
    };
    let mut body = Reader::new(reader.rest().get(..len).unwrap_or_else(|| reader.rest()));
    let (agrees, answer) = match operation {
        // BindRequest: version 1 to 3, then a name.
        0x60 => {
            let version = ber::unsigned(&mut body, ber::INTEGER)?;
            let (name, _) = ber::header(&mut body)?;
            (
                (1..=3).contains(&version) && name == ber::OCTET_STRING,
                false,
            )
        }
        0x42 => (len == 0, false),
        // SearchRequest: base, then scope and dereferencing.
        SEARCH_REQUEST => {
            let (base, base_len) = ber::header(&mut body)?;
            // A base longer than what came so far hides the rest.
            let scope = match body.skip(base_len) {
                Some(()) => ber::unsigned(&mut body, ber::ENUMERATED)?,
                None => 0,
            };
            (base == ber::OCTET_STRING && scope <= 3, false)
        }
        // SearchResultEntry, ModifyRequest, AddRequest, ModifyDNRequest, CompareRequest: a name.
        0x64 | 0x66 | 0x68 | 0x6c | 0x6e => {
            let (name, name_len) = ber::header(&mut body)?;
            (
                name == ber::OCTET_STRING && name_len < len,
                operation == 0x64,
            )
        }
        // What carries a result code.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | EXTENDED_RESPONSE => {
            let result = ber::unsigned(&mut body, ber::ENUMERATED)?;
            let (name, _) = ber::header(&mut body)?;
            (result < 0x1_0000 && name == ber::OCTET_STRING, true)
        }
        // ExtendedRequest: an object identifier in digits.
        EXTENDED_REQUEST => {
            let name = ber::content(&mut body, 0x80)?;
            let digits = name.iter().all(|b| b.is_ascii_digit() || *b == b'.');
            (!name.is_empty() && digits, false)
        }
        _ => return None,
    };
    let start_tls = operation == EXTENDED_REQUEST
        && memchr::memmem::find(bytes.get(..ENOUGH).unwrap_or(bytes), START_TLS).is_some();
    (agrees && controls).then_some(Message {
        operation,
        answer,
        start_tls,
        len: start + content_len,
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::super::trial::{Trial, hex, withstands};
    use super::*;

    const BIND: &str = "30 0c 02 01 01 60 07 02 01 03 04 00 80 00";
    const BIND_ANSWER: &str = "30 0c 02 01 01 61 07 0a 01 00 04 00 04 00";
    const SEARCH: &str = "30 84 00 00 00 23 02 01 02 63 84 00 00 00 1a 04 00 0a 01 00 0a 01 00 \
        02 01 00 02 01 00 01 01 00 87 05 6e 74 76 65 72 30 00";
    const CONTROLS: &str = "30 13 02 02 01 00 42 00 a0 0b 30 09 04 07 31 2e 32 2e 38 34 30";
    const STARTTLS: &str = "30 1d 02 01 01 77 18 80 16 31 2e 33 2e 36 2e 31 2e 34 2e 31 2e \
        31 34 36 36 2e 32 30 30 33 37";

    fn recognised() -> Vec<(&'static str, Trial, bool)> {
        vec![
            ("bind", Trial::tcp(389).client(hex(BIND)), false),
            ("answer", Trial::tcp(389).server(hex(BIND_ANSWER)), false),
            (
                "answer from the client's side",
                Trial::tcp(389).client(hex(BIND_ANSWER)),
                true,
            ),
            ("search", Trial::udp(389).client(hex(SEARCH)), false),
            ("controls", Trial::tcp(3268).client(hex(CONTROLS)), false),
            ("StartTLS", Trial::tcp(389).client(hex(STARTTLS)), false),
        ]
    }

    #[test]
    fn messages_are_recognised() {
        for (what, trial, swapped) in recognised() {
            let facts = trial.facts(dissect);
            assert_eq!(
                (facts.proto, facts.swapped),
                (Some(Proto::LDAP), swapped),
                "{what}"
            );
        }
        Trial::udp(389)
            .client(hex(SEARCH))
            .refused_when_cut(dissect);
        for text in [BIND, SEARCH] {
            Trial::tcp(389).client(hex(text)).same_by_octets(dissect);
        }
    }

    #[test]
    fn tls_follows_its_answer() {
        let asks = || Trial::tcp(389).client(hex(STARTTLS));
        let answer = hex("30 0c 02 01 01 78 07 0a 01 00 04 00 04 00");
        let found = "30 0f 02 01 01 64 0a 04 00 30 06 30 04 04 00 31 00";
        let done = "30 0c 02 01 01 65 07 0a 01 00 04 00 04 00";
        let behind = |client, server| Outcome::Wraps(Inside::plain(Some(client), server));
        let search = hex(SEARCH).len();
        for (what, trial, outcome) in [
            ("asked", asks(), behind(31, None)),
            ("answered", asks().server(&answer), behind(31, Some(14))),
            (
                "answered in two",
                asks().server(&answer[..9]).server(&answer[9..]),
                behind(31, Some(14)),
            ),
            (
                "after a search",
                Trial::tcp(389)
                    .client(hex(SEARCH))
                    .server(hex(found))
                    .server(hex(done))
                    .client(hex(&STARTTLS.replacen("02 01 01", "02 01 02", 1)))
                    .server(&answer),
                behind(search + 31, Some(17 + 14 + 14)),
            ),
            (
                "a search",
                Trial::tcp(389).client(hex(SEARCH)),
                Outcome::Wraps(Inside::LATER),
            ),
            ("a bind", Trial::tcp(389).client(hex(BIND)), Outcome::Done),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_not() {
        for (what, text) in [
            ("version 4", BIND.replace("02 01 03", "02 01 04")),
            ("operation too long", BIND.replace("60 07", "60 08")),
            ("operation too short", BIND.replace("60 07", "60 06")),
            ("scope", SEARCH.replacen("0a 01 00", "0a 01 09", 1)),
            (
                "SNMP",
                "30 0c 02 01 01 04 01 70 a0 04 02 01 01 02 00".into(),
            ),
            ("no identifier", BIND.replacen("02 01 01", "04 01 01", 1)),
            ("name that is none", STARTTLS.replacen("31 2e", "31 ff", 1)),
        ] {
            for trial in [
                Trial::udp(389).client(hex(&text)),
                Trial::tcp(389).client(hex(&text)),
            ] {
                assert_eq!(trial.ask(dissect).1, Facts::default(), "{what}");
                trial.refused(dissect);
            }
        }
        assert_eq!(
            Trial::tcp(389).client(b"GET /").ask(dissect).0,
            Outcome::NotMine
        );
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
