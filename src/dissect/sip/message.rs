//! SIP's text (RFC 3261 section 7): start line, headers, body, and where a message ends.
//!
//! SIP-C, which Fetion speaks, has the same shape with a version, methods and header names of its
//! own: `R fetion.com.cn SIP-C/4.0`.

use memchr::{memchr, memmem};

use super::super::plain::{host, lines};

/// The longest start line looked for.
const MAX_LINE: usize = 2048;

/// Headers read of one message.
const MAX_HEADERS: usize = 128;

/// Which of the two protocols a start line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `SIP/2.0`
    Sip,
    /// `SIP-C/` and a version.
    SipC,
}

/// A start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start<'a> {
    Request { method: &'a [u8], target: &'a [u8] },
    Response { status: u16 },
}

/// What the first bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin<'a> {
    /// A start line, and what comes after it.
    Line(Dialect, Start<'a>, &'a [u8]),
    /// The front of one, so far.
    Cut,
    /// Something else.
    Foreign,
}

impl<'a> Begin<'a> {
    /// Reads the start line of `bytes`, past empty lines (RFC 3261 section 7.5).
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let bytes = start
            .and_then(|start| bytes.get(start..))
            .unwrap_or_default();
        if bytes.is_empty() {
            return Self::Cut;
        }
        if !is_plausible(bytes) {
            return Self::Foreign;
        }
        let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
        let Some((line, rest)) =
            memchr(b'\n', window).and_then(|end| Some((bytes.get(..end)?, bytes.get(end + 1..)?)))
        else {
            return if bytes.len() < MAX_LINE {
                Self::Cut
            } else {
                Self::Foreign
            };
        };
        match start_line(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some((dialect, start)) => Self::Line(dialect, start, rest),
            None => Self::Foreign,
        }
    }
}

/// Whether a start line could go on from `bytes`: what other text protocols send is refused by
/// its first word or by the beginning of its second.
fn is_plausible(bytes: &[u8]) -> bool {
    let agrees = |text: &[u8]| bytes.iter().zip(text).all(|(a, b)| a == b);
    if agrees(b"SIP/2.0 ") || agrees(b"SIP-C/") {
        return true;
    }
    let method = bytes
        .iter()
        .take(32)
        .take_while(|b| b.is_ascii_uppercase() || **b == b'_')
        .count();
    let Some((b' ', target)) = bytes.get(method..).and_then(|rest| rest.split_first()) else {
        return method > 0 && method == bytes.len();
    };
    let scheme = |text: &[u8]| {
        target
            .iter()
            .zip(text)
            .all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let is_sip = [&b"sip:"[..], b"sips:", b"tel:", b"urn:", b"im:", b"pres:"]
        .iter()
        .any(|s| scheme(s));
    let is_sip_c =
        (1..=3).contains(&method) && target.first().is_none_or(u8::is_ascii_alphanumeric);
    method > 0 && (is_sip || is_sip_c)
}

fn start_line(line: &[u8]) -> Option<(Dialect, Start<'_>)> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (first, second) = (words.next()?, words.next()?);
    if let Some(dialect) = version(first) {
        let &[a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9'] = second else {
            return None;
        };
        let status = [a, b, c]
            .iter()
            .fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
        return Some((dialect, Start::Response { status }));
    }
    // A target may hold spaces where a client forgot to escape them.
    let end = memchr::memrchr(b' ', line)?;
    let dialect = version(line.get(end + 1..)?)?;
    let target = line.get(first.len() + 1..end)?;
    let fits = match dialect {
        Dialect::Sip => memchr(b':', target).is_some(),
        Dialect::SipC => first.len() <= 3 && !target.contains(&b' '),
    };
    (fits && !target.is_empty()).then_some((
        dialect,
        Start::Request {
            method: first,
            target,
        },
    ))
}

fn version(word: &[u8]) -> Option<Dialect> {
    if word == b"SIP/2.0" {
        return Some(Dialect::Sip);
    }
    match word.strip_prefix(b"SIP-C/")? {
        [b'0'..=b'9', b'.', b'0'..=b'9'] => Some(Dialect::SipC),
        _ => None,
    }
}

/// A header that is read, whichever form its name has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    From,
    To,
    Contact,
    ContentLength,
    UserAgent,
    Server,
    AccessNetwork,
    /// SIP-C's `CL`: kind and version of the client.
    Client,
}

/// Names, and the compact forms of RFC 3261 section 20 (SIP-C has only those).
const HEADERS: [(&[u8], Header); 12] = [
    (b"from", Header::From),
    (b"f", Header::From),
    (b"to", Header::To),
    (b"t", Header::To),
    (b"contact", Header::Contact),
    (b"m", Header::Contact),
    (b"content-length", Header::ContentLength),
    (b"l", Header::ContentLength),
    (b"user-agent", Header::UserAgent),
    (b"server", Header::Server),
    (b"p-access-network-info", Header::AccessNetwork),
    (b"cl", Header::Client),
];

/// The headers that are read, of those in whole lines before the empty one.
pub(super) fn headers(head: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    let whole = memchr::memrchr(b'\n', head).and_then(|end| head.get(..end));
    lines(whole.unwrap_or_default())
        .take(MAX_HEADERS)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
            let name = name.trim_ascii_end();
            let (_, header) = HEADERS
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            Some((*header, value.get(1..)?.trim_ascii()))
        })
}

/// Head and body around the empty line; `None` while that has not come.
pub(super) fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (end, gap) = match memmem::find(rest, b"\r\n\r\n") {
        Some(end) => (end + 2, 2),
        None => (memmem::find(rest, b"\n\n")? + 1, 1),
    };
    Some((rest.get(..end)?, rest.get(end + gap..)?))
}

/// The value of Content-Length; zero when there is none.
pub(super) fn content_length(head: &[u8]) -> usize {
    headers(head)
        .find(|(header, _)| *header == Header::ContentLength)
        .and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok())
        .unwrap_or(0)
}

/// The host of the first SIP URI in `value`: `"Bob" <sip:bob@example.com:5060;lr>;tag=1`.
pub(super) fn uri_host(value: &[u8]) -> Option<Box<str>> {
    let scheme = |from: &[u8]| {
        let colon = memchr(b':', from.get(..5).unwrap_or(from))?;
        let name = from.get(..colon)?;
        (name.eq_ignore_ascii_case(b"sip") || name.eq_ignore_ascii_case(b"sips"))
            .then_some(colon + 1)
    };
    let value = value.get(..512).unwrap_or(value);
    let begin = match value.iter().position(|&byte| byte == b'<') {
        Some(bracket) => bracket + 1,
        None => value.iter().position(|byte| !byte.is_ascii_whitespace())?,
    };
    let uri = value.get(begin..)?;
    let rest = uri.get(scheme(uri)?..)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'>' | b' ' | b'\t' | b','));
    let rest = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
    // Semicolons may stand in a user part (RFC 3261 section 25.1), not in a host.
    let authority = memchr::memrchr(b'@', rest)
        .and_then(|at| rest.get(at + 1..))
        .unwrap_or(rest);
    host(authority.split(|byte| matches!(byte, b';' | b'?')).next()?)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn start_lines() {
        let request = |method: &'static str, target: &'static str| {
            Some(Start::Request {
                method: method.as_bytes(),
                target: target.as_bytes(),
            })
        };
        use Dialect::{Sip, SipC};
        let rows: &[(&str, Dialect, Option<Start<'_>>)] = &[
            (
                "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n",
                Sip,
                request("INVITE", "sip:bob@biloxi.example.com"),
            ),
            (
                "\r\n\r\nOPTIONS sips:a SIP/2.0\r\n",
                Sip,
                request("OPTIONS", "sips:a"),
            ),
            (
                "SIP/2.0 180 Ringing\r\n",
                Sip,
                Some(Start::Response { status: 180 }),
            ),
            ("SIP/2.0 200 \n", Sip, Some(Start::Response { status: 200 })),
            (
                "R fetion.com.cn SIP-C/4.0\r\n",
                SipC,
                request("R", "fetion.com.cn"),
            ),
            (
                "BN 685592830 SIP-C/2.0\r\n",
                SipC,
                request("BN", "685592830"),
            ),
            (
                "SIP-C/4.0 401 Unauthoried\r\n",
                SipC,
                Some(Start::Response { status: 401 }),
            ),
            ("GET / HTTP/1.1\r\n", Sip, None),
            ("REGISTER sip:a SIP/3.0\r\n", Sip, None),
            ("SETUP rtsp://a/ RTSP/1.0\r\n", Sip, None),
            ("SIP/2.0 7xx\r\n", Sip, None),
            ("SIP-C/4 200 OK\r\n", SipC, None),
            ("INVITE fetion.com.cn SIP-C/4.0\r\n", SipC, None),
            ("R a b SIP-C/4.0\r\n", SipC, None),
            ("CRCX 1204 aaln/1@rgw.example.net MGCP 1.0\r\n", Sip, None),
            ("INVITE  SIP/2.0\r\n", Sip, None),
        ];
        for (text, dialect, want) in rows {
            match (Begin::read(text.as_bytes()), want) {
                (Begin::Line(got, start, rest), Some(want)) => {
                    assert_eq!((got, start, rest), (*dialect, *want, &b""[..]), "{text}");
                }
                (Begin::Foreign, None) => {}
                (got, _) => panic!("{text}: {got:?}"),
            }
            let text = text.trim_end();
            for end in 0..text.len() {
                let got = Begin::read(&text.as_bytes()[..end]);
                let wait = want.is_some() || got == Begin::Foreign || got == Begin::Cut;
                assert!(wait, "{text} cut at {end}: {got:?}");
                assert!(
                    want.is_none() || got == Begin::Cut,
                    "{text} cut at {end}: {got:?}"
                );
            }
        }
        assert_eq!(Begin::read(b"GET /"), Begin::Foreign);
        assert_eq!(Begin::read(b"CONNECT e"), Begin::Foreign);
        assert_eq!(Begin::read(&[b'A'; 40]), Begin::Foreign);
        let long = [&b"INVITE sip:"[..], &[b'a'; MAX_LINE]].concat();
        assert_eq!(Begin::read(&long), Begin::Foreign);
    }

    #[test]
    fn hosts_of_uris() {
        let rows = [
            ("sip:alice@Atlanta.example.com", Some("atlanta.example.com")),
            (
                "\"A\" <sips:a;b@[2001:db8::1]:5061;transport=tcp>;tag=x",
                Some("2001:db8::1"),
            ),
            (
                "<sip:+1@gw.example.net:5060;user=phone>",
                Some("gw.example.net"),
            ),
            ("sip:example.org;lr", Some("example.org")),
            ("tel:+12125551212", None),
            ("<sip:", None),
            ("", None),
            ("sip:a@b c", Some("b")),
        ];
        for (value, want) in rows {
            assert_eq!(uri_host(value.as_bytes()).as_deref(), want, "{value}");
        }
    }

    #[test]
    fn heads_and_bodies() {
        let text =
            b"v: SIP/2.0/TCP a\r\nf: <sip:a@b>\r\nL : 4\r\nsubject: x\r\n y: folded\r\n\r\nbody";
        let (head, body) = split(text).unwrap();
        assert_eq!((content_length(head), body), (4, &b"body"[..]));
        let names: Vec<_> = headers(head).map(|(header, _)| header).collect();
        assert_eq!(names, [Header::From, Header::ContentLength]);
        assert_eq!(split(b"a: b\r\nc: d\r\n"), None);
        assert_eq!(split(b"a: b\n\nx"), Some((&b"a: b\n"[..], &b"x"[..])));
        assert_eq!(headers(b"From: <sip:a@whole>\r\nTo: <sip:cu").count(), 1);
        assert_eq!(content_length(b"l: 99999999999999999999999\r\n"), 0);
    }
}
