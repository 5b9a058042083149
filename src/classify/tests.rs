//! Flows through the [`Classifier`] with a small signature set: what settles them, and when.

use super::inspection::LONG_STREAM;
use super::*;
use crate::app::Service;
use crate::flow::opening::Script;
use crate::flow::samples::{Host, acknowledging, dns_answer, dns_question, ended, tcp, udp};
use crate::flow::{Config, FlowTable};
use crate::signature::SourceFile;

mod calls;
mod middle;
mod places;

const A: Host = (1, 50_000);
/// No rule knows this address or port.
const B: Host = (2, 7777);
/// In acme's prefix.
const ACME: Host = (200, 7777);

const ACME_FILE: &str = "
[app]
id = 1
name = 'acme'
title = 'Acme'
category = 'messaging'
owner = 'Acme'

[[domain]]
suffix = ['acme.test']
service = 'chat'

[[payload]]
name = 'hello'
transport = 'tcp'
at = [{ offset = 0, hex = '16 03 03 7a' }]
service = 'voice'
source = 'a test'

[[payload]]
name = 'proof'
transport = 'udp'
evidence = 'payload-proof'
at = [{ offset = 0, text = 'ACME-PROOF' }]
source = 'a test'

[[payload]]
name = 'tcp-proof'
transport = 'tcp'
direction = 'client'
evidence = 'payload-proof'
at = [{ offset = 0, text = 'ACME-OVER-TCP' }]
source = 'a test'

[[domain]]
suffix = ['call.acme.test']
service = 'voice'

[[stun]]
realm = ['acme.test']
evidence = 'payload-proof'
source = 'a test'

[[call]]
name = 'relays'
signalling = ['voice']
address_required = true
port = [3478]
service = 'voice'
source = 'a test'

[[call]]
name = 'anywhere'
signalling = ['voice']
port = [4005]
source = 'a test'

[[address]]
prefix = ['10.0.0.200/32']

[[port]]
transport = 'udp'
port = [6666]
";

const OTHER_FILE: &str = "
[app]
id = 2
name = 'other'
title = 'Other'
category = 'messaging'
owner = 'Other'

[[domain]]
suffix = ['other.test']

[[domain]]
suffix = ['call.other.test']
service = 'video'

[[stun]]
realm = ['other.test']
evidence = 'payload-proof'
source = 'a test'

[[call]]
name = 'at-acme'
signalling = ['video']
address_of = ['acme']
port = [3478]
source = 'a test'

[[call]]
name = 'anywhere'
signalling = ['video']
port = ['4000-4009']
within = 10
service = 'video'
source = 'a test'
";

fn classifier() -> Classifier {
    let files = [
        SourceFile::new("signatures/messaging/acme.toml", ACME_FILE),
        SourceFile::new("signatures/messaging/other.toml", OTHER_FILE),
    ];
    let set = SignatureSet::compile(&files).unwrap_or_else(|found| panic!("{found:?}"));
    Classifier::new(Arc::new(set), true)
}

/// What a flow of these packets is called, and the packet that settled it; zero if only its end.
/// Packets that teach are learned from, as the pipeline does. The last packet's flow is looked at.
fn verdict(packets: &[Packet<'_>]) -> (Named, u32, Option<String>) {
    let mut classifier = classifier();
    let config = Config::default();
    let mut table: FlowTable<Classification> = FlowTable::new(config.clone());
    let mut at_packet = 0;
    for packet in packets {
        if Classifier::teaches(packet) {
            classifier.learn(packet);
        }
        let located = table.locate(packet);
        let touch = table.touch(packet, &located).unwrap();
        ended(&mut table);
        let flow = table.flow(touch).unwrap();
        if !flow.class.is_settled()
            && classifier.on_packet(flow, packet, touch.side, &config)
            && let Verdict::Settled { at_packet: at, .. } = flow.class.verdict
        {
            at_packet = at;
        }
    }
    let last = packets.last().unwrap();
    let located = table.locate(last);
    let touch = table.touch(last, &located).unwrap();
    ended(&mut table);
    let flow = table.flow(touch).unwrap();
    if !flow.class.is_settled() {
        at_packet = 0;
        classifier.finish(flow, last.at);
    }
    let Verdict::Settled { named, .. } = flow.class.verdict else {
        panic!("a finished flow has settled");
    };
    let set = classifier.set();
    let app = named.app.map(|app| set.catalog().app_name(app).to_owned());
    (named, at_packet, app)
}

const SYN: (u8, u32) = (2, 99);
const JUNK: &[u8] = b"\xf1\x9ejunk that no protocol begins with";

#[test]
fn a_server_name_settles_at_once() {
    let request = b"GET / HTTP/1.1\r\nHost: chat.acme.test\r\n\r\n";
    let packets = [
        tcp(1, A, B, SYN, b""),
        tcp(1, A, B, (16, 100), request),
        tcp(1, B, A, (16, 7), b"HTTP/1.1 200 OK\r\n\r\n"),
    ];
    let (named, at, app) = verdict(&packets);
    assert_eq!(app.as_deref(), Some("acme"));
    assert_eq!(named.service, Some(Service::Chat));
    assert_eq!(
        (named.proto, named.evidence),
        (Some(Proto::HTTP), Some(Evidence::ServerName))
    );
    assert_eq!(at, 2);
}

#[test]
fn a_long_stream_is_looked_at_when_it_has_grown_by_a_quarter() {
    // bytes at the last look, bytes now, whether it is due
    for (before, now, due) in [
        (0, 1, true),
        (LONG_STREAM - 1, LONG_STREAM, true),
        (LONG_STREAM, LONG_STREAM + 1, false),
        (LONG_STREAM, LONG_STREAM + LONG_STREAM / 4 - 1, false),
        (LONG_STREAM, LONG_STREAM + LONG_STREAM / 4, true),
    ] {
        let seen = |side, len: usize| Script::tcp(80).message(side, &vec![0; len]);
        for side in [Side::Client, Side::Server] {
            let mut inspection = Inspection::default();
            if before > 0 {
                assert!(inspection.is_due(&seen(side, before).opening()));
            }
            let script = seen(side, now);
            let mut opening = script.opening();
            let mut other = Inspection::default();
            other.looked_at[side] = before;
            assert_eq!(other.is_due(&opening), due, "{before} {now} {side:?}");
            assert_eq!(inspection.is_due(&opening), due, "{before} {now} {side:?}");
            opening.transport = Transport::Udp;
            assert!(inspection.is_due(&opening), "datagrams are messages");
        }
        let script = seen(Side::Client, now).server(b"HTTP/1.1 200 OK\r\n");
        let mut inspection = Inspection::default();
        inspection.looked_at[Side::Client] = before;
        assert!(inspection.is_due(&script.opening()), "the answer");
        let mut opening = script.opening();
        (opening.latest, opening.client.ended) = (Side::Client, true);
        assert!(inspection.is_due(&opening), "no more will come");
    }
}

#[test]
fn a_name_late_in_a_long_request_is_found() {
    let long = vec![b'a'; LONG_STREAM];
    let request = [
        &b"GET / HTTP/1.1\r\nCookie: "[..],
        &long,
        b"\r\nHost: chat.acme.test\r\n\r\n",
    ]
    .concat();
    let mut packets = vec![tcp(1, A, B, SYN, b"")];
    let mut sequence = 100;
    for segment in request.chunks(200) {
        packets.push(tcp(1, A, B, (16, sequence), segment));
        sequence += u32::try_from(segment.len()).unwrap();
    }
    for answered in [false, true] {
        if answered {
            packets.push(tcp(1, B, A, (16, 7), b"HTTP/1.1 200 OK\r\n\r\n"));
        }
        let (named, _, app) = verdict(&packets);
        assert_eq!(app.as_deref(), Some("acme"), "{answered}");
        assert_eq!(named.evidence, Some(Evidence::ServerName));
    }
}

#[test]
fn proof_settles_at_once() {
    let (named, at, app) = verdict(&[udp(1, A, B, b"ACME-PROOF and more"), udp(1, A, B, b"x")]);
    assert_eq!((app.as_deref(), at), (Some("acme"), 1));
    assert_eq!(named.evidence, Some(Evidence::PayloadProof));
}

/// What looks like a TLS record may still become one: the pattern's word waits for the dissector.
#[test]
fn a_payload_rule_waits_for_dissectors() {
    let packets = [
        tcp(1, A, B, SYN, b""),
        tcp(1, A, B, (16, 100), &[0x16, 3, 3, 0x7a]),
        tcp(
            1,
            A,
            B,
            (16, 104),
            b"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
        ),
    ];
    let (named, at, app) = verdict(&packets);
    assert_eq!(app.as_deref(), Some("acme"));
    assert_eq!(
        (named.evidence, named.service),
        (Some(Evidence::Payload), Some(Service::Voice))
    );
    assert!(at != 2, "it must wait");
    assert_eq!(
        verdict(&packets[..2]).1,
        0,
        "nothing followed: the flow's end decides"
    );
    assert_eq!(verdict(&packets[..2]).2.as_deref(), Some("acme"));
}

#[test]
fn nothing_known_settles_at_the_packet_limit() {
    let limit = u32::from(Config::default().opening_packets);
    let datagrams = vec![udp(1, A, B, JUNK); 40];
    let in_order: Vec<_> = (0..40)
        .map(|n| tcp(1, A, B, (16, 100 + n), b"\xf1"))
        .collect();
    let after_a_gap: Vec<_> = [tcp(1, A, B, SYN, b"")]
        .into_iter()
        .chain((0..40).map(|n| tcp(1, A, B, (16, 200 + n), b"\xf1")))
        .collect();
    let cut: Vec<_> = (0..40)
        .map(|n| tcp(1, A, B, (16, 100 * n), b"\xf1"))
        .collect();
    let cases = [
        ("datagrams", datagrams, limit, UnknownReason::NoMatch),
        ("segments", in_order, limit, UnknownReason::MidStream),
        (
            "after a gap",
            after_a_gap,
            limit + 1,
            UnknownReason::MidStream,
        ),
        ("cut by the capture", cut, limit, UnknownReason::MidStream),
    ];
    for (name, packets, at, reason) in cases {
        let (named, settled_at, _) = verdict(&packets);
        assert_eq!((settled_at, named.unknown), (at, Some(reason)), "{name}");
        let few = packets.len() - 20;
        assert_eq!(verdict(&packets[..few]).1, 0, "{name}: not before");
    }
}

#[test]
fn a_flow_without_a_name_says_why() {
    let answer = dns_answer("x.test", 9, 1);
    let syn = tcp(1, A, B, SYN, b"");
    let cases: &[(&str, &[Packet<'_>], Option<UnknownReason>)] = &[
        ("no payload", &[syn], Some(UnknownReason::NoPayload)),
        (
            "empty datagram",
            &[udp(1, A, B, b"")],
            Some(UnknownReason::NoPayload),
        ),
        (
            "nothing fits",
            &[syn, tcp(1, A, B, (16, 100), JUNK)],
            Some(UnknownReason::NoMatch),
        ),
        (
            "mid-stream",
            &[tcp(1, A, B, (16, 100), JUNK)],
            Some(UnknownReason::MidStream),
        ),
        (
            "its first segment was lost",
            &[syn, tcp(1, A, B, (16, 200), JUNK)],
            Some(UnknownReason::MidStream),
        ),
        ("a protocol", &[udp(1, (2, 53), A, &answer)], None),
    ];
    for (name, packets, reason) in cases {
        let (named, _, app) = verdict(packets);
        assert_eq!((named.unknown, app), (*reason, None), "{name}");
    }
}

#[test]
fn a_protocol_number_settles_the_first_packet() {
    let mut packet = udp(1, (1, 0), (200, 0), b"echo");
    packet.protocol = IpProtocol::ICMP;
    let (named, at, _) = verdict(&[packet]);
    assert_eq!((named.proto, named.app, at), (Some(Proto::ICMP), None, 1));
    assert_eq!(named.decider, Some(Decider::ProtocolNumber));
}

#[test]
fn weak_evidence_names_what_nothing_forbids() {
    let to_port: Host = (2, 6666);
    let (asked, learned) = (
        dns_question("chat.acme.test"),
        dns_answer("chat.acme.test", 2, 60),
    );
    let question = udp(1, (1, 40_000), (9, 53), &asked);
    let lesson = udp(1, (9, 53), (1, 40_000), &learned);
    let hello = [0x16, 3, 3, 0, 60, 1, 0, 0, 56, 3, 3];
    let shell = b"SSH-2.0-OpenSSH_9.6\r\n";
    let dns_to_acme = dns_answer("x.test", 9, 1);
    let foreign = b"GET / HTTP/1.1\r\nHost: www.unheard-of.test\r\n\r\n";
    let nameless = b"GET / HTTP/1.0\r\n\r\n";
    let cases: &[(&str, &[Packet<'_>], Option<Evidence>)] = &[
        ("address", &[udp(1, A, ACME, JUNK)], Some(Evidence::Address)),
        (
            "address of the client",
            &[tcp(1, ACME, A, SYN, b""), tcp(1, ACME, A, (16, 100), JUNK)],
            None,
        ),
        (
            "address of a client by its port",
            &[udp(1, (200, 50_000), (1, 7777), JUNK)],
            None,
        ),
        (
            "address of a server by its port, which speaks first",
            &[udp(1, ACME, A, JUNK)],
            Some(Evidence::Address),
        ),
        (
            "address of nobody knows whom",
            &[udp(1, (200, 7777), (1, 7778), JUNK)],
            None,
        ),
        (
            "a protocol that carries others",
            &[
                tcp(1, A, ACME, SYN, b""),
                tcp(1, A, ACME, (16, 100), &hello),
                tcp(1, ACME, A, (16, 7), &[0x15, 3, 3, 0, 2, 2, 40]),
            ],
            Some(Evidence::Address),
        ),
        (
            "a protocol that does not",
            &[
                tcp(1, A, ACME, SYN, b""),
                tcp(1, ACME, A, (16, 7), shell),
                tcp(1, A, ACME, (16, 100), shell),
            ],
            None,
        ),
        (
            "without a payload",
            &[tcp(1, A, ACME, SYN, b"")],
            Some(Evidence::Address),
        ),
        ("port", &[udp(1, A, to_port, JUNK)], Some(Evidence::Port)),
        (
            "address before port",
            &[udp(1, A, (200, 6666), JUNK)],
            Some(Evidence::Address),
        ),
        (
            "port of the other transport",
            &[tcp(1, A, to_port, (16, 1), JUNK)],
            None,
        ),
        (
            "dns",
            &[question, lesson, udp(2, A, B, JUNK)],
            Some(Evidence::Dns),
        ),
        ("dns unasked", &[lesson, udp(2, A, B, JUNK)], None),
        (
            "dns before port",
            &[question, lesson, udp(2, A, to_port, JUNK)],
            Some(Evidence::Dns),
        ),
        (
            "a protocol that is infrastructure",
            &[udp(1, (200, 53), A, &dns_to_acme)],
            None,
        ),
        (
            "a name of its own",
            &[
                tcp(1, A, ACME, SYN, b""),
                tcp(1, A, ACME, (16, 100), foreign),
            ],
            None,
        ),
        (
            "a protocol without a name",
            &[
                tcp(1, A, ACME, SYN, b""),
                tcp(1, A, ACME, (16, 100), nameless),
            ],
            Some(Evidence::Address),
        ),
    ];
    for (name, packets, evidence) in cases {
        let (named, _, app) = verdict(packets);
        assert_eq!(app.as_deref(), evidence.map(|_| "acme"), "{name}");
        if evidence.is_some() {
            assert_eq!(named.evidence, *evidence, "{name}");
            assert_eq!(named.unknown, None, "{name}");
        }
    }
}

/// Answers (second, client, name, address, TTL), then a flow (second, client, server): its name.
#[test]
fn names_are_learned_from_dns() {
    type Answer = (u64, u8, &'static str, u8, u32);
    type Case<'a> = (&'a str, &'a [Answer], (u64, u8, u8), Option<&'a str>);
    let acme: Answer = (100, 1, "cdn.acme.test", 2, 60);
    let cases: &[Case<'_>] = &[
        ("asked for", &[acme], (110, 1, 2), Some("acme")),
        ("another address", &[acme], (110, 1, 3), None),
        ("another client", &[acme], (110, 4, 2), None),
        ("the server began", &[acme], (110, 2, 1), Some("acme")),
        ("at the end of its time", &[acme], (170, 1, 2), Some("acme")),
        ("expired", &[acme], (171, 1, 2), None),
        (
            "asked for again",
            &[acme, (150, 1, "cdn.acme.test", 2, 60)],
            (171, 1, 2),
            Some("acme"),
        ),
        (
            "names of two applications lead there",
            &[(100, 4, "www.other.test", 2, 60), acme],
            (110, 1, 2),
            None,
        ),
        (
            "a name of none leads there too",
            &[acme, (101, 4, "www.unheard-of.test", 2, 60)],
            (110, 1, 2),
            None,
        ),
        (
            "the other name is expired",
            &[(10, 4, "www.other.test", 2, 5), acme],
            (110, 1, 2),
            Some("acme"),
        ),
        (
            "two names of one application",
            &[(90, 4, "www.acme.test", 2, 60), acme],
            (110, 1, 2),
            Some("acme"),
        ),
        (
            "no rule knows it",
            &[(100, 1, "x.test", 2, 60)],
            (110, 1, 2),
            None,
        ),
    ];
    for (name, answers, (at, client, server), wanted) in cases {
        let messages: Vec<[Vec<u8>; 2]> = answers
            .iter()
            .map(|&(_, _, name, host, ttl)| [dns_question(name), dns_answer(name, host, ttl)])
            .collect();
        let mut packets: Vec<Packet<'_>> = answers
            .iter()
            .zip(&messages)
            .flat_map(|(&(at, client, ..), [asked, said])| {
                [
                    udp(at, (client, 40_000), (9, 53), asked),
                    udp(at, (9, 53), (client, 40_000), said),
                ]
            })
            .collect();
        packets.push(udp(*at, (*client, 50_000), (*server, 7777), JUNK));
        let (_, _, app) = verdict(&packets);
        assert_eq!(app.as_deref(), *wanted, "{name}");
    }
}

/// A question and an answer, by what differs from the pair that belongs together.
#[test]
fn an_answer_to_no_question_teaches_nothing() {
    let (asked, said) = (
        dns_question("cdn.acme.test"),
        dns_answer("cdn.acme.test", 2, 60),
    );
    let mut other_id = said.clone();
    other_id[1] = 9;
    let other_name = dns_answer("www.acme.test", 2, 60);
    let (client, server): (Host, Host) = ((1, 40_000), (9, 53));
    let question = udp(100, client, server, &asked);
    let cases: &[(&str, &[Packet<'_>], bool)] = &[
        (
            "its own",
            &[question, udp(101, server, client, &said)],
            true,
        ),
        ("none", &[udp(101, server, client, &said)], false),
        (
            "too late",
            &[question, udp(140, server, client, &said)],
            false,
        ),
        (
            "another number",
            &[question, udp(101, server, client, &other_id)],
            false,
        ),
        (
            "another name",
            &[question, udp(101, server, client, &other_name)],
            false,
        ),
        (
            "another server",
            &[question, udp(101, (8, 53), client, &said)],
            false,
        ),
        (
            "another port",
            &[question, udp(101, server, (1, 40_001), &said)],
            false,
        ),
        (
            "answered before",
            &[
                question,
                udp(101, server, client, &other_id),
                udp(102, server, client, &said),
            ],
            true,
        ),
    ];
    for &(name, packets, wanted) in cases {
        let flow = udp(141, A, B, JUNK);
        let packets = [packets, &[flow]].concat();
        assert_eq!(verdict(&packets).2.is_some(), wanted, "{name}");
    }
}

/// RFC 9460: whose address is asked for next is told by an HTTPS record.
#[test]
fn an_alias_is_the_name_it_stands_for() {
    // Type 65, class IN; priority 0, `pool.test`.
    let service = |name: &str, is_answer: bool| {
        let mut message = dns_question(name);
        let end = message.len();
        message[end - 4..].copy_from_slice(&[0, 65, 0, 1]);
        if is_answer {
            message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
            message.extend([0xc0, 12, 0, 65, 0, 1, 0, 0, 0, 60, 0, 13, 0, 0]);
            message.extend(b"\x04pool\x04test\0");
        }
        message
    };
    let (asked, said) = (
        service("cdn.acme.test", false),
        service("cdn.acme.test", true),
    );
    let (next, found) = (dns_question("pool.test"), dns_answer("pool.test", 2, 60));
    let ask = |at, client: u8| {
        [
            udp(at, (client, 40_000), (9, 53), &asked),
            udp(at, (9, 53), (client, 40_000), &said),
        ]
    };
    let resolve = |at| {
        [
            udp(at, (1, 40_001), (9, 53), &next),
            udp(at, (9, 53), (1, 40_001), &found),
        ]
    };
    let cases: &[(&str, Vec<Packet<'_>>, bool)] = &[
        ("the alias", [ask(1, 1), resolve(2)].concat(), true),
        ("without it", resolve(2).to_vec(), false),
        ("of another client", [ask(1, 3), resolve(2)].concat(), false),
        ("long ago", [ask(1, 1), resolve(80)].concat(), false),
    ];
    for (name, packets, expected) in cases {
        let at = packets.last().unwrap().at.0 / 1_000_000_000;
        let packets = [&packets[..], &[udp(at, A, B, JUNK)]].concat();
        assert_eq!(verdict(&packets).2.is_some(), *expected, "{name}");
    }
}

#[test]
fn dns_over_tcp_is_read_as_a_stream() {
    let framed = |message: Vec<u8>| {
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&len[..], &message].concat()
    };
    let names = ["x.test", "cdn.acme.test"];
    let asked = names.map(|name| framed(dns_question(name))).concat();
    let said = [(names[0], 3), (names[1], 2)]
        .map(|(name, host)| framed(dns_answer(name, host, 60)))
        .concat();
    let (client, server): (Host, Host) = ((1, 40_000), (9, 53));
    let (first, second) = said.split_at(30);
    let packets = [
        tcp(1, client, server, SYN, b""),
        tcp(1, server, client, (18, 499), b""),
        tcp(1, client, server, (16, 100), &asked),
        tcp(1, server, client, (16, 530), second),
        tcp(1, server, client, (16, 500), first),
        udp(2, A, B, JUNK),
    ];
    assert_eq!(verdict(&packets).2.as_deref(), Some("acme"));
    let lost = [&packets[..4], &packets[5..]].concat();
    assert_eq!(verdict(&lost).2, None);
}

/// Who asks over one family and connects over the other is known by its link-layer address.
#[test]
fn one_client_has_two_families() {
    let (asked, said) = (
        dns_question("cdn.acme.test"),
        dns_answer("cdn.acme.test", 2, 60),
    );
    let from = |mac: u8, packet: Packet<'static>| Packet {
        source_mac: Some(Box::leak(Box::new([2, 0, 0, 0, 0, mac]))),
        ..packet
    };
    let (asked, said): (&'static [u8], &'static [u8]) = (asked.leak(), said.leak());
    let v6 = |host: u8, packet: Packet<'static>| {
        let mut address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        address[15] = host;
        Packet {
            version: 6,
            source: crate::decode::Address(address),
            destination: crate::decode::Address([0x20; 16]),
            ..packet
        }
    };
    let ask = |host: u8, mac: u8| {
        let question = from(mac, v6(host, udp(1, (host, 40_000), (9, 53), asked)));
        let answer = Packet {
            source: question.destination,
            destination: question.source,
            ..v6(host, udp(1, (9, 53), (host, 40_000), said))
        };
        [question, answer]
    };
    let connect = |mac| [from(mac, udp(2, A, B, JUNK))];
    let others: Vec<_> = (10..20).flat_map(|host| ask(host, 1)).collect();
    let cases: &[(&str, Vec<Packet<'_>>, Option<&str>)] = &[
        (
            "the same",
            [&ask(1, 1)[..], &connect(1)].concat(),
            Some("acme"),
        ),
        ("another", [&ask(1, 1)[..], &connect(2)].concat(), None),
        (
            "a router",
            [&others[..], &ask(1, 1), &connect(1)].concat(),
            None,
        ),
    ];
    for (name, packets, wanted) in cases {
        assert_eq!(verdict(packets).2.as_deref(), *wanted, "{name}");
    }
}

/// A protocol that the client's bytes claim, and what the server says: what it is, and when.
#[test]
fn a_probe_is_what_it_is_answered_by() {
    const RDP: &[u8] = &[
        3, 0, 0, 0x13, 0x0e, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0,
    ];
    let confirm = [
        3, 0, 0, 0x13, 0x0e, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0,
    ];
    let http = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let get = b"GET / HTTP/1.0\r\n\r\n";
    type Row<'a> = (&'a [u8], &'a [&'a [u8]], Option<Proto>);
    let rows: &[Row<'_>] = &[
        (RDP, &[&confirm], Some(Proto::RDP)),
        (RDP, &[], Some(Proto::RDP)),
        (RDP, &[http], Some(Proto::HTTP)),
        (RDP, &[&http[..4], &http[4..]], Some(Proto::HTTP)),
        (RDP, &[b"SSH-2.0-x\r\n"], Some(Proto::SSH)),
        (RDP, &[b"220 mx.test ESMTP\r\n"], Some(Proto::SMTP)),
        (RDP, &[&[0x15, 3, 1, 0, 2, 2, 70]], Some(Proto::TLS)),
        (get, &[b"SSH-2.0-x\r\n"], Some(Proto::SSH)),
        (get, &[http], Some(Proto::HTTP)),
        (JUNK, &[http], Some(Proto::HTTP)),
        (JUNK, &[JUNK], None),
    ];
    for (number, &(asked, said, proto)) in rows.iter().enumerate() {
        let mut packets = vec![
            tcp(1, A, B, SYN, b""),
            acknowledging(tcp(1, B, A, (18, 499), b""), 100),
            tcp(1, A, B, (16, 100), asked),
        ];
        let mut sequence = 500;
        for part in said {
            packets.push(tcp(2, B, A, (16, sequence), part));
            sequence += u32::try_from(part.len()).unwrap();
        }
        assert_eq!(verdict(&packets).0.proto, proto, "row {number}");
    }
}

/// What a dissector was sure of when the rest of its message cannot be read.
mod half_read {
    use std::sync::Arc;

    use super::super::*;
    use crate::decode::{Address, IpProtocol, TcpSegment, Vlans};
    use crate::flow::FlowTable;
    use crate::flow::samples::ended;
    use crate::time::Timestamp;

    /// The `number`th segment of a client towards port 80.
    fn segment(number: u64, sequence: u32, flags: u8, payload: &[u8]) -> Packet<'_> {
        let len = u32::try_from(payload.len()).unwrap();
        Packet {
            at: Timestamp::new(1, 0),
            number,
            version: 4,
            protocol: IpProtocol::TCP,
            source: Address::v4([10, 0, 0, 1]),
            destination: Address::v4([203, 0, 113, 9]),
            source_port: 50_000,
            destination_port: 80,
            icmp: (0, 0),
            tcp: Some(TcpSegment {
                sequence,
                acknowledgement: 0,
                flags,
                window_scale: None,
                window: 0xffff,
            }),
            payload,
            payload_len: len,
            wire_len: 54 + len,
            ip_len: 40 + len,
            frames: 1,
            vlans: Vlans::default(),
            tunnel: None,
            tunnel_id: 0,
            source_mac: None,
        }
    }

    #[test]
    fn what_is_sure_stays_when_the_rest_cannot_be_read() {
        let set = Arc::new(SignatureSet::default());
        let mut classifier = Classifier::new(set, false);
        let config = flow::Config::default();
        let mut table: FlowTable<Classification> = FlowTable::new(config.clone());
        let (start, rest): (&[u8], &[u8]) = (b"GET /watch?v=1 HTT", b"\0 no such version\r\n\r\n");
        let answer = Packet {
            source: Address::v4([203, 0, 113, 9]),
            destination: Address::v4([10, 0, 0, 1]),
            source_port: 80,
            destination_port: 50_000,
            ..segment(3, 0, TcpSegment::ACK, b"bye")
        };
        let packets = [
            segment(1, 0, TcpSegment::SYN, start),
            segment(2, 19, TcpSegment::ACK, rest),
            answer,
        ];
        let settled = packets.map(|packet| {
            let located = table.locate(&packet);
            let touch = table.touch(&packet, &located);
            ended(&mut table);
            let touch = touch.unwrap();
            let flow = table.flow(touch).unwrap();
            classifier.on_packet(flow, &packet, touch.side, &config);
            match flow.class.verdict {
                Verdict::Pending(_) => None,
                Verdict::Settled { named, at_packet } => Some((named.proto, at_packet)),
            }
        });
        assert_eq!(settled[0], None, "a long request: more may follow");
        assert_eq!(settled[1], None, "the server may speak another protocol");
        assert_eq!(
            settled[2],
            Some((Some(Proto::HTTP), 3)),
            "nothing more can be learned"
        );
    }
}

/// One classifier and its flows, through changes of the set.
struct Run {
    classifier: Classifier,
    table: FlowTable<Classification>,
}

impl Run {
    fn new() -> Self {
        Self {
            classifier: classifier(),
            table: FlowTable::new(Config::default()),
        }
    }

    fn replace(&mut self, files: &[(&'static str, String)]) {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| {
                SourceFile::new(format!("signatures/messaging/{name}.toml"), text.clone())
            })
            .collect();
        let set = SignatureSet::compile_after(self.classifier.set(), &files)
            .unwrap_or_else(|found| panic!("{found:?}"));
        self.classifier.replace_set(Arc::new(set));
    }

    /// Reads a packet; `at_end`: its flow ends. The names of the flow in the set in use, once it has
    /// settled: application, service, protocol, rule.
    fn read(&mut self, packet: &Packet<'_>, at_end: bool) -> Option<[String; 4]> {
        if Classifier::teaches(packet) {
            self.classifier.learn(packet);
        }
        let located = self.table.locate(packet);
        let touch = self.table.touch(packet, &located).unwrap();
        ended(&mut self.table);
        let flow = self.table.flow(touch).unwrap();
        if !flow.class.is_settled() {
            let config = Config::default();
            let side = touch.side;
            let settled = self.classifier.on_packet(flow, packet, side, &config);
            if !settled && at_end {
                self.classifier.finish(flow, packet.at);
            }
        }
        let Verdict::Settled { named, .. } = flow.class.verdict else {
            return None;
        };
        let set = self.classifier.set();
        let rule = match named.decider {
            Some(Decider::Rule(rule)) => set.rule_name(rule),
            _ => "",
        };
        let catalog = set.catalog();
        Some([
            named.app.map_or("", |app| catalog.app_name(app)).to_owned(),
            named.service.map_or("", Service::slug).to_owned(),
            named
                .proto
                .map_or("", |proto| catalog.protocol_name(proto))
                .to_owned(),
            rule.to_owned(),
        ])
    }
}

/// A file that comes first in the order of names, so that numbers would shift.
const EARLIER_FILE: &str = "
[app]
id = 3
name = 'aardvark'
title = 'Aardvark'
category = 'messaging'
owner = 'Aardvark'

[[domain]]
suffix = ['aardvark.test', 'new.test']

[[payload]]
name = 'hello'
transport = 'udp'
evidence = 'payload-proof'
at = [{ offset = 0, text = 'AARDVARK' }]
proto = 'aardvark-media'
source = 'a test'
";

#[test]
fn flows_live_on_through_another_set() {
    let (acme, other) = (
        ("acme", ACME_FILE.to_owned()),
        ("other", OTHER_FILE.to_owned()),
    );
    let earlier = ("aardvark", EARLIER_FILE.to_owned());
    let names = |names: [&str; 4]| Some(names.map(str::to_owned));
    let hello = [0x16, 3, 3, 0x7a, 0, 1, 2, 3];
    let mut run = Run::new();

    // Settled: keeps its verdict. Pending with a tag of the old set: settles by it.
    let settled = udp(1, A, B, b"ACME-PROOF and more");
    let proof = names(["acme", "", "", "acme/payload:proof"]);
    assert_eq!(run.read(&settled, false), proof);
    for client in [3, 4] {
        assert_eq!(
            run.read(&tcp(1, (client, 50_000), B, SYN, b""), false),
            None
        );
    }
    let pending = tcp(1, (3, 50_000), B, (16, 100), &hello);
    assert_eq!(run.read(&pending, false), None);
    // Pending without a tag: what comes is read by the new set.
    let undecided = tcp(1, (4, 50_000), B, (16, 100), b"GET / HTTP/1.1\r\n");
    assert_eq!(run.read(&undecided, false), None);
    // Learned: client 5 asked for acme's name, client 6 for other's.
    for (client, name) in [(5, "chat.acme.test"), (6, "www.other.test")] {
        let (asked, said) = (dns_question(name), dns_answer(name, 100 + client, 60));
        run.read(&udp(1, (client, 5000), (1, 53), &asked), false);
        run.read(&udp(1, (1, 53), (client, 5000), &said), true);
    }

    run.replace(&[earlier.clone(), acme.clone()]);
    assert_eq!(run.read(&settled, false), proof);
    let wanted = names(["acme", "voice", "", "acme/payload:hello"]);
    let more = tcp(2, (3, 50_000), B, (16, 108), JUNK);
    assert_eq!(run.read(&more, true), wanted);
    let host = tcp(2, (4, 50_000), B, (16, 116), b"Host: a.new.test\r\n\r\n");
    let new = names(["aardvark", "", "http", "aardvark/domain:new.test"]);
    assert_eq!(run.read(&host, true), new);
    let by_name = run.read(&tcp(2, (5, 50_000), (105, 7777), (16, 1), JUNK), true);
    let learned = names(["acme", "chat", "", "acme/domain:acme.test"]);
    assert_eq!(by_name, learned, "what was learned means the same");
    let retired = run.read(&tcp(2, (6, 50_000), (106, 7777), (16, 1), JUNK), true);
    assert_eq!(retired, names(["", "", "", ""]), "no file has it any more");

    // Everything goes and comes back.
    run.replace(&[]);
    assert_eq!(run.read(&settled, false), proof);
    assert_eq!(run.read(&more, false), wanted);
    let gone = run.read(&udp(3, (7, 1), B, b"ACME-PROOF and more"), true);
    assert_eq!(gone, names(["", "", "", ""]));
    run.replace(&[other, acme, earlier]);
    let back = run.read(&udp(4, (8, 1), B, b"ACME-PROOF and more"), true);
    assert_eq!(back, proof);
    let back = run.read(&tcp(4, (6, 50_001), (106, 7777), (16, 1), JUNK), true);
    assert_eq!(back, names(["other", "", "", "other/domain:other.test"]));
}
