//! JA4, the fingerprint of a TLS client by its ClientHello.
//!
//! Only the TLS client hash of FoxIO's family is here: it alone is under a free licence
//! (BSD 3-clause). The specification is `technical_details/JA4.md` of their repository; the
//! neighbour that fills [`Parts`] is `client_hello`.

use std::fmt::{self, Write};
use std::ops::Deref;
use std::sync::OnceLock;

use ring::digest::{SHA256, digest};

use super::over::HelloOver;

/// The fingerprint of a hello, such as `t13d1516h2_8daaf6152771_b186095e22b6`. Its text is worked out
/// when somebody looks at it: of most hellos nobody does.
#[derive(Clone)]
pub struct Ja4 {
    parts: Parts,
    text: OnceLock<Box<str>>,
}

impl Ja4 {
    /// Bytes it has on the heap, about.
    pub(in crate::dissect) fn heap(&self) -> usize {
        let Parts {
            ciphers,
            extensions,
            signatures,
            ..
        } = &self.parts;
        let lists = ciphers.capacity() + extensions.capacity() + signatures.capacity();
        lists * size_of::<u16>() + self.text.get().map_or(0, |text| text.len())
    }
}

impl Deref for Ja4 {
    type Target = str;

    fn deref(&self) -> &str {
        self.text.get_or_init(|| self.parts.text())
    }
}

impl fmt::Debug for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Ja4 {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Ja4 {}

/// One whose text is known.
impl From<&str> for Ja4 {
    fn from(text: &str) -> Self {
        Self {
            parts: Parts::default(),
            text: OnceLock::from(Box::from(text)),
        }
    }
}

/// What JA4 is made of. Lists are as sent, without the GREASE values of RFC 8701.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// What carries the hello.
    pub(super) over: HelloOver,
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
    /// The first and the last octet of ALPN's first entry.
    pub(super) alpn: Option<(u8, u8)>,
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

impl Parts {
    /// The fingerprint; none of a list of more than [`MAX_LIST`] entries.
    pub(super) fn fingerprint(self) -> Option<Ja4> {
        let lists = [&self.ciphers, &self.extensions, &self.signatures];
        lists
            .iter()
            .all(|list| list.len() <= MAX_LIST)
            .then(|| Ja4 {
                parts: self,
                text: OnceLock::new(),
            })
    }

    fn text(&self) -> Box<str> {
        let mut text = String::with_capacity(36);
        text.push(match self.over {
            HelloOver::Tcp => 't',
            HelloOver::Quic => 'q',
            HelloOver::Dtls => 'd',
        });
        text.push_str(version_code(self.version));
        text.push(if self.has_server_name { 'd' } else { 'i' });
        push_count(&mut text, self.ciphers.len());
        push_count(&mut text, self.extensions.len());
        push_alpn(&mut text, self.alpn);

        let mut ciphers = self.ciphers.clone();
        ciphers.sort_unstable();
        let mut extensions = self.extensions.clone();
        // What follows the server's name or application changes from flow to flow of one client.
        extensions.retain(|&kind| kind != 0x0000 && kind != 0x0010);
        extensions.sort_unstable();
        let entries = ciphers.len().max(extensions.len() + self.signatures.len());
        let mut list = String::with_capacity(5 * entries);
        push_list(&mut list, &ciphers);
        push_hash(&mut text, &list);
        list.clear();
        push_list(&mut list, &extensions);
        if !self.signatures.is_empty() && !extensions.is_empty() {
            list.push('_');
            push_list(&mut list, &self.signatures);
        }
        push_hash(&mut text, &list);
        text.into()
    }
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
fn push_alpn(text: &mut String, protocol: Option<(u8, u8)>) {
    match protocol {
        Some((first, last)) => {
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
                text.push(char::from(first));
                text.push(char::from(last));
            } else {
                let _ = write!(text, "{:x}{:x}", first >> 4, last & 0x0f);
            }
        }
        None => text.push_str("00"),
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

    fn parts(over: HelloOver, extensions: &[u16]) -> Parts {
        Parts {
            over,
            version: 0x0304,
            has_server_name: extensions.contains(&0),
            ciphers: CIPHERS.into(),
            extensions: extensions.into(),
            signatures: SIGNATURES.into(),
            alpn: Some((b'h', b'2')),
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
            &*parts(HelloOver::Tcp, &chrome).fingerprint().unwrap(),
            "t13d1516h2_8daaf6152771_e5627efa2ab1"
        );
        // Chrome 143, as a public fingerprinting service prints it with its raw form.
        let chrome = [
            0x002d, 0x0033, 0x0010, 0xfe0d, 0x0017, 0x44cd, 0x0000, 0x000b, 0x000a, 0x002b, 0xff01,
            0x0023, 0x0012, 0x0005, 0x000d, 0x001b,
        ];
        assert_eq!(
            &*parts(HelloOver::Quic, &chrome).fingerprint().unwrap(),
            "q13d1516h2_8daaf6152771_d8a2da3f94cd"
        );
    }

    #[test]
    fn empty_lists_and_odd_values() {
        let empty = Parts {
            over: HelloOver::Dtls,
            version: 0xfefd,
            ..Parts::default()
        };
        assert_eq!(
            &*empty.fingerprint().unwrap(),
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
            push_alpn(
                &mut text,
                protocol.first().copied().zip(protocol.last().copied()),
            );
            assert_eq!(text, expected, "{protocol:?}");
        }
        let many = |ciphers| Parts {
            ciphers: vec![1; ciphers],
            ..Parts::default()
        };
        let longest = many(MAX_LIST).fingerprint().unwrap();
        assert!(longest.starts_with("t00i990000_"));
        assert_eq!(many(MAX_LIST + 1).fingerprint(), None);
    }

    #[test]
    fn grease_is_two_equal_octets_that_end_in_a() {
        let grease: Vec<u16> = (0..=u16::MAX).filter(|&value| is_grease(value)).collect();
        assert_eq!(grease.len(), 16);
        assert_eq!(grease.first(), Some(&0x0a0a));
        assert_eq!(grease.last(), Some(&0xfafa));
    }
}
