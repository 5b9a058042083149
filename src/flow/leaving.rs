//! Which flows leave a full table first: attempts and those that have ended, the oldest before others.
//!
//! A flood is made of packets that come to nothing (half-open connections, single datagrams). What
//! they can take is bounded by each other: one more takes the place of the oldest of them.

use std::collections::VecDeque;

use super::expiry::Reminder;

/// Entries there may be for each flow held, those of flows that are not slight any more included,
/// and some more.
const ENTRIES: (usize, usize) = (2, 1024);

/// Entries looked at when a flow comes, so that none waits long behind those that mean nothing.
const TIDIED: usize = 4;

/// The order is kept from when the table is one half full until it is less than one quarter full.
const KEPT: (usize, usize) = (2, 4);

/// Entries looked at for one that still means a flow, when there is no room.
const TRIES: usize = 64;

/// The slight flows of a table in the order they became so, while it may come to use: flows that
/// have been quiet for long are in no cache, and most tables never fill.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    order: VecDeque<Reminder>,
    is_kept: bool,
    /// How many flows are slight.
    count: usize,
}

impl Leaving {
    /// A flow has become slight. `flows` are held of `max_flows`, and `is_slight` says of which that
    /// is still so. Returns whether the order is to [begin](Self::begin) now.
    pub(super) fn add(
        &mut self,
        flow: Reminder,
        flows: usize,
        max_flows: usize,
        is_slight: impl Fn(Reminder) -> bool,
    ) -> bool {
        self.count += 1;
        let (begins, ends) = KEPT;
        if !self.is_kept {
            return flows > max_flows / begins;
        }
        if flows < max_flows / ends {
            self.is_kept = false;
            self.order = VecDeque::new();
            return false;
        }
        self.order.push_back(flow);
        for _ in 0..TIDIED {
            match self.order.front() {
                Some(&first) if !is_slight(first) => self.order.pop_front(),
                _ => break,
            };
        }
        let (each, more) = ENTRIES;
        if self.order.len() > each * flows + more {
            self.order.retain(|&entry| is_slight(entry));
            self.order.shrink_to(2 * self.order.len() + more);
        }
        false
    }

    /// Keeps the order from now on: `slight` are all slight flows, the oldest first.
    pub(super) fn begin(&mut self, slight: impl Iterator<Item = Reminder>) {
        self.is_kept = true;
        self.order = slight.collect();
    }

    /// A flow is slight no more, or gone.
    pub(super) const fn release(&mut self) {
        self.count -= 1;
    }

    /// How many flows are slight.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// The flow that has been slight longest.
    pub(super) fn oldest(&mut self, is_slight: impl Fn(Reminder) -> bool) -> Option<u32> {
        for _ in 0..TRIES {
            let first = self.order.pop_front()?;
            if is_slight(first) {
                return Some(first.slot);
            }
        }
        None
    }

    /// Bytes the order takes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.order.capacity() * size_of::<Reminder>()
    }

    /// The most bytes the order takes among so many flows.
    pub(super) const fn memory_limit(flows: usize) -> usize {
        let (each, more) = ENTRIES;
        // The list doubles when it grows.
        (flows.saturating_mul(each).saturating_add(more)).saturating_mul(2 * size_of::<Reminder>())
    }
}
