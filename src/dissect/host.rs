//! Host names as protocols carry them, brought to the one form the domain rules expect.
//!
//! Used by every dissector that reads a name (TLS SNI, HTTP Host, certificates). RFC 1123
//! section 2.1 gives the letters; the underscore is added because service names have it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name kept: RFC 1035 section 2.3.4.
const MAX_NAME: usize = 255;

/// The longest label: RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;

/// `bytes` as a host name, lower case and without the trailing dot; `None` when it is not one.
/// An IPv4 address passes, being made of the same letters.
pub(crate) fn host_name(bytes: &[u8]) -> Option<Box<str>> {
    let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label =
        |label: &[u8]| (1..=MAX_LABEL).contains(&label.len()) && label.iter().all(in_name);
    if bytes.len() > MAX_NAME || !bytes.split(|&byte| byte == b'.').all(is_label) {
        return None;
    }
    let name = std::str::from_utf8(bytes).ok()?;
    Some(name.to_ascii_lowercase().into())
}

/// The host of `host [":" port]` (RFC 3986 section 3.2): a name, an IPv4 address, or an IPv6
/// address in brackets, which are kept off the result.
pub(crate) fn authority_host(bytes: &[u8]) -> Option<Box<str>> {
    let bytes = match bytes.iter().rposition(|&byte| byte == b'@') {
        Some(at) => bytes.get(at + 1..)?,
        None => bytes,
    };
    if let Some(rest) = bytes.strip_prefix(b"[") {
        let end = rest.iter().position(|&byte| byte == b']')?;
        let address = std::str::from_utf8(rest.get(..end)?).ok()?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(address.to_string().into());
    }
    let host = match bytes.iter().position(|&byte| byte == b':') {
        Some(colon) => {
            let (host, port) = bytes.split_at_checked(colon)?;
            if port.len() > 6 || !port.iter().skip(1).all(u8::is_ascii_digit) {
                return None;
            }
            host
        }
        None => bytes,
    };
    host_name(host)
}

/// Whether `name` is an address in text form, not a name.
pub(crate) fn is_address(name: &str) -> bool {
    name.parse::<Ipv4Addr>().is_ok() || name.parse::<Ipv6Addr>().is_ok()
}

/// At most `max` bytes of `bytes` as text, without the white space around it. Bytes that are
/// not UTF-8 become U+FFFD; `None` when nothing is left.
pub(crate) fn text(bytes: &[u8], max: usize) -> Option<Box<str>> {
    let bytes = bytes.trim_ascii();
    let cut = bytes.get(..max).unwrap_or(bytes);
    // Nearly always; and several times as fast.
    if let Ok(text) = std::str::from_utf8(cut) {
        return (!text.is_empty()).then(|| text.into());
    }
    let mut text = String::from_utf8_lossy(cut).into_owned();
    // A cut inside a character leaves one replacement character, and each replaced byte is
    // three: the limit is on what is kept.
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_checked() {
        let long_label = "a".repeat(64);
        let long_name = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(63),
        ]
        .join(".");
        let cases: [(&str, Option<&str>); 14] = [
            ("Example.COM", Some("example.com")),
            ("example.com.", Some("example.com")),
            ("_sip._tcp.example.com", Some("_sip._tcp.example.com")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("localhost", Some("localhost")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("", None),
            (".", None),
            ("a..b", None),
            ("example.com..", None),
            ("exa mple.com", None),
            ("example.com:443", None),
            (&long_label, None),
            (&long_name, Some(&long_name)),
        ];
        for (input, expected) in cases {
            assert_eq!(
                host_name(input.as_bytes()).as_deref(),
                expected,
                "{input:?}"
            );
        }
        assert_eq!(host_name("bücher.example".as_bytes()), None);
        assert_eq!(host_name(format!("{long_name}.e").as_bytes()), None);
    }

    #[test]
    fn authorities_lose_their_port() {
        for (input, expected) in [
            ("Example.com:8080", Some("example.com")),
            ("example.com", Some("example.com")),
            ("example.com:", Some("example.com")),
            ("user:pw@example.com:1", Some("example.com")),
            ("[2001:DB8::1]:443", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1", None),
            ("[nonsense]", None),
            ("example.com:http", None),
            (":80", None),
            ("2001:db8::1", None),
        ] {
            assert_eq!(
                authority_host(input.as_bytes()).as_deref(),
                expected,
                "{input:?}"
            );
        }
    }

    #[test]
    fn texts_are_bounded() {
        assert_eq!(text(b"  a b\t", 512).as_deref(), Some("a b"));
        assert_eq!(text(b" \r\n", 512), None);
        assert_eq!(text("äää".as_bytes(), 4).as_deref(), Some("ää"));
        for max in 1..12 {
            let kept = text(&[0xff; 32], max).map_or(0, |text| text.len());
            assert!(kept <= max, "{kept} of at most {max}");
        }
    }
}
