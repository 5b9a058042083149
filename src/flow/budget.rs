//! Memory that flows of one table take together beyond their place in it, and which of them began
//! to take it first.

use std::collections::VecDeque;

use super::expiry::Reminder;

/// How many entries there may be for each flow that takes memory, those of other ones included, and
/// some more, so that forgetting them costs a flow little.
const ENTRIES: (usize, usize) = (2, 1024);

/// The order is kept from when one half of the room is taken until less than one quarter is.
const KEPT: (usize, usize) = (2, 4);

/// A limit, and who takes how much. Who began first is kept only while it may come to use: most runs
/// never come near the limit.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    held: usize,
    /// How many flows take any.
    flows: usize,
    /// In the order they began to; some take none any more.
    order: VecDeque<Reminder>,
    is_kept: bool,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            held: 0,
            flows: 0,
            order: VecDeque::new(),
            is_kept: false,
        }
    }

    /// Whether so much is taken, or was not long ago, that the order counts.
    #[inline]
    pub(super) const fn is_near(&self) -> bool {
        self.is_kept || self.held > self.limit / KEPT.0
    }

    /// Whether the order is to [begin](Self::begin) now.
    pub(super) const fn begins(&self) -> bool {
        !self.is_kept && self.held > self.limit / KEPT.0
    }

    /// Keeps the order from now on: `flows` are all that take any, the oldest first.
    pub(super) fn begin(&mut self, flows: impl Iterator<Item = Reminder>) {
        self.is_kept = true;
        self.order = flows.collect();
    }

    /// `flow` took `before`, and takes `now`.
    pub(super) fn change(&mut self, flow: Reminder, before: u32, now: u32) {
        self.release(before);
        if now == 0 {
            return;
        }
        self.held += now as usize;
        self.flows += 1;
        if before == 0 && self.is_kept {
            self.order.push_back(flow);
        }
    }

    /// A flow that took so much takes none any more.
    pub(super) const fn release(&mut self, charged: u32) {
        if charged > 0 {
            self.held -= charged as usize;
            self.flows -= 1;
        }
    }

    pub(super) const fn held(&self) -> usize {
        self.held
    }

    pub(super) const fn is_exceeded(&self) -> bool {
        self.held > self.limit
    }

    /// Takes out the flow that began first; it may take none any more.
    pub(super) fn oldest(&mut self) -> Option<Reminder> {
        self.order.pop_front()
    }

    /// Forgets entries of flows that take none any more, once there are many. `takes` says which do.
    pub(super) fn tidy(&mut self, takes: impl Fn(Reminder) -> bool) {
        let (each, more) = ENTRIES;
        if self.is_kept && self.held < self.limit / KEPT.1 {
            self.is_kept = false;
            self.order = VecDeque::new();
        }
        if self.order.len() > each * self.flows + more {
            self.order.retain(|&entry| takes(entry));
            self.order.shrink_to(2 * self.order.len() + more);
        }
    }

    /// The most bytes the order of so many flows takes.
    pub(super) const fn memory_limit(flows: usize) -> usize {
        let (each, more) = ENTRIES;
        // The list doubles when it grows.
        (flows.saturating_mul(each).saturating_add(more)).saturating_mul(2 * size_of::<Reminder>())
    }
}
