//! A question that is answered in another protocol: a probe for RDP that a web server refuses was a
//! talk with a web server.
//!
//! What the client says first may be a claim only; what the server says first is what it is.

use crate::app::Proto;
use crate::dissect::DISSECTORS;
use crate::flow::{Opening, Stream, Transport};

/// What a server's first bytes show beyond doubt.
#[derive(Clone, Copy, Debug)]
struct Answer {
    prefix: &'static [u8],
    /// The dissectors whose protocol it is, the likeliest first.
    dissectors: &'static [&'static str],
    /// What it is, where the prefix alone says so.
    proto: Option<Proto>,
}

const ANSWERS: &[Answer] = &[
    // RFC 9112 section 4.
    answer(b"HTTP/1.", &["http"], Some(Proto::HTTP)),
    // RFC 4253 section 4.2.
    answer(b"SSH-2.0-", &["ssh"], Some(Proto::SSH)),
    answer(b"SSH-1.", &["ssh"], Some(Proto::SSH)),
    // RFC 1939 section 4, RFC 9051 section 7.1.1.
    answer(b"+OK ", &["pop3"], Some(Proto::POP3)),
    answer(b"* OK ", &["imap"], Some(Proto::IMAP)),
    // RFC 5321 section 4.2, RFC 959 section 5.4.
    answer(b"220 ", &["smtp", "ftp"], None),
    answer(b"220-", &["smtp", "ftp"], None),
    // RFC 2326 section 7.1, RFC 3261 section 7.2.
    answer(b"RTSP/1.0 ", &["rtsp"], Some(Proto::RTSP)),
    answer(b"SIP/2.0 ", &["sip"], Some(Proto::SIP)),
];

const fn answer(
    prefix: &'static [u8],
    dissectors: &'static [&'static str],
    proto: Option<Proto>,
) -> Answer {
    Answer {
        prefix,
        dissectors,
        proto,
    }
}

/// RFC 8446 section 6: an alert of a server that could not read the client's first message.
const ALERT: Answer = answer(b"\x15\x03", &["tls"], Some(Proto::TLS));

/// Protocols that are TLS, look like it, or are found in it.
const LIKE_TLS: &[&str] = &["tls", "mmtls", "whatsapp", "telegram"];

/// What the server's first bytes say of a protocol claimed by the client's alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Too little to tell.
    Short,
    /// Nothing against it.
    Nothing,
    /// The server speaks another protocol: the place in `DISSECTORS` of the one it is for, and
    /// the protocol, where it is sure.
    Other(Option<(u8, Proto)>),
}

/// What the server's first bytes in `opening` say of the dissector `owner`; `None`: the client's
/// bytes are nothing that is known.
pub(super) fn said(opening: &Opening<'_>, owner: Option<u8>) -> Said {
    if opening.transport != Transport::Tcp || opening.server.mid_stream {
        return Said::Nothing;
    }
    let bytes = opening.server.bytes;
    if bytes.is_empty() {
        return Said::Short;
    }
    let claimed = owner
        .and_then(|place| DISSECTORS.get(usize::from(place)))
        .map(|row| row.name);
    let found = ANSWERS.iter().find(|one| bytes.starts_with(one.prefix));
    let found = found.or_else(|| {
        // Nothing else is both that short and that well-formed.
        let &[21, 3, 0..=4, 0, 2, 1 | 2, ..] = bytes else {
            return None;
        };
        let claimed = claimed?;
        (!LIKE_TLS.contains(&claimed)).then_some(&ALERT)
    });
    let Some(found) = found else {
        let may_grow = ANSWERS.iter().chain([&ALERT]).any(|one| {
            let len = one
                .prefix
                .len()
                .max(if one.prefix.len() == 2 { 7 } else { 0 });
            bytes.len() < len && bytes.iter().zip(one.prefix).all(|(a, b)| a == b)
        });
        return if may_grow { Said::Short } else { Said::Nothing };
    };
    if claimed.is_some_and(|claimed| found.dissectors.contains(&claimed)) {
        return Said::Nothing;
    }
    let place = |name: &str| {
        let place = DISSECTORS.iter().position(|row| row.name == name)?;
        u8::try_from(place).ok()
    };
    let first = found.dissectors.first().and_then(|name| place(name));
    Said::Other(first.zip(found.proto))
}

/// `opening` as if the client had said nothing.
pub(super) fn alone<'a>(opening: &Opening<'a>) -> Opening<'a> {
    Opening {
        client: Stream {
            bytes: &[],
            ends: &[],
            ..opening.client
        },
        ..*opening
    }
}
