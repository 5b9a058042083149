//! The [`Decoder`]: one frame in, one answer out.

use crate::capture::{Envelope, Frame, LinkType};
use crate::time::Timestamp;
use crate::wire::ethernet::{EtherType, Ethernet};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

use super::fragment::{Around, Carrier, Fragments};
use super::ip::{Ip, Transport};
use super::link::{self, Header};
use super::network::Network;
use super::span::Span;
use super::{Aside, Config, Datagram, Decoded, DropReason, IpProtocol, Packet, Tunnel, tunnel};

/// Where to begin: the outermost packet, its length if it was put together, and who sent it.
type Start<'a> = (Network<'a>, Option<u32>, Option<&'a [u8; 6]>);

/// Finds the innermost packet of frames, and holds the fragments among them.
///
/// Each frame's bytes come out once: in a [`Packet`] (as its `wire_len`, fragments summed up), as
/// [`Decoded::Dropped`], or through the `give_up` of [`Self::expire`] and [`Self::finish`].
#[derive(Debug)]
pub struct Decoder {
    max_depth: u8,
    fragments: Fragments,
}

impl Decoder {
    /// A decoder that holds nothing yet.
    pub fn new(config: Config) -> Self {
        Self {
            max_depth: config.max_depth,
            fragments: Fragments::new(&config),
        }
    }

    /// What `frame` is.
    pub fn decode<'a>(&mut self, frame: Frame<'a>) -> Decoded<'a> {
        let mut packet = None;
        let aside = self.decode_into(frame, &mut packet);
        Decoded::of(packet, aside)
    }

    /// Puts the packet that `frame` is into `packet`, where it can stay: it is large to be moved. Else
    /// returns what has become of the frame.
    #[inline(always)]
    pub fn decode_into<'a>(
        &mut self,
        frame: Frame<'a>,
        packet: &mut Option<Packet<'a>>,
    ) -> Option<Aside> {
        let carrier = Carrier {
            at: frame.at,
            number: frame.number,
            interface: frame.interface,
            numbers: std::slice::from_ref(&frame.number),
            wire_len: frame.wire_len,
            frames: frame.frames,
        };
        let mut around = match around(frame.envelope) {
            Ok(around) => around,
            Err(reason) => return Some(Aside::Dropped(reason)),
        };
        let span = Span::new(frame.bytes, frame.wire_len as usize);
        let network = match plain_ethernet(frame.link, span) {
            Some(network) => network,
            None => match first_network(frame.link, span, &mut around) {
                Ok(network) => network,
                Err(reason) => return Some(Aside::Dropped(reason)),
            },
        };
        let innermost = (network, None, source_mac(frame));
        self.descend(&carrier, around, innermost, packet)
    }

    /// What a datagram put together from fragments is: it may hold a tunnel, and in that fragments
    /// again.
    pub fn decode_datagram<'d>(&mut self, datagram: &'d Datagram) -> Decoded<'d> {
        let carrier = Carrier {
            at: datagram.at,
            number: datagram.number,
            interface: datagram.interface,
            numbers: &datagram.numbers,
            wire_len: datagram.wire_len,
            frames: datagram.frames,
        };
        let around = Around {
            vlans: datagram.vlans,
            tunnel: datagram.tunnel,
            tunnel_id: datagram.tunnel_id,
            depth: datagram.depth,
        };
        let bytes = datagram.bytes.as_slice();
        let network = if let Ok(ip) = Ipv4::parse(bytes) {
            Network::V4(Span::new(bytes, ip.total_len().unwrap_or(0)))
        } else if let Ok(ip) = Ipv6::parse(bytes) {
            Network::V6(Span::new(bytes, Ipv6::LEN + ip.payload_len().unwrap_or(0)))
        } else {
            return Decoded::Dropped(DropReason::Malformed);
        };
        let mut packet = None;
        let whole = (network, Some(datagram.ip_len), None);
        let aside = self.descend(&carrier, around, whole, &mut packet);
        Decoded::of(packet, aside)
    }

    /// Gives up the fragments that waited longer than their time at `watermark`, the latest time
    /// of any frame so far, and reports all given up since the last call: reason, frames, length
    /// of these on the wire.
    pub fn expire(&mut self, watermark: Timestamp, give_up: &mut impl FnMut(DropReason, u32, u64)) {
        self.fragments.expire(watermark, give_up);
    }

    /// Gives up all fragments still held, at the end of the stream, and reports as
    /// [`Self::expire`] does.
    pub fn finish(&mut self, give_up: &mut impl FnMut(DropReason, u32, u64)) {
        self.fragments.finish(give_up);
    }

    /// Frames taken in whose fate is open: how many, and their length on the wire.
    pub fn waiting(&self) -> (u64, u64) {
        self.fragments.waiting()
    }

    /// Bytes the fragments held count for within [`Config::fragment_bytes`].
    pub fn fragments_held(&self) -> usize {
        self.fragments.cost()
    }

    /// Goes from packet to the packet inside it, to the innermost one.
    ///
    /// `reassembled`: the first packet is a datagram put together from fragments of this many
    /// octets. `source_mac`: who sent the frame.
    fn descend<'a>(
        &mut self,
        carrier: &Carrier<'_>,
        mut around: Around,
        (mut network, mut reassembled, source_mac): Start<'a>,
        packet: &mut Option<Packet<'a>>,
    ) -> Option<Aside> {
        loop {
            let ip = match Ip::read(network) {
                Ok(ip) => ip,
                Err(reason) => return Some(Aside::Dropped(reason)),
            };
            if ip.part.is_some() {
                return Some(self.hold(&ip, carrier, &around, reassembled.is_some()));
            }
            let transport = match Transport::read(ip.protocol, ip.body) {
                Ok(transport) => transport,
                Err(reason) => return Some(Aside::Dropped(reason)),
            };
            if ip.protocol != IpProtocol::TCP
                && let Some(inside) = tunnel::look_inside(&ip, &transport, around.vlans)
            {
                if around.depth >= self.max_depth {
                    return Some(Aside::Dropped(DropReason::TooDeep));
                }
                around.depth += 1;
                around.vlans = inside.vlans;
                if around.tunnel.is_none() {
                    around.tunnel = Some(inside.tunnel);
                    around.tunnel_id = inside.id;
                }
                network = inside.network;
                reassembled = None;
                continue;
            }
            // A length field may claim more than was on the wire; volume is not made of claims.
            let ip_len = u32::try_from(ip.len).unwrap_or(u32::MAX);
            *packet = Some(Packet {
                at: carrier.at,
                number: carrier.number,
                version: ip.version,
                protocol: ip.protocol,
                source: ip.source,
                destination: ip.destination,
                source_port: transport.source_port,
                destination_port: transport.destination_port,
                icmp: transport.icmp,
                tcp: transport.tcp,
                payload: transport.payload.bytes,
                payload_len: u32::try_from(transport.payload.len).unwrap_or(u32::MAX),
                wire_len: carrier.wire_len,
                ip_len: reassembled.unwrap_or(ip_len).min(carrier.wire_len),
                frames: carrier.frames,
                vlans: around.vlans,
                tunnel: around.tunnel,
                tunnel_id: around.tunnel_id,
                // In a tunnel it is that of the tunnel's end.
                source_mac: source_mac.filter(|_| around.tunnel.is_none()),
            });
            return None;
        }
    }

    /// Keeps a fragment, or returns the datagram it completes.
    #[cold]
    fn hold(
        &mut self,
        ip: &Ip<'_>,
        carrier: &Carrier<'_>,
        around: &Around,
        is_reassembled: bool,
    ) -> Aside {
        let Some(part) = ip.part else {
            return Aside::Dropped(DropReason::Malformed);
        };
        // No sender fragments a fragment again under a header of its own; such datagrams would
        // have to be put together as often as they have room for headers.
        if is_reassembled {
            return Aside::Dropped(DropReason::Malformed);
        }
        match self.fragments.offer(ip, part, carrier, around) {
            Ok(Some(datagram)) => Aside::Datagram(datagram),
            Ok(None) => Aside::Fragment,
            Err(reason) => Aside::Dropped(reason),
        }
    }
}

/// What a source has taken from around a frame; why there is none.
#[inline]
fn around(envelope: Envelope) -> Result<Around, DropReason> {
    let (tunnel, id) = match envelope {
        Envelope::None => return Ok(Around::default()),
        Envelope::Vxlan(vni) => (Tunnel::Vxlan, vni),
        Envelope::Geneve(vni) => (Tunnel::Geneve, vni),
        Envelope::Other => return Err(DropReason::NonIp),
        Envelope::Malformed => return Err(DropReason::Malformed),
    };
    Ok(Around {
        tunnel: Some(tunnel),
        tunnel_id: id,
        depth: 1,
        ..Around::default()
    })
}

/// Who sent an Ethernet frame.
#[inline]
pub(super) fn source_mac(frame: Frame<'_>) -> Option<&[u8; 6]> {
    if frame.link != LinkType::ETHERNET {
        return None;
    }
    let (_, rest) = frame.bytes.split_first_chunk::<6>()?;
    rest.first_chunk()
}

/// Ethernet with IP in it and nothing between: nearly every frame there is.
#[inline]
fn plain_ethernet(link: LinkType, span: Span<'_>) -> Option<Network<'_>> {
    if link != LinkType::ETHERNET {
        return None;
    }
    let ethernet = Ethernet::parse(span.bytes).ok()?;
    let packet = Span {
        bytes: ethernet.payload(),
        len: span.len - Ethernet::LEN,
    };
    match ethernet.ether_type() {
        EtherType::IPV4 => Some(Network::V4(packet)),
        EtherType::IPV6 => Some(Network::V6(packet)),
        _ => None,
    }
}

/// The outermost IP packet of a frame, if there is one.
#[inline]
pub(super) fn outermost<'a>(frame: &Frame<'a>) -> Option<Network<'a>> {
    around(frame.envelope).ok()?;
    let span = Span::new(frame.bytes, frame.wire_len as usize);
    plain_ethernet(frame.link, span)
        .or_else(|| first_network(frame.link, span, &mut Around::default()).ok())
}

/// The outermost IP packet of a frame.
#[inline(never)]
fn first_network<'a>(
    link: LinkType,
    span: Span<'a>,
    around: &mut Around,
) -> Result<Network<'a>, DropReason> {
    let header = Header::of(link).ok_or(DropReason::UnknownLink)?;
    link::walk(header, span, &mut around.vlans)
}
