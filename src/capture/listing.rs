//! What the walks over pcap and pcapng have in common: numbers in the file's byte order, the list
//! of frames they add to, and how far they came.

use crate::capture::bpf::Program;
use crate::capture::error::Fault;
use crate::capture::{Envelope, FrameRef, InterfaceId, LinkType};
use crate::time::Timestamp;

/// The longest a record may be, header and all: what a block's buffer grows to at most.
pub const MAX_RECORD: usize = 16 * 1024 * 1024;

/// The longest frame any capture tool takes in (`MAXIMUM_SNAPLEN` of libpcap), and longer than any
/// link carries: the aggregates of segmentation offload reach about 180 KiB.
pub(super) const MAX_FRAME: u32 = 256 * 1024;

/// What has been read from a capture so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames, those that a filter left out among them.
    pub frames: u64,
    /// Frames that a filter left out.
    pub left_out_frames: u64,
    /// Bytes on the wire of the frames that a filter left out.
    pub left_out_bytes: u64,
    /// Records whose original length cannot be true: below what was captured, or above 256 KiB
    /// and what was captured. Such a frame counts as long as it was captured: nothing else is
    /// known of it.
    pub lying_lengths: u64,
}

impl Counts {
    /// Adds what another file held.
    pub const fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.left_out_frames += other.left_out_frames;
        self.left_out_bytes += other.left_out_bytes;
        self.lying_lengths += other.lying_lengths;
    }
}

/// The order of the bytes in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    #[inline(always)]
    pub(super) const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    #[inline(always)]
    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }

    pub(super) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Big => u64::from_be_bytes(bytes),
            Self::Little => u64::from_le_bytes(bytes),
        }
    }
}

/// How far a walk over the bytes at hand came.
#[derive(Debug)]
pub(super) struct Walked {
    /// Where the first record lies that is not whole.
    pub(super) consumed: usize,
    /// How many bytes that record takes, as far as it shows; more than are at hand.
    pub(super) needed: usize,
    /// Why it cannot be walked over even with more bytes.
    pub(super) fault: Option<Fault>,
}

/// A record as its header describes it.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    pub(super) link: LinkType,
    pub(super) interface: InterfaceId,
    pub(super) offset: usize,
    pub(super) captured: u32,
    pub(super) original: u32,
}

/// What a block shows of its capture.
#[derive(Debug)]
pub(super) struct Seen {
    /// The latest time of a listed frame so far.
    pub(super) watermark: Timestamp,
    /// The number of the first frame that is listed, or would be.
    pub(super) first_number: u64,
    /// Whether there was any frame, listed or left out.
    pub(super) any: bool,
}

/// The frames of the block being filled.
pub(super) struct Listing<'a> {
    frames: &'a mut Vec<FrameRef>,
    left_out: &'a mut Vec<u32>,
    counts: &'a mut Counts,
    first_at: &'a mut Option<Timestamp>,
    watermark: Timestamp,
    first_number: u64,
    left_out_here: u32,
    frames_before: u64,
}

impl<'a> Listing<'a> {
    /// A listing for the block after `watermark` and the frames in `counts`. `first_at` becomes
    /// the time of the first frame ever, listed or left out.
    pub(super) fn new(
        frames: &'a mut Vec<FrameRef>,
        left_out: &'a mut Vec<u32>,
        counts: &'a mut Counts,
        first_at: &'a mut Option<Timestamp>,
        watermark: Timestamp,
    ) -> Self {
        Self {
            first_number: counts.frames + 1,
            frames_before: counts.frames,
            frames,
            left_out,
            counts,
            first_at,
            watermark,
            left_out_here: 0,
        }
    }

    /// Takes up a frame, unless `program` does not want it. Every record of a file passes here.
    #[inline(always)]
    pub(super) fn add(&mut self, record: Record, bytes: &[u8], program: Option<&Program>) {
        let Record {
            captured, original, ..
        } = record;
        let wire_len = if (captured..=MAX_FRAME).contains(&original) {
            original
        } else {
            self.odd_length(captured, original)
        };
        if let Some(program) = program
            && !self.wants(program, &record, wire_len, bytes)
        {
            return;
        }
        self.watermark = self.watermark.max(record.at);
        self.frames.push(FrameRef {
            at: record.at,
            link: record.link,
            interface: record.interface,
            // A block is never longer than MAX_RECORD.
            offset: record.offset as u32,
            captured,
            wire_len,
            envelope: Envelope::None,
        });
    }

    /// Ends the block.
    pub(super) fn finish(self) -> Seen {
        if self.first_at.is_none() {
            *self.first_at = self.frames.first().map(|frame| frame.at);
        }
        self.counts.frames += self.frames.len() as u64;
        Seen {
            watermark: self.watermark,
            first_number: self.first_number,
            any: self.counts.frames > self.frames_before,
        }
    }

    /// The latest time so far.
    pub(super) const fn watermark(&self) -> Timestamp {
        self.watermark
    }

    #[cold]
    fn odd_length(&mut self, captured: u32, original: u32) -> u32 {
        if original != captured {
            self.counts.lying_lengths += 1;
        }
        captured
    }

    /// Runs the filter and counts what it leaves out. The frames that are listed are counted all
    /// at once by `finish`.
    fn wants(&mut self, program: &Program, record: &Record, wire_len: u32, bytes: &[u8]) -> bool {
        self.first_at.get_or_insert(record.at);
        let frame = bytes
            .get(record.offset..record.offset + record.captured as usize)
            .unwrap_or_default();
        if program.accepts(frame, wire_len) {
            if self.frames.is_empty() {
                self.first_number += u64::from(self.left_out_here);
                self.left_out_here = 0;
            }
            self.left_out.push(self.left_out_here);
            return true;
        }
        self.left_out_here += 1;
        self.counts.frames += 1;
        self.counts.left_out_frames += 1;
        self.counts.left_out_bytes += u64::from(wire_len);
        false
    }
}
