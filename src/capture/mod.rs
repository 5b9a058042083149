//! Stage 1, frames in: capture files and live interfaces become [`Block`]s of [`Frame`]s.
//!
//! A [`Source`] reads into a recycled [`Block`]: one large buffer and the list of the frames in
//! it. Frames are borrowed from their block, never copied. The next stage is `decode`.

pub mod file;

use crate::time::Timestamp;

/// A link-layer header type, as <https://www.tcpdump.org/linktypes.html> numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u16);

#[allow(missing_docs)]
impl LinkType {
    pub const NULL: Self = Self(0);
    pub const ETHERNET: Self = Self(1);
    pub const PPP: Self = Self(9);
    pub const PPP_HDLC: Self = Self(50);
    pub const PPP_ETHER: Self = Self(51);
    pub const RAW_BSD: Self = Self(12);
    pub const RAW_OPENBSD: Self = Self(14);
    pub const RAW: Self = Self(101);
    pub const C_HDLC: Self = Self(104);
    pub const IEEE802_11: Self = Self(105);
    pub const LOOP: Self = Self(108);
    pub const LINUX_SLL: Self = Self(113);
    pub const IEEE802_11_PRISM: Self = Self(119);
    pub const IEEE802_11_RADIOTAP: Self = Self(127);
    pub const IEEE802_11_AVS: Self = Self(163);
    pub const PPI: Self = Self(192);
    pub const IPV4: Self = Self(228);
    pub const IPV6: Self = Self(229);
    pub const LINUX_SLL2: Self = Self(276);
}

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
    /// Its first byte in [`Block::bytes`].
    pub offset: u32,
    /// How many bytes were captured.
    pub captured: u32,
    /// How many bytes were on the wire; never less than `captured`.
    pub wire_len: u32,
}

/// A run of frames in the order of the capture, and the buffer that holds them.
#[derive(Debug, Default)]
pub struct Block {
    /// The buffer; what lies between frames (record headers) is of no meaning here.
    pub bytes: Vec<u8>,
    /// The frames, in order.
    pub frames: Vec<FrameRef>,
    /// The [`Frame::number`] of the first of `frames`.
    pub first_number: u64,
    /// The latest time of any frame of the stream up to the end of this block.
    pub watermark: Timestamp,
    /// Bytes of the input consumed up to the end of this block, for progress.
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
        Some(Frame {
            at: entry.at,
            number: self.first_number.saturating_add(index as u64),
            link: entry.link,
            wire_len: entry.wire_len,
            frames: 1,
            bytes,
        })
    }

    /// Empties it for another use; the allocations stay.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}
