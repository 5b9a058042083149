//! Tunnels: every kind, the bits that their receivers ignore, packets without a length, and what
//! is in them and is no packet.

use std::net::IpAddr;

use pnet::packet::ethernet::{EtherType, EtherTypes};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};

use crate::Capture;
use crate::dns;
use crate::net::{Trace, datagram, ethernet, ethernet_frame, ip, join, network_type, vlan};

pub const CAPTURES: &[Capture] = &[
    (
        "tunnel-kinds",
        "One lookup each in Aruba's GRE, EoIP, GRE in UDP, EtherIP, GUE 0 and 1, FOU, GTP-U of Ethernet, GTP 0, MPLS in UDP and IP, LISP of IP and Ethernet, VXLAN-GPE with NSH, SRv6, AYIYA, PPP multilink",
        kinds,
    ),
    (
        "tunnel-reserved-bits",
        "VXLAN, GENEVE, GRE, GTP-U and L2TP with all the bits set that a receiver ignores",
        reserved_bits,
    ),
    (
        "tunnel-offload",
        "IPv4 and IPv6 of length 0 in VXLAN, GENEVE, GRE, GTP-U and IP",
        offload,
    ),
    (
        "pseudowires",
        "MPLS with and without a control word, Ethernet to addresses that start with 0, 4 and 6",
        pseudowires,
    ),
    (
        "tunnel-signalling",
        "What tunnels carry that is no packet: ARP, LLDP, spanning tree, echo, keep-alive, and as many noises on their ports",
        signalling,
    ),
];

/// Makes a frame of an IP packet.
type Wrap = fn(&[u8]) -> Vec<u8>;

fn routers() -> [IpAddr; 2] {
    ["192.0.2.1", "192.0.2.2"].map(|router| router.parse().unwrap())
}

fn routers_6() -> [IpAddr; 2] {
    ["2001:db8:7::1", "2001:db8:7::2"].map(|router| router.parse().unwrap())
}

fn in_ip(protocol: u8, parts: &[&[u8]]) -> Vec<u8> {
    let [from, to] = routers();
    let body = join(parts.iter().copied());
    ethernet(&ip(from, to, IpNextHeaderProtocol(protocol), &body))
}

fn in_ipv6(protocol: u8, parts: &[&[u8]]) -> Vec<u8> {
    let [from, to] = routers_6();
    let body = join(parts.iter().copied());
    ethernet(&ip(from, to, IpNextHeaderProtocol(protocol), &body))
}

fn in_udp(port: u16, parts: &[&[u8]]) -> Vec<u8> {
    let [from, to] = routers();
    let body = join(parts.iter().copied());
    ethernet(&datagram((from, 50_000).into(), (to, port).into(), &body))
}

fn gtp(flags: u8, optional: &[u8], content: &[u8]) -> Vec<u8> {
    let len = ((optional.len() + content.len()) as u16).to_be_bytes();
    let head = [flags, 0xff, len[0], len[1], 0, 0, 0x12, 0x34];
    in_udp(2152, &[&head, optional, content])
}

fn gtp_0(packet: &[u8]) -> Vec<u8> {
    let len = (packet.len() as u16).to_be_bytes();
    let head = [
        0x1e, 0xff, len[0], len[1], 0, 1, 0, 9, 0xff, 0xff, 0xff, 0xff,
    ];
    in_udp(3386, &[&head, &[0x52, 0, 1, 0, 0, 0, 0, 0xf1], packet])
}

/// An IEEE 802.11 data frame to the distribution system, with LLC.
fn wireless(packet: &[u8]) -> Vec<u8> {
    join([
        &[0x88, 0x01, 0, 0][..],
        &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 2],
        &[0x10, 0, 0, 0, 0xaa, 0xaa, 3, 0, 0, 0],
        &network_type(packet).0.to_be_bytes(),
        packet,
    ])
}

fn tagged(packet: &[u8]) -> Vec<u8> {
    ethernet_frame(EtherTypes::Vlan, &vlan(7, network_type(packet), packet))
}

/// A lookup of two datagrams in a tunnel.
fn lookup(trace: &mut Trace, number: usize, is_6: bool) {
    let identifier = number as u16;
    let (client, server) = if is_6 {
        (
            format!("[2001:db8::{:x}]:40000", 0x100 + number),
            "[2001:db8:1::53]:53",
        )
    } else {
        (format!("10.77.0.{}:40000", 1 + number), "192.0.2.53:53")
    };
    trace
        .udp(&client, server)
        .client(dns::query(identifier, "example.com", 1))
        .server(dns::answer(identifier, "example.com", &["203.0.113.9"], 60))
        .is("dns", "-", "-");
}

fn kinds(trace: &mut Trace) {
    const LABEL: &[u8] = &[0, 1, 0x31, 64];
    let wraps: &[Wrap] = &[
        |p| in_ip(47, &[&[0, 0, 0x82, 0], &wireless(p)]),
        |p| in_ip(47, &[&[0, 0, 0x82, 0x10], &ethernet(p)]),
        |p| {
            let len = (p.len() as u16 + 14).to_be_bytes();
            in_ip(47, &[&[0x20, 1, 0x64, 0], &len, &[7, 0], &ethernet(p)])
        },
        |p| in_udp(4754, &[&[0, 0, 0x65, 0x58], &tagged(p)]),
        |p| in_ip(97, &[&[0x30, 0], &ethernet(p)]),
        |p| in_ipv6(97, &[&[0x30, 7], &tagged(p)]),
        |p| in_udp(6080, &[&[0, 4, 0, 0], p]),
        |p| in_udp(6080, &[p]),
        |p| in_udp(5555, &[p]),
        |p| gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0], &ethernet(p)),
        gtp_0,
        |p| in_udp(6635, &[LABEL, p]),
        |p| in_ip(137, &[LABEL, &[0; 4], &ethernet(p)]),
        |p| in_udp(4341, &[&[0x48, 0, 0, 0, 0, 1, 2, 1], p]),
        |p| in_udp(8472, &[&[0x80, 1, 2, 3, 0, 0, 0, 0], &ethernet(p)]),
        |p| {
            let context = [7; 16];
            let service = [0x0f, 0xc6, 1, 3, 0, 0, 9, 0xff];
            let generic = [0x0c, 0, 0, 4, 0, 1, 2, 0];
            in_udp(4790, &[&generic, &service, &context, &ethernet(p)])
        },
        |p| in_ipv6(143, &[&ethernet(p)]),
        |p| {
            let segment = [0x20, 1, 0xd, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
            in_ipv6(43, &[&[143, 2, 4, 0, 0, 0, 0, 0], &segment, &tagged(p)])
        },
        |p| in_udp(5072, &[&[0x44, 0x52, 0x11, 4], &[7; 40], p]),
        |p| {
            let session = [0, 2, 0, 7, 0, 9];
            let multilink = [0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1, 0, 0x21];
            in_udp(1701, &[&session, &multilink, p])
        },
    ];
    for (number, &wrap) in wraps.iter().enumerate() {
        trace.wrap(wrap);
        lookup(trace, number, false);
    }
    trace.unwrap();
}

fn reserved_bits(trace: &mut Trace) {
    let wraps: &[Wrap] = &[
        |p| {
            in_udp(
                4789,
                &[&[0xff, 0xff, 0xff, 0xff, 0, 1, 2, 0xff], &ethernet(p)],
            )
        },
        |p| in_udp(6081, &[&[0, 0x7f, 0x65, 0x58, 0, 1, 2, 0xff], &ethernet(p)]),
        |p| in_ip(47, &[&[0x0f, 0xf8, 8, 0], p]),
        |p| in_ip(47, &[&[0xaf, 0xf8, 8, 0, 1, 2, 0xff, 0xff, 0, 0, 0, 9], p]),
        |p| gtp(0x38, &[], p),
        |p| gtp(0x3a, &[0, 1, 0xff, 0xff], p),
        |p| in_udp(1701, &[&[0x34, 0xf2, 0, 7, 0, 9, 0xff, 3, 0, 0x21], p]),
        |p| in_udp(1701, &[&[0x7f, 0xf3, 0xff, 0xff, 0, 0, 0, 5], &ethernet(p)]),
        |p| in_ip(97, &[&[0x3f, 0xff], &ethernet(p)]),
    ];
    for (number, &wrap) in wraps.iter().enumerate() {
        trace.wrap(wrap);
        lookup(trace, 64 + number, false);
    }
    trace.unwrap();
}

/// The packet with its length taken out, as a network card that cuts it into segments gets it.
fn without_length(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        packet[2..4].fill(0);
    } else {
        packet[4..6].fill(0);
    }
    packet
}

fn offload(trace: &mut Trace) {
    let wraps: &[Wrap] = &[
        |p| in_udp(4789, &[&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(p)]),
        |p| in_udp(6081, &[&[0, 0, 0x65, 0x58, 0, 1, 2, 0], &tagged(p)]),
        |p| in_ip(47, &[&[0, 0], &network_type(p).0.to_be_bytes(), p]),
        |p| gtp(0x30, &[], p),
        |p| match network_type(p) {
            EtherTypes::Ipv6 => in_ip(IpNextHeaderProtocols::Ipv6.0, &[p]),
            _ => in_ipv6(IpNextHeaderProtocols::Ipv4.0, &[p]),
        },
    ];
    for (number, &wrap) in wraps.iter().enumerate() {
        trace.wrap(move |packet| wrap(&without_length(packet)));
        lookup(trace, 128 + number, false);
        lookup(trace, 128 + number, true);
    }
    trace.unwrap();
}

fn pseudowires(trace: &mut Trace) {
    let destinations: [[u8; 6]; 5] = [
        [0x60, 0, 0, 0, 0, 1],
        [0x45, 0, 0, 0x40, 0, 1],
        [0x02, 0, 0, 0, 0, 1],
        [0, 0x1b, 0x21, 0, 0, 1],
        [0xff; 6],
    ];
    let mut number = 192;
    for destination in destinations {
        for control_word in [&[][..], &[0, 0, 0, 1]] {
            trace.wrap(move |packet| {
                let frame = join([&destination[..], &tagged(packet)[6..]]);
                let content = join([&[0, 1, 0x31, 64][..], control_word, &frame]);
                ethernet_frame(EtherType(0x8847), &content)
            });
            lookup(trace, number, false);
            number += 1;
        }
    }
    trace.unwrap();
}

fn signalling(trace: &mut Trace) {
    let arp = ethernet_frame(
        EtherTypes::Arp,
        &[
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
        ],
    );
    let discovery = ethernet_frame(EtherType(0x88cc), &[2, 7, 4, 2, 0, 0, 0, 0, 1, 0, 0]);
    let spanning_tree = ethernet_frame(EtherType(38), &join([&[0x42, 0x42, 3][..], &[0; 35]]));
    let len = (arp.len() as u8).to_be_bytes();
    let map_request = [
        0x10, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1, 192, 0, 2, 1, 0, 32, 0, 1, 203, 0, 113,
        9,
    ];
    let with = |head: &[u8], content: &[u8]| join([head, content]);
    let generic = [
        0x0c, 0, 0, 4, 0, 1, 2, 0, 0x0f, 0xc2, 2, 0xfe, 0, 0, 9, 0xff,
    ];
    let beacon = join([&[0x80, 0, 0, 0][..], &[0xff; 6], &[2; 12], &[0; 20]]);
    let rows: &[(u16, &str, Vec<u8>)] = &[
        (4789, "vxlan", with(&[8, 0, 0, 0, 0, 0, 0x64, 0], &arp)),
        (
            4789,
            "vxlan",
            with(&[8, 0, 0, 0, 0, 0, 0x64, 0], &discovery),
        ),
        (
            4789,
            "vxlan",
            with(&[8, 0, 0, 0, 0, 0, 0x64, 0], &spanning_tree),
        ),
        (4789, "vxlan", with(&[0x8a, 1, 2, 3, 0, 0, 0x64, 4], &arp)),
        (4790, "vxlan", generic.to_vec()),
        (
            6081,
            "geneve",
            with(&[0, 0, 0x65, 0x58, 0, 0, 0x64, 0], &arp),
        ),
        (
            6081,
            "geneve",
            with(&[0, 0x80, 0x65, 0x58, 0, 0, 0x64, 0], &[7; 30]),
        ),
        (6080, "gue", with(&[0, 0x8f, 0, 0], &arp)),
        (2152, "gtp-u", vec![0x3a, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0]),
        (
            2152,
            "gtp-u",
            with(&[0x30, 0xff, 0, len[0], 0, 0, 0x12, 0x34], &arp),
        ),
        (
            3386,
            "gtp-c",
            with(
                &[0x1e, 1, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff],
                &[0; 8],
            ),
        ),
        (4342, "lisp", map_request.to_vec()),
        (6635, "mpls", with(&[0, 1, 0x31, 64], &arp)),
        (4754, "gre", with(&[0, 0, 0x65, 0x58], &arp)),
        (37008, "tzsp", with(&[1, 0, 0, 0x12, 1], &beacon)),
        (37008, "tzsp", vec![1, 4, 0, 0, 1]),
        (5072, "ayiya", with(&[0x44, 0x52, 0x10, 59], &[7; 40])),
        (1701, "l2tp", with(&[0, 3, 0, 0, 0, 0, 0, 5], &arp)),
    ];
    for (number, (port, meant, payload)) in rows.iter().enumerate() {
        let client = format!("10.78.0.{}:50000", number + 1);
        let server = format!("192.0.2.2:{port}");
        trace
            .udp(&client, &server)
            .client(payload)
            .is(meant, "-", "-");
        let noise = trace.noise(payload.len());
        let other = format!("10.78.1.{}:50000", number + 1);
        trace.udp(&other, &server).client(noise).is("-", "-", "-");
    }
    let [from, to] = routers();
    for (protocol, meant, body) in [
        (97, "etherip", with(&[0x30, 0], &arp)),
        (137, "mpls", with(&[0, 1, 0x31, 64], &arp)),
        (143, "srv6", arp.clone()),
        (115, "l2tp", with(&[0, 0, 0, 5], &arp)),
        (47, "gre", with(&[0x20, 1, 0x64, 0, 0, len[0], 7, 0], &arp)),
    ] {
        let packet = ip(from, to, IpNextHeaderProtocol(protocol), &body);
        trace.packet(&packet);
        let name = match protocol {
            47 => "GRE".to_owned(),
            other => other.to_string(),
        };
        trace.intent(&name, "192.0.2.1", "192.0.2.2", [meant, "-", "-"]);
    }
}
