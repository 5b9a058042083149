//! Where the records of a live run are written: a thread for each output, so that one that takes
//! nothing, a pipe that nobody reads or a disk that hangs, holds up neither the collector nor the
//! other outputs.
//!
//! Flow records wait in memory while there is [`RecordBudget`](crate::pipeline::budget::RecordBudget). Usage is never given up while the run lasts:
//! an interval that could not be written is tried again, and of those that wait too long the
//! earliest goes into the one after it.
//!
//! Each record that a thread was given is in the end written or lost, and counted so.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::steady;
use crate::pipeline::output::{Batch, Interval, Output, OutputThread, Pace, Usage};
use crate::record::{Records, RunEnd, RunRecord};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{self, CellKey, Closed, Totals};

/// Cells of closed intervals that may wait for one output: two intervals with as many accounts as
/// there may be.
pub(super) fn cells_waiting(usage: &usage::Config) -> usize {
    const LEAST: usize = 1 << 17;
    match usage.subjects {
        Some(_) => usage.max_accounts.saturating_mul(2).max(LEAST),
        None => LEAST,
    }
}

/// Intervals that a thread has at a time; the others wait where they can be put together.
const AT_A_TIME: u64 = 4;

/// How long an output may take nothing at the end of a run before it is given up.
const LAST_WAIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// The most memory that intervals on their way to so many outputs take, in maps with nodes half
/// full.
pub(crate) fn intervals_memory(outputs: usize, usage: &usage::Config) -> usize {
    let cell = 2 * size_of::<(CellKey, Totals)>();
    outputs.saturating_mul(cells_waiting(usage).saturating_mul(cell))
}

/// An output of a live run, as the collector sees it.
pub(super) struct Writer {
    thread: OutputThread,
    waiting: Waiting,
    sequence: u64,
    given_up: bool,
}

impl Writer {
    /// Starts the thread of `output`, for which so many cells may wait.
    pub(super) fn start(output: Output, cells_waiting: usize) -> io::Result<Self> {
        Ok(Self {
            thread: OutputThread::start(output, Pace::Live)?,
            waiting: Waiting::new(cells_waiting),
            sequence: 0,
            given_up: false,
        })
    }

    /// Flows have ended.
    pub(super) fn flows(&self, batch: &Arc<Batch>) {
        // What a thread that has panicked was given is lost in the end.
        let _ = self.thread.flows(batch);
    }

    /// An interval has closed. Gives how many had to be put together with the one after.
    pub(super) fn interval(&mut self, closed: &Arc<Closed>) -> u64 {
        if self.records() != Records::Usage {
            return 0;
        }
        self.waiting.add(Arc::clone(closed))
    }

    /// The run has begun, or ended.
    pub(super) fn run_record(&self, run: &RunRecord) {
        let _ = self.thread.usage(Usage::Run(Box::new(run.clone())));
    }

    /// It is `now`: what waits is handed on, as far as the thread has come.
    pub(super) fn tick(&mut self, now: Timestamp, set: &Arc<SignatureSet>) {
        while self.thread.intervals() < AT_A_TIME && self.hand_on(set) {}
        self.thread.tick(now);
    }

    /// Nothing more will come: the run ends with `run`, which is told how many intervals there were.
    pub(super) fn close(&mut self, set: &Arc<SignatureSet>, run: &RunRecord) {
        while self.hand_on(set) {}
        let end = run.end.map(|end| RunEnd {
            intervals: self.sequence,
            ..end
        });
        self.run_record(&RunRecord { end, ..run.clone() });
        self.thread.close();
    }

    /// Waits until all of `writers`, which are closed, have written what they can, or do nothing any
    /// more.
    pub(super) fn wait_for(writers: &mut [Self]) {
        for writer in writers {
            let (mut steps, mut since) = (writer.thread.steps(), steady());
            while writer.thread.wait(LAST_WAIT / 50).is_none() {
                let now = steady();
                if writer.thread.steps() != steps {
                    (steps, since) = (writer.thread.steps(), now);
                } else if now.duration_since(since) > LAST_WAIT {
                    writer.given_up = true;
                    break;
                }
            }
            let lost = writer.lost();
            if lost > 0 {
                let why = if writer.given_up {
                    ", which takes nothing"
                } else {
                    ""
                };
                tracing::error!("{}{why}: {lost} records were not written", writer.name());
            }
        }
    }

    /// For the log.
    pub(super) fn name(&self) -> &str {
        self.thread.name()
    }

    /// What it takes.
    pub(super) const fn records(&self) -> Records {
        self.thread.records()
    }

    /// Records that will not be written, or may not have been.
    pub(super) fn lost(&self) -> u64 {
        if self.given_up || self.thread.has_ended() {
            return self.thread.lost_unseen();
        }
        self.thread.lost()
    }

    /// Closed intervals that are not written.
    pub(super) fn intervals(&self) -> u64 {
        self.waiting.len() as u64 + self.thread.intervals()
    }

    /// Whether nobody will ever read what is written.
    pub(super) fn is_gone(&self) -> bool {
        self.thread.is_gone()
    }

    fn hand_on(&mut self, set: &Arc<SignatureSet>) -> bool {
        let Some(closed) = self.waiting.take() else {
            return false;
        };
        let interval = Interval {
            closed,
            sequence: self.sequence,
            set: Arc::clone(set),
        };
        self.sequence += 1;
        let _ = self.thread.usage(Usage::Interval(interval));
        true
    }
}

/// Intervals that wait, so many cells of them; where there are more, the earliest goes into the one
/// after it.
#[derive(Debug)]
struct Waiting {
    intervals: VecDeque<Arc<Closed>>,
    cells: usize,
    most: usize,
}

impl Waiting {
    /// None, and at most so many cells.
    const fn new(most: usize) -> Self {
        Self {
            intervals: VecDeque::new(),
            cells: 0,
            most,
        }
    }

    fn len(&self) -> usize {
        self.intervals.len()
    }

    fn take(&mut self) -> Option<Arc<Closed>> {
        let first = self.intervals.pop_front()?;
        self.cells -= first.cells.len();
        Some(first)
    }

    fn add(&mut self, closed: Arc<Closed>) -> u64 {
        self.cells += closed.cells.len();
        self.intervals.push_back(closed);
        let mut merged = 0;
        while self.cells > self.most
            && self.intervals.len() > 1
            && let Some(earliest) = self.intervals.pop_front()
            && let Some(next) = self.intervals.front_mut()
        {
            self.cells -= earliest.cells.len() + next.cells.len();
            let sum = Arc::make_mut(next);
            sum.covered_from = sum.covered_from.min(earliest.covered_from);
            for (&key, totals) in &earliest.cells {
                sum.cells.entry(key).or_default().add(totals);
            }
            self.cells += sum.cells.len();
            merged += 1;
        }
        merged
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
