//! PostgreSQL's requests for encryption (PostgreSQL documentation, message formats: SSLRequest,
//! GSSENCRequest): answered by one octet, and followed by TLS if that is `S`.
//!
//! All else of the protocol is told by the rules of `signatures/protocol/postgres.toml`.

use super::{Facts, Inside, Outcome};
use crate::app::Proto;
use crate::flow::Opening;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// A client asks for the one, and when that is refused for the other.
const MAX_REQUESTS: usize = 3;

/// Answers: TLS follows, or nothing of the kind.
const TLS: u8 = b'S';
const REFUSED: u8 = b'N';

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    // Who was taken for the server may be the client.
    let swapped = is_request(opening.server.bytes) && !is_request(opening.client.bytes);
    let (client, server) = match swapped {
        true => (opening.server.bytes, opening.client.bytes),
        false => (opening.client.bytes, opening.server.bytes),
    };
    if !is_request(client) {
        let start = client.get(..7).unwrap_or(client);
        // The server has nothing to say before.
        return match SSL_REQUEST.starts_with(start) && client.len() < 8 && server.is_empty() {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    }
    facts.proto = Some(Proto::POSTGRES);
    facts.swapped = swapped;
    let (mut requests, mut answers) = (client, server);
    for asked in 1..=MAX_REQUESTS {
        let inside = |server| Outcome::Wraps(Inside::plain(Some(8 * asked), server));
        match answers.split_first() {
            // Without an answer yet, or in the capture, the client may show that it was one.
            None => return inside(None),
            Some((&TLS, _)) => return inside(Some(asked)),
            Some((&REFUSED, rest)) => answers = rest,
            // GSSAPI, or an `ErrorResponse` of a server that does not know the request.
            Some(_) => return Outcome::Done,
        }
        requests = requests.get(8..).unwrap_or_default();
        if !is_request(requests) {
            // The next may have been cut, else it is the startup message, in clear.
            return match requests.len() < 8 {
                true => Outcome::Wraps(Inside::LATER),
                false => Outcome::Done,
            };
        }
    }
    Outcome::Done
}

fn is_request(bytes: &[u8]) -> bool {
    bytes.starts_with(&SSL_REQUEST) || bytes.starts_with(&GSSENC_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::super::trial::{CLIENT_HELLO, Trial, hex, withstands};
    use super::*;

    fn asks(requests: &[[u8; 8]]) -> Trial {
        let to = Trial::tcp(5432);
        requests
            .iter()
            .fold(to, |trial, request| trial.client(request))
    }

    fn behind(client: usize, server: Option<usize>) -> Outcome {
        Outcome::Wraps(Inside::plain(Some(client), server))
    }

    #[test]
    fn an_answer_says_what_follows() {
        let hello = hex(CLIENT_HELLO);
        let startup = hex("00 00 00 12 00 03 00 00 75 73 65 72 00 62 6f 62 00 00");
        let ssl = || asks(&[SSL_REQUEST]);
        for (what, trial, outcome) in [
            ("asked", ssl(), behind(8, None)),
            ("taken", ssl().server("S"), behind(8, Some(1))),
            (
                "begun",
                ssl().server("S").client(&hello),
                behind(8, Some(1)),
            ),
            ("one-sided", ssl().client(&hello), behind(8, None)),
            ("refused", ssl().server("N").client(&startup), Outcome::Done),
            (
                "refused, yet",
                ssl().server("N"),
                Outcome::Wraps(Inside::LATER),
            ),
            ("error", ssl().server("E\0\0\0\x10"), Outcome::Done),
            ("GSS", asks(&[GSSENC_REQUEST]).server("G"), Outcome::Done),
            (
                "the other",
                asks(&[GSSENC_REQUEST])
                    .server("N")
                    .client(SSL_REQUEST)
                    .server("S"),
                behind(16, Some(2)),
            ),
            (
                "again and again",
                asks(&[SSL_REQUEST; 3]).server("NNN"),
                Outcome::Wraps(Inside::LATER),
            ),
            (
                "for ever",
                asks(&[SSL_REQUEST; 5]).server("NNNN"),
                Outcome::Done,
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, outcome, "{what}");
            assert_eq!(trial.facts(dissect).proto, Some(Proto::POSTGRES), "{what}");
        }
        let turned = ssl().server("S").turned();
        assert!(turned.facts(dissect).swapped);
        ssl().server("S").client(&hello).same_by_octets(dissect);
    }

    #[test]
    fn another_code_is_not() {
        for bytes in ["00 00 00 08 04 d2 16 31", "00 00 00 09 04 d2 16 2f", "01"] {
            let trial = Trial::tcp(5432).client(hex(bytes));
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{bytes}");
        }
        asks(&[SSL_REQUEST]).refused_below(8, dissect);
    }

    #[test]
    fn withstands_mutations() {
        let hello = hex(CLIENT_HELLO);
        let seeds = [
            asks(&[SSL_REQUEST]).server("S").client(&hello),
            asks(&[GSSENC_REQUEST])
                .server("N")
                .client(SSL_REQUEST)
                .server("S"),
        ];
        withstands(dissect, &seeds);
    }
}
