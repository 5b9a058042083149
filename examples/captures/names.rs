//! Where there is nothing to name, and what may say so all the same: addresses of clients, answers
//! nobody asked for, bytes without meaning, names that stand for others.

use crate::Capture;
use crate::dns::{answer, query};
use crate::net::{Trace, ethernet, join};
use crate::secure::{client_hello, client_hello_tls12, server_hello, tls_data, vector};

pub const CAPTURES: &[Capture] = &[
    (
        "address-of-client",
        "Clients and probes in operators' networks, and a shell on a machine in one: no use of the operator's application",
        addresses,
    ),
    (
        "answered-otherwise",
        "Probes for RDP, HTTP and TLS that are answered in another protocol",
        answered,
    ),
    (
        "meaningless",
        "Constant, counting and repeating bytes over UDP and TCP, on ports of protocols as well",
        meaningless,
    ),
    (
        "dns-streams",
        "DNS over TCP: several messages in a segment, messages cut anywhere, segments out of order",
        streams,
    ),
    (
        "dns-unasked",
        "DNS answers to no question, to another question and to somebody else teach nothing",
        unasked,
    ),
    (
        "dns-families",
        "A client asks over IPv6 and connects over IPv4, seen by its MAC address; behind a router nobody is known by it",
        families,
    ),
    (
        "outer-name",
        "The outer name of an encrypted ClientHello: DNS knows better, or it stands for itself",
        outer_names,
    ),
];

const POP3: [&str; 3] = ["+OK POP3 ready\r\n", "QUIT\r\n", "+OK\r\n"];

fn shell(trace: &mut Trace, client: &str, server: &str, meant: &str) {
    trace
        .tcp(client, server)
        .open()
        .server("SSH-2.0-OpenSSH_9.6\r\n")
        .client("SSH-2.0-Go\r\n")
        .close()
        .is("ssh", meant, "-");
}

fn addresses(trace: &mut Trace) {
    // 8.8.8.0/24 is Google's, 91.108.4.0/22 Telegram's, 140.82.112.0/20 GitHub's.
    let [greeting, quit, bye] = POP3;
    trace
        .tcp("8.8.8.2:40000", "203.0.113.80:110")
        .open()
        .server(greeting)
        .client(quit)
        .server(bye)
        .close()
        .is("pop3", "-", "-");
    shell(trace, "91.108.4.9:40000", "203.0.113.80:22", "-");
    shell(trace, "10.60.0.1:40000", "91.108.4.9:22", "-");
    shell(trace, "10.60.0.1:40001", "140.82.112.3:22", "github");
    let noise = trace.noise(40);
    for (client, server) in [
        ("91.108.4.9:40000", "203.0.113.80:161"),
        ("91.108.4.9:40000", "10.60.0.1:7000"),
        ("91.108.4.9:40000", "203.0.113.80:7000"),
    ] {
        trace.udp(client, server).client(&noise).is("-", "-", "-");
    }
    let hello = client_hello_tls12(trace, None, &[]);
    let reply = server_hello(trace);
    trace
        .tcp("91.108.4.9:40002", "203.0.113.80:443")
        .open()
        .client(&hello)
        .server(&reply)
        .close()
        .is("tls", "-", "-");
    trace
        .tcp("10.60.0.1:40003", "91.108.4.9:443")
        .open()
        .client(&hello)
        .server(&reply)
        .close()
        .is("tls", "telegram", "-");
}

/// An RDP connection request ([MS-RDPBCGR] section 2.2.1.1), as scanners send it.
const RDP: &[u8] = &[
    3, 0, 0, 0x13, 0x0e, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 3, 0, 0, 0,
];

const REFUSED: &str = "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nConnection: close\r\n\r\n";

fn answered(trace: &mut Trace) {
    let hello = client_hello_tls12(trace, None, &[]);
    let confirm = join([
        &RDP[..5],
        &[0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 1, 0, 0, 0],
    ]);
    // An alert of a TLS server: it cannot read this (RFC 8446 section 6).
    let alert = [0x15, 3, 1, 0, 2, 2, 0x46];
    let rows: [(&str, &[u8], &[u8], &str); 8] = [
        ("198.51.100.1:80", RDP, REFUSED.as_bytes(), "http"),
        ("198.51.100.1:81", &hello, REFUSED.as_bytes(), "http"),
        (
            "198.51.100.1:82",
            b"\x01\x02\x03\x04junk\r\n\r\n",
            REFUSED.as_bytes(),
            "http",
        ),
        (
            "198.51.100.1:22",
            b"GET / HTTP/1.0\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            "ssh",
        ),
        ("198.51.100.1:110", RDP, b"+OK POP3 ready\r\n", "pop3"),
        ("198.51.100.1:25", RDP, b"220 mx.example ESMTP\r\n", "smtp"),
        ("198.51.100.1:443", RDP, &alert, "tls"),
        ("198.51.100.1:3389", RDP, &confirm, "rdp"),
    ];
    for (port, (server, asked, said, proto)) in (40_000..).zip(rows) {
        trace
            .tcp(&format!("10.61.0.1:{port}"), server)
            .open()
            .client(asked)
            .server(said)
            .close()
            .is(proto, "-", "-");
    }
}

fn meaningless(trace: &mut Trace) {
    let counting: Vec<u8> = (0..=255).collect();
    let messages: [Vec<u8>; 9] = [
        vec![0; 23],
        vec![0; 123],
        vec![1; 48],
        vec![0x41; 64],
        vec![0xff; 23],
        counting[..40].to_vec(),
        counting[16..116].to_vec(),
        b"0123456789".repeat(8),
        [0, 1].repeat(30),
    ];
    let mut client = 30_000;
    for message in &messages {
        for port in [40_000, 53, 123, 1812, 3478] {
            client += 1;
            let ends = [format!("10.62.0.1:{client}"), format!("203.0.113.9:{port}")];
            trace
                .udp(&ends[0], &ends[1])
                .client(message)
                .client(message)
                .server(message)
                .is("-", "-", "-");
            trace
                .tcp(&ends[0], &ends[1])
                .open()
                .client(message)
                .server(message)
                .close()
                .is("-", "-", "-");
        }
    }
}

/// TLS without a name: its application is not in it.
fn nameless(trace: &mut Trace, client: &str, server: &str, meant: [&str; 2]) {
    let hello = client_hello_tls12(trace, None, &[]);
    let reply = server_hello(trace);
    trace
        .tcp(client, server)
        .open()
        .client(hello)
        .server(reply)
        .close()
        .is("tls", meant[0], meant[1]);
}

fn streams(trace: &mut Trace) {
    let names = [
        ("chat.signal.org", "192.0.2.10", ["signal", "chat"]),
        ("www.libon.com", "192.0.2.20", ["libon", "-"]),
    ];
    let asked: Vec<u8> = (1..)
        .zip(&names)
        .flat_map(|(number, (name, ..))| vector(2, &query(number, name, 1)))
        .collect();
    let said: Vec<u8> = (1..)
        .zip(&names)
        .flat_map(|(number, (name, address, _))| vector(2, &answer(number, name, &[address], 60)))
        .collect();
    // Whole, in segments of one and of seventeen octets, and the second half first.
    for (host, size) in [(1, 4096), (2, 1), (3, 17)] {
        let client = format!("10.63.0.{host}");
        let mut stream = trace
            .tcp(&format!("{client}:40000"), "192.0.2.53:53")
            .open();
        for part in asked.chunks(size) {
            stream = stream.client(part);
        }
        for part in said.chunks(size) {
            stream = stream.server(part);
        }
        stream.close().is("dns", "-", "-");
        for (port, (_, address, meant)) in (50_000..).zip(&names) {
            let ends = [format!("{client}:{port}"), format!("{address}:443")];
            nameless(trace, &ends[0], &ends[1], *meant);
        }
    }
}

fn unasked(trace: &mut Trace) {
    let reply = |number, name| answer(number, name, &["192.0.2.30"], 60);
    let rows = [
        // The client's port, what it asks, what it gets.
        ("10.64.0.1:5301", None, reply(1, "chat.signal.org")),
        (
            "10.64.0.2:5302",
            Some(query(1, "www.example.org", 1)),
            reply(1, "chat.signal.org"),
        ),
        (
            "10.64.0.3:5303",
            Some(query(1, "chat.signal.org", 1)),
            reply(2, "chat.signal.org"),
        ),
    ];
    for (client, asked, said) in rows {
        let mut udp = trace.udp(client, "192.0.2.53:53");
        if let Some(asked) = asked {
            udp = udp.client(asked);
        }
        udp.server(said).is("dns", "-", "-");
    }
    for host in 1..=3 {
        nameless(
            trace,
            &format!("10.64.0.{host}:50000"),
            "192.0.2.30:443",
            ["-", "-"],
        );
    }
    trace
        .udp("10.64.0.4:5304", "192.0.2.53:53")
        .client(query(7, "Chat.Signal.ORG", 1))
        .server(reply(7, "chat.signal.org"))
        .is("dns", "-", "-");
    nameless(
        trace,
        "10.64.0.4:50000",
        "192.0.2.30:443",
        ["signal", "chat"],
    );
}

/// Frames of a mirror in a local network: each host has its MAC address, made of the last octet of
/// its addresses.
fn local(packet: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(packet);
    let last = |v4: usize, v6: usize| match packet[0] >> 4 {
        4 => packet[v4],
        _ => packet[v6],
    };
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 1, last(19, 39)]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 1, last(15, 23)]);
    frame
}

fn families(trace: &mut Trace) {
    let ask = |trace: &mut Trace, client: &str, resolver: &str, name: &str, address: &str| {
        let number = trace.number() as u16;
        let kind = if address.contains(':') { 28 } else { 1 };
        trace
            .udp(client, resolver)
            .client(query(number, name, kind))
            .server(answer(number, name, &[address], 60))
            .is("dns", "-", "-");
    };
    trace.wrap(local);
    let v6 = "[2001:db8:2::53]:53";
    ask(
        trace,
        "[2001:db8::41]:5301",
        v6,
        "chat.signal.org",
        "192.0.2.40",
    );
    nameless(
        trace,
        "10.65.0.65:50000",
        "192.0.2.40:443",
        ["signal", "chat"],
    );
    ask(
        trace,
        "10.65.0.66:5302",
        "192.0.2.53:53",
        "www.libon.com",
        "2001:db8:2::41",
    );
    nameless(
        trace,
        "[2001:db8::42]:50000",
        "[2001:db8:2::41]:443",
        ["libon", "-"],
    );
    // Another host did not ask.
    nameless(trace, "10.65.0.67:50000", "192.0.2.40:443", ["-", "-"]);
    // All come from the router.
    trace.unwrap();
    for host in 1..=6 {
        let client = format!("[2001:db8::6:{host}]:5301");
        ask(trace, &client, v6, "chat.signal.org", "192.0.2.42");
    }
    nameless(trace, "10.66.0.1:50000", "192.0.2.42:443", ["-", "-"]);
}

/// `hello` with the extension of an outer ClientHello (RFC 9849 section 5).
fn encrypted(trace: &mut Trace, hello: &[u8]) -> Vec<u8> {
    let sealed = join([
        &[0, 0, 1, 0, 1, 7][..],
        &vector(2, &trace.noise(32)),
        &vector(2, &trace.noise(144)),
    ]);
    let added = join([&[0xfe, 0x0d][..], &vector(2, &sealed)]);
    let mut bytes = join([hello, &added[..]]);
    // Lengths of the record, of the message, and of its extensions, which come last.
    let session = 5 + 4 + 2 + 32;
    let suites = session + 1 + usize::from(bytes[session]);
    let compression =
        suites + 2 + usize::from(u16::from_be_bytes([bytes[suites], bytes[suites + 1]]));
    let extensions = compression + 1 + usize::from(bytes[compression]);
    for (at, from) in [(3, 5), (7, 9), (extensions, extensions + 2)] {
        let len = (bytes.len() - from) as u16;
        bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
    }
    bytes
}

fn outer_names(trace: &mut Trace) {
    let outer = Some("cloudflare-ech.com");
    trace
        .udp("10.67.0.1:5301", "192.0.2.53:53")
        .client(query(1, "chat.signal.org", 1))
        .server(answer(1, "chat.signal.org", &["192.0.2.50"], 60))
        .is("dns", "-", "-");
    let rows = [
        // Who, where to, with the extension, what it is.
        (
            "10.67.0.1:50000",
            "192.0.2.50:443",
            true,
            ["signal", "chat"],
        ),
        (
            "10.67.0.2:50000",
            "192.0.2.50:443",
            true,
            ["cloudflare-ech", "-"],
        ),
        // Nothing is hidden: this is a visit to that name.
        (
            "10.67.0.1:50001",
            "192.0.2.50:443",
            false,
            ["cloudflare-ech", "-"],
        ),
    ];
    for (client, server, hides, meant) in rows {
        let mut hello = client_hello(trace, outer, &["h2"]);
        if hides {
            hello = encrypted(trace, &hello);
        }
        let (reply, data) = (server_hello(trace), tls_data(trace, 300));
        trace
            .tcp(client, server)
            .open()
            .client(hello)
            .server(reply)
            .server(data)
            .close()
            .is("tls", meant[0], meant[1]);
    }
}
