//! The IP header, its extension headers and the transport header behind them.

use crate::wire::dccp::Dccp;
use crate::wire::icmp::Icmp;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{Extension, FragmentHeader, Ipv6, is_extension, kind};
use crate::wire::sctp::Sctp;
use crate::wire::tcp::{self, Tcp};
use crate::wire::udp::Udp;

use super::network::Network;
use super::span::Span;
use super::{Address, DropReason, IpProtocol, TcpSegment};

/// How many extension headers a packet may have.
const MAX_EXTENSIONS: usize = 16;

/// What the IP header says, and what is behind it and its extension headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    pub(super) version: u8,
    pub(super) protocol: IpProtocol,
    pub(super) source: Address,
    pub(super) destination: Address,
    /// The transport header and its payload, or a part of them.
    pub(super) body: Span<'a>,
    /// Octets of the packet by its header.
    pub(super) len: usize,
    /// Set where the body is a part of a datagram only.
    pub(super) part: Option<Part>,
    /// Whether an authentication header was passed.
    pub(super) is_authenticated: bool,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) identification: u32,
    /// Octets of the datagram before this part.
    pub(super) offset: usize,
    /// Whether parts behind this one follow.
    pub(super) more: bool,
}

impl<'a> Ip<'a> {
    /// The packet `network` is.
    #[inline(always)]
    pub(super) fn read(network: Network<'a>) -> Result<Self, DropReason> {
        match network {
            Network::V4(span) => Self::read_v4(span),
            Network::V6(span) => Self::read_v6(span),
        }
    }

    #[inline(always)]
    fn read_v4(span: Span<'a>) -> Result<Self, DropReason> {
        let ip = match Ipv4::parse(span.bytes) {
            Ok(ip) => ip,
            Err(error) => return Err(span.fault(error)),
        };
        let len = ip.total_len().unwrap_or(span.len);
        // A total length past the end of the frame: either a mirror or a tool cut the packet and
        // does not say so, and what is there is decoded as far as it goes; or the header is
        // damaged, which its checksum tells, and no receiver takes it (RFC 1122 section 3.2.1.2).
        if len > span.len && ip.is_damaged() {
            return Err(DropReason::Malformed);
        }
        let mut packet = Self {
            version: 4,
            protocol: IpProtocol(ip.protocol()),
            source: Address::v4(ip.source()),
            destination: Address::v4(ip.destination()),
            body: Span {
                bytes: ip.payload(),
                len: len - ip.header_len(),
            },
            len,
            part: None,
            is_authenticated: false,
        };
        if ip.is_fragment() {
            packet.part = Some(Part {
                identification: u32::from(ip.identification()),
                offset: ip.fragment_offset(),
                more: ip.more_fragments(),
            });
        } else if packet.protocol == IpProtocol::AH {
            packet.pass_extensions(|next_header| next_header == kind::AUTHENTICATION)?;
        }
        Ok(packet)
    }

    #[inline(always)]
    fn read_v6(span: Span<'a>) -> Result<Self, DropReason> {
        let ip = match Ipv6::parse(span.bytes) {
            Ok(ip) => ip,
            Err(error) => return Err(span.fault(error)),
        };
        let next_header = ip.next_header();
        let len = ip
            .payload_len()
            .unwrap_or_else(|| match IpProtocol(next_header) {
                // A jumbogram, or one that a network card is to cut into segments.
                IpProtocol(kind::HOP_BY_HOP) | IpProtocol::TCP | IpProtocol::UDP => {
                    span.len - Ipv6::LEN
                }
                _ => 0,
            });
        let payload = ip.payload();
        let mut packet = Self {
            version: 6,
            protocol: IpProtocol(next_header),
            source: Address(ip.source()),
            destination: Address(ip.destination()),
            body: Span {
                bytes: payload.get(..len).unwrap_or(payload),
                len,
            },
            len: Ipv6::LEN + len,
            part: None,
            is_authenticated: false,
        };
        if is_extension(next_header) {
            packet.pass_extensions(is_extension)?;
        }
        Ok(packet)
    }

    /// Moves behind the extension headers, up to the one of a fragment.
    #[cold]
    fn pass_extensions(&mut self, is_extension: fn(u8) -> bool) -> Result<(), DropReason> {
        for _ in 0..MAX_EXTENSIONS {
            let IpProtocol(kind) = self.protocol;
            if !is_extension(kind) {
                return Ok(());
            }
            let body = self.body;
            if kind == kind::FRAGMENT {
                let header =
                    FragmentHeader::parse(body.bytes).map_err(|error| body.fault(error))?;
                self.body = body.skip(FragmentHeader::LEN)?;
                self.protocol = IpProtocol(header.next_header);
                if !header.is_atomic() {
                    self.part = Some(Part {
                        identification: header.identification,
                        offset: header.offset,
                        more: header.more,
                    });
                    return Ok(());
                }
            } else {
                let header =
                    Extension::parse(kind, body.bytes).map_err(|error| body.fault(error))?;
                self.body = body.skip(header.len)?;
                self.protocol = IpProtocol(header.next_header);
                self.is_authenticated |= kind == kind::AUTHENTICATION;
            }
        }
        Err(DropReason::Malformed)
    }
}

/// The window scale of the SYN segment `body` whose header has `len` octets. Where its options were
/// not captured it may be any.
#[cold]
fn window_scale(body: Span<'_>, len: usize) -> Option<u8> {
    match body.bytes.get(Tcp::LEN..len) {
        Some(options) => tcp::window_scale(options),
        None => Some(tcp::MAX_SCALE),
    }
}

/// What the transport header says, and what is behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transport<'a> {
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) icmp: (u8, u8),
    pub(super) tcp: Option<TcpSegment>,
    pub(super) payload: Span<'a>,
}

impl<'a> Transport<'a> {
    /// The header of `protocol` at the start of `body`.
    #[inline(always)]
    pub(super) fn read(protocol: IpProtocol, body: Span<'a>) -> Result<Self, DropReason> {
        match protocol {
            IpProtocol::TCP => Self::read_tcp(body),
            IpProtocol::UDP => Self::read_udp(body),
            _ => Self::read_other(protocol, body),
        }
    }

    #[inline(always)]
    fn read_tcp(body: Span<'a>) -> Result<Self, DropReason> {
        let tcp = match Tcp::parse(body.bytes) {
            Ok(tcp) => tcp,
            Err(error) => return Err(body.fault(error)),
        };
        Ok(Self {
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            icmp: (0, 0),
            tcp: Some(TcpSegment {
                sequence: tcp.sequence(),
                acknowledgement: tcp.acknowledgement(),
                flags: tcp.flags(),
                window_scale: match tcp.flags() & TcpSegment::SYN {
                    0 => None,
                    _ => window_scale(body, tcp.header_len()),
                },
                window: tcp.window(),
            }),
            payload: body.behind(tcp.header_len())?,
        })
    }

    #[inline(always)]
    fn read_udp(body: Span<'a>) -> Result<Self, DropReason> {
        let udp = match Udp::parse(body.bytes) {
            Ok(udp) => udp,
            Err(error) => return Err(body.fault(error)),
        };
        let rest = body.behind(Udp::LEN)?;
        Ok(Self {
            source_port: udp.source_port(),
            destination_port: udp.destination_port(),
            icmp: (0, 0),
            tcp: None,
            payload: match udp.payload_len() {
                Ok(Some(len)) => rest.limit(len),
                Ok(None) => rest,
                Err(error) => return Err(body.fault(error)),
            },
        })
    }

    #[cold]
    fn read_other(protocol: IpProtocol, body: Span<'a>) -> Result<Self, DropReason> {
        let mut transport = Self {
            source_port: 0,
            destination_port: 0,
            icmp: (0, 0),
            tcp: None,
            payload: body,
        };
        match protocol {
            IpProtocol::ICMP | IpProtocol::ICMPV6 => {
                let icmp = Icmp::parse(body.bytes).map_err(|error| body.fault(error))?;
                transport.icmp = (icmp.message_type(), icmp.code());
                transport.payload = body.behind(Icmp::LEN)?;
            }
            IpProtocol::UDPLITE => {
                let udp = Udp::parse(body.bytes).map_err(|error| body.fault(error))?;
                transport.source_port = udp.source_port();
                transport.destination_port = udp.destination_port();
                transport.payload = body.behind(Udp::LEN)?;
            }
            IpProtocol::DCCP => {
                let dccp = Dccp::parse(body.bytes).map_err(|error| body.fault(error))?;
                transport.source_port = dccp.source_port();
                transport.destination_port = dccp.destination_port();
                transport.payload = body.behind(dccp.header_len())?;
            }
            IpProtocol::SCTP => {
                let sctp = Sctp::parse(body.bytes).map_err(|error| body.fault(error))?;
                transport.source_port = sctp.source_port();
                transport.destination_port = sctp.destination_port();
                transport.payload = body.behind(Sctp::LEN)?;
            }
            _ => {}
        }
        Ok(transport)
    }
}
