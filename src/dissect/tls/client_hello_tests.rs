//! Tests of the ClientHello reader, with `tls-parser` as the oracle.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use tls_parser::{TlsExtension, TlsMessage, TlsMessageHandshake};

use super::*;

/// Builds hellos field by field; lengths are computed.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    pub(crate) version: u16,
    pub(crate) session_id: Vec<u8>,
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) ciphers: Vec<u16>,
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            version: 0x0303,
            session_id: vec![7; 32],
            cookie: None,
            ciphers: vec![0x1a1a, 0x1301, 0xc02f],
            extensions: Vec::new(),
        }
    }
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [
        &u16::try_from(bytes.len()).unwrap().to_be_bytes()[..],
        bytes,
    ]
    .concat()
}

fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn octets(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

impl Builder {
    pub(crate) fn with(mut self, kind: u16, data: Vec<u8>) -> Self {
        self.extensions.push((kind, data));
        self
    }

    pub(crate) fn name(self, name: &[u8]) -> Self {
        let entry = [&[0][..], &vector16(name)].concat();
        self.with(SERVER_NAME, vector16(&entry))
    }

    pub(crate) fn alpn(self, protocols: &[&[u8]]) -> Self {
        let list: Vec<u8> = protocols.iter().flat_map(|it| vector8(it)).collect();
        self.with(ALPN, vector16(&list))
    }

    pub(crate) fn versions(self, versions: &[u16]) -> Self {
        self.with(SUPPORTED_VERSIONS, vector8(&octets(versions)))
    }

    pub(crate) fn signatures(self, schemes: &[u16]) -> Self {
        self.with(SIGNATURE_ALGORITHMS, vector16(&octets(schemes)))
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([0x5a; 32]);
        body.extend(vector8(&self.session_id));
        if let Some(cookie) = &self.cookie {
            body.extend(vector8(cookie));
        }
        body.extend(vector16(&octets(&self.ciphers)));
        body.extend(vector8(&[0]));
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(kind, data)| [&kind.to_be_bytes()[..], &vector16(data)].concat())
            .collect();
        body.extend(vector16(&extensions));
        body
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        let body = self.body();
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[CLIENT_HELLO][..], &len[1..], &body].concat()
    }
}

#[test]
fn the_name_alone_is_read() {
    let hello = |name: &str| {
        let message = Builder::default()
            .with(0x2a2a, vec![])
            .name(name.as_bytes())
            .message();
        [&[22, 3, 1, 0, 0][..], &message].concat()
    };
    assert_eq!(
        name_in_hello(&hello("www.example.com")),
        Some("www.example.com")
    );
    assert_eq!(name_in_hello(&hello("WWW.example.com")), None);
    let whole = hello("a.example");
    for end in 0..whole.len() {
        assert_eq!(name_in_hello(&whole[..end]), None, "cut at {end}");
    }
    assert_eq!(name_in_hello(b"\x16\x03\x01\0\x05\x02\0\0\0\0"), None);
}

fn typical() -> Builder {
    Builder::default()
        .with(0x2a2a, vec![])
        .name(b"WWW.Example.com")
        .alpn(&[b"h2", b"http/1.1"])
        .signatures(&[0x0403, 0x0804])
        .versions(&[0xfafa, 0x0304, 0x0303])
        .with(0x0033, vec![3; 1216])
}

fn read_all(message: &[u8], over: HelloOver) -> (HelloRead, Facts) {
    let mut facts = Facts::default();
    let read = read_client_hello(message, over, &mut facts);
    (read, facts)
}

#[test]
fn a_whole_hello_tells_everything() {
    let (read, facts) = read_all(&typical().message(), HelloOver::Quic);
    assert_eq!(read, HelloRead::Complete);
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
    assert_eq!(
        facts.tls.as_ref().unwrap().alpn,
        ["h2".into(), "http/1.1".into()]
    );
    assert_eq!(facts.tls.as_ref().unwrap().version, Some(0x0304));
    assert!(!facts.tls.as_ref().unwrap().ech);
    let ja4 = facts.tls.unwrap().ja4.unwrap();
    assert!(ja4.starts_with("q13d0205h2_"), "{ja4:?}");
    assert_eq!(ja4.len(), 36);
}

#[test]
fn every_prefix_waits_and_leaves_the_facts_alone() {
    let message = typical().message();
    for len in 0..message.len() {
        let (read, facts) = read_all(&message[..len], HelloOver::Tcp);
        assert_eq!(read, HelloRead::NeedMore, "{len} bytes");
        assert_eq!(facts, Facts::default(), "{len} bytes");
    }
}

#[test]
fn what_is_left_of_a_cut_hello_still_names_the_server() {
    let message = typical().message();
    let mut named_from = None;
    for len in 0..message.len() {
        let mut facts = Facts::default();
        let read = read_cut_client_hello(&message[..len], HelloOver::Tcp, &mut facts);
        assert_ne!(read, HelloRead::NeedMore);
        assert!(facts.tls.is_none_or(|tls| tls.ja4.is_none()));
        if facts.server_name.is_some() {
            named_from.get_or_insert(len);
        } else {
            assert_eq!(named_from, None, "the name is lost again at {len} bytes");
        }
    }
    let name_end = message
        .windows(15)
        .position(|it| it == b"WWW.Example.com")
        .unwrap()
        + 15;
    assert_eq!(named_from, Some(name_end));
}

#[test]
fn the_fields_decide_what_is_a_hello() {
    use HelloOver::{Dtls, Quic, Tcp};
    let hello = Builder::default;
    let dtls = |version| Builder {
        version,
        cookie: Some(vec![1; 20]),
        ..hello()
    };
    let with_byte = |at: usize, value| {
        let mut message = hello().message();
        message[at] = value;
        message
    };
    let cases: [(&str, Vec<u8>, HelloOver, HelloRead); 16] = [
        ("plain", hello().message(), Tcp, HelloRead::Complete),
        (
            "SSL 3.0",
            Builder {
                version: 0x0300,
                ..hello()
            }
            .message(),
            Tcp,
            HelloRead::Complete,
        ),
        (
            "SSL 3.0 in QUIC",
            Builder {
                version: 0x0300,
                ..hello()
            }
            .message(),
            Quic,
            HelloRead::NotAHello,
        ),
        (
            "mmtls",
            Builder {
                version: 0xf103,
                ..hello()
            }
            .message(),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "DTLS 1.2",
            dtls(0xfefd).message(),
            Dtls,
            HelloRead::Complete,
        ),
        (
            "DTLS of old OpenSSL",
            dtls(0x0100).message(),
            Dtls,
            HelloRead::Complete,
        ),
        (
            "DTLS version in TLS",
            dtls(0xfefd).message(),
            Tcp,
            HelloRead::NotAHello,
        ),
        ("ServerHello", with_byte(0, 2), Tcp, HelloRead::NotAHello),
        (
            "length too great",
            with_byte(1, 3),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "length too small",
            with_byte(3, 20),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "session id too long",
            with_byte(4 + 34, 33),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "odd cipher vector",
            with_byte(4 + 34 + 33 + 1, 5),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "no ciphers",
            Builder {
                ciphers: vec![],
                session_id: vec![1; 32],
                ..hello()
            }
            .message(),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "ciphers past the end",
            with_byte(4 + 34 + 33, 0x40),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "no compression",
            with_byte(4 + 34 + 33 + 8, 0),
            Tcp,
            HelloRead::NotAHello,
        ),
        (
            "extensions past the end",
            with_byte(4 + 34 + 33 + 8 + 2, 0x40),
            Tcp,
            HelloRead::Complete,
        ),
    ];
    for (what, message, over, expected) in cases {
        let (read, facts) = read_all(&message, over);
        assert_eq!(read, expected, "{what}");
        assert_eq!(
            facts == Facts::default(),
            read != HelloRead::Complete,
            "{what}"
        );
    }
}

#[test]
fn a_hello_without_extensions() {
    let mut body = Builder::default().body();
    body.truncate(body.len() - 2);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[CLIENT_HELLO][..], &len[1..], &body].concat();
    let (read, facts) = read_all(&message, HelloOver::Tcp);
    assert_eq!(read, HelloRead::Complete);
    assert!(facts.tls.unwrap().ja4.unwrap().starts_with("t12i020000_"));
}

#[test]
fn versions_names_and_encrypted_hellos() {
    let hello = Builder::default;
    let facts_of = |builder: Builder, over| read_all(&builder.message(), over).1;
    let versions: [(&[u16], HelloOver, u16, &str); 5] = [
        (&[0x0302, 0x0303], HelloOver::Tcp, 0x0303, "t12"),
        (&[0x7f1c, 0x0303], HelloOver::Tcp, 0x0304, "t00"),
        (&[0xfb1a, 0x0304], HelloOver::Tcp, 0x0304, "t00"),
        (&[0x8a8a], HelloOver::Tcp, 0x0303, "t12"),
        (&[], HelloOver::Tcp, 0x0303, "t12"),
    ];
    for (offered, over, expected, ja4) in versions {
        let facts = facts_of(hello().versions(offered), over);
        assert_eq!(
            facts.tls.as_ref().unwrap().version,
            Some(expected),
            "{offered:x?}"
        );
        assert!(
            facts.tls.unwrap().ja4.unwrap().starts_with(ja4),
            "{offered:x?}"
        );
    }
    let dtls = Builder {
        version: 0xfefd,
        cookie: Some(vec![]),
        ..hello()
    };
    let facts = facts_of(dtls.versions(&[0xfefd, 0xfefc]), HelloOver::Dtls);
    assert_eq!(facts.tls.as_ref().unwrap().version, Some(0xfefc));
    assert!(facts.tls.unwrap().ja4.unwrap().starts_with("dd3i"));

    for (name, expected) in [
        (&b"a.example."[..], Some("a.example")),
        (b"a b", None),
        (b"", None),
        (b"\xff\xfe", None),
        (b"192.0.2.1", Some("192.0.2.1")),
    ] {
        let facts = facts_of(hello().name(name), HelloOver::Tcp);
        assert_eq!(facts.server_name.as_deref(), expected, "{name:?}");
        assert_eq!(
            facts.tls.unwrap().ja4.unwrap().as_bytes()[3],
            b'd',
            "the extension is there"
        );
    }
    for kind in [ENCRYPTED_CLIENT_HELLO, ENCRYPTED_SERVER_NAME] {
        assert!(
            facts_of(hello().with(kind, vec![0; 200]), HelloOver::Tcp)
                .tls
                .unwrap()
                .ech
        );
    }
}

#[test]
fn lists_are_bounded() {
    let protocols: Vec<Vec<u8>> = (0..100).map(|n| format!("p{n}").into_bytes()).collect();
    let protocols: Vec<&[u8]> = protocols.iter().map(Vec::as_slice).collect();
    let (_, facts) = read_all(
        &Builder::default().alpn(&protocols).message(),
        HelloOver::Tcp,
    );
    assert_eq!(facts.tls.as_ref().unwrap().alpn.len(), MAX_LIST);
}

/// Name, ALPN, cipher suites and extensions of a hello.
type Contents = (Option<Vec<u8>>, Vec<Vec<u8>>, Vec<u16>, Vec<u16>);

/// What `tls-parser` reads of a handshake message.
fn oracle(message: &[u8]) -> Option<Contents> {
    let (_, parsed) = tls_parser::parse_tls_message_handshake(message).ok()?;
    let TlsMessage::Handshake(TlsMessageHandshake::ClientHello(hello)) = parsed else {
        return None;
    };
    let ciphers = hello.ciphers.iter().map(|it| it.0).collect();
    let (_, extensions) = tls_parser::parse_tls_extensions(hello.ext.unwrap_or_default()).ok()?;
    let (mut name, mut alpn, mut kinds) = (None, Vec::new(), Vec::new());
    for extension in &extensions {
        kinds.push(match extension {
            TlsExtension::Grease(kind, _) => *kind,
            TlsExtension::Unknown(kind, _) => kind.0,
            other => tls_parser::TlsExtensionType::from(other).0,
        });
        match extension {
            TlsExtension::SNI(names) => name = names.first().map(|(_, name)| name.to_vec()),
            TlsExtension::ALPN(list) => alpn = list.iter().map(|it| it.to_vec()).collect(),
            _ => {}
        }
    }
    Some((name, alpn, ciphers, kinds))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn reads_what_the_oracle_reads(
        session_id in prop::collection::vec(any::<u8>(), 0..=32),
        ciphers in prop::collection::vec(any::<u16>(), 1..120),
        name in prop::option::of("[A-Za-z0-9-]{1,20}(\\.[a-z0-9_]{1,9}){0,4}"),
        alpn in prop::collection::vec("[a-z0-9/.]{1,12}", 0..6),
        others in prop::collection::vec((0x5000u16..0xfe00, prop::collection::vec(any::<u8>(), 0..64)), 0..110),
    ) {
        let mut builder = Builder { session_id, ciphers, ..Builder::default() };
        if let Some(name) = &name {
            builder = builder.name(name.as_bytes());
        }
        if !alpn.is_empty() {
            let list: Vec<&[u8]> = alpn.iter().map(String::as_bytes).collect();
            builder = builder.alpn(&list);
        }
        builder.extensions.extend(others);
        let message = builder.message();
        let (expected_name, expected_alpn, ciphers, kinds) = oracle(&message).expect("a sound hello");
        let (read, facts) = read_all(&message, HelloOver::Tcp);
        assert_eq!(read, HelloRead::Complete);
        let lower = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().to_lowercase();
        assert_eq!(facts.server_name.as_deref(), expected_name.clone().map(lower).as_deref());
        let read_alpn: Vec<Vec<u8>> = facts.tls.as_ref().unwrap().alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        assert_eq!(read_alpn, expected_alpn);
        let count = |list: &[u16]| list.iter().filter(|&&it| !is_grease(it)).count().min(99);
        let sni = if expected_name.is_some() { 'd' } else { 'i' };
        let start = format!("t12{sni}{:02}{:02}", count(&ciphers), count(&kinds));
        assert!(facts.tls.unwrap().ja4.unwrap().starts_with(&start));
    }

    #[test]
    fn no_bytes_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut message = typical().message();
        for (at, value) in changes {
            let at = at.index(message.len());
            message[at] = value;
        }
        message.truncate(cut.index(message.len() + 1));
        for bytes in [&message, &noise] {
            for over in [HelloOver::Tcp, HelloOver::Quic, HelloOver::Dtls] {
                let mut facts = Facts::default();
                if read_client_hello(bytes, over, &mut facts) != HelloRead::Complete {
                    assert_eq!(facts, Facts::default());
                }
                read_cut_client_hello(bytes, over, &mut facts);
            }
        }
    }
}
