//! Tags between the addresses of an Ethernet frame and the packet it carries, those of VLANs aside.

use crate::wire::WireError;
use crate::wire::ethernet::{EtherType, Llc};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{Ipv6, is_extension};
use crate::wire::macsec::SecTag;
use crate::wire::nsh::Nsh;
use crate::wire::switch_tag::{Dsa, Next, SwitchTag};
use crate::wire::vlan::Tag;

use super::header::Header;
use super::span::Span;
use super::{DropReason, IpProtocol, Vlans};

/// What follows a header of this type, which `span` starts with, where it is no packet's.
pub(super) fn pass<'a>(
    ether_type: EtherType,
    span: Span<'a>,
    vlans: &mut Vlans,
) -> Result<(Header, Span<'a>), DropReason> {
    match ether_type {
        EtherType::ARP => Err(DropReason::NonIp),
        EtherType::MACSEC => secured(span),
        EtherType::NSH => {
            let nsh = Nsh::parse(span.bytes).map_err(|error| span.fault(error))?;
            let next = nsh.ether_type().ok_or(DropReason::NonIp)?;
            Ok((Header::Type(next), span.skip(nsh.len)?))
        }
        EtherType::EDSA => {
            // Two octets that are reserved.
            let tag = span.skip(2)?;
            push_replaced(tag, vlans)?;
            typed(tag.skip(Dsa::LEN)?)
        }
        _ => match SwitchTag::parse(ether_type, span.bytes) {
            Some(Ok(tag)) => {
                let rest = span.skip(tag.len)?;
                match tag.next {
                    Next::Type => typed(rest),
                    Next::Frame => Ok((Header::Ethernet, rest)),
                    Next::Body(ether_type) => Ok((Header::Type(ether_type), rest)),
                }
            }
            Some(Err(error)) => behind_unknown(span).ok_or_else(|| span.fault(error)),
            None => behind_unknown(span).ok_or(DropReason::NonIp),
        },
    }
}

/// The VLAN whose tag a switch's own tag, which `span` starts with, stands for.
pub(super) fn push_replaced(span: Span<'_>, vlans: &mut Vlans) -> Result<(), DropReason> {
    let tag = Dsa::parse(span.bytes).map_err(|error| span.fault(error))?;
    match tag.vlan {
        None | Some(0) => {}
        Some(id) => vlans.push(id),
    }
    Ok(())
}

/// What follows the type or length that `span` starts with.
pub(super) fn typed(span: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    let Some(octets) = span.bytes.first_chunk() else {
        return Err(span.fault(WireError::Truncated));
    };
    let ether_type = EtherType(u16::from_be_bytes(*octets));
    Ok(behind_type(ether_type, span.skip(2)?))
}

/// What follows a field that is a type in Ethernet II and a length in IEEE 802.3.
pub(super) fn behind_type(ether_type: EtherType, span: Span<'_>) -> (Header, Span<'_>) {
    if !ether_type.is_length() {
        return (Header::Type(ether_type), span);
    }
    // A switch's tag without a type of its own may look like a length.
    if !matches!(Llc::parse(span.bytes), Ok(Llc::Snap(_) | Llc::Ip))
        && let Some(packet) = behind_unknown(span)
    {
        return packet;
    }
    // What lies behind that length is padding.
    (Header::Llc, span.limit(usize::from(ether_type.0)))
}

/// What a security tag is before, where it was only signed.
fn secured(span: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    let tag = SecTag::parse(span.bytes).map_err(|error| span.fault(error))?;
    if !tag.is_clear {
        return Err(DropReason::NonIp);
    }
    let rest = span.skip(tag.len)?;
    let len = match tag.short_len {
        Some(len) => len,
        // A capture device may have taken the check value off: its length is only believed where
        // a packet would not reach into it. That of the packet says so itself.
        None => rest.len,
    };
    typed(rest.limit(len))
}

/// The packet behind a tag that has no type of its own, or one that is not known: those of
/// switches, of time stamps. `span` starts behind what stands where the type would be.
///
/// Nothing says how long such a tag is. The packet does: a type, and behind it a header of that
/// type whose lengths and checksum agree with the octets there are.
pub(super) fn behind_unknown(span: Span<'_>) -> Option<(Header, Span<'_>)> {
    /// Octets of the longest tag there should be, less the two that the frame's type takes.
    const MAX_LEN: usize = 16;
    (0..=MAX_LEN).step_by(2).find_map(|len| {
        let start = span.skip(len).ok()?;
        is_certain(start).then(|| typed(start).ok()).flatten()
    })
}

/// Whether a type and its packet stand here, VLAN tags between them aside.
fn is_certain(mut span: Span<'_>) -> bool {
    const MAX_TAGS: usize = 4;
    for _ in 0..=MAX_TAGS {
        let (Some(octets), Ok(rest)) = (span.bytes.first_chunk(), span.skip(2)) else {
            return false;
        };
        match EtherType(u16::from_be_bytes(*octets)) {
            EtherType::IPV4 => return is_ipv4(rest),
            EtherType::IPV6 => return is_ipv6(rest),
            ether_type if ether_type.is_vlan_tag() => match rest.skip(Tag::LEN - 2) {
                Ok(tagged) => span = tagged,
                Err(_) => return false,
            },
            _ => return false,
        }
    }
    false
}

/// Whether the total length fits, and the checksum is right or, where there is none, nothing but
/// the packet is there.
fn is_ipv4(span: Span<'_>) -> bool {
    Ipv4::parse(span.bytes).is_ok_and(|ip| {
        let len = ip.total_len().unwrap_or(0);
        let is_whole = len >= Ipv4::LEN && len <= span.len && !ip.is_damaged();
        is_whole && (ip.has_checksum() || len == span.len)
    })
}

/// Whether the payload length fits, and a header that is known follows.
fn is_ipv6(span: Span<'_>) -> bool {
    Ipv6::parse(span.bytes).is_ok_and(|ip| {
        let len = ip.payload_len().map(|len| Ipv6::LEN + len);
        let next_header = ip.next_header();
        let is_known = is_extension(next_header)
            || matches!(
                IpProtocol(next_header),
                IpProtocol::TCP | IpProtocol::UDP | IpProtocol::ICMPV6 | IpProtocol::ESP
            );
        is_known && len.is_some_and(|len| len <= span.len)
    })
}
