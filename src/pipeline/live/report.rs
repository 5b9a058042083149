//! What each thread of a live run tells the collector about once a second.

use crossbeam::channel::{Sender, TrySendError};

use crate::export::snapshot::SourceReport;
use crate::pipeline::worker::Worker;
use crate::time::Timestamp;
use crate::usage::ledger::{Drops, Volume};
use crate::usage::{Cells, FlowRecord, Stats};

/// Records kept for a collector that is behind; any further ones are lost, and counted.
const MAX_RECORDS: usize = 1 << 18;

/// What one thread says. It balances: what it has counted as read it has also counted under a
/// name or a reason, here or in intervals it has closed before.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The thread's place among those that report.
    pub(super) part: usize,
    /// Up to when it is through.
    pub(super) watermark: Timestamp,
    /// Flows that ended since the last report.
    pub(super) records: Vec<FlowRecord>,
    /// Flows that settled since, where somebody watches.
    pub(super) news: Vec<FlowRecord>,
    /// Intervals that closed since.
    pub(super) closed: Vec<(Timestamp, Cells)>,
    /// How things are.
    pub(super) state: State,
    /// Nothing more will come.
    pub(super) is_last: bool,
}

/// Sums since the start, and what is held now.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Frames read.
    pub(super) wire: Volume,
    /// Volume by name in intervals that are not closed.
    pub(super) open: Cells,
    /// Frames of no flow.
    pub(super) drops: Drops,
    /// Volume without its final name.
    pub(super) unsettled: Volume,
    /// Frames lost on the way to a worker.
    pub(super) channel: Volume,
    /// Flows that began.
    pub(super) flows: u64,
    /// Flows in the table.
    pub(super) flows_held: u64,
    /// Distributions.
    pub(super) stats: Option<Stats>,
    /// The source, if the thread has one.
    pub(super) source: Option<SourceReport>,
    /// New flows are not looked at.
    pub(super) sheds: bool,
    /// Records that nobody took.
    pub(super) records_lost: u64,
}

/// Where reports wait until the collector takes them: it is never waited for.
#[derive(Debug)]
pub(super) struct Outbox {
    reports: Sender<Report>,
    held: Report,
    records_lost: u64,
}

impl Outbox {
    /// An empty outbox of thread `part`.
    pub(super) fn new(part: usize, reports: Sender<Report>) -> Self {
        Self {
            reports,
            held: Report {
                part,
                ..Report::default()
            },
            records_lost: 0,
        }
    }

    /// Takes what `worker` has to tell.
    pub(super) fn collect(&mut self, worker: &mut Worker) {
        let report = worker.report(0);
        self.held.closed.extend(report.closed);
        self.held.news = worker.take_news();
        self.add_records(report.records);
    }

    /// Takes the end of a worker.
    pub(super) fn add_end(&mut self, records: Vec<FlowRecord>, closed: Vec<(Timestamp, Cells)>) {
        self.held.closed.extend(closed);
        self.add_records(records);
    }

    /// Offers all that is held, with the `state` at `watermark`.
    pub(super) fn offer(&mut self, watermark: Timestamp, state: State) {
        let report = self.fill(watermark, state);
        if let Err(TrySendError::Full(report)) = self.reports.try_send(report) {
            self.held = report;
        }
    }

    /// The last report: waits until it is taken.
    pub(super) fn close(mut self, watermark: Timestamp, state: State) {
        self.held.is_last = true;
        let report = self.fill(watermark, state);
        // Without a collector there is nobody to tell.
        let _ = self.reports.send(report);
    }

    fn fill(&mut self, watermark: Timestamp, state: State) -> Report {
        let empty = Report {
            part: self.held.part,
            ..Report::default()
        };
        let mut report = std::mem::replace(&mut self.held, empty);
        report.watermark = watermark;
        report.state = State {
            records_lost: self.records_lost,
            ..state
        };
        report
    }

    fn add_records(&mut self, mut records: Vec<FlowRecord>) {
        let room = MAX_RECORDS.saturating_sub(self.held.records.len());
        self.records_lost += records.len().saturating_sub(room) as u64;
        records.truncate(room);
        if self.held.records.is_empty() {
            self.held.records = records;
        } else {
            self.held.records.append(&mut records);
        }
    }
}
