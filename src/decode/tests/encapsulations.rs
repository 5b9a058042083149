//! Tunnels with little or nothing in their headers to check, and what a receiver is to ignore in
//! all of them.

use super::build::{
    OUTER_A, OUTER_B, PAYLOAD, data_frame, ethernet, ipv4, ipv6, outer, outer_udp, tcp, udp,
    udp_packet, udp_packet6, vlan, with,
};
use super::tunnels::Row;
use super::{LinkType, assert_innermost, decode, ends};
use crate::decode::Tunnel;

/// Each tunnel around [`udp_packet`], by its headers: the outer packet starts the bytes.
pub(super) fn rows() -> Vec<Row> {
    let ip = udp_packet();
    let len = ip.len() as u8;
    let eth = ethernet(0x0800, &ip);
    let eth_len = eth.len() as u8;
    let tagged = ethernet(0x8100, &vlan(7, 0x0800, &ip));
    let aruba = |protocol: u8, frame: &[u8]| outer(47, &with(&[0, 0, 0x82, protocol], frame));
    let gtp = |flags: u8, optional: &[u8], content: &[u8]| {
        let length = ((optional.len() + content.len()) as u16).to_be_bytes();
        let header = [flags, 0xff, length[0], length[1], 0, 0, 0x12, 0x34];
        outer_udp(2152, &with(&with(&header, optional), content))
    };
    let gtp_0 = |content: &[u8]| {
        let header = [0x1e, 0xff, 0, content.len() as u8, 0, 1, 0x12, 0x34];
        let rest = [0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8];
        outer_udp(3386, &with(&with(&header, &rest), content))
    };
    let gpe = [0x0c, 0, 0, 4, 0, 1, 2, 0];
    let nsh_fixed = with(&[0x0f, 0xc6, 1, 3, 0, 0, 9, 0xff], &[7; 16]);
    let nsh = |next: u8| [0x0f, 0xc2, 2, next, 0, 0, 9, 0xff];
    let ayiya = with(&[0x44, 0x52, 0x11, 4], &[7; 40]);
    let label = [0, 1, 0x31, 64];
    let routing = [143, 2, 4, 0, 0, 0, 0, 0];
    let segment_routing = with(&with(&routing, &[0x20; 16]), &eth);
    let ppp = |header: &[u8]| outer_udp(1701, &with(&[0, 2, 0, 7, 0, 9], &with(header, &ip)));
    let lisp = [0; 8];
    let lisp_instance = [0x48, 0, 0, 0, 0, 1, 2, 1];
    #[rustfmt::skip]
    let rows = vec![
        ("Aruba", Tunnel::Gre, 0, aruba(0, &data_frame(&ip))),
        ("Aruba of Ethernet", Tunnel::Gre, 0, aruba(0x10, &eth)),
        ("EoIP", Tunnel::Eoip, 7, outer(47, &with(&[0x20, 1, 0x64, 0, 0, eth_len, 7, 0], &eth))),
        ("GRE in UDP", Tunnel::Gre, 9, outer_udp(4754, &with(&[0x20, 0, 8, 0, 0, 0, 0, 9], &ip))),
        ("GRE in UDP, of VLAN", Tunnel::Gre, 0, outer_udp(4754, &with(&[0, 0, 0x65, 0x58], &tagged))),
        ("EtherIP", Tunnel::EtherIp, 0, outer(97, &with(&[0x30, 0], &eth))),
        ("EtherIP of VLAN", Tunnel::EtherIp, 0, outer(97, &with(&[0x30, 0], &tagged))),
        ("EtherIP, MikroTik, over IPv6", Tunnel::EtherIp, 0x107, ipv6(97, &with(&[0x31, 7], &eth))),
        ("EtherIP, version in the other nibble", Tunnel::EtherIp, 0, outer(97, &with(&[3, 0], &eth))),
        ("GUE", Tunnel::Gue, 0, outer_udp(6080, &with(&[0, 4, 0, 0], &ip))),
        ("GUE with fields", Tunnel::Gue, 0, outer_udp(6080, &with(&[2, 4, 0x20, 0, 1, 2, 3, 4, 5, 6, 7, 8], &ip))),
        ("GUE of GRE", Tunnel::Gue, 0, outer_udp(6080, &with(&[0, 47, 0, 0, 0, 0, 8, 0], &ip))),
        ("GUE of EtherIP", Tunnel::Gue, 0, outer_udp(6080, &with(&[0, 97, 0, 0, 0x30, 0], &eth))),
        ("GUE of Ethernet", Tunnel::Gue, 0, outer_udp(6080, &with(&[0, 143, 0, 0], &eth))),
        ("GUE 1", Tunnel::Gue, 0, outer_udp(6080, &ip)),
        ("FOU", Tunnel::Fou, 0, outer_udp(5555, &ip)),
        ("FOU of GRE", Tunnel::Gre, 0, outer_udp(7777, &with(&[0, 0, 8, 0], &ip))),
        ("FOU of GUE", Tunnel::Gue, 0, outer_udp(7777, &with(&[0, 4, 0, 0], &ip))),
        ("GTP-U of Ethernet", Tunnel::GtpU, 0x1234, gtp(0x30, &[], &eth)),
        ("GTP-U of VLAN", Tunnel::GtpU, 0x1234, gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0], &tagged)),
        ("GTP-U, every field", Tunnel::GtpU, 0x1234, gtp(0x37, &[0, 1, 5, 0xc0, 1, 2, 3, 0x85, 2, 0, 9, 1, 2, 3, 4, 0], &ip)),
        ("GTP 0", Tunnel::GtpU, 0x1234, gtp_0(&ip)),
        ("GTP 0 of Ethernet", Tunnel::GtpU, 0x1234, gtp_0(&eth)),
        ("MPLS in UDP", Tunnel::Mpls, 0, outer_udp(6635, &with(&label, &ip))),
        ("MPLS in UDP, two labels", Tunnel::Mpls, 0, outer_udp(6635, &with(&with(&[0, 1, 0x30, 64], &label), &ip))),
        ("MPLS in UDP, pseudowire", Tunnel::Mpls, 0, outer_udp(6635, &with(&label, &eth))),
        ("MPLS in IP", Tunnel::Mpls, 0, outer(137, &with(&label, &ip))),
        ("MPLS in IP, control word, VLAN", Tunnel::Mpls, 0, outer(137, &with(&label, &with(&[0; 4], &tagged)))),
        ("LISP", Tunnel::Lisp, 0, outer_udp(4341, &with(&lisp, &ip))),
        ("LISP, instance", Tunnel::Lisp, 0x102, outer_udp(4341, &with(&lisp_instance, &ip))),
        ("LISP, generic", Tunnel::Lisp, 0, outer_udp(4341, &with(&[4, 0, 0, 3, 0, 0, 0, 0], &eth))),
        ("LISP, generic, of NSH", Tunnel::Lisp, 0, outer_udp(4341, &with(&[4, 0, 0, 4, 0, 0, 0, 0], &with(&nsh(1), &ip)))),
        ("LISP, layer 2", Tunnel::Lisp, 0, outer_udp(8472, &with(&[0x80, 1, 2, 3, 0, 0, 0, 0], &eth))),
        ("VXLAN, generic, of NSH", Tunnel::Vxlan, 0x102, outer_udp(4790, &with(&gpe, &with(&nsh_fixed, &eth)))),
        ("VXLAN, generic, of NSH of MPLS", Tunnel::Vxlan, 0x102, outer_udp(4790, &with(&gpe, &with(&nsh(5), &with(&label, &ip))))),
        ("VXLAN, the generic bit set", Tunnel::Vxlan, 0x102, outer_udp(4789, &with(&gpe, &eth))),
        ("GENEVE of NSH", Tunnel::Geneve, 0x102, outer_udp(6081, &with(&[0, 0, 0x89, 0x4f, 0, 1, 2, 0], &with(&nsh(4), &with(&nsh(1), &ip))))),
        ("SRv6", Tunnel::Srv6, 0, ipv6(143, &eth)),
        ("SRv6, segments, VLAN", Tunnel::Srv6, 0, ipv6(43, &with(&with(&routing, &[0x20; 16]), &tagged))),
        ("SRv6, segments", Tunnel::Srv6, 0, ipv6(43, &segment_routing)),
        ("AYIYA", Tunnel::Ayiya, 0, outer_udp(5072, &with(&ayiya, &ip))),
        ("L2TP of multilink", Tunnel::L2tp, 0x0007_0009, ppp(&[0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1, 0, 0x21])),
        ("L2TP of multilink, compressed", Tunnel::L2tp, 0x0007_0009, ppp(&[0x3d, 0xc0, 0, 0, 1, 0x21])),
        ("L2TP of multilink, short numbers", Tunnel::L2tp, 0x0007_0009, ppp(&[0xff, 3, 0, 0x3d, 0xc0, 1, 0x21])),
        ("L2TP 3 of PPP", Tunnel::L2tp, 5, outer_udp(1701, &with(&[0, 3, 0, 0, 0, 0, 0, 5, 9, 9, 9, 9, 0xff, 3, 0, 0x21], &ip))),
    ];
    assert_eq!(len, 43);
    rows
}

/// Addresses of frames that would also be the version and the very length of a packet.
#[test]
fn frames_like_packets() {
    let eth = ethernet(0x0800, &udp_packet());
    let len = eth.len() as u8;
    for destination in [[0x45, 0, 0, len, 0, 1], [0x60, 0, 0, 0, 0, len - 40]] {
        let frame = with(&destination, &eth[6..]);
        for bytes in [
            outer_udp(2152, &with(&[0x30, 0xff, 0, len, 0, 0, 0, 9], &frame)),
            outer(137, &with(&[0, 1, 0x31, 64], &frame)),
        ] {
            let packet = decode(LinkType::RAW, &bytes).unwrap();
            assert!(packet.tunnel.is_some());
            assert_innermost(&packet);
        }
    }
}

/// How a tunnel is sent: to a port of UDP, or under a protocol number.
#[derive(Clone, Copy)]
enum Way {
    Udp(u16),
    Ip(u8),
}

/// Name, header, the bits in it that are ignored, content.
type Ignored<'a> = (&'a str, &'a [u8], &'a [u8], &'a [u8], Way);

/// All combinations of bits that a receiver is to ignore, or as good as all.
#[test]
fn bits_in_reserve_are_ignored() {
    let ip = udp_packet();
    let len = ip.len() as u8;
    let eth = ethernet(0x0800, &ip);
    let ppp = with(&[0xff, 3, 0, 0x21], &ip);
    let gtp_0_header = [
        0x10, 0xff, 0, len, 0, 1, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    let mut gtp_0_bits = [0; 20];
    gtp_0_bits[0] = 0x0f;
    gtp_0_bits[8..12].fill(0xff);
    #[rustfmt::skip]
    let rows: [Ignored<'_>; 11] = [
        ("VXLAN", &[8, 0, 0, 0, 0, 1, 2, 0], &[0xf7, 0xff, 0xff, 0xff, 0, 0, 0, 0xff], &eth, Way::Udp(4789)),
        ("GENEVE", &[0, 0, 0x65, 0x58, 0, 1, 2, 0], &[0, 0x7f, 0, 0, 0, 0, 0, 0xff], &eth, Way::Udp(6081)),
        ("GRE", &[0, 0, 8, 0], &[0x0f, 0xf8, 0, 0], &ip, Way::Ip(47)),
        ("GRE, key", &[0x20, 0, 8, 0, 0, 0, 0, 9], &[0x0f, 0xf8, 0, 0, 0xff, 0xff, 0xff, 0xff], &ip, Way::Ip(47)),
        ("GRE, checksum", &[0x80, 0, 8, 0, 0, 0, 0, 0], &[0x0f, 0xf8, 0, 0, 0xff, 0xff, 0xff, 0xff], &ip, Way::Ip(47)),
        ("PPTP", &[0x20, 1, 0x88, 0x0b, 0, 4 + len, 0, 7], &[0x0f, 0x78, 0, 0, 0, 0, 0xff, 0xff], &ppp, Way::Ip(47)),
        ("GTP-U", &[0x30, 0xff, 0, len, 0, 0, 0, 9], &[0x08, 0, 0, 0, 0, 0, 0, 0], &ip, Way::Udp(2152)),
        ("GTP 0", &gtp_0_header, &gtp_0_bits, &ip, Way::Udp(3386)),
        ("L2TP", &[0, 2, 0, 7, 0, 9], &[0x34, 0xf0, 0, 0, 0, 0], &ppp, Way::Udp(1701)),
        ("L2TP 3", &[0, 3, 0, 0, 0, 0, 0, 5], &[0x7f, 0xf0, 0xff, 0xff, 0, 0, 0, 0], &eth, Way::Udp(1701)),
        ("EtherIP", &[0x30, 0], &[0x0f, 0xff], &eth, Way::Ip(97)),
    ];
    for (name, header, bits, content, way) in rows {
        let single = (0..header.len() * 8).map(|bit| {
            let mut set = vec![0_u8; header.len()];
            set[bit / 8] = 0x80 >> (bit % 8);
            set
        });
        for set in single.chain([bits.to_vec()]) {
            let header: Vec<u8> = header
                .iter()
                .zip(bits.iter().zip(&set))
                .map(|(octet, (bits, set))| octet | (bits & set))
                .collect();
            let message = with(&header, content);
            let bytes = match way {
                Way::Udp(port) => outer_udp(port, &message),
                Way::Ip(protocol) => outer(protocol, &message),
            };
            let packet = decode(LinkType::RAW, &bytes).unwrap();
            assert!(packet.tunnel.is_some(), "{name} {header:02x?}");
            assert_innermost(&packet);
        }
    }
}

/// A network card that cuts a packet into segments is given it with no length.
#[test]
fn lengths_of_zero_inside() {
    let mut v4_udp = udp_packet();
    v4_udp[2..4].fill(0);
    let mut v4_tcp = ipv4(6, &tcp(5000, 6000, 0x18, PAYLOAD));
    v4_tcp[2..4].fill(0);
    let mut v6_udp = udp_packet6();
    v6_udp[4..6].fill(0);
    let mut v6_tcp = ipv6(6, &tcp(5000, 6000, 0x18, PAYLOAD));
    v6_tcp[4..6].fill(0);
    for (inner, ether_type, protocol) in [
        (v4_udp, 0x0800_u16, 4),
        (v4_tcp, 0x0800, 4),
        (v6_udp, 0x86dd, 41),
        (v6_tcp, 0x86dd, 41),
    ] {
        let eth = ethernet(ether_type, &inner);
        let [high, low] = ether_type.to_be_bytes();
        let len = (inner.len() as u16).to_be_bytes();
        let gtp = [0x30, 0xff, len[0], len[1], 0, 0, 0, 9];
        #[rustfmt::skip]
        let rows = [
            ("VXLAN", outer_udp(4789, &with(&[8, 0, 0, 0, 0, 1, 2, 0], &eth))),
            ("VXLAN of VLAN", outer_udp(4789, &with(&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(0x8100, &vlan(7, ether_type, &inner))))),
            ("GENEVE", outer_udp(6081, &with(&[0, 0, 0x65, 0x58, 0, 1, 2, 0], &eth))),
            ("GENEVE of IP", outer_udp(6081, &with(&[0, 0, high, low, 0, 1, 2, 0], &inner))),
            ("GRE", outer(47, &with(&[0, 0, high, low], &inner))),
            ("GTP-U", outer_udp(2152, &with(&gtp, &inner))),
            ("IP in IP", outer(protocol, &inner)),
            ("IP in IPv6", ipv6(protocol, &inner)),
            ("EtherIP", outer(97, &with(&[0x30, 0], &eth))),
            ("MPLS", outer(137, &with(&[0, 1, 0x31, 64], &inner))),
            ("pseudowire", outer(137, &with(&[0, 1, 0x31, 64], &eth))),
        ];
        for (name, bytes) in rows {
            let packet = decode(LinkType::RAW, &bytes).unwrap();
            assert!(packet.tunnel.is_some(), "{name} {ether_type:04x}");
            assert_eq!((packet.source_port, packet.payload), (5000, PAYLOAD));
            assert_eq!(packet.ip_len as usize, inner.len(), "{name}");
        }
    }
}

/// No port says that it is one: the packet must speak for itself.
#[test]
fn fou_on_any_port() {
    for bytes in [
        outer_udp(40_001, &udp_packet()),
        ipv6(17, &udp(1, 40_001, &udp_packet())),
    ] {
        let packet = decode(LinkType::RAW, &bytes).unwrap();
        assert_eq!(packet.tunnel, Some(Tunnel::Fou));
        assert_innermost(&packet);
    }
    let v6 = outer_udp(40_001, &udp_packet6());
    let packet = decode(LinkType::RAW, &v6).unwrap();
    assert_eq!(
        (packet.tunnel, packet.payload),
        (Some(Tunnel::Fou), PAYLOAD)
    );
}

/// What is on a tunnel's port or has its number, and is none.
#[test]
fn stays_with_the_outer_flow() {
    let ip = udp_packet();
    let eth = ethernet(0x0800, &ip);
    let arp = ethernet(0x0806, &[0; 28]);
    let mut longer = ip.clone();
    longer.extend([0; 3]);
    let mut damaged = ip.clone();
    damaged[10] = 1;
    let mut icmp = ipv4(1, &[8, 0, 0, 0, 1, 2, 3, 4]);
    icmp.extend([0; 4]);
    #[rustfmt::skip]
    let rows = [
        ("FOU with more behind", outer_udp(40_001, &longer)),
        ("FOU, wrong checksum", outer_udp(40_001, &damaged)),
        ("FOU, nothing inside agrees", outer_udp(40_001, &ipv4(1, &[8, 0, 0, 0]))),
        ("IP behind four octets", outer_udp(40_001, &with(&[0; 4], &ip))),
        ("GRE on any port", outer_udp(40_001, &with(&[0, 0, 8, 0], &ip))),
        ("GRE over DTLS", outer_udp(4755, &with(&[0, 0, 8, 0], &ip))),
        ("LISP, encrypted", outer_udp(4341, &with(&[1, 0, 0, 0, 0, 0, 0, 0], &ip))),
        ("LISP, weak", outer_udp(4341, &with(&[0; 8], &icmp))),
        ("LISP of Ethernet without its port", outer_udp(4341, &with(&[0; 8], &eth))),
        ("MPLS, weak", outer_udp(6635, &with(&[0, 1, 0x31, 64], &icmp))),
        ("MPLS of ARP", outer_udp(6635, &with(&[0, 1, 0x31, 64], &arp))),
        ("MPLS without a bottom", outer_udp(6635, &[0; 200])),
        ("GUE control", outer_udp(6080, &with(&[0x20, 4, 0, 0], &ip))),
        ("GUE of UDP", outer_udp(6080, &with(&[0, 17, 0, 0], &udp(1, 2, b"x")))),
        ("GUE, another version", outer_udp(6080, &with(&[0x80, 4, 0, 0], &ip))),
        ("AYIYA heartbeat", outer_udp(5072, &with(&[0x44, 0x52, 0x10, 59], &[7; 40]))),
        ("EtherIP of ARP", outer(97, &with(&[0x30, 0], &arp))),
        ("EtherIP, version 2", outer(97, &with(&[0x20, 0], &eth))),
        ("EoIP keep-alive", outer(47, &[0x20, 1, 0x64, 0, 0, 0, 7, 0])),
        ("EoIP, lying", outer(47, &with(&[0x20, 1, 0x64, 0, 0xff, 0, 7, 0], &eth))),
        ("GTP-U of ARP", outer_udp(2152, &with(&[0x30, 0xff, 0, 42, 0, 0, 0, 9], &arp))),
        ("GTP 0 echo", outer_udp(3386, &with(&[0x1e, 1, 0, 0], &[0; 16]))),
        ("Aruba of a beacon", outer(47, &with(&[0, 0, 0x82, 0], &[0x80; 60]))),
        ("NSH of nothing known", outer_udp(4790, &with(&[0x0c, 0, 0, 4, 0, 1, 2, 0, 0x0f, 0xc2, 2, 0xfe, 0, 0, 9, 0xff], &ip))),
        ("multilink, a first part", outer_udp(1701, &with(&[0, 2, 0, 7, 0, 9, 0xff, 3, 0, 0x3d, 0x80, 0, 0, 1, 0, 0x21], &ip))),
    ];
    for (name, bytes) in rows {
        let packet = decode(LinkType::RAW, &bytes).unwrap();
        assert_eq!(packet.tunnel, None, "{name}");
        let (source, destination, _, _) = ends(&packet);
        assert_eq!(
            (source, destination),
            (OUTER_A.into(), OUTER_B.into()),
            "{name}"
        );
        assert_eq!(packet.ip_len as usize, bytes.len(), "{name}");
    }
}

/// Octets that were not made to be a tunnel, on every tunnel's port.
#[test]
fn nothing_is_a_tunnel_by_chance() {
    let ports = [
        4789, 8472, 4790, 6081, 2152, 3386, 3544, 5247, 37008, 1701, 4341, 5072, 6080, 4754, 6635,
        5555, 7777, 9999,
    ];
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as u8
    };
    for round in 0..20_000 {
        let len = 1 + usize::from(next()) * 4;
        let kind = round % 4;
        let first = next();
        let payload: Vec<u8> = (0..len)
            .map(|at| match kind {
                0 => first,
                1 => first.wrapping_add(at as u8),
                _ => next(),
            })
            .collect();
        let port = ports[round % ports.len()];
        let bytes = outer_udp(port, &payload);
        let packet = decode(LinkType::RAW, &bytes).unwrap();
        assert_eq!(packet.tunnel, None, "{port} {payload:02x?}");
    }
}

/// MPLS without and with a control word, around frames to addresses whose first nibble is IP's or
/// the control word's.
#[test]
fn pseudowires() {
    let ip = udp_packet();
    for destination in [
        [0x60, 0, 0, 0, 0, 1],
        [0x45, 0, 0, 0x2b, 0, 1],
        [0x40, 0xf4, 0, 0, 0, 1],
        [0x02, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1],
        [0, 0x1b, 0x21, 0, 0, 1],
        [0xff; 6],
    ] {
        for (frame, vlans) in [
            (ethernet(0x0800, &ip), &[][..]),
            (ethernet(0x8100, &vlan(7, 0x0800, &ip)), &[7]),
        ] {
            let frame = with(&destination, &frame[6..]);
            for between in [&[][..], &[0; 4], &[0, 0, 0, 1]] {
                let content = with(between, &frame);
                for padding in [0, 6] {
                    let padded = with(&content, &vec![0; padding]);
                    let bytes = ethernet(0x8847, &with(&[0, 1, 0x31, 64], &padded));
                    let packet = decode(LinkType::ETHERNET, &bytes).unwrap();
                    assert_innermost(&packet);
                    assert_eq!(packet.vlans.as_slice(), vlans);
                }
            }
        }
    }
}
