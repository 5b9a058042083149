//! Tests of TLS over both streams.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::certificate::tests::typical as certificate_der;
use super::client_hello::tests::Builder;
use super::*;
use crate::dissect::Inside;
use crate::dissect::unpack::Buffer;
use crate::flow::opening::Script;

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3][..], &len, body].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &len[1..], body].concat()
}

fn hello() -> Builder {
    Builder::default().name(b"www.example.com").alpn(&[b"h2"])
}

/// The body of a hello of another version, with a cookie for DTLS.
pub(crate) fn hello_for(version: u16, cookie: Option<&[u8]>) -> Vec<u8> {
    let builder = Builder {
        version,
        cookie: cookie.map(<[u8]>::to_vec),
        ..hello()
    };
    builder.body()
}

/// A ClientHello for `name`, in its record.
pub(crate) fn record_for(name: &str) -> Vec<u8> {
    let hello = Builder::default().name(name.as_bytes());
    record(22, &hello.message())
}

pub(crate) fn client_hello_record() -> Vec<u8> {
    record(22, &hello().message())
}

/// A ServerHello that chooses `version`.
pub(crate) fn server_hello_body(version: u16) -> Vec<u8> {
    let legacy = match version {
        0xfefc => 0xfefd,
        0x0304..0x8000 => 0x0303,
        _ => version,
    };
    let mut body = legacy.to_be_bytes().to_vec();
    body.extend([0xa5; 32]);
    body.extend([0, 0x13, 0x01, 0]);
    let chosen = version.to_be_bytes();
    let extensions = if version != legacy {
        vec![0, 0x2b, 0, 2, chosen[0], chosen[1]]
    } else {
        vec![0xff, 0x01, 0, 1, 0]
    };
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    body
}

pub(crate) fn server_hello_record(version: u16) -> Vec<u8> {
    record(22, &handshake(SERVER_HELLO, &server_hello_body(version)))
}

pub(crate) fn certificate_body() -> Vec<u8> {
    let der = certificate_der();
    let len = |len: usize| (len as u32).to_be_bytes()[1..].to_vec();
    [len(der.len() + 3), len(der.len()), der].concat()
}

fn certificate() -> Vec<u8> {
    record(22, &handshake(CERTIFICATE, &certificate_body()))
}

fn data(len: usize) -> Vec<u8> {
    record(23, &vec![0x99; len])
}

fn ccs() -> Vec<u8> {
    record(20, &[1])
}

fn run(script: &Script) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let outcome = dissect(&script.opening(), &mut facts);
    let mine = outcome.is_sure();
    assert_eq!(facts.proto, mine.then_some(Proto::TLS));
    if !mine {
        assert_eq!(facts, Facts::default());
    }
    (outcome, facts)
}

#[test]
fn conversations() {
    use Outcome::{Done, NeedMore, NotMine, Partial, UpToDate};
    let tcp = || Script::tcp(443);
    let sh12 = || server_hello_record(0x0303);
    let resumed = [sh12(), ccs(), record(22, &[0x77; 40])].concat();
    let warned = [record(21, &[1, 112]), sh12(), certificate()].concat();
    let anonymous = [sh12(), record(22, &handshake(SERVER_HELLO_DONE, &[]))].concat();
    let alert = record(21, &[2, 40]);
    let cases = [
        (
            "ClientHello",
            tcp().client(&client_hello_record()),
            UpToDate,
        ),
        (
            "TLS 1.3",
            tcp()
                .client(&client_hello_record())
                .server(&server_hello_record(0x0304)),
            Done,
        ),
        (
            "TLS 1.3 draft",
            tcp()
                .client(&client_hello_record())
                .server(&server_hello_record(0x7f1c)),
            Done,
        ),
        (
            "TLS 1.2 before the certificate",
            tcp().client(&client_hello_record()).server(&sh12()),
            Partial,
        ),
        (
            "TLS 1.2",
            tcp()
                .client(&client_hello_record())
                .server(&sh12())
                .server(&certificate()),
            Done,
        ),
        (
            "resumption",
            tcp().client(&client_hello_record()).server(&resumed),
            Done,
        ),
        (
            "no certificate",
            tcp().client(&client_hello_record()).server(&anonymous),
            Done,
        ),
        (
            "warning first",
            tcp().client(&client_hello_record()).server(&warned),
            Done,
        ),
        (
            "refused",
            tcp().client(&client_hello_record()).server(&alert),
            Done,
        ),
        (
            "answered in the clear",
            tcp()
                .client(&client_hello_record())
                .server(b"HTTP/1.1 400 "),
            Done,
        ),
        (
            "client only",
            tcp()
                .client(&client_hello_record())
                .client(&ccs())
                .client(&data(40)),
            Done,
        ),
        ("server only", tcp().server(&sh12()), Partial),
        (
            "server only, certificate",
            tcp().server(&[sh12(), certificate()].concat()),
            Partial,
        ),
        (
            "server first, data",
            tcp().server(&[server_hello_record(0x0304), ccs(), data(90)].concat()),
            Partial,
        ),
        (
            "server only, data",
            tcp()
                .server(&[server_hello_record(0x0304), ccs(), data(90)].concat())
                .server(&data(9))
                .server(&data(9))
                .server(&data(9))
                .server(&data(9)),
            Done,
        ),
        ("one record of data", tcp().client(&data(50)), Done),
        (
            "start of a record of data",
            tcp().client(&data(50)[..40]),
            NeedMore,
        ),
        (
            "two records of data",
            tcp().client(&[data(50), data(60)].concat()[..70]),
            Done,
        ),
        (
            "one start each way, which is no beginning",
            tcp().client(&data(50)[..40]).server(&data(50)[..40]),
            NeedMore,
        ),
        (
            "a header repeated each way",
            tcp()
                .client(b"\x16\x03\x01\x16\x03\x01")
                .server(b"\x16\x03\x01\x16\x03\x01"),
            NeedMore,
        ),
        (
            "a handshake of another type",
            tcp().client(b"\x16\x03\x01\x16\x03\x16\x03\x01"),
            NotMine,
        ),
        ("alert only", tcp().server(&alert), Partial),
        (
            "alert to something else",
            tcp().client(b"hello\r\n").server(&alert),
            NotMine,
        ),
        ("mmtls", tcp().client(b"\x16\xf1\x03\x00\xd4"), NotMine),
        ("text", tcp().client(b"G"), NotMine),
        ("first octet", tcp().client(&[0x16]), NeedMore),
        (
            "first four octets",
            tcp().client(&[0x16, 3, 1, 2]),
            NeedMore,
        ),
        (
            "server first, text",
            tcp().server(b"220 ready\r\n"),
            NotMine,
        ),
        (
            "records, then none",
            tcp().client(&[data(5), b"nonsense".to_vec()].concat()),
            NotMine,
        ),
        ("nothing", tcp(), NeedMore),
    ];
    for (what, script, expected) in cases {
        assert_eq!(run(&script).0, expected, "{what}");
    }
}

#[test]
fn facts_of_both_sides() {
    let script = Script::tcp(443)
        .client(&record(22, &hello().versions(&[0x0304, 0x0303]).message()))
        .server(&server_hello_record(0x0303))
        .server(&certificate());
    let (_, facts) = run(&script);
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
    let tls = facts.tls.unwrap();
    assert_eq!(tls.alpn, ["h2".into()]);
    assert_eq!(tls.version, Some(0x0303), "chosen, not offered");
    assert_eq!(
        tls.certificate.common_name.as_deref(),
        Some("www.example.com")
    );
    assert_eq!(tls.certificate.issuer.as_deref(), Some("Example CA"));
    assert!(tls.ja4.unwrap().starts_with("t13d0203h2_"));
    assert!(!facts.swapped);
}

#[test]
fn sides_may_be_exchanged() {
    let answer = [server_hello_record(0x0303), certificate()].concat();
    for script in [
        Script::tcp(443)
            .server(&client_hello_record())
            .client(&answer),
        Script::tcp(443).client(&answer),
        Script::tcp(443).server(&client_hello_record()),
    ] {
        let (_, facts) = run(&script);
        assert!(facts.swapped);
        assert!(
            facts.server_name.is_some() || facts.tls.unwrap().certificate.common_name.is_some()
        );
    }
}

#[test]
fn every_prefix_of_a_hello_is_tls_or_waits() {
    // Split over records of 100 octets, as some clients do.
    let message = hello().with(0x0033, vec![1; 1216]).message();
    let stream: Vec<u8> = message
        .chunks(100)
        .flat_map(|part| record(22, part))
        .collect();
    for len in 1..stream.len() {
        let (outcome, facts) = run(&Script::tcp(443).client(&stream[..len]));
        let expected = if len < 11 {
            Outcome::NeedMore
        } else {
            Outcome::Partial
        };
        assert_eq!(outcome, expected, "{len}");
        assert_eq!(facts.server_name, None, "{len}");
    }
    let (_, facts) = run(&Script::tcp(443).client(&stream));
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));

    let script = Script::tcp(443).client(&stream[..400]);
    let mut opening = script.opening();
    opening.client.ended = true;
    let mut facts = Facts::default();
    assert_eq!(dissect(&opening, &mut facts), Outcome::UpToDate);
    assert_eq!(
        facts.server_name.as_deref(),
        Some("www.example.com"),
        "what is there is taken"
    );
}

#[test]
fn a_growing_opening_ends_with_the_same_facts() {
    let client = client_hello_record();
    let server = [server_hello_record(0x0303), certificate()].concat();
    let whole = run(&Script::tcp(443).client(&client).server(&server));
    for step in [1, 7, 100, 1460] {
        let mut facts = Facts::default();
        let mut outcome = Outcome::NeedMore;
        let mut script = Script::tcp(443);
        for part in client.chunks(step) {
            script = script.client(part);
            outcome = dissect(&script.opening(), &mut facts);
        }
        for part in server.chunks(step) {
            assert_ne!(outcome, Outcome::Done, "done before its end");
            script = script.server(part);
            outcome = dissect(&script.opening(), &mut facts);
        }
        assert_eq!((outcome, facts), whole.clone(), "{step}");
    }
}

#[test]
fn the_middle_of_a_stream() {
    let bytes = [vec![0x42; 700], data(200), data(900)].concat();
    let script = Script::tcp(443).server(&bytes);
    let mut opening = script.opening();
    assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::NotMine);
    opening.server.mid_stream = true;
    assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::Done);

    let script = Script::tcp(443)
        .client(&data(50)[..40])
        .server(&data(50)[..40]);
    let mut opening = script.opening();
    opening.client.mid_stream = true;
    opening.server.mid_stream = true;
    let one_each_way = dissect(&opening, &mut Facts::default());
    assert_eq!(one_each_way, Outcome::Done);

    let script = (0..8).fold(Script::tcp(443), |script, _| script.server(&[0x42; 100]));
    let mut opening = script.opening();
    opening.server.mid_stream = true;
    assert_eq!(
        dissect(&opening, &mut Facts::default()),
        Outcome::NotMine,
        "searched enough"
    );
    opening.server.ends = &[100];
    assert_eq!(dissect(&opening, &mut Facts::default()), Outcome::NeedMore);
}

#[test]
fn a_certificate_without_its_hello() {
    for script in [
        Script::tcp(443).server(&certificate()),
        Script::tcp(443).client(&certificate()),
    ] {
        let opening = script.opening();
        let mut facts = Facts::default();
        assert_eq!(dissect(&opening, &mut facts), Outcome::Partial);
        assert_eq!(
            facts.tls.unwrap().certificate.common_name.as_deref(),
            Some("www.example.com")
        );
        assert_eq!(facts.swapped, !opening.client.is_empty());
    }
    // That of a client, in a handshake whose first half was not captured.
    let key = record(22, &handshake(CLIENT_KEY_EXCHANGE, &[4; 66]));
    let (_, facts) = run(&Script::tcp(443).client(&[certificate(), key].concat()));
    assert_eq!((facts.swapped, facts.tls), (false, None));
    let mut lying = certificate();
    lying[5 + 4 + 2] ^= 1;
    let (_, facts) = run(&Script::tcp(443).client(&lying));
    assert!(!facts.swapped);
}

#[test]
fn hellos_of_sslv2() {
    let client = |version: u16| {
        let mut bytes = vec![0x80, 9 + 6 + 16, 1];
        bytes.extend(version.to_be_bytes());
        bytes.extend([0, 6, 0, 0, 0, 16, 7, 0, 0xc0, 0, 0, 0x0a]);
        bytes.extend([0x5c; 16]);
        bytes
    };
    let der = certificate_der();
    let mut server = (0x8000 + 11 + der.len() as u16 + 3 + 16)
        .to_be_bytes()
        .to_vec();
    server.extend([4, 0, 1, 0, 2]);
    server.extend((der.len() as u16).to_be_bytes());
    server.extend([0, 3, 0, 16]);
    server.extend(der);
    server.extend([7, 0, 0xc0]);
    server.extend([0x33; 16]);

    let (outcome, facts) = run(&Script::tcp(443).client(&client(0x0301)));
    assert_eq!(
        (outcome, facts.tls.unwrap().version),
        (Outcome::UpToDate, Some(0x0301))
    );
    let answer = [server_hello_record(0x0301), certificate()].concat();
    let (outcome, _) = run(&Script::tcp(443).client(&client(0x0301)).server(&answer));
    assert_eq!(outcome, Outcome::Done);
    let (outcome, facts) = run(&Script::tcp(443).client(&client(0x0002)).server(&server));
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(
        facts.tls.unwrap().certificate.common_name.as_deref(),
        Some("www.example.com")
    );
    for len in 1..11 {
        let (outcome, _) = run(&Script::tcp(443).client(&client(0x0002)[..len]));
        assert_eq!(outcome, Outcome::NeedMore, "{len}");
    }
    for (at, value) in [(1, 30), (2, 9), (3, 1), (6, 7), (8, 3), (10, 15)] {
        let mut bytes = client(0x0002);
        bytes[at] = value;
        assert_eq!(
            run(&Script::tcp(443).client(&bytes)).0,
            Outcome::NotMine,
            "octet {at}"
        );
    }
}

#[test]
fn tls_begins_after_another_protocol() {
    let client = [b"STARTTLS\r\n".to_vec(), client_hello_record()].concat();
    let server = [b"220 go on\r\n".to_vec(), server_hello_record(0x0304)].concat();
    let script = Script::tcp(25).client(&client).server(&server);
    let opening = script.opening();
    let mut facts = Facts::default();
    let mut buffer = Buffer::default();
    let inside = Inside::plain(Some(10), Some(11));
    let outcome = dissect(&buffer.open(&opening, inside, &facts), &mut facts);
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(facts.server_name.as_deref(), Some("www.example.com"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        noise in prop::collection::vec(any::<u8>(), 0..400),
        mid_stream: bool,
        ended: bool,
    ) {
        let mut bytes = [client_hello_record(), server_hello_record(0x0303), certificate(), data(30)].concat();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for client in [&bytes[..], &noise] {
            for server in [&bytes[client_hello_record().len()..], &noise] {
                let script = Script::tcp(443).client(client).server(server);
                let mut opening = script.opening();
                opening.client.mid_stream = mid_stream;
                opening.server.mid_stream = mid_stream;
                opening.client.ended = ended;
                opening.server.ended = ended;
                let mut facts = Facts::default();
                let outcome = dissect(&opening, &mut facts);
                if matches!(outcome, Outcome::NotMine | Outcome::NeedMore) {
                    assert_eq!(facts, Facts::default());
                }
            }
        }
    }

    #[test]
    fn random_streams_are_not_tls(noise in prop::collection::vec(any::<u8>(), 11..400)) {
        let (outcome, _) = run(&Script::tcp(443).client(&noise));
        assert!(matches!(outcome, Outcome::NotMine | Outcome::NeedMore));
    }
}
