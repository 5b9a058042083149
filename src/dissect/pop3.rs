//! POP3 (RFC 1939), and TLS begun inside (RFC 2595).

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

const COMMANDS: &[&str] = &[
    "USER", "PASS", "APOP", "CAPA", "AUTH", "STLS", "QUIT", "NOOP", "UTF8", "LANG", "STAT", "LIST",
    "RETR", "UIDL", "DELE", "TOP", "RSET",
];

/// Whether `bytes` are the beginning of a status indicator (RFC 1939 section 3).
fn may_be_status(bytes: &[u8]) -> bool {
    ["+OK", "-ERR"].iter().any(|status| {
        let agrees = bytes.iter().zip(status.as_bytes()).all(|(a, b)| a == b);
        let after = bytes.get(status.len());
        agrees && after.is_none_or(|after| matches!(after, b' ' | b'\r' | b'\n'))
    })
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, may_be_status);
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    if !may_be_status(server) {
        return Outcome::NotMine;
    }
    let Some((status, _)) = dialogue::split_line(server) else {
        return match dialogue::may_begin(client, COMMANDS) {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    };
    // RFC 1939 section 7: a greeting that offers APOP ends in a time stamp like a message-id.
    let stamped = status.ends_with(b">") && memchr::memchr(b'@', status).is_some();
    let named = dialogue::mentions(status, "pop3") || dialogue::mentions(status, "pop server");
    if !named && !stamped {
        match dialogue::split_line(client) {
            Some((line, _)) if dialogue::is_one_of(dialogue::word(line), COMMANDS) => {}
            None if dialogue::may_begin(client, COMMANDS) => return Outcome::NeedMore,
            _ => return Outcome::NotMine,
        }
    }
    facts.proto = Some(Proto::POP3);
    facts.swapped = dialogue.swapped;
    facts.banner.get_or_insert_default().server =
        status.strip_prefix(b"+OK").and_then(dialogue::text);
    let logged_in = dialogue::lines(client)
        .any(|line| dialogue::is_one_of(dialogue::word(line), &["PASS", "STAT", "LIST", "RETR"]));
    starttls::outcome(
        dialogue.client,
        dialogue.server,
        |line| line.eq_ignore_ascii_case(b"STLS"),
        logged_in,
    )
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, withstands};
    use super::*;

    /// RFC 1939 section 10, shortened.
    fn typical() -> Trial {
        Trial::tcp(110)
            .server("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n")
            .client("APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n")
            .server("+OK mrose's maildrop has 2 messages (320 octets)\r\n")
            .client("STAT\r\n")
    }

    #[test]
    fn greeting_and_commands_are_read() {
        let trial = typical();
        trial.same_by_octets(dissect);
        for (trial, swapped) in [(trial.clone(), false), (trial.turned(), true)] {
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            let facts = trial.facts(dissect);
            let banner = "POP3 server ready <1896.697170952@dbc.mtview.ca.us>";
            assert_eq!(facts.proto, Some(Proto::POP3));
            assert_eq!(
                facts.banner.as_ref().unwrap().server.as_deref(),
                Some(banner)
            );
            assert_eq!(facts.swapped, swapped);
        }
    }

    #[test]
    fn a_status_needs_a_command() {
        for (what, trial, mine) in [
            (
                "command",
                Trial::tcp(110).server("+OK\r\n").client("user a\r\n"),
                true,
            ),
            (
                "time stamp",
                Trial::tcp(110).server("+OK <1.2@h>\r\n"),
                true,
            ),
            (
                "late",
                Trial::tcp(110)
                    .mid_stream()
                    .client("RETR 1\r\n")
                    .server("+OK 5\r\n"),
                true,
            ),
            ("alone", Trial::tcp(110).server("+OK hello\r\n"), false),
            (
                "Redis",
                Trial::tcp(6379).client("SET a b\r\n").server("+OK\r\n"),
                false,
            ),
            (
                "Redis",
                Trial::tcp(6379)
                    .client("*1\r\n$4\r\nPING\r\n")
                    .server("+PONG\r\n"),
                false,
            ),
            (
                "other status",
                Trial::tcp(110).server("+OKAY\r\n").client("USER a\r\n"),
                false,
            ),
        ] {
            let sure = trial.ask(dissect).0.is_sure();
            assert_eq!(sure, mine, "{what}");
        }
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[typical()]);
    }
}
