//! ManageSieve (RFC 5804): the server's capabilities, and TLS begun inside (section 2.2).

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

/// Section 1.7: capabilities a server lists, of which the first says what it is.
const IMPLEMENTATION: &[u8] = b"\"IMPLEMENTATION\" \"";

/// Whether `bytes` may be a server's capabilities, cut anywhere.
fn greets(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .zip(IMPLEMENTATION)
        .all(|(a, b)| a.eq_ignore_ascii_case(b))
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, greets);
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    if !greets(server) || server.is_empty() && !client.is_empty() {
        return Outcome::NotMine;
    }
    let Some((line, _)) = dialogue::split_line(server) else {
        return Outcome::NeedMore;
    };
    let Some(software) = line.get(IMPLEMENTATION.len()..) else {
        return Outcome::NotMine;
    };
    facts.proto = Some(Proto::SIEVE);
    facts.swapped = dialogue.swapped;
    facts.banner.get_or_insert_default().software =
        dialogue::text(software.strip_suffix(b"\"").unwrap_or(software));
    let in_clear = dialogue::lines(client).any(|line| {
        let verbs = ["AUTHENTICATE", "LOGOUT", "LISTSCRIPTS", "PUTSCRIPT"];
        dialogue::is_one_of(dialogue::word(line), &verbs)
    });
    let asks = |line: &[u8]| line.eq_ignore_ascii_case(b"STARTTLS");
    starttls::outcome(dialogue.client, dialogue.server, asks, in_clear)
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::super::{Inside, Outcome};
    use super::*;

    fn greeted() -> Trial {
        Trial::tcp(4190).server(
            "\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n",
        )
    }

    fn upgraded() -> Trial {
        greeted()
            .client("STARTTLS\r\n")
            .server("OK \"Begin TLS\"\r\n")
            .client(hex(CLIENT_HELLO))
    }

    #[test]
    fn capabilities_say_what_it_is() {
        for (what, trial, outcome) in [
            ("greeted", greeted(), Outcome::Wraps(Inside::LATER)),
            (
                "in clear",
                greeted().client("AUTHENTICATE \"PLAIN\" \"eA==\"\r\n"),
                Outcome::Done,
            ),
            (
                "TLS",
                upgraded(),
                Outcome::Wraps(Inside::plain(Some(10), None)),
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::SIEVE), "{what}");
            assert_eq!(
                facts.banner.as_ref().unwrap().software.as_deref(),
                Some("Dovecot Pigeonhole")
            );
            assert!(trial.turned().facts(dissect).swapped, "{what}");
        }
        upgraded().same_by_octets(dissect);
        for other in ["\"IMPLEMENTATION\"\r\n", "\"SASL\" \"PLAIN\"\r\n", "OK\r\n"] {
            let trial = Trial::tcp(4190).server(other);
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{other}");
        }
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[upgraded()]);
    }
}
