//! HTTP/2 in the clear with prior knowledge (RFC 9113 section 3.3): the first request and the
//! first response. gRPC inside a network is what mostly speaks it.
//!
//! `hpack` decodes the header blocks; what fields mean is shared with `http`.

mod hpack;
mod huffman;

use std::borrow::Cow;

use super::http::{RequestFields, tell_response_field};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Stream};
use crate::wire::reader::Reader;
use hpack::Decoder;

/// RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 0x04;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

/// Reads the opening of a TCP flow.
pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let (mut client, mut server) = (opening.client, opening.server);
    let swapped = server.bytes.starts_with(PREFACE);
    if swapped {
        (client, server) = (server, client);
    }
    let Some(frames) = client.bytes.strip_prefix(PREFACE) else {
        let waiting = !client.ended && PREFACE.starts_with(client.bytes);
        return if waiting {
            Outcome::NeedMore
        } else {
            Outcome::NotMine
        };
    };
    facts.proto = Some(Proto::HTTP2);
    facts.swapped |= swapped;

    let asked = match first_block(frames) {
        Block::Whole(block) => {
            tell_request(&block, facts);
            true
        }
        Block::Waiting => client.ended,
        Block::Broken => true,
    };
    if asked && is_answered(server, facts) {
        Outcome::Done
    } else {
        Outcome::Partial
    }
}

fn is_answered(server: Stream<'_>, facts: &mut Facts) -> bool {
    match first_block(server.bytes) {
        Block::Whole(block) => {
            tell_response(&block, facts);
            true
        }
        Block::Waiting => server.ended,
        Block::Broken => true,
    }
}

fn tell_request(block: &[u8], facts: &mut Facts) {
    let decoded = Decoder::new().decode(block);
    let mut fields = RequestFields::default();
    let (mut method, mut path, mut authority) = (&[][..], &[][..], None);
    for (name, value) in &decoded {
        match name.as_slice() {
            b":method" => method = value,
            b":path" => path = value,
            b":authority" => authority = Some(value.as_slice()),
            [b':', ..] => {}
            name => fields.read(name, value),
        }
    }
    // RFC 9113 section 8.3.1: `:authority` stands for Host, and goes before it.
    fields.set_host(authority);
    fields.tell(method, path, facts);
}

fn tell_response(block: &[u8], facts: &mut Facts) {
    let http = facts.http.get_or_insert_default();
    for (name, value) in Decoder::new().decode(block) {
        if name == b":status" {
            http.status = std::str::from_utf8(&value)
                .ok()
                .and_then(|it| it.parse().ok());
        } else {
            tell_response_field(&name, &value, http);
        }
    }
}

/// The header block of the first HEADERS frame.
enum Block<'a> {
    /// It is not there yet, or not all of it.
    Waiting,
    /// What comes is not sound.
    Broken,
    Whole(Cow<'a, [u8]>),
}

fn first_block(bytes: &[u8]) -> Block<'_> {
    let mut reader = Reader::new(bytes);
    loop {
        let Some(frame) = Frame::next(&mut reader) else {
            return Block::Waiting;
        };
        // The smallest limit a peer may set, and all that is allowed before it has set one.
        if frame.len > 1 << 14 || frame.kind == CONTINUATION {
            return Block::Broken;
        }
        if frame.kind != HEADERS {
            continue;
        }
        let Some(payload) = frame.payload else {
            return Block::Waiting;
        };
        let Some(fragment) = header_fragment(payload, frame.flags) else {
            return Block::Broken;
        };
        if frame.flags & END_HEADERS != 0 {
            return Block::Whole(Cow::Borrowed(fragment));
        }
        return continued(fragment, reader);
    }
}

/// Joins the CONTINUATION frames that must follow (RFC 9113 section 6.10).
fn continued<'a>(fragment: &[u8], mut reader: Reader<'a>) -> Block<'a> {
    let mut block = fragment.to_vec();
    loop {
        let Some(frame) = Frame::next(&mut reader) else {
            return Block::Waiting;
        };
        if frame.kind != CONTINUATION {
            return Block::Broken;
        }
        let Some(payload) = frame.payload else {
            return Block::Waiting;
        };
        block.extend_from_slice(payload);
        if frame.flags & END_HEADERS != 0 {
            return Block::Whole(Cow::Owned(block));
        }
    }
}

/// The field block of a HEADERS frame without padding and priority (RFC 9113 section 6.2).
fn header_fragment(payload: &[u8], flags: u8) -> Option<&[u8]> {
    let mut reader = Reader::new(payload);
    let padding = if flags & PADDED != 0 { reader.u8()? } else { 0 };
    if flags & PRIORITY != 0 {
        reader.skip(5)?;
    }
    let len = reader.left().checked_sub(padding.into())?;
    reader.take(len)
}

/// A frame (RFC 9113 section 4.1).
struct Frame<'a> {
    len: usize,
    kind: u8,
    flags: u8,
    /// `None` when it is not all there.
    payload: Option<&'a [u8]>,
}

impl<'a> Frame<'a> {
    fn next(reader: &mut Reader<'a>) -> Option<Self> {
        let len = reader.be24()? as usize;
        let kind = reader.u8()?;
        let flags = reader.u8()?;
        reader.be32()?; // stream
        let payload = reader.take(len);
        if payload.is_none() {
            // Nothing follows a frame whose end is missing.
            reader.skip(reader.left())?;
        }
        Some(Self {
            len,
            kind,
            flags,
            payload,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use proptest::prelude::{any, prop, proptest};

    use super::*;
    use crate::dissect::Http;
    use crate::flow::opening::Script;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn literal(name: &str, value: &str) -> Vec<u8> {
        let string = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        [vec![0], string(name), string(value)].concat()
    }

    fn request_block() -> Vec<u8> {
        [
            vec![0x83], // :method POST
            literal(":path", "/pkg.Service/Call"),
            literal(":authority", "Grpc.example:50051"),
            literal("user-agent", "grpc-go/1.60"),
            literal("content-type", "application/grpc"),
            literal("te", "trailers"),
            literal("x-app", "one"),
        ]
        .concat()
    }

    fn client(frames: &[Vec<u8>]) -> Vec<u8> {
        [
            PREFACE,
            &frame(4, 0, &[0, 3, 0, 0, 0, 100]),
            &frames.concat(),
        ]
        .concat()
    }

    fn response() -> Vec<u8> {
        let block = [vec![0x88], literal("server", "envoy")].concat();
        [
            frame(4, 0, &[]),
            frame(4, 1, &[]),
            frame(HEADERS, END_HEADERS, &block),
        ]
        .concat()
    }

    fn run(script: &Script) -> (Outcome, Facts) {
        let mut facts = Facts::default();
        let outcome = dissect(&script.opening(), &mut facts);
        let mine = matches!(outcome, Outcome::Partial | Outcome::Done);
        assert_eq!(facts.proto, mine.then_some(Proto::HTTP2));
        (outcome, facts)
    }

    #[test]
    fn first_request_and_response() {
        let block = request_block();
        let padded = [&[3, 0, 0, 0, 0, 16][..], &block, &[0; 3]].concat();
        let (a, b) = block.split_at(20);
        for frames in [
            vec![frame(HEADERS, END_HEADERS, &block)],
            vec![frame(HEADERS, END_HEADERS | PADDED | PRIORITY, &padded)],
            vec![
                frame(8, 0, &[0; 4]),
                frame(HEADERS, 0, a),
                frame(CONTINUATION, END_HEADERS, b),
            ],
            vec![
                frame(HEADERS, 0, a),
                frame(CONTINUATION, 0, b),
                frame(CONTINUATION, END_HEADERS, &[]),
            ],
        ] {
            let (outcome, facts) = run(&Script::tcp(50051)
                .client(&client(&frames))
                .server(&response()));
            assert_eq!(outcome, Outcome::Done);
            let expected = Facts {
                proto: Some(Proto::HTTP2),
                server_name: Some("grpc.example".into()),
                http: Some(Box::new(Http {
                    method: Some("POST".into()),
                    path: Some("/pkg.Service/Call".into()),
                    user_agent: Some("grpc-go/1.60".into()),
                    content_type: Some("application/grpc".into()),
                    server: Some("envoy".into()),
                    status: Some(200),
                    headers: vec![("x-app".into(), "one".into())],
                    ..Http::default()
                })),
                ..Facts::default()
            };
            assert_eq!(facts, expected);
        }
    }

    #[test]
    fn outcomes() {
        use Outcome::{Done, NeedMore, NotMine, Partial};
        let tcp = || Script::tcp(80);
        let asked = client(&[frame(HEADERS, END_HEADERS, &request_block())]);
        let broken = client(&[frame(CONTINUATION, 0, &[])]);
        let too_much_padding = client(&[frame(HEADERS, END_HEADERS | PADDED, &[9, 0x82])]);
        let interrupted = client(&[frame(HEADERS, 0, &[0x82]), frame(0, 0, &[])]);
        for (what, script, expected) in [
            ("nothing", tcp(), NeedMore),
            ("first octet", tcp().client(b"P"), NeedMore),
            ("another", tcp().client(b"PROPFIND"), NotMine),
            ("preface", tcp().client(PREFACE), Partial),
            ("request", tcp().client(&asked), Partial),
            ("both", tcp().client(&asked).server(&response()), Done),
            ("server alone", tcp().server(&response()), NeedMore),
            ("exchanged", tcp().server(&asked).client(&response()), Done),
            ("broken", tcp().client(&broken).server(&response()), Done),
            (
                "padding",
                tcp().client(&too_much_padding).server(&response()),
                Done,
            ),
            (
                "interrupted",
                tcp().client(&interrupted).server(&response()),
                Done,
            ),
            (
                "answer is none",
                tcp().client(&asked).server(b"HTTP/1.1 400 Bad Request\r\n"),
                Done,
            ),
        ] {
            assert_eq!(run(&script).0, expected, "{what}");
        }
        for len in 1..asked.len() {
            let (outcome, facts) = run(&tcp().client(&asked[..len]));
            let expected = if len < PREFACE.len() {
                NeedMore
            } else {
                Partial
            };
            assert_eq!((outcome, facts.server_name), (expected, None), "{len}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = client(&[frame(HEADERS, END_HEADERS, &request_block())]);
            for (at, value) in changes {
                let at = PREFACE.len() + at.index(bytes.len() - PREFACE.len());
                bytes[at] = value;
            }
            run(&Script::tcp(80).client(&bytes).server(&noise));
            run(&Script::tcp(80).client(&[PREFACE, &noise].concat()).server(&response()));
        }
    }
}
