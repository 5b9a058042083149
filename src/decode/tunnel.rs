//! Tunnels: what an IP packet carries that is again a packet.
//!
//! A port or protocol number only makes a tunnel likely. It is entered when its header holds and
//! an IP packet is inside whose version and lengths agree with the octets there are
//! ([`Network::is_plausible`]); where the header has little to check, more must agree
//! ([`Network::is_proved`]). Else the frame stays a packet of the outer flow. So does a tunnel's own
//! signalling, and anything but IP inside it. Bits that a receiver is to ignore are ignored.

use crate::wire::ayiya::Ayiya;
use crate::wire::capwap::Capwap;
use crate::wire::erspan::Erspan;
use crate::wire::etherip::EtherIp;
use crate::wire::ethernet::EtherType;
use crate::wire::geneve::Geneve;
use crate::wire::gre::Gre;
use crate::wire::gtp::GtpU;
use crate::wire::gue::Gue;
use crate::wire::ipv6::Ipv6;
use crate::wire::l2tp::L2tp;
use crate::wire::lisp::Lisp;
use crate::wire::teredo::Teredo;
use crate::wire::tzsp::{Encapsulated, Tzsp};
use crate::wire::vxlan::Vxlan;

use super::ip::{Ip, Transport};
use super::link::{self, Header};
use super::network::Network;
use super::pseudowire;
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
        IpProtocol::UDP if is_filled(transport.payload) => in_fou(transport.payload, vlans),
        IpProtocol::GRE => in_gre(ip.body, vlans),
        IpProtocol::IPV4
        | IpProtocol::IPV6
        | IpProtocol::ETHERIP
        | IpProtocol::L2TP
        | IpProtocol::MPLS
        | IpProtocol::ETHERNET => in_ip(ip, vlans),
        _ => None,
    }
}

const VXLAN: u16 = Vxlan::PORTS[0];
const VXLAN_OLD: u16 = Vxlan::PORTS[1];
/// RFC 8086 section 8; 4755 is the same over DTLS.
const GRE_IN_UDP: u16 = 4754;
/// RFC 7510 section 8; 6636 is the same over DTLS.
const MPLS_IN_UDP: u16 = 6635;
/// No port is assigned to foo over UDP: these are in the manual pages of Linux, for packets, GRE or
/// GUE.
const FOU: u16 = 5555;
const FOU_ELSE: u16 = 7777;

#[inline]
const fn is_tunnel_port(port: u16) -> bool {
    matches!(
        port,
        VXLAN
            | VXLAN_OLD
            | Vxlan::GPE_PORT
            | Geneve::PORT
            | GtpU::PORT
            | GtpU::PORT_V0
            | Teredo::PORT
            | Capwap::PORT
            | Tzsp::PORT
            | L2tp::PORT
            | Lisp::PORT
            | Ayiya::PORT
            | Gue::PORT
            | GRE_IN_UDP
            | MPLS_IN_UDP
            | FOU
            | FOU_ELSE
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
        VXLAN | Vxlan::GPE_PORT => in_vxlan(payload, vlans),
        VXLAN_OLD => in_vxlan(payload, vlans).or_else(|| in_layer_2_lisp(payload, vlans)),
        Geneve::PORT => {
            let geneve = Geneve::parse(payload.bytes).ok()?;
            let rest = payload.skip(geneve.len).ok()?;
            let header = Header::Type(geneve.protocol);
            enter(Tunnel::Geneve, geneve.vni, header, rest, vlans)
        }
        GtpU::PORT => in_gtp(GtpU::parse(payload.bytes).ok()?, payload, vlans),
        GtpU::PORT_V0 => in_gtp(GtpU::parse_v0(payload.bytes).ok()?, payload, vlans),
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
        Lisp::PORT => in_lisp(payload, vlans),
        Ayiya::PORT => {
            let ayiya = Ayiya::parse(payload.bytes).ok()?;
            let header = by_number(ayiya.next)?;
            let packet = payload.skip(ayiya.len).ok()?;
            enter_proved(Tunnel::Ayiya, 0, header, packet, vlans)
        }
        Gue::PORT => in_gue(payload, vlans),
        GRE_IN_UDP => in_gre(payload, vlans),
        MPLS_IN_UDP => enter_proved(Tunnel::Mpls, 0, Header::Mpls, payload, vlans),
        FOU | FOU_ELSE => in_fou(payload, vlans)
            .or_else(|| in_gue(payload, vlans))
            .or_else(|| in_gre(payload, vlans).filter(|inside| inside.network.is_proved())),
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

/// The same where what is around the packet says too little.
fn enter_proved(
    tunnel: Tunnel,
    id: u32,
    header: Header,
    span: Span<'_>,
    vlans: Vlans,
) -> Option<Inside<'_>> {
    enter(tunnel, id, header, span, vlans).filter(|inside| inside.network.is_proved())
}

/// The first `len` octets of `span`, if it has so many.
fn exactly(span: Span<'_>, len: usize) -> Option<Span<'_>> {
    (len <= span.len).then(|| span.limit(len))
}

/// What an IP protocol number says that a packet or frame starts with.
const fn by_number(number: u8) -> Option<Header> {
    match IpProtocol(number) {
        IpProtocol::IPV4 => Some(Header::V4),
        IpProtocol::IPV6 => Some(Header::V6),
        IpProtocol::MPLS => Some(Header::Mpls),
        IpProtocol::ETHERNET => Some(Header::Ethernet),
        _ => None,
    }
}

fn in_vxlan(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let vxlan = Vxlan::parse(payload.bytes).ok()?;
    let rest = payload.skip(Vxlan::LEN).ok()?;
    let enter = |header| enter(Tunnel::Vxlan, vxlan.vni, header, rest, vlans);
    // The bit of the generic protocol extension is one to be ignored where that is not spoken.
    vxlan
        .ether_type()
        .and_then(|ether_type| enter(Header::Type(ether_type)))
        .or_else(|| enter(Header::Ethernet))
}

fn in_lisp(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let lisp = Lisp::parse(payload.bytes).ok()?;
    let rest = payload.skip(Lisp::LEN).ok()?;
    let id = lisp.instance.unwrap_or(0);
    let enter = |header| enter_proved(Tunnel::Lisp, id, header, rest, vlans);
    lisp.ether_type()
        .and_then(|ether_type| enter(Header::Type(ether_type)))
        .or_else(|| enter(Header::Ip))
}

fn in_layer_2_lisp(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let lisp = Lisp::parse(payload.bytes).ok()?;
    let rest = payload.skip(Lisp::LEN).ok()?;
    let id = lisp.instance.unwrap_or(0);
    enter_proved(Tunnel::Lisp, id, Header::Ethernet, rest, vlans)
}

fn in_gtp(gtp: GtpU, message: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let content = exactly(message.skip(gtp.len).ok()?, gtp.payload_len)?;
    // A session is of IP or of Ethernet (TS 23.501 section 5.6.10), which the message does not say.
    let header = Header::read_as(pseudowire::likeliest(content)?);
    enter(Tunnel::GtpU, gtp.teid, header, content, vlans)
}

fn in_gue(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    match Gue::parse(payload.bytes).ok()? {
        Gue::V1 => enter_proved(Tunnel::Gue, 0, Header::Ip, payload, vlans),
        Gue::V0 { protocol, len } => {
            let rest = payload.skip(len).ok()?;
            match IpProtocol(protocol) {
                IpProtocol::GRE => in_gre(rest, vlans).filter(|inside| inside.network.is_proved()),
                IpProtocol::ETHERIP => in_etherip(rest, vlans),
                _ => enter_proved(Tunnel::Gue, 0, by_number(protocol)?, rest, vlans),
            }
            .map(|inside| Inside {
                tunnel: Tunnel::Gue,
                ..inside
            })
        }
    }
}

/// Whether the lengths of what may be a header of IP fill the octets there are.
#[inline]
fn is_filled(span: Span<'_>) -> bool {
    match *span.bytes {
        [0x45..=0x4f, _, high, low, ..] => usize::from(u16::from_be_bytes([high, low])) == span.len,
        [0x60..=0x6f, _, _, _, high, low, ..] => {
            usize::from(u16::from_be_bytes([high, low])) + Ipv6::LEN == span.len
        }
        _ => false,
    }
}

/// Foo over UDP: a packet without any header, on a port that two hosts agreed on. So is Teredo
/// between two clients.
#[cold]
fn in_fou(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let network = Network::by_version(payload)?;
    let is_teredo = matches!(network, Network::V6(span) if is_of_teredo(span));
    network.is_proved_alone().then_some(Inside {
        tunnel: if is_teredo {
            Tunnel::Teredo
        } else {
            Tunnel::Fou
        },
        id: 0,
        network,
        vlans,
    })
}

fn in_teredo(payload: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let teredo = Teredo::parse(payload.bytes).ok()?;
    let packet = payload.skip(teredo.len).ok()?;
    if !is_of_teredo(packet) {
        return None;
    }
    enter(Tunnel::Teredo, 0, Header::V6, packet, vlans)
}

/// Whether a packet of IPv6 has an address that Teredo packets have.
fn is_of_teredo(packet: Span<'_>) -> bool {
    Ipv6::parse(packet.bytes).is_ok_and(|ip| {
        Teredo::is_likely_address(&ip.source()) || Teredo::is_likely_address(&ip.destination())
    })
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
        // Cookie, sublayer and the kind of payload are not on the wire's record: each length that
        // they may have is tried, for frames of Ethernet and of PPP.
        L2tp::V3 { session, len } => {
            let at = |agreed| message.skip(len + agreed).ok();
            let lengths = [0, 4, 8, 12];
            let ethernet = lengths.into_iter().find_map(|agreed| {
                enter(Tunnel::L2tp, session, Header::Ethernet, at(agreed)?, vlans)
            });
            ethernet.or_else(|| {
                lengths.into_iter().find_map(|agreed| {
                    enter_proved(Tunnel::L2tp, session, Header::Ppp, at(agreed)?, vlans)
                })
            })
        }
    }
}

fn in_etherip(body: Span<'_>, vlans: Vlans) -> Option<Inside<'_>> {
    let etherip = EtherIp::parse(body.bytes).ok()?;
    let frame = body.skip(EtherIp::LEN).ok()?;
    let id = u32::from(etherip.id);
    enter(Tunnel::EtherIp, id, Header::Ethernet, frame, vlans)
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
        EtherType::MIKROTIK => {
            let frame = exactly(rest, gre.payload_len?)?;
            enter(Tunnel::Eoip, id, Header::Ethernet, frame, vlans)
        }
        // The types tell queues apart, not what follows: frames as access points have them.
        EtherType(0x8200..=0x83ff) => [
            Header::IEEE80211,
            Header::Ethernet,
            Header::Ieee80211 {
                padded: false,
                swapped: true,
            },
            Header::Type(gre.protocol),
        ]
        .into_iter()
        .find_map(|header| enter(Tunnel::Gre, id, header, rest, vlans)),
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
        (_, IpProtocol::L2TP) => {
            return in_l2tp(L2tp::parse_over_ip(ip.body.bytes).ok()?, ip.body, vlans);
        }
        (_, IpProtocol::ETHERIP) => return in_etherip(ip.body, vlans),
        (_, IpProtocol::MPLS) => (Tunnel::Mpls, Header::Mpls),
        (_, IpProtocol::ETHERNET) => (Tunnel::Srv6, Header::Ethernet),
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
