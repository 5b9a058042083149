//! TLS (RFC 8446, RFC 5246), QUIC (RFC 9000) and DTLS (RFC 6347) as clients open them.

use ottometer::dissect::quic::build;

use crate::Capture;
use crate::net::{Trace, join};

pub const CAPTURES: &[Capture] = &[
    (
        "tls-names",
        "TLS: names in ClientHellos, one over two segments with a post-quantum key share, one without a name",
        tls_names,
    ),
    (
        "quic-initial",
        "QUIC: versions 1 and 2, a ClientHello over two datagrams, CRYPTO frames out of order",
        quic,
    ),
    (
        "quic-retry",
        "QUIC: version negotiation, and a Retry after which the keys change",
        quic_retry,
    ),
    (
        "dtls-hello",
        "DTLS 1.2: HelloVerifyRequest and a second ClientHello",
        dtls,
    ),
];

/// Bytes behind their length in `width` octets.
pub fn vector(width: usize, data: &[u8]) -> Vec<u8> {
    let len = data.len().to_be_bytes();
    join([&len[len.len() - width..], data])
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    join([&kind.to_be_bytes()[..], &vector(2, data)])
}

/// A handshake message: type and length in three octets.
fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    join([&[kind][..], &vector(3, body)])
}

/// Cuts a record's content where a record must end (2^14 octets).
fn record(kind: u8, version: u16, content: &[u8]) -> Vec<u8> {
    join([&[kind][..], &version.to_be_bytes(), &vector(2, content)])
}

/// What differs between ClientHellos.
struct Offer<'a> {
    name: Option<&'a str>,
    alpn: &'a [&'a str],
    suites: &'a [u8],
    /// TLS 1.3, with a key share of so many octets.
    key_share: Option<usize>,
}

impl Offer<'_> {
    fn body(&self, trace: &mut Trace, legacy: u16, cookie: Option<&[u8]>) -> Vec<u8> {
        let mut extensions = Vec::new();
        if let Some(name) = self.name {
            let entry = join([&[0][..], &vector(2, name.as_bytes())]);
            extensions.extend(extension(0, &vector(2, &entry)));
        }
        extensions.extend(extension(0x17, &[]));
        extensions.extend(extension(0x0a, &vector(2, &[0x00, 0x1d, 0x00, 0x17])));
        extensions.extend(extension(0x0b, &vector(1, &[0])));
        if !self.alpn.is_empty() {
            let list: Vec<u8> = self
                .alpn
                .iter()
                .flat_map(|p| vector(1, p.as_bytes()))
                .collect();
            extensions.extend(extension(0x10, &vector(2, &list)));
        }
        let algorithms = [0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03];
        extensions.extend(extension(0x0d, &vector(2, &algorithms)));
        if let Some(len) = self.key_share {
            extensions.extend(extension(0x2b, &vector(1, &[0x03, 0x04, 0x03, 0x03])));
            extensions.extend(extension(0x2d, &vector(1, &[1])));
            let group = if len == 32 {
                [0x00, 0x1d]
            } else {
                [0x11, 0xec]
            };
            let share = join([&group[..], &vector(2, &trace.noise(len))]);
            extensions.extend(extension(0x33, &vector(2, &share)));
        }
        let session = if self.key_share.is_some() && cookie.is_none() {
            32
        } else {
            0
        };
        let mut body = legacy.to_be_bytes().to_vec();
        body.extend(trace.noise(32));
        body.extend(vector(1, &trace.noise(session)));
        if let Some(cookie) = cookie {
            body.extend(vector(1, cookie));
        }
        body.extend(vector(2, self.suites));
        body.extend(vector(1, &[0]));
        body.extend(vector(2, &extensions));
        body
    }
}

const SUITES_13: &[u8] = &[
    0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30,
];
const SUITES_12: &[u8] = &[
    0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0x00, 0x9c, 0x00, 0x2f,
];

/// A TLS 1.3 ClientHello in its record.
pub fn client_hello(trace: &mut Trace, name: Option<&str>, alpn: &[&str]) -> Vec<u8> {
    hello_with_share(trace, name, alpn, 32)
}

/// The same with a key share of `len` octets: 1216 for X25519MLKEM768.
pub fn hello_with_share(
    trace: &mut Trace,
    name: Option<&str>,
    alpn: &[&str],
    len: usize,
) -> Vec<u8> {
    let offer = Offer {
        name,
        alpn,
        suites: SUITES_13,
        key_share: Some(len),
    };
    let body = offer.body(trace, 0x0303, None);
    record(0x16, 0x0301, &handshake(1, &body))
}

/// A TLS 1.2 ClientHello in its record.
pub fn client_hello_tls12(trace: &mut Trace, name: Option<&str>, alpn: &[&str]) -> Vec<u8> {
    let offer = Offer {
        name,
        alpn,
        suites: SUITES_12,
        key_share: None,
    };
    let body = offer.body(trace, 0x0303, None);
    record(0x16, 0x0301, &handshake(1, &body))
}

/// A TLS 1.3 ServerHello, ChangeCipherSpec, and the sealed rest of the flight.
pub fn server_hello(trace: &mut Trace) -> Vec<u8> {
    let share = join([&[0x00, 0x1d][..], &vector(2, &trace.noise(32))]);
    let extensions = join([
        &extension(0x2b, &[0x03, 0x04])[..],
        &extension(0x33, &share),
    ]);
    let mut body = vec![0x03, 0x03];
    body.extend(trace.noise(32));
    body.extend(vector(1, &trace.noise(32)));
    body.extend([0x13, 0x01, 0]);
    body.extend(vector(2, &extensions));
    join([
        &record(0x16, 0x0303, &handshake(2, &body))[..],
        &record(0x14, 0x0303, &[1]),
        &tls_data(trace, 900),
    ])
}

/// A record of application data.
pub fn tls_data(trace: &mut Trace, len: usize) -> Vec<u8> {
    let sealed = trace.noise(len);
    record(0x17, 0x0303, &sealed)
}

/// A whole TLS connection to `name`, by way of example.
pub fn tls_flow(trace: &mut Trace, client: &str, server: &str, name: &str, meant: [&str; 2]) {
    let hello = client_hello(trace, Some(name), &["h2", "http/1.1"]);
    let (reply, up, down) = (
        server_hello(trace),
        tls_data(trace, 120),
        tls_data(trace, 700),
    );
    trace
        .tcp(client, server)
        .open()
        .client(hello)
        .server(reply)
        .client(up)
        .server(down)
        .close()
        .is("tls", meant[0], meant[1]);
}

fn tls_names(trace: &mut Trace) {
    let server = "198.51.100.20:443";
    tls_flow(
        trace,
        "10.40.0.5:40001",
        server,
        "web.whatsapp.com",
        ["whatsapp", "chat"],
    );
    tls_flow(
        trace,
        "10.40.0.5:40002",
        server,
        "chat.signal.org",
        ["signal", "chat"],
    );
    tls_flow(
        trace,
        "10.40.0.5:40003",
        server,
        "r1---sn-example.googlevideo.com",
        ["youtube", "video"],
    );
    tls_flow(
        trace,
        "10.40.0.5:40004",
        server,
        "service.example.org",
        ["-", "-"],
    );
    tls_flow(
        trace,
        "[2001:db8::40]:40005",
        "[2001:db8:1::20]:443",
        "legy-jp.line-apps.com",
        ["line", "chat"],
    );
    // A post-quantum key share: the name is in the first segment, the rest in the second.
    let hello = hello_with_share(trace, Some("www.libon.com"), &["h2"], 1216);
    let (reply, down) = (server_hello(trace), tls_data(trace, 500));
    trace
        .tcp("10.40.0.5:40006", server)
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", "libon", "-");
    let hello = client_hello_tls12(trace, None, &[]);
    let (reply, down) = (server_hello(trace), tls_data(trace, 500));
    trace
        .tcp("10.40.0.5:40007", server)
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", "-", "-");
    // A record that holds the front of the ClientHello, a second one with the rest.
    let whole = client_hello(trace, Some("www.youtube.com"), &["h2"]);
    let message = &whole[5..];
    let (front, rest) = message.split_at(60);
    let hello = join([
        &record(0x16, 0x0301, front)[..],
        &record(0x16, 0x0301, rest),
    ]);
    let reply = server_hello(trace);
    trace
        .tcp("10.40.0.5:40008", server)
        .open()
        .client(hello)
        .server(reply)
        .close()
        .is("tls", "youtube", "-");
}

fn quic(trace: &mut Trace) {
    let short = |trace: &mut Trace, id: &[u8], len| join([&[0x4c][..], id, &trace.noise(len)]);
    for (port, version, name, share, app) in [
        (52001, 1, "www.youtube.com", 0, ["youtube", "-"]),
        (52002, 0x6b33_43cf, "www.youtube.com", 0, ["youtube", "-"]),
        (52003, 1, "web.whatsapp.com", 1184, ["whatsapp", "chat"]),
    ] {
        let hello = build::client_hello(name, &["h3"], share);
        let dcid = trace.noise(8);
        let scid = trace.noise(8);
        let up = short(trace, &dcid, 60);
        let down = short(trace, &scid, 900);
        let client = format!("10.40.0.6:{port}");
        let mut udp = trace.udp(&client, "198.51.100.21:443");
        for datagram in build::initial_packets(version, &dcid, &scid, &hello) {
            udp = udp.client(datagram);
        }
        udp.server(&down)
            .client(&up)
            .server(&down)
            .is("quic", app[0], app[1]);
    }
    // CRYPTO frames of one packet out of order.
    let hello = build::client_hello("chat.signal.org", &["h3"], 0);
    let (front, rest) = hello.split_at(100);
    let frames = [(100, rest), (0, front)].map(|(at, part)| build::crypto_frame(1, at, part));
    let frames: Vec<u8> = frames.into_iter().flatten().flatten().collect();
    let dcid = trace.noise(8);
    let packet = build::Initial::first(1, &dcid, b"").packet(&frames, 1200);
    let down = short(trace, b"", 500);
    trace
        .udp("10.40.0.6:52004", "198.51.100.21:443")
        .client(packet.unwrap_or_default())
        .server(down)
        .is("quic", "signal", "chat");
}

/// A DTLS handshake message in a record of its own (RFC 6347 section 4.2.2).
fn dtls_handshake(kind: u8, sequence: u16, number: u64, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let message = join([
        &[kind][..],
        &len[1..],
        &sequence.to_be_bytes(),
        &[0, 0, 0],
        &len[1..],
        body,
    ]);
    let number = number.to_be_bytes();
    join([
        &[0x16, 0xfe, 0xfd, 0, 0][..],
        &number[2..],
        &vector(2, &message),
    ])
}

/// A DTLS 1.2 ClientHello.
pub fn dtls_hello(trace: &mut Trace, cookie: &[u8], sequence: u16) -> Vec<u8> {
    let offer = Offer {
        name: None,
        alpn: &["webrtc"],
        suites: SUITES_12,
        key_share: None,
    };
    let body = offer.body(trace, 0xfefd, Some(cookie));
    dtls_handshake(1, sequence, u64::from(sequence), &body)
}

fn dtls(trace: &mut Trace) {
    let cookie = trace.noise(20);
    let (first, second) = (dtls_hello(trace, &[], 0), dtls_hello(trace, &cookie, 1));
    let verify = dtls_handshake(3, 0, 0, &join([&[0xfe, 0xff][..], &vector(1, &cookie)]));
    let number = 1_u64.to_be_bytes();
    let sealed = trace.noise(80);
    let data = join([
        &[0x17, 0xfe, 0xfd, 0, 1][..],
        &number[2..],
        &vector(2, &sealed),
    ]);
    trace
        .udp("10.40.0.7:53000", "198.51.100.22:4433")
        .client(first)
        .server(verify)
        .client(second)
        .client(data)
        .is("dtls", "-", "-");
}

fn quic_retry(trace: &mut Trace) {
    let hello = build::client_hello("chat.signal.org", &["h3"], 0);
    let server = "198.51.100.23:443";
    let (dcid, scid, chosen) = (trace.noise(8), trace.noise(8), trace.noise(8));
    let ids = |to: &[u8], from: &[u8]| join([&vector(1, to)[..], &vector(1, from)]);

    // RFC 9000 section 6.3 and 15: a version set aside for this, answered by those there are.
    let head = join([&[0xc3, 0x1a, 0x2a, 0x3a, 0x4a][..], &ids(&dcid, &scid)]);
    // No token, the length of what is left.
    let rest = 1200 - head.len() - 3;
    let length = (0x4000 | rest as u16).to_be_bytes();
    let greased = join([&head[..], &[0], &length, &trace.noise(rest)]);
    let versions = [0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf];
    let offered = join([&[0xca, 0, 0, 0, 0][..], &ids(&scid, &dcid), &versions]);
    let mut udp = trace
        .udp("10.40.0.8:52101", server)
        .client(greased)
        .server(offered);
    for datagram in build::initial_packets(1, &dcid, &scid, &hello) {
        udp = udp.client(datagram);
    }
    udp.is("quic", "signal", "chat");

    // Section 17.2.5: the server chooses a connection ID; keys derive from it from then on.
    let (dcid, scid) = (trace.noise(8), trace.noise(8));
    let (token, tag) = (trace.noise(40), trace.noise(16));
    let retry = join([&[0xf0, 0, 0, 0, 1][..], &ids(&scid, &chosen), &token, &tag]);
    // The first packet holds only the front of the ClientHello: the name comes after the Retry.
    let front = build::crypto_frame(1, 0, &hello[..50]).unwrap_or_default();
    let first = build::Initial::first(1, &dcid, &scid).packet(&front, 1200);
    let frame = build::crypto_frame(1, 0, &hello).unwrap_or_default();
    let second = build::Initial {
        token: &token,
        number: 1,
        ..build::Initial::first(1, &chosen, &scid)
    };
    let second = second.packet(&frame, 1200);
    trace
        .udp("10.40.0.8:52102", server)
        .client(first.unwrap_or_default())
        .server(retry)
        .client(second.unwrap_or_default())
        .is("quic", "signal", "chat");
}
