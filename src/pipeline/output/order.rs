//! What the thread of an output is told to do.

use std::sync::Arc;

use crate::pipeline::budget::RecordBudget;
use crate::record::{self, FlowRecord, RunRecord};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::Closed;

/// What a thread is to do.
pub(in crate::pipeline) enum Order {
    Flows(Arc<Batch>),
    Usage(Usage),
    /// It is so late: write out what is held, and rotate what is due.
    Tick(Timestamp),
    /// Write out what is held.
    Flush,
}

/// Flow records on their way, and the room they take.
#[derive(Debug)]
pub(in crate::pipeline) struct Batch {
    pub(super) records: Vec<FlowRecord>,
    pub(super) set: Arc<SignatureSet>,
    /// Bytes that are given back once the records are gone.
    room: Option<(RecordBudget, usize)>,
}

impl Batch {
    /// Records named by `set`.
    pub(in crate::pipeline) const fn new(records: Vec<FlowRecord>, set: Arc<SignatureSet>) -> Self {
        Self {
            records,
            set,
            room: None,
        }
    }

    /// The same, which take so many bytes of `budget`.
    #[must_use]
    pub(in crate::pipeline) fn taking(mut self, bytes: usize, budget: RecordBudget) -> Self {
        self.room = Some((budget, bytes));
        self
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some((budget, bytes)) = &self.room {
            budget.give_back(*bytes);
        }
    }
}

/// What an output of usage is to write, in order.
pub(in crate::pipeline) enum Usage {
    Interval(Interval),
    /// The run has begun, or ended.
    Run(Box<RunRecord>),
}

impl Usage {
    pub(super) fn records(&self) -> u64 {
        match self {
            Self::Interval(interval) => interval.records(),
            Self::Run(_) => 1,
        }
    }

    /// Whether it counts among the intervals that are under way.
    pub(super) const fn is_interval(&self) -> bool {
        matches!(self, Self::Interval(_))
    }
}

/// A closed interval that is to be written.
pub(in crate::pipeline) struct Interval {
    pub(in crate::pipeline) closed: Arc<Closed>,
    pub(in crate::pipeline) sequence: u64,
    pub(in crate::pipeline) set: Arc<SignatureSet>,
}

impl Interval {
    fn records(&self) -> u64 {
        record::usage::usage_records(&self.closed.cells) as u64
    }
}
