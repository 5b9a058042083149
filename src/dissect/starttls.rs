//! TLS begun inside a conversation of text lines: after `STARTTLS`, `STLS`, `AUTH TLS` or XMPP's
//! `<starttls/>`, what follows on the same connection are TLS records.

use super::{Facts, Outcome, dialogue, tls};
use crate::flow::Stream;

/// Whether one of the client's whole lines asks for TLS.
pub(super) fn asked(client: &[u8], is_command: impl Fn(&[u8]) -> bool) -> bool {
    dialogue::lines(client).any(is_command)
}

/// Reads the TLS that follows the text of both sides.
pub(super) fn read(client: Stream<'_>, server: Stream<'_>, facts: &mut Facts) -> Outcome {
    let (from_client, from_server) = (records(client.bytes), records(server.bytes));
    read_records(
        tls::after(client, from_client),
        tls::after(server, from_server),
        facts,
    )
}

/// Reads TLS records of both sides. What is spoken stays the protocol that asked for TLS.
pub(super) fn read_records(client: Stream<'_>, server: Stream<'_>, facts: &mut Facts) -> Outcome {
    let (proto, swapped) = (facts.proto, facts.swapped);
    // The caller has told its own name again: read the hello's again as well, which is skipped
    // once it has been hashed.
    facts.ja4 = None;
    let outcome = tls::dissect_streams(client, server, facts);
    facts.proto = proto;
    facts.swapped = swapped;
    match outcome {
        Outcome::NotMine | Outcome::Done => Outcome::Done,
        Outcome::NeedMore | Outcome::Partial => Outcome::Partial,
    }
}

/// Where the text of one side ends and TLS records begin, its length if they do not: no text
/// holds the octet with which a handshake record starts.
fn records(bytes: &[u8]) -> usize {
    const HANDSHAKE: u8 = 22;
    memchr::memchr(HANDSHAKE, bytes).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::super::smtp;
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use crate::app::Proto;

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
    fn the_hello_inside_names_the_server() {
        let facts = upgraded(&hex(CLIENT_HELLO)).facts(smtp::dissect);
        assert_eq!(facts.proto, Some(Proto::SMTP));
        assert_eq!(facts.server_name.as_deref(), Some("a.example"));
        assert!(facts.ja4.is_some());
        let facts = upgraded(&hex(CLIENT_HELLO)).turned().facts(smtp::dissect);
        assert_eq!(
            (facts.swapped, facts.server_name.as_deref()),
            (true, Some("a.example"))
        );
        // The greeting is read again with every segment, and must not take the name back.
        let answered = upgraded(&hex(CLIENT_HELLO)).server(hex("16 03 03 00 50 02 00 00 4c"));
        let facts = answered.facts(smtp::dissect);
        assert_eq!(facts.server_name.as_deref(), Some("a.example"));
    }

    #[test]
    fn without_tls_the_greeting_stays() {
        let facts = upgraded(b"MAIL FROM:<a@b.c>\r\n").facts(smtp::dissect);
        assert_eq!(facts.server_name.as_deref(), Some("mx.example"));
    }

    #[test]
    fn withstands_mutations() {
        withstands(smtp::dissect, &[upgraded(&hex(CLIENT_HELLO))]);
    }
}
