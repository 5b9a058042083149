//! Where what a thread of a live run has to tell waits until the collector takes it.

use crossbeam::channel::{Sender, TrySendError};

use crate::pipeline::budget::RecordBudget;
use crate::pipeline::collector::{Report, State};
use crate::pipeline::worker::{Produced, Worker};
use crate::record::FlowRecord;
use crate::time::Timestamp;
use crate::usage::Cells;
use crate::usage::ledger::{Drops, Volume};

/// Where reports wait until the collector takes them: it is never waited for.
#[derive(Debug)]
pub(super) struct Outbox {
    reports: Sender<Report>,
    held: Report,
    budget: RecordBudget,
    records_lost: u64,
    set_backs: u32,
}

impl Outbox {
    /// An empty outbox of thread `part`.
    pub(super) fn new(part: usize, reports: Sender<Report>, budget: RecordBudget) -> Self {
        Self {
            budget,
            reports,
            held: Report {
                part,
                ..Report::default()
            },
            records_lost: 0,
            set_backs: 0,
        }
    }

    /// Takes the records that `worker` has: after each block, so that none pile up there.
    pub(super) fn collect_records(&mut self, worker: &mut Worker) {
        let Produced {
            mut records,
            closed,
            marked: _,
        } = worker.take();
        self.add_closed(closed);
        if !records.is_empty() {
            let all = records.len();
            self.held.record_bytes += self.budget.admit(&mut records);
            self.records_lost += (all - records.len()) as u64;
            self.add_records(records);
        }
    }

    /// From now on intervals are of the time after the clock was set back for the `times`th time.
    /// What closed before must have been collected.
    pub(super) const fn set_back(&mut self, times: u32) {
        self.set_backs = times;
    }

    /// Takes what `worker` has to tell.
    pub(super) fn collect(&mut self, worker: &mut Worker) {
        self.collect_records(worker);
        self.held.news = worker.take_news();
        let earlier = std::mem::take(&mut self.held.halves);
        self.held.halves = worker.take_halves();
        self.held.halves.join(earlier);
    }

    /// The last report of a thread with a `worker`, whose flows end with it. `drops`: what else the
    /// thread dropped.
    ///
    /// Its flows had their place in the table; nothing more comes, so none of their records is lost.
    pub(super) fn close_with(mut self, worker: Worker, state: State, mut drops: Drops) {
        let counted = worker.tally().health;
        let (produced, totals) = worker.finish();
        self.add_closed(produced.closed);
        self.add_records(produced.records);
        drops.add(&totals.drops);
        // Of flows that end now.
        let mut health = state.health;
        health.add(&totals.health.since(&counted));
        let earlier = std::mem::replace(&mut self.held.halves, totals.halves);
        self.held.halves.join(earlier);
        let state = State {
            drops,
            health,
            open: Cells::new(),
            accounts: None,
            unsettled: Volume::default(),
            flows_held: 0,
            ..state
        };
        self.close(Timestamp(u64::MAX), state);
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
        report.set_backs = self.set_backs;
        report.state = Some(Box::new(State {
            records_lost: self.records_lost,
            ..state
        }));
        report
    }

    fn add_closed(&mut self, closed: Vec<(Timestamp, Cells)>) {
        let intervals = closed.into_iter();
        let intervals = intervals.map(|(start, cells)| (self.set_backs, start, cells));
        self.held.closed.extend(intervals);
    }

    fn add_records(&mut self, mut records: Vec<FlowRecord>) {
        if self.held.records.is_empty() {
            self.held.records = records;
        } else {
            self.held.records.append(&mut records);
        }
    }
}
