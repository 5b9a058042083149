//! Link layers: from a frame, or from what a tunnel carries, to the IP packet in it.

use crate::wire::cooked::{Cooked, Family};
use crate::wire::ethernet::{EtherType, Ethernet, Llc};
use crate::wire::ieee80211::{Data, FrameControl};
use crate::wire::ipv6::Ipv6;
use crate::wire::multilink::Multilink;
use crate::wire::ppp::{self, CiscoHdlc, Ppp, PppoeSession};
use crate::wire::radio::{Ppi, Prism, Radiotap};
use crate::wire::vlan::Tag;

pub(super) use super::header::Header;
use super::network::Network;
use super::pseudowire;
use super::span::Span;
use super::{DropReason, Vlans, device, tag};

/// How many headers may stand before an IP packet; pseudowires could nest as long as bytes last.
const MAX_HEADERS: usize = 32;

/// The IP packet behind `header`, which `span` starts with; VLANs on the way are added to `vlans`.
pub(super) fn walk<'a>(
    mut header: Header,
    mut span: Span<'a>,
    vlans: &mut Vlans,
) -> Result<Network<'a>, DropReason> {
    for _ in 0..MAX_HEADERS {
        (header, span) = match header {
            Header::V4 => return Ok(Network::V4(span)),
            Header::V6 => return Ok(Network::V6(span)),
            Header::Ip => (by_version(span)?, span),
            Header::Ethernet => {
                let ethernet = Ethernet::parse(span.bytes).map_err(|error| span.fault(error))?;
                tag::behind_type(ethernet.ether_type(), span.skip(Ethernet::LEN)?)
            }
            Header::Type(ether_type) => by_type(ether_type, span, vlans)?,
            Header::Llc => {
                let llc = Llc::parse(span.bytes).map_err(|error| span.fault(error))?;
                let rest = span.skip(llc.header_len())?;
                match llc {
                    Llc::Snap(ether_type) => (Header::Type(ether_type), rest),
                    Llc::Ip => (Header::Ip, rest),
                    Llc::Other => return Err(DropReason::NonIp),
                }
            }
            Header::Mpls => {
                let (reading, rest) = pseudowire::below_labels(span)?;
                (Header::read_as(reading), rest)
            }
            Header::Ppp if CiscoHdlc::is_likely(span.bytes) => (Header::CiscoHdlc, span),
            Header::Ppp => {
                let frame = Ppp::parse(span.bytes).map_err(|error| span.fault(error))?;
                let rest = span.skip(frame.header_len)?;
                match frame.protocol {
                    Multilink::PROTOCOL => multilink(rest)?,
                    protocol => (by_ppp(protocol)?, rest),
                }
            }
            Header::CiscoHdlc => {
                let frame = CiscoHdlc::parse(span.bytes).map_err(|error| span.fault(error))?;
                (Header::Type(frame.ether_type), span.skip(CiscoHdlc::LEN)?)
            }
            Header::Pppoe => {
                let session = PppoeSession::parse(span.bytes).map_err(|error| span.fault(error))?;
                let rest = span.skip(PppoeSession::LEN)?;
                (Header::Ppp, rest.limit(session.payload_len))
            }
            Header::Family => {
                let family = Family::parse(span.bytes).map_err(|error| span.fault(error))?;
                let rest = span.skip(Family::LEN)?;
                match family {
                    Family::Inet => (Header::V4, rest),
                    Family::Inet6 => (Header::V6, rest),
                    Family::Other(_) => return Err(DropReason::NonIp),
                }
            }
            Header::CookedV1 => {
                let cooked = Cooked::parse_v1(span.bytes).map_err(|error| span.fault(error))?;
                by_device(cooked, span.skip(Cooked::V1_LEN)?, vlans)?
            }
            Header::CookedV2 => {
                let cooked = Cooked::parse_v2(span.bytes).map_err(|error| span.fault(error))?;
                by_device(cooked, span.skip(Cooked::V2_LEN)?, vlans)?
            }
            Header::Ieee80211 { padded, swapped } => data_frame(span, padded, swapped)?,
            Header::Radiotap => {
                let tap = Radiotap::parse(span.bytes).map_err(|error| span.fault(error))?;
                let next = Header::Ieee80211 {
                    padded: tap.padded,
                    swapped: false,
                };
                (next, span.skip(tap.len)?)
            }
            Header::Prism => {
                let prism = Prism::parse(span.bytes).map_err(|error| span.fault(error))?;
                (Header::IEEE80211, span.skip(prism.len)?)
            }
            Header::Ppi => {
                let ppi = Ppi::parse(span.bytes).map_err(|error| span.fault(error))?;
                (device::of_link(ppi.link)?, span.skip(ppi.len)?)
            }
            Header::Device(device) => device::pass(device, span, vlans)?,
        };
    }
    Err(DropReason::TooDeep)
}

fn by_type<'a>(
    ether_type: EtherType,
    span: Span<'a>,
    vlans: &mut Vlans,
) -> Result<(Header, Span<'a>), DropReason> {
    Ok(match ether_type {
        EtherType::IPV4 => (Header::V4, span),
        EtherType::IPV6 => (Header::V6, span),
        _ if ether_type.is_vlan_tag() => {
            let tag = Tag::parse(span.bytes).map_err(|error| span.fault(error))?;
            // Identifier 0 says that the tag is there for the priority only.
            if tag.id() != 0 {
                vlans.push(tag.id());
            }
            tag::behind_type(tag.ether_type(), span.skip(Tag::LEN)?)
        }
        EtherType::MPLS | EtherType::MPLS_MULTICAST => (Header::Mpls, span),
        EtherType::PPPOE_SESSION => (Header::Pppoe, span),
        EtherType::PPP => (Header::Ppp, span),
        EtherType::BRIDGED => (Header::Ethernet, span),
        // The service tag is four octets; the customer's frame follows whole.
        EtherType::BACKBONE => (Header::Ethernet, span.skip(4)?),
        _ => tag::pass(ether_type, span, vlans)?,
    })
}

fn by_version(span: Span<'_>) -> Result<Header, DropReason> {
    match span.bytes.first().map(|first| first >> 4) {
        Some(4) => Ok(Header::V4),
        Some(6) => Ok(Header::V6),
        Some(_) => Err(DropReason::Malformed),
        None => Err(span.fault(crate::wire::WireError::Truncated)),
    }
}

fn by_ppp(protocol: ppp::Protocol) -> Result<Header, DropReason> {
    match protocol {
        ppp::Protocol::IPV4 => Ok(Header::V4),
        ppp::Protocol::IPV6 => Ok(Header::V6),
        ppp::Protocol::MPLS | ppp::Protocol::MPLS_MULTICAST => Ok(Header::Mpls),
        _ => Err(DropReason::NonIp),
    }
}

/// The packet in a multilink fragment that is a whole one; how long its header is shows by what
/// follows.
fn multilink(fragment: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    /// The longest header, a protocol number and the header of IP.
    const HEAD: usize = 4 + 2 + Ipv6::LEN;
    Multilink::parse(fragment.bytes).map_err(|error| match error {
        crate::wire::WireError::BadValue => DropReason::NonIp,
        error => fragment.fault(error),
    })?;
    let behind = |len| {
        let span = fragment.skip(len).ok()?;
        let frame = Ppp::parse(span.bytes).ok()?;
        let rest = span.skip(frame.header_len).ok()?;
        let header = by_ppp(frame.protocol).ok()?;
        let is_packet = match header {
            Header::V4 => Network::V4(rest).is_plausible(),
            Header::V6 => Network::V6(rest).is_plausible(),
            _ => true,
        };
        is_packet.then_some((header, rest))
    };
    match Multilink::LENGTHS.into_iter().find_map(behind) {
        Some(found) => Ok(found),
        None if fragment.bytes.len() < fragment.len.min(HEAD) => Err(DropReason::Truncated),
        None => Err(DropReason::NonIp),
    }
}

fn by_device<'a>(
    cooked: Cooked,
    span: Span<'a>,
    vlans: &mut Vlans,
) -> Result<(Header, Span<'a>), DropReason> {
    match cooked.hardware {
        Cooked::IEEE80211 => Ok((Header::IEEE80211, span)),
        Cooked::IEEE80211_PRISM => Ok((Header::Prism, span)),
        Cooked::IEEE80211_RADIOTAP => Ok((Header::Radiotap, span)),
        _ if cooked.protocol == Cooked::LLC => Ok((Header::Llc, span)),
        _ => behind_cooked(EtherType(cooked.protocol), span, vlans),
    }
}

/// What follows a cooked header that says `ether_type`.
///
/// A cooked header has one type for what should be a chain of them, and what Linux puts there when
/// there is more than one VLAN tag has changed: the type behind the first tag, or (since 6.11) that
/// behind the last one, with the other tags nevertheless before the packet when the frame came in,
/// and left out when it was sent. libpcap puts the first tag back before that type, in version 1 of
/// the header alone. So tags may stand where the packet should, or the packet where a tag should.
fn behind_cooked<'a>(
    mut ether_type: EtherType,
    mut span: Span<'a>,
    vlans: &mut Vlans,
) -> Result<(Header, Span<'a>), DropReason> {
    let mut is_tagged = false;
    for _ in 0..MAX_HEADERS {
        if let Some((tags, rest)) = tags_before(ether_type, span) {
            for &tag in tags.as_slice() {
                vlans.push(tag);
            }
            return by_type(ether_type, rest, vlans);
        }
        if !ether_type.is_vlan_tag() {
            break;
        }
        let tag = Tag::parse(span.bytes).map_err(|error| span.fault(error))?;
        if !goes_on(tag.ether_type()) {
            for (header, network) in [
                (Header::V4, Network::V4(span)),
                (Header::V6, Network::V6(span)),
            ] {
                if network.is_plausible() {
                    return Ok((header, span));
                }
            }
        }
        if tag.id() != 0 {
            vlans.push(tag.id());
        }
        (ether_type, span) = (tag.ether_type(), span.skip(Tag::LEN)?);
        is_tagged = true;
    }
    if is_tagged && ether_type.is_length() {
        return Ok(tag::behind_type(ether_type, span));
    }
    by_type(ether_type, span, vlans)
}

/// The tags that stand before the packet of this type although none was announced, and what
/// follows them. They end in that type again, and only a packet of it can follow.
fn tags_before(ether_type: EtherType, span: Span<'_>) -> Option<(Vlans, Span<'_>)> {
    if ether_type.is_vlan_tag() || !goes_on(ether_type) {
        return None;
    }
    let mut tags = Vlans::default();
    let mut rest = span;
    for _ in 0..MAX_HEADERS {
        let tag = Tag::parse(rest.bytes).ok()?;
        rest = rest.skip(Tag::LEN).ok()?;
        if tag.id() != 0 {
            tags.push(tag.id());
        }
        if tag.ether_type() == ether_type {
            return may_start(ether_type, rest).then_some((tags, rest));
        }
        if !tag.ether_type().is_vlan_tag() {
            return None;
        }
    }
    None
}

/// Whether a packet of this type can stand here, as far as it was captured.
fn may_start(ether_type: EtherType, span: Span<'_>) -> bool {
    // PPPoE: version and type 1, code 0 (RFC 2516 section 4).
    let (start, network): (u8, _) = match ether_type {
        EtherType::IPV4 => (0x40, Some(Network::V4(span))),
        EtherType::IPV6 => (0x60, Some(Network::V6(span))),
        EtherType::PPPOE_SESSION => return span.bytes.iter().zip([0x11, 0]).all(|(a, b)| *a == b),
        _ => return true,
    };
    let is_cut = span.bytes.len() < span.len.min(Ipv6::LEN);
    span.bytes.first().is_none_or(|first| first & 0xf0 == start)
        && (is_cut || network.is_some_and(|network| network.is_plausible()))
}

/// Whether this is a type that [`by_type`] goes on with, or ARP.
const fn goes_on(ether_type: EtherType) -> bool {
    ether_type.is_vlan_tag()
        || matches!(
            ether_type,
            EtherType::IPV4
                | EtherType::IPV6
                | EtherType::ARP
                | EtherType::MPLS
                | EtherType::MPLS_MULTICAST
                | EtherType::PPPOE_SESSION
        )
}

/// The LLC header in an IEEE 802.11 data frame.
fn data_frame(
    span: Span<'_>,
    padded: bool,
    swapped: bool,
) -> Result<(Header, Span<'_>), DropReason> {
    /// Two addresses and a length, before each frame of an aggregate.
    const SUBFRAME_HEADER: usize = 14;
    let control = if swapped {
        FrameControl::parse_swapped(span.bytes)
    } else {
        FrameControl::parse(span.bytes)
    };
    let control = control.map_err(|error| span.fault(error))?;
    if !control.has_clear_data() {
        return Err(DropReason::NonIp);
    }
    let data = Data::parse(control, span.bytes, padded).map_err(|error| span.fault(error))?;
    let rest = span.skip(data.header_len)?;
    if !data.is_aggregate {
        return Ok((Header::Llc, rest));
    }
    // The first packet of an aggregate stands for the frame, as for one address pair they mostly
    // belong to one flow.
    let Some([.., high, low]) = rest.bytes.first_chunk::<SUBFRAME_HEADER>() else {
        return Err(rest.fault(crate::wire::WireError::Truncated));
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    Ok((Header::Llc, rest.skip(SUBFRAME_HEADER)?.limit(len)))
}
