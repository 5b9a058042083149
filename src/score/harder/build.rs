//! Packets made anew: an IP packet with the addresses and ports of another, and its transport header
//! without options.

use std::net::IpAddr;

use super::ends::ends;
use super::rewritten::Rewritten;
use crate::capture::{Frame, LinkType};
use crate::decode::{Packet, TcpSegment};

/// The `packet` of `frame` with this TCP header and payload, of which more was on the wire if `len` says
/// so. `None` where the payload is longer than an IP packet.
pub(super) fn segment(
    frame: &Frame<'_>,
    packet: &Packet<'_>,
    tcp: &TcpSegment,
    payload: &[u8],
    len: usize,
) -> Option<Rewritten> {
    let mut header = Vec::with_capacity(20);
    header.extend(packet.source_port.to_be_bytes());
    header.extend(packet.destination_port.to_be_bytes());
    header.extend(tcp.sequence.to_be_bytes());
    header.extend(tcp.acknowledgement.to_be_bytes());
    header.extend([0x50, tcp.flags]);
    header.extend(tcp.window.to_be_bytes());
    header.extend([0; 4]);
    ip(frame, packet, &header, payload, len)
}

/// The same of a UDP packet.
pub(super) fn datagram(
    frame: &Frame<'_>,
    packet: &Packet<'_>,
    payload: &[u8],
) -> Option<Rewritten> {
    let mut header = Vec::with_capacity(8);
    header.extend(packet.source_port.to_be_bytes());
    header.extend(packet.destination_port.to_be_bytes());
    header.extend(u16::try_from(8 + payload.len()).ok()?.to_be_bytes());
    header.extend([0, 0]);
    ip(frame, packet, &header, payload, payload.len())
}

/// Checksums are left out: nothing that reads captures asks for them.
fn ip(
    frame: &Frame<'_>,
    packet: &Packet<'_>,
    transport: &[u8],
    payload: &[u8],
    len: usize,
) -> Option<Rewritten> {
    let inner = u16::try_from(transport.len() + len).ok()?;
    let mut bytes = Vec::with_capacity(40 + transport.len() + payload.len());
    match ends(packet).map(|(ip, _)| ip) {
        [IpAddr::V4(source), IpAddr::V4(destination)] => {
            bytes.extend([0x45, 0]);
            bytes.extend(inner.checked_add(20)?.to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, 64, packet.protocol.0, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        [IpAddr::V6(source), IpAddr::V6(destination)] => {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(inner.to_be_bytes());
            bytes.extend([packet.protocol.0, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        _ => return None,
    }
    bytes.extend(transport);
    bytes.extend(payload);
    let missing = len.saturating_sub(payload.len());
    Some(Rewritten {
        at: frame.at,
        link: LinkType::RAW,
        wire_len: u32::try_from(bytes.len() + missing).ok()?,
        bytes,
    })
}
