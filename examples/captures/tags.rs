//! What stands between the wire and a packet: the tags of switches, the headers of links and of
//! capture devices.

use pnet::packet::ethernet::{EtherType, EtherTypes};

use crate::Capture;
use crate::net::{Trace, ethernet, ethernet_frame, join, network_type, vlan};
use crate::secure::tls_flow;

pub const CAPTURES: &[Capture] = &[
    (
        "tags",
        "One flow each behind Cisco MetaData, FabricPath, VN-Tag, E-TAG, TTag, HSR, a PRP trailer, TRILL, MACsec that only signs, Arista's time stamps, NSH, QinQ of four types, DSA, EDSA and Broadcom tags, a tag that nobody knows",
        tags,
    ),
    (
        "links",
        "One flow each under NFLOG, PFLOG, PKTAP, ENC, Frame Relay, ATM, FDDI, token ring, SLIP, IPoIB, DOCSIS, Juniper's headers, netANALYZER, mPackets, DSA and others, each named by a PPI header; frames of a link type that is not decoded",
        links,
    ),
];

/// Makes a frame of an IP packet.
type Wrap = fn(&[u8]) -> Vec<u8>;

/// A tag and the type it is before.
fn tag(kind: u16, octets: &[u8], packet: &[u8]) -> Vec<u8> {
    let next = network_type(packet).0.to_be_bytes();
    ethernet_frame(EtherType(kind), &join([octets, &next, packet]))
}

/// A frame around a frame.
fn around(kind: u16, octets: &[u8], packet: &[u8]) -> Vec<u8> {
    ethernet_frame(EtherType(kind), &join([octets, &ethernet(packet)]))
}

/// A tag between the addresses and the type.
fn between(octets: &[u8], packet: &[u8]) -> Vec<u8> {
    let frame = ethernet(packet);
    join([&frame[..12], octets, &frame[12..]])
}

fn qinq(kind: u16, packet: &[u8]) -> Vec<u8> {
    let inner = vlan(100, network_type(packet), packet);
    ethernet_frame(EtherType(kind), &vlan(7, EtherTypes::Vlan, &inner))
}

const MACSEC: u16 = 0x88e5;

const TAGS: &[(&str, Wrap)] = &[
    ("Cisco MetaData", |p| tag(0x8909, &[1, 1, 0, 1, 0, 100], p)),
    ("VLAN, then Cisco MetaData", |p| {
        let inner = tag(0x8909, &[1, 1, 0, 1, 0, 100], p);
        let tagged = vlan(7, EtherType(0x8909), &inner[14..]);
        ethernet_frame(EtherTypes::Vlan, &tagged)
    }),
    ("FabricPath", |p| around(0x8903, &[0x00, 0x5f], p)),
    ("VN-Tag, then VLAN", |p| {
        let inner = vlan(20, network_type(p), p);
        let octets = [&[0, 2, 0, 1, 0x81, 0][..], &inner].concat();
        ethernet_frame(EtherType(0x8926), &octets)
    }),
    ("E-TAG", |p| tag(0x893f, &[0, 0, 0, 9, 0, 0], p)),
    ("TTag", |p| {
        tag(0x8988, &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66], p)
    }),
    ("HSR", |p| {
        let size = (p.len() as u16 + 6).to_be_bytes();
        tag(0x892f, &[0x10 | size[0], size[1], 0, 9], p)
    }),
    ("PRP", |p| {
        // Padding to the shortest frame, sequence number, network and size, the trailer's mark.
        let mut frame = ethernet(p);
        frame.resize(frame.len().max(54), 0);
        let size = (frame.len() as u16 - 14 + 6).to_be_bytes();
        join([&frame[..], &[0, 9, 0xa0 | size[0], size[1], 0x88, 0xfb]])
    }),
    ("TRILL", |p| around(0x22f3, &[0, 0x3f, 0, 1, 0, 2], p)),
    ("MACsec with a channel", |p| {
        let head = [0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1];
        join([&tag(MACSEC, &head, p)[..], &[0xee; 16]])
    }),
    ("MACsec without", |p| {
        let short = if p.len() + 2 < 48 {
            p.len() as u8 + 2
        } else {
            0
        };
        join([&tag(MACSEC, &[0, short, 0, 0, 0, 1], p)[..], &[0xee; 16]])
    }),
    ("Arista, 64 bits", |p| {
        tag(0xd28b, &[0, 1, 0, 0x10, 1, 2, 3, 4, 5, 6, 7, 8], p)
    }),
    ("Arista, 48 bits", |p| {
        tag(0xd28b, &[0, 1, 1, 0x20, 1, 2, 3, 4, 5, 6], p)
    }),
    ("NSH", |p| {
        let next = if network_type(p) == EtherTypes::Ipv6 {
            2
        } else {
            1
        };
        let head = [0x0f, 0xc2, 2, next, 0, 0, 9, 0xff];
        ethernet_frame(EtherType(0x894f), &join([&head, p]))
    }),
    ("QinQ 9100", |p| qinq(0x9100, p)),
    ("QinQ 8200", |p| qinq(0x8200, p)),
    ("QinQ 9200", |p| qinq(0x9200, p)),
    ("QinQ 9300", |p| qinq(0x9300, p)),
    ("DSA", |p| between(&[0xc0, 8, 0, 1], p)),
    ("EDSA", |p| between(&[0xda, 0xda, 0, 0, 0xe0, 8, 0, 7], p)),
    ("Broadcom", |p| between(&[0x20, 0, 0, 5], p)),
    ("a time stamp of a type for experiments", |p| {
        tag(0x88b5, &[1, 2, 3, 4, 5, 6, 7, 8], p)
    }),
];

fn flows(trace: &mut Trace, subnet: u8, wraps: &'static [(&str, Wrap)]) {
    for (number, &(_, wrap)) in (1..).zip(wraps) {
        trace.wrap(wrap);
        let client = format!("10.{subnet}.0.{number}:{}", 33_000 + number);
        let server = "198.51.100.93:443";
        tls_flow(
            trace,
            &client,
            server,
            "web.whatsapp.com",
            ["whatsapp", "chat"],
        );
    }
    trace.unwrap();
}

fn tags(trace: &mut Trace) {
    flows(trace, 75, TAGS);
    // One direction through a switch that tags, the other past it.
    trace.wrap(|p| match p.get(12) {
        Some(10) => tag(0x8909, &[1, 1, 0, 1, 0, 100], p),
        _ => ethernet(p),
    });
    let meant = ["whatsapp", "chat"];
    let (client, server) = ("10.75.1.1:33100", "198.51.100.93:443");
    tls_flow(trace, client, server, "web.whatsapp.com", meant);
    trace.wrap(|p| tag(0x8909, &[1, 1, 0, 1, 0, 100], p));
    let (client, server) = ("[2001:db8::75]:33101", "[2001:db8:1::93]:443");
    tls_flow(trace, client, server, "web.whatsapp.com", meant);
    // Encrypted: no packet.
    trace.frame(tag(
        MACSEC,
        &[0x2c, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1],
        &[0x5a; 60],
    ));
}

/// A per-packet information header that names the link type of what follows.
fn ppi(link: u32, frame: &[u8]) -> Vec<u8> {
    join([&[0, 0, 8, 0][..], &link.to_le_bytes(), frame])
}

fn snap(packet: &[u8]) -> Vec<u8> {
    let kind = network_type(packet).0.to_be_bytes();
    join([&[0xaa, 0xaa, 3, 0, 0, 0][..], &kind, packet])
}

fn juniper(link: u32, head: &[u8], frame: &[u8]) -> Vec<u8> {
    ppi(link, &join([b"MGC", head, frame]))
}

const LINKS: &[(&str, Wrap)] = &[
    ("NFLOG", |p| {
        let len = (p.len() as u16 + 4).to_le_bytes();
        let head = [2, 0, 0, 5, 8, 0, 1, 0, 8, 0, 1, 0, len[0], len[1], 9, 0];
        ppi(239, &join([&head, p]))
    }),
    ("PFLOG", |p| {
        let mut head = vec![61, 2, 0, 0];
        head.extend(b"em0");
        head.resize(64, 0);
        ppi(117, &join([&head[..], p]))
    }),
    ("PKTAP", |p| {
        let mut head: Vec<u8> = [108_u32, 1, 1]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        head.extend(b"en0");
        head.resize(108, 0);
        ppi(258, &join([&head[..], &ethernet(p)]))
    }),
    ("PKTAP under its private number", |p| {
        let mut head: Vec<u8> = [156_u32, 1, 12]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        head.resize(156, 0);
        ppi(149, &join([&head[..], p]))
    }),
    ("ENC", |p| {
        ppi(109, &join([&[2, 0, 0, 0, 0, 0, 16, 1, 0, 0, 0, 3][..], p]))
    }),
    ("Frame Relay", |p| {
        ppi(107, &join([&[0x18, 0x41, 3, 0xcc][..], p]))
    }),
    ("Frame Relay of Cisco", |p| {
        ppi(107, &join([&[0x18, 0x41, 8, 0][..], p]))
    }),
    ("ATM, LLC", |p| ppi(100, &snap(p))),
    ("SunATM, LLC", |p| {
        ppi(123, &join([&[0x82, 0, 0, 100][..], &snap(p)]))
    }),
    ("SunATM, one protocol", |p| {
        ppi(123, &join([&[0x00, 0, 0, 100][..], p]))
    }),
    ("FDDI", |p| {
        let head = [0x50, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        ppi(10, &join([&head[..], &snap(p)]))
    }),
    ("token ring with a route", |p| {
        let head = [
            0x10, 0x40, 2, 0, 0, 0, 0, 2, 0x82, 0, 0, 0, 0, 1, 4, 0x30, 0, 0x10,
        ];
        ppi(6, &join([&head[..], &snap(p)]))
    }),
    ("SLIP", |p| {
        ppi(8, &join([&[1; 1][..], &[0x40], &[0; 14], p]))
    }),
    ("IPoIB", |p| {
        let head = join([&[0; 20][..], &[8, 0, 0, 0]]);
        ppi(242, &join([&head[..], p]))
    }),
    ("InfiniBand", |p| {
        let head = join([
            &[0, 2, 0, 1, 0, 20, 0, 2][..],
            &[0x64],
            &[0; 19],
            &[8, 0, 0, 0],
        ]);
        ppi(247, &join([&head[..], p, &[0xee; 6]]))
    }),
    ("DOCSIS", |p| {
        let frame = join([&ethernet(p)[..], &[0xee; 4]]);
        let len = (frame.len() as u16).to_be_bytes();
        ppi(143, &join([&[0, 0][..], &len, &[0xee; 2], &frame]))
    }),
    ("Juniper Ethernet", |p| {
        let head = [0x81, 0, 6, 3, 1, 14, 4, 1, 14];
        juniper(178, &head, &ethernet(p))
    }),
    ("Juniper PPP", |p| {
        juniper(179, &[0], &join([&[0, 0x21][..], p]))
    }),
    ("Juniper, no link layer", |p| {
        juniper(178, &[2], &join([&[0; 4][..], p]))
    }),
    ("netANALYZER", |p| {
        ppi(240, &join([&[0, 0, 0, 4][..], &ethernet(p), &[0xee; 4]]))
    }),
    ("netANALYZER, transparent", |p| {
        let head = join([&[0, 0, 0, 4][..], &[0x55; 7], &[0xd5]]);
        ppi(241, &join([&head[..], &ethernet(p), &[0xee; 4]]))
    }),
    ("mPacket", |p| {
        let head = join([&[0x55; 7][..], &[0xd5]]);
        ppi(274, &join([&head[..], &ethernet(p), &[0xee; 4]]))
    }),
    ("DSA", |p| ppi(284, &between(&[0xe0, 8, 0, 7], p))),
    ("EDSA", |p| {
        ppi(285, &between(&[0xda, 0xda, 0, 0, 0xc0, 8, 0, 1], p))
    }),
    ("Broadcom", |p| ppi(281, &between(&[0, 0, 0, 5], p))),
    ("Broadcom, before the frame", |p| {
        ppi(282, &join([&[0, 0, 0, 5][..], &ethernet(p)]))
    }),
    ("Solaris IPNET", |p| {
        ppi(226, &join([&[1, 2][..], &[0; 22], p]))
    }),
    ("MPLS", |p| ppi(219, &join([&[0, 1, 0x31, 64][..], p]))),
    ("PPP with a direction", |p| {
        ppi(204, &join([&[1, 0xff, 3, 0, 0x21][..], p]))
    }),
    ("Endace record", |p| {
        let frame = ethernet(p);
        let len = (frame.len() as u16).to_be_bytes();
        let head = [
            0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 0, 80, 0, 0, len[0], len[1], 0, 0,
        ];
        ppi(197, &join([&head[..], &frame]))
    }),
    ("IP over Fibre Channel", |p| {
        ppi(122, &join([&[2; 16][..], &snap(p)]))
    }),
    ("IP over IEEE 1394", |p| {
        ppi(138, &join([&[2; 16][..], &[8, 0], p]))
    }),
];

fn links(trace: &mut Trace) {
    trace.link(192);
    flows(trace, 76, LINKS);
    for _ in 0..3 {
        trace.frame(ppi(189, &[0x5a; 64]));
    }
    trace.frame(ppi(195, &[0x5a; 64]));
}
