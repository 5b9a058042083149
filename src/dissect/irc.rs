//! IRC's registration (RFC 2812 section 3.1, IRCv3 capability negotiation), and TLS begun inside
//! (IRCv3 `tls`).

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

/// Commands with which a client begins.
const FIRST: &[&str] = &["CAP", "NICK", "USER", "PASS", "STARTTLS"];

/// RPL_WELCOME: the client is registered. RPL_STARTTLS: it may begin TLS.
const WELCOME: &[u8] = b"001";
const GO_AHEAD: &[u8] = b"670";

/// Whether `bytes` may be what a server says first, cut anywhere: a message with a prefix, or one
/// of few without.
fn greets(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b':') || dialogue::may_begin(bytes, &["NOTICE ", "PING "])
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, greets);
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    if dialogue.client.mid_stream || dialogue.server.mid_stream {
        return Outcome::NotMine;
    }
    let Some((line, _)) = dialogue::split_line(client) else {
        // Of a client that has not begun, the server's word alone is too little.
        let plausible = dialogue::may_begin(client, FIRST) && greets(server);
        return match plausible {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    };
    let verb = dialogue::word(line);
    if !dialogue::is_one_of(verb, FIRST) {
        return Outcome::NotMine;
    }
    let negotiates = dialogue::is_one_of(verb, &["CAP"])
        && dialogue::is_one_of(dialogue::word(dialogue::after_word(line)), &["LS"]);
    let says = |verb: &str| {
        dialogue::lines(client)
            .any(|line| dialogue::is_one_of(dialogue::word(line), &[verb]) && line.len() > 5)
    };
    if !(negotiates || says("NICK") && says("USER")) {
        let waiting = match dialogue::split_line(server) {
            Some((line, _)) if is_message(line) => None,
            Some(_) => Some(Outcome::NotMine),
            None if greets(server) => Some(Outcome::NeedMore),
            None => Some(Outcome::NotMine),
        };
        if let Some(outcome) = waiting {
            return outcome;
        }
    }
    facts.proto = Some(Proto::IRC);
    facts.swapped = dialogue.swapped;
    let registered = dialogue::lines(server).any(|line| numeric(line) == Some(WELCOME));
    starttls::outcome(
        dialogue.client,
        dialogue.server,
        |line| line.eq_ignore_ascii_case(b"STARTTLS"),
        registered,
    )
}

/// Whether `line` is a message a server sends before registration.
fn is_message(line: &[u8]) -> bool {
    let unprefixed = [&b"NOTICE AUTH :"[..], b"NOTICE * :", b"PING :"]
        .iter()
        .any(|start| line.starts_with(start));
    let command = numeric(line).is_some_and(|command| {
        matches!(command, b"NOTICE" | b"CAP") || matches!(command, WELCOME | GO_AHEAD)
    });
    unprefixed || command && memchr::memmem::find(line, b" :").is_some()
}

/// The command behind a message's prefix.
fn numeric(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b":")?;
    Some(dialogue::word(dialogue::after_word(line)))
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::super::{Inside, Outcome};
    use super::*;

    fn to() -> Trial {
        Trial::tcp(6667)
    }

    fn upgraded() -> Trial {
        to().server(":irc.example NOTICE * :*** Looking up\r\n")
            .client("STARTTLS\r\n")
            .server(":irc.example 670 * :STARTTLS successful, go ahead\r\n")
            .client(hex(CLIENT_HELLO))
    }

    #[test]
    fn registration_is_recognised() {
        let later = Outcome::Wraps(Inside::LATER);
        let registers = || to().client("NICK bob\r\nUSER bob 0 * :Bob\r\n");
        for (what, trial, outcome) in [
            ("capabilities", to().client("CAP LS 302\r\n"), later),
            ("nick and user", registers(), later),
            (
                "nick, answered",
                to().client("NICK bob\r\n")
                    .server("NOTICE AUTH :*** Looking up\r\n"),
                later,
            ),
            (
                "welcome",
                registers().server(":irc.example 001 bob :Welcome\r\n"),
                Outcome::Done,
            ),
            (
                "TLS",
                upgraded(),
                Outcome::Wraps(Inside::plain(Some(10), None)),
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
            assert_eq!(trial.facts(dissect).proto, Some(Proto::IRC), "{what}");
        }
        assert!(upgraded().turned().facts(dissect).swapped);
        upgraded().same_by_octets(dissect);
    }

    #[test]
    fn other_dialogues_are_not() {
        for (what, client, server) in [
            ("FTP", "USER bob\r\n", "220 ready\r\n"),
            ("POP3", "USER bob\r\n", "+OK\r\n"),
            ("another", "HELP\r\n", ":irc.example NOTICE * :x\r\n"),
            ("prefix alone", "NICK bob\r\n", ":x\r\n"),
        ] {
            let trial = to().client(client).server(server);
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        to().server(":irc.example NOTICE * :x\r\n").refused(dissect);
        to().client("STARTTLS\r\n").refused(dissect);
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[upgraded()]);
    }
}
