//! The innermost packet of a frame, and what of its headers is kept with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::time::Timestamp;

/// An IP protocol number, as IANA assigns them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpProtocol(pub u8);

#[allow(missing_docs)]
impl IpProtocol {
    pub const ICMP: Self = Self(1);
    pub const IGMP: Self = Self(2);
    pub const IPV4: Self = Self(4);
    pub const TCP: Self = Self(6);
    pub const UDP: Self = Self(17);
    pub const DCCP: Self = Self(33);
    pub const IPV6: Self = Self(41);
    pub const GRE: Self = Self(47);
    pub const ESP: Self = Self(50);
    pub const AH: Self = Self(51);
    pub const ICMPV6: Self = Self(58);
    pub const ETHERIP: Self = Self(97);
    pub const L2TP: Self = Self(115);
    pub const SCTP: Self = Self(132);
    pub const UDPLITE: Self = Self(136);
    pub const MPLS: Self = Self(137);
    pub const ETHERNET: Self = Self(143);
}

/// An IP address of either family in 16 bytes: IPv4 in the last four, the rest zero.
///
/// The family is kept beside it (`Packet::version`), so that no address stands for two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 16]);

impl Address {
    /// The address of four octets.
    pub const fn v4([a, b, c, d]: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
    }

    /// The address as the standard library writes it, of the family `version` (4 or 6).
    pub const fn to_ip(self, version: u8) -> IpAddr {
        if version == 4 {
            let [.., a, b, c, d] = self.0;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from_octets(self.0))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

/// The outermost kind of tunnel a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Tunnel {
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    GtpU,
    Ipip,
    SixInFour,
    FourInSix,
    Teredo,
    Capwap,
    Tzsp,
    L2tp,
    Pptp,
    Ah,
    Gue,
    Fou,
    EtherIp,
    Eoip,
    Mpls,
    Lisp,
    Ayiya,
    Srv6,
}

impl Tunnel {
    /// The slug records carry.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::GtpU => "gtp-u",
            Self::Ipip => "ipip",
            Self::SixInFour => "6in4",
            Self::FourInSix => "4in6",
            Self::Teredo => "teredo",
            Self::Capwap => "capwap",
            Self::Tzsp => "tzsp",
            Self::L2tp => "l2tp",
            Self::Pptp => "pptp",
            Self::Ah => "ah",
            Self::Gue => "gue",
            Self::Fou => "fou",
            Self::EtherIp => "etherip",
            Self::Eoip => "eoip",
            Self::Mpls => "mpls",
            Self::Lisp => "lisp",
            Self::Ayiya => "ayiya",
            Self::Srv6 => "srv6",
        }
    }
}

/// VLAN identifiers, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vlans {
    ids: [u16; 2],
    len: u8,
}

impl Vlans {
    /// Adds an inner identifier; past two only the first two are kept.
    pub fn push(&mut self, id: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.len)) {
            *slot = id & 0x0fff;
            self.len += 1;
        }
    }

    /// The identifiers, outermost first.
    pub fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The fields of a TCP header a flow needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment {
    /// Sequence number of the first payload byte (of the SYN, where set).
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// The control bits of RFC 9293 section 3.1, FIN lowest.
    pub flags: u8,
    /// How its windows are scaled (RFC 7323), where a SYN says so.
    pub window_scale: Option<u8>,
    /// Octets its sender is ready to take, before that scale.
    pub window: u16,
}

#[allow(missing_docs)]
impl TcpSegment {
    /// The largest window scale (RFC 7323 section 2.3).
    pub const MAX_WINDOW_SCALE: u8 = crate::wire::tcp::MAX_SCALE;

    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;

    /// Whether all of `bits` are set.
    pub const fn has(&self, bits: u8) -> bool {
        self.flags & bits == bits
    }

    /// The number of the first payload octet: a SYN has one of its own.
    pub const fn first_octet(&self) -> u32 {
        match self.flags & Self::SYN {
            0 => self.sequence,
            _ => self.sequence.wrapping_add(1),
        }
    }
}

/// The innermost IP packet of a frame and its transport payload, borrowed from the frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When the frame was captured (the completing one, for a reassembled datagram).
    pub at: Timestamp,
    /// The number of that frame in the stream.
    pub number: u64,
    /// IP version: 4 or 6.
    pub version: u8,
    /// The transport protocol.
    pub protocol: IpProtocol,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port; zero where the protocol has none.
    pub source_port: u16,
    /// Destination port; zero where the protocol has none.
    pub destination_port: u16,
    /// ICMP type and code, for flow identifiers; zero elsewhere.
    pub icmp: (u8, u8),
    /// The TCP header, for TCP.
    pub tcp: Option<TcpSegment>,
    /// What the transport header carries, as far as it was captured: never link-layer padding.
    pub payload: &'a [u8],
    /// How long the payload is by the headers; more than `payload.len()` in cut captures.
    pub payload_len: u32,
    /// Length of the whole frame on the wire (of all its fragments, for a reassembled datagram).
    pub wire_len: u32,
    /// Length of the innermost IP packet by its header (the sum over its fragments).
    pub ip_len: u32,
    /// How many captured frames this is: 1, or the number of fragments.
    pub frames: u32,
    /// VLAN identifiers of the frame.
    pub vlans: Vlans,
    /// The outermost tunnel it came in.
    pub tunnel: Option<Tunnel>,
    /// The outermost tunnel's identifier: VNI, TEID, GRE key; zero where it has none.
    pub tunnel_id: u32,
    /// Who sent the Ethernet frame; `None` where there is none, or a tunnel.
    pub source_mac: Option<&'a [u8; 6]>,
}
