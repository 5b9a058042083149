//! IP and transport headers: options, extension headers, and lengths that lie.

use super::build::{
    A, A6, B, B6, PAYLOAD, ethernet, ipv4, ipv6, tcp, udp, udp_packet, udp_packet6, with,
};
use super::{
    Decoded, DropReason, LinkType, Packet, assert_innermost, decode, ends, frame, outcome,
};
use crate::decode::{IpProtocol, TcpSegment};

fn raw(bytes: &[u8]) -> Result<Packet<'_>, DropReason> {
    decode(LinkType::RAW, bytes)
}

#[test]
fn tcp_fields_and_options() {
    let mut segment = tcp(443, 50_000, 0x12, b"");
    segment[12] = 0x60;
    segment.extend([2, 4, 5, 0xb4]);
    segment.extend(PAYLOAD);
    let bytes = ethernet(0x0800, &with(&ipv4(6, &segment), &[0; 6]));
    let packet = decode(LinkType::ETHERNET, &bytes).unwrap();
    assert_eq!(ends(&packet), (A.into(), B.into(), 443, 50_000));
    let expected = TcpSegment {
        sequence: 1,
        acknowledgement: 2,
        flags: TcpSegment::SYN | TcpSegment::ACK,
        window_scale: None,
        window: 0xffff,
    };
    assert_eq!(packet.tcp, Some(expected));
    assert_eq!(packet.payload, PAYLOAD);
    assert_eq!((packet.number, packet.frames), (7, 1));
    assert_eq!(packet.ip_len as usize, bytes.len() - 14 - 6);
    assert_eq!(packet.wire_len as usize, bytes.len());
}

/// A capture that keeps 54 octets of each frame is common; TCP options go beyond.
#[test]
fn tcp_options_may_be_cut() {
    let mut segment = tcp(443, 50_000, 0x10, b"");
    segment[12] = 0x80;
    segment.extend([1; 12]);
    segment.extend(PAYLOAD);
    let bytes = ipv4(6, &segment);
    for end in 40..bytes.len() {
        let mut cut = frame(LinkType::RAW, &bytes[..end]);
        cut.wire_len = bytes.len() as u32;
        let packet = outcome(cut).unwrap();
        assert_eq!(packet.payload, &PAYLOAD[..end.saturating_sub(52)]);
        assert_eq!(packet.payload_len as usize, PAYLOAD.len());
    }
}

#[test]
fn transports_and_what_they_carry() {
    let udplite = {
        let mut bytes = udp(5000, 6000, PAYLOAD);
        bytes[4..6].copy_from_slice(&[0, 8]); // coverage of the header only
        bytes
    };
    let dccp = with(
        &[0x13, 0x88, 0x17, 0x70, 4, 0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0],
        PAYLOAD,
    );
    let sctp = with(&[0x13, 0x88, 0x17, 0x70, 0, 0, 0, 1, 0, 0, 0, 0], PAYLOAD);
    let icmp = with(&[8, 3, 0, 0], PAYLOAD);
    // (protocol, body, ports, type and code)
    #[rustfmt::skip]
    let rows = [
        (17, udp(5000, 6000, PAYLOAD), (5000, 6000), (0, 0)),
        (136, udplite, (5000, 6000), (0, 0)),
        (33, dccp, (5000, 6000), (0, 0)),
        (132, sctp, (5000, 6000), (0, 0)),
        (1, icmp.clone(), (0, 0), (8, 3)),
        (58, icmp, (0, 0), (8, 3)),
        (2, PAYLOAD.to_vec(), (0, 0), (0, 0)),
        (50, PAYLOAD.to_vec(), (0, 0), (0, 0)),
        (89, PAYLOAD.to_vec(), (0, 0), (0, 0)),
        (135, PAYLOAD.to_vec(), (0, 0), (0, 0)),
        (255, PAYLOAD.to_vec(), (0, 0), (0, 0)),
    ];
    for (protocol, body, ports, icmp) in rows {
        for bytes in [ipv4(protocol, &body), ipv6(protocol, &body)] {
            let packet = raw(&bytes).unwrap();
            assert_eq!(packet.protocol, IpProtocol(protocol));
            assert_eq!(
                (packet.source_port, packet.destination_port),
                ports,
                "{protocol}"
            );
            assert_eq!((packet.icmp, packet.tcp), (icmp, None));
            assert_eq!(packet.payload, PAYLOAD, "{protocol}");
        }
        let bytes = ipv4(protocol, &body);
        for end in 0..bytes.len() {
            let mut cut = frame(LinkType::RAW, &bytes[..end]);
            cut.wire_len = bytes.len() as u32;
            match outcome(cut) {
                Ok(packet) => assert_eq!(packet.payload_len as usize, PAYLOAD.len()),
                Err(reason) => assert_eq!(reason, DropReason::Truncated, "{protocol} {end}"),
            }
        }
    }
}

#[test]
fn ipv4_options_are_passed() {
    let mut bytes = udp_packet();
    bytes[0] = 0x47;
    bytes[3] += 8;
    bytes.splice(20..20, [0x94, 4, 0, 0, 1, 1, 1, 0]);
    let packet = raw(&bytes).unwrap();
    assert_eq!(packet.payload, PAYLOAD);
    assert_eq!(packet.ip_len as usize, bytes.len());
}

#[test]
fn lengths_that_lie() {
    // (what, where, value) -> payload length by the headers, or reason
    let at = PAYLOAD.len() as u32;
    #[rustfmt::skip]
    let rows: [(_, usize, &[u8], _); 12] = [
        ("as it should be", 0, &[0x45], Ok(at)),
        ("total length of segmentation offload", 2, &[0, 0], Ok(at)),
        ("total length shorter than the header", 2, &[0, 19], Err(DropReason::Malformed)),
        ("total length without room for UDP", 2, &[0, 27], Err(DropReason::Malformed)),
        ("total length shorter than UDP's", 2, &[0, 30], Ok(2)),
        // Taken for a capture cut without a note; UDP's own length still holds.
        ("total length past the frame", 2, &[0xff, 0xff], Ok(at)),
        ("the same, under a header checksum that is wrong",
            2, &[0xff, 0xff, 0, 0, 0, 0, 64, 17, 0xde, 0xad], Err(DropReason::Malformed)),
        ("header length below the minimum", 0, &[0x44], Err(DropReason::Malformed)),
        ("header length past the frame", 0, &[0x4f], Err(DropReason::Malformed)),
        ("UDP length past the packet", 24, &[0xff, 0xff], Ok(at)),
        ("UDP length zero", 24, &[0, 0], Ok(at)),
        ("UDP length below the minimum", 24, &[0, 7], Err(DropReason::Malformed)),
    ];
    for (name, offset, value, expected) in rows {
        let mut bytes = udp_packet();
        bytes[offset..offset + value.len()].copy_from_slice(value);
        let got = raw(&bytes);
        assert_eq!(got.map(|packet| packet.payload_len), expected, "{name}");
        if let Ok(packet) = raw(&bytes) {
            assert!(packet.ip_len <= packet.wire_len, "{name}");
            assert!(
                packet.payload.len() <= packet.payload_len as usize,
                "{name}"
            );
        }
    }
    for (data_offset, expected) in [
        (0x40, Some(DropReason::Malformed)),
        (0x50, None),
        (0xf0, Some(DropReason::Malformed)),
    ] {
        let mut segment = tcp(1, 2, 0x10, PAYLOAD);
        segment[12] = data_offset;
        assert_eq!(raw(&ipv4(6, &segment)).err(), expected);
    }
    let mut dccp = vec![0; 16];
    dccp[4] = 5;
    assert_eq!(raw(&ipv4(33, &dccp)).err(), Some(DropReason::Malformed));
}

#[test]
fn ipv6_extension_headers_are_passed() {
    let datagram = udp(5000, 6000, PAYLOAD);
    let chain = |kinds: &[u8]| {
        let mut next = 17;
        let mut body = datagram.clone();
        for &kind in kinds.iter().rev() {
            let mut header = match kind {
                51 => vec![next, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
                44 => vec![next, 0, 0, 0, 0, 0, 0, 9],
                _ => vec![next, 1, 1, 12],
            };
            header.resize(
                if kind == 44 {
                    8
                } else if kind == 51 {
                    24
                } else {
                    16
                },
                0,
            );
            body = with(&header, &body);
            next = kind;
        }
        ipv6(next, &body)
    };
    for kinds in [
        &[][..],
        &[0],
        &[43],
        &[60],
        &[51],
        &[44], // atomic
        &[0, 60, 43, 44, 51, 60],
        &[140],
    ] {
        let bytes = chain(kinds);
        let packet = raw(&bytes).unwrap();
        assert_eq!(
            ends(&packet),
            (A6.into(), B6.into(), 5000, 6000),
            "{kinds:?}"
        );
        assert_eq!(packet.payload, PAYLOAD);
        assert_eq!(packet.ip_len as usize, bytes.len());
        let start = bytes.len() - PAYLOAD.len();
        for end in 0..start {
            let mut cut = frame(LinkType::RAW, &bytes[..end]);
            cut.wire_len = bytes.len() as u32;
            assert_eq!(
                outcome(cut).err(),
                Some(DropReason::Truncated),
                "{kinds:?} {end}"
            );
        }
    }
    let too_many = chain(&[60; 17]);
    assert_eq!(raw(&too_many).err(), Some(DropReason::Malformed));
    let mut lying = chain(&[60]);
    lying[41] = 200;
    assert_eq!(raw(&lying).err(), Some(DropReason::Malformed));
}

#[test]
fn authentication_header_in_ipv4() {
    let header = [
        17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    ];
    let bytes = ipv4(51, &with(&header, &udp(5000, 6000, PAYLOAD)));
    let packet = raw(&bytes).unwrap();
    assert_eq!((packet.payload, packet.tunnel), (PAYLOAD, None));
    assert_eq!(packet.protocol, IpProtocol::UDP);
}

#[test]
fn ipv6_without_a_payload_length() {
    let mut jumbo = ipv6(
        0,
        &with(&[17, 0, 0xc2, 4, 0, 1, 0, 0], &udp(5000, 6000, PAYLOAD)),
    );
    jumbo[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(raw(&jumbo).unwrap().payload, PAYLOAD);
    let mut offloaded = udp_packet6();
    offloaded[4..6].copy_from_slice(&[0, 0]);
    assert_eq!(raw(&offloaded).unwrap().payload, PAYLOAD);
    // Nothing behind the header but Ethernet's padding.
    let bytes = ethernet(0x86dd, &with(&ipv6(59, &[]), &[0xee; 6]));
    let packet = decode(LinkType::ETHERNET, &bytes).unwrap();
    assert_eq!((packet.payload, packet.ip_len), (&[][..], 40));
    assert_eq!(packet.protocol, IpProtocol(59));
}

#[test]
fn an_icmp_error_is_no_tunnel() {
    let quoted = with(&[3, 3, 0, 0, 0, 0, 0, 0], &udp_packet());
    let bytes = ipv4(1, &quoted);
    let packet = raw(&bytes).unwrap();
    assert_eq!((packet.icmp, packet.tunnel), ((3, 3), None));
    assert_eq!(packet.protocol, IpProtocol::ICMP);
}

#[test]
fn a_wire_length_below_the_captured_one_does_no_harm() {
    let bytes = udp_packet();
    let mut lying = frame(LinkType::RAW, &bytes);
    lying.wire_len = 5;
    let packet = outcome(lying).unwrap();
    assert_eq!((packet.wire_len, packet.ip_len), (5, 5));
    assert_eq!(packet.payload, PAYLOAD);
}

#[test]
fn the_packet_outlives_the_decoder() {
    let bytes = udp_packet();
    let packet = {
        let mut decoder = super::Decoder::new(super::Config::default());
        match decoder.decode(frame(LinkType::RAW, &bytes)) {
            Decoded::Packet(packet) => packet,
            other => panic!("{other:?}"),
        }
    };
    assert_innermost(&packet);
}
