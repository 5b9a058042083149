//! The collector: puts what workers report in the order the capture decides, and exports it.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, after};

use crate::export::Exporter;
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::accounts::bound;
use crate::usage::ledger::Drops;
use crate::usage::{self, Cells, Health, Stats, Summary};

use super::halves::Halves;

/// How long exporters may hold back what they were given, so that a reader of what they write sees
/// it within a second.
const HELD: Duration = Duration::from_millis(200);

/// What one worker says after a block. Of a block of which there is nothing to say it may say nothing:
/// a report also tells that all blocks before its own are done.
#[derive(Debug)]
pub(super) struct Report {
    /// The block's place in the stream; `u64::MAX` for the last report.
    pub(super) index: u64,
    /// Flows that ended in it.
    pub(super) records: Vec<FlowRecord>,
    /// Intervals that closed with it.
    pub(super) closed: Vec<(Timestamp, Cells)>,
    /// Frames of the flows asked for.
    pub(super) marked: Vec<u64>,
    /// What a worker says at its end.
    pub(super) last: Option<Box<Last>>,
}

impl Report {
    /// Whether it tells nothing but that the block is done.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            index: _,
            records,
            closed,
            marked,
            last,
        } = self;
        records.is_empty() && closed.is_empty() && marked.is_empty() && last.is_none()
    }
}

/// Totals of one worker.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) drops: Drops,
    pub(super) health: Health,
    /// Flows that showed one direction, where other threads may have the other.
    pub(super) halves: Halves,
    pub(super) flows: u64,
    pub(super) stats: Option<Stats>,
}

/// Reports of one block, as far as they are in.
#[derive(Debug, Default)]
struct Pending {
    records: Vec<FlowRecord>,
    marked: Vec<u64>,
    closed: BTreeMap<Timestamp, Cells>,
}

/// Merges the reports of all workers.
#[derive(Debug)]
pub(super) struct Collector {
    /// The latest block that each worker has done; `None`: none yet.
    done: Vec<Option<u64>>,
    /// Intervals are exported; without, the one interval is the summary.
    intervals: bool,
    max_accounts: usize,
    pending: BTreeMap<u64, Pending>,
    summary: Summary,
    sequence: u64,
}

impl Collector {
    pub(super) fn new(workers: usize, usage: &usage::Config) -> Self {
        Self {
            done: vec![None; workers],
            intervals: usage.interval.is_some(),
            max_accounts: usage.max_accounts,
            pending: BTreeMap::new(),
            summary: Summary {
                subjects: usage.subjects.clone(),
                ..Summary::default()
            },
            sequence: 0,
        }
    }

    /// Takes reports until all workers are gone.
    ///
    /// # Errors
    ///
    /// The first error of the exporter. It ends the run: workers find nobody to report to.
    pub(super) fn run(
        mut self,
        reports: &Receiver<(usize, Report)>,
        set: &SignatureSet,
        exporter: &mut dyn Exporter,
    ) -> io::Result<Summary> {
        // A channel as a clock: what was exported is written out soon, whatever comes after it. To
        // select over both channels would make every sender take the lock of those who wait.
        let mut due: Option<Receiver<_>> = None;
        loop {
            let report = match due {
                None => reports.recv().map_err(RecvTimeoutError::from),
                Some(_) => reports.recv_timeout(HELD),
            };
            let is_quiet = matches!(report, Err(RecvTimeoutError::Timeout));
            if is_quiet || due.as_ref().is_some_and(|due| due.try_recv().is_ok()) {
                exporter.flush()?;
                due = None;
            }
            match report {
                Ok((worker, report)) => {
                    if self.add(worker, report, set, exporter)? && due.is_none() {
                        due = Some(after(HELD));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        exporter.finish()?;
        Ok(self.summary)
    }

    /// Adds what a worker, by its number, says. Whether something was exported.
    fn add(
        &mut self,
        worker: usize,
        report: Report,
        set: &SignatureSet,
        exporter: &mut dyn Exporter,
    ) -> io::Result<bool> {
        if let Some(last) = report.last {
            self.summary.flows += last.flows;
            self.summary.ledger.drops.add(&last.drops);
            self.summary.health.add(&last.health);
            match (&mut self.summary.stats, last.stats) {
                (Some(mine), Some(theirs)) => mine.merge(&theirs),
                (mine @ None, theirs) => *mine = theirs,
                (Some(_), None) => {}
            }
        }
        if let Some(done) = self.done.get_mut(worker) {
            *done = Some(report.index);
        }
        let pending = self.pending.entry(report.index).or_default();
        pending.records.extend(report.records);
        pending.marked.extend(report.marked);
        for (start, cells) in report.closed {
            let interval = pending.closed.entry(start).or_default();
            for (key, totals) in cells {
                interval.entry(key).or_default().add(&totals);
            }
        }
        // Blocks complete in any order; what they say leaves in theirs.
        let mut exports = false;
        let done = self.done.iter().copied().min().flatten();
        while let Some(first) = self.pending.first_entry()
            && done.is_some_and(|done| *first.key() <= done)
        {
            let block = first.remove();
            exports |= !(block.records.is_empty() && block.closed.is_empty());
            self.export(block, set, exporter)?;
        }
        Ok(exports)
    }

    fn export(
        &mut self,
        mut block: Pending,
        set: &SignatureSet,
        exporter: &mut dyn Exporter,
    ) -> io::Result<()> {
        block.records.sort_unstable_by_key(|record| record.flow_id);
        for record in &block.records {
            exporter.flow(record, set)?;
        }
        if !block.marked.is_empty() {
            exporter.frames(&block.marked)?;
        }
        for (start, mut cells) in block.closed {
            self.summary.put_together += bound(&mut cells, self.max_accounts);
            if self.intervals {
                exporter.interval(start, self.sequence, &cells, set)?;
                self.sequence += 1;
            }
            for (key, totals) in &cells {
                self.summary.cells.entry(*key).or_default().add(totals);
                self.summary.ledger.add_cell(key, totals);
            }
            // All intervals together have no more than one may have.
            self.summary.put_together += bound(&mut self.summary.cells, self.max_accounts);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames as they were exported.
    #[derive(Default)]
    struct Frames(Vec<u64>);

    impl Exporter for Frames {
        fn flow(&mut self, _: &FlowRecord, _: &SignatureSet) -> io::Result<()> {
            Ok(())
        }

        fn interval(
            &mut self,
            _: Timestamp,
            _: u64,
            _: &Cells,
            _: &SignatureSet,
        ) -> io::Result<()> {
            Ok(())
        }

        fn frames(&mut self, numbers: &[u64]) -> io::Result<()> {
            self.0.extend(numbers);
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_report_tells_of_the_blocks_before_it() {
        // (worker, block, the frame it tells of if any, frames that have left after it)
        let steps: [(usize, u64, Option<u64>, &[u64]); 6] = [
            (0, 0, Some(10), &[]),
            (0, 2, Some(12), &[]),
            (1, 1, Some(11), &[10, 11]),
            (1, 9, None, &[10, 11, 12]),
            (0, 3, Some(13), &[10, 11, 12, 13]),
            (1, u64::MAX, Some(99), &[10, 11, 12, 13]),
        ];
        let set = SignatureSet::compile(&[]).unwrap();
        let mut collector = Collector::new(2, &usage::Config::default());
        let mut frames = Frames::default();
        for (worker, index, frame, expected) in steps {
            let report = Report {
                index,
                records: Vec::new(),
                closed: Vec::new(),
                marked: frame.into_iter().collect(),
                last: None,
            };
            collector.add(worker, report, &set, &mut frames).unwrap();
            assert_eq!(frames.0, expected, "block {index} of worker {worker}");
        }
    }
}
