//! Where connections begin and end: RST and FIN that nobody takes, sockets used again, silence.

use ottometer::dissect::quic::build;
use pnet::packet::tcp::TcpFlags;

use crate::Capture;
use crate::net::{From, Tcp, Trace, join};
use crate::secure::{client_hello, server_hello, tls_data};

pub const CAPTURES: &[Capture] = &[
    (
        "tcp-forged",
        "RST and FIN that no receiver takes, before the name is sent",
        forged,
    ),
    (
        "tcp-reuse",
        "Connections one after the other between the same sockets, and SYNs that begin none",
        reuse,
    ),
    (
        "quic-reuse",
        "QUIC connections one after the other between the same sockets",
        quic_reuse,
    ),
    (
        "idle",
        "Connections that say nothing for longer than a flow lasts, and go on",
        idle,
    ),
    (
        "long-flows",
        "Flows of up to two hours, whose records come every half an hour: with a name, without one, \
         not settled for long, silent after a record",
        long_flows,
    ),
];

const SERVER: &str = "198.51.100.60:443";

/// One segment whose number is `ahead` of the next in order.
fn stray(mut tcp: Tcp<'_>, from: From, ahead: i32, flags: u8) -> Tcp<'_> {
    let there = ahead.cast_unsigned();
    tcp.skip(from, there as usize);
    tcp.segment(from, 0, flags, &[]);
    tcp.skip(from, there.wrapping_neg() as usize);
    tcp
}

fn forged(trace: &mut Trace) {
    use From::{Client, Server};
    let strays: &[&[(From, i32, u8)]] = &[
        &[(Client, 123_456_789, TcpFlags::RST)],
        &[(Server, 1, TcpFlags::RST)],
        &[
            (Server, -1, TcpFlags::RST | TcpFlags::ACK),
            (Client, 20_000, TcpFlags::RST),
        ],
        &[
            (Server, 900_000_000, TcpFlags::FIN | TcpFlags::ACK),
            (Client, 900_000_000, TcpFlags::FIN | TcpFlags::ACK),
        ],
        // Right in all that can be seen, but who sends it goes on.
        &[(Client, 0, TcpFlags::RST)],
        &[
            (Server, 0, TcpFlags::FIN | TcpFlags::ACK),
            (Client, 0, TcpFlags::FIN | TcpFlags::ACK),
        ],
    ];
    for (port, strays) in (41_001..).zip(strays) {
        let (hello, reply) = hello(trace, "www.youtube.com");
        let mut tcp = trace.tcp(&format!("10.60.0.5:{port}"), SERVER).open();
        for &(from, ahead, flags) in *strays {
            tcp = stray(tcp, from, ahead, flags);
        }
        tcp.client(hello)
            .server(reply)
            .close()
            .is("tls", "youtube", "-");
    }
    // Before the server has answered: it acknowledges nothing that was sent.
    for (port, flags) in [
        (41_011, TcpFlags::RST),
        (41_012, TcpFlags::RST | TcpFlags::ACK),
    ] {
        let (hello, reply) = hello(trace, "www.youtube.com");
        let mut tcp = trace.tcp(&format!("10.60.0.5:{port}"), SERVER);
        tcp.segment(Client, 0, TcpFlags::SYN, &[]);
        tcp.segment(Server, 0, flags, &[]);
        tcp.open()
            .client(hello)
            .server(reply)
            .close()
            .is("tls", "youtube", "-");
    }
}

fn hello(trace: &mut Trace, name: &str) -> (Vec<u8>, Vec<u8>) {
    let hello = client_hello(trace, Some(name), &["h2"]);
    (hello, server_hello(trace))
}

fn reuse(trace: &mut Trace) {
    let names = [
        ("www.youtube.com", "youtube", "-"),
        ("web.whatsapp.com", "whatsapp", "chat"),
    ];
    // With an end, and without.
    for (client, closes) in [("10.60.0.6:42001", true), ("10.60.0.6:42002", false)] {
        for (name, app, service) in names {
            let (hello, reply) = hello(trace, name);
            let tcp = trace.tcp(client, SERVER).open().client(hello).server(reply);
            let tcp = if closes { tcp.close() } else { tcp };
            tcp.is("tls", app, service);
            trace.wait(5000);
        }
    }
    // A SYN that is sent again, and again with another number, is one connection.
    for _ in 0..2 {
        let mut tcp = trace.tcp("10.60.0.6:42003", SERVER);
        tcp.segment(From::Client, 0, TcpFlags::SYN, &[]);
        tcp.segment(From::Client, 0, TcpFlags::SYN, &[]);
        trace.wait(3000);
    }
    let (opens, reply) = hello(trace, "www.youtube.com");
    trace
        .tcp("10.60.0.6:42003", SERVER)
        .open()
        .client(opens)
        .server(reply)
        .close()
        .is("tls", "youtube", "-");
    // One in the middle that nobody answers.
    let (opens, reply) = hello(trace, "www.youtube.com");
    let mut other = trace.tcp("10.60.0.6:42004", SERVER);
    other.skip(From::Client, 50_000_000);
    let number = other.numbers();
    let (front, rest) = opens.split_at(40);
    let tcp = trace.tcp("10.60.0.6:42004", SERVER).open().client(front);
    let back = tcp.numbers();
    let mut tcp = tcp.set_numbers(number);
    tcp.segment(From::Client, 0, TcpFlags::SYN, &[]);
    tcp.set_numbers(back)
        .client(rest)
        .server(reply)
        .close()
        .is("tls", "youtube", "-");
}

/// A connection from its first Initial on.
fn quic(trace: &mut Trace, client: &str, name: &str, meant: [&str; 2]) {
    let hello = build::client_hello(name, &["h3"], 0);
    let (dcid, scid, chosen) = (trace.noise(8), trace.noise(8), trace.noise(8));
    let answer = join([
        &[0xc1, 0, 0, 0, 1, 8][..],
        &scid,
        &[8],
        &chosen,
        &[0, 0x44, 0x80],
        &trace.noise(0x480),
    ]);
    let up = join([&[0x4c][..], &chosen, &trace.noise(60)]);
    let down = join([&[0x4c][..], &scid, &trace.noise(700)]);
    let mut udp = trace.udp(client, SERVER);
    for datagram in build::initial_packets(1, &dcid, &scid, &hello) {
        udp = udp.client(datagram);
    }
    // Its second flight goes to the ID that the server chose, in an Initial still.
    let again = build::initial_packets(1, &chosen, &scid, &hello);
    udp.server(answer)
        .client(again.first().cloned().unwrap_or_default())
        .client(&up)
        .server(&down)
        .client(&up)
        .is("quic", meant[0], meant[1]);
}

fn quic_reuse(trace: &mut Trace) {
    quic(
        trace,
        "10.60.0.7:43001",
        "www.youtube.com",
        ["youtube", "-"],
    );
    trace.wait(5000);
    quic(
        trace,
        "10.60.0.7:43001",
        "web.whatsapp.com",
        ["whatsapp", "chat"],
    );
}

fn idle(trace: &mut Trace) {
    let client = "10.60.0.8:44001";
    let (hello, reply) = hello(trace, "web.whatsapp.com");
    let tcp = trace.tcp(client, SERVER).open().client(hello).server(reply);
    let numbers = tcp.numbers();
    tcp.is("tls", "whatsapp", "chat");
    for _ in 0..2 {
        trace.wait(1_680_000);
        // Noise, as the middle of a record is.
        let (beat, answer) = (trace.noise(40), trace.noise(60));
        trace
            .tcp(client, SERVER)
            .set_numbers(numbers)
            .server(answer)
            .client(beat)
            .is("tls", "whatsapp", "chat");
    }
    // The sockets are used by something else after that: what the client shows there otherwise.
    trace.wait(1_680_000);
    let (opens, reply) = (trace.noise(200), tls_data(trace, 0));
    trace
        .tcp(client, SERVER)
        .open()
        .client(&opens)
        .server(&opens[..reply.len()])
        .close()
        .is("-", "youtube", "-");
    quic(
        trace,
        "10.60.0.8:44002",
        "www.youtube.com",
        ["youtube", "-"],
    );
    trace.wait(240_000);
    let (up, down) = (trace.noise(60), trace.noise(700));
    trace
        .udp("10.60.0.8:44002", SERVER)
        .server(join([&[0x4c][..], &down]))
        .client(join([&[0x4c][..], &up]))
        .is("quic", "youtube", "-");
}

/// Two hours of flows that say something every 40 seconds, or every four minutes.
fn long_flows(trace: &mut Trace) {
    const NAMED: &str = "10.60.0.9:45001";
    const STOPS: &str = "10.60.0.9:45002";
    const SLOW: &str = "10.60.0.10:45003";
    const SLOW_SERVER: &str = "198.51.100.61:7777";
    const DATAGRAMS: [&str; 2] = ["10.60.0.11:45004", "198.51.100.62:7000"];
    let mut numbers = Vec::new();
    for (client, name, app, service) in [
        (NAMED, "web.whatsapp.com", "whatsapp", "chat"),
        (STOPS, "www.youtube.com", "youtube", "-"),
    ] {
        let (hello, reply) = hello(trace, name);
        let tcp = trace.tcp(client, SERVER).open().client(hello).server(reply);
        numbers.push((client, tcp.numbers()));
        tcp.is("tls", app, service);
    }
    let tcp = trace.tcp(SLOW, SLOW_SERVER).open();
    let mut slow = tcp.numbers();
    tcp.is("-", "-", "-");
    for step in 1..=180 {
        trace.wait(40_000);
        let beat = trace.noise(60);
        let udp = trace.udp(DATAGRAMS[0], DATAGRAMS[1]).client(&beat);
        if step == 1 {
            // A flow of one packet would not last until the next.
            udp.server(&beat).is("-", "-", "-");
        }
        if step % 6 > 0 {
            continue;
        }
        for (client, numbers) in &mut numbers {
            let (up, down) = (trace.noise(40), trace.noise(700));
            let tcp = trace.tcp(client, SERVER).set_numbers(*numbers);
            // Nothing comes after the packet with which its first record is due.
            let tcp = match (*client == STOPS, step) {
                (true, 49..) => continue,
                (true, 48) => tcp.server(down),
                _ => tcp.server(down).client(up),
            };
            *numbers = tcp.numbers();
        }
        let word = trace.noise(20);
        let tcp = trace.tcp(SLOW, SLOW_SERVER).set_numbers(slow).client(word);
        slow = tcp.numbers();
    }
}
