//! What a client showed of a server on one flow, and what it says of others.

use super::remembered_tests::Run;
use crate::decode::Packet;
use crate::flow::samples::{Host, dns_answer, dns_question, tcp, udp};

/// A client, another one, a server.
const A: Host = (1, 50_000);
const A2: Host = (1, 50_002);
const OTHER: Host = (3, 50_004);
const WEB: Host = (2, 80);
const CHAT: Host = (2, 7777);

const ACK: u8 = 16;
const SYN: u8 = 2;
const JUNK: &[u8] = b"\xf1\x9ejunk that no protocol begins with";
const PROOF: &[u8] = b"ACME-PROOF and more";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_flow_that_shows_nothing_has_the_name_of_those_before_it() {
    let asks = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let (acme, other) = (asks("a.acme.test"), asks("other.test"));
    let (address, video) = (asks("10.0.0.2"), asks("video.acme.test"));
    let proxied = b"GET http://a.acme.test/ HTTP/1.1\r\nHost: a.acme.test\r\n\r\n";
    let (ask, told) = (
        dns_question("other.test"),
        dns_answer("other.test", WEB.0, 900),
    );
    let (ask_acme, told_acme) = (
        dns_question("acme.test"),
        dns_answer("acme.test", WEB.0, 900),
    );
    // Packets of flows that begin one after the other; the name of the last one.
    let first = |from: Host, bytes| tcp(1, from, WEB, (ACK, 100), bytes);
    let answered = |at| tcp(at, WEB, A2, (ACK, 100), ANSWER);
    let middle = |at| tcp(at, WEB, A2, (ACK, 100), JUNK);
    let third = (1, 50_006);
    let rows: &[(&str, &[Packet<'_>], &str)] = &[
        ("nothing before", &[answered(2)], ""),
        ("its answers", &[first(A, &acme), answered(2)], "acme"),
        ("its middle", &[first(A, &acme), middle(2)], "acme"),
        (
            "from the client",
            &[first(A, &acme), first(A2, JUNK)],
            "acme",
        ),
        (
            "on another port",
            &[first(A, &acme), udp(2, A2, CHAT, JUNK)],
            "acme",
        ),
        ("of another client", &[first(OTHER, &acme), answered(2)], ""),
        (
            "of another server",
            &[first(A, &acme), tcp(2, (4, 80), A2, (ACK, 100), ANSWER)],
            "",
        ),
        ("just in time", &[first(A, &acme), answered(601)], "acme"),
        ("too late", &[first(A, &acme), answered(602)], ""),
        (
            "two applications",
            &[first(A, &acme), first(third, &other), answered(2)],
            "",
        ),
        (
            "and a host that is an address",
            &[first(A, &acme), first(third, &address), answered(2)],
            "acme",
        ),
        (
            "and another service",
            &[first(A, &acme), first(third, &video), answered(2)],
            "acme",
        ),
        (
            "and another protocol",
            &[
                first(A, &acme),
                tcp(2, (2, 22), A2, (ACK, 100), b"SSH-2.0-x\r\n"),
                tcp(2, A2, (2, 22), (ACK, 100), b"SSH-2.0-x\r\n"),
            ],
            "",
        ),
        ("behind a proxy", &[first(A, proxied), answered(2)], ""),
        (
            "one before that was forgotten",
            &[
                first(A, &other),
                tcp(700, third, WEB, (ACK, 100), &acme),
                answered(701),
            ],
            "acme",
        ),
        (
            "what DNS says is of this flow",
            &[
                first(A, &acme),
                udp(1, (A.0, 5000), (9, 53), &ask),
                udp(1, (9, 53), (A.0, 5000), &told),
                answered(2),
            ],
            "other",
        ),
        (
            "an address that names of others lead to as well",
            &[
                udp(1, (OTHER.0, 5000), (9, 53), &ask),
                udp(1, (9, 53), (OTHER.0, 5000), &told),
                udp(1, (OTHER.0, 5001), (9, 53), &ask_acme),
                udp(1, (9, 53), (OTHER.0, 5001), &told_acme),
                first(A, &acme),
                answered(2),
            ],
            "",
        ),
        (
            "at another port",
            &[tcp(1, A, CHAT, (ACK, 100), PROOF), middle(2)],
            "",
        ),
        (
            "whose client does not begin so",
            &[
                tcp(1, A, CHAT, (ACK, 100), PROOF),
                tcp(2, A2, CHAT, (SYN, 99), b""),
                tcp(2, A2, CHAT, (ACK, 100), JUNK),
            ],
            "",
        ),
    ];
    for (what, packets, expected) in rows {
        let ended = Run::of(packets);
        let last = packets.last().unwrap();
        let last = last.source_port.max(last.destination_port);
        let named = ended.iter().find(|(_, _, port)| *port == last);
        let named = named.map(|(app, ..)| &**app);
        assert_eq!(named, Some(*expected), "{what}");
    }
}
