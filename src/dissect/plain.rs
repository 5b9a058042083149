//! Text from bytes of the wire: bounded, valid UTF-8, free of control characters.
//!
//! Names and headers go into records as they were sent, so what a peer puts there must neither
//! break a line of output nor grow without bound. Used by the dissectors of text protocols.

use std::net::IpAddr;

/// The most bytes of a name that [`Facts`](super::Facts) keeps.
pub(super) const MAX_NAME: usize = 255;

/// The most bytes of any other text.
pub(super) const MAX_TEXT: usize = 512;

/// The first `max` bytes as text: what is not UTF-8 or is a control character becomes `?`.
///
/// `None` when nothing but white space is there.
pub(super) fn text(bytes: &[u8], max: usize) -> Option<Box<str>> {
    let bytes = bytes.trim_ascii();
    let bytes = bytes.get(..max).unwrap_or(bytes);
    if bytes.is_empty() {
        return None;
    }
    if bytes.iter().all(|&byte| matches!(byte, 0x20..=0x7e)) {
        return std::str::from_utf8(bytes).ok().map(Into::into);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.extend(
            chunk
                .valid()
                .chars()
                .map(|c| if c.is_control() { '?' } else { c }),
        );
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    // A character cut in half at `max` became one `?` a byte, so the bound holds.
    Some(text.into())
}

/// [`text`] of at most a name's length, in lower case.
pub(super) fn lower(bytes: &[u8]) -> Option<Box<str>> {
    let mut name = text(bytes, MAX_NAME)?;
    name.make_ascii_lowercase();
    Some(name)
}

/// The host of `host`, `host:port` or `[address]:port`, lower case and without a trailing dot.
///
/// `None` when it is empty or holds bytes that neither a domain name nor an address has.
pub(super) fn host(authority: &[u8]) -> Option<Box<str>> {
    let host = match authority.strip_prefix(b"[") {
        Some(literal) => literal.split(|&byte| byte == b']').next()?,
        None => authority.split(|&byte| byte == b':').next()?,
    };
    let host = host.strip_suffix(b".").unwrap_or(host);
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:%".contains(byte);
    if host.len() > MAX_NAME || !host.iter().all(valid) {
        return None;
    }
    lower(host)
}

/// Whether `host` is a domain name of two or more labels: no address, no single word.
pub(super) fn is_domain(host: &str) -> bool {
    host.contains('.') && host.parse::<IpAddr>().is_err() && !host.contains(':')
}

/// The lines of `bytes`, each without its CR LF or LF; the last need not end.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_clean() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"", None),
            (b" \t ", None),
            (b" Cisco/1.0 ", Some("Cisco/1.0")),
            (b"a\x00b\r\nc\x7f", Some("a?b??c?")),
            ("飞信".as_bytes(), Some("飞信")),
            (b"\xff\xfe!", Some("??!")),
        ];
        for (bytes, want) in rows {
            assert_eq!(text(bytes, MAX_TEXT).as_deref(), *want, "{bytes:?}");
        }
        assert_eq!(text("é".repeat(300).as_bytes(), 511).unwrap().len(), 511);
        assert_eq!(text(&[0xff; 600], MAX_TEXT).unwrap().len(), MAX_TEXT);
    }

    #[test]
    fn hosts_lose_port_brackets_and_dot() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"Example.COM", Some("example.com")),
            (b"example.com.:5060", Some("example.com")),
            (b"[2001:DB8::1]:5060", Some("2001:db8::1")),
            (b"192.0.2.1:5060", Some("192.0.2.1")),
            (b"a b", None),
            (b"", None),
            (b":5060", None),
        ];
        for (bytes, want) in rows {
            assert_eq!(host(bytes).as_deref(), *want, "{bytes:?}");
        }
        assert!(is_domain("sip.example.com") && !is_domain("192.0.2.1"));
        assert!(!is_domain("2001:db8::1.2.3.4") && !is_domain("localhost"));
    }
}
