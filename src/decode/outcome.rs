//! What becomes of a frame that is decoded, and why some are no packets of flows.

use super::packet::{Packet, Tunnel, Vlans};
use crate::capture::InterfaceId;
use crate::time::Timestamp;

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
    /// Numbers of all its frames, in the order they came, where [`Config::frame_numbers`](super::Config::frame_numbers) asks.
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
    pub(super) fn of(packet: Option<Packet<'a>>, aside: Option<Aside>) -> Self {
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
