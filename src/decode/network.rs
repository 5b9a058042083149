//! What should be an IP packet, and how much in it says that it is one.

use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{Ipv6, kind};
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

use super::IpProtocol;
use super::span::Span;

/// An IP packet, not yet read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Network<'a> {
    /// What should be IPv4.
    V4(Span<'a>),
    /// What should be IPv6.
    V6(Span<'a>),
}

/// Agreement from which a packet is believed where nothing else speaks for one: a port at most.
/// Random octets have less than one chance in a hundred thousand.
const PROOF: u32 = 13;

/// The same where not even a port does.
const STRICT_PROOF: u32 = 24;

impl<'a> Network<'a> {
    /// What starts with a version of IP.
    pub(super) fn by_version(span: Span<'a>) -> Option<Self> {
        match span.bytes.first()? >> 4 {
            4 => Some(Self::V4(span)),
            6 => Some(Self::V6(span)),
            _ => None,
        }
    }

    /// What was captured of it, without what lies behind its end, and how long it is.
    pub(super) fn whole(&self) -> Option<(&'a [u8], usize)> {
        let (span, len) = match *self {
            Self::V4(span) => (span, Ipv4::parse(span.bytes).ok()?.total_len()),
            Self::V6(span) => {
                let len = Ipv6::parse(span.bytes).ok()?.payload_len();
                (span, len.map(|len| Ipv6::LEN + len))
            }
        };
        let packet = len.map_or(span, |len| span.limit(len));
        Some((packet.bytes, packet.len))
    }

    /// Whether this can be what it is taken for: version, header length and total length agree with
    /// the octets there are. What a type or a label says is believed on this condition.
    pub(super) fn is_plausible(&self) -> bool {
        match self {
            Self::V4(span) => Ipv4::parse(span.bytes).is_ok_and(|ip| match ip.total_len() {
                Some(len) => len <= span.len,
                None => is_offloaded_v4(&ip, *span),
            }),
            Self::V6(span) => Ipv6::parse(span.bytes).is_ok_and(|ip| match ip.payload_len() {
                Some(len) => Ipv6::LEN + len <= span.len,
                None => is_offloaded_v6(&ip, *span),
            }),
        }
    }

    /// Whether so much agrees that this is a packet although only a port number suggested it.
    pub(super) fn is_proved(&self) -> bool {
        self.agreement().is_some_and(|bits| bits >= PROOF)
    }

    /// Whether this is a packet although nothing suggested it: it fills the octets there are, and
    /// its header checksum is right, or what it carries agrees as well.
    pub(super) fn is_proved_alone(&self) -> bool {
        let (span, len) = match self {
            Self::V4(span) => (
                span,
                Ipv4::parse(span.bytes)
                    .ok()
                    .and_then(|ip| ip.total_len().filter(|_| !ip.is_damaged())),
            ),
            Self::V6(span) => (
                span,
                Ipv6::parse(span.bytes)
                    .ok()
                    .and_then(|ip| ip.payload_len())
                    .map(|len| Ipv6::LEN + len),
            ),
        };
        len == Some(span.len) && self.agreement().is_some_and(|bits| bits >= STRICT_PROOF)
    }

    /// About how many bits of the packet agree with one another and with the octets there are;
    /// none if some contradict.
    pub(super) fn agreement(&self) -> Option<u32> {
        const VERSION: u32 = 4;
        const PLAIN_HEADER: u32 = 3;
        const CHECKSUM: u32 = 16;
        if !self.is_plausible() {
            return None;
        }
        Some(match self {
            Self::V4(span) => {
                let ip = Ipv4::parse(span.bytes).ok()?;
                let header = if ip.options().is_empty() {
                    PLAIN_HEADER
                } else {
                    0
                };
                let checksum = if ip.has_right_checksum() { CHECKSUM } else { 0 };
                let upper = if ip.is_fragment() {
                    None
                } else {
                    let end = ip.total_len().unwrap_or(span.len);
                    transport(ip.protocol(), ip.payload(), end - ip.header_len())
                };
                VERSION
                    + header
                    + checksum
                    + length(ip.total_len(), span.len, 10)
                    + upper.unwrap_or(0)
            }
            Self::V6(span) => {
                let ip = Ipv6::parse(span.bytes).ok()?;
                let octets = span.len - Ipv6::LEN;
                let body = ip.payload_len().unwrap_or(octets);
                let upper = transport(ip.next_header(), ip.payload(), body);
                VERSION + length(ip.payload_len(), octets, 14) + upper.unwrap_or(0)
            }
        })
    }
}

/// What a length field is worth: `exact` if it says all there is, little if it leaves room for
/// padding, and little if it is zero, as an empty run of octets satisfies that.
fn length(said: Option<usize>, there: usize, exact: u32) -> u32 {
    match said {
        Some(len) if len == there => exact,
        _ => 4,
    }
}

/// What agrees in the transport header of a body of `len` octets; none if it contradicts or is not
/// to be judged.
fn transport(protocol: u8, body: &[u8], len: usize) -> Option<u32> {
    match IpProtocol(protocol) {
        IpProtocol::TCP => {
            let tcp = Tcp::parse(body).ok()?;
            (tcp.header_len() <= len && tcp.has_possible_flags()).then_some(6)
        }
        IpProtocol::UDP => match Udp::parse(body).ok()?.payload_len().ok()? {
            Some(payload) if Udp::LEN + payload == len => Some(10),
            Some(payload) if Udp::LEN + payload > len => None,
            _ => Some(0),
        },
        _ => None,
    }
}

/// Whether a total length of zero is a network card's that cuts the packet into segments: it does
/// so with TCP and UDP, and takes the length of what it was given.
#[cold]
fn is_offloaded_v4(ip: &Ipv4<'_>, span: Span<'_>) -> bool {
    let len = span.len - ip.header_len();
    let is_cut = ip.payload().len() < Udp::LEN.min(len);
    ip.has_right_checksum()
        || (is_cut && matches!(IpProtocol(ip.protocol()), IpProtocol::TCP | IpProtocol::UDP))
        || transport(ip.protocol(), ip.payload(), len).is_some()
}

/// The same for a payload length of zero, which is also a jumbogram's (RFC 2675), and right where
/// nothing follows.
#[cold]
fn is_offloaded_v6(ip: &Ipv6<'_>, span: Span<'_>) -> bool {
    match ip.next_header() {
        kind::NO_NEXT_HEADER | kind::HOP_BY_HOP => true,
        next => {
            let len = span.len - Ipv6::LEN;
            let is_cut = ip.payload().len() < Tcp::LEN.min(len);
            let is_segmented = matches!(IpProtocol(next), IpProtocol::TCP | IpProtocol::UDP);
            is_segmented && (is_cut || transport(next, ip.payload(), len).is_some())
        }
    }
}
