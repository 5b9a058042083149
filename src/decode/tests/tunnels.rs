//! Every tunnel: entered when it holds a packet, else a packet of the outer flow.

use proptest::prelude::*;

use super::build::{
    A6, B6, OUTER_A, OUTER_B, data_frame, ethernet, ipv6, ipv6_between, outer, outer_udp, udp,
    udp_packet, vlan, with,
};
use super::{DropReason, LinkType, assert_innermost, decode, encapsulations, ends, frame, outcome};
use crate::capture::{Envelope, Frame};
use crate::decode::{Config, Copies, Decoded, Decoder, Tunnel};

/// Name, tunnel, its identifier, bytes.
pub(super) type Row = (&'static str, Tunnel, u32, Vec<u8>);

/// Each tunnel around [`udp_packet`], by its headers: the outer packet starts the bytes.
fn tunnels() -> Vec<Row> {
    let ip = udp_packet();
    let len = ip.len() as u16;
    let eth = ethernet(0x0800, &ip);
    let ppp = with(&[0xff, 3, 0, 0x21], &ip);
    let gre = |header: &[u8], inside: &[u8]| outer(47, &with(header, inside));
    let gtp = |flags: u8, optional: &[u8]| {
        let length = (optional.len() as u16 + len).to_be_bytes();
        let header = [flags, 0xff, length[0], length[1], 0, 0, 0x12, 0x34];
        outer_udp(2152, &with(&with(&header, optional), &ip))
    };
    let pptp = {
        let length = (ppp.len() as u16).to_be_bytes();
        let header = [
            0x30, 0x01, 0x88, 0x0b, length[0], length[1], 0, 7, 0, 0, 0, 1,
        ];
        gre(&header, &ppp)
    };
    let l2tp = {
        let total = (8 + ppp.len() as u16).to_be_bytes();
        with(&[0x40, 2, total[0], total[1], 0, 7, 0, 9], &ppp)
    };
    let erspan2 = [0x10, 5, 0, 0x2a, 0, 0, 0, 1];
    let erspan3 = [0x20, 5, 0, 0x2a, 0, 0, 0, 1, 0, 0, 0, 0];
    let erspan3_platform = [
        0x20, 5, 0, 0x2a, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let geneve = |optlen: u8, protocol: [u8; 2]| {
        let header = [optlen, 0, protocol[0], protocol[1], 0, 1, 2, 0];
        with(&header, &vec![0; usize::from(optlen) * 4])
    };
    let vxlan = [8, 0, 0, 0, 0, 1, 2, 0];
    let swapped = {
        let mut bytes = data_frame(&ip);
        bytes.swap(0, 1);
        bytes
    };
    let authenticated = [
        4, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];
    // Header of 4 words, binding 1 (IEEE 802.11), radio 1; native or Ethernet.
    let capwap_native = [0, 0x20, 0x43, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    let capwap_ethernet = [0, 0x10, 0x42, 0, 0, 0, 0, 0];
    #[rustfmt::skip]
    let rows = vec![
        ("GRE", Tunnel::Gre, 0, gre(&[0, 0, 8, 0], &ip)),
        ("GRE, every field", Tunnel::Gre, 9, gre(&[0xb0, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1], &ip)),
        ("GRE, source route", Tunnel::Gre, 0, gre(&[0x40, 0, 8, 0, 0, 0, 0, 0, 8, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0], &ip)),
        ("GRE of Ethernet", Tunnel::Gre, 0, gre(&[0, 0, 0x65, 0x58], &eth)),
        ("NVGRE", Tunnel::Gre, 0x1234_5607, gre(&[0x20, 0, 0x65, 0x58, 0x12, 0x34, 0x56, 7], &eth)),
        ("GRE of MPLS", Tunnel::Gre, 0, gre(&[0, 0, 0x88, 0x47, 0, 1, 0x31, 64], &ip)),
        ("GRE of WCCP", Tunnel::Gre, 0, gre(&[0, 0, 0x88, 0x3e], &ip)),
        ("GRE of WCCP 2", Tunnel::Gre, 0, gre(&[0, 0, 0x88, 0x3e, 0, 0, 0, 1], &ip)),
        ("ERSPAN I", Tunnel::Erspan, 0, gre(&[0, 0, 0x88, 0xbe], &eth)),
        ("ERSPAN II", Tunnel::Erspan, 42, gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &with(&erspan2, &eth))),
        ("ERSPAN III", Tunnel::Erspan, 42, gre(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &with(&erspan3, &eth))),
        ("ERSPAN III, platform", Tunnel::Erspan, 42, gre(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1], &with(&erspan3_platform, &eth))),
        ("PPTP", Tunnel::Pptp, 7, pptp),
        ("VXLAN", Tunnel::Vxlan, 0x102, outer_udp(4789, &with(&vxlan, &eth))),
        ("VXLAN, old port", Tunnel::Vxlan, 0x102, outer_udp(8472, &with(&vxlan, &eth))),
        ("VXLAN of VLAN", Tunnel::Vxlan, 0x102, outer_udp(4789, &with(&vxlan, &ethernet(0x8100, &vlan(7, 0x0800, &ip))))),
        ("VXLAN, generic", Tunnel::Vxlan, 0x102, outer_udp(4790, &with(&[0x0c, 0, 0, 1, 0, 1, 2, 0], &ip))),
        ("GENEVE", Tunnel::Geneve, 0x102, outer_udp(6081, &with(&geneve(0, [0x65, 0x58]), &eth))),
        ("GENEVE with options, of IP", Tunnel::Geneve, 0x102, outer_udp(6081, &with(&geneve(3, [8, 0]), &ip))),
        ("GTP-U", Tunnel::GtpU, 0x1234, gtp(0x30, &[])),
        ("GTP-U, sequence", Tunnel::GtpU, 0x1234, gtp(0x32, &[0, 1, 0, 0])),
        ("GTP-U, extension", Tunnel::GtpU, 0x1234, gtp(0x34, &[0, 0, 0, 0x85, 1, 0x10, 9, 0])),
        ("IP in IP", Tunnel::Ipip, 0, outer(4, &ip)),
        ("4in6", Tunnel::FourInSix, 0, ipv6(4, &ip)),
        ("authenticated", Tunnel::Ah, 0, outer(51, &with(&authenticated, &ip))),
        ("CAPWAP, native", Tunnel::Capwap, 1, outer_udp(5247, &with(&capwap_native, &data_frame(&ip)))),
        ("CAPWAP, swapped", Tunnel::Capwap, 1, outer_udp(5247, &with(&capwap_native, &swapped))),
        ("CAPWAP, Ethernet", Tunnel::Capwap, 1, outer_udp(5247, &with(&capwap_ethernet, &eth))),
        ("TZSP", Tunnel::Tzsp, 0, outer_udp(37008, &with(&[1, 0, 0, 1, 10, 1, 9, 1], &eth))),
        ("TZSP of 802.11", Tunnel::Tzsp, 0, outer_udp(37008, &with(&[1, 0, 0, 18, 1], &data_frame(&ip)))),
        ("L2TP", Tunnel::L2tp, 0x0007_0009, outer_udp(1701, &l2tp)),
        ("L2TP 3", Tunnel::L2tp, 5, outer_udp(1701, &with(&[0, 3, 0, 0, 0, 0, 0, 5], &eth))),
        ("L2TP 3, cookie and sublayer", Tunnel::L2tp, 5, outer_udp(1701, &with(&[0, 3, 0, 0, 0, 0, 0, 5, 9, 9, 9, 9, 0x40, 0, 0, 1], &eth))),
        ("L2TP 3 over IP", Tunnel::L2tp, 5, outer(115, &with(&[0, 0, 0, 5, 9, 9, 9, 9], &eth))),
    ];
    [rows, encapsulations::rows()].concat()
}

#[test]
fn what_a_source_took_away_is_the_outermost_tunnel() {
    let bytes = ethernet(0x0800, &udp_packet());
    // The envelope; the tunnel and its identifier, or why there is no packet.
    for (envelope, expected) in [
        (Envelope::None, Ok((None, 0))),
        (Envelope::Vxlan(7), Ok((Some(Tunnel::Vxlan), 7))),
        (Envelope::Geneve(9), Ok((Some(Tunnel::Geneve), 9))),
        (Envelope::Other, Err(DropReason::NonIp)),
        (Envelope::Malformed, Err(DropReason::Malformed)),
    ] {
        let frame = Frame {
            envelope,
            ..frame(LinkType::ETHERNET, &bytes)
        };
        let found = outcome(frame).map(|packet| (packet.tunnel, packet.tunnel_id));
        assert_eq!(found, expected, "{envelope:?}");
        // What is no frame has no copy.
        let mut copies = Copies::new(16, std::time::Duration::from_millis(5));
        assert!(!copies.is_copy(&frame));
        assert_eq!(copies.is_copy(&frame), expected.is_ok());
    }
}

#[test]
fn every_tunnel_is_entered() {
    for (name, tunnel, id, bytes) in tunnels() {
        let packet = decode(LinkType::RAW, &bytes).unwrap();
        assert_eq!(
            (packet.tunnel, packet.tunnel_id),
            (Some(tunnel), id),
            "{name}"
        );
        assert_innermost(&packet);
        assert_eq!(packet.wire_len as usize, bytes.len(), "{name}");
        let vlans: &[u16] = if name.contains("VLAN") { &[7] } else { &[] };
        assert_eq!(packet.vlans.as_slice(), vlans, "{name}");
    }
}

/// The capture ends in the tunnel: as long as the inner IP header is there, it counts for the
/// inner flow; before that, for the outer one.
#[test]
fn every_tunnel_cut_at_every_byte() {
    for (name, tunnel, _, bytes) in tunnels() {
        let inner = bytes.len() - udp_packet().len();
        for end in 0..bytes.len() {
            let mut cut = frame(LinkType::RAW, &bytes[..end]);
            cut.wire_len = bytes.len() as u32;
            match outcome(cut) {
                Ok(packet) if packet.tunnel == Some(tunnel) => {
                    assert!(end >= inner + 28, "{name} {end}");
                    assert_eq!(packet.payload_len, 15, "{name} {end}");
                }
                Ok(packet) => {
                    assert!(end < inner + 20, "{name} {end}");
                    assert_eq!(packet.tunnel, None);
                }
                Err(reason) => assert_eq!(reason, DropReason::Truncated, "{name} {end}"),
            }
        }
    }
}

/// One flipped byte anywhere before the inner packet: either the same packet, or one of the outer
/// flow, or a counted fault; never something else.
#[test]
fn every_tunnel_with_one_wrong_byte() {
    for (name, _, _, bytes) in tunnels() {
        let inner = bytes.len() - udp_packet().len();
        for at in 0..inner {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let mut decoder = Decoder::new(Config::default());
                if let Decoded::Packet(packet) = decoder.decode(frame(LinkType::RAW, &bytes))
                    && packet.tunnel.is_some()
                {
                    assert_eq!(
                        packet.payload,
                        super::build::PAYLOAD,
                        "{name} {at} {flip:02x}"
                    );
                }
            }
        }
    }
}

#[test]
fn ipv6_inside() {
    let inner = ipv6(17, &udp(5000, 6000, b"six"));
    let teredo = ipv6_between(
        "2001:0:c000:201::1".parse().unwrap(),
        B6,
        17,
        &udp(5000, 6000, b"six"),
    );
    let authentication = [0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    #[rustfmt::skip]
    let rows = [
        ("6in4", Tunnel::SixInFour, outer(41, &inner)),
        ("6in6", Tunnel::Ipip, ipv6_between(B6, A6, 41, &inner)),
        ("GRE", Tunnel::Gre, outer(47, &with(&[0, 0, 0x86, 0xdd], &inner))),
        ("Teredo", Tunnel::Teredo, outer_udp(3544, &teredo)),
        ("Teredo, from the server", Tunnel::Teredo, outer(17, &udp(3544, 5, &with(&origin, &teredo)))),
        ("Teredo, indications", Tunnel::Teredo, outer_udp(3544, &with(&authentication, &with(&origin, &teredo)))),
        ("GTP-U", Tunnel::GtpU, outer_udp(2152, &with(&[0x30, 0xff, 0, inner.len() as u8, 0, 0, 0, 1], &inner))),
    ];
    for (name, tunnel, bytes) in rows {
        let packet = decode(LinkType::RAW, &bytes).unwrap();
        assert_eq!(packet.tunnel, Some(tunnel), "{name}");
        assert_eq!((packet.version, packet.payload), (6, &b"six"[..]), "{name}");
    }
}

/// What looks like a tunnel by its port or protocol, and holds no packet.
#[test]
fn stays_with_the_outer_flow() {
    let ip = udp_packet();
    let eth = ethernet(0x0800, &ip);
    let len = ip.len() as u8;
    let mut version_5 = ip.clone();
    version_5[0] = 0x55;
    let mut too_long = ip.clone();
    too_long[3] += 1;
    #[rustfmt::skip]
    let rows = [
        ("GTP-U echo", outer_udp(2152, &with(&[0x30, 1, 0, len, 0, 0, 0, 1], &ip))),
        ("GTP-U length past the datagram", outer_udp(2152, &with(&[0x30, 0xff, 0, len + 1, 0, 0, 0, 1], &ip))),
        ("GTP-U length cuts the packet", outer_udp(2152, &with(&[0x30, 0xff, 0, len - 1, 0, 0, 0, 1], &ip))),
        ("GTP-U, bad version", outer_udp(2152, &with(&[0x30, 0xff, 0, len, 0, 0, 0, 1], &version_5))),
        ("GTP-U, lying packet", outer_udp(2152, &with(&[0x30, 0xff, 0, len, 0, 0, 0, 1], &too_long))),
        ("another port", outer_udp(2153, &with(&[0x30, 0xff, 0, len, 0, 0, 0, 1], &ip))),
        ("VXLAN without VNI", outer_udp(4789, &with(&[0, 0, 0, 0, 0, 1, 2, 0], &eth))),
        ("VXLAN of ARP", outer_udp(4789, &with(&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(0x0806, &[0; 28])))),
        ("GENEVE control", outer_udp(6081, &with(&[0, 0x80, 0x65, 0x58, 0, 1, 2, 0], &eth))),
        ("Teredo, foreign addresses", outer_udp(3544, &ipv6(17, &udp(1, 2, b"x")))),
        ("CAPWAP over DTLS", outer_udp(5247, &with(&[1, 0, 0, 0], &[22; 40]))),
        ("TZSP keep-alive", outer_udp(37008, &[1, 4, 0, 0, 1])),
        ("L2TP control", outer_udp(1701, &[0xc8, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("L2TP of LCP", outer_udp(1701, &[0, 2, 0, 7, 0, 9, 0xff, 3, 0xc0, 0x21, 1, 1, 0, 4])),
        ("DNS on a tunnel's port", outer_udp(4789, &[0; 40])),
        ("GRE keep-alive", outer(47, &[0, 0, 0, 0])),
        ("GRE of ARP", outer(47, &with(&[0, 0, 8, 6], &[0; 28]))),
        ("GRE, version 2", outer(47, &with(&[0, 2, 8, 0], &ip))),
        ("GRE, too short", outer(47, &[0, 0])),
        ("PPTP, encrypted", outer(47, &[0x30, 1, 0x88, 0x0b, 0, 4, 0, 7, 0, 0, 0, 1, 0, 0xfd, 0x90, 1])),
        ("IP in IP, bad version", outer(4, &version_5)),
        ("IP in IP, lying", outer(4, &too_long)),
        ("6in4 with IPv4", outer(41, &ip)),
        ("L2TP 3 control over IP", outer(115, &with(&[0, 0, 0, 0], &eth))),
        ("ESP", outer(50, &ip)),
    ];
    for (name, bytes) in rows {
        let packet = decode(LinkType::RAW, &bytes).unwrap();
        assert_eq!(packet.tunnel, None, "{name}");
        let (source, destination, _, _) = ends(&packet);
        assert!(
            (source, destination) == (OUTER_A.into(), OUTER_B.into())
                || (source, destination) == (A6.into(), B6.into()),
            "{name}"
        );
        assert_eq!(packet.ip_len as usize, bytes.len(), "{name}");
    }
}

#[test]
fn the_outermost_tunnel_gives_its_name() {
    let inner = outer(47, &with(&[0x20, 0, 8, 0, 0, 0, 0, 9], &udp_packet()));
    let bytes = outer_udp(
        4789,
        &with(&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(0x0800, &inner)),
    );
    let packet = decode(LinkType::RAW, &bytes).unwrap();
    assert_eq!(
        (packet.tunnel, packet.tunnel_id),
        (Some(Tunnel::Vxlan), 0x102)
    );
    assert_innermost(&packet);
}

#[test]
fn nested_up_to_the_limit() {
    let mut bytes = udp_packet();
    for depth in 1..=9 {
        bytes = if depth % 2 == 0 {
            outer(4, &bytes)
        } else {
            outer(47, &with(&[0, 0, 8, 0], &bytes))
        };
        match decode(LinkType::RAW, &bytes) {
            Ok(packet) => {
                assert!(depth <= 8);
                assert_innermost(&packet);
            }
            Err(reason) => assert_eq!((depth, reason), (9, DropReason::TooDeep)),
        }
    }
    for max_depth in [0, 1] {
        let config = Config {
            max_depth,
            ..Config::default()
        };
        let bytes = outer(4, &udp_packet());
        let decoded = Decoder::new(config).decode(frame(LinkType::RAW, &bytes));
        assert_eq!(matches!(decoded, Decoded::Packet(_)), max_depth == 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Random bytes behind a tunnel's port or protocol never panic, and are counted whole.
    #[test]
    fn random_bytes_in_tunnels(
        row in any::<proptest::sample::Index>(),
        keep in 0..64usize,
        noise in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let (_, _, _, mut bytes) = row.get(&tunnels()).clone();
        bytes.truncate(20 + keep);
        bytes.extend(noise);
        let mut decoder = Decoder::new(Config::default());
        if let Decoded::Packet(packet) = decoder.decode(frame(LinkType::RAW, &bytes)) {
            prop_assert_eq!(packet.wire_len as usize, bytes.len());
            prop_assert!(packet.payload.len() <= packet.payload_len as usize);
            prop_assert!(packet.ip_len <= packet.wire_len);
        }
    }
}
