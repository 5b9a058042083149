//! What protocols of text lines share (SMTP, FTP, POP3, IMAP, SSH, RTSP, XMPP): cutting lines,
//! telling by its greeting which side is the server, and keeping bounded texts.

use super::host;
use crate::flow::{Opening, Stream};

/// The longest text kept.
pub(super) const MAX_TEXT: usize = 512;

/// The two sides by what they say rather than by who opened the connection.
#[derive(Clone, Copy)]
pub(super) struct Dialogue<'a> {
    pub(super) client: Stream<'a>,
    pub(super) server: Stream<'a>,
    /// The server is who was taken for the client.
    pub(super) swapped: bool,
}

impl<'a> Dialogue<'a> {
    /// The roles in `opening`, where what a server says first passes `greets`.
    pub(super) fn new(opening: &Opening<'a>, greets: fn(&[u8]) -> bool) -> Self {
        let speaks = |stream: Stream<'_>| !stream.is_empty() && greets(stream.bytes);
        let swapped = speaks(opening.client) && !speaks(opening.server);
        let (client, server) = if swapped {
            (opening.server, opening.client)
        } else {
            (opening.client, opening.server)
        };
        Self {
            client,
            server,
            swapped,
        }
    }
}

/// The first line of `bytes` without its end, and what follows; `None` until LF has come.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// The whole lines of `bytes`, the first 64.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (line, after) = split_line(rest)?;
        rest = after;
        Some(line)
    })
    .take(64)
}

/// Whether `bytes` are the beginning of a reply: three digits, then a space, `-` or the line's end
/// (RFC 5321 section 4.2, RFC 959 section 4.2).
pub(super) fn may_be_reply(bytes: &[u8]) -> bool {
    bytes.iter().take(3).all(u8::is_ascii_digit)
        && bytes
            .get(3)
            .is_none_or(|after| matches!(after, b' ' | b'-' | b'\r' | b'\n'))
}

/// The code of the reply at the front of `bytes`.
pub(super) fn reply_code(bytes: &[u8]) -> Option<u16> {
    let &[a, b, c, _] = bytes.first_chunk()?;
    may_be_reply(bytes)
        .then(|| u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
}

/// The first word of `line`, which ends at a space or the end.
pub(super) fn word(line: &[u8]) -> &[u8] {
    let end = memchr::memchr(b' ', line).unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

/// What follows the first word and its spaces.
pub(super) fn after_word(line: &[u8]) -> &[u8] {
    line.get(word(line).len()..)
        .unwrap_or_default()
        .trim_ascii()
}

/// Whether `word` is one of `verbs`, in any case.
pub(super) fn is_one_of(word: &[u8], verbs: &[&str]) -> bool {
    verbs
        .iter()
        .any(|verb| word.eq_ignore_ascii_case(verb.as_bytes()))
}

/// Whether `bytes`, cut anywhere, may be the beginning of one of `verbs`, in any case.
pub(super) fn may_begin(bytes: &[u8], verbs: &[&str]) -> bool {
    verbs.iter().any(|verb| {
        bytes
            .iter()
            .zip(verb.as_bytes())
            .all(|(a, b)| a.eq_ignore_ascii_case(b))
    })
}

/// Whether `word` occurs in `text`, in any case.
pub(super) fn mentions(text: &[u8], word: &str) -> bool {
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// `bytes` as a text of at most [`MAX_TEXT`] bytes; controls are left out. `None` if that leaves
/// nothing.
pub(super) fn text(bytes: &[u8]) -> Option<Box<str>> {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    let mut kept = String::new();
    for letter in String::from_utf8_lossy(bytes).trim().chars() {
        if !letter.is_control() && kept.len() + letter.len_utf8() <= MAX_TEXT {
            kept.push(letter);
        }
    }
    (!kept.is_empty()).then(|| kept.into())
}

/// The host of `authority` (`user@host:port`) in lower case; `None` for addresses and for what
/// cannot be a name.
pub(super) fn host(authority: &[u8]) -> Option<Box<str>> {
    host::authority_host(authority).filter(|name| !host::is_address(name))
}

/// The host of `uri` (`scheme://user@host:port/path`).
pub(super) fn host_of_uri(uri: &[u8]) -> Option<Box<str>> {
    let colon = memchr::memchr(b':', uri)?;
    let rest = uri.get(colon + 1..)?.strip_prefix(b"//")?;
    let end = rest
        .iter()
        .position(|b| matches!(b, b'/' | b'?' | b'#' | b' '))
        .unwrap_or(rest.len());
    host(rest.get(..end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_lf() {
        assert_eq!(split_line(b"ab\r\ncd"), Some((&b"ab"[..], &b"cd"[..])));
        assert_eq!(split_line(b"ab\r"), None);
        let all: Vec<_> = lines(b"a\n\r\nb\r\nc").collect();
        assert_eq!(all, [&b"a"[..], b"", b"b"]);
        assert_eq!(lines(&[b'\n'; 100]).count(), 64);
    }

    #[test]
    fn replies_have_three_digits() {
        for (bytes, code) in [
            (&b"220 x"[..], Some(220)),
            (b"220-", Some(220)),
            (b"220", None),
            (b"2200", None),
            (b"2x0 ", None),
            (b"999\r\n", Some(999)),
        ] {
            assert_eq!(reply_code(bytes), code, "{bytes:?}");
        }
    }

    #[test]
    fn words_are_compared_in_any_case() {
        assert_eq!(
            (word(b"EHLO  a b"), after_word(b"EHLO  a b")),
            (&b"EHLO"[..], &b"a b"[..])
        );
        assert!(is_one_of(b"ehlo", &["HELO", "EHLO"]) && !is_one_of(b"ehl", &["EHLO"]));
        assert!(may_begin(b"eh", &["EHLO"]) && may_begin(b"EHLO x", &["EHLO"]));
        assert!(!may_begin(b"ex", &["EHLO"]));
        assert!(mentions(b"220 x eSMTP", "smtp") && !mentions(b"smt", "smtp"));
    }

    #[test]
    fn texts_and_names_are_bounded() {
        assert_eq!(text(b" a\x01\xff ").as_deref(), Some("a\u{fffd}"));
        assert_eq!(text(b"\r\n"), None);
        assert!(text(&[0xff; 600]).unwrap().len() <= MAX_TEXT);
        for (authority, name) in [
            (&b"Mail.Example.COM.:25"[..], Some("mail.example.com")),
            (b"u@h:p@example.org", Some("example.org")),
            (b"localhost", Some("localhost")),
            (b"192.0.2.1:80", None),
            (b"[2001:db8::1]", None),
            (b"a..b", None),
            (b"a b", None),
            (b"", None),
            (&[b'a'; 256], None),
        ] {
            assert_eq!(host(authority).as_deref(), name, "{authority:?}");
        }
        assert_eq!(
            host_of_uri(b"rtsp://a@Cam.example/x").as_deref(),
            Some("cam.example")
        );
        assert_eq!(host_of_uri(b"mailto:a@example.org"), None);
    }
}
