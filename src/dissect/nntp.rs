//! NNTP (RFC 3977): greeting and first commands, and TLS begun inside (RFC 4642).

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

/// Commands that no other protocol of replies in three digits has.
const OWN: &[&str] = &[
    "MODE",
    "GROUP",
    "LISTGROUP",
    "ARTICLE",
    "CAPABILITIES",
    "AUTHINFO",
    "XOVER",
    "OVER",
    "NEWNEWS",
    "NEWGROUPS",
    "IHAVE",
    "CHECK",
    "TAKETHIS",
    "XHDR",
];
/// Those with which a client may begin as well.
const OTHERS: &[&str] = &["STARTTLS", "LIST", "DATE", "HELP", "QUIT", "XFEATURE"];

/// Whether `bytes` may be the greeting of a server (RFC 3977 section 5.1), cut anywhere.
fn greets(bytes: &[u8]) -> bool {
    let code = [&b"200"[..], b"201"]
        .iter()
        .any(|code| bytes.iter().zip(*code).all(|(a, b)| a == b));
    code && dialogue::may_be_reply(bytes)
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, greets);
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    if !greets(server) || dialogue.server.mid_stream || dialogue.client.mid_stream {
        return Outcome::NotMine;
    }
    let plausible = dialogue::may_begin(client, OWN) || dialogue::may_begin(client, OTHERS);
    let greeting = dialogue::split_line(server).map(|(line, _)| line);
    let (Some(greeting), Some((line, _))) = (greeting, dialogue::split_line(client)) else {
        return match plausible {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    };
    let is_own = |line: &[u8]| {
        let verb = dialogue::word(line);
        match dialogue::is_one_of(verb, &["MODE"]) {
            true => dialogue::is_one_of(dialogue::after_word(line), &["READER", "STREAM"]),
            false => dialogue::is_one_of(verb, OWN),
        }
    };
    let named = ["nntp", "news", "innd"]
        .iter()
        .any(|word| dialogue::mentions(greeting, word));
    let asks = |line: &[u8]| line.eq_ignore_ascii_case(b"STARTTLS");
    let other = named && dialogue::is_one_of(dialogue::word(line), OTHERS);
    if !is_own(line) && !asks(line) && !other {
        return Outcome::NotMine;
    }
    facts.proto = Some(Proto::NNTP);
    facts.swapped = dialogue.swapped;
    facts.banner.get_or_insert_default().software = greeting.get(4..).and_then(dialogue::text);
    let in_clear = dialogue::lines(client).any(|line| {
        let verb = dialogue::word(line);
        let before = ["MODE", "CAPABILITIES", "LIST"];
        dialogue::is_one_of(verb, OWN) && !dialogue::is_one_of(verb, &before)
    });
    starttls::outcome(dialogue.client, dialogue.server, asks, in_clear)
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::super::{Inside, Outcome};
    use super::*;

    fn greeted() -> Trial {
        Trial::tcp(119).server("200 news.example ready\r\n")
    }

    /// RFC 4642 section 2.2.3, shortened.
    fn upgraded() -> Trial {
        greeted()
            .client("CAPABILITIES\r\n")
            .server("101 list:\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n")
            .client("STARTTLS\r\n")
            .server("382 Continue with TLS negotiation\r\n")
            .client(hex(CLIENT_HELLO))
    }

    #[test]
    fn greeting_and_commands_are_read() {
        let later = Outcome::Wraps(Inside::LATER);
        for (what, trial, outcome) in [
            ("mode", greeted().client("mode reader\r\n"), later),
            (
                "group",
                greeted().client("GROUP misc.test\r\n"),
                Outcome::Done,
            ),
            ("named", greeted().client("DATE\r\n"), later),
            ("TLS at once", greeted().client("STARTTLS\r\n"), later),
            (
                "TLS",
                upgraded(),
                Outcome::Wraps(Inside::plain(Some(24), None)),
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::NNTP), "{what}");
            assert_eq!(
                facts.banner.as_ref().unwrap().software.as_deref(),
                Some("news.example ready")
            );
            assert!(trial.turned().facts(dissect).swapped, "{what}");
        }
        upgraded().same_by_octets(dissect);
    }

    #[test]
    fn other_dialogues_are_not() {
        for (what, server, client) in [
            ("FTP", "220 ready\r\n", "MODE READER\r\n"),
            ("FTP's mode", "200 ready\r\n", "MODE S\r\n"),
            ("no name", "200 ready\r\n", "LIST\r\n"),
            ("another command", "200 news\r\n", "USER a\r\n"),
            ("number", "2000 news\r\n", "GROUP a\r\n"),
        ] {
            let trial = Trial::tcp(119).server(server).client(client);
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        greeted().refused(dissect);
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[upgraded()]);
    }
}
