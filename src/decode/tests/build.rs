//! Packets by hand, header by header from the inside out.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const A: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
pub(super) const B: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
pub(super) const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub(super) const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub(super) const OUTER_A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const OUTER_B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

pub(super) const PAYLOAD: &[u8] = b"what is carried";

pub(super) fn ipv4_between(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + body.len() as u16).to_be_bytes());
    bytes.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(body);
    bytes
}

pub(super) fn ipv6_between(from: Ipv6Addr, to: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend(from.octets());
    bytes.extend(to.octets());
    bytes.extend(body);
    bytes
}

pub(super) fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    ipv4_between(A, B, protocol, body)
}

pub(super) fn ipv6(next: u8, body: &[u8]) -> Vec<u8> {
    ipv6_between(A6, B6, next, body)
}

pub(super) fn outer(protocol: u8, body: &[u8]) -> Vec<u8> {
    ipv4_between(OUTER_A, OUTER_B, protocol, body)
}

pub(super) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

pub(super) fn tcp(from: u16, to: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [from.to_be_bytes(), to.to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// An IPv4 packet, its UDP datagram from port 5000 to 6000 with [`PAYLOAD`].
pub(super) fn udp_packet() -> Vec<u8> {
    ipv4(17, &udp(5000, 6000, PAYLOAD))
}

/// An IPv4 packet with the checksum of its header filled in.
pub(super) fn checksummed(mut packet: Vec<u8>) -> Vec<u8> {
    packet[10..12].fill(0);
    let (words, _) = packet[..20].as_chunks::<2>();
    let sum: u32 = words
        .iter()
        .map(|&word| u32::from(u16::from_be_bytes(word)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet
}

/// The same in IPv6.
pub(super) fn udp_packet6() -> Vec<u8> {
    ipv6(17, &udp(5000, 6000, PAYLOAD))
}

/// An outer UDP packet to `port`, for tunnels.
pub(super) fn outer_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    outer(17, &udp(40_000, port, payload))
}

pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `header`, then `rest`.
pub(super) fn with(header: &[u8], rest: &[u8]) -> Vec<u8> {
    [header, rest].concat()
}

/// A VLAN tag and what it is before.
pub(super) fn vlan(id: u16, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// LLC and SNAP before an EtherType.
pub(super) fn snap(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xaa, 0xaa, 3, 0, 0, 0];
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// An IEEE 802.11 data frame to the distribution system.
pub(super) fn data_frame(packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x08, 0x01, 0, 0];
    bytes.extend([2; 18]);
    bytes.extend([0, 0]);
    bytes.extend(snap(0x0800, packet));
    bytes
}
