//! The state of a live run at one moment, for metrics and for the terminal view.

use std::sync::Arc;

use serde::Serialize;

use crate::capture::Interfaces;
use crate::record::{FlowRecord, KeptBack};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::ledger::Volume;
use crate::usage::{CellKey, Cells, Health, Ledger, Stats, Subjects};

/// All that is known of a live run. Counters only grow from one snapshot to the next.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Number of this snapshot, from 1; zero before the first.
    pub sequence: u64,
    /// Time up to which all workers have reported.
    pub at: Timestamp,
    /// When the run began.
    pub started: Timestamp,
    /// The signatures in use; they name all that is in `cells` and `recent`.
    pub set: Arc<SignatureSet>,
    /// What became of signature sets that were to replace others.
    pub reloads: Reloads,
    /// Settled volume by name since the start.
    pub cells: Arc<Cells>,
    /// The same by subject, if subjects are kept apart: at the end of the run, where it was asked for, and
    /// all the time where somebody watches.
    pub accounts: Option<Arc<Cells>>,
    /// Names of the interfaces, if these are kept apart.
    pub interfaces: Option<Arc<Interfaces>>,
    /// How subjects are found, if they are kept apart.
    pub subjects: Option<Arc<Subjects>>,
    /// Subjects that were put together because there were too many accounts, over all intervals.
    pub put_together: u64,
    /// Where every byte went since the start, what waits for its name included.
    pub ledger: Ledger,
    /// Whether the mirror shows all traffic once and whole.
    pub health: Health,
    /// Flows that began.
    pub flows: u64,
    /// Flows held now.
    pub flows_held: u64,
    /// Flows the tables hold at most.
    pub flows_limit: u64,
    /// Each capture thread's source.
    pub sources: Vec<SourceReport>,
    /// Frames lost between a capture thread and its workers because a channel was full.
    pub dropped_channel: Volume,
    /// Flow records that found no room on their way to the writer, or could not be written.
    pub records_lost: u64,
    /// Those of them that could not be written.
    pub records_not_written: u64,
    /// Usage records that could not be written: known only at the end, before that they wait.
    pub usage_records_lost: u64,
    /// Records that were not to be written, where a condition says which are.
    pub kept_back: Option<KeptBack>,
    /// Closed intervals that are not written.
    pub intervals_waiting: u64,
    /// Whether new flows are not inspected at the moment, to keep up with counting.
    pub overloaded: bool,
    /// Distributions.
    pub stats: Stats,
    /// The latest flows that settled or ended, newest last; only where asked for.
    pub recent: Vec<Arc<FlowRecord>>,
}

impl Snapshot {
    /// The name of the interface that `key` is counted under, if interfaces are kept apart.
    pub fn interface(&self, key: &CellKey) -> Option<&str> {
        let (interfaces, id) = (self.interfaces.as_deref()?, key.interface?);
        Some(interfaces.name(id))
    }
}

/// What became of signature sets that were to replace others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// When the set in use was loaded.
    pub loaded: Timestamp,
    /// Sets taken into use after the first.
    pub accepted: u64,
    /// Sets that were refused.
    pub refused: u64,
    /// Why the last one was.
    pub last_refusal: Option<Arc<str>>,
}

/// What one capture thread's source says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// The interface.
    pub interface: String,
    /// The capture thread, from 0.
    pub thread: usize,
    /// `up`, `down` or `gone`.
    pub state: &'static str,
    /// When that began.
    pub since: Timestamp,
    /// Frames the kernel offered.
    pub received: u64,
    /// Frames dropped because the ring was full.
    pub dropped_ring: u64,
    /// Frames the interface or its driver dropped before; of several threads of an interface only
    /// the first tells.
    pub dropped_interface: u64,
}
