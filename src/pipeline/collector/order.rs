//! When what threads report is complete.

use super::report::Report;
use crate::record::FlowRecord;
use crate::usage::{Cells, Closed};

/// What has become complete with a report.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Complete {
    /// Flows that ended.
    pub(in crate::pipeline) records: Vec<FlowRecord>,
    /// The bytes of memory that are given back once the records are gone.
    pub(in crate::pipeline) record_bytes: usize,
    /// Frames of flows that were asked for.
    pub(in crate::pipeline) marked: Vec<u64>,
    /// Intervals that all threads have closed, the earliest first.
    pub(in crate::pipeline) closed: Vec<Closed>,
}

/// When what threads report is complete.
pub(in crate::pipeline) trait Order {
    /// Takes in what a thread hands on, and how far it has come. What it says of its state is no
    /// matter here.
    fn take(&mut self, report: &mut Report);

    /// What has become complete since it was last asked, if anything.
    fn complete(&mut self) -> Option<Complete>;

    /// All threads have ended: what is left.
    fn rest(&mut self) -> Option<Complete>;

    /// Volume that threads have closed and that is not complete.
    fn held(&self) -> impl Iterator<Item = &Cells>;
}
