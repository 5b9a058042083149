//! TLS begun inside a conversation of text: after `STARTTLS`, `STLS`, `AUTH TLS` or XMPP's
//! `<starttls/>`, what follows on the same connection are TLS records.

use super::dialogue;
use super::{Inside, Outcome};
use crate::flow::Stream;

/// The content type of a record with a handshake (RFC 8446 section 5.1): no text holds this octet.
const HANDSHAKE: u8 = 22;

/// Lines among which the command is looked for.
const MAX_LINES: usize = 64;

/// What the dissector of a protocol of lines says, which has recognised it: where TLS begins, if a
/// line of the client asks for it; else that it may, unless the conversation goes on `in_clear`.
pub(super) fn outcome(
    client: Stream<'_>,
    server: Stream<'_>,
    is_command: impl Fn(&[u8]) -> bool,
    in_clear: bool,
) -> Outcome {
    match inside(client, server, asked(client.bytes, is_command)) {
        Some(inside) => Outcome::Wraps(inside),
        None if in_clear => Outcome::Done,
        None => Outcome::Wraps(Inside::LATER),
    }
}

/// Where TLS begins, when the client's text ends at `asked` with what asks for it. Of a server
/// whose client was not captured, its own record shows it.
pub(super) fn inside(
    client: Stream<'_>,
    server: Stream<'_>,
    asked: Option<usize>,
) -> Option<Inside> {
    let begins = |at: &usize| client.bytes.get(*at) == Some(&HANDSHAKE);
    match asked.filter(begins) {
        Some(end) => Some(Inside::plain(Some(end), record(server.bytes))),
        None if client.is_empty() => {
            let begin = record(server.bytes)?;
            // Record header: the type, then version 3 of old.
            let header = server.bytes.get(begin..begin + 2)?;
            (header == [HANDSHAKE, 3]).then(|| Inside::plain(None, Some(begin)))
        }
        None => None,
    }
}

/// Where the line of the client ends that asks for TLS, if records follow it or nothing does.
fn asked(client: &[u8], is_command: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let mut rest = client;
    for _ in 0..MAX_LINES {
        let (line, after) = dialogue::split_line(rest)?;
        if is_command(line) && after.first().is_none_or(|&first| first == HANDSHAKE) {
            return Some(client.len() - after.len());
        }
        rest = after;
    }
    None
}

/// Where the first record of handshakes is, `None` as long as there is only text.
pub(super) fn record(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(HANDSHAKE, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::smtp;
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::*;

    fn upgraded(after: &[u8]) -> Trial {
        Trial::tcp(587)
            .server("220 mx.example ESMTP\r\n")
            .client("EHLO me\r\n")
            .server("250-mx.example\r\n250 STARTTLS\r\n")
            .client("STARTTLS\r\n")
            .server("220 go ahead\r\n")
            .client(after)
    }

    #[test]
    fn records_begin_behind_the_text() {
        let hello = hex(CLIENT_HELLO);
        let inside = |client, server| Outcome::Wraps(Inside::plain(client, server));
        let server = Trial::tcp(587).server("220 mx.example ESMTP\r\n220 go\r\n");
        for (what, trial, outcome) in [
            ("asked", upgraded(b""), inside(None, None)),
            ("begun", upgraded(&hello), inside(Some(19), None)),
            (
                "answered",
                upgraded(&hello).server(hex("16 03 03 00 50 02")),
                inside(Some(19), Some(66)),
            ),
            ("refused", upgraded(b"MAIL FROM:<a@b.c>\r\n"), Outcome::Done),
            (
                "server alone",
                server.clone().server(hex("16 03 03 00 50 02")),
                inside(None, Some(30)),
            ),
            (
                "not a record",
                server.server(hex("16 20")),
                inside(None, None),
            ),
        ] {
            assert_eq!(trial.ask(smtp::dissect).0, outcome, "{what}");
        }
        let facts = upgraded(&hello).turned().facts(smtp::dissect);
        assert!(facts.swapped);
    }

    #[test]
    fn withstands_mutations() {
        withstands(smtp::dissect, &[upgraded(&hex(CLIENT_HELLO))]);
    }
}
