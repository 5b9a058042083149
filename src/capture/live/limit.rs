//! A run of so many frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Arrival, Counts, LinkState, Source};
use crate::capture::Block;
use crate::time::Timestamp;

/// How many frames may still come, of all sources that share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

impl Budget {
    /// So many frames.
    pub fn new(frames: u64) -> Self {
        Self(Arc::new(AtomicU64::new(frames)))
    }

    /// Whether all have come.
    pub fn is_spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes up to `frames`; once for a block.
    fn take(&self, frames: usize) -> usize {
        let asked = frames as u64;
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(asked))
            });
        let left = before.unwrap_or_else(|left| left);
        usize::try_from(left.min(asked)).unwrap_or(frames)
    }
}

/// A source that is quiet once the budget is spent. What it is offered after that is not taken in.
pub struct Limited {
    source: Box<dyn Source>,
    budget: Budget,
}

impl Limited {
    /// `source` within `budget`.
    pub fn new(source: Box<dyn Source>, budget: Budget) -> Self {
        Self { source, budget }
    }
}

impl Source for Limited {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        let arrival = self.source.next_block(block, wait);
        if arrival != Arrival::Frames {
            return arrival;
        }
        match self.budget.take(block.frames.len()) {
            0 => {
                block.clear();
                Arrival::Quiet
            }
            taken => {
                block.frames.truncate(taken);
                block.left_out.truncate(taken);
                Arrival::Frames
            }
        }
    }

    fn behind(&self) -> Duration {
        self.source.behind()
    }

    fn stop(&mut self) {
        self.source.stop();
    }

    fn counts(&mut self) -> Counts {
        self.source.counts()
    }

    fn state(&self) -> (LinkState, Timestamp) {
        self.source.state()
    }

    fn name(&self) -> &str {
        self.source.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_once() {
        let budget = Budget::new(10);
        let shared = budget.clone();
        assert_eq!(budget.take(4), 4);
        assert_eq!(shared.take(4), 4);
        assert!(!budget.is_spent());
        assert_eq!(budget.take(4), 2);
        assert!(budget.is_spent() && shared.is_spent());
        assert_eq!(shared.take(1), 0);
    }
}
