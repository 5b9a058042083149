//! Flows that go where another flow said that one would go.

use super::*;

/// The client's, and of ends it was told of.
const OWN: Host = (1, 51_413);
const PEER: Host = (2, 6881);
const TRACKER: Host = (9, 6969);

fn verdict_after(lessons: &[Packet<'_>], flow: &[Packet<'_>]) -> (Named, Option<String>) {
    let (named, _, app) = verdict(&[lessons, flow].concat());
    (named, app)
}

#[test]
fn streams_of_rtsp_go_where_it_was_set_up() {
    let setup = b"SETUP rtsp://cam.acme.test/a RTSP/1.0\r\nCSeq: 1\r\n\
        Transport: RTP/AVP;unicast;client_port=4588-4589\r\n\r\n";
    let nobody = b"SETUP rtsp://10.0.0.2/a RTSP/1.0\r\nCSeq: 1\r\n\
        Transport: RTP/AVP;unicast;client_port=4588-4589\r\n\r\n";
    let answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\
        Transport: RTP/AVP;unicast;client_port=4588-4589;server_port=6256-6257\r\n\r\n";
    let (client, server): (Host, Host) = ((1, 50_000), (2, 554));
    let asked = tcp(1, client, server, (16, 100), setup);
    let asked_nobody = tcp(1, client, server, (16, 100), nobody);
    let answered = tcp(1, server, client, (16, 500), answer);
    type Row<'a> = (&'a str, Packet<'a>, u64, Host, Host, Option<Proto>, bool);
    let rows: &[Row<'_>] = &[
        (
            "to the client",
            asked,
            2,
            (2, 7000),
            (1, 4588),
            Some(Proto::RTP),
            true,
        ),
        (
            "reports",
            asked,
            2,
            (1, 4589),
            (2, 7001),
            Some(Proto::RTCP),
            true,
        ),
        (
            "of no application",
            asked_nobody,
            2,
            (2, 7000),
            (1, 4588),
            Some(Proto::RTP),
            false,
        ),
        (
            "from the server",
            answered,
            2,
            (2, 6256),
            (1, 9000),
            Some(Proto::RTP),
            false,
        ),
        (
            "from another",
            answered,
            2,
            (3, 6256),
            (1, 9000),
            None,
            false,
        ),
        ("to another", asked, 2, (2, 7000), (3, 4588), None, false),
        ("long after", asked, 1000, (2, 7000), (1, 4588), None, false),
    ];
    for &(name, lesson, at, from, to, proto, is_acme) in rows {
        let (named, app) = verdict_after(&[lesson], &[udp(at, from, to, JUNK)]);
        assert_eq!(named.proto, proto, "{name}");
        assert_eq!(app.is_some(), is_acme, "{name}");
        assert_eq!(
            named.evidence,
            proto.map(|_| Evidence::CallFamily),
            "{name}"
        );
    }
    // Not over TCP.
    let stream = tcp(2, (2, 7000), (1, 4588), (16, 100), JUNK);
    assert_eq!(verdict_after(&[asked], &[stream]).0.proto, None);
}

#[test]
fn media_of_sip_goes_where_it_is_described() {
    let invite = |host: &str| {
        format!(
            "INVITE sip:bob@{host} SIP/2.0\r\nTo: <sip:bob@{host}>\r\n\r\n\
             v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\nm=image 4010 udptl t38\r\n"
        )
    };
    let (acme, nobody) = (invite("acme.test"), invite("pbx.test"));
    // Who calls; from which port; where media goes; what it is.
    type Row<'a> = (&'a str, u16, Host, Option<Proto>, Option<&'a str>);
    let rows: &[Row<'_>] = &[
        (&acme, 5060, (1, 4000), None, Some("acme")),
        (&acme, 5060, (1, 4001), None, Some("acme")),
        (&acme, 5060, (1, 4010), None, Some("acme")),
        // On any port.
        (&acme, 7060, (1, 4000), None, Some("acme")),
        (&nobody, 5060, (1, 4000), Some(Proto::RTP), None),
        (&nobody, 5060, (1, 4001), Some(Proto::RTCP), None),
        // What is no RTP is not known.
        (&nobody, 5060, (1, 4010), None, None),
        (&nobody, 5060, (2, 4000), None, None),
    ];
    for (row, &(message, port, to, proto, wanted)) in rows.iter().enumerate() {
        let lesson = udp(1, (1, port), (9, port), message.as_bytes());
        let (named, app) = verdict_after(&[lesson], &[udp(2, (7, 9000), to, JUNK)]);
        assert_eq!((named.proto, app.as_deref()), (proto, wanted), "row {row}");
    }
}

#[test]
fn peers_of_bittorrent_are_where_it_is_told() {
    let found = b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaa6:valuesl6:\x0a\0\0\x02\x1a\xe1ee1:t2:aa1:y1:re";
    let announced =
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa4:porti51413ee1:q13:announce_peer1:t2:aa1:y1:qe";
    let listed = b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800e5:peers6:\x0a\0\0\x02\x1a\xe1e";
    let asked = b"GET /announce?info_hash=%5a&port=51413 HTTP/1.1\r\nHost: t.test\r\n\r\n";
    let connect = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0abcd";
    let answer = b"\0\0\0\x01abcd\0\0\x07\x08\0\0\0\x01\0\0\0\x01\x0a\0\0\x02\x1a\xe1";
    let client: Host = (1, 40_000);
    let from_dht = [udp(1, TRACKER, client, found)];
    let own = [udp(1, client, TRACKER, announced)];
    let by_http = [tcp(1, TRACKER, client, (16, 100), listed)];
    let own_by_http = [tcp(1, client, TRACKER, (16, 100), asked)];
    let by_udp = [
        udp(1, client, TRACKER, connect),
        udp(2, TRACKER, client, answer),
    ];
    let unasked = [udp(2, TRACKER, client, answer)];
    let late = [
        udp(1, client, TRACKER, connect),
        udp(200, TRACKER, client, answer),
    ];
    let to_peer = |at| {
        [
            tcp(at, (1, 50_000), PEER, SYN, b""),
            tcp(at, (1, 50_000), PEER, (16, 100), JUNK),
        ]
    };
    let to_own = [udp(2, (7, 9000), OWN, JUNK)];
    type Row<'a> = (&'a str, &'a [Packet<'a>], &'a [Packet<'a>], bool);
    let rows: &[Row<'_>] = &[
        ("the DHT", &from_dht, &to_peer(2), true),
        ("a tracker over HTTP", &by_http, &to_peer(2), true),
        ("a tracker over UDP", &by_udp, &to_peer(3), true),
        ("over uTP", &by_udp, &[udp(3, OWN, PEER, JUNK)], true),
        (
            "an answer that nobody asked for",
            &unasked,
            &to_peer(3),
            false,
        ),
        ("an answer that comes too late", &late, &to_peer(201), false),
        (
            "another client",
            &from_dht,
            &[udp(2, (3, 50_000), PEER, JUNK)],
            false,
        ),
        ("after an hour", &from_dht, &to_peer(3601), false),
        ("the client itself", &own, &to_own, true),
        ("the client itself, over HTTP", &own_by_http, &to_own, true),
        (
            "another protocol",
            &from_dht,
            &[tcp(
                2,
                (1, 50_000),
                PEER,
                (16, 100),
                b"GET / HTTP/1.1\r\n\r\n",
            )],
            false,
        ),
    ];
    for &(name, lessons, flow, expected) in rows {
        let (named, _) = verdict_after(lessons, flow);
        assert_eq!(named.proto == Some(Proto::BITTORRENT), expected, "{name}");
        if expected {
            assert_eq!(named.evidence, Some(Evidence::CallFamily), "{name}");
        }
    }
}
