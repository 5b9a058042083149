//! Stage 2, [`Frame`](crate::capture::Frame) to [`Packet`]: link layers, tunnels and fragments, down to the innermost
//! IP packet and its transport header.
//!
//! Bad traffic is no error here: it is a [`DropReason`], counted by the caller. The next stage
//! is `flow`.
//!
//! The way of a frame: `link` finds the IP packet behind the link-layer headers (`header` lists them,
//! `tag` passes the tags of switches, `device` what capture devices add, `pseudowire` weighs what no
//! header names, `network` says how sure an IP packet is), `ip` reads it and its transport header,
//! `tunnel` looks for a packet inside, `fragment` holds parts of datagrams. [`Decoder`] joins them.
//! [`Placed`] is what it finds without the bytes; [`Copies`] tells frames of which a copy came just before.
#![deny(clippy::indexing_slicing)]

mod copies;

mod decoder;

mod link;

mod header;

mod tag;

mod device;

mod network;

mod pseudowire;

mod ip;

mod tunnel;

mod fragment;

mod span;

mod placed;

#[cfg(test)]
mod tests;

pub use copies::Copies;
pub use decoder::Decoder;
pub use placed::Placed;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::capture::{Frame, InterfaceId, LinkType};
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

/// Why a frame's bytes belong to no flow. Each is a line of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// A link-layer protocol other than IP: ARP, STP, LLDP, 802.11 management, ...
    NonIp,
    /// The captured bytes end inside a header.
    Truncated,
    /// A length or version field contradicts the bytes around it.
    Malformed,
    /// A link-layer type this program does not read.
    UnknownLink,
    /// Tunnels nested deeper than the limit.
    TooDeep,
    /// Fragments whose datagram never became whole.
    FragmentIncomplete,
    /// Fragments that overlap or contradict one another.
    FragmentConflict,
    /// Fragments for which the reassembly buffer had no room.
    FragmentLimit,
    /// Second copies of frames, where these are to be left out.
    Duplicate,
}

impl DropReason {
    /// Every reason, in the order of the ledger.
    pub const ALL: [Self; 9] = [
        Self::NonIp,
        Self::Truncated,
        Self::Malformed,
        Self::UnknownLink,
        Self::TooDeep,
        Self::FragmentIncomplete,
        Self::FragmentConflict,
        Self::FragmentLimit,
        Self::Duplicate,
    ];

    /// The slug of the ledger.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NonIp => "non-ip",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::UnknownLink => "unknown-link",
            Self::TooDeep => "too-deep",
            Self::FragmentIncomplete => "fragment-incomplete",
            Self::FragmentConflict => "fragment-conflict",
            Self::FragmentLimit => "fragment-limit",
            Self::Duplicate => "duplicate",
        }
    }
}

/// The outermost IP packet of `frame`, as far as it was captured, and how long it is; `None` if there is none.
pub fn ip_packet<'a>(frame: &Frame<'a>) -> Option<(&'a [u8], usize)> {
    decoder::outermost(frame)?.whole()
}

/// The link type that a frame was dropped for as [`DropReason::UnknownLink`]: its own, or the one
/// that a header before the frame itself names.
#[cold]
pub fn unknown_link(frame: Frame<'_>) -> LinkType {
    device::unknown_link(frame)
}

/// A datagram put together from fragments: it owns its bytes, so it can go to another thread.
///
/// `Decoder::decode_datagram` reads on from here.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// The reassembled IP packet behind a header without options and extension headers.
    ///
    /// Shorter than that header says where fragments were cut by the capture.
    pub bytes: Vec<u8>,
    /// Time of the frame that completed it.
    pub at: Timestamp,
    /// Number of the frame that completed it.
    pub number: u64,
    /// The interface by which that came in.
    pub interface: InterfaceId,
    /// Numbers of all its frames, in the order they came, where [`Config::frame_numbers`] asks.
    pub numbers: Vec<u64>,
    /// Sum of the wire lengths of its frames.
    pub wire_len: u32,
    /// Sum of the IP lengths of its fragments.
    pub ip_len: u32,
    /// How many frames it came in.
    pub frames: u32,
    /// VLAN identifiers of its first frame.
    pub vlans: Vlans,
    /// The outermost tunnel, where the fragments came in one.
    pub tunnel: Option<Tunnel>,
    /// That tunnel's identifier.
    pub tunnel_id: u32,
    /// How many tunnels are around it.
    pub depth: u8,
}

/// What became of a frame.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A packet of a flow.
    Packet(Packet<'a>),
    /// A fragment, kept until its datagram is whole; its bytes are counted then, or when it is given up.
    Fragment,
    /// The last missing fragment of a datagram: decode it with `Decoder::decode_datagram`.
    Datagram(Box<Datagram>),
    /// Bytes of no flow.
    Dropped(DropReason),
}

impl<'a> Decoded<'a> {
    /// A frame that is a packet, or else what has become of it.
    fn of(packet: Option<Packet<'a>>, aside: Option<Aside>) -> Self {
        match (packet, aside) {
            (_, Some(Aside::Datagram(datagram))) => Self::Datagram(datagram),
            (_, Some(Aside::Dropped(reason))) => Self::Dropped(reason),
            (Some(packet), None) => Self::Packet(packet),
            (_, Some(Aside::Fragment)) | (None, None) => Self::Fragment,
        }
    }
}

/// What became of a frame that is no packet of a flow, or not yet.
#[derive(Debug)]
pub enum Aside {
    /// As [`Decoded::Fragment`].
    Fragment,
    /// As [`Decoded::Datagram`].
    Datagram(Box<Datagram>),
    /// As [`Decoded::Dropped`].
    Dropped(DropReason),
}

/// What the decoder may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How deep tunnels may nest.
    pub max_depth: u8,
    /// Bytes of fragments held at a time, what is kept about them included.
    pub fragment_bytes: usize,
    /// How long, in frame time, a datagram may stay incomplete.
    pub fragment_timeout: std::time::Duration,
    /// Remember the numbers of a datagram's frames.
    pub frame_numbers: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_depth: 8,
            fragment_bytes: 4 << 20,
            fragment_timeout: std::time::Duration::from_secs(30),
            frame_numbers: false,
        }
    }
}
