//! Every link type, and what may stand between it and IP.

use super::build::{
    PAYLOAD, data_frame, ethernet, ipv4, snap, tcp, udp_packet, udp_packet6, vlan, with,
};
use super::{DropReason, LinkType, assert_innermost, decode, frame, outcome};

/// Frames that end in [`udp_packet`], and how many octets stand before it.
fn frames() -> Vec<(&'static str, LinkType, Vec<u8>)> {
    let ip = udp_packet();
    let qos = {
        // Four addresses, QoS control.
        let mut bytes = vec![0x88, 0x03, 0, 0];
        bytes.extend([2; 20]);
        bytes.extend([2; 6]);
        bytes.extend([0, 0]);
        with(&bytes, &snap(0x0800, &ip))
    };
    let aggregate = {
        let mut bytes = vec![0x88, 0x02, 0, 0];
        bytes.extend([2; 20]);
        bytes.extend([0x80, 0]);
        bytes.extend([2; 12]);
        bytes.extend((8 + ip.len() as u16).to_be_bytes());
        with(&bytes, &snap(0x0800, &ip))
    };
    let padded = {
        let mut bytes = vec![0x88, 0x02, 0, 0];
        bytes.extend([2; 20]);
        bytes.extend([0, 0, 0xee, 0xee]);
        with(&bytes, &snap(0x0800, &ip))
    };
    let radiotap = [0, 0, 9, 0, 2, 0, 0, 0, 0];
    let radiotap_padded = [0, 0, 9, 0, 2, 0, 0, 0, 0x20];
    let mut prism = vec![0x44, 0, 0, 0, 144, 0, 0, 0];
    prism.resize(144, 0);
    let mut avs = vec![0x80, 0x21, 0x10, 1, 0, 0, 0, 64];
    avs.resize(64, 0);
    let cooked = |hardware: u16, protocol: u16| {
        let mut bytes = vec![0, 0];
        bytes.extend(hardware.to_be_bytes());
        bytes.extend([0, 6, 1, 2, 3, 4, 5, 6, 0, 0]);
        bytes.extend(protocol.to_be_bytes());
        bytes
    };
    let cooked2 = [8, 0, 0, 0, 0, 0, 0, 9, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
    let pppoe = with(&[0x11, 0, 0, 9], &(2 + ip.len() as u16).to_be_bytes());
    let pppoe = with(&pppoe, &with(&[0, 0x21], &ip));
    let mpls = |between: &[u8], inside: &[u8]| {
        let labels = [0, 1, 0x20, 64, 0, 1, 0x31, 64];
        with(&labels, &with(between, inside))
    };
    let e = LinkType::ETHERNET;
    let sized = with(
        &ethernet(8 + ip.len() as u16, &snap(0x0800, &ip)),
        &[0xee; 4],
    );
    #[rustfmt::skip]
    let rows = vec![
        ("Ethernet", e, ethernet(0x0800, &ip)),
        ("Ethernet, padded", e, ethernet(0x0800, &with(&ip, &[0xee; 9]))),
        ("802.3", e, sized),
        ("802.3, LLC of IP", e, ethernet(3 + ip.len() as u16, &with(&[6, 6, 3], &ip))),
        ("VLAN", e, ethernet(0x8100, &vlan(0x6007, 0x0800, &ip))),
        ("VLAN of 802.3", e, ethernet(0x8100, &vlan(7, 8 + ip.len() as u16, &snap(0x0800, &ip)))),
        ("QinQ", e, ethernet(0x88a8, &vlan(7, 0x8100, &vlan(8, 0x0800, &ip)))),
        ("old QinQ", e, ethernet(0x9100, &vlan(7, 0x8100, &vlan(8, 0x0800, &ip)))),
        ("backbone", e, ethernet(0x88e7, &with(&[0, 0, 0, 9], &ethernet(0x0800, &ip)))),
        ("MPLS", e, ethernet(0x8847, &mpls(&[], &ip))),
        ("MPLS pseudowire", e, ethernet(0x8847, &mpls(&[], &ethernet(0x0800, &ip)))),
        ("MPLS pseudowire, control word", e, ethernet(0x8847, &mpls(&[0, 0, 0, 1], &ethernet(0x8100, &vlan(7, 0x0800, &ip))))),
        ("PPPoE", e, ethernet(0x8864, &pppoe)),
        ("PPPoE, padded", e, ethernet(0x8864, &with(&pppoe, &[0xee; 9]))),
        ("PPPoE link", LinkType::PPP_ETHER, pppoe.clone()),
        ("PPP", LinkType::PPP, with(&[0, 0x21], &ip)),
        ("PPP, compressed protocol", LinkType::PPP, with(&[0x21], &ip)),
        ("PPP, HDLC framing", LinkType::PPP, with(&[0xff, 3, 0, 0x21], &ip)),
        ("PPP_HDLC", LinkType::PPP_HDLC, with(&[0xff, 3, 0x21], &ip)),
        ("PPP_HDLC of Cisco", LinkType::PPP_HDLC, with(&[0x0f, 0, 8, 0], &ip)),
        ("PPP of MPLS", LinkType::PPP, with(&[2, 0x81], &mpls(&[], &ip))),
        ("Cisco HDLC", LinkType::C_HDLC, with(&[0x8f, 0, 8, 0], &ip)),
        ("cooked 1", LinkType::LINUX_SLL, with(&cooked(1, 0x0800), &ip)),
        ("cooked 1, LLC", LinkType::LINUX_SLL, with(&cooked(1, 4), &snap(0x0800, &ip))),
        ("cooked 1, VLAN", LinkType::LINUX_SLL, with(&cooked(1, 0x8100), &vlan(7, 0x0800, &ip))),
        ("cooked 1, QinQ", LinkType::LINUX_SLL, with(&cooked(1, 0x88a8), &vlan(7, 0x8100, &vlan(8, 0x0800, &ip)))),
        ("cooked 1, QinQ, last type first", LinkType::LINUX_SLL, with(&cooked(1, 0x88a8), &vlan(7, 0x0800, &vlan(8, 0x0800, &ip)))),
        ("cooked 1, QinQ of PPPoE, last type first", LinkType::LINUX_SLL, with(&cooked(1, 0x88a8), &vlan(7, 0x8864, &vlan(8, 0x8864, &pppoe)))),
        ("cooked 1, VLAN, sent with more", LinkType::LINUX_SLL, with(&cooked(1, 0x88a8), &vlan(7, 0x0800, &ip))),
        ("cooked 1, radiotap", LinkType::LINUX_SLL, with(&cooked(803, 4), &with(&radiotap, &data_frame(&ip)))),
        ("cooked 2", LinkType::LINUX_SLL2, with(&cooked2, &ip)),
        ("cooked 2, a VLAN left", LinkType::LINUX_SLL2, with(&cooked2, &vlan(7, 0x0800, &ip))),
        ("cooked 2, QinQ left", LinkType::LINUX_SLL2, with(&cooked2, &vlan(7, 0x8100, &vlan(8, 0x0800, &ip)))),
        ("NULL, little", LinkType::NULL, with(&[2, 0, 0, 0], &ip)),
        ("NULL, big", LinkType::NULL, with(&[0, 0, 0, 2], &ip)),
        ("LOOP", LinkType::LOOP, with(&[0, 0, 0, 2], &ip)),
        ("raw", LinkType::RAW, ip.clone()),
        ("raw 12", LinkType::RAW_BSD, ip.clone()),
        ("raw 14", LinkType::RAW_OPENBSD, ip.clone()),
        ("IPv4", LinkType::IPV4, ip.clone()),
        ("802.11", LinkType::IEEE802_11, data_frame(&ip)),
        ("802.11 with check sequence", LinkType::IEEE802_11, with(&data_frame(&ip), &[0xee; 4])),
        ("802.11, QoS, four addresses", LinkType::IEEE802_11, qos),
        ("802.11, aggregate", LinkType::IEEE802_11, with(&aggregate, &[0xee; 90])),
        ("radiotap", LinkType::IEEE802_11_RADIOTAP, with(&radiotap, &data_frame(&ip))),
        ("radiotap, padded", LinkType::IEEE802_11_RADIOTAP, with(&radiotap_padded, &padded)),
        ("Prism", LinkType::IEEE802_11_PRISM, with(&prism, &data_frame(&ip))),
        ("AVS under Prism's number", LinkType::IEEE802_11_PRISM, with(&avs, &data_frame(&ip))),
        ("AVS", LinkType::IEEE802_11_AVS, with(&avs, &data_frame(&ip))),
        ("PPI", LinkType::PPI, with(&[0, 0, 8, 0, 105, 0, 0, 0], &data_frame(&ip))),
        ("PPI of Ethernet", LinkType::PPI, with(&[0, 0, 12, 0, 1, 0, 0, 0, 9, 9, 9, 9], &ethernet(0x0800, &ip))),
    ];
    rows
}

#[test]
fn every_link_type_leads_to_its_packet() {
    for (name, link, bytes) in frames() {
        let packet = decode(link, &bytes).unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        assert_innermost(&packet);
        assert_eq!(packet.wire_len as usize, bytes.len(), "{name}");
        assert_eq!((packet.tunnel, packet.tunnel_id), (None, 0), "{name}");
        let vlans: &[u16] = match name {
            _ if name.contains("QinQ") => &[7, 8],
            _ if name.contains("VLAN") || name.contains("control word") => &[7],
            _ => &[],
        };
        assert_eq!(packet.vlans.as_slice(), vlans, "{name}");
    }
}

/// Where the type of a cooked header and what follows contradict each other, the packet decides.
#[test]
fn cooked_tags_that_could_be_packets() {
    let ip = udp_packet();
    let cooked = |protocol: u16, rest: &[u8]| {
        let mut bytes = vec![0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        bytes.extend(protocol.to_be_bytes());
        bytes.extend(rest);
        bytes
    };
    // Beyond the 2048 octets that 0x0800 would be as IPv4's length.
    let large = with(&ip, &[0; 2100]);
    let large_as_ip = {
        let mut bytes = large.clone();
        let len = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&len);
        bytes
    };
    let rows: [(_, Vec<u8>, &[u16]); 4] = [
        (
            "a tag like IPv4",
            cooked(0x0800, &vlan(0x4508, 0x0800, &ip)),
            &[0x508],
        ),
        (
            "a large one",
            cooked(0x0800, &vlan(0x4508, 0x0800, &large_as_ip)),
            &[0x508],
        ),
        ("no tag", cooked(0x8100, &ip), &[]),
        (
            "no tag behind one",
            cooked(0x88a8, &vlan(7, 0x8100, &ip)),
            &[7],
        ),
    ];
    for (name, bytes, vlans) in rows {
        let packet = decode(LinkType::LINUX_SLL, &bytes);
        let packet = packet.unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        assert_eq!(packet.vlans.as_slice(), vlans, "{name}");
        assert_eq!(&packet.payload[..PAYLOAD.len()], PAYLOAD, "{name}");
    }
    for (name, bytes, reason) in [
        (
            "tags of ARP",
            cooked(0x0806, &vlan(7, 0x0806, &[0; 28])),
            DropReason::NonIp,
        ),
        ("nothing", cooked(0x8100, &[0; 40]), DropReason::Malformed),
        (
            "tags alone",
            cooked(0x8100, &[0x81, 0].repeat(300)),
            DropReason::TooDeep,
        ),
    ] {
        assert_eq!(
            decode(LinkType::LINUX_SLL, &bytes).err(),
            Some(reason),
            "{name}"
        );
    }
}

/// The first octet of Cisco HDLC alone may be a PPP protocol.
fn may_look_like_nothing(name: &str, end: usize) -> bool {
    name == "PPP_HDLC of Cisco" && end == 1
}

/// A capture may end anywhere: before the end of the headers the frame is truncated, behind it
/// the payload is what was captured.
#[test]
fn every_header_cut_at_every_byte() {
    for (name, link, bytes) in frames() {
        let start = bytes
            .windows(PAYLOAD.len())
            .position(|window| window == PAYLOAD)
            .unwrap();
        for end in 0..bytes.len() {
            let mut cut = frame(link, &bytes[..end]);
            cut.wire_len = bytes.len() as u32;
            match outcome(cut) {
                Ok(packet) => {
                    assert!(end >= start, "{name} {end}");
                    let captured = (end - start).min(PAYLOAD.len());
                    assert_eq!(packet.payload, &PAYLOAD[..captured], "{name} {end}");
                    assert_eq!(packet.payload_len as usize, PAYLOAD.len());
                    assert_eq!(packet.wire_len as usize, bytes.len());
                }
                Err(DropReason::NonIp) if may_look_like_nothing(name, end) => assert!(end < start),
                Err(reason) => {
                    assert_eq!(reason, DropReason::Truncated, "{name} {end}");
                    assert!(end < start, "{name} {end}");
                }
            }
        }
    }
}

/// The same bytes where the wire had no more: the frame contradicts itself, or is a packet.
#[test]
fn short_frames_are_malformed() {
    for (name, link, bytes) in frames() {
        for end in 0..bytes.len() {
            match decode(link, &bytes[..end]) {
                Ok(packet) => assert!(packet.payload.len() <= PAYLOAD.len(), "{name} {end}"),
                // The IP length goes beyond such a frame, which is taken for a cut capture.
                Err(DropReason::Malformed | DropReason::Truncated) => {}
                Err(DropReason::NonIp) if name.contains("MPLS") => {}
                Err(DropReason::NonIp) if may_look_like_nothing(name, end) => {}
                Err(reason) => panic!("{name} {end} {reason:?}"),
            }
        }
    }
}

#[test]
fn ipv6_under_every_number() {
    let ip = udp_packet6();
    let mut rows = vec![
        (LinkType::ETHERNET, ethernet(0x86dd, &ip)),
        (LinkType::IPV6, ip.clone()),
        (LinkType::RAW, ip.clone()),
        (LinkType::PPP, with(&[0, 0x57], &ip)),
        (LinkType::C_HDLC, with(&[0x0f, 0, 0x86, 0xdd], &ip)),
        (
            LinkType::ETHERNET,
            ethernet(0x8847, &with(&[0, 1, 0x31, 64], &ip)),
        ),
    ];
    for family in [10u32, 23, 24, 28, 30] {
        rows.push((LinkType::NULL, with(&family.to_le_bytes(), &ip)));
        rows.push((LinkType::LOOP, with(&family.to_be_bytes(), &ip)));
    }
    for (link, bytes) in rows {
        let packet = decode(link, &bytes).unwrap();
        assert_eq!((packet.version, packet.payload), (6, PAYLOAD));
    }
}

#[test]
fn frames_of_no_flow() {
    let e = LinkType::ETHERNET;
    let w = LinkType::IEEE802_11;
    let ip = udp_packet();
    #[rustfmt::skip]
    let rows = [
        ("ARP", e, ethernet(0x0806, &[0; 28]), DropReason::NonIp),
        ("spanning tree", e, ethernet(38, &[0x42, 0x42, 3, 0, 0, 0]), DropReason::NonIp),
        ("CDP", e, ethernet(60, &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 1]), DropReason::NonIp),
        ("IPX, raw 802.3", e, ethernet(60, &[0xff; 60]), DropReason::NonIp),
        ("LLDP", e, ethernet(0x88cc, &[0; 28]), DropReason::NonIp),
        ("PPPoE discovery", e, ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0]), DropReason::NonIp),
        ("PPPoE, version", e, ethernet(0x8864, &with(&[0x21, 0, 0, 9, 0, 9, 0, 0x21], &ip)), DropReason::Malformed),
        ("LCP", LinkType::PPP, vec![0xff, 3, 0xc0, 0x21, 1, 1, 0, 4], DropReason::NonIp),
        ("IPv6 as IPv4", e, ethernet(0x0800, &udp_packet6()), DropReason::Malformed),
        ("IPv4 as IPv6", e, ethernet(0x86dd, &with(&ip, &[0; 40])), DropReason::Malformed),
        ("raw, version 5", LinkType::RAW, vec![0x55; 40], DropReason::Malformed),
        ("raw, empty", LinkType::RAW, vec![], DropReason::Malformed),
        ("AppleTalk", LinkType::NULL, vec![16, 0, 0, 0, 1, 2, 3], DropReason::NonIp),
        ("netlink", LinkType::LINUX_SLL, [&[0, 4, 3, 56][..], &[0; 40]].concat(), DropReason::NonIp),
        ("beacon", w, vec![0x80; 60], DropReason::NonIp),
        ("acknowledgement", w, vec![0xd4, 0, 0, 0, 2, 2, 2, 2, 2, 2], DropReason::NonIp),
        ("protected", w, { let mut bytes = data_frame(&ip); bytes[1] |= 0x40; bytes }, DropReason::NonIp),
        ("null data", w, { let mut bytes = data_frame(&ip); bytes[0] |= 0x40; bytes }, DropReason::NonIp),
        ("802.11, version 1", w, { let mut bytes = data_frame(&ip); bytes[0] |= 1; bytes }, DropReason::Malformed),
        ("USB", LinkType(189), vec![0; 60], DropReason::UnknownLink),
        ("PPI of USB", LinkType::PPI, vec![0, 0, 8, 0, 189, 0, 0, 0, 1, 2, 3], DropReason::UnknownLink),
        ("labels, nothing below", e, ethernet(0x8847, &[0, 1, 0x31, 64]), DropReason::NonIp),
        ("labels without bottom", e, ethernet(0x8847, &[0, 1, 0x30, 64]), DropReason::Malformed),
        ("labels, unknown payload", e, ethernet(0x8847, &with(&[0, 1, 0x31, 64], &[0x99; 60])), DropReason::NonIp),
    ];
    for (name, link, bytes, reason) in rows {
        assert_eq!(decode(link, &bytes).err(), Some(reason), "{name}");
    }
}

#[test]
fn only_two_vlans_are_kept_and_priority_tags_are_none() {
    let ip = udp_packet();
    let tags = vlan(1, 0x8100, &vlan(2, 0x8100, &vlan(3, 0x0800, &ip)));
    let bytes = ethernet(0x8100, &tags);
    let packet = decode(LinkType::ETHERNET, &bytes).unwrap();
    assert_eq!(packet.vlans.as_slice(), [1, 2]);
    let bytes = ethernet(0x8100, &vlan(0xe000, 0x8100, &vlan(5, 0x0800, &ip)));
    let packet = decode(LinkType::ETHERNET, &bytes).unwrap();
    assert_eq!(packet.vlans.as_slice(), [5]);
}

/// Link-layer headers in each other, as deep as a jumbo frame has room for.
#[test]
fn nested_pseudowires_end() {
    let mut bytes = ethernet(0x0800, &ipv4(6, &tcp(1, 2, 0x10, b"")));
    for _ in 0..400 {
        bytes = ethernet(0x8847, &with(&[0, 1, 0x31, 64, 0, 0, 0, 0], &bytes));
    }
    assert_eq!(
        decode(LinkType::ETHERNET, &bytes).err(),
        Some(DropReason::TooDeep)
    );
}
