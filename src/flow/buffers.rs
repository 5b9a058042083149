//! Buffers of openings, used again by the flows that come next.

use super::key::End;
use super::reassembly::{ALLOCATION, Reassembly};

/// Buffers kept for flows to come: many flows end at once.
const SPARES: usize = 64;

/// The most bytes of a stream that a spare buffer has room for: most hellos and requests fit, and so
/// flows that show less hold little more than they need.
const ROOM: usize = 2 << 10;

/// What both sides of a flow have sent in its opening.
#[derive(Debug, Default)]
pub(super) struct OpeningBuffer {
    pub(super) low: Reassembly,
    pub(super) high: Reassembly,
}

impl OpeningBuffer {
    /// Tells streams where they begin, unless they have begun.
    pub(super) fn start_at(&mut self, [low, high]: [Option<u32>; 2]) {
        if let Some(low) = low {
            self.low.start_at(low);
        }
        if let Some(high) = high {
            self.high.start_at(high);
        }
    }

    pub(super) const fn of(&mut self, end: End) -> &mut Reassembly {
        match end {
            End::Low => &mut self.low,
            End::High => &mut self.high,
        }
    }

    /// Bytes it takes, what the allocator needs to keep them included.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + ALLOCATION + self.low.memory() + self.high.memory()
    }
}

/// Buffers that no flow needs.
#[derive(Debug, Default)]
pub struct Buffers {
    #[expect(
        clippy::vec_box,
        reason = "flows hold them boxed, and nothing is to be moved"
    )]
    spare: Vec<Box<OpeningBuffer>>,
}

impl Buffers {
    /// The most bytes they take.
    pub const MEMORY: usize =
        SPARES * (size_of::<OpeningBuffer>() + 2 * Reassembly::room(ROOM) + 3 * ALLOCATION);

    /// An empty one.
    pub(super) fn take(&mut self) -> Box<OpeningBuffer> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes one back.
    pub(super) fn put(&mut self, mut buffer: Box<OpeningBuffer>) {
        if self.spare.len() < SPARES {
            buffer.low.reset(ROOM);
            buffer.high.reset(ROOM);
            self.spare.push(buffer);
        }
    }
}
