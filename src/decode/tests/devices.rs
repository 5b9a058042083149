//! Link types of capture devices and of links other than Ethernet.

use super::build::{
    PAYLOAD, checksummed, data_frame, ethernet, snap, udp_packet, udp_packet6, vlan, with,
};
use super::{DropReason, LinkType, assert_innermost, decode, frame, outcome};

fn words(words: [u32; 3], bytes: fn(u32) -> [u8; 4], len: usize) -> Vec<u8> {
    let mut header = words.map(bytes).concat();
    header.resize(len, 0);
    header
}

/// Octets between the addresses of a frame and its type.
fn between(tag: &[u8], frame: &[u8]) -> Vec<u8> {
    [&frame[..12], tag, &frame[12..]].concat()
}

/// Frames that end in [`udp_packet`], with padding or a check sequence where links have it.
fn frames() -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let ip = checksummed(udp_packet());
    let len = ip.len() as u16;
    let frame = ethernet(0x0800, &ip);
    let checked = with(&frame, &[0xee; 4]);
    let (le, be) = (u32::to_le_bytes, u32::to_be_bytes);
    let nflog = |payload: [u8; 2], kind: [u8; 2], rest: &[u8]| {
        let head = [&[2, 0, 0, 5][..], rest, &payload, &kind].concat();
        with(&head, &ip)
    };
    let pflog = |first: [u8; 2], len: usize| {
        let mut head = vec![first[0], first[1], 0, 0];
        head.resize(len, 0x6d);
        with(&head, &ip)
    };
    let juniper = |head: &[u8], rest: &[u8]| [b"MGC", head, rest].concat();
    let erf = |kind: u8, rest: &[u8]| {
        let head = [0, 0, 0, 0, 0, 0, 0, 1, kind, 4, 0, 80, 0, 0, 0, 60];
        with(&head, rest)
    };
    let docsis = |head: [u8; 2], extended: &[u8]| {
        let len = (checked.len() + extended.len()) as u16;
        [
            &head,
            &len.to_be_bytes()[..],
            extended,
            &[0xee; 2],
            &checked,
        ]
        .concat()
    };
    let fddi = [0x50, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4];
    let ring = |source: u8, route: &[u8]| {
        let head = [0x10, 0x40, 2, 2, 2, 2, 2, 2, source, 4, 4, 4, 4, 4];
        [&head, route, &snap(0x0800, &ip)].concat()
    };
    let infiniband = |next: u8, global: usize| {
        let head = [0, next, 0, 1, 0, 20, 0, 2];
        let base = with(&[0x64], &[0; 19]);
        [
            &head,
            &vec![0x60; global][..],
            &base,
            &[8, 0, 0, 0],
            &ip,
            &[0xee; 6],
        ]
        .concat()
    };
    let tzsp = [1, 0, 0, 1, 1];
    let preamble = with(&[0x55; 7], &[0xd5]);
    let l = LinkType;
    #[rustfmt::skip]
    let rows = vec![
        ("NFLOG", l(239), nflog((len + 4).to_le_bytes(), [9, 0], &[])),
        ("NFLOG, big", l(239), nflog((len + 4).to_be_bytes(), [0, 9], &[0, 8, 0, 1, 8, 0, 1, 0])),
        ("NFLOG, many", l(239), nflog((len + 4).to_le_bytes(), [9, 0], &[8, 0, 1, 0, 8, 0, 1, 0, 5, 0, 10, 0, 0, 0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 2])),
        ("NFLOG, padded", l(239), with(&nflog((len + 4).to_le_bytes(), [9, 0], &[]), &[0])),
        ("PFLOG", l(117), pflog([61, 2], 64)),
        ("PFLOG, longer", l(117), pflog([100, 2], 100)),
        ("PKTAP", l(258), with(&words([108, 1, 1], le, 108), &frame)),
        ("PKTAP, longer", l(258), with(&words([156, 1, 1], le, 156), &frame)),
        ("PKTAP, big", l(258), with(&words([108, 1, 1], be, 108), &frame)),
        ("PKTAP of raw IP", l(258), with(&words([108, 1, 12], le, 108), &ip)),
        ("PKTAP of loopback", l(258), with(&words([108, 1, 0], le, 108), &with(&[2, 0, 0, 0], &ip))),
        ("PKTAP of 802.11", l(258), with(&words([108, 1, 105], le, 108), &data_frame(&ip))),
        ("PKTAP, private number", l(149), with(&words([108, 1, 1], le, 108), &frame)),
        ("PPI of PKTAP", l(192), [&[0, 0, 8, 0, 2, 1, 0, 0], &words([108, 1, 1], le, 108)[..], &frame].concat()),
        ("ENC, little", l(109), with(&[2, 0, 0, 0, 0, 0, 16, 1, 3, 0, 0, 0], &ip)),
        ("ENC, big", l(109), with(&[0, 0, 0, 2, 0, 0, 16, 1, 0, 0, 0, 3], &ip)),
        ("IPNET", l(226), [&[1, 2][..], &[0; 22], &ip].concat()),
        ("Juniper", l(178), juniper(&[1], &frame)),
        ("Juniper, extended", l(178), juniper(&[0x81, 0, 6, 3, 1, 14, 4, 1, 14], &frame)),
        ("Juniper, no link layer", l(178), juniper(&[3], &with(&[0; 4], &ip))),
        ("Juniper PPPoE", l(167), juniper(&[0], &frame)),
        ("Juniper PPP", l(179), juniper(&[0], &with(&[0, 0x21], &ip))),
        ("Juniper C-HDLC", l(181), juniper(&[0], &with(&[0x0f, 0, 8, 0], &ip))),
        ("Juniper Frame Relay", l(180), juniper(&[0], &with(&[0x18, 0x41, 3, 0xcc], &ip))),
        ("ERF", l(197), erf(2, &with(&[0, 0], &frame))),
        ("ERF, extended", l(197), erf(0x82, &[&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0], &frame[..]].concat())),
        ("ERF of PPP", l(197), erf(1, &with(&[0xff, 3, 0, 0x21], &ip))),
        ("ERF of IP", l(197), erf(22, &ip)),
        ("TZSP", l(128), with(&tzsp, &frame)),
        ("PPP, direction", l(204), with(&[1, 0xff, 3, 0, 0x21], &ip)),
        ("C-HDLC, direction", l(205), with(&[0, 0x0f, 0, 8, 0], &ip)),
        ("Frame Relay, direction", l(206), with(&[0, 0x18, 0x41, 3, 0xcc], &ip)),
        ("pppd", l(166), with(&[1, 3, 0, 0x21], &ip)),
        ("SLIP", l(8), [&[1, 0x40][..], &[0; 14], &ip].concat()),
        ("SLIP, no header", l(8), ip.clone()),
        ("Frame Relay", l(107), with(&[0x18, 0x41, 3, 0xcc], &ip)),
        ("Frame Relay, long address", l(107), with(&[0x18, 0x40, 0x40, 0x41, 3, 0xcc], &ip)),
        ("Frame Relay, SNAP", l(107), with(&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &ip)),
        ("Frame Relay, bridged", l(107), with(&[0x18, 0x41, 3, 0, 0x80, 0, 0x80, 0xc2, 0, 7], &frame)),
        ("Frame Relay of PPP", l(107), with(&[0x18, 0x41, 3, 0xcf, 0, 0x21], &ip)),
        ("Frame Relay of Cisco", l(107), with(&[0x18, 0x41, 8, 0], &ip)),
        ("ATM", l(100), snap(0x0800, &ip)),
        ("ATM, one protocol", l(100), ip.clone()),
        ("ATM, bridged", l(100), with(&[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, 0, 0], &frame)),
        ("ATM, bridged, one protocol", l(11), with(&[0, 0], &frame)),
        ("ATM of PPP", l(106), with(&[0xfe, 0xfe, 3, 0xcf, 0, 0x21], &ip)),
        ("SunATM", l(123), with(&[0x82, 0, 0, 100], &snap(0x0800, &ip))),
        ("SunATM, one protocol", l(123), with(&[0, 0, 0, 100], &ip)),
        ("SunATM, LAN", l(123), with(&[0x81, 0, 0, 100, 0, 9], &frame)),
        ("FDDI", l(10), with(&fddi, &snap(0x0800, &ip))),
        ("token ring", l(6), ring(4, &[])),
        ("token ring, route", l(6), ring(0x84, &[4, 0x30, 0, 0x10])),
        ("Fibre Channel", l(122), with(&[2; 16], &snap(0x0800, &ip))),
        ("IEEE 1394", l(138), [&[2; 16][..], &[8, 0], &ip].concat()),
        ("IPoIB", l(242), [&[0; 20][..], &[8, 0, 0, 0], &ip].concat()),
        ("IPoIB, global route", l(242), [&[0; 40][..], &[8, 0, 0, 0], &ip].concat()),
        ("IPoIB, no address", l(242), with(&[8, 0, 0, 0], &ip)),
        ("InfiniBand", l(247), infiniband(2, 0)),
        ("InfiniBand, global", l(247), infiniband(3, 40)),
        ("DOCSIS", l(143), docsis([0, 0], &[])),
        ("DOCSIS, extended", l(143), docsis([1, 3], &[9, 9, 9])),
        ("DOCSIS, concatenated", l(143), with(&[0xf8, 1, 0, 99, 0xee, 0xee], &docsis([0, 0], &[]))),
        ("netANALYZER", l(240), with(&[0, 0, 0, 4], &checked)),
        ("netANALYZER, transparent", l(241), [&[0, 0, 0, 4], &preamble[..], &checked].concat()),
        ("mPacket", l(274), with(&preamble, &checked)),
        ("mPacket, first part", l(274), [&[0x55; 7][..], &[0xe6], &checked].concat()),
        ("MPLS", l(219), with(&[0, 1, 0x31, 64], &ip)),
        ("DSA", l(284), between(&[0xc0, 8, 0, 1], &frame)),
        ("DSA for VLAN", l(284), between(&[0xe0, 8, 0x60, 7], &frame)),
        ("DSA, VLAN", l(284), between(&[0xc0, 8, 0, 1], &ethernet(0x8100, &vlan(7, 0x0800, &ip)))),
        ("EDSA", l(285), between(&[0xda, 0xda, 0, 0, 0xc0, 8, 0, 1], &frame)),
        ("EDSA for VLAN", l(285), between(&[0xda, 0xda, 0, 0, 0xe0, 8, 0, 7], &frame)),
        ("Broadcom", l(281), between(&[0, 0, 0, 5], &frame)),
        ("Broadcom, VLAN", l(281), between(&[0, 0, 0, 5], &ethernet(0x8100, &vlan(7, 0x0800, &ip)))),
        ("Broadcom, prepended", l(282), with(&[0, 0, 0, 5], &frame)),
    ];
    rows
}

#[test]
fn every_device_leads_to_its_packet() {
    for (name, link, bytes) in frames() {
        let packet = decode(link, &bytes).unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        assert_innermost(&packet);
        assert_eq!(packet.wire_len as usize, bytes.len(), "{name}");
        assert_eq!((packet.tunnel, packet.tunnel_id), (None, 0), "{name}");
        let vlans: &[u16] = if name.contains("VLAN") { &[7] } else { &[] };
        assert_eq!(packet.vlans.as_slice(), vlans, "{name}");
    }
}

/// Headers of which the first octets may be another's, or that say nothing of what follows.
fn may_look_like_another(name: &str, end: usize) -> bool {
    match name {
        "C-HDLC, direction" | "Juniper C-HDLC" => end <= 5,
        _ => false,
    }
}

#[test]
fn every_device_cut_at_every_byte() {
    for (name, link, bytes) in frames() {
        let start = bytes
            .windows(PAYLOAD.len())
            .position(|window| window == PAYLOAD);
        let start = start.unwrap();
        for end in 0..bytes.len() {
            let mut cut = frame(link, &bytes[..end]);
            cut.wire_len = bytes.len() as u32;
            match outcome(cut) {
                Ok(packet) => {
                    let captured = end.saturating_sub(start).min(PAYLOAD.len());
                    assert!(end >= start, "{name} {end}");
                    assert_eq!(packet.payload, &PAYLOAD[..captured], "{name} {end}");
                }
                Err(DropReason::UnknownLink) if link == LinkType::USER2 => assert!(end < 12),
                Err(reason) if !may_look_like_another(name, end) => {
                    assert_eq!(reason, DropReason::Truncated, "{name} {end}");
                    assert!(end < start, "{name} {end}");
                }
                Err(_) => {}
            }
            // The same where the wire had no more: no panic, and nothing made up.
            if let Ok(packet) = decode(link, &bytes[..end]) {
                assert!(packet.payload.len() <= PAYLOAD.len(), "{name} {end}");
            }
        }
    }
}

#[test]
fn ipv6_under_every_device() {
    let ip = udp_packet6();
    let len = (ip.len() as u16 + 4).to_le_bytes();
    let pflog = |family: u8| {
        let mut head = vec![61, family, 0, 0];
        head.resize(64, 0);
        with(&head, &ip)
    };
    let mut rows = vec![
        (239, with(&[10, 0, 0, 5, len[0], len[1], 9, 0], &ip)),
        // Of a bridge: the packet says what it is.
        (239, with(&[7, 0, 0, 5, len[0], len[1], 9, 0], &ip)),
        (258, with(&words([108, 1, 12], u32::to_le_bytes, 108), &ip)),
        (226, [&[1, 26][..], &[0; 22], &ip].concat()),
        (107, with(&[0x18, 0x41, 3, 0x8e], &ip)),
        (107, with(&[0x18, 0x41, 0x86, 0xdd], &ip)),
        (100, ip.clone()),
        (8, [&[0, 0][..], &[0; 14], &ip].concat()),
        (242, [&[0; 20][..], &[0x86, 0xdd, 0, 0], &ip].concat()),
        (242, with(&[0x86, 0xdd, 0, 0], &ip)),
        (284, between(&[0xc0, 8, 0, 1], &ethernet(0x86dd, &ip))),
    ];
    for family in [10, 23, 24, 28, 30] {
        rows.push((117, pflog(family)));
        let head = [&u32::from(family).to_le_bytes()[..], &[0; 8]].concat();
        rows.push((109, with(&head, &ip)));
    }
    for (link, bytes) in rows {
        let packet = decode(LinkType(link), &bytes).unwrap_or_else(|why| panic!("{link} {why:?}"));
        assert_eq!((packet.version, packet.payload), (6, PAYLOAD), "{link}");
    }
}

#[test]
fn frames_without_a_packet() {
    use DropReason::{Malformed, NonIp, TooDeep, UnknownLink};
    let ip = udp_packet();
    let arp = ethernet(0x0806, &[0; 28]);
    let pktap =
        |next, link, rest: &[u8]| with(&words([108, next, link], u32::to_le_bytes, 108), rest);
    #[rustfmt::skip]
    let rows = [
        ("NFLOG without payload", 239, vec![2, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 1], NonIp),
        ("NFLOG of ARP", 239, with(&[3, 0, 0, 0, 32, 0, 9, 0], &[0; 28]), NonIp),
        ("NFLOG, version 1", 239, with(&[2, 1, 0, 0, 32, 0, 9, 0], &ip), Malformed),
        ("NFLOG, a short attribute", 239, with(&[2, 0, 0, 0, 2, 0, 9, 0], &ip), Malformed),
        ("PFLOG, too short", 117, with(&[8, 2, 0, 0, 0, 0, 0, 0], &ip), Malformed),
        ("PFLOG of another family", 117, [&[61, 7][..], &[0; 80]].concat(), NonIp),
        ("PKTAP of nothing", 258, pktap(0, 1, &ip), NonIp),
        ("PKTAP of ARP", 258, pktap(1, 1, &arp), NonIp),
        ("PKTAP of USB", 258, pktap(1, 189, &[0; 60]), UnknownLink),
        ("PKTAP of no link type", 258, pktap(1, 0x0001_0001, &arp), UnknownLink),
        ("PKTAP in each other", 258, pktap(1, 258, &[]).repeat(40), TooDeep),
        ("private, no PKTAP", 149, with(&[9; 108], &ip), UnknownLink),
        ("Juniper without its mark", 178, with(b"MGD\x01", &arp), Malformed),
        ("ERF of ATM", 197, [&[0; 8][..], &[3, 4, 0, 80, 0, 0, 0, 60], &[0; 60]].concat(), NonIp),
        ("Frame Relay, link management", 107, with(&[0, 1, 3, 8, 0, 0x75], &[0; 20]), NonIp),
        ("Frame Relay, no address", 107, with(&[0x19, 0x41, 3, 0xcc], &ip), Malformed),
        ("SunATM, signalling", 123, with(&[0x86, 0, 0, 5], &[0; 40]), NonIp),
        ("ATM of something", 100, vec![0xf0; 40], NonIp),
        ("FDDI, management", 10, vec![0x41; 40], NonIp),
        ("token ring, management", 6, vec![0; 40], NonIp),
        ("InfiniBand, reliable", 247, [&[0, 2, 0, 1, 0, 20, 0, 2][..], &[4; 40]].concat(), NonIp),
        ("IPoIB of ARP", 242, [&[0; 40][..], &[8, 6, 0, 0], &[0; 28]].concat(), NonIp),
        ("DOCSIS management", 143, with(&[0xc2, 0, 0, 40, 0, 0], &[0; 40]), NonIp),
        ("DOCSIS, concatenated in each other", 143, [0xf8, 1, 0x20, 0, 0, 0].repeat(400), TooDeep),
        ("DOCSIS, a length that lies", 143, with(&[1, 9, 0, 4, 0, 0], &arp), Malformed),
        ("mPacket, a later part", 274, [&[0x55; 6][..], &[0x61], &[9; 60]].concat(), NonIp),
        ("netANALYZER without preamble", 241, with(&[0; 4], &[9; 60]), Malformed),
        ("DSA of ARP", 284, between(&[0xc0, 8, 0, 1], &arp), NonIp),
    ];
    for (name, link, bytes, reason) in rows {
        assert_eq!(decode(LinkType(link), &bytes).err(), Some(reason), "{name}");
    }
}

/// Which link type it is that is not decoded.
#[test]
fn the_unknown_link_is_the_inner_one() {
    let ppi = |link: u32| [&[0, 0, 8, 0][..], &link.to_le_bytes()].concat();
    let pktap = |link| words([108, 1, link], u32::to_le_bytes, 108);
    let nested = [ppi(258), pktap(189), vec![0; 40]].concat();
    for (link, bytes, expected) in [
        (189, vec![0; 40], 189),
        (192, with(&ppi(189), &[0; 40]), 189),
        (258, with(&pktap(195), &[0; 40]), 195),
        (192, nested, 189),
        (192, ppi(0x0001_0000), 192),
        (149, vec![9; 40], 149),
        (149, vec![], 149),
        (192, ppi(192).repeat(40), 192),
    ] {
        let found = crate::decode::unknown_link(frame(LinkType(link), &bytes));
        assert_eq!(found, LinkType(expected), "{link} {bytes:02x?}");
    }
}
