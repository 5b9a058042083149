#![allow(clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::flow::opening::Script;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ID: [u8; 12] = *b"transaction!";

/// RFC 5769 section 2.1: a request with SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME,
/// MESSAGE-INTEGRITY and FINGERPRINT.
const RFC5769_REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\
    \xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\
    \x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
    \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\
    \xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 section 2.2: a response for 192.0.2.1 port 32853.
const RFC5769_RESPONSE: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\
    \xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x0btest vector\x20\
    \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
    \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\
    \x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
    \x80\x28\x00\x04\xc0\x7d\x4c\x96";

fn run(script: &Script) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let outcome = dissect(&script.opening(), &mut facts);
    if !matches!(outcome, Outcome::Done | Outcome::Partial) {
        assert_eq!(facts, Facts::default());
    }
    (outcome, facts)
}

/// Shows the dissector an opening after each of its messages.
fn run_all(port: u16, messages: &[(Side, &[u8])]) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let mut script = Script::udp(port);
    let mut outcome = Outcome::NeedMore;
    for (side, message) in messages {
        script = script.message(*side, message);
        outcome = dissect(&script.opening(), &mut facts);
    }
    (outcome, facts)
}

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_be_bytes(), (value.len() as u16).to_be_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, cookie: [u8; 4], attributes: &[Vec<u8>]) -> Vec<u8> {
    let body = attributes.concat();
    let mut bytes = [kind.to_be_bytes(), (body.len() as u16).to_be_bytes()].concat();
    bytes.extend_from_slice(&cookie);
    bytes.extend_from_slice(&ID);
    bytes.extend_from_slice(&body);
    bytes
}

fn stun(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    message(kind, COOKIE, attributes)
}

fn classic(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    message(kind, [9; 4], attributes)
}

fn xor_v4(ip: [u8; 4], port: u16) -> Vec<u8> {
    let mut value = vec![0, 1];
    value.extend_from_slice(&(port ^ 0x2112).to_be_bytes());
    value.extend(ip.iter().zip(COOKIE).map(|(a, b)| a ^ b));
    value
}

#[test]
fn reads_the_test_vectors_of_rfc_5769() {
    let script = Script::udp(9999).client(RFC5769_REQUEST);
    let (outcome, facts) = run(&script);
    assert_eq!(
        (outcome, facts.proto, facts.swapped),
        (Outcome::Partial, Some(Proto::STUN), false)
    );
    let stun = facts.stun.unwrap();
    assert_eq!(stun.types, [1]);
    assert_eq!(stun.attributes, [0x8022, 0x24, 0x8029, 6, 8, 0x8028]);
    assert_eq!(stun.software.as_deref(), Some("STUN test client"));
    assert_eq!(stun.username.as_deref(), Some("evtj:h6vY"));
    assert!(!stun.classic);

    let (_, facts) = run(&Script::udp(9999).client(RFC5769_RESPONSE));
    assert!(facts.swapped, "the client of this flow answers");
    assert_eq!(
        facts.stun.unwrap().addresses,
        ["192.0.2.1:32853".parse().unwrap()]
    );
}

#[test]
fn gathers_over_messages() {
    let peer = xor_v4([198, 51, 100, 7], 4321);
    let mut v6 = vec![0, 2, 0x21 ^ 0x10, 0x12];
    let address = "2001:db8::5"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets();
    let mask = [&COOKIE[..], &ID].concat();
    v6.extend(address.iter().zip(mask).map(|(a, b)| a ^ b));
    let allocate = stun(0x0003, &[attr(0x0019, &[17, 0, 0, 0])]);
    let denied = stun(
        0x0113,
        &[attr(0x0009, &[0, 0, 4, 1]), attr(0x0014, b"Signal.ORG")],
    );
    let bind = stun(
        0x0009,
        &[attr(0x000c, &[0x40, 1, 0, 0]), attr(0x0012, &peer)],
    );
    let send = stun(0x0016, &[attr(0x0012, &v6), attr(0x0013, b"data")]);
    let (outcome, facts) = run_all(
        3478,
        &[
            (Side::Client, &allocate),
            (Side::Server, &denied),
            (Side::Client, &bind),
            (Side::Client, &send),
            (Side::Client, b"\x40\x01\x00\x03abc"),
            (Side::Client, b"\x17\xfe\xfd\0\0"),
        ],
    );
    assert_eq!(
        (outcome, facts.proto),
        (Outcome::Partial, Some(Proto::TURN))
    );
    let facts = facts.stun.unwrap();
    assert_eq!(facts.types, [0x0003, 0x0113, 0x0009, 0x0016]);
    assert_eq!(facts.realm.as_deref(), Some("signal.org"));

    for (message, expected) in [
        (&bind, &["peer 198.51.100.7:4321"][..]),
        (&send, &["peer [2001:db8::5]:4096"]),
        (&allocate, &[]),
    ] {
        assert_eq!(taught(message), expected);
    }
}

/// What a message teaches of other flows.
fn taught(message: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    lessons(message, &mut |lesson| {
        seen.push(match lesson {
            Lesson::Peer(socket) => format!("peer {socket}"),
            Lesson::Relayed(socket) => format!("relayed {socket}"),
            Lesson::Session(names) => names.map(String::from_utf8_lossy).join(" "),
        });
    });
    seen
}

#[test]
fn sessions_and_relays_are_told() {
    let user = |text: &str| stun(0x0001, &[attr(0x0006, text.as_bytes())]);
    let relayed = stun(0x0103, &[attr(0x0016, &xor_v4([198, 51, 100, 7], 4321))]);
    let inside = stun(0x0016, &[attr(0x0013, &user("Bbbb:aaaa"))]);
    for (message, expected) in [
        (&user("aaaa:Bbbb"), Some("Bbbb aaaa")),
        (&user("Bbbb:aaaa"), Some("Bbbb aaaa")),
        (&inside, Some("Bbbb aaaa")),
        (&relayed, Some("relayed 198.51.100.7:4321")),
        // Names of users, not of sessions: too short, not random, one.
        (&user("aaa:bbbb"), None),
        (&user("1767326645:us_er"), None),
        (&user("aaaa:aaaa"), None),
        (&user("aaaabbbb"), None),
    ] {
        assert_eq!(taught(message).first().map(String::as_str), expected);
    }
    for (kind, expected) in [
        (0x0113, true),
        (0x0103, true),
        (0x0801 | 0x0100, true),
        (0x0101, false),
        (0x0111, false),
        (0x0003, false),
    ] {
        assert_eq!(is_of_relay(&stun(kind, &[])), expected, "{kind:#06x}");
    }
}

#[test]
fn private_types_pass_with_the_cookie() {
    for kind in [0x0800, 0x0801, 0x0802, 0x0003, 0x3fff, 0x0200] {
        let bytes = stun(kind, &[attr(0x4000, &[1; 5]), attr(0xff03, &[])]);
        let (outcome, facts) = run(&Script::udp(12345).client(&bytes));
        assert_eq!(outcome, Outcome::Partial, "{kind:#x}");
        let stun = facts.stun.unwrap();
        assert_eq!(
            (stun.types, stun.attributes),
            (vec![kind], vec![0x4000, 0xff03])
        );
    }
}

#[test]
fn attributes_without_padding_need_an_exact_length() {
    let mut bytes = stun(0x0802, &[attr(0x4002, &[2; 8])]);
    bytes.extend_from_slice(b"\x40\x03\0\x05abcde\x40\x04\0\x04last");
    bytes[3] = (bytes.len() - HEADER_LEN) as u8;
    let (outcome, facts) = run(&Script::udp(3478).client(&bytes));
    assert_eq!(outcome, Outcome::Partial);
    assert_eq!(facts.stun.unwrap().attributes, [0x4002, 0x4003, 0x4004]);
    bytes.push(0);
    assert_eq!(run(&Script::udp(3478).client(&bytes)).0, Outcome::NotMine);
}

#[test]
fn classic_needs_sound_attributes() {
    let mapped = || attr(1, &[0, 1, 0x12, 0x34, 192, 0, 2, 1]);
    let rows: &[(&str, Vec<u8>, u16, Outcome)] = &[
        (
            "change request",
            classic(1, &[attr(3, &[0, 0, 0, 6])]),
            9999,
            Outcome::Partial,
        ),
        (
            "binding response",
            classic(0x0101, &[mapped(), attr(4, &mapped()[4..])]),
            9999,
            Outcome::Partial,
        ),
        (
            "Microsoft's allocate",
            classic(
                3,
                &[attr(15, b"\x72\xc6\x4b\xc6"), attr(0x8008, &[0, 0, 0, 1])],
            ),
            9999,
            Outcome::Partial,
        ),
        (
            "header on STUN's port",
            classic(1, &[]),
            3478,
            Outcome::Partial,
        ),
        ("header elsewhere", classic(1, &[]), 9999, Outcome::NeedMore),
        (
            "response without attributes",
            classic(0x0101, &[]),
            3478,
            Outcome::NotMine,
        ),
        (
            "unknown attribute",
            classic(1, &[attr(0x7777, &[0; 4])]),
            3478,
            Outcome::NotMine,
        ),
        (
            "wrong family",
            classic(0x0101, &[attr(1, &[0, 3, 0, 0, 0, 0, 0, 0])]),
            3478,
            Outcome::NotMine,
        ),
        (
            "wrong draft cookie",
            classic(3, &[attr(15, &[1; 4])]),
            3478,
            Outcome::NotMine,
        ),
        (
            "unknown type",
            classic(0x0800, &[mapped()]),
            3478,
            Outcome::NotMine,
        ),
        (
            "a byte more",
            [classic(1, &[mapped()]), vec![0]].concat(),
            3478,
            Outcome::NotMine,
        ),
        (
            "lying length",
            {
                let mut m = classic(1, &[mapped()]);
                m[23] = 12;
                m
            },
            3478,
            Outcome::NotMine,
        ),
    ];
    for (what, bytes, port, want) in rows {
        let (outcome, facts) = run(&Script::udp(*port).client(bytes));
        assert_eq!(outcome, *want, "{what}");
        assert!(facts.stun.is_none_or(|stun| stun.classic), "{what}");
    }
    let answered = Script::udp(9999)
        .client(&classic(1, &[]))
        .server(&classic(0x0101, &[mapped()]));
    assert_eq!(run(&answered).0, Outcome::Partial);
}

#[test]
fn stun_may_begin_late_or_never() {
    let rtp: (Side, &[u8]) = (Side::Client, b"\x80\x60\0\x01\0\0\0\0\0\0\0\x01abc");
    let dtls: (Side, &[u8]) = (Side::Client, b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x01\0");
    assert_eq!(run_all(9999, &[rtp, dtls]).0, Outcome::NeedMore);
    assert_eq!(
        run_all(9999, &[rtp, dtls, (Side::Server, RFC5769_REQUEST)]).0,
        Outcome::Partial
    );
    let channel: (Side, &[u8]) = (Side::Server, b"\x40\x07\x00\x05\x80\x60\0\x01a");
    // What nobody sends to a peer is no proof, however often it comes.
    let other: (Side, &[u8]) = (Side::Server, b"\x40\x07\x00\x05hello");
    assert_eq!(run_all(9999, &[other; 3]).0, Outcome::NeedMore);
    assert_eq!(run_all(9999, &[channel, channel]).0, Outcome::NeedMore);
    let (outcome, facts) = run_all(9999, &[channel, channel, channel]);
    assert_eq!(
        (outcome, facts.proto),
        (Outcome::Partial, Some(Proto::TURN))
    );
    for bytes in [
        &b"\x40\x07\x00\x09hello"[..],
        b"GET / HTTP/1.1",
        b"\xc0\0\0\0\x01abcdef",
    ] {
        assert_eq!(
            run(&Script::udp(3478).client(bytes)).0,
            Outcome::NotMine,
            "{bytes:?}"
        );
    }
}

/// RFC 7983: what is spoken is what ICE's checks opened the way for.
#[test]
fn what_shares_the_ports_names_the_flow() {
    use Side::{Client, Server};
    let check = stun(0x0001, &[]);
    let answer = stun(0x0101, &[xor_v4([192, 0, 2, 1], 5000)]);
    let allocate = stun(0x0003, &[]);
    let rtp = |sequence: u8| {
        let mut packet = vec![0x80, 111, 0, sequence, 0, 0, sequence, 0, 1, 2, 3, 4];
        packet.extend_from_slice(&[0xd5; 40]);
        packet
    };
    let (first, second, third) = (rtp(1), rtp(2), rtp(3));
    // ServerHelloDone, a message without a body, in a record of epoch 0.
    let handshake: &[u8] = b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x0c\x0e\0\0\0\0\0\0\0\0\0\0\0";
    type Row<'a> = (&'a str, &'a [(Side, &'a [u8])], Proto);
    let rows: &[Row<'_>] = &[
        (
            "checks alone",
            &[(Client, &check), (Server, &answer)],
            Proto::STUN,
        ),
        (
            "two packets of media are not enough",
            &[(Client, &check), (Client, &first), (Client, &second)],
            Proto::STUN,
        ),
        (
            "media",
            &[
                (Client, &check),
                (Client, &first),
                (Client, &second),
                (Client, &third),
            ],
            Proto::RTP,
        ),
        (
            "media, and further checks",
            &[
                (Client, &check),
                (Client, &first),
                (Server, &answer),
                (Client, &second),
                (Client, &third),
                (Client, &check),
            ],
            Proto::RTP,
        ),
        (
            "handshake",
            &[(Client, &check), (Server, handshake)],
            Proto::DTLS,
        ),
        (
            "handshake, then what it keys",
            &[
                (Client, &check),
                (Client, handshake),
                (Client, &first),
                (Client, &second),
                (Client, &third),
            ],
            Proto::DTLS,
        ),
        (
            "media before the handshake was seen",
            &[
                (Client, &check),
                (Client, &first),
                (Client, &second),
                (Client, &third),
                (Server, handshake),
            ],
            Proto::DTLS,
        ),
        (
            "a relay",
            &[
                (Client, &allocate),
                (Client, &first),
                (Client, &second),
                (Client, &third),
                (Client, handshake),
            ],
            Proto::TURN,
        ),
        (
            "neither one nor the other",
            &[
                (Client, &check),
                (Client, &[0x17, 1, 2, 3]),
                (Client, &[0x80; 30]),
            ],
            Proto::STUN,
        ),
    ];
    for (what, messages, proto) in rows {
        let (outcome, facts) = run_all(40_000, messages);
        assert_eq!(
            (outcome, facts.proto),
            (Outcome::Partial, Some(*proto)),
            "{what}"
        );
        assert!(facts.stun.is_some(), "{what}");
    }
}

#[test]
fn microsoft_multiplexing_is_opened() {
    let inner = stun(0x0003, &[attr(0x8055, &[0, 1, 0, 0])]);
    let mut bytes = vec![0xff, 0x10];
    bytes.extend_from_slice(&(inner.len() as u16 + 8).to_be_bytes());
    bytes.extend_from_slice(b"session!");
    bytes.extend_from_slice(&inner);
    let (outcome, facts) = run(&Script::udp(3480).client(&bytes));
    assert_eq!(
        (outcome, facts.proto),
        (Outcome::Partial, Some(Proto::TURN))
    );
    assert_eq!(facts.stun.unwrap().attributes, [0x8055]);
    bytes[3] ^= 1;
    assert_eq!(run(&Script::udp(3480).client(&bytes)).0, Outcome::NotMine);
}

#[test]
fn streams_hold_many_messages() {
    let first = stun(0x0003, &[attr(0x0006, b"user")]);
    let second = stun(0x0008, &[attr(0x0012, &xor_v4([192, 0, 2, 9], 9))]);
    let behind = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let microsoft = |bytes: &[u8]| [&[2, 0][..], &behind(bytes)].concat();
    let rows = [
        (
            "plain",
            [&first[..], b"\x40\0\0\x03abc\0", &second].concat(),
        ),
        (
            "RFC 4571",
            [behind(&first), behind(b"\x80\x60rtp"), behind(&second)].concat(),
        ),
        ("MS-TURN", [microsoft(&first), microsoft(&second)].concat()),
    ];
    for (what, bytes) in &rows {
        for cut in [1, 5, 17, first.len() + 3, bytes.len()] {
            let script = Script::tcp(443).client(&bytes[..cut]).client(&bytes[cut..]);
            let (outcome, facts) = run(&script);
            assert_eq!(
                (outcome, facts.proto),
                (Outcome::Partial, Some(Proto::TURN)),
                "{what}"
            );
            let stun = facts.stun.unwrap();
            assert_eq!(stun.addresses, ["192.0.2.9:9".parse().unwrap()], "{what}");
            assert_eq!(stun.types, [3, 8], "{what}");
        }
        for end in 1..20 {
            let outcome = run(&Script::tcp(443).client(&bytes[..end])).0;
            assert_eq!(outcome, Outcome::NeedMore, "{what} cut at {end}");
        }
    }
    let classic = classic(1, &[attr(3, &[0; 4])]);
    for bytes in [
        &b"\x16\x03\x01\x02\0\x01\0\x01"[..],
        b"GET / HTTP",
        &classic,
        b"\x00\x01\x00\x03",
    ] {
        assert_eq!(
            run(&Script::tcp(443).client(bytes)).0,
            Outcome::NotMine,
            "{bytes:02x?}"
        );
    }
}

#[test]
fn lists_and_texts_are_bounded() {
    let mut script = Script::udp(3478);
    let mut facts = Facts::default();
    for round in 0..100_u16 {
        let attributes: Vec<_> = (0..40)
            .map(|i| attr(0x4000 + round * 40 + i, &[7; 9]))
            .collect();
        let peers = (0..40).map(|i| attr(0x0012, &xor_v4([10, 0, 0, i], round + 1)));
        let mut all: Vec<_> = peers.chain(attributes).collect();
        all.push(attr(0x0006, &[b'u'; 600]));
        let bytes = stun(round * 16, &all);
        script = script.client(&bytes);
        dissect(&script.opening(), &mut facts);
    }
    assert_eq!(facts.beyond_bounds(), None);
    let stun = facts.stun.unwrap();
    assert_eq!((stun.types.len(), stun.attributes.len()), (16, 32));
    assert_eq!(stun.addresses.len(), 8);
    assert_eq!(stun.username.unwrap().len(), 512);
}

proptest! {
    #[test]
    fn random_datagrams_are_not_stun(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let outcome = run(&Script::udp(9999).client(&bytes)).0;
        prop_assert!(matches!(outcome, Outcome::NotMine | Outcome::NeedMore));
        let outcome = run(&Script::tcp(9999).client(&bytes)).0;
        prop_assert!(matches!(outcome, Outcome::NotMine | Outcome::NeedMore));
    }

    #[test]
    fn mutations_never_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = [RFC5769_REQUEST, RFC5769_RESPONSE].concat();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let cut = cut.index(bytes.len());
        run(&Script::udp(3478).client(&bytes[..cut]).server(&bytes[cut..]));
        run(&Script::tcp(3478).client(&bytes[..cut]).client(&bytes[cut..]).server(&bytes));
        lessons(&bytes, &mut |_| {});
        is_of_relay(&bytes);
    }
}
