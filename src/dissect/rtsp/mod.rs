//! RTSP (RFC 2326, RFC 7826): the request line, status line and headers of both sides' first
//! messages, and where its streams flow beside it ([`transport`]).

pub mod transport;

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::Opening;

const METHODS: &[&str] = &[
    "OPTIONS",
    "DESCRIBE",
    "ANNOUNCE",
    "SETUP",
    "PLAY",
    "PAUSE",
    "TEARDOWN",
    "GET_PARAMETER",
    "SET_PARAMETER",
    "REDIRECT",
    "RECORD",
    "PLAY_NOTIFY",
];

const VERSION: &[u8] = b"RTSP/";

/// A request line is an address: what is longer is none.
const MAX_LINE: usize = 2048;

/// What one side's bytes are.
enum Seen<'a> {
    Other,
    Short,
    Request { method: &'a [u8], uri: &'a [u8] },
    Response,
}

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, |bytes| bytes.starts_with(VERSION));
    let (client, server) = (dialogue.client.bytes, dialogue.server.bytes);
    let (asked, answered) = (look(client), look(server));
    match (&asked, &answered) {
        (Seen::Other, _) | (Seen::Short, Seen::Other) => return Outcome::NotMine,
        (Seen::Short, Seen::Short) => return Outcome::NeedMore,
        _ => {}
    }
    facts.proto = Some(Proto::RTSP);
    facts.swapped = dialogue.swapped;
    let rtsp = facts.rtsp.get_or_insert_default();
    if let Seen::Request { method, uri } = asked {
        rtsp.method = dialogue::text(method);
        facts.server_name = dialogue::host_of_uri(uri);
    }
    rtsp.user_agent = header(client, "User-Agent");
    rtsp.server = header(server, "Server");
    match matches!(answered, Seen::Response) && (rtsp.server.is_some() || server.len() > 512) {
        true => Outcome::Done,
        false => Outcome::Partial,
    }
}

fn look(bytes: &[u8]) -> Seen<'_> {
    if bytes.iter().zip(VERSION).all(|(a, b)| a == b) {
        return match bytes.get(VERSION.len()..) {
            Some([b'1' | b'2', b'.', b'0', b' ', ..]) => Seen::Response,
            Some(rest) if rest.len() >= 4 => Seen::Other,
            _ => Seen::Short,
        };
    }
    // Methods are case-sensitive; the first letters turn away other text.
    let may_be_method = METHODS
        .iter()
        .any(|method| bytes.iter().zip(method.as_bytes()).all(|(a, b)| a == b));
    if !may_be_method {
        return Seen::Other;
    }
    let Some((line, _)) = dialogue::split_line(bytes.get(..MAX_LINE).unwrap_or(bytes)) else {
        return if bytes.len() < MAX_LINE {
            Seen::Short
        } else {
            Seen::Other
        };
    };
    let method = dialogue::word(line);
    let rest = dialogue::after_word(line);
    let uri = dialogue::word(rest);
    let known = METHODS.iter().any(|name| name.as_bytes() == method);
    match known && dialogue::after_word(rest).starts_with(VERSION) {
        true => Seen::Request { method, uri },
        false => Seen::Other,
    }
}

/// The value of the header `name` in the message at the front of `bytes`.
fn header(bytes: &[u8], name: &str) -> Option<Box<str>> {
    dialogue::text(header_value(bytes, name)?)
}

/// The same, as it stands there.
fn header_value<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    dialogue::lines(bytes)
        .skip(1)
        .take_while(|line| !line.is_empty())
        .find_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let (field, value) = line.split_at_checked(colon)?;
            let is_wanted = field.eq_ignore_ascii_case(name.as_bytes());
            value.get(1..).filter(|_| is_wanted)
        })
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, withstands};
    use super::*;

    /// RFC 2326 section 10.2, with headers of section 12.
    fn typical() -> Trial {
        Trial::tcp(554)
            .client(
                "DESCRIBE rtsp://server.example.com:554/fizzle/foo RTSP/1.0\r\nCSeq: 312\r\n\
                 User-Agent: LibVLC/3.0\r\n\r\n",
            )
            .server("RTSP/1.0 200 OK\r\nCSeq: 312\r\nServer: GStreamer\r\n\r\n")
    }

    #[test]
    fn requests_and_answers_are_read() {
        typical().same_by_octets(dissect);
        for (trial, swapped) in [(typical(), false), (typical().turned(), true)] {
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::RTSP));
            assert_eq!(
                facts.rtsp.as_ref().unwrap().method.as_deref(),
                Some("DESCRIBE")
            );
            assert_eq!(facts.server_name.as_deref(), Some("server.example.com"));
            assert_eq!(
                facts.rtsp.as_ref().unwrap().user_agent.as_deref(),
                Some("LibVLC/3.0")
            );
            assert_eq!(
                facts.rtsp.as_ref().unwrap().server.as_deref(),
                Some("GStreamer")
            );
            assert_eq!(facts.swapped, swapped);
        }
        let any = Trial::tcp(8554).client("OPTIONS * RTSP/2.0\r\n");
        assert_eq!(any.facts(dissect).server_name, None);
    }

    #[test]
    fn other_text_is_not() {
        for text in [
            "OPTIONS sip:a@b.c SIP/2.0\r\n",
            "OPTIONS / HTTP/1.1\r\n",
            "PLAYING rtsp://a/ RTSP/1.0\r\n",
            "RTSP/3.1 200\r\n",
            "GET / HTTP/1.1\r\n",
            "describe rtsp://a/ RTSP/1.0\r\n",
        ] {
            assert_eq!(
                Trial::tcp(554).client(text).ask(dissect).0,
                Outcome::NotMine,
                "{text}"
            );
        }
    }

    #[test]
    fn withstands_mutations() {
        withstands(dissect, &[typical()]);
    }
}
