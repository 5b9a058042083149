//! Peer to peer: BitTorrent (BEP 3, 5, 15, 29) and WireGuard.

use crate::Capture;
use crate::net::{Trace, join};

pub const CAPTURES: &[Capture] = &[
    (
        "bittorrent",
        "BitTorrent: peers over TCP and uTP, DHT, a tracker over UDP and over HTTP",
        bittorrent,
    ),
    (
        "bittorrent-peers",
        "BitTorrent: encrypted peers that trackers and the DHT told of; neighbours that they did not",
        told_peers,
    ),
    ("wireguard", "WireGuard: handshake and data", wireguard),
];

fn handshake(trace: &mut Trace, info_hash: &[u8]) -> Vec<u8> {
    join([
        &b"\x13BitTorrent protocol"[..],
        &[0, 0, 0, 0, 0, 0x10, 0, 0x05],
        info_hash,
        b"-UT3550-",
        &trace.noise(12),
    ])
}

/// A uTP header (BEP 29): kind and version, no extension, then connection, times, window, numbers.
fn utp(kind: u8, connection: u16, sequence: u16, ack: u16, data: &[u8]) -> Vec<u8> {
    join([
        &[kind << 4 | 1, 0][..],
        &connection.to_be_bytes(),
        &[0x10, 0x20, 0x30, 0x40, 0, 0, 0, 0x20, 0, 0x10, 0, 0],
        &sequence.to_be_bytes(),
        &ack.to_be_bytes(),
        data,
    ])
}

fn bittorrent(trace: &mut Trace) {
    let hash = trace.noise(20);
    let (up, down) = (handshake(trace, &hash), handshake(trace, &hash));
    let bitfield = join([&[0, 0, 0, 5, 5][..], &[0xff; 4]]);
    trace
        .tcp("10.60.0.5:51413", "203.0.113.200:6881")
        .open()
        .client(&up)
        .server(join([&down[..], &bitfield]))
        .client([0, 0, 0, 1, 2])
        .close()
        .is("bittorrent", "bittorrent", "file");
    // SYN (4) with connection id n, answered by STATE (2); data (0) goes with n + 1.
    trace
        .udp("10.60.0.5:51413", "203.0.113.201:6881")
        .client(utp(4, 0x1234, 1, 0, &[]))
        .server(utp(2, 0x1234, 0x7000, 1, &[]))
        .client(utp(0, 0x1235, 2, 0x7000, &up))
        .server(utp(0, 0x1234, 0x7000, 2, &down))
        .is("bittorrent", "bittorrent", "file");
    let (own, target) = (trace.noise(20), trace.noise(20));
    let query = join([
        &b"d1:ad2:id20:"[..],
        &own,
        b"9:info_hash20:",
        &target,
        b"e1:q9:get_peers1:t2:aa1:y1:qe",
    ]);
    let found = join([
        &b"d1:rd2:id20:"[..],
        &target,
        b"5:token8:5a5a5a5a6:valuesl6:\xcb\x00\x71\xc9\x1a\xe1ee1:t2:aa1:y1:re",
    ]);
    trace
        .udp("10.60.0.5:51414", "203.0.113.202:6881")
        .client(query)
        .server(found)
        .is("bittorrent", "bittorrent", "file");
    // BEP 15: connect, and its answer with a connection id.
    let transaction = trace.noise(4);
    let connect = join([
        &[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0][..],
        &transaction,
    ]);
    let connected = join([&[0, 0, 0, 0][..], &transaction, &trace.noise(8)]);
    trace
        .udp("10.60.0.5:51415", "203.0.113.203:1337")
        .client(connect)
        .server(connected)
        .is("bittorrent", "bittorrent", "file");
    let path = "/announce?info_hash=%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a&peer_id=-UT3550-5a5a5a5a5a5a&port=51413&uploaded=0&downloaded=0&left=0&compact=1";
    let headers = [
        ("Host", "tracker.example.org:6969"),
        ("User-Agent", "Transmission/3.00"),
    ];
    trace
        .tcp("10.60.0.5:51416", "203.0.113.204:6969")
        .open()
        .client(crate::web::request("GET", path, &headers, b""))
        .server(crate::web::answer(
            "200 OK",
            &[],
            b"d8:intervali1800e5:peers0:e",
        ))
        .close()
        .is("bittorrent", "bittorrent", "file");
}

/// A connection that looks like random bytes from its first one.
fn encrypted(trace: &mut Trace, client: &str, server: &str, meant: [&str; 3]) {
    let (up, down) = (trace.noise(160), trace.noise(220));
    trace
        .tcp(client, server)
        .open()
        .client(up)
        .server(down)
        .close()
        .is(meant[0], meant[1], meant[2]);
}

fn told_peers(trace: &mut Trace) {
    let known = ["bittorrent", "bittorrent", "file"];
    let unknown = ["-", "-", "-"];
    // Told of a moment later.
    encrypted(trace, "10.60.0.7:52000", "203.0.113.206:16881", known);
    // A tracker over HTTP: 203.0.113.206, port 16881.
    let path = "/announce?info_hash=%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a%5a&peer_id=-UT3550-5a5a5a5a5a5a&port=51417&uploaded=0&downloaded=0&left=0&compact=1";
    let peers = b"d8:intervali1800e5:peers6:\xcb\x00\x71\xce\x41\xf1e";
    trace
        .tcp("10.60.0.7:52001", "203.0.113.204:6969")
        .open()
        .client(crate::web::request(
            "GET",
            path,
            &[("Host", "tracker.example.org:6969")],
            b"",
        ))
        .server(crate::web::answer("200 OK", &[], peers))
        .close()
        .is("bittorrent", "bittorrent", "file");
    encrypted(trace, "10.60.0.7:52002", "203.0.113.206:16881", known);
    // Who comes to the port that was announced.
    encrypted(trace, "203.0.113.207:40000", "10.60.0.7:51417", known);
    // Another client, another port of the peer.
    encrypted(trace, "10.60.0.8:52002", "203.0.113.206:16881", unknown);
    encrypted(trace, "10.60.0.7:52003", "203.0.113.206:16882", unknown);
    // A tracker over UDP (BEP 15): 203.0.113.208, port 16881.
    let transaction = trace.noise(4);
    let connection = trace.noise(8);
    let connect = join([
        &[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0][..],
        &transaction,
    ]);
    let connected = join([&[0, 0, 0, 0][..], &transaction, &connection]);
    let mut announce = join([&connection[..], &[0, 0, 0, 1], &transaction]);
    announce.extend(trace.noise(80));
    announce.extend(51_418_u16.to_be_bytes());
    let peers = join([
        &[0, 0, 0, 1][..],
        &transaction,
        &[
            0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1, 203, 0, 113, 208, 0x41, 0xf1,
        ],
    ]);
    trace
        .udp("10.60.0.7:51418", "203.0.113.203:1337")
        .client(connect)
        .server(connected)
        .client(announce)
        .server(peers)
        .is("bittorrent", "bittorrent", "file");
    encrypted(trace, "10.60.0.7:52004", "203.0.113.208:16881", known);
    // The DHT: 203.0.113.209, port 16881; over IPv4 and with uTP's transport.
    let (target, up, down) = (trace.noise(20), trace.noise(60), trace.noise(60));
    let found = join([
        &b"d1:rd2:id20:"[..],
        &target,
        b"5:token8:5a5a5a5a6:valuesl6:\xcb\x00\x71\xd1\x41\xf1ee1:t2:aa1:y1:re",
    ]);
    trace
        .udp("203.0.113.202:6881", "10.60.0.7:51417")
        .client(found)
        .is("bittorrent", "bittorrent", "file");
    trace
        .udp("10.60.0.7:51419", "203.0.113.209:16881")
        .client(up)
        .server(down)
        .is("bittorrent", "bittorrent", "file");
}

fn wireguard(trace: &mut Trace) {
    let message = |trace: &mut Trace, kind: u8, len: usize| {
        join([&[kind, 0, 0, 0][..], &trace.noise(len - 4)])
    };
    let mut first = message(trace, 1, 148);
    // The last MAC is zero unless the peer is under load (section 5.4.4).
    first[132..].fill(0);
    let sender = first[4..8].to_vec();
    let mut second = message(trace, 2, 92);
    second[8..12].copy_from_slice(&sender);
    second[76..].fill(0);
    let receiver = second[4..8].to_vec();
    let data = |trace: &mut Trace, to: &[u8], count: u64| {
        join([
            &[4, 0, 0, 0][..],
            to,
            &count.to_le_bytes(),
            &trace.noise(96),
        ])
    };
    let (up, down) = (data(trace, &receiver, 0), data(trace, &sender, 0));
    trace
        .udp("10.60.0.6:40000", "203.0.113.205:51820")
        .client(first)
        .server(second)
        .client(up)
        .server(down)
        .is("wireguard", "-", "-");
}
