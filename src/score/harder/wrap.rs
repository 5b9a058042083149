//! Frames inside others. What is wrapped is Ethernet afterwards, whatever it was before.

use super::rewritten::Rewritten;
use crate::capture::{Frame, LinkType};
use crate::decode;

/// Locally administered: nobody's.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// IPv4 without options, UDP, GTP-U.
const OUTER: usize = 20 + 8 + 8;

/// The outermost IP packet of the frame as a G-PDU (3GPP TS 29.281 section 5) between two nodes of a
/// mobile network; `None` for frames without one. One that would not fit into an IP packet any more
/// stays as it is.
pub(super) fn in_gtp_u(frame: &Frame<'_>) -> Option<Rewritten> {
    let (packet, len) = decode::ip_packet(frame)?;
    let Ok(total) = u16::try_from(OUTER + len) else {
        return Some(Rewritten::of(frame));
    };
    let mut bytes = Vec::with_capacity(14 + OUTER + packet.len());
    bytes.extend(ADDRESSES);
    bytes.extend([0x08, 0x00, 0x45, 0]);
    bytes.extend(total.to_be_bytes());
    // Without a checksum nothing is sent, but nothing asks for it either.
    bytes.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    bytes.extend([198, 18, 0, 1, 198, 18, 0, 2]);
    bytes.extend([0x08, 0x68, 0x08, 0x68]);
    bytes.extend((total - 20).to_be_bytes());
    // Version 1, no optional fields, a G-PDU; the TEID.
    bytes.extend([0, 0, 0x30, 0xff]);
    bytes.extend((total - 36).to_be_bytes());
    bytes.extend([0, 0, 0x10, 0x01]);
    bytes.extend(packet);
    Some(ethernet(frame, bytes, 14 + OUTER + len))
}

/// The frame with a service tag and a customer tag (IEEE 802.1ad); `None` for frames that are neither
/// Ethernet nor IP.
pub(super) fn in_qinq(frame: &Frame<'_>) -> Option<Rewritten> {
    const TAGS: [u8; 8] = [0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0x00, 0xc8];
    if frame.link == LinkType::ETHERNET {
        let Some((addresses, rest)) = frame.bytes.split_first_chunk::<12>() else {
            return Some(Rewritten::of(frame));
        };
        let bytes = [&addresses[..], &TAGS, rest].concat();
        return Some(ethernet(frame, bytes, frame.wire_len as usize + TAGS.len()));
    }
    let (packet, len) = decode::ip_packet(frame)?;
    let kind: [u8; 2] = match packet.first()? >> 4 {
        4 => [0x08, 0x00],
        _ => [0x86, 0xdd],
    };
    let bytes = [&ADDRESSES[..], &TAGS, &kind, packet].concat();
    Some(ethernet(frame, bytes, 14 + TAGS.len() + len))
}

fn ethernet(frame: &Frame<'_>, bytes: Vec<u8>, wire_len: usize) -> Rewritten {
    Rewritten {
        at: frame.at,
        link: LinkType::ETHERNET,
        wire_len: u32::try_from(wire_len.max(bytes.len())).unwrap_or(u32::MAX),
        bytes,
    }
}
