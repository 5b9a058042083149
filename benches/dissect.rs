//! How long the dissectors take over the openings that are most common, and over traffic that is
//! not theirs.
//!
//! Every message is built here: no capture is read. Numbers are a call: what a flow costs once,
//! or once for each packet of its opening.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ottometer::dissect::quic::build;
use ottometer::dissect::{DISSECTORS, Dissector, Facts, Outcome};
use ottometer::flow::opening::Script;

const DCID: &[u8] = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08";
const QUIC_V1: u32 = 1;
const QUIC_V2: u32 = 0x6b33_43cf;
const Q050: u32 = u32::from_be_bytes(*b"Q050");

fn dissector(name: &str) -> &'static Dissector {
    DISSECTORS.iter().find(|it| it.name == name).unwrap()
}

/// A TLS record with `handshake` in it, as a client sends it first.
fn record(handshake: &[u8]) -> Vec<u8> {
    let len = u16::try_from(handshake.len()).unwrap().to_be_bytes();
    [&[0x16, 0x03, 0x01][..], &len, handshake].concat()
}

/// A CHLO of gQUIC with a name.
fn chlo() -> Vec<u8> {
    let mut message = b"CHLO\x02\0\0\0PAD\0".to_vec();
    message.extend_from_slice(&900_u32.to_le_bytes());
    message.extend_from_slice(b"SNI\0");
    message.extend_from_slice(&915_u32.to_le_bytes());
    message.extend_from_slice(&[b'-'; 900]);
    message.extend_from_slice(b"www.example.com");
    message
}

fn q043(chlo: &[u8]) -> Vec<u8> {
    let len = u16::try_from(chlo.len()).unwrap().to_be_bytes();
    [b"\x09CIDCIDCIQ043\x01hash of it..\xa0\x01", &len[..], chlo].concat()
}

fn client(script: Script, datagrams: &[Vec<u8>]) -> Script {
    datagrams
        .iter()
        .fold(script, |script, it| script.client(it))
}

/// One opening: what it is, who reads it, what must come out.
type Case = (&'static str, &'static str, Script, Outcome);

fn cases() -> Vec<Case> {
    let hello = build::client_hello("www.example.com", &["h3"], 0);
    let long_hello = build::client_hello("www.example.com", &["h3"], 1184);
    let over_tcp = build::client_hello("www.example.com", &["h2", "http/1.1"], 0);
    let udp = || Script::udp(443);
    let tcp = || Script::tcp(443);
    let one = |version| build::initial_packets(version, DCID, b"", &hello);
    let two = build::initial_packets(QUIC_V1, DCID, b"", &long_hello);
    let stranger = Script::udp(9999).client(&[0x5a; 1200]);
    let rtp = Script::udp(9999).client(&[&[0x80, 0x60, 0x12, 0x34][..], &[7; 168]].concat());
    vec![
        (
            "quic v1 Initial",
            "quic",
            client(udp(), &one(QUIC_V1)),
            Outcome::Done,
        ),
        (
            "quic v2 Initial",
            "quic",
            client(udp(), &one(QUIC_V2)),
            Outcome::Done,
        ),
        (
            "quic v1, first of two Initials",
            "quic",
            client(udp(), &two[..1]),
            Outcome::Partial,
        ),
        (
            "quic v1, both Initials",
            "quic",
            client(udp(), &two),
            Outcome::Done,
        ),
        (
            "quic Q050 Initial",
            "quic",
            client(udp(), &build::initial_packets(Q050, DCID, b"", &chlo())),
            Outcome::Done,
        ),
        (
            "quic Q043 CHLO",
            "quic",
            udp().client(&q043(&chlo())),
            Outcome::Done,
        ),
        ("quic, not QUIC", "quic", stranger, Outcome::NotMine),
        ("quic, RTP", "quic", rtp, Outcome::NotMine),
        (
            "tls ClientHello",
            "tls",
            tcp().client(&record(&over_tcp)),
            Outcome::UpToDate,
        ),
        (
            "tls ClientHello, post-quantum",
            "tls",
            tcp().client(&record(&long_hello)),
            Outcome::UpToDate,
        ),
        (
            "tls, not TLS",
            "tls",
            tcp().client(&[0x5a; 1200]),
            Outcome::NotMine,
        ),
    ]
}

fn dissect(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dissect");
    for (name, dissector_name, script, expected) in cases() {
        let dissect = dissector(dissector_name).dissect;
        let opening = script.opening();
        assert_eq!(dissect(&opening, &mut Facts::default()), expected, "{name}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut facts = Facts::default();
                let outcome = dissect(black_box(&opening), &mut facts);
                black_box((outcome, &facts)).0
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dissect);
criterion_main!(benches);
