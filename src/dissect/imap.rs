//! IMAP (RFC 9051, RFC 3501), and TLS begun inside.

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

const COMMANDS: &[&str] = &[
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "STARTTLS",
    "AUTHENTICATE",
    "LOGIN",
    "ENABLE",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "NAMESPACE",
    "STATUS",
    "APPEND",
    "IDLE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "UID",
    "ID",
    "COMPRESS",
    "GETQUOTAROOT",
    "XLIST",
];

/// Whether `bytes` may be what a server says: an untagged response or a tagged status.
fn may_greet(bytes: &[u8]) -> bool {
    dialogue::may_begin(bytes, &["* OK ", "* PREAUTH ", "* BYE "])
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, may_greet);
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    match judge(dialogue) {
        Outcome::Partial => {}
        other => return other,
    }
    facts.proto = Some(Proto::IMAP);
    facts.swapped = dialogue.swapped;
    let banner = facts.banner.get_or_insert_default();
    if let Some((line, _)) = dialogue::split_line(server)
        && may_greet(line)
    {
        banner.server = line
            .get(2..)
            .map(dialogue::after_word)
            .and_then(dialogue::text);
    }
    // RFC 2971: `tag ID ("name" "Thunderbird" ...)`.
    banner.software = dialogue::lines(client)
        .filter_map(|line| command(line))
        .find(|(_, verb, _)| verb.eq_ignore_ascii_case(b"ID"))
        .and_then(|(_, _, arguments)| dialogue::text(arguments));
    let selected = dialogue::lines(client)
        .filter_map(|line| command(line))
        .any(|(_, verb, _)| {
            dialogue::is_one_of(verb, &["SELECT", "EXAMINE", "FETCH", "UID", "LIST"])
        });
    starttls::outcome(
        dialogue.client,
        dialogue.server,
        |line| command(line).is_some_and(|(_, verb, _)| verb.eq_ignore_ascii_case(b"STARTTLS")),
        selected,
    )
}

/// Whether this is IMAP: [`Outcome::Partial`] if so.
fn judge(dialogue: Dialogue<'_>) -> Outcome {
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    let mid_stream = dialogue.client.mid_stream || dialogue.server.mid_stream;
    let answer = dialogue::split_line(server).map(|(line, _)| line);
    let greeting = answer.filter(|line| may_greet(line) && line.len() > 4);
    if greeting.is_some_and(|line| {
        dialogue::mentions(line, "imap") || dialogue::mentions(line, "[capability")
    }) {
        return Outcome::Partial;
    }
    let first = match dialogue::split_line(client) {
        Some((line, _)) => match command(line) {
            Some(command) => Some(command),
            None => return Outcome::NotMine,
        },
        // A tag is short: what has no space in 33 octets has none.
        None if client.len() > 33 && memchr::memchr(b' ', client).is_none() => {
            return Outcome::NotMine;
        }
        None if client.first().is_some_and(|b| !b.is_ascii_alphanumeric()) => {
            return Outcome::NotMine;
        }
        None => None,
    };
    let Some(answer) = answer else {
        return match server.is_empty() || may_greet(server) || mid_stream {
            true if server.first().is_none_or(u8::is_ascii_graphic) => Outcome::NeedMore,
            _ => Outcome::NotMine,
        };
    };
    if greeting.is_some() {
        return match first {
            Some(_) => Outcome::Partial,
            None => Outcome::NeedMore,
        };
    }
    // The capture began late: a command, and an answer to it.
    let Some((tag, _, _)) = first else {
        return match mid_stream && answer.starts_with(b"* ") {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    };
    let tagged = dialogue::word(answer) == tag
        && dialogue::is_one_of(
            dialogue::word(dialogue::after_word(answer)),
            &["OK", "NO", "BAD"],
        );
    match mid_stream && (tagged || answer.starts_with(b"* ") || answer.starts_with(b"+ ")) {
        true => Outcome::Partial,
        false => Outcome::NotMine,
    }
}

/// Tag, command and arguments of a client's line.
fn command(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let tag = dialogue::word(line);
    let rest = line.get(tag.len()..)?.strip_prefix(b" ")?;
    let verb = dialogue::word(rest);
    // RFC 9051 section 2.2.1: an alphanumeric string, in practice short.
    let valid = (1..=32).contains(&tag.len())
        && tag
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    (valid && dialogue::is_one_of(verb, COMMANDS)).then(|| (tag, verb, dialogue::after_word(rest)))
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, withstands};
    use super::*;

    /// RFC 9051 section 8, shortened.
    fn typical() -> Trial {
        Trial::tcp(143)
            .server("* OK [CAPABILITY STARTTLS IMAP4rev2] IMAP4rev2 Service Ready\r\n")
            .client("a001 login mrc secret\r\n")
            .server("a001 OK LOGIN completed\r\n")
            .client("a002 ID (\"name\" \"test\")\r\na003 select inbox\r\n")
    }

    #[test]
    fn greeting_and_commands_are_read() {
        let trial = typical();
        trial.same_by_octets(dissect);
        for (trial, swapped) in [(trial.clone(), false), (trial.turned(), true)] {
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::IMAP));
            let banner = "[CAPABILITY STARTTLS IMAP4rev2] IMAP4rev2 Service Ready";
            assert_eq!(
                facts.banner.as_ref().unwrap().server.as_deref(),
                Some(banner)
            );
            assert_eq!(
                facts.banner.as_ref().unwrap().software.as_deref(),
                Some("(\"name\" \"test\")")
            );
            assert_eq!(facts.swapped, swapped);
        }
    }

    #[test]
    fn either_side_has_to_be_plain() {
        let to = || Trial::tcp(143);
        for (what, trial, mine) in [
            ("named", to().server("* OK IMAP ready\r\n"), true),
            (
                "command",
                to().server("* OK hello\r\n").client("1 CAPABILITY\r\n"),
                true,
            ),
            (
                "late",
                to().mid_stream()
                    .client("x1 UID FETCH 1:* FLAGS\r\n")
                    .server("* 1 FETCH (\r\n"),
                true,
            ),
            (
                "late, tagged",
                to().mid_stream()
                    .client("x1 NOOP\r\n")
                    .server("x1 OK done\r\n"),
                true,
            ),
            (
                "other tag",
                to().mid_stream()
                    .client("x1 NOOP\r\n")
                    .server("x2 OK done\r\n"),
                false,
            ),
            ("greeting alone", to().server("* OK hello\r\n"), false),
            (
                "no command",
                to().server("* OK hello\r\n").client("HELLO\r\n"),
                false,
            ),
            (
                "text",
                to().client("a LIST\r\n").server("HTTP/1.1 400 Bad\r\n"),
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
