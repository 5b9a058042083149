//! The pcap format: a file header, then records of 16 bytes of header and the frame.
//!
//! Format: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/>, and for the older versions
//! and relatives of it what libpcap (`sf-pcap.c`) and Wireshark (`wiretap/libpcap.h`) take. The
//! neighbours are `file`, which brings the bytes, and `pcapng`, the other format.
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use crate::capture::bpf::Program;
use crate::capture::error::Fault;
use crate::capture::listing::{ByteOrder, Listing, MAX_FRAME, MAX_RECORD, Record, Walked};
use crate::capture::{InterfaceId, LinkType};
use crate::time::Timestamp;

/// The file header, magic and all.
pub(super) const FILE_HEADER_LEN: usize = 24;

/// The record header of every variant but [`Variant::Kuznetzov`].
const RECORD_HEADER_LEN: usize = 16;

/// What the magic number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Magic {
    order: ByteOrder,
    variant: Variant,
    /// Nanoseconds in the smaller unit of time.
    unit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    Standard,
    /// Linux of the nineties: interface, protocol and packet type at the end of a record header.
    Kuznetzov,
    /// The total length of the records at the end of the file header.
    Ixia,
}

impl Magic {
    /// `None` when a file does not start like this.
    pub(super) const fn parse(start: [u8; 4]) -> Option<Self> {
        let (order, value) = match start {
            [0xa1, 0xb2, ..] | [0x1c, 0x00, ..] => (ByteOrder::Big, u32::from_be_bytes(start)),
            _ => (ByteOrder::Little, u32::from_le_bytes(start)),
        };
        let (variant, unit) = match value {
            0xa1b2_c3d4 => (Variant::Standard, 1_000),
            0xa1b2_3c4d => (Variant::Standard, 1),
            0xa1b2_cd34 => (Variant::Kuznetzov, 1_000),
            0x1c00_01ac => (Variant::Ixia, 1),
            0x1c00_01ab => (Variant::Ixia, 1_000),
            _ => return None,
        };
        Some(Self {
            order,
            variant,
            unit,
        })
    }

    /// How long the file header is.
    pub(super) const fn header_len(self) -> usize {
        match self.variant {
            Variant::Standard | Variant::Kuznetzov => FILE_HEADER_LEN,
            Variant::Ixia => FILE_HEADER_LEN + 4,
        }
    }
}

/// Where the two lengths of a record stand: old writers had them the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    /// Version 2.3 was written both ways.
    SmallerIsCaptured,
}

/// Walks over the records of a pcap file.
#[derive(Debug)]
pub(super) struct Walker {
    magic: Magic,
    lengths: Lengths,
    limit: u32,
    pub(super) link: LinkType,
    interface: InterfaceId,
    pub(super) program: Option<Arc<Program>>,
}

impl Walker {
    /// Reads the file header that `magic` is the start of; all frames came in by `interface`.
    pub(super) fn new(
        magic: Magic,
        header: &[u8; FILE_HEADER_LEN],
        interface: InterfaceId,
    ) -> Result<Self, Fault> {
        let order = magic.order;
        let &[
            _,
            _,
            _,
            _,
            major0,
            major1,
            minor0,
            minor1,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            snap0,
            snap1,
            snap2,
            snap3,
            link0,
            link1,
            link2,
            link3,
        ] = header;
        let major = order.u16([major0, major1]);
        let minor = order.u16([minor0, minor1]);
        let snaplen = order.u32([snap0, snap1, snap2, snap3]);
        let link = order.u32([link0, link1, link2, link3]);
        let lengths = match (major, minor) {
            // Version 543 is what DG/UX wrote.
            (2, 0..=2) | (543, _) => Lengths::OriginalFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            _ => return Err(Fault::Version { major, minor }),
        };
        Ok(Self {
            magic,
            lengths,
            // The snapshot length is often too small or nonsense, so it only ever widens.
            limit: snaplen.clamp(MAX_FRAME, (MAX_RECORD - 64) as u32),
            // Above the link type stand the length of the frame check sequence and whether it is
            // known.
            link: LinkType(link as u16),
            interface,
            program: None,
        })
    }

    /// Lists the whole records at the front of `bytes`.
    pub(super) fn walk(&self, bytes: &[u8], listing: &mut Listing<'_>) -> Walked {
        // A loop for each layout: the byte order and the header's length are then no branch in it.
        match (self.magic.order, self.magic.variant) {
            (ByteOrder::Little, Variant::Kuznetzov) => {
                self.walk_records::<false, 8>(bytes, listing)
            }
            (ByteOrder::Little, _) => self.walk_records::<false, 0>(bytes, listing),
            (ByteOrder::Big, Variant::Kuznetzov) => self.walk_records::<true, 8>(bytes, listing),
            (ByteOrder::Big, _) => self.walk_records::<true, 0>(bytes, listing),
        }
    }

    fn walk_records<const BIG: bool, const EXTRA: usize>(
        &self,
        bytes: &[u8],
        listing: &mut Listing<'_>,
    ) -> Walked {
        let order = if BIG {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        };
        let header_len = RECORD_HEADER_LEN + EXTRA;
        let program = self.program.as_deref();
        let mut consumed = 0;
        let (needed, fault) = loop {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let Some((header, _)) = rest.split_first_chunk::<RECORD_HEADER_LEN>() else {
                break (header_len, None);
            };
            let &[
                s0,
                s1,
                s2,
                s3,
                f0,
                f1,
                f2,
                f3,
                c0,
                c1,
                c2,
                c3,
                o0,
                o1,
                o2,
                o3,
            ] = header;
            let mut captured = order.u32([c0, c1, c2, c3]);
            let mut original = order.u32([o0, o1, o2, o3]);
            if self.lengths != Lengths::CapturedFirst
                && (self.lengths == Lengths::OriginalFirst || captured > original)
            {
                std::mem::swap(&mut captured, &mut original);
            }
            if captured > self.limit {
                let limit = self.limit;
                break (header_len, Some(Fault::CapturedLength { captured, limit }));
            }
            let len = header_len + captured as usize;
            if len > rest.len() {
                break (len, None);
            }
            // Fields of a million microseconds and more are written by some tools: they carry.
            let seconds = u64::from(order.u32([s0, s1, s2, s3])) * 1_000_000_000;
            let fraction = u64::from(order.u32([f0, f1, f2, f3])) * u64::from(self.magic.unit);
            let record = Record {
                at: Timestamp(seconds + fraction),
                link: self.link,
                interface: self.interface,
                offset: consumed + header_len,
                captured,
                original,
            };
            listing.add(record, bytes, program);
            consumed += len;
        };
        Walked {
            consumed,
            needed,
            fault,
        }
    }
}
