//! The collector: puts what workers report in the order the capture decides, and exports it.

use std::collections::BTreeMap;
use std::io;

use crossbeam::channel::Receiver;

use crate::export::Exporter;
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::ledger::Drops;
use crate::usage::{Cells, Clients, FlowRecord, Health, Stats, Summary};

use super::halves::Halves;

/// What one worker says after a block.
#[derive(Debug)]
pub(super) struct Report {
    /// The block's place in the stream; `u64::MAX` for the last report.
    pub(super) index: u64,
    /// Flows that ended in it.
    pub(super) records: Vec<FlowRecord>,
    /// Intervals that closed with it.
    pub(super) closed: Vec<(Timestamp, Cells)>,
    /// What a worker says at its end.
    pub(super) last: Option<Box<Last>>,
}

/// Totals of one worker.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) clients: Clients,
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
    reports: usize,
    records: Vec<FlowRecord>,
    closed: BTreeMap<Timestamp, Cells>,
}

/// Merges the reports of all workers.
#[derive(Debug)]
pub(super) struct Collector {
    workers: usize,
    /// Intervals are exported; without, the one interval is the summary.
    intervals: bool,
    pending: BTreeMap<u64, Pending>,
    summary: Summary,
    sequence: u64,
}

impl Collector {
    pub(super) fn new(workers: usize, intervals: bool) -> Self {
        Self {
            workers,
            intervals,
            pending: BTreeMap::new(),
            summary: Summary::default(),
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
        reports: &Receiver<Report>,
        set: &SignatureSet,
        exporter: &mut dyn Exporter,
    ) -> io::Result<Summary> {
        for report in reports {
            if let Some(last) = report.last {
                self.summary.flows += last.flows;
                self.summary.ledger.drops.add(&last.drops);
                self.summary.health.add(&last.health);
                for (key, totals) in last.clients {
                    self.summary.clients.entry(key).or_default().add(&totals);
                }
                match (&mut self.summary.stats, last.stats) {
                    (Some(mine), Some(theirs)) => mine.merge(&theirs),
                    (mine @ None, theirs) => *mine = theirs,
                    (Some(_), None) => {}
                }
            }
            let pending = self.pending.entry(report.index).or_default();
            pending.reports += 1;
            pending.records.extend(report.records);
            for (start, cells) in report.closed {
                let interval = pending.closed.entry(start).or_default();
                for (key, totals) in cells {
                    interval.entry(key).or_default().add(&totals);
                }
            }
            // Blocks complete in any order; what they say leaves in theirs.
            while let Some(first) = self.pending.first_entry()
                && first.get().reports == self.workers
            {
                let block = first.remove();
                self.export(block, set, exporter)?;
            }
        }
        exporter.finish()?;
        Ok(self.summary)
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
        for (start, cells) in &block.closed {
            if self.intervals {
                exporter.interval(*start, self.sequence, cells, set)?;
                self.sequence += 1;
            }
            for (key, totals) in cells {
                self.summary.cells.entry(*key).or_default().add(totals);
                self.summary.ledger.add_cell(key, totals);
            }
        }
        Ok(())
    }
}
