//! Media of calls: whose sockets, sessions and relays it uses, and who signalled before.

use super::*;

const REALM: u16 = 0x0014;
const USERNAME: u16 = 0x0006;
const RELAYED: u16 = 0x0016;

/// A STUN message; attributes are padded.
fn stun(kind: u16, attributes: &[(u16, &[u8])]) -> &'static [u8] {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let len = u16::try_from(body.len()).unwrap().to_be_bytes();
    let head = [
        &kind.to_be_bytes()[..],
        &len,
        &[0x21, 0x12, 0xa4, 0x42],
        &[7; 12],
    ];
    [&head.concat()[..], &body].concat().leak()
}

/// 10.0.0.`host`, masked with the cookie.
fn relayed(host: u8, port: u16) -> Vec<u8> {
    let port = (port ^ 0x2112).to_be_bytes();
    [&[0, 1][..], &port, &[10 ^ 0x21, 0x12, 0xa4, host ^ 0x42]].concat()
}

#[test]
fn sockets_sessions_and_relays_of_calls_are_known() {
    let denied = |realm: &str| stun(0x0113, &[(9, b"\0\0\x04\x01"), (REALM, realm.as_bytes())]);
    let check = |user: &str| stun(0x0001, &[(USERNAME, user.as_bytes())]);
    let proved = |user: &str| {
        stun(
            0x0001,
            &[(REALM, b"acme.test"), (USERNAME, user.as_bytes())],
        )
    };
    let granted = stun(
        0x0103,
        &[(REALM, b"acme.test"), (RELAYED, &relayed(8, 49_200))],
    );
    let bound = stun(0x0101, &[(REALM, b"acme.test")]);
    let (client, other, relay): (Host, Host, Host) = ((1, 40_000), (3, 41_000), (9, 3478));
    let say = |at, from, to, message| udp(at, from, to, message);
    type Row<'a> = (&'a str, Vec<Packet<'a>>, Packet<'a>, Option<&'a str>);
    let rows: &[Row<'_>] = &[
        (
            "the client's socket",
            vec![say(1, relay, client, denied("acme.test"))],
            say(2, client, (7, 9000), JUNK),
            Some("acme"),
        ),
        (
            "another client of the relay",
            vec![say(1, relay, client, denied("acme.test"))],
            say(2, other, relay, JUNK),
            Some("acme"),
        ),
        (
            "of a server that answers everybody",
            vec![say(1, relay, client, bound)],
            say(2, other, relay, JUNK),
            None,
        ),
        (
            "what a client alone says",
            vec![say(1, client, relay, proved("aaaa:bbbb"))],
            say(2, other, relay, JUNK),
            None,
        ),
        (
            "a relay of two applications",
            vec![
                say(1, relay, client, denied("acme.test")),
                say(40, relay, (4, 40_000), denied("other.test")),
            ],
            say(41, other, relay, JUNK),
            None,
        ),
        (
            "long after",
            vec![say(1, relay, client, denied("acme.test"))],
            say(400, other, relay, JUNK),
            None,
        ),
        (
            "HTTP to a relay",
            vec![say(1, relay, client, denied("acme.test"))],
            say(2, other, relay, b"GET / HTTP/1.1\r\n\r\n"),
            Some("acme"),
        ),
        (
            "where peers reach the client",
            vec![say(1, relay, client, granted)],
            say(2, (7, 9000), (8, 49_200), JUNK),
            Some("acme"),
        ),
        (
            "the same session between other sockets",
            vec![
                say(1, client, relay, proved("aaaa:bbbb")),
                say(2, (1, 40_002), (7, 9000), check("bbbb:aaaa")),
            ],
            say(3, (1, 40_002), (7, 9000), JUNK),
            Some("acme"),
        ),
        (
            "another session",
            vec![
                say(1, client, relay, proved("aaaa:bbbb")),
                say(2, (1, 40_002), (7, 9000), check("bbbb:cccc")),
            ],
            say(3, (1, 40_002), (7, 9000), JUNK),
            None,
        ),
    ];
    for (name, lessons, flow, wanted) in rows {
        let packets = [&lessons[..], &[*flow]].concat();
        let (named, _, app) = verdict(&packets);
        assert_eq!(app.as_deref(), *wanted, "{name}");
        let class = wanted.map(|_| Evidence::CallFamily);
        assert_eq!(named.app.and(named.evidence), class, "{name}");
    }
}

#[test]
fn signalling_and_a_place_make_a_weak_name() {
    let ask = |at: u64, client: u8, host: &str| {
        let (asked, said): (&'static [u8], &'static [u8]) =
            (dns_question(host).leak(), dns_answer(host, 77, 600).leak());
        vec![
            udp(at, (client, 40_000), (9, 53), asked),
            udp(at, (9, 53), (client, 40_000), said),
        ]
    };
    let hello = |at, client: u8, host: &str| {
        let hello = dissect::tls::tests::record_for(host);
        vec![tcp(
            at,
            (client, 40_001),
            (78, 443),
            (24, 100),
            hello.leak(),
        )]
    };
    let proof = |at, client: u8, realm: &str| {
        let message = stun(0x0113, &[(REALM, realm.as_bytes())]);
        vec![udp(at, (79, 3478), (client, 40_003), message)]
    };
    let both = |one: Vec<Packet<'static>>, other| [one, other].concat();
    let (acme, other) = ("call.acme.test", "call.other.test");
    let relay: Host = (200, 3478);
    type Row = (
        &'static str,
        Vec<Packet<'static>>,
        u64,
        Host,
        Option<(&'static str, Evidence)>,
    );
    use Evidence::{Address, Port};
    let rows: Vec<Row> = vec![
        // Without signalling it is the network's.
        (
            "nothing",
            vec![],
            2,
            relay,
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
        (
            "acme by DNS",
            ask(1, 1, acme),
            2,
            relay,
            Some(("acme/call:relays", Address)),
        ),
        (
            "other by DNS",
            ask(1, 1, other),
            2,
            relay,
            Some(("other/call:at-acme", Address)),
        ),
        (
            "by a hello",
            hello(1, 1, other),
            2,
            relay,
            Some(("other/call:at-acme", Address)),
        ),
        (
            "by a call",
            proof(1, 1, "other.test"),
            2,
            relay,
            Some(("other/call:at-acme", Address)),
        ),
        (
            "both",
            both(ask(1, 1, acme), ask(1, 1, other)),
            2,
            relay,
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
        (
            "another client",
            ask(1, 3, other),
            2,
            relay,
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
        (
            "later than a minute",
            ask(1, 1, other),
            62,
            relay,
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
        (
            "a host that signals nothing",
            ask(1, 1, "www.other.test"),
            2,
            relay,
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
        (
            "another port",
            ask(1, 1, other),
            2,
            (200, 3479),
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
        (
            "anywhere",
            ask(1, 1, other),
            2,
            (5, 4000),
            Some(("other/call:anywhere", Port)),
        ),
        // A port alone says nothing of what was not recognised.
        ("unrecognised", ask(1, 1, other), 2, (5, 4001), None),
        ("anywhere, too late", ask(1, 1, other), 12, (5, 4000), None),
        (
            "anywhere, of two",
            both(ask(1, 1, acme), ask(1, 1, other)),
            2,
            (5, 4005),
            None,
        ),
        // The network says more than a port.
        (
            "anywhere, in a network",
            ask(1, 1, other),
            2,
            (200, 4000),
            Some(("acme/address:10.0.0.200/32", Address)),
        ),
    ];
    for (name, mut packets, at, to, wanted) in rows {
        let message = match to.1 {
            4000 | 4005 => stun(0x0001, &[]),
            _ => JUNK,
        };
        packets.push(udp(at, (1, 50_000), to, message));
        let (named, ..) = verdict(&packets);
        let rule = match named.decider {
            Some(Decider::Rule(rule)) => classifier().set().rule_name(rule).to_owned(),
            _ => String::new(),
        };
        let got = named
            .app
            .zip(named.evidence)
            .map(|(_, evidence)| (rule.as_str(), evidence));
        assert_eq!(got, wanted, "{name}");
    }
}
