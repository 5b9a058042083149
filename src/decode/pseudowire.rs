//! What nothing names: the content of an MPLS label stack, or of a tunnel that carries packets or
//! frames and does not say which. Each reading is weighed by what agrees in it.

use crate::wire::ethernet::{EtherType, Ethernet};
use crate::wire::mpls::LabelStackEntry;
use crate::wire::ppp::PppoeSession;
use crate::wire::vlan::Tag;

use super::DropReason;
use super::network::Network;
use super::span::Span;

/// What a run of octets is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    V4,
    V6,
    Ethernet,
}

/// How many VLAN tags a frame that is weighed may have.
const MAX_TAGS: usize = 4;

/// What a type that is known is worth.
const KNOWN_TYPE: u32 = 12;

/// What is below a label stack: a packet of IP, or a frame of a pseudowire with or without the
/// control word of RFC 4385 section 3.
///
/// IP is not to be guessed by its version alone (RFC 4928 section 3): the addresses of frames start
/// with the same nibbles, as the control word and addresses of most makers do with 0.
pub(super) fn below_labels(mut span: Span<'_>) -> Result<(Reading, Span<'_>), DropReason> {
    const CONTROL_WORD: usize = 4;
    /// Control word, Ethernet header, and the octet that has the IP version.
    const HEAD: usize = CONTROL_WORD + Ethernet::LEN + 1;
    loop {
        let entry = LabelStackEntry::parse(span.bytes).map_err(|error| span.fault(error))?;
        span = span.skip(LabelStackEntry::LEN)?;
        if entry.is_bottom() {
            break;
        }
    }
    let version = span.bytes.first().map(|first| first >> 4);
    let bare = weigh(span).map(|(reading, weight)| (reading, span, weight));
    let behind_control_word = match version {
        Some(0) => span.skip(CONTROL_WORD).ok(),
        _ => None,
    }
    .and_then(|rest| weigh(rest).map(|(reading, weight)| (reading, rest, weight)));
    let heaviest = bare
        .into_iter()
        .chain(behind_control_word)
        .max_by_key(|&(_, _, weight)| weight);
    match (heaviest, version) {
        (Some((reading, rest, _)), _) => Ok((reading, rest)),
        // No frame either: IP that is cut or broken, and counted as that.
        (None, Some(4)) => Ok((Reading::V4, span)),
        (None, Some(6)) => Ok((Reading::V6, span)),
        _ if span.bytes.len() < span.len.min(HEAD) => Err(DropReason::Truncated),
        _ => Err(DropReason::NonIp),
    }
}

/// The packet or frame that `span` most likely is.
pub(super) fn likeliest(span: Span<'_>) -> Option<Reading> {
    // Few packets have an address where a frame has a known type, so that little is weighed.
    match (packet(span), frame_agreement(span)) {
        (Some((reading, _)), None) => Some(reading),
        (_, Some(_)) => weigh(span).map(|(reading, _)| reading),
        (None, None) => None,
    }
}

/// The same, and how much agrees in it.
fn weigh(span: Span<'_>) -> Option<(Reading, u32)> {
    let packet = packet(span).and_then(|(reading, network)| Some((reading, network.agreement()?)));
    let frame = frame_agreement(span).map(|weight| (Reading::Ethernet, weight));
    packet
        .into_iter()
        .chain(frame)
        .max_by_key(|&(_, weight)| weight)
}

fn packet(span: Span<'_>) -> Option<(Reading, Network<'_>)> {
    let network = Network::by_version(span).filter(Network::is_plausible)?;
    let reading = match network {
        Network::V4(_) => Reading::V4,
        Network::V6(_) => Reading::V6,
    };
    Some((reading, network))
}

/// About how many bits say that `span` is an Ethernet frame; none if it is not to be taken for one.
fn frame_agreement(span: Span<'_>) -> Option<u32> {
    let ethernet = Ethernet::parse(span.bytes).ok()?;
    // No frame comes from a group.
    if ethernet.source().first()? & 1 != 0 {
        return None;
    }
    let mut ether_type = ethernet.ether_type();
    let mut rest = span.skip(Ethernet::LEN).ok()?;
    let mut types = KNOWN_TYPE;
    for _ in 0..MAX_TAGS {
        if !ether_type.is_vlan_tag() {
            break;
        }
        let Ok(tag) = Tag::parse(rest.bytes) else {
            return Some(types);
        };
        types += KNOWN_TYPE;
        ether_type = tag.ether_type();
        rest = rest.skip(Tag::LEN).ok()?;
    }
    let content = match ether_type {
        EtherType::IPV4 => packet_agreement(rest, 4)?,
        EtherType::IPV6 => packet_agreement(rest, 6)?,
        // Hardware of Ethernet, addresses of IPv4 (RFC 826).
        EtherType::ARP => match rest.bytes.first_chunk() {
            Some([0, 1, 8, 0, 6, 4, 0, _]) => 48,
            Some(_) => return None,
            None => 0,
        },
        EtherType::PPPOE_SESSION => match PppoeSession::parse(rest.bytes) {
            Ok(session) if PppoeSession::LEN + session.payload_len <= rest.len => 20,
            Ok(_) => return None,
            Err(_) if rest.bytes.len() < PppoeSession::LEN => 0,
            Err(_) => return None,
        },
        length if length.is_length() => {
            return llc_agreement(usize::from(length.0), rest);
        }
        other if is_known(other) => 0,
        _ => return None,
    };
    Some(types + content)
}

/// What agrees in a packet of a version that a type said; what was cut before its lengths is
/// judged by that version alone.
fn packet_agreement(span: Span<'_>, version: u8) -> Option<u32> {
    let network = match (Network::by_version(span), version) {
        (Some(network @ Network::V4(_)), 4) | (Some(network @ Network::V6(_)), 6) => network,
        (None, _) if span.bytes.is_empty() && span.len > 0 => return Some(0),
        _ => return None,
    };
    let is_cut = span.bytes.len() < span.len.min(HEADERS);
    match network.agreement() {
        Some(bits) => Some(bits),
        None if is_cut => Some(8),
        None => None,
    }
}

/// The longest header that is looked at, with options.
const HEADERS: usize = 60;

/// What the length of an IEEE 802.3 frame and the service access points behind it are worth:
/// spanning tree, SNAP, IS-IS.
fn llc_agreement(len: usize, rest: Span<'_>) -> Option<u32> {
    let is_llc = matches!(
        rest.bytes,
        [0x42, 0x42, 0x03, ..] | [0xaa, 0xaa, 0x03, ..] | [0xfe, 0xfe, 0x03, ..]
    );
    (is_llc && len <= rest.len).then_some(28)
}

/// Types that frames have and that say nothing to compare: tags, label stacks, and the protocols
/// of switches.
const fn is_known(ether_type: EtherType) -> bool {
    matches!(
        ether_type,
        EtherType::MPLS
            | EtherType::MPLS_MULTICAST
            | EtherType::PPPOE_DISCOVERY
            | EtherType::BACKBONE
            | EtherType::METADATA
            | EtherType::FABRIC_PATH
            | EtherType::VN_TAG
            | EtherType::E_TAG
            | EtherType::TTAG
            | EtherType::HSR
            | EtherType::TRILL
            | EtherType::MACSEC
            | EtherType::NSH
    ) || is_control(ether_type)
}

/// The protocols of switches and hosts themselves, by their numbers at IEEE.
const fn is_control(EtherType(number): EtherType) -> bool {
    matches!(
        number,
        0x8035 // reverse ARP
            | 0x8809 // slow protocols
            | 0x888e // port authentication
            | 0x88cc // LLDP
            | 0x88f5 // registration of VLANs
            | 0x88f6 // registration of addresses
            | 0x88f7 // PTP
            | 0x8902 // connectivity fault management
            | 0x9000 // loopback
    )
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A frame from 02:... to `destination`.
    fn frame(destination: [u8; 6], ether_type: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = destination.to_vec();
        bytes.extend([2, 0, 0, 0, 0, 2]);
        bytes.extend(ether_type.to_be_bytes());
        bytes.extend(content);
        bytes
    }

    fn udp_v4() -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 30, 0, 1, 0x40, 0, 64, 17, 0, 0];
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([1, 2, 3, 4, 0, 10, 0, 0, 7, 7]);
        bytes
    }

    fn udp_v6() -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 10, 17, 64];
        bytes.extend([0x20; 32]);
        bytes.extend([1, 2, 3, 4, 0, 10, 0, 0, 7, 7]);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Reading> {
        likeliest(Span::new(bytes, bytes.len()))
    }

    /// Whatever nibble the destination starts with, and whatever would be IP's length.
    #[test]
    fn frames_to_any_address() {
        let arp = [
            &[0, 1, 8, 0, 6, 4, 0, 1][..],
            &[2, 0, 0, 0, 0, 2, 10, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 10, 0, 0, 2],
            &[0; 18],
        ]
        .concat();
        let spanning_tree = [&[0x42, 0x42, 3][..], &[0; 43]].concat();
        for first in [0x00, 0x02, 0x40, 0x44, 0x45, 0x46, 0x4e, 0x60, 0x61, 0x6e] {
            for last in [[0, 0], [0, 1], [0, 16], [0, 40], [0xff, 0xff]] {
                let to = [first, 0, 0, 30, last[0], last[1]];
                let tagged = [&[0, 7, 8, 0][..], &udp_v4()].concat();
                for (ether_type, content) in [
                    (0x0800, udp_v4()),
                    (0x86dd, udp_v6()),
                    (0x8100, tagged),
                    (0x0806, arp.clone()),
                    (0x0026, spanning_tree.clone()),
                    (0x88cc, vec![2, 7, 4, 2, 0, 0, 0, 0, 2, 0, 0]),
                ] {
                    let bytes = frame(to, ether_type, &content);
                    let got = read(&bytes);
                    assert_eq!(got, Some(Reading::Ethernet), "{to:02x?} {ether_type:04x}");
                }
            }
        }
    }

    /// Packets whose addresses stand where a frame has its type.
    #[test]
    fn packets_like_frames() {
        let mut v4 = udp_v4();
        for source in [[8, 0, 0x45, 0], [0x86, 0xdd, 0x60, 0], [0x08, 0x06, 0, 1]] {
            v4[12..16].copy_from_slice(&source);
            assert_eq!(read(&v4), Some(Reading::V4), "{source:02x?}");
        }
        let mut v6 = udp_v6();
        for source in [[8, 0, 0x45, 0], [0x86, 0xdd, 0x60, 0], [0x81, 0, 0, 7]] {
            v6[12..16].copy_from_slice(&source);
            assert_eq!(read(&v6), Some(Reading::V6), "{source:02x?}");
        }
    }

    #[test]
    fn neither() {
        let mut group = frame([2; 6], 0x0800, &udp_v4());
        group[6] |= 1;
        let rows = [
            group,
            frame([2; 6], 0x1234, &udp_v4()),
            frame([2; 6], 0x0800, &udp_v6()),
            frame([2; 6], 0x0806, &[0; 28]),
            frame([2; 6], 0x05dc, &[0x42, 0x42, 3]),
            vec![0x45; 60],
            vec![0x60; 60],
            vec![0; 60],
            Vec::new(),
        ];
        for bytes in rows {
            assert_eq!(read(&bytes), None, "{bytes:02x?}");
        }
    }
}
