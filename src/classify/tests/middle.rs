//! Flows whose beginning is missing or spoilt, and data connections that were spoken of.

use super::*;

const PROOF: &[u8] = b"ACME-OVER-TCP and more";
const ACK: (u8, u32) = (16, 100);

fn junk(len: usize) -> Vec<u8> {
    (0..len).map(|at| b"\xf1\x9e\xa7\x03\xe2"[at % 5]).collect()
}

#[test]
fn a_proof_is_found_wherever_a_message_may_begin() {
    let (few, many) = (junk(20), junk(70));
    let behind = [&b"\0\0\0"[..], PROOF].concat();
    let far = [&junk(40)[..], PROOF].concat();
    // Whether there was a SYN, what the two ends sent in turn, the packet that settles.
    type Case<'a> = (&'a str, bool, &'a [(bool, &'a [u8])], u32);
    let cases: &[Case<'_>] = &[
        ("at the start", true, &[(true, PROOF)], 2),
        ("the middle", false, &[(true, PROOF)], 1),
        ("the middle, turned", false, &[(false, PROOF)], 1),
        (
            "not by the server",
            true,
            &[(true, &many), (false, PROOF)],
            0,
        ),
        ("a later segment", false, &[(true, &many), (true, PROOF)], 2),
        (
            "a later one, turned",
            false,
            &[(true, &few), (false, PROOF)],
            2,
        ),
        (
            "behind a few bytes",
            true,
            &[(true, &few), (true, PROOF)],
            3,
        ),
        ("in the same segment", true, &[(true, &behind)], 2),
        (
            "behind more of them",
            true,
            &[(true, &many), (true, PROOF)],
            0,
        ),
        ("too far inside", true, &[(true, &far)], 0),
    ];
    for &(name, syn, messages, settled) in cases {
        let mut next = [100, 100];
        let mut packets = Vec::new();
        if syn {
            packets.push(tcp(1, A, B, SYN, b""));
        }
        for &(by_client, bytes) in messages {
            let (from, to) = if by_client { (A, B) } else { (B, A) };
            let sequence = &mut next[usize::from(by_client)];
            packets.push(tcp(1, from, to, (16, *sequence), bytes));
            *sequence += u32::try_from(bytes.len()).unwrap();
        }
        let (named, at_packet, app) = verdict(&packets);
        assert_eq!(at_packet, settled, "{name}");
        let wanted = (settled > 0).then_some("acme");
        assert_eq!(app.as_deref(), wanted, "{name}: {named:?}");
    }
}

#[test]
fn a_segment_in_place_of_the_first_is_read() {
    let packets = [
        tcp(1, A, B, SYN, b""),
        tcp(1, A, B, ACK, b"xxxxxxxxx"),
        tcp(
            1,
            A,
            B,
            ACK,
            b"GET / HTTP/1.1\r\nHost: chat.acme.test\r\n\r\n",
        ),
    ];
    let (named, at_packet, app) = verdict(&packets);
    assert_eq!((app.as_deref(), at_packet), (Some("acme"), 3));
    assert_eq!(named.proto, Some(Proto::HTTP));
}

#[test]
fn data_connections_go_where_they_were_announced() {
    const CLIENT: Host = (1, 50_001);
    const SERVER: Host = (2, 21);
    let port = b"PORT 10,0,0,1,174,127\r\n";
    let passive = b"227 Entering Passive Mode (192,168,9,9,174,127)\r\n";
    // Who says what, who opens a connection to where, how many seconds later.
    type Case<'a> = (&'a str, (Host, Host, &'a [u8]), (Host, Host), u64, bool);
    let cases: &[Case<'_>] = &[
        (
            "active",
            (CLIENT, SERVER, port),
            ((2, 20), (1, 44_671)),
            1,
            true,
        ),
        (
            "passive",
            (SERVER, CLIENT, passive),
            ((1, 50_002), (2, 44_671)),
            1,
            true,
        ),
        (
            "too late",
            (CLIENT, SERVER, port),
            ((2, 20), (1, 44_671)),
            400,
            false,
        ),
        (
            "another port",
            (CLIENT, SERVER, port),
            ((2, 20), (1, 44_672)),
            1,
            false,
        ),
        (
            "another host",
            (CLIENT, SERVER, port),
            ((3, 20), (1, 44_671)),
            1,
            false,
        ),
        (
            "a third party",
            (SERVER, CLIENT, passive),
            ((3, 50_002), (2, 44_671)),
            1,
            false,
        ),
    ];
    for &(name, (speaker, listener, line), (from, to), after, known) in cases {
        let packets = [
            tcp(1, speaker, listener, ACK, line),
            tcp(1 + after, from, to, ACK, JUNK),
        ];
        let (named, ..) = verdict(&packets);
        let wanted = known.then_some(Proto::FTP_DATA);
        assert_eq!(named.proto, wanted, "{name}");
        if known {
            assert_eq!(named.evidence, Some(Evidence::CallFamily), "{name}");
        }
    }
}
