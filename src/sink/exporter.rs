//! What the pipeline drives, in the order the capture decides: where its records go.

use std::io;

use crate::record::{FlowRecord, RunRecord};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::Closed;

/// Where records go.
///
/// What an error means: from [`flow`](Exporter::flow), this record was not written, and nothing
/// else; from [`interval`](Exporter::interval), it is not written to its end; from
/// [`tick`](Exporter::tick), nothing is lost yet, what is held is tried again; from
/// [`finish`](Exporter::finish), what is still [`held`](Exporter::held) is lost unless it is tried
/// again. After any of them the exporter goes on and may be called as before: a live run counts
/// what is lost and goes on too, `read` ends.
pub trait Exporter: Send {
    /// A flow has ended, or goes on for long.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()>;

    /// Flows have ended, or go on for long.
    ///
    /// # Errors
    ///
    /// When a record cannot be written; those behind it were not tried.
    fn flows(&mut self, records: Vec<FlowRecord>, set: &SignatureSet) -> io::Result<()> {
        let mut records = records.iter();
        records.try_for_each(|record| self.flow(record, set))
    }

    /// An interval has closed; `sequence` counts them from zero.
    ///
    /// # Errors
    ///
    /// When a record cannot be written. The same interval may be given again, before any other: then
    /// it goes on with that record.
    fn interval(&mut self, closed: &Closed, sequence: u64, set: &SignatureSet) -> io::Result<()>;

    /// The same of an interval that nobody else needs.
    ///
    /// # Errors
    ///
    /// As for [`interval`](Exporter::interval).
    fn closed(&mut self, closed: Closed, sequence: u64, set: &SignatureSet) -> io::Result<()> {
        self.interval(&closed, sequence, set)
    }

    /// A live run has begun, or ended.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    fn run(&mut self, record: &RunRecord) -> io::Result<()> {
        let _ = record;
        Ok(())
    }

    /// Frames of these numbers are of flows that were asked for; in no order.
    ///
    /// # Errors
    ///
    /// When that cannot be taken in.
    fn frames(&mut self, numbers: &[u64]) -> io::Result<()> {
        let _ = numbers;
        Ok(())
    }

    /// It is `at` now: called about once a second in a live run, also when nothing comes. What is
    /// held is written out, and files are rotated where that is due.
    ///
    /// # Errors
    ///
    /// When what is held cannot be written now, or a file cannot be rotated.
    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        let _ = at;
        Ok(())
    }

    /// Writes out what is held: called soon after something was given, also when nothing comes.
    ///
    /// # Errors
    ///
    /// As for [`tick`](Exporter::tick).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Nothing more will come.
    ///
    /// # Errors
    ///
    /// When what is held cannot be written.
    fn finish(&mut self) -> io::Result<()>;

    /// Records that were given and are neither written out nor refused, the rest of an interval that
    /// met an error included.
    fn held(&self) -> u64 {
        0
    }

    /// Records that were given and written out, and are known to be lost on their way.
    fn dropped(&self) -> u64 {
        0
    }
}

/// How far an interval was written that met an error.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Its sequence number, records written, and all of its records.
    interval: Option<(u64, usize, usize)>,
}

impl Rest {
    /// Of none.
    pub(crate) const fn new() -> Self {
        Self { interval: None }
    }

    /// Where the interval of this number begins, or goes on.
    pub(crate) fn take(&mut self, sequence: u64) -> usize {
        match self.interval.take() {
            Some((same, written, _)) if same == sequence => written,
            _ => 0,
        }
    }

    /// The interval met an error after so many of all its records.
    pub(crate) const fn keep(&mut self, sequence: u64, written: usize, all: usize) {
        self.interval = Some((sequence, written, all));
    }

    /// Records that are left.
    pub(crate) fn records(&self) -> u64 {
        self.interval
            .map_or(0, |(_, written, all)| (all - written) as u64)
    }
}

/// Several exporters as one, or none. An error of one does not keep records from the others; the
/// first is returned.
impl Exporter for Vec<Box<dyn Exporter>> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        all(self, |exporter| exporter.flow(record, set))
    }

    fn interval(&mut self, closed: &Closed, sequence: u64, set: &SignatureSet) -> io::Result<()> {
        all(self, |exporter| exporter.interval(closed, sequence, set))
    }

    fn run(&mut self, record: &RunRecord) -> io::Result<()> {
        all(self, |exporter| exporter.run(record))
    }

    fn frames(&mut self, numbers: &[u64]) -> io::Result<()> {
        all(self, |exporter| exporter.frames(numbers))
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        all(self, |exporter| exporter.tick(at))
    }

    fn flush(&mut self) -> io::Result<()> {
        all(self, |exporter| exporter.flush())
    }

    fn finish(&mut self) -> io::Result<()> {
        all(self, |exporter| exporter.finish())
    }

    fn held(&self) -> u64 {
        self.iter().map(|exporter| exporter.held()).sum()
    }

    fn dropped(&self) -> u64 {
        self.iter().map(|exporter| exporter.dropped()).sum()
    }
}

fn all(
    exporters: &mut [Box<dyn Exporter>],
    call: impl FnMut(&mut Box<dyn Exporter>) -> io::Result<()>,
) -> io::Result<()> {
    exporters.iter_mut().map(call).fold(Ok(()), io::Result::and)
}
