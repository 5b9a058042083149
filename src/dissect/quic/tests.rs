//! Whole conversations, built packet by packet.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::*;

use super::build::{Initial, client_hello, crypto_frame, initial_packets};
use super::crypto::Keys;
use super::version::{Salt, V1_LABELS};
use super::*;
use crate::flow::opening::Script;
use crate::flow::{Side, Transport};

const DCID: &[u8] = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
const SERVER_ID: &[u8] = b"\xf0\x67\xa5\x50\x2a\x42\x62\xb5";
const NAME: &str = "www.example.com";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|it| it.is_ascii_hexdigit()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn udp() -> Script {
    Script::udp(443)
}

fn run(script: &Script) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let outcome = dissect(&script.opening(), &mut facts);
    (outcome, facts)
}

/// The outcome and the name.
fn named(script: &Script) -> (Outcome, Option<Box<str>>) {
    let (outcome, facts) = run(script);
    (outcome, facts.server_name)
}

fn done(name: &str) -> (Outcome, Option<Box<str>>) {
    (Outcome::Done, Some(name.into()))
}

/// A ClientHello as long as with post-quantum key agreement.
fn long_hello() -> Vec<u8> {
    client_hello(NAME, &["h3"], 1184)
}

/// The protected first packet of appendix A.2 of each document begins and ends like this; what
/// is between is proved by the tag at its end.
const VECTORS: &[(u32, &str, &str, &str)] = &[
    // RFC 9001
    (
        1,
        "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
        "e221af44860018ab0856972e194cd934",
        RFC_HELLO,
    ),
    // RFC 9369
    (
        0x6b33_43cf,
        "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
        "a18b2faa745b6fe189cf772a9f84cbfc",
        RFC_HELLO,
    ),
    // draft-ietf-quic-tls-29
    (
        0xff00_001d,
        "c5ff00001d088394c8f03e5157080000449e4a95245bfb66bc5f93032b7ddd89",
        "43b1ca70a2d8d3f725ead1391377dcc0",
        DRAFT_HELLO,
    ),
];

const RFC_HELLO: &str = "
    010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113
    02010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d001700180010
    0007000504616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753d
    e171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e040305030603020308040805080600
    2d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08011001048000
    75300901100f088394c8f03e51570806048000ffff";

const DRAFT_HELLO: &str = "
    010000c003036660261ff947cea49cce6cfad687f457cf1b14531ba14131a0e8f309a1d0b9c4000006130113
    031302010000910000000b0009000006736572766572ff01000100000a00140012001d001700180019010001
    01010201030104002300000033002600 24001d00204cfdfcd178b784bf328cae793b136f2aedce005ff183d7
    bb1495207236647037002b0003020304000d0020001e04030503060302030804080508060401050106010201
    0402050206020202002d00020101001c00024001";

#[test]
fn first_packets_of_the_documents() {
    for &(version, begin, end, hello) in VECTORS {
        let first = Initial {
            number: 2,
            ..Initial::first(version, DCID, b"")
        };
        let frame = crypto_frame(version, 0, &hex(hello)).unwrap();
        let packet = first.packet(&frame, 1200).unwrap();
        assert_eq!(packet[..32], hex(begin), "{version:x}");
        assert_eq!(packet[1184..], hex(end), "{version:x}");

        let (outcome, facts) = run(&udp().client(&packet));
        assert_eq!(outcome, Outcome::Done);
        assert_eq!(facts.proto, Some(Proto::QUIC));
        assert_eq!(facts.quic.as_ref().unwrap().version, Some(version));
        let (name, alpn) = match hello {
            RFC_HELLO => ("example.com", vec!["alpn".into()]),
            _ => ("server", vec![]),
        };
        assert_eq!(facts.server_name.as_deref(), Some(name));
        assert_eq!(facts.tls.as_ref().unwrap().alpn, alpn);
        assert!(
            facts.tls.unwrap().ja4.unwrap().starts_with("q13d"),
            "{version:x}"
        );
        assert!(!facts.swapped);
    }
}

/// RFC 9001 appendix A.3.
const SERVER_INITIAL: &str = "
    cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c697975
    54780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bde
    d74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407d
    d074ee";

#[test]
fn server_packet_of_the_document() {
    let datagram = hex(SERVER_INITIAL);
    let Some(Packet::Long(packet)) = Packets::new(&datagram).next() else {
        panic!("no packet");
    };
    let keys = Keys::derive(Salt::V1, &V1_LABELS, DCID, Side::Server).unwrap();
    let mut scratch = Vec::new();
    let frames = keys.open(&packet, &mut 0, &mut scratch).unwrap();
    assert_eq!(scratch[frames][..10], hex("02000000000600405a02"));

    // Alone it names the version, and the side that sent it.
    let (outcome, facts) = run(&udp().server(&datagram));
    assert_eq!(outcome, Outcome::Partial);
    assert_eq!(
        (facts.proto, facts.quic.as_ref().unwrap().version),
        (Some(Proto::QUIC), Some(1))
    );
    assert!(!facts.swapped);
    let mut script = Script::new(Transport::Udp, 443, 50_000);
    for _ in 0..=PATIENCE {
        assert_ne!(run(&script).0, Outcome::Done);
        script = script.client(&datagram);
    }
    let (outcome, facts) = run(&script);
    assert_eq!((outcome, facts.server_name), (Outcome::Done, None));
    assert!(facts.swapped);
}

#[test]
fn every_version_is_opened() {
    let drafts = 0xff00_0016..=0xff00_0022;
    let others = [
        1,
        0x6b33_43cf,
        0x709a_50c4,
        0xff02_0000,
        0xface_b001,
        0xface_b002,
        0xface_b003,
        0xface_b00e,
        0xface_b013,
        0x5430_3530,
        0x5430_3531,
        0xabcd_0000,
        0x91c1_7000,
    ];
    for version in drafts.chain(others) {
        let script = initial_packets(version, DCID, b"scid", &long_hello())
            .iter()
            .fold(udp(), |script, datagram| script.client(datagram));
        let (outcome, facts) = run(&script);
        assert_eq!(outcome, Outcome::Done, "{version:x}");
        assert_eq!(facts.server_name.as_deref(), Some(NAME), "{version:x}");
        assert_eq!(facts.quic.as_ref().unwrap().version, Some(version));
        assert_eq!(facts.proto, Some(Proto::QUIC));
    }
    assert!(initial_packets(7, DCID, b"", &long_hello()).is_empty());
    assert!(initial_packets(1, &[0; 21], b"", &long_hello()).is_empty());
}

/// A CHLO with a name and a user agent, `padding` bytes longer.
fn chlo(padding: usize) -> Vec<u8> {
    let values = [&vec![b'-'; padding][..], NAME.as_bytes(), b"Chrome/90"];
    let mut message = b"CHLO\x03\0\0\0".to_vec();
    let mut end = 0;
    for (tag, value) in [b"PAD\0", b"SNI\0", b"UAID"].into_iter().zip(values) {
        end += value.len();
        message.extend_from_slice(tag);
        message.extend_from_slice(&u32::try_from(end).unwrap().to_le_bytes());
    }
    message.extend_from_slice(&values.concat());
    message
}

#[test]
fn google_versions() {
    let q050 = u32::from_be_bytes(*b"Q050");
    let q043 =
        |hash: &[u8; 12], frames: &[u8]| [&b"\x09CIDCIDCIQ043\x01"[..], hash, frames].concat();
    let stream = |kind: u8, offset: &[u8], data: &[u8]| {
        [
            &[kind, 1][..],
            offset,
            &u16::try_from(data.len()).unwrap().to_be_bytes(),
            data,
        ]
        .concat()
    };
    let hash = b"hash of it..";
    let whole = chlo(900);
    let (begin, rest) = whole.split_at(700);
    let parts = [
        q043(hash, &stream(0xa0, b"", begin)),
        q043(hash, &stream(0xa4, &700_u16.to_be_bytes(), rest)),
    ];
    let rejection = [b"\x08CIDCIDCI\x01", &hash[..], &stream(0xa0, b"", b"REJ\0")].concat();
    for (script, version, outcome, name, swapped) in [
        (
            initial_packets(q050, DCID, b"", &chlo(1000))
                .iter()
                .fold(udp(), |script, datagram| script.client(datagram)),
            Some(q050),
            Outcome::Done,
            true,
            false,
        ),
        (
            udp().client(&q043(hash, &stream(0xa0, b"", &whole))),
            Some(u32::from_be_bytes(*b"Q043")),
            Outcome::Done,
            true,
            false,
        ),
        (
            udp().client(&parts[0]).client(&parts[1]),
            Some(u32::from_be_bytes(*b"Q043")),
            Outcome::Done,
            true,
            false,
        ),
        // after a first CHLO that was refused
        (
            udp().client(&q043(hash, &stream(0xa4, &1024_u16.to_be_bytes(), &whole))),
            Some(u32::from_be_bytes(*b"Q043")),
            Outcome::Done,
            true,
            false,
        ),
        (
            udp().client(&parts[0]),
            Some(u32::from_be_bytes(*b"Q043")),
            Outcome::Partial,
            false,
            false,
        ),
        (
            udp()
                .client(&rejection)
                .server(&q043(hash, &stream(0xa0, b"", &whole))),
            Some(u32::from_be_bytes(*b"Q043")),
            Outcome::Done,
            true,
            true,
        ),
        (
            udp().client(&rejection),
            None,
            Outcome::Partial,
            false,
            true,
        ),
        (
            udp().server(&rejection),
            None,
            Outcome::Partial,
            false,
            false,
        ),
        // A packet of 0-RTT: the version is all there is to see.
        (
            udp()
                .client(&q043(hash, &[0xee; 500]))
                .server(&[8; 80])
                .server(&[8; 80]),
            Some(u32::from_be_bytes(*b"Q043")),
            Outcome::Done,
            false,
            false,
        ),
    ] {
        let (read, facts) = run(&script);
        assert_eq!(read, outcome);
        assert_eq!(facts.proto, Some(Proto::GQUIC));
        assert_eq!(facts.server_name.as_deref(), name.then_some(NAME));
        let quic = facts.quic.unwrap_or_default();
        assert_eq!(quic.version, version);
        assert_eq!(quic.user_agent.as_deref(), name.then_some("Chrome/90"));
        assert_eq!(facts.swapped, swapped);
    }
}

/// `hello` in pieces of which `order` says how they are sent, two packets of them.
fn scattered(hello: &[u8], seed: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<_> = hello.chunks(97).enumerate().collect();
    let order = |place: usize| place * (2 * seed + 1) % pieces.len().next_power_of_two();
    let mut payloads = [Vec::new(), Vec::new()];
    let mut order: Vec<_> = (0..pieces.len().next_power_of_two()).map(order).collect();
    order.extend([1, 0]); // and two of them once more
    for (place, index) in order.into_iter().enumerate() {
        let Some(&(index, piece)) = pieces.get(index) else {
            continue;
        };
        let payload = &mut payloads[(place * 2 / pieces.len().next_power_of_two()) & 1];
        payload.extend_from_slice(&crypto_frame(1, index * 97, piece).unwrap());
        payload.extend_from_slice(&[1, 0, 0, 1][..place % 5]);
    }
    let packet = |(number, payload): (u32, &Vec<u8>)| {
        let header = Initial {
            number,
            ..Initial::first(1, DCID, b"")
        };
        header.packet(payload, 1200).unwrap()
    };
    (0..).zip(&payloads).map(packet).collect()
}

#[test]
fn scattered_hellos() {
    for seed in 0..16 {
        let datagrams = scattered(&long_hello(), seed);
        let [first, second] = &datagrams[..] else {
            panic!("two");
        };
        assert_eq!(run(&udp().client(first)).0, Outcome::Partial, "{seed}");
        assert_eq!(
            named(&udp().client(first).client(second)),
            done(NAME),
            "{seed}"
        );
        assert_eq!(
            named(&udp().client(second).client(first)),
            done(NAME),
            "{seed}"
        );
        // both in one datagram, behind what the server says meanwhile
        let both = [&first[..], second].concat();
        assert_eq!(named(&udp().client(&both)), done(NAME), "{seed}");
    }
}

/// A client's Initial number `number` with part of `hello` from `offset` on.
fn part(hello: &[u8], at: std::ops::Range<usize>, number: u32, keys: Initial<'_>) -> Vec<u8> {
    let frame = crypto_frame(keys.version, at.start, &hello[at]).unwrap();
    Initial { number, ..keys }.packet(&frame, 1200).unwrap()
}

fn retry(scid: &[u8]) -> Vec<u8> {
    let id = [u8::try_from(scid.len()).unwrap()];
    [b"\xff\0\0\0\x01\0", &id[..], scid, b"token", &[0x16; 16]].concat()
}

#[test]
fn connection_ids_that_change() {
    let hello = long_hello();
    let len = hello.len();
    let first = Initial::first(1, DCID, b"");
    let later = Initial {
        dcid: SERVER_ID,
        ..first
    };
    let retried = Initial {
        dcid: SERVER_ID,
        keyed_by: SERVER_ID,
        token: b"token",
        ..first
    };
    let begin = part(&hello, 0..900, 0, first);
    let server = hex(SERVER_INITIAL);
    let scripts = [
        // the server acknowledged the first part
        udp()
            .client(&begin)
            .server(&server)
            .client(&part(&hello, 900..len, 1, later)),
        // the server wants a token
        udp()
            .client(&begin)
            .server(&retry(SERVER_ID))
            .client(&part(&hello, 0..900, 1, retried))
            .client(&part(&hello, 900..len, 2, retried)),
        // the first connection came to nothing, the same ports are used again
        udp()
            .client(&begin)
            .client(&part(
                &hello,
                0..900,
                0,
                Initial::first(1, b"another!", b""),
            ))
            .client(&part(
                &hello,
                900..len,
                1,
                Initial::first(1, b"another!", b""),
            )),
        // packet numbers need not begin at zero
        udp()
            .client(&part(&hello, 0..900, 0x0100_0000, first))
            .client(&part(&hello, 900..len, 0x0100_0001, first)),
    ];
    for script in scripts {
        assert_eq!(named(&script), done(NAME));
    }
    // After a Retry without the Initial that asked again
    let script = udp().client(&begin).server(&retry(SERVER_ID));
    assert_eq!(run(&script).0, Outcome::Partial);
    // A Retry first is the server's
    let script = udp()
        .client(&retry(SERVER_ID))
        .server(&part(&hello, 0..900, 1, retried));
    let (outcome, facts) = run(&script);
    assert_eq!((outcome, facts.swapped), (Outcome::Partial, true));
}

#[test]
fn versions_are_negotiated() {
    let hello = client_hello(NAME, &["h3"], 0);
    let mut reserved = initial_packets(1, DCID, b"ab", &hello).remove(0);
    reserved[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
    // The header is authenticated: this does not open. One that was sealed so does.
    let sealed = Initial::first(0x1a2a_3a4a, DCID, b"");
    let sealed = sealed
        .packet(&crypto_frame(1, 0, &hello).unwrap(), 1200)
        .unwrap();
    assert_eq!(named(&udp().client(&sealed)), done(NAME));
    let list = |version: u32| {
        [
            &b"\x80\0\0\0\0\x02ab\x08"[..],
            DCID,
            &[0, 0, 0, 1],
            &version.to_be_bytes(),
        ]
        .concat()
    };
    let first = initial_packets(1, b"other id", b"ab", &hello).remove(0);
    assert_eq!(run(&udp().client(&reserved)).0, Outcome::NeedMore);
    let (outcome, facts) = run(&udp().client(&reserved).server(&list(1)));
    assert_eq!(outcome, Outcome::Partial);
    assert_eq!(facts.quic.as_ref().unwrap().version, Some(0x1a2a_3a4a));
    let script = udp().client(&reserved).server(&list(1)).client(&first);
    assert_eq!(named(&script), done(NAME));
    assert_eq!(run(&script).1.quic.unwrap().version, Some(1));
    let (outcome, facts) = run(&udp().client(&list(0x6b33_43cf)).server(&first));
    assert_eq!((outcome, facts.swapped), (Outcome::Done, true));
    assert_eq!(
        run(&udp().client(&list(1))).0,
        Outcome::NotMine,
        "that may be anything"
    );
}

#[test]
fn the_order_of_capture_may_be_wrong() {
    let hello = client_hello(NAME, &["h3"], 0);
    let client = initial_packets(1, DCID, b"", &hello).remove(0);
    let server = hex(SERVER_INITIAL);
    let (outcome, facts) = run(&udp().client(&server).server(&client));
    assert_eq!((outcome, facts.swapped), (Outcome::Done, true));
    assert_eq!(facts.server_name.as_deref(), Some(NAME));
    // 0-RTT before the Initial
    let mut early = vec![0xd0, 0, 0, 0, 1, 8];
    early.extend_from_slice(DCID);
    early.extend_from_slice(&[0, 0x41, 0x00]);
    early.extend_from_slice(&[0x77; 256]);
    let (outcome, facts) = run(&udp().client(&early));
    assert_eq!(
        (outcome, facts.proto),
        (Outcome::Partial, Some(Proto::QUIC))
    );
    assert_eq!(named(&udp().client(&early).client(&client)), done(NAME));
    assert_eq!(
        named(&udp().client(&[&early[..], &client].concat())),
        done(NAME)
    );
}

#[test]
fn what_will_not_come_is_not_waited_for() {
    let hello = long_hello();
    let first = Initial::first(1, DCID, b"");
    let begin = part(&hello, 0..1000, 0, first);
    let handshake = [&[0xe0, 0, 0, 0, 1, 0, 0, 0x40, 0x40][..], &[0x55; 64]].concat();
    // The name is in the part that came.
    let script = udp().client(&begin).server(&handshake);
    assert_eq!(named(&script), done(NAME));
    assert_eq!(
        run(&script).1.tls.unwrap().ja4,
        None,
        "a fingerprint needs the whole hello"
    );
    // The part with the name is missing.
    let script = udp()
        .client(&part(&hello, 900..1200, 1, first))
        .server(&handshake);
    assert_eq!(named(&script), (Outcome::Done, None));
    // Only the client is seen.
    let script = (0..PATIENCE).fold(udp().client(&begin), |script, _| script.client(&begin));
    assert_eq!(named(&script), done(NAME));
    // Other keys than the version's
    let other = Initial {
        keyed_by: SERVER_ID,
        ..first
    };
    let sealed = part(&hello, 0..1000, 0, other);
    let (outcome, facts) = run(&udp().client(&sealed));
    assert_eq!(
        (outcome, facts.quic.as_ref().unwrap().version),
        (Outcome::Partial, Some(1))
    );
    assert_eq!(
        named(&udp().client(&sealed).server(&handshake)),
        (Outcome::Done, None)
    );
    // Not a hello
    let odd = part(&[2; 100], 0..100, 0, first);
    assert_eq!(named(&udp().client(&odd)), (Outcome::Done, None));
    // Many connections, each with its own keys, on the same ports
    let script = (0..24_u64).fold(udp(), |script, id| {
        let id = id.to_be_bytes();
        script.client(&part(&hello, 0..1000, 0, Initial::first(1, &id, b"")))
    });
    assert_eq!(named(&script), done(NAME));
}

#[test]
fn datagrams_cut_by_capturing() {
    let hello = client_hello(NAME, &["h3"], 0);
    let whole = initial_packets(1, DCID, b"", &hello).remove(0);
    const HEADER_LEN: usize = 18;
    const NUMBER_LEN: usize = 4;
    for len in 0..whole.len() {
        let (outcome, facts) = run(&udp().client(&whole[..len]));
        let expected = match len.checked_sub(HEADER_LEN) {
            None => Outcome::NotMine,
            Some(frame_len) if frame_len < NUMBER_LEN + 4 + hello.len() => Outcome::Partial,
            Some(_) => Outcome::Done,
        };
        assert_eq!(outcome, expected, "{len}");
        if outcome == Outcome::Done {
            assert_eq!(facts.server_name.as_deref(), Some(NAME), "{len}");
        }
    }
}

#[test]
fn other_protocols_are_left_alone() {
    for datagram in [
        &b""[..],
        b"\xc0",
        b"\xc0\0\0\0\x01",
        b"\xc0\0\0\0\x02\x08abcdefgh\0\0\x44\x9e",
        // RTP, DNS, STUN, text
        b"\x80\x60\x12\x34\0\0\0\x01\0\0\0\x02payload",
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01",
        b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl",
        b"\x09hello",
        b"GET / HTTP/1.1\r\n\r\n",
        // A lying length of a connection ID, of a token, of the packet
        b"\xc0\0\0\0\x01\xffabcdefgh\0\0\x44\x9e",
        b"\xc0\0\0\0\x01\x08abcdefgh\0\xff\xff\xff\xff\xff\xff\xff\xff\x44\x9e",
        b"\xc0\0\0\0\x01\x08abcdefgh\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut script = udp();
        for _ in 0..8 {
            script = script.client(datagram);
        }
        let (outcome, facts) = run(&script);
        assert_eq!(outcome, Outcome::NotMine, "{datagram:02x?}");
        assert_eq!(facts, Facts::default());
    }
}

proptest! {
    #[test]
    fn random_bytes_are_not_quic(
        client in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        server in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let script = client.iter().fold(udp(), |script, it| script.client(it));
        let script = server.iter().fold(script, |script, it| script.server(it));
        let (outcome, facts) = run(&script);
        prop_assert!(matches!(outcome, Outcome::NotMine | Outcome::NeedMore));
        prop_assert_eq!(facts, Facts::default());
    }

    #[test]
    fn any_change_is_survived(
        version in prop::sample::select(vec![1, 0x6b33_43cf, 0xff00_001d, u32::from_be_bytes(*b"T051")]),
        changes in prop::collection::vec((0_usize..60, any::<u8>()), 1..6),
        cut in 0_usize..1300,
        tail in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut datagrams = initial_packets(version, DCID, b"ab", &long_hello());
        for (at, value) in changes {
            datagrams[0][at] = value;
        }
        datagrams[1].truncate(cut);
        datagrams[1].extend_from_slice(&tail);
        let script = udp().client(&datagrams[0]).server(&tail).client(&datagrams[1]);
        run(&script);
        let script = udp().client(&datagrams[1]).client(&datagrams[0]).server(&tail);
        run(&script);
    }

    #[test]
    fn any_frames_are_survived(
        payload in prop::collection::vec(any::<u8>(), 0..1100),
        version in prop::sample::select(vec![1, u32::from_be_bytes(*b"Q050")]),
    ) {
        let packet = Initial::first(version, DCID, b"").packet(&payload, 1200).unwrap();
        let (outcome, _) = run(&udp().client(&packet));
        prop_assert!(matches!(outcome, Outcome::Partial | Outcome::Done));
    }
}
