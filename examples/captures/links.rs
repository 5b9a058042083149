//! What carries packets, and how they arrive: tunnels, fragments, disorder, damage.

use std::net::{IpAddr, SocketAddr};

use pnet::packet::Packet as _;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet::packet::ethernet::{EtherType, EtherTypes};
use pnet::packet::icmp::echo_request::MutableEchoRequestPacket;
use pnet::packet::icmp::{self, IcmpPacket, IcmpTypes};
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::tcp::TcpFlags;
use pnet::packet::vxlan::MutableVxlanPacket;
use pnet::util::MacAddr;

use crate::Capture;
use crate::net::{
    From, Trace, datagram, ethernet, ethernet_frame, fragment, ip, join, network_type, udp_bytes,
    vlan,
};
use crate::secure::{client_hello, hello_with_share, server_hello, tls_data, tls_flow};
use crate::web::{answer, request};

pub const CAPTURES: &[Capture] = &[
    (
        "tunnels",
        "One flow each in VLAN, QinQ, MPLS, PPPoE, GRE, GRE with Ethernet, VXLAN, GENEVE, GTP-U with extension headers, IP in IP, 6in4, 4in6",
        tunnels,
    ),
    (
        "fragments",
        "IPv4 and IPv6 fragments: in order, out of order, overlapping, one missing",
        fragments,
    ),
    (
        "tcp-disorder",
        "ClientHellos over segments that are reordered, overlapped, retransmitted, and one with a hole",
        disorder,
    ),
    (
        "mid-stream",
        "Connections older than the capture: TLS records, a server's side only, HTTP",
        mid_stream,
    ),
    (
        "odd",
        "ARP, an unknown EtherType, runts, lying lengths, ICMP",
        odd,
    ),
];

fn mpls(labels: &[u32], packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, label) in labels.iter().enumerate() {
        let bottom = u32::from(at + 1 == labels.len());
        bytes.extend((label << 12 | bottom << 8 | 64).to_be_bytes());
    }
    ethernet_frame(EtherType(0x8847), &join([&bytes[..], packet]))
}

fn pppoe(packet: &[u8]) -> Vec<u8> {
    // RFC 2516: version and type 1, session data, session; PPP's protocol number.
    let protocol: u16 = if network_type(packet) == EtherTypes::Ipv6 {
        0x0057
    } else {
        0x0021
    };
    let len = (packet.len() as u16 + 2).to_be_bytes();
    let head = join([&[0x11, 0, 0x12, 0x34][..], &len, &protocol.to_be_bytes()]);
    ethernet_frame(EtherType(0x8864), &join([&head[..], packet]))
}

const ROUTERS: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)),
];

fn gre(packet: &[u8]) -> Vec<u8> {
    let head = join([
        &[0x20, 0][..],
        &network_type(packet).0.to_be_bytes(),
        &[0, 0, 0, 7],
    ]);
    let body = join([&head[..], packet]);
    ethernet(&ip(
        ROUTERS[0],
        ROUTERS[1],
        IpNextHeaderProtocols::Gre,
        &body,
    ))
}

fn gre_ethernet(packet: &[u8]) -> Vec<u8> {
    let body = join([&[0, 0, 0x65, 0x58][..], &ethernet(packet)]);
    ethernet(&ip(
        ROUTERS[0],
        ROUTERS[1],
        IpNextHeaderProtocols::Gre,
        &body,
    ))
}

fn routers_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let [from, to] = ROUTERS.map(|router| SocketAddr::new(router, port));
    ethernet(&datagram(from, to, payload))
}

fn vxlan(packet: &[u8]) -> Vec<u8> {
    let inner = ethernet(packet);
    let mut bytes = vec![0; 8 + inner.len()];
    if let Some(mut header) = MutableVxlanPacket::new(&mut bytes) {
        header.set_flags(0x08);
        header.set_vni(0x1234);
        header.set_payload(&inner);
    }
    routers_udp(4789, &bytes)
}

fn geneve(packet: &[u8]) -> Vec<u8> {
    // RFC 8926: four octets of options of an experimental class with four octets of data.
    let options = [0xff, 0x00, 0x01, 0x01, 0, 0, 0, 9];
    let head = join([&[2, 0, 0x65, 0x58, 0, 0x12, 0x34, 0][..], &options]);
    routers_udp(6081, &join([&head[..], &ethernet(packet)]))
}

fn gtp(packet: &[u8]) -> Vec<u8> {
    // TS 29.281: E bit; sequence and N-PDU number unused; PDU session container, then none.
    let optional = [0, 0, 0, 0x85, 1, 0x10, 9, 0];
    let len = ((packet.len() + optional.len()) as u16).to_be_bytes();
    let head = join([&[0x34, 0xff][..], &len, &[0, 0, 0x12, 0x34], &optional]);
    routers_udp(2152, &join([&head[..], packet]))
}

/// Makes a frame of an IP packet.
type Wrap = fn(&[u8]) -> Vec<u8>;

fn tunnels(trace: &mut Trace) {
    let server = "198.51.100.90:443";
    let name = "web.whatsapp.com";
    let meant = ["whatsapp", "chat"];
    let wraps: &[(&str, Wrap)] = &[
        ("10.70.0.1:30001", |p| {
            ethernet_frame(EtherTypes::Vlan, &vlan(7, network_type(p), p))
        }),
        ("10.70.0.2:30002", |p| {
            let inner = vlan(100, network_type(p), p);
            ethernet_frame(EtherType(0x88a8), &vlan(7, EtherTypes::Vlan, &inner))
        }),
        ("10.70.0.3:30003", |p| mpls(&[100, 200], p)),
        ("10.70.0.4:30004", pppoe),
        ("10.70.0.5:30005", gre),
        ("10.70.0.6:30006", gre_ethernet),
        ("10.70.0.7:30007", vxlan),
        ("10.70.0.8:30008", geneve),
        ("10.70.0.9:30009", gtp),
        ("10.70.0.10:30010", |p| {
            ethernet(&ip(ROUTERS[0], ROUTERS[1], IpNextHeaderProtocols::Ipv4, p))
        }),
        ("10.70.0.11:30011", |p| {
            let ends = ["2001:db8:7::1", "2001:db8:7::2"].map(|end| end.parse().unwrap());
            ethernet(&ip(ends[0], ends[1], IpNextHeaderProtocols::Ipv4, p))
        }),
    ];
    for &(client, wrap) in wraps {
        trace.wrap(wrap);
        tls_flow(trace, client, server, name, meant);
    }
    trace.wrap(|p| ethernet(&ip(ROUTERS[0], ROUTERS[1], IpNextHeaderProtocols::Ipv6, p)));
    tls_flow(
        trace,
        "[2001:db8::70]:30012",
        "[2001:db8:1::90]:443",
        name,
        meant,
    );
    trace.unwrap();
}

/// IPv6 fragment header and data (RFC 8200 section 4.5).
fn fragment6(ends: [SocketAddr; 2], data: &[u8], offset: usize, more: bool) -> Vec<u8> {
    let field = (offset as u16 & !7) | u16::from(more);
    let head = join([&[17, 0][..], &field.to_be_bytes(), &[0, 0, 0x56, 0x78]]);
    ip(
        ends[0].ip(),
        ends[1].ip(),
        IpNextHeaderProtocols::Ipv6Frag,
        &join([&head[..], data]),
    )
}

fn fragments(trace: &mut Trace) {
    let sip = |client: &str| {
        format!(
            "REGISTER sip:voip.lifeisbetteron.com SIP/2.0\r\nVia: SIP/2.0/UDP {client}:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@voip.lifeisbetteron.com>;tag=1\r\nTo: <sip:alice@voip.lifeisbetteron.com>\r\nCall-ID: 1@{client}\r\nCSeq: 1 REGISTER\r\nSubject: {}\r\nContent-Length: 0\r\n\r\n",
            "long ".repeat(300)
        )
    };
    let server = "198.51.100.91:5060";
    // (order of the parts, whether a part also repeats octets of the one before)
    let orders: [(&str, &[usize], bool); 4] = [
        ("10.71.0.1", &[0, 1, 2], false),
        ("10.71.0.2", &[2, 0, 1], false),
        ("10.71.0.3", &[0, 2, 1], true),
        ("10.71.0.4", &[1, 2], false),
    ];
    for (number, (client, order, overlapping)) in orders.into_iter().enumerate() {
        let ends = [format!("{client}:5060"), server.to_owned()]
            .map(|end| end.parse::<SocketAddr>().unwrap());
        let whole = udp_bytes(ends[0], ends[1], sip(client).as_bytes());
        for &part in order {
            let start = part * 720 - if overlapping && part > 0 { 80 } else { 0 };
            let end = (part * 720 + 720).min(whole.len());
            let more = end < whole.len();
            let identification = 0x1000 + number as u16;
            let packet = fragment(
                ends[0].ip(),
                ends[1].ip(),
                IpNextHeaderProtocols::Udp,
                &whole[start..end],
                identification,
                start,
                more,
            );
            trace.packet(&packet);
        }
        // Without its first fragment a datagram has no ports, and is no flow.
        if order.contains(&0) {
            trace.intent(
                "UDP",
                &ends[0].to_string(),
                server,
                ["sip", "libon", "voice"],
            );
        }
    }
    let ends = ["[2001:db8::71]:5060", "[2001:db8:1::91]:5060"]
        .map(|end| end.parse::<SocketAddr>().unwrap());
    let whole = udp_bytes(ends[0], ends[1], sip("[2001:db8::71]").as_bytes());
    let (front, rest) = whole.split_at(1000);
    for (part, offset, more) in [(rest, 1000, false), (front, 0, true)] {
        trace.packet(&fragment6(ends, part, offset, more));
    }
    trace.intent(
        "UDP",
        "[2001:db8::71]:5060",
        "[2001:db8:1::91]:5060",
        ["sip", "libon", "voice"],
    );
}

/// Parts of a ClientHello in the order in which they arrive.
type Parts = &'static [(usize, usize)];

fn disorder(trace: &mut Trace) {
    const DATA: u8 = TcpFlags::PSH | TcpFlags::ACK;
    let server = "198.51.100.92:443";
    let orders: &[(&str, Parts, bool)] = &[
        // reordered
        (
            "10.72.0.1:31001",
            &[(600, 1200), (1200, 1600), (0, 600)],
            true,
        ),
        // overlapping, each with octets of the one before
        (
            "10.72.0.2:31002",
            &[(0, 600), (500, 1200), (1100, 1600)],
            true,
        ),
        // retransmitted, whole and in part
        (
            "10.72.0.3:31003",
            &[(0, 600), (0, 600), (0, 900), (900, 1600)],
            true,
        ),
        // octet by octet at first
        (
            "10.72.0.4:31004",
            &[(0, 1), (1, 2), (2, 5), (5, 9), (9, 1600)],
            true,
        ),
        // a hole where the name is
        ("10.72.0.5:31005", &[(0, 40), (900, 1600)], false),
    ];
    for &(client, parts, complete) in orders {
        let hello = hello_with_share(trace, Some("chat.signal.org"), &["h2"], 1216);
        let (reply, down) = (server_hello(trace), tls_data(trace, 700));
        let mut tcp = trace.tcp(client, server).open();
        for &(start, end) in parts {
            let end = end.min(hello.len());
            tcp.segment(From::Client, start, DATA, &hello[start..end]);
        }
        tcp.skip(From::Client, hello.len());
        let tcp = tcp.server(reply).server(down).close();
        match complete {
            true => tcp.is("tls", "signal", "chat"),
            false => tcp.is("tls", "-", "-"),
        }
    }
    // The answer overtakes the question.
    let (hello, reply) = (
        client_hello(trace, Some("chat.signal.org"), &["h2"]),
        server_hello(trace),
    );
    let mut tcp = trace.tcp("10.72.0.6:31006", server).open();
    tcp.segment(From::Server, 0, DATA, &reply[..1000]);
    tcp.segment(From::Client, 0, DATA, &hello);
    tcp.skip(From::Client, hello.len());
    tcp.segment(From::Server, 1000, DATA, &reply[1000..]);
    tcp.skip(From::Server, reply.len());
    tcp.close().is("tls", "signal", "chat");
}

fn mid_stream(trace: &mut Trace) {
    let (a, b, c) = (
        tls_data(trace, 300),
        tls_data(trace, 900),
        tls_data(trace, 120),
    );
    trace
        .tcp("10.73.0.1:32001", "198.51.100.93:443")
        .client(&a)
        .server(&b)
        .client(&c)
        .is("tls", "-", "-");
    // Only what the server sends passes here.
    let reply = server_hello(trace);
    trace
        .tcp("10.73.0.2:32002", "198.51.100.93:443")
        .server(reply)
        .server(&b)
        .is("tls", "-", "-");
    // A request on a connection that is open already.
    let agent = ("User-Agent", "Mozilla/5.0");
    trace
        .tcp("10.73.0.3:32003", "198.51.100.94:80")
        .client(request(
            "GET",
            "/b.js",
            &[("Host", "mp.weixin.qq.com"), agent],
            b"",
        ))
        .server(answer(
            "200 OK",
            &[("Content-Type", "text/javascript")],
            b"1",
        ))
        .is("http", "wechat", "web");
    // The inside of a record, from one side: who speaks first counts as the client.
    let (inside, more) = (trace.noise(1400), trace.noise(1400));
    trace
        .tcp("198.51.100.95:40000", "10.73.0.4:32004")
        .client(inside)
        .client(more)
        .is("-", "-", "-");
}

fn odd(trace: &mut Trace) {
    let mut bytes = vec![0; 28];
    if let Some(mut arp) = MutableArpPacket::new(&mut bytes) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(MacAddr(2, 0, 0, 0, 0, 1));
        arp.set_sender_proto_addr([10, 74, 0, 1].into());
        arp.set_target_proto_addr([10, 74, 0, 2].into());
    }
    trace.frame(ethernet_frame(EtherTypes::Arp, &bytes));
    // Local experimental EtherType, spanning tree, a frame of ten octets, an IPv4 header cut short.
    trace.frame(ethernet_frame(EtherType(0x88b5), &[0x5a; 46]));
    let tree = join([
        &[
            0x01, 0x80, 0xc2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0x26, 0x42, 0x42, 3,
        ][..],
        &[0; 43],
    ]);
    trace.frame(tree);
    trace.frame(vec![0x5a; 10]);
    trace.frame(ethernet_frame(EtherTypes::Ipv4, &[0x45, 0, 0, 20, 0, 0]));
    // Lying lengths: a header of less than 20 octets, more octets than the frame has.
    let ends = ["10.74.0.3:33000", "198.51.100.96:9"].map(|end| end.parse::<SocketAddr>().unwrap());
    let mut packet = datagram(ends[0], ends[1], &[0x5a; 32]);
    packet[0] = 0x42;
    trace.packet(&packet);
    let mut packet = datagram(ends[0], ends[1], &[0x5a; 32]);
    packet[2..4].copy_from_slice(&0x0400_u16.to_be_bytes());
    trace.packet(&packet);
    // An echo request: a flow without ports.
    let mut bytes = vec![0; 40];
    if let Some(mut echo) = MutableEchoRequestPacket::new(&mut bytes) {
        echo.set_icmp_type(IcmpTypes::EchoRequest);
        echo.set_identifier(1);
        echo.set_sequence_number(1);
        let checksum = IcmpPacket::new(echo.packet()).map_or(0, |packet| icmp::checksum(&packet));
        echo.set_checksum(checksum);
    }
    let (from, to) = (ends[0].ip(), ends[1].ip());
    trace.packet(&ip(from, to, IpNextHeaderProtocols::Icmp, &bytes));
    trace.intent("ICMP", "10.74.0.3", "198.51.100.96", ["icmp", "-", "-"]);
    // A protocol number without a name.
    trace.packet(&ip(from, to, IpNextHeaderProtocols::Test1, &[0x5a; 16]));
    trace.intent("253", "10.74.0.3", "198.51.100.96", ["-", "-", "-"]);
    // Padding to Ethernet's least length is not payload.
    let short = datagram(ends[0], ends[1], b"x");
    let mut frame = ethernet(&short);
    frame.resize(60, 0);
    trace.frame(frame);
    trace.intent("UDP", "10.74.0.3:33000", "198.51.100.96:9", ["-", "-", "-"]);
}
