//! What a thread tells the collector: after a block of a capture, about once a second of a live run.

use crate::pipeline::halves::Halves;
use crate::record::FlowRecord;
use crate::time::Timestamp;
use crate::usage::ledger::{Drops, Volume};
use crate::usage::{Cells, Health, Stats};
use crate::view::snapshot::SourceReport;

/// What one thread says. It balances: what it has counted as read it has also counted under a
/// name or a reason, here or in intervals it has closed before.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Report {
    /// The thread's place among those that report.
    pub(in crate::pipeline) part: usize,
    /// Of a capture, the latest block that is done: all before it are as well, of which nothing
    /// may have been said. `u64::MAX` at the end.
    pub(in crate::pipeline) block: u64,
    /// Of a capture, when it begins: the time of the first frame.
    pub(in crate::pipeline) began: Timestamp,
    /// How often the thread has seen the clock set back.
    pub(in crate::pipeline) set_backs: u32,
    /// Up to when it is through, by the clock as it is since then.
    pub(in crate::pipeline) watermark: Timestamp,
    /// Flows that ended since the last report.
    pub(in crate::pipeline) records: Vec<FlowRecord>,
    /// What they take of the memory for records under way.
    pub(in crate::pipeline) record_bytes: usize,
    /// Flows that settled since, where somebody watches.
    pub(in crate::pipeline) news: Vec<FlowRecord>,
    /// Flows that ended since and showed one direction, where others may have seen the other.
    pub(in crate::pipeline) halves: Halves,
    /// Frames of the flows asked for.
    pub(in crate::pipeline) marked: Vec<u64>,
    /// Intervals that closed since: how often the clock had been set back, start, volume.
    pub(in crate::pipeline) closed: Vec<(u32, Timestamp, Cells)>,
    /// How things are, where that is said: of a capture at its end.
    pub(in crate::pipeline) state: Option<Box<State>>,
    /// Nothing more will come.
    pub(in crate::pipeline) is_last: bool,
}

impl Report {
    /// Whether it tells nothing but how far the thread is.
    pub(in crate::pipeline) fn is_empty(&self) -> bool {
        self.records.is_empty()
            && self.news.is_empty()
            && self.marked.is_empty()
            && self.closed.is_empty()
            && self.state.is_none()
            && !self.is_last
    }
}

/// Sums since the start, and what is held now.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct State {
    /// Frames read.
    pub(in crate::pipeline) wire: Volume,
    /// Volume by name in intervals that are not closed.
    pub(in crate::pipeline) open: Cells,
    /// The same volume by subject, where subjects are kept apart and somebody watches or asked for it.
    pub(in crate::pipeline) accounts: Option<Cells>,
    /// Frames of no flow.
    pub(in crate::pipeline) drops: Drops,
    /// Volume without its final name.
    pub(in crate::pipeline) unsettled: Volume,
    /// Frames lost on the way to a worker.
    pub(in crate::pipeline) channel: Volume,
    /// Flows that began.
    pub(in crate::pipeline) flows: u64,
    /// Flows in the table.
    pub(in crate::pipeline) flows_held: u64,
    /// What tells of the mirror.
    pub(in crate::pipeline) health: Health,
    /// Distributions.
    pub(in crate::pipeline) stats: Option<Stats>,
    /// The source, if the thread has one.
    pub(in crate::pipeline) source: Option<SourceReport>,
    /// New flows are not looked at.
    pub(in crate::pipeline) sheds: bool,
    /// Records that nobody took.
    pub(in crate::pipeline) records_lost: u64,
}
