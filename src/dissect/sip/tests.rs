#![allow(clippy::indexing_slicing)]

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::flow::opening::Script;

fn run(script: &Script) -> (Outcome, Facts) {
    let mut facts = Facts::default();
    let outcome = dissect(&script.opening(), &mut facts);
    if !matches!(outcome, Outcome::Done | Outcome::Partial) {
        assert_eq!(facts, Facts::default());
    }
    (outcome, facts)
}

/// After RFC 3261 section 24.2, with an offer.
const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.atlanta.example.com;branch=z9hG4bK776asdhds\r\n\
    To: Bob <sip:bob@biloxi.example.com>\r\n\
    From: Alice <sip:alice@Atlanta.example.com>;tag=1928301774\r\n\
    Contact: <sip:alice@pc33.atlanta.example.com>\r\n\
    User-Agent: Phone/1.0\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 58\r\n\r\n\
    v=0\r\nc=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0\r\n";

const OK: &str = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP x\r\nt: <sip:bob@biloxi.example.com>;tag=a\r\n\
    f: <sip:alice@atlanta.example.com>;tag=b\r\n\
    m: <sip:bob@192.0.2.4>\r\nServer: PBX/2\r\nl: 42\r\n\r\n\
    c=IN IP4 192.0.2.201\nm=audio 3456 RTP/AVP 0\n";

const FETION: &str = "R fetion.com.cn SIP-C/4.0\r\nF: 916098834\r\nI: 1\r\nQ: 1 R\r\n\
    CN: 1CF1A05B2DD0281755997ADC70F82B16\r\nCL: type=\"pc\" ,version=\"3.6.1900\"\r\n\r\n";

#[test]
fn reads_a_call() {
    let script = Script::udp(5060).client(INVITE.as_bytes());
    let mut facts = Facts::default();
    assert_eq!(dissect(&script.opening(), &mut facts), Outcome::Partial);
    let script = script.server(OK.as_bytes());
    assert_eq!(dissect(&script.opening(), &mut facts), Outcome::Partial);
    assert_eq!((facts.proto, facts.swapped), (Some(Proto::SIP), false));
    assert_eq!(facts.server_name.as_deref(), Some("biloxi.example.com"));
    let sip = facts.sip.unwrap();
    assert_eq!(sip.method.as_deref(), Some("INVITE"));
    assert_eq!(sip.status, Some(200));
    assert_eq!(sip.user_agent.as_deref(), Some("Phone/1.0"));
    assert_eq!(sip.from_host.as_deref(), Some("atlanta.example.com"));
    assert_eq!(
        sip.contact.as_deref(),
        Some("<sip:alice@pc33.atlanta.example.com>")
    );
    assert_eq!(sip.server.as_deref(), Some("PBX/2"));

    let mut seen = Vec::new();
    media_of(INVITE.as_bytes(), &mut seen);
    media_of(OK.as_bytes(), &mut seen);
    media_of(
        b"GET / HTTP/1.1\r\n\r\nc=IN IP4 192.0.2.1\r\nm=audio 1 x\r\n",
        &mut seen,
    );
    let media: [SocketAddr; 4] = [
        "192.0.2.101:49172".parse().unwrap(),
        "192.0.2.101:49173".parse().unwrap(),
        "192.0.2.201:3456".parse().unwrap(),
        "192.0.2.201:3457".parse().unwrap(),
    ];
    assert_eq!(seen, media);
}

fn media_of(payload: &[u8], seen: &mut Vec<SocketAddr>) {
    media(payload, &mut |media| seen.push(media.address));
}

#[test]
fn a_response_first_swaps_the_sides() {
    let (_, facts) = run(&Script::udp(5060).client(OK.as_bytes()));
    assert!(facts.swapped);
    assert_eq!(facts.server_name.as_deref(), Some("biloxi.example.com"));
    let register = "REGISTER sip:192.0.2.1 SIP/2.0\r\nTo: <sip:a@example.net>\r\n\r\n";
    let (_, facts) = run(&Script::udp(5060).client(register.as_bytes()));
    assert_eq!(facts.server_name.as_deref(), Some("example.net"));
}

#[test]
fn fetion_is_not_sip() {
    let answer = b"SIP-C/4.0 401 Unauthoried\r\nI: 1\r\nQ: 1 R\r\n\r\n";
    let (outcome, facts) = run(&Script::tcp(8080).client(FETION.as_bytes()).server(answer));
    assert_eq!(
        (outcome, facts.proto),
        (Outcome::Partial, Some(Proto::SIP_C))
    );
    let sip = facts.sip.unwrap();
    assert_eq!(sip.method.as_deref(), Some("R"));
    assert_eq!(facts.server_name.as_deref(), Some("fetion.com.cn"));
    assert_eq!(
        sip.software.as_deref(),
        Some("type=\"pc\" ,version=\"3.6.1900\"")
    );
    assert_eq!((sip.status, facts.swapped), (Some(401), false));
    let (_, facts) = run(&Script::tcp(8080).client(b"M 685592830 SIP-C/3.0\r\nI: 2\r\n\r\n"));
    assert_eq!((facts.proto, facts.server_name), (Some(Proto::SIP_C), None));
}

#[test]
fn streams_are_cut_into_messages() {
    let bytes = ["\r\n\r\n", INVITE, OK, INVITE].concat();
    let whole = run(&Script::tcp(5060).client(bytes.as_bytes())).1;
    assert_eq!(whole.sip.as_ref().unwrap().status, Some(200));
    for end in 1..bytes.len() {
        let (front, back) = bytes.as_bytes().split_at(end);
        let mut facts = Facts::default();
        let script = Script::tcp(5060).client(front);
        let outcome = dissect(&script.opening(), &mut facts);
        let line = bytes.find("SIP/2.0\r\n").unwrap() + "SIP/2.0\r\n".len();
        let want = if end < line {
            Outcome::NeedMore
        } else {
            Outcome::Partial
        };
        assert_eq!(outcome, want, "cut at {end}");
        let script = script.client(back);
        assert_eq!(dissect(&script.opening(), &mut facts), Outcome::Partial);
        assert_eq!(facts, whole, "cut at {end}");
    }
}

#[test]
fn keep_alives_wait_and_others_are_refused() {
    let rows: &[(&[u8], Outcome)] = &[
        (b"\r\n\r\n", Outcome::NeedMore),
        (b"jaK", Outcome::NeedMore),
        (b"\0\0\0\0", Outcome::NeedMore),
        (b"\r\n\r\n\r\n", Outcome::NotMine),
        (b"INVITE sip:a@b SIP/2.0", Outcome::NotMine),
        (b"NOTIFY * HTTP/1.1\r\n", Outcome::NotMine),
        (b"CRCX 1204 aaln/1@rgw MGCP 1.0\r\n", Outcome::NotMine),
        (b"!/1 [10.0.0.1]\r\n", Outcome::NotMine),
        (b"", Outcome::NeedMore),
        (b"\x80\x08\0\x01", Outcome::NotMine),
    ];
    for (bytes, want) in rows {
        assert_eq!(run(&Script::udp(9999).client(bytes)).0, *want, "{bytes:?}");
        assert_eq!(
            run(&Script::udp(5060).client(bytes)).0,
            Outcome::NeedMore,
            "{bytes:?}"
        );
    }
    let late = Script::udp(9999).client(b"jaK").client(INVITE.as_bytes());
    assert_eq!(run(&late).0, Outcome::Partial);
    let later = Script::udp(5060).client(b"hello").client(INVITE.as_bytes());
    assert_eq!(run(&later).0, Outcome::Partial);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01",
        b"OPTIONS rtsp://a RTSP/1.0",
        b"A /",
    ] {
        assert_eq!(
            run(&Script::tcp(5060).client(bytes)).0,
            Outcome::NotMine,
            "{bytes:?}"
        );
    }
}

#[test]
fn lists_and_texts_are_bounded() {
    let mut facts = Facts::default();
    for round in 0..40 {
        let text = format!(
            "OPTIONS sip:{0}@x SIP/2.0\r\nUser-Agent: {0}\r\nContact: {0}\r\nTo: <sip:{0}>\r\n\r\n\
             c=IN IP4 192.0.2.{round}\r\nm=audio 4 x\r\nm=audio 5 x\r\n",
            "a".repeat(600),
        );
        let script = Script::udp(5060).client(text.as_bytes());
        assert_eq!(dissect(&script.opening(), &mut facts), Outcome::Partial);
    }
    assert_eq!(facts.beyond_bounds(), None);
    let sip = facts.sip.unwrap();
    assert_eq!(sip.user_agent.unwrap().len(), 512);
    assert_eq!(sip.to_host, None);
}

proptest! {
    #[test]
    fn survives_anything(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let outcome = run(&Script::udp(5060).client(&bytes)).0;
        prop_assert!(matches!(outcome, Outcome::NotMine | Outcome::NeedMore));
        let mut text = [INVITE, OK, FETION].concat().into_bytes();
        for (at, value) in flips {
            let at = at.index(text.len());
            text[at] = value;
        }
        run(&Script::tcp(5060).client(&text).server(&bytes));
        run(&Script::udp(5060).client(&text));
        media_of(&text, &mut Vec::new());
    }
}
