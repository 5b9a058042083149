//! SMTP and LMTP (RFC 5321, RFC 2033): greeting, commands, and TLS begun inside (RFC 3207).

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

/// Commands no other protocol of replies in three digits has.
const OWN: &[&str] = &["EHLO", "HELO", "LHLO", "MAIL", "RCPT"];
/// The others a client may send early.
const OTHERS: &[&str] = &[
    "STARTTLS", "AUTH", "RSET", "NOOP", "QUIT", "HELP", "VRFY", "EXPN", "DATA", "BDAT", "XCLIENT",
    "PROXY",
];

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, dialogue::may_be_reply);
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    match judge(client, server) {
        Outcome::Partial => {}
        other => return other,
    }
    facts.proto = Some(Proto::SMTP);
    facts.swapped = dialogue.swapped;
    if let Some((line, _)) = dialogue::split_line(server)
        && line.starts_with(b"220")
    {
        let greeting = line.get(4..).unwrap_or_default();
        facts.banner.get_or_insert_default().server = dialogue::text(greeting);
        // Section 4.2: the server's domain comes first. Without a dot it is any word.
        facts.server_name =
            dialogue::host(dialogue::word(greeting)).filter(|name| name.contains('.'));
    }
    // The envelope follows in the clear: no TLS will.
    let envelope = dialogue::lines(client)
        .any(|line| dialogue::is_one_of(dialogue::word(line), &["MAIL", "RCPT", "QUIT"]));
    starttls::outcome(
        dialogue.client,
        dialogue.server,
        |line| line.eq_ignore_ascii_case(b"STARTTLS"),
        envelope && !server.is_empty(),
    )
}

/// Whether this is SMTP: [`Outcome::Partial`] if so.
fn judge(client: &[u8], server: &[u8]) -> Outcome {
    if !dialogue::may_be_reply(server) {
        return Outcome::NotMine;
    }
    let greets = match dialogue::reply_code(server) {
        // 220 and 554 greet, 421 refuses; the others are what a flow seen from its middle shows.
        Some(220 | 250 | 334 | 354 | 235 | 421 | 454 | 550 | 554) => true,
        Some(_) => return Outcome::NotMine,
        None => false,
    };
    let banner = dialogue::split_line(server).map(|(banner, _)| banner);
    if banner.is_some_and(|b| b.starts_with(b"220") && dialogue::mentions(b, "smtp")) {
        return Outcome::Partial;
    }
    let Some((line, _)) = dialogue::split_line(client) else {
        return match dialogue::may_begin(client, OWN) || dialogue::may_begin(client, OTHERS) {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    };
    let verb = dialogue::word(line);
    if dialogue::is_one_of(verb, OWN) && is_own(line) {
        return Outcome::Partial;
    }
    if !dialogue::is_one_of(verb, OTHERS) && !dialogue::is_one_of(verb, OWN) {
        return Outcome::NotMine;
    }
    let named = dialogue::lines(server)
        .take(8)
        .any(|line| dialogue::mentions(line, "smtp"));
    match (named && greets, dialogue::lines(client).nth(1)) {
        (true, _) => Outcome::Partial,
        // STARTTLS, AUTH and the rest may come first only from who ignores the standard.
        (false, Some(next)) if is_own(next) && greets => Outcome::Partial,
        (false, Some(_)) => Outcome::NotMine,
        (false, None) => Outcome::NeedMore,
    }
}

/// Whether `line` is a command of SMTP with the argument it must have.
fn is_own(line: &[u8]) -> bool {
    let (verb, argument) = (dialogue::word(line), dialogue::after_word(line));
    if dialogue::is_one_of(verb, &["EHLO", "HELO", "LHLO"]) {
        return !argument.is_empty() && argument.iter().all(u8::is_ascii_graphic);
    }
    let begins = |with: &str| {
        argument
            .get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    dialogue::is_one_of(verb, &["MAIL"]) && begins("FROM:")
        || dialogue::is_one_of(verb, &["RCPT"]) && begins("TO:")
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, withstands};
    use super::*;

    /// RFC 5321 appendix D.1, shortened.
    fn typical() -> Trial {
        Trial::tcp(25)
            .server("220 foo.com Simple Mail Transfer Service Ready\r\n")
            .client("EHLO bar.com\r\n")
            .server("250-foo.com greets bar.com\r\n250-8BITMIME\r\n250 HELP\r\n")
            .client("MAIL FROM:<Smith@bar.com>\r\n")
            .server("250 OK\r\n")
    }

    #[test]
    fn greeting_and_commands_are_read() {
        let trial = typical();
        trial.same_by_octets(dissect);
        for (trial, swapped) in [(trial.clone(), false), (trial.turned(), true)] {
            let facts = trial.facts(dissect);
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            assert_eq!(facts.proto, Some(Proto::SMTP));
            assert_eq!(facts.server_name.as_deref(), Some("foo.com"));
            let banner = "foo.com Simple Mail Transfer Service Ready";
            assert_eq!(
                facts.banner.as_ref().unwrap().server.as_deref(),
                Some(banner)
            );
            assert_eq!(facts.swapped, swapped);
        }
    }

    #[test]
    fn one_sign_of_its_own_is_enough() {
        for trial in [
            Trial::tcp(25).server("220 mx ESMTP Postfix\r\n"),
            Trial::tcp(25)
                .server("220-x\r\n220 y\r\n")
                .client("helo me\r\n"),
            Trial::tcp(24).server("220 x\r\n").client("LHLO me\r\n"),
            Trial::tcp(25).client("EHLO me\r\n"),
            Trial::tcp(25).mid_stream().client("MAIL FROM:<>\r\n"),
            Trial::tcp(25)
                .mid_stream()
                .server("250 2.1.0 Ok\r\n")
                .client("rcpt to:<a@b.c>\r\n"),
        ] {
            assert_eq!(trial.facts(dissect).proto, Some(Proto::SMTP));
        }
    }

    #[test]
    fn other_dialogues_are_not() {
        for (what, trial) in [
            (
                "FTP",
                Trial::tcp(21).server("220 x\r\n").client("USER me\r\n"),
            ),
            ("NNTP", Trial::tcp(119).server("200 news\r\n")),
            ("HTTP", Trial::tcp(80).client("GET / HTTP/1.1\r\n")),
            (
                "no argument",
                Trial::tcp(25)
                    .server("220 x\r\n")
                    .client("EHLO\r\nUSER x\r\n"),
            ),
            ("numbers", Trial::tcp(25).server("22000 11\r\n")),
            ("mail shell", Trial::tcp(25).client("MAIL bob\r\nls\r\n")),
        ] {
            let (outcome, _) = trial.ask(dissect);
            assert_eq!(outcome, Outcome::NotMine, "{what}");
        }
        Trial::tcp(25).server("220 hello\r\n").refused(dissect);
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[typical()]);
    }
}
