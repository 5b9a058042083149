//! A frame with bytes of its own.

use crate::capture::{Envelope, Frame, InterfaceId, LinkType};
use crate::time::Timestamp;

/// A frame of the harder capture.
#[derive(Clone, Debug)]
pub struct Rewritten {
    pub(super) at: Timestamp,
    pub(super) link: LinkType,
    pub(super) wire_len: u32,
    pub(super) bytes: Vec<u8>,
}

impl Rewritten {
    pub(super) fn of(frame: &Frame<'_>) -> Self {
        Self {
            at: frame.at,
            link: frame.link,
            wire_len: frame.wire_len,
            bytes: frame.bytes.to_vec(),
        }
    }

    /// As it is written into a capture.
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            at: self.at,
            number: 0,
            link: self.link,
            wire_len: self.wire_len,
            frames: 1,
            envelope: Envelope::None,
            interface: InterfaceId::default(),
            bytes: &self.bytes,
        }
    }
}
