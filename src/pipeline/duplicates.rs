//! Second copies of frames: left out and counted where that is asked for, else only looked for, in
//! a part of the frames, so that a mirror that shows everything twice is noticed.

use std::time::Duration;

use crate::capture::{Block, Frame};
use crate::decode::{Copies, DropReason};
use crate::time::Timestamp;
use crate::usage::health::{Fault, Health};
use crate::usage::ledger::Drops;

use super::steer::Entry;

/// What is done about second copies of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicates {
    /// They are left out, and counted as that.
    pub leave_out: bool,
    /// How long after the first a frame with the same bytes is its copy.
    pub window: Duration,
}

impl Duplicates {
    /// What a window may be at most: after that, the same bytes are something sent again.
    pub const LONGEST_WINDOW: Duration = Duration::from_secs(1);
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            leave_out: false,
            window: Duration::from_millis(5),
        }
    }
}

/// Lines of four packets: those of 5 ms at 26 million a second.
const LINES: usize = 1 << 15;

/// The same where a part is looked at.
const LINES_OF_PART: usize = 1 << 10;

/// So many frames at the beginning are all looked at; a small capture has no more.
const FIRST: u64 = 8192;

/// The most memory that leaving them out takes, for each thread that does it.
pub(super) const MEMORY: usize = Copies::memory(LINES);

/// Looks for second copies among the frames that one thread sees.
#[derive(Debug)]
pub(super) struct Deduplicator {
    copies: Option<Copies>,
    leaves_out: bool,
    shown: u64,
    drops: Drops,
    health: Health,
}

impl Deduplicator {
    pub(super) fn new(config: Duplicates) -> Self {
        let lines = if config.leave_out {
            LINES
        } else {
            LINES_OF_PART
        };
        Self {
            copies: Some(Copies::new(lines, config.window)),
            leaves_out: config.leave_out,
            ..Self::idle()
        }
    }

    /// Looks at nothing.
    pub(super) fn idle() -> Self {
        Self {
            copies: None,
            leaves_out: false,
            shown: 0,
            drops: Drops::default(),
            health: Health::default(),
        }
    }

    /// Takes the second copies out of `block`, or looks whether there are some.
    pub(super) fn look(&mut self, block: &mut Block) {
        if self.copies.is_none() {
        } else if self.leaves_out {
            block.leave_out(|frame| self.is_left_out(&frame));
        } else {
            for place in 0..block.frames.len() {
                let at = block.frames.get(place).map(|entry| entry.at);
                if self.is_looked_at(at.unwrap_or_default())
                    && let Some(frame) = block.frame(place)
                {
                    self.look_at(&frame);
                }
            }
        }
    }

    /// The same with a worker's share of `block`. Datagrams put together from fragments stay.
    pub(super) fn look_in_share(&mut self, block: &Block, entries: &mut Vec<Entry>) {
        if self.copies.is_none() {
            return;
        }
        entries.retain(|entry| {
            let Entry::Frame(place, _) = *entry else {
                return true;
            };
            let Some(frame) = block.frame(place as usize) else {
                return true;
            };
            if self.leaves_out {
                return !self.is_left_out(&frame);
            }
            if self.is_looked_at(frame.at) {
                self.look_at(&frame);
            }
            true
        });
    }

    /// What was left out.
    pub(super) const fn drops(&self) -> &Drops {
        &self.drops
    }

    /// What was found where nothing is left out.
    pub(super) const fn health(&self) -> &Health {
        &self.health
    }

    fn is_left_out(&mut self, frame: &Frame<'_>) -> bool {
        let copies = self.copies.as_mut();
        let is_copy = copies.is_some_and(|copies| copies.is_copy(frame));
        if is_copy {
            self.drops
                .count(DropReason::Duplicate, 1, frame.wire_len.into());
        }
        is_copy
    }

    fn look_at(&mut self, frame: &Frame<'_>) {
        if let Some(copies) = &mut self.copies {
            let is_copy = copies.is_copy(frame);
            self.health.count(Fault::Duplicate, 1, is_copy.into());
        }
    }

    /// All frames at first, then those of 17 ms of each 1.07 s. It is time that chooses, since a
    /// copy comes shortly after, and maybe from elsewhere.
    #[inline]
    fn is_looked_at(&mut self, at: Timestamp) -> bool {
        self.shown += 1;
        (at.0 >> 24) & 63 == 0 || self.shown <= FIRST
    }
}
