//! Tunnels: what an IP packet carries that is again a packet.
//!
//! A port or protocol number only makes a tunnel likely. It is entered when its header holds and
//! an IP packet is inside whose version and lengths agree with the octets there are
//! ([`Network::is_plausible`]); else the frame stays a packet of the outer flow. So does a tunnel's
//! own signalling, and anything but IP inside it.

use crate::wire::capwap::Capwap;
use crate::wire::erspan::Erspan;
use crate::wire::ethernet::EtherType;
use crate::wire::geneve::Geneve;
use crate::wire::gre::Gre;
use crate::wire::gtp::GtpU;
use crate::wire::ipv6::Ipv6;
use crate::wire::l2tp::L2tp;
use crate::wire::teredo::Teredo;
use crate::wire::tzsp::{Encapsulated, Tzsp};
use crate::wire::vxlan::{Next, Vxlan};

use super::ip::{Ip, Transport};
use super::link::{self, Header, Network};
use super::span::Span;
use super::{IpProtocol, Tunnel, Vlans};

/// A packet in a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inside<'a> {
    pub(super) tunnel: Tunnel,
    pub(super) id: u32,
    pub(super) network: Network<'a>,
    /// The VLANs around it, those inside the tunnel included.
    pub(super) vlans: Vlans,
}

/// The packet inside `ip`, where it is a tunnel.
#[inline]
pub(super) fn look_inside<'a>(
    ip: &Ip<'a>,
    transport: &Transport<'a>,
    vlans: Vlans,
) -> Option<Inside<'a>> {
    match ip.protocol {
        IpProtocol::UDP
            if is_tunnel_port(transport.destination_port)
                || is_tunnel_port(transport.source_port) =>
        {
            in_udp(transport, vlans)
        }
        IpProtocol::GRE => in_gre(ip.body, vlans),
        IpProtocol::IPV4 | IpProtocol::IPV6 | L2TP_OVER_IP => in_ip(ip, vlans),
        _ => None,
    }
}

const L2TP_OVER_IP: IpProtocol = IpProtocol(115);

const VXLAN: u16 = Vxlan::PORTS[0];
const VXLAN_OLD: u16 = Vxlan::PORTS[1];

#[inline]
const fn is_tunnel_port(port: u16) -> bool {
    matches!(
        port,
        VXLAN
            | VXLAN_OLD
            | Vxlan::GPE_PORT
            | Geneve::PORT
            | GtpU::PORT
            | Teredo::PORT
            | Capwap::PORT
            | Tzsp::PORT
            | L2tp::PORT
    )
}

#[cold]
fn in_udp<'a>(transport: &Transport<'a>, vlans: Vlans) -> Option<Inside<'a>> {
    let payload = transport.payload;
    by_port(transport.destination_port, payload, vlans)
        .or_else(|| by_port(transport.source_port, payload, vlans))
}

fn by_port(port: u16, payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    match port {
        VXLAN | VXLAN_OLD | Vxlan::GPE_PORT => in_vxlan(payload, vlans),
        Geneve::PORT => {
            let geneve = Geneve::parse(payload.bytes).ok()?;
            let rest = payload.skip(geneve.len).ok()?;
            let header = Header::Type(geneve.protocol);
            enter(Tunnel::Geneve, geneve.vni, header, rest, vlans)
        }
        GtpU::PORT => {
            let gtp = GtpU::parse(payload.bytes).ok()?;
            let packet = exactly(payload.skip(gtp.len).ok()?, gtp.payload_len)?;
            enter(Tunnel::GtpU, gtp.teid, Header::Ip, packet, vlans)
        }
        Teredo::PORT => in_teredo(payload, vlans),
        Capwap::PORT => in_capwap(payload, vlans),
        Tzsp::PORT => {
            let tzsp = Tzsp::parse(payload.bytes).ok()?;
            let header = match tzsp.encapsulated {
                Encapsulated::Ethernet => Header::Ethernet,
                Encapsulated::Ieee80211 => Header::IEEE80211,
                Encapsulated::Prism | Encapsulated::Avs => Header::Prism,
                Encapsulated::Other(_) => return None,
            };
            let frame = payload.skip(tzsp.len).ok()?;
            enter(Tunnel::Tzsp, 0, header, frame, vlans)
        }
        L2tp::PORT => in_l2tp(L2tp::parse(payload.bytes).ok()?, payload, vlans),
        _ => None,
    }
}

/// Follows `header` to an IP packet, and believes it when it is plausible.
fn enter(
    tunnel: Tunnel,
    id: u32,
    header: Header,
    span: Span<'_>,
    mut vlans: Vlans,
) -> Option<Inside<'_>> {
    let network = link::walk(header, span, &mut vlans).ok()?;
    network.is_plausible().then_some(Inside {
        tunnel,
        id,
        network,
        vlans,
    })
}

/// The first `len` octets of `span`, if it has so many.
fn exactly(span: Span<'_>, len: usize) -> Option<Span<'_>> {
    (len <= span.len).then(|| span.limit(len))
}

fn in_vxlan(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let vxlan = Vxlan::parse(payload.bytes).ok()?;
    let header = match vxlan.next {
        Next::Ethernet => Header::Ethernet,
        Next::Ipv4 => Header::V4,
        Next::Ipv6 => Header::V6,
        Next::Mpls => Header::Mpls,
        Next::Other(_) => return None,
    };
    let rest = payload.skip(Vxlan::LEN).ok()?;
    enter(Tunnel::Vxlan, vxlan.vni, header, rest, vlans)
}

fn in_teredo(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let teredo = Teredo::parse(payload.bytes).ok()?;
    let packet = payload.skip(teredo.len).ok()?;
    let ip = Ipv6::parse(packet.bytes).ok()?;
    let is_likely =
        Teredo::is_likely_address(&ip.source()) || Teredo::is_likely_address(&ip.destination());
    if !is_likely {
        return None;
    }
    enter(Tunnel::Teredo, 0, Header::V6, packet, vlans)
}

fn in_capwap(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let capwap = Capwap::parse(payload.bytes).ok()?;
    let frame = payload.skip(capwap.len).ok()?;
    let id = u32::from(capwap.radio);
    if !capwap.is_native {
        return enter(Tunnel::Capwap, id, Header::Ethernet, frame, vlans);
    }
    [false, true].into_iter().find_map(|swapped| {
        let header = Header::Ieee80211 {
            padded: false,
            swapped,
        };
        enter(Tunnel::Capwap, id, header, frame, vlans)
    })
}

fn in_l2tp(header: L2tp, message: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    match header {
        L2tp::V2 {
            tunnel,
            session,
            len,
            total_len,
        } => {
            let whole = match total_len {
                Some(total) => exactly(message, total)?,
                None => message,
            };
            let id = u32::from(tunnel) << 16 | u32::from(session);
            let frame = whole.skip(len).ok()?;
            enter(Tunnel::L2tp, id, Header::Ppp, frame, vlans)
        }
        // Cookie and sublayer are not on the wire's record: each length they may have is tried.
        L2tp::V3 { session, len } => [0, 4, 8, 12].into_iter().find_map(|agreed| {
            let frame = message.skip(len + agreed).ok()?;
            enter(Tunnel::L2tp, session, Header::Ethernet, frame, vlans)
        }),
    }
}

#[cold]
fn in_gre(body: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    /// Types II and I of ERSPAN, and type III.
    const ERSPAN: EtherType = EtherType(0x88be);
    const ERSPAN_III: EtherType = EtherType(0x22eb);
    /// Redirection to a web cache, with a header of four octets or none.
    const WCCP: EtherType = EtherType(0x883e);

    let gre = Gre::parse(body.bytes).ok()?;
    let rest = body.skip(gre.header_len).ok()?;
    let id = gre.key.unwrap_or(0);
    match gre.protocol {
        ERSPAN if !gre.has_sequence => enter(Tunnel::Erspan, 0, Header::Ethernet, rest, vlans),
        ERSPAN | ERSPAN_III => {
            let erspan = Erspan::parse(rest.bytes).ok()?;
            let header = if erspan.is_ethernet {
                Header::Ethernet
            } else {
                Header::Ip
            };
            let frame = rest.skip(erspan.len).ok()?;
            enter(
                Tunnel::Erspan,
                u32::from(erspan.session),
                header,
                frame,
                vlans,
            )
        }
        EtherType::PPP => {
            let frame = match gre.payload_len {
                Some(len) => exactly(rest, len)?,
                None => rest,
            };
            let tunnel = if gre.is_pptp {
                Tunnel::Pptp
            } else {
                Tunnel::Gre
            };
            enter(tunnel, id, Header::Ppp, frame, vlans)
        }
        WCCP => [0, 4].into_iter().find_map(|redirect| {
            let packet = rest.skip(redirect).ok()?;
            enter(Tunnel::Gre, id, Header::Ip, packet, vlans)
        }),
        protocol => enter(Tunnel::Gre, id, Header::Type(protocol), rest, vlans),
    }
}

#[cold]
fn in_ip<'a>(ip: &Ip<'a>, vlans: Vlans) -> Option<Inside<'a>> {
    let (tunnel, header) = match (ip.version, ip.protocol) {
        (_, L2TP_OVER_IP) => {
            return in_l2tp(L2tp::parse_over_ip(ip.body.bytes).ok()?, ip.body, vlans);
        }
        (4, IpProtocol::IPV4) => (Tunnel::Ipip, Header::V4),
        (4, _) => (Tunnel::SixInFour, Header::V6),
        (_, IpProtocol::IPV4) => (Tunnel::FourInSix, Header::V4),
        (_, _) => (Tunnel::Ipip, Header::V6),
    };
    let tunnel = if ip.is_authenticated {
        Tunnel::Ah
    } else {
        tunnel
    };
    enter(tunnel, 0, header, ip.body, vlans)
}
