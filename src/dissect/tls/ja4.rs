//! JA4, the fingerprint of a TLS client by its ClientHello.
//!
//! Only the TLS client hash of FoxIO's family is here: it alone is under a free licence
//! (BSD 3-clause). The specification is `technical_details/JA4.md` of their repository; the
//! neighbour that fills [`Parts`] is `client_hello`.

use std::fmt::Write;

use ring::digest::{SHA256, digest};

use super::client_hello::HelloOver;

/// What JA4 is made of. Lists are as sent, without the GREASE values of RFC 8701.
#[derive(Debug, Default)]
pub(super) struct Parts<'a> {
    /// The highest version of `supported_versions`, else the one of the hello itself.
    pub(super) version: u16,
    /// Whether there is a `server_name` extension, whatever it holds.
    pub(super) has_server_name: bool,
    /// Cipher suites.
    pub(super) ciphers: Vec<u16>,
    /// Types of all extensions.
    pub(super) extensions: Vec<u16>,
    /// Signature schemes.
    pub(super) signatures: Vec<u16>,
    /// The first entry of ALPN.
    pub(super) first_alpn: &'a [u8],
}

/// Lists longer than this have no fingerprint: sorting and hashing them would make a hello of a few
/// thousand entries cost as much as a hundred ordinary ones. IANA's registries list some 350 cipher
/// suites, 60 extensions and 40 signature schemes; no client offers more than a fraction of them.
pub(super) const MAX_LIST: usize = 256;

/// What stands for the hash of an empty list.
const NO_HASH: &str = "000000000000";

/// Whether `value` is one of the values RFC 8701 section 2 reserves to be ignored.
pub(super) const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// The fingerprint, such as `t13d1516h2_8daaf6152771_b186095e22b6`; none of a list of more than
/// [`MAX_LIST`] entries.
pub(super) fn ja4(over: HelloOver, mut parts: Parts<'_>) -> Option<Box<str>> {
    let lists = [&parts.ciphers, &parts.extensions, &parts.signatures];
    if lists.iter().any(|list| list.len() > MAX_LIST) {
        return None;
    }
    let mut text = String::with_capacity(36);
    text.push(match over {
        HelloOver::Tcp => 't',
        HelloOver::Quic => 'q',
        HelloOver::Dtls => 'd',
    });
    text.push_str(version_code(parts.version));
    text.push(if parts.has_server_name { 'd' } else { 'i' });
    push_count(&mut text, parts.ciphers.len());
    push_count(&mut text, parts.extensions.len());
    push_alpn(&mut text, parts.first_alpn);

    parts.ciphers.sort_unstable();
    // What follows the server's name or application changes from flow to flow of one client.
    parts
        .extensions
        .retain(|&kind| kind != 0x0000 && kind != 0x0010);
    parts.extensions.sort_unstable();
    let entries = parts
        .ciphers
        .len()
        .max(parts.extensions.len() + parts.signatures.len());
    let mut list = String::with_capacity(5 * entries);
    push_list(&mut list, &parts.ciphers);
    push_hash(&mut text, &list);
    list.clear();
    push_list(&mut list, &parts.extensions);
    if !parts.signatures.is_empty() && !parts.extensions.is_empty() {
        list.push('_');
        push_list(&mut list, &parts.signatures);
    }
    push_hash(&mut text, &list);
    Some(text.into())
}

const fn version_code(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

fn push_count(text: &mut String, count: usize) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{:02}", count.min(99));
}

/// The first and last character of the protocol, or of its hexadecimal form when either is
/// not a letter or digit.
fn push_alpn(text: &mut String, protocol: &[u8]) {
    match (protocol.first(), protocol.last()) {
        (Some(&first), Some(&last)) => {
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
                text.push(char::from(first));
                text.push(char::from(last));
            } else {
                let _ = write!(text, "{:x}{:x}", first >> 4, last & 0x0f);
            }
        }
        _ => text.push_str("00"),
    }
}

fn push_list(text: &mut String, values: &[u16]) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let [high, low] = value.to_be_bytes();
        push_octet(text, high);
        push_octet(text, low);
    }
}

/// The two hexadecimal digits of `octet`; several times as fast as `write!`.
fn push_octet(text: &mut String, octet: u8) {
    for nibble in [octet >> 4, octet & 0x0f] {
        text.push(char::from_digit(nibble.into(), 16).unwrap_or_default());
    }
}

fn push_hash(text: &mut String, list: &str) {
    text.push('_');
    if list.is_empty() {
        text.push_str(NO_HASH);
        return;
    }
    for &octet in digest(&SHA256, list.as_bytes()).as_ref().iter().take(6) {
        push_octet(text, octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cipher suites of the published example.
    const CIPHERS: [u16; 15] = [
        0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
        0x009c, 0x009d, 0x002f, 0x0035,
    ];
    const SIGNATURES: [u16; 8] = [
        0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
    ];

    fn parts(extensions: &[u16]) -> Parts<'static> {
        Parts {
            version: 0x0304,
            has_server_name: extensions.contains(&0),
            ciphers: CIPHERS.into(),
            extensions: extensions.into(),
            signatures: SIGNATURES.into(),
            first_alpn: b"h2",
        }
    }

    #[test]
    fn the_published_examples() {
        // FoxIO's JA4.md: the extensions of Chrome 110, in any order, give one hash.
        let chrome = [
            0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012,
            0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
        ];
        assert_eq!(
            &*ja4(HelloOver::Tcp, parts(&chrome)).unwrap(),
            "t13d1516h2_8daaf6152771_e5627efa2ab1"
        );
        // Chrome 143, as a public fingerprinting service prints it with its raw form.
        let chrome = [
            0x002d, 0x0033, 0x0010, 0xfe0d, 0x0017, 0x44cd, 0x0000, 0x000b, 0x000a, 0x002b, 0xff01,
            0x0023, 0x0012, 0x0005, 0x000d, 0x001b,
        ];
        assert_eq!(
            &*ja4(HelloOver::Quic, parts(&chrome)).unwrap(),
            "q13d1516h2_8daaf6152771_d8a2da3f94cd"
        );
    }

    #[test]
    fn empty_lists_and_odd_values() {
        let empty = Parts {
            version: 0xfefd,
            ..Parts::default()
        };
        assert_eq!(
            &*ja4(HelloOver::Dtls, empty).unwrap(),
            "dd2i000000_000000000000_000000000000"
        );
        for (protocol, expected) in [
            (&b"h2"[..], "h2"),
            (b"http/1.1", "h1"),
            (b"h", "hh"),
            (b"", "00"),
            (b"\xab", "ab"),
            (b"\xab\xcd", "ad"),
            (b"0\xab", "3b"),
        ] {
            let mut text = String::new();
            push_alpn(&mut text, protocol);
            assert_eq!(text, expected, "{protocol:?}");
        }
        let many = |ciphers| Parts {
            ciphers: vec![1; ciphers],
            ..Parts::default()
        };
        let longest = ja4(HelloOver::Tcp, many(MAX_LIST)).unwrap();
        assert!(longest.starts_with("t00i990000_"));
        assert_eq!(ja4(HelloOver::Tcp, many(MAX_LIST + 1)), None);
    }

    #[test]
    fn grease_is_two_equal_octets_that_end_in_a() {
        let grease: Vec<u16> = (0..=u16::MAX).filter(|&value| is_grease(value)).collect();
        assert_eq!(grease.len(), 16);
        assert_eq!(grease.first(), Some(&0x0a0a));
        assert_eq!(grease.last(), Some(&0xfafa));
    }
}
