//! The decoder against `etherparse`: packets that crate builds, and the same with bytes changed.

use etherparse::{
    NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket, TcpHeader, TransportSlice, VlanId,
};
use proptest::prelude::*;

use super::{LinkType, Packet, decode, frame};
use crate::decode::{Address, Config, Decoded, Decoder, DropReason, IpProtocol};

#[derive(Clone, Debug)]
struct Plan {
    vlans: Vec<u16>,
    version: u8,
    source: [u8; 16],
    destination: [u8; 16],
    transport: u8,
    ports: (u16, u16),
    sequence: (u32, u32),
    options_len: usize,
    payload: Vec<u8>,
    padding: usize,
}

fn plans() -> impl Strategy<Value = Plan> {
    (
        proptest::collection::vec(1..4095u16, 0..3),
        prop_oneof![Just(4u8), Just(6)],
        any::<([u8; 16], [u8; 16])>(),
        0..3u8,
        any::<(u16, u16)>(),
        any::<(u32, u32)>(),
        0..10usize,
        proptest::collection::vec(any::<u8>(), 0..200),
        0..20usize,
    )
        .prop_map(
            |(vlans, version, addresses, transport, ports, sequence, words, payload, padding)| {
                Plan {
                    vlans,
                    version,
                    source: addresses.0,
                    destination: addresses.1,
                    transport,
                    ports,
                    sequence,
                    options_len: words * 4,
                    payload,
                    padding,
                }
            },
        )
}

fn build(plan: &Plan) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let id = |id: u16| VlanId::try_new(id).unwrap();
    let four = |octets: &[u8; 16]| *octets.last_chunk::<4>().unwrap();
    let (from4, to4) = (four(&plan.source), four(&plan.destination));
    let ip = match (plan.vlans.as_slice(), plan.version) {
        ([], 4) => ethernet.ipv4(from4, to4, 64),
        ([], _) => ethernet.ipv6(plan.source, plan.destination, 64),
        ([a], 4) => ethernet.single_vlan(id(*a)).ipv4(from4, to4, 64),
        ([a], _) => ethernet
            .single_vlan(id(*a))
            .ipv6(plan.source, plan.destination, 64),
        ([a, b, ..], 4) => ethernet.double_vlan(id(*a), id(*b)).ipv4(from4, to4, 64),
        ([a, b, ..], _) => {
            ethernet
                .double_vlan(id(*a), id(*b))
                .ipv6(plan.source, plan.destination, 64)
        }
    };
    let mut bytes = Vec::new();
    write(plan, ip, &mut bytes);
    bytes.extend(std::iter::repeat_n(0xee, plan.padding));
    bytes
}

fn write(plan: &Plan, ip: PacketBuilderStep<etherparse::IpHeaders>, bytes: &mut Vec<u8>) {
    match plan.transport {
        0 => {
            let mut header = TcpHeader::new(plan.ports.0, plan.ports.1, plan.sequence.0, 1024);
            header.acknowledgment_number = plan.sequence.1;
            header.ack = true;
            header.psh = true;
            header.set_options_raw(&vec![1; plan.options_len]).unwrap();
            ip.tcp_header(header).write(bytes, &plan.payload).unwrap();
        }
        1 => ip
            .udp(plan.ports.0, plan.ports.1)
            .write(bytes, &plan.payload)
            .unwrap(),
        _ if plan.version == 4 => ip
            .icmpv4_raw(3, 9, [1, 2, 3, 4])
            .write(bytes, &plan.payload)
            .unwrap(),
        _ => ip
            .icmpv6_raw(200, 9, [1, 2, 3, 4])
            .write(bytes, &plan.payload)
            .unwrap(),
    }
}

/// That `packet` says what `etherparse` reads from the same bytes.
fn assert_same(packet: &Packet<'_>, sliced: &SlicedPacket<'_>) {
    let (version, source, destination) = match &sliced.net {
        Some(NetSlice::Ipv4(ip)) => (
            4,
            Address::v4(ip.header().source()),
            Address::v4(ip.header().destination()),
        ),
        Some(NetSlice::Ipv6(ip)) => (
            6,
            Address(ip.header().source()),
            Address(ip.header().destination()),
        ),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (packet.version, packet.source, packet.destination),
        (version, source, destination)
    );
    let ids: Vec<u16> = sliced.vlan_ids().iter().map(|id| id.value()).collect();
    let ids: Vec<u16> = ids.into_iter().filter(|id| *id != 0).take(2).collect();
    assert_eq!(packet.vlans.as_slice(), ids);
    let ports = (packet.source_port, packet.destination_port);
    match sliced.transport.as_ref().unwrap() {
        TransportSlice::Tcp(tcp) => {
            let segment = packet.tcp.unwrap();
            assert_eq!(packet.protocol, IpProtocol::TCP);
            assert_eq!(ports, (tcp.source_port(), tcp.destination_port()));
            assert_eq!(segment.sequence, tcp.sequence_number());
            assert_eq!(segment.acknowledgement, tcp.acknowledgment_number());
            assert_eq!(segment.has(0x02), tcp.syn());
            assert_eq!(segment.has(0x10), tcp.ack());
            assert_eq!(packet.payload, tcp.payload());
        }
        TransportSlice::Udp(udp) => {
            assert_eq!(packet.protocol, IpProtocol::UDP);
            assert_eq!(ports, (udp.source_port(), udp.destination_port()));
            assert_eq!(packet.payload, udp.payload());
        }
        TransportSlice::Icmpv4(icmp) => {
            assert_eq!(packet.icmp, (icmp.type_u8(), icmp.code_u8()));
            assert_eq!(&packet.payload, &icmp.slice().get(4..).unwrap());
        }
        TransportSlice::Icmpv6(icmp) => {
            assert_eq!(packet.icmp, (icmp.type_u8(), icmp.code_u8()));
            assert_eq!(&packet.payload, &icmp.slice().get(4..).unwrap());
        }
        TransportSlice::Igmp(_) => assert_eq!(packet.protocol, IpProtocol::IGMP),
    }
}

/// Whether an IPv6 length is zero where no network card cuts segments and no jumbogram is told of.
fn says_nothing_follows(sliced: &SlicedPacket<'_>) -> bool {
    let Some(NetSlice::Ipv6(ip)) = &sliced.net else {
        return false;
    };
    let header = ip.header();
    let may_be_longer = [0, IpProtocol::TCP.0, IpProtocol::UDP.0];
    header.payload_length() == 0 && !may_be_longer.contains(&header.next_header().0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn built_packets(plan in plans()) {
        let bytes = build(&plan);
        let packet = decode(LinkType::ETHERNET, &bytes).unwrap();
        assert_same(&packet, &SlicedPacket::from_ethernet(&bytes).unwrap());
        prop_assert_eq!(packet.vlans.as_slice(), plan.vlans.as_slice());
        prop_assert_eq!(packet.wire_len as usize, bytes.len());
        let ip_len = bytes.len() - 14 - 4 * plan.vlans.len() - plan.padding;
        prop_assert_eq!(packet.ip_len as usize, ip_len);
    }

    /// What that crate, which is strict, still takes for a packet is the same packet here.
    #[test]
    fn changed_packets(
        plan in plans(),
        changes in proptest::collection::vec((0..90usize, any::<u8>()), 1..4),
    ) {
        let mut bytes = build(&plan);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let mut decoder = Decoder::new(Config::default());
        let decoded = decoder.decode(frame(LinkType::ETHERNET, &bytes));
        let Ok(sliced) = SlicedPacket::from_ethernet(&bytes) else {
            return Ok(());
        };
        match (&decoded, &sliced.transport) {
            // This crate goes on where that one stops.
            (Decoded::Packet(packet), Some(_)) if packet.tunnel.is_none() => {
                assert_same(packet, &sliced);
            }
            (Decoded::Packet(_), _) => {}
            (Decoded::Fragment, _) => {
                prop_assert!(sliced.net.is_none() || sliced.is_ip_payload_fragmented());
            }
            (Decoded::Dropped(DropReason::Malformed), _) if sliced.is_ip_payload_fragmented() => {}
            // That crate takes as much as there is for it.
            (Decoded::Dropped(DropReason::Malformed), _) if says_nothing_follows(&sliced) => {}
            (other, Some(_)) => prop_assert!(false, "{:?}", other),
            (_, None) => {}
        }
    }

    /// Whatever the bytes and the link type: an answer, no panic, and lengths that hold.
    #[test]
    fn random_bytes(
        link in prop_oneof![
            Just(0u16), Just(1), Just(9), Just(12), Just(50), Just(51), Just(101), Just(104),
            Just(105), Just(108), Just(113), Just(119), Just(127), Just(163), Just(192),
            Just(228), Just(229), Just(276), Just(6), Just(8), Just(10), Just(100), Just(107),
            Just(109), Just(117), Just(122), Just(123), Just(128), Just(138), Just(143), Just(149),
            Just(166), Just(178), Just(179), Just(197), Just(204), Just(219), Just(226), Just(239),
            Just(240), Just(241), Just(242), Just(247), Just(258), Just(274), Just(281), Just(282),
            Just(284), Just(285),
        ],
        bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0), 1 => Just(0x45), 1 => Just(8)], 0..200),
        wire_len in 0..400u32,
    ) {
        let mut decoder = Decoder::new(Config::default());
        let mut frame = frame(LinkType(link), &bytes);
        frame.wire_len = wire_len;
        if let Decoded::Packet(packet) = decoder.decode(frame) {
            prop_assert_eq!(packet.wire_len, wire_len);
            prop_assert!(packet.ip_len <= wire_len);
            prop_assert!(packet.payload.len() <= packet.payload_len as usize);
        }
    }
}
