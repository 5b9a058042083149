//! Frames in: capture files and live interfaces become [`Block`]s of [`Frame`]s.
//!
//! A source reads into a recycled [`Block`]: one large buffer and the list of the frames in it.
//! Frames are borrowed from their block, never copied. The next stage is `decode`.
//!
//! [`inputs`] is the front door for capture files: several as one stream; [`paths`] finds them in
//! folders, and [`interfaces`] names where frames come from. [`file`] reads one of
//! them, with [`pcap`] and [`pcapng`] to walk its records, `input` (and `lz4`) to undo compression, [`filter`]
//! and `bpf` to leave frames out, and [`error`] to say what is wrong with it. `stream` waits for
//! pipes, and [`stop`] ends the input early. [`live`] captures from interfaces and takes what mirrors send. [`magic`] tells
//! captures from other files, and [`writer`] writes them.

pub mod error;

pub mod file;

pub mod filter;

pub mod inputs;

pub mod interfaces;

pub mod live;

pub mod magic;

pub mod paths;

pub mod stop;

pub mod writer;

mod bpf;

mod envelope;

mod input;

mod link_type;

mod listing;

mod lz4;

mod pcap;

mod pcapng;
mod raw;

mod stream;

#[cfg(test)]
mod samples;

#[cfg(test)]
mod tests;

pub use envelope::Envelope;
pub use interfaces::{InterfaceId, Interfaces};
pub use link_type::LinkType;

use crate::time::Timestamp;

/// One frame as captured, borrowed from its [`Block`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// Its place in the whole stream, from 1 as analysers number frames.
    pub number: u64,
    /// What its first header is.
    pub link: LinkType,
    /// Its length on the wire in bytes, as counted: never less than `bytes.len()`.
    pub wire_len: u32,
    /// How many captured frames it stands for: 1, or the number of fragments put together.
    pub frames: u32,
    /// What was around it where a mirror has sent it.
    pub envelope: Envelope,
    /// The interface it came in by.
    pub interface: InterfaceId,
    /// The bytes that were captured.
    pub bytes: &'a [u8],
}

/// Where a frame lies in its block.
#[derive(Clone, Copy, Debug)]
pub struct FrameRef {
    /// When it was captured.
    pub at: Timestamp,
    /// What its first header is.
    pub link: LinkType,
    /// The interface it came in by, or the file it is from.
    pub interface: InterfaceId,
    /// Its first byte in [`Block::bytes`].
    pub offset: u32,
    /// How many bytes were captured.
    pub captured: u32,
    /// How many bytes were on the wire; never less than `captured`.
    pub wire_len: u32,
    /// What was around it where a mirror has sent it.
    pub envelope: Envelope,
}

/// A run of frames in the order of the capture, and the buffer that holds them.
#[derive(Debug, Default)]
pub struct Block {
    /// The buffer; what lies around the frames (record headers, the bytes of an earlier use) is
    /// of no meaning here.
    pub bytes: Vec<u8>,
    /// The frames, in order. May be empty: a filter can leave out all of a block.
    pub frames: Vec<FrameRef>,
    /// How many frames a filter left out between the first of `frames` and each of them, so that
    /// numbers stay those of the capture; empty when there is no filter.
    pub left_out: Vec<u32>,
    /// The [`Frame::number`] of the first of `frames`.
    pub first_number: u64,
    /// The latest time of any listed frame of the stream up to the end of this block.
    pub watermark: Timestamp,
    /// Bytes of the input read up to the end of this block (before decompression), for progress.
    pub position: u64,
}

impl Block {
    /// The `index`th frame. `None` when there is none, or it lies outside the buffer.
    pub fn frame(&self, index: usize) -> Option<Frame<'_>> {
        let entry = self.frames.get(index)?;
        let start = entry.offset as usize;
        let bytes = self
            .bytes
            .get(start..start.checked_add(entry.captured as usize)?)?;
        let left_out = self.left_out.get(index).copied().unwrap_or(0);
        Some(Frame {
            at: entry.at,
            number: self
                .first_number
                .saturating_add(index as u64)
                .saturating_add(u64::from(left_out)),
            link: entry.link,
            wire_len: entry.wire_len,
            frames: 1,
            envelope: entry.envelope,
            interface: entry.interface,
            bytes,
        })
    }

    /// Takes the frames from the `index`th on out of it, into a block of their own. Of no use for
    /// blocks that went through a filter.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let mut later = Self {
            first_number: self.first_number.saturating_add(index as u64),
            watermark: self.watermark,
            position: self.position,
            ..Self::default()
        };
        for place in index..self.frames.len() {
            if let (Some(&entry), Some(frame)) = (self.frames.get(place), self.frame(place)) {
                // It fits: it comes from a block itself.
                let offset = u32::try_from(later.bytes.len()).unwrap_or(u32::MAX);
                later.frames.push(FrameRef { offset, ..entry });
                later.bytes.extend_from_slice(frame.bytes);
            }
        }
        self.frames.truncate(index);
        later
    }

    /// Adds a copy of a frame, with the `number` it has in the stream.
    pub(crate) fn push(&mut self, number: u64, entry: FrameRef, bytes: &[u8]) {
        if self.frames.is_empty() {
            self.first_number = number;
        }
        let place = self.frames.len();
        let left_out = number.saturating_sub(self.first_number + place as u64);
        if left_out > 0 || !self.left_out.is_empty() {
            self.left_out.resize(place, 0);
            // No more than there are frames in a block that was filtered.
            self.left_out
                .push(u32::try_from(left_out).unwrap_or(u32::MAX));
        }
        // Blocks are never longer than the longest record and what a block holds.
        let offset = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.frames.push(FrameRef { offset, ..entry });
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes out the frames that `is_out` says so of; the others keep their numbers.
    pub(crate) fn leave_out(&mut self, mut is_out: impl FnMut(Frame<'_>) -> bool) {
        let mut kept = 0;
        let mut first_number = self.first_number;
        for place in 0..self.frames.len() {
            let Some(frame) = self.frame(place) else {
                continue;
            };
            let number = frame.number;
            if is_out(frame) {
                continue;
            }
            if kept == 0 {
                first_number = number;
            }
            let left_out = number.saturating_sub(first_number + kept as u64);
            if self.left_out.is_empty() && left_out > 0 {
                self.left_out.resize(self.frames.len(), 0);
            }
            let left_out = u32::try_from(left_out).unwrap_or(u32::MAX);
            self.frames.swap(kept, place);
            if let Some(place) = self.left_out.get_mut(kept) {
                *place = left_out;
            }
            kept += 1;
        }
        self.frames.truncate(kept);
        self.left_out.truncate(kept);
        self.first_number = first_number;
    }

    /// Empties it for another use; the allocations stay.
    ///
    /// A block on its way back to a capture file needs no clearing, and is better off without:
    /// the reader writes over the old bytes, which saves filling the buffer with zeros.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.left_out.clear();
    }
}
