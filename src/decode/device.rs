//! What stands before the frame a capture device, a capture library or a link other than Ethernet
//! has carried.

use crate::capture::{Frame, LinkType};
use crate::wire::WireError;
use crate::wire::cooked::Family;
use crate::wire::docsis::{self, Docsis};
use crate::wire::erf::{self, Erf};
use crate::wire::infiniband::Ipoib;
use crate::wire::juniper::Juniper;
use crate::wire::multiprotocol::{self, Multiprotocol};
use crate::wire::nflog::Nflog;
use crate::wire::pflog::Pflog;
use crate::wire::pktap::Pktap;
use crate::wire::preamble::Preamble;
use crate::wire::radio::Ppi;
use crate::wire::ring::RingFrame;
use crate::wire::switch_tag::Dsa;
use crate::wire::tzsp::{Encapsulated, Tzsp};

use super::header::{Device, Header};
use super::span::Span;
use super::{DropReason, Vlans, tag};

/// Octets of the addresses of an Ethernet frame.
const ADDRESSES: usize = 12;

/// What follows the header of `device`, which `span` starts with.
pub(super) fn pass<'a>(
    device: Device,
    span: Span<'a>,
    vlans: &mut Vlans,
) -> Result<(Header, Span<'a>), DropReason> {
    match device {
        Device::Nflog => nflog(span),
        Device::Pflog => {
            let log = Pflog::parse(span.bytes).map_err(|error| span.fault(error))?;
            let packet = span.skip(log.len)?;
            Ok((by_family(log.family, packet)?, packet))
        }
        Device::Pktap | Device::PktapMaybe => {
            let tap = Pktap::parse(span.bytes).map_err(|error| match device {
                Device::PktapMaybe => DropReason::UnknownLink,
                _ => span.fault(error),
            })?;
            let link = tap.link.ok_or(DropReason::NonIp)?;
            Ok((of_link(link)?, span.skip(tap.len)?))
        }
        Device::Enc => {
            /// Family, index of the security parameters, flags.
            const LEN: usize = 12;
            let family = Family::parse(span.bytes).map_err(|error| span.fault(error))?;
            let packet = span.skip(LEN)?;
            Ok((by_family(family, packet)?, packet))
        }
        Device::Ipnet => {
            /// Version, family, hook, lengths, interfaces, zones.
            const LEN: usize = 24;
            let packet = span.skip(LEN)?;
            Ok((by_version(packet)?, packet))
        }
        Device::Juniper(carrier) => {
            let header = Juniper::parse(span.bytes).map_err(|error| span.fault(error))?;
            let rest = span.skip(header.len)?;
            if header.has_link_layer {
                Ok((carrier.into(), rest))
            } else {
                Ok((by_version(rest)?, rest))
            }
        }
        Device::Erf => {
            let record = Erf::parse(span.bytes).map_err(|error| span.fault(error))?;
            let next = match record.next {
                erf::Next::Ethernet => Header::Ethernet,
                erf::Next::Hdlc => Header::Ppp,
                erf::Next::Ip => Header::Ip,
                erf::Next::Other => return Err(DropReason::NonIp),
            };
            Ok((next, span.skip(record.len)?))
        }
        Device::Tzsp => {
            let header = Tzsp::parse(span.bytes).map_err(|error| span.fault(error))?;
            let next = match header.encapsulated {
                Encapsulated::Ethernet => Header::Ethernet,
                Encapsulated::Ieee80211 => Header::IEEE80211,
                Encapsulated::Prism | Encapsulated::Avs => Header::Prism,
                Encapsulated::Other(_) => return Err(DropReason::NonIp),
            };
            Ok((next, span.skip(header.len)?))
        }
        Device::Direction(carrier) => Ok((carrier.into(), span.skip(1)?)),
        Device::PppPppd => {
            // The direction stands in the place of the address, the control octet behind it.
            let rest = span.skip(1)?;
            let control = usize::from(rest.bytes.first() == Some(&0x03));
            Ok((Header::Ppp, rest.skip(control)?))
        }
        Device::Slip => {
            /// Direction, and the header as it was compressed.
            const LEN: usize = 16;
            // Without that header the packet itself, as some programs write it.
            match span.bytes.first() {
                Some(0x40..=0x4f | 0x60..=0x6f) => Ok((Header::Ip, span)),
                _ => Ok((Header::Ip, span.skip(LEN)?)),
            }
        }
        Device::FrameRelay => multiprotocol(Multiprotocol::parse_frame_relay, span),
        Device::Atm => multiprotocol(Multiprotocol::parse_atm, span),
        Device::SunAtm => sun_atm(span),
        Device::Fddi => ring(RingFrame::parse_fddi, span),
        Device::TokenRing => ring(RingFrame::parse_token_ring, span),
        // Two addresses of eight octets each (RFC 2625 section 3.2).
        Device::IpOverFibreChannel => Ok((Header::Llc, span.skip(16)?)),
        // The same, and a type.
        Device::IpOverIeee1394 => tag::typed(span.skip(16)?),
        Device::Ipoib => infiniband(Ipoib::parse(span.bytes), span),
        Device::Infiniband => infiniband(Ipoib::parse_packet(span.bytes), span),
        Device::Docsis => {
            let header = Docsis::parse(span.bytes).map_err(|error| span.fault(error))?;
            let next = match header.next {
                docsis::Next::Ethernet => Header::Ethernet,
                // The first stands for all, as for one address pair they mostly belong to one flow.
                docsis::Next::Concatenated => Header::Device(device),
                docsis::Next::Other => return Err(DropReason::NonIp),
            };
            Ok((next, span.skip(header.len)?.limit(header.payload_len)))
        }
        Device::Netanalyzer => Ok((Header::Ethernet, span.skip(NETANALYZER_LEN)?)),
        Device::NetanalyzerTransparent => preamble(span.skip(NETANALYZER_LEN)?),
        Device::Mpacket => preamble(span),
        Device::DsaBroadcom => tag::typed(span.skip(ADDRESSES)?.skip(Dsa::LEN)?),
        Device::DsaBroadcomPrepended => Ok((Header::Ethernet, span.skip(Dsa::LEN)?)),
        Device::DsaMarvell => {
            let tag = span.skip(ADDRESSES)?;
            tag::push_replaced(tag, vlans)?;
            tag::typed(tag.skip(Dsa::LEN)?)
        }
        Device::DsaMarvellTyped => {
            // A type as the switch is told to use, two octets that are reserved.
            let tag = span.skip(ADDRESSES)?.skip(4)?;
            tag::push_replaced(tag, vlans)?;
            tag::typed(tag.skip(Dsa::LEN)?)
        }
    }
}

/// Octets of the header of a netANALYZER: port, flags, length.
const NETANALYZER_LEN: usize = 4;

/// See [`super::unknown_link`].
pub(super) fn unknown_link(frame: Frame<'_>) -> LinkType {
    /// Such headers hardly stand in each other.
    const MAX_HEADERS: usize = 4;
    let (mut link, mut bytes) = (frame.link, frame.bytes);
    for _ in 0..MAX_HEADERS {
        let (inner, len) = match link {
            LinkType::PPI => Ppi::parse(bytes).map(|ppi| (Some(ppi.link), ppi.len)),
            LinkType::PKTAP | LinkType::USER2 => Pktap::parse(bytes).map(|tap| (tap.link, tap.len)),
            _ => return link,
        }
        .unwrap_or_default();
        let Some(inner) = inner.and_then(|inner| u16::try_from(inner).ok()) else {
            return link;
        };
        link = LinkType(inner);
        bytes = bytes.get(len..).unwrap_or_default();
    }
    link
}

/// The first header of frames of the link type that another header names.
pub(super) fn of_link(link: u32) -> Result<Header, DropReason> {
    let link = u16::try_from(link).ok().map(LinkType);
    link.and_then(Header::of).ok_or(DropReason::UnknownLink)
}

fn nflog(span: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    let log = Nflog::parse(span.bytes).map_err(|error| span.fault(error))?;
    let Some(len) = log.payload_len else {
        return Err(if span.bytes.len() < span.len {
            DropReason::Truncated
        } else {
            DropReason::NonIp
        });
    };
    let packet = span.skip(log.len)?.limit(len);
    let header = match log.family {
        Nflog::INET => Header::V4,
        Nflog::INET6 => Header::V6,
        _ => by_version(packet)?,
    };
    Ok((header, packet))
}

fn by_family(family: Family, packet: Span<'_>) -> Result<Header, DropReason> {
    match family {
        Family::Inet => Ok(Header::V4),
        Family::Inet6 => Ok(Header::V6),
        Family::Other(_) => by_version(packet),
    }
}

/// IP by its version, where other packets may stand as well.
fn by_version(packet: Span<'_>) -> Result<Header, DropReason> {
    match packet.bytes.first().map(|first| first >> 4) {
        Some(4) => Ok(Header::V4),
        Some(6) => Ok(Header::V6),
        Some(_) => Err(DropReason::NonIp),
        None => Err(packet.fault(WireError::Truncated)),
    }
}

type Parse<T> = fn(&[u8]) -> Result<T, WireError>;

fn multiprotocol(
    parse: Parse<Multiprotocol>,
    span: Span<'_>,
) -> Result<(Header, Span<'_>), DropReason> {
    let header = parse(span.bytes).map_err(|error| span.fault(error))?;
    let next = match header.next {
        multiprotocol::Next::Ip => Header::Ip,
        multiprotocol::Next::Type(ether_type) => Header::Type(ether_type),
        multiprotocol::Next::Ethernet => Header::Ethernet,
        multiprotocol::Next::Ppp => Header::Ppp,
        multiprotocol::Next::Other => return Err(DropReason::NonIp),
    };
    Ok((next, span.skip(header.len)?))
}

fn sun_atm(span: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    /// Kind of traffic, path, channel.
    const LEN: usize = 4;
    /// The number of the sender, before an emulated Ethernet frame.
    const LAN_CLIENT_LEN: usize = 2;
    let rest = span.skip(LEN)?;
    match span.bytes.first().map(|first| first & 0x0f) {
        Some(1) => Ok((Header::Ethernet, rest.skip(LAN_CLIENT_LEN)?)),
        // Management, signalling.
        Some(5 | 6) => Err(DropReason::NonIp),
        _ => Ok((Header::Device(Device::Atm), rest)),
    }
}

fn ring(parse: Parse<RingFrame>, span: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    let frame = parse(span.bytes).map_err(|error| span.fault(error))?;
    if !frame.is_llc {
        return Err(DropReason::NonIp);
    }
    Ok((Header::Llc, span.skip(frame.len)?))
}

fn infiniband(
    header: Result<Ipoib, WireError>,
    span: Span<'_>,
) -> Result<(Header, Span<'_>), DropReason> {
    let header = header.map_err(|error| span.fault(error))?;
    let ether_type = header.ether_type.ok_or(DropReason::NonIp)?;
    Ok((Header::Type(ether_type), span.skip(header.len)?))
}

fn preamble(span: Span<'_>) -> Result<(Header, Span<'_>), DropReason> {
    let preamble = Preamble::parse(span.bytes).map_err(|error| span.fault(error))?;
    if !preamble.starts_frame {
        return Err(DropReason::NonIp);
    }
    Ok((Header::Ethernet, span.skip(preamble.len)?))
}
