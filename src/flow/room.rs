//! Memory that flows of one table take together beyond their place in it, and which of them began
//! to take it first.

use std::collections::VecDeque;

use super::expiry::Reminder;

/// How many entries there may be for each flow that takes memory, those of other ones included, and
/// some more, so that forgetting them costs a flow little.
const ENTRIES: (usize, usize) = (2, 1024);

/// A limit, and who takes how much.
#[derive(Debug)]
pub(super) struct Room {
    limit: usize,
    held: usize,
    /// How many flows take any.
    flows: usize,
    /// In the order they began to; some take none any more.
    order: VecDeque<Reminder>,
}

impl Room {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            held: 0,
            flows: 0,
            order: VecDeque::new(),
        }
    }

    /// `flow` took `before`, and takes `now`.
    pub(super) fn change(&mut self, flow: Reminder, before: u32, now: u32) {
        self.release(before);
        if now == 0 {
            return;
        }
        self.held += now as usize;
        self.flows += 1;
        if before == 0 {
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
