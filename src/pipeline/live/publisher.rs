//! Where what the collector of a live run has goes: records and intervals to the writers of the
//! outputs, and a snapshot about once a second to all who look.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::capture::Interfaces;
use crate::clock::now;
use crate::pipeline::budget::RecordBudget;
use crate::pipeline::collector::{Counted, Order, Outlet};
use crate::pipeline::output::Batch;
use crate::pipeline::watch::Recent;
use crate::record::{FlowRecord, Only, Records, RunEnd, RunRecord};
use crate::time::Timestamp;
use crate::usage::health::Fault;
use crate::usage::{Cells, Closed};
use crate::view::health;
use crate::view::snapshot::{Snapshot, SourceReport};

use super::Control;
use super::writer::Writer;

/// Hands on, and publishes. It is never waited for, and no output ends the run.
pub(super) struct Publisher<'a> {
    control: &'a Control,
    writers: Vec<Writer>,
    budget: RecordBudget,
    /// Without records nobody gets anything of the run.
    only_records: bool,
    /// Which records leave.
    only: Option<Arc<Only>>,
    every: Duration,
    flows_limit: u64,
    max_accounts: usize,
    /// Where they are kept apart.
    interfaces: Option<Arc<Interfaces>>,
    snapshots: u64,
    run: RunRecord,
    recent: Option<Recent>,
    /// Faults of the mirror that the log has.
    told: Vec<Fault>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        control: &'a Control,
        writers: Vec<Writer>,
        config: &super::Config,
        interfaces: Vec<Box<str>>,
        budget: RecordBudget,
    ) -> Self {
        let run = RunRecord {
            run: control.latest().load().started,
            interfaces: interfaces.into(),
            interval: config.run.usage.interval.clone(),
            set: control.set(),
            end: None,
        };
        for writer in &writers {
            writer.run_record(&run);
        }
        Self {
            control,
            writers,
            budget,
            only_records: config.only_records,
            only: config.only.clone(),
            every: config.tick,
            flows_limit: config.run.flow.max_flows as u64,
            max_accounts: config.run.usage.max_accounts,
            interfaces: (config.run.usage.by_interface).then(|| Arc::clone(&config.run.interfaces)),
            snapshots: 0,
            run,
            recent: config.follow.then(Recent::default),
            told: Vec::new(),
        }
    }

    /// Ends a run that nobody gets anything of any more.
    fn look_for_readers(&self) {
        let is_gone = !self.writers.is_empty() && self.writers.iter().all(Writer::is_gone);
        if self.only_records && is_gone && !self.control.stops() {
            tracing::error!("nobody reads the records any more: the run ends");
            self.control.stop();
        }
    }

    fn publish(&mut self, counted: &Counted, order: &impl Order) {
        self.snapshots += 1;
        let snapshot = self.snapshot(counted, order);
        if !snapshot.ledger.closes() {
            tracing::error!(ledger = %snapshot.ledger, "the ledger does not close");
        }
        for (fault, checked) in snapshot.health.faults() {
            if !self.told.contains(&fault) {
                self.told.push(fault);
                tracing::warn!("the mirror: {}", health::line(fault, checked));
            }
        }
        self.control.publish(snapshot);
    }

    fn snapshot(&self, counted: &Counted, order: &impl Order) -> Snapshot {
        let cells = counted.names(order.held());
        let ledger = counted.ledger(&cells);
        let not_written = self.lost(Records::Flows);
        let mut snapshot = Snapshot {
            sequence: self.snapshots,
            at: counted.passed().min(now()),
            started: self.run.run,
            set: self.control.set(),
            reloads: self.control.reloads(),
            flows_limit: self.flows_limit,
            records_lost: not_written,
            records_not_written: not_written,
            usage_records_lost: self.lost(Records::Usage),
            kept_back: self.only.as_ref().map(|only| only.kept_back()),
            intervals_waiting: self.writers.iter().map(Writer::intervals).sum(),
            recent: self
                .recent
                .iter()
                .flat_map(Recent::flows)
                .cloned()
                .collect(),
            dropped_channel: ledger.channel,
            cells: Arc::new(cells),
            ledger,
            health: counted.health(),
            stats: counted.stats().unwrap_or_default(),
            interfaces: self.interfaces.clone(),
            subjects: counted.subjects().cloned(),
            put_together: counted.put_together(),
            ..Snapshot::default()
        };
        if snapshot.subjects.is_some() && counted.is_all() {
            snapshot.accounts = Some(Arc::new(counted.closed().clone()));
        } else if (self.control.wants_accounts() || self.recent.is_some())
            && let Some((accounts, put_together)) = counted.accounts(order.held())
        {
            self.control.has_accounts();
            snapshot.accounts = Some(Arc::new(accounts));
            snapshot.put_together += put_together;
        }
        for state in counted.states() {
            snapshot.flows += state.flows;
            snapshot.flows_held += state.flows_held;
            snapshot.records_lost += state.records_lost;
            snapshot.overloaded |= state.sheds;
            if let Some(mut source) = state.source.clone() {
                // What the interface itself dropped is told to each of its threads.
                let known = |other: &SourceReport| other.interface == source.interface;
                if snapshot.sources.iter().any(known) {
                    source.dropped_interface = 0;
                }
                snapshot.sources.push(source);
            }
        }
        snapshot
    }

    fn remember(&mut self, record: FlowRecord) {
        if let Some(recent) = &mut self.recent {
            recent.tell(record);
        }
    }

    /// Records of a kind that their writers could not write.
    fn lost(&self, records: Records) -> u64 {
        let writers = self.writers.iter();
        let writers = writers.filter(|writer| writer.records() == records);
        writers.map(Writer::lost).sum()
    }
}

impl Outlet for Publisher<'_> {
    fn every(&self) -> Duration {
        self.every
    }

    fn records(&mut self, records: Vec<FlowRecord>, bytes: usize) -> io::Result<()> {
        if self.recent.is_some() {
            let older = records.len().saturating_sub(Recent::MOST);
            for record in records.iter().skip(older) {
                self.remember(record.clone());
            }
        }
        let batch = Batch::new(records, self.control.set());
        let batch = Arc::new(batch.taking(bytes, self.budget.clone()));
        for writer in &self.writers {
            writer.flows(&batch);
        }
        Ok(())
    }

    fn news(&mut self, records: Vec<FlowRecord>) {
        for record in records {
            self.remember(record);
        }
    }

    fn interval(&mut self, closed: Closed, put_together: u64) -> io::Result<()> {
        if put_together > 0 {
            tracing::warn!(
                "usage from {}: {put_together} subjects are put together as `other`: there is \
                 room for {} accounts (max_accounts)",
                closed.start,
                self.max_accounts,
            );
        }
        let closed = Arc::new(closed);
        for writer in &mut self.writers {
            let merged = writer.interval(&closed);
            if merged > 0 {
                tracing::warn!(
                    "{}: {merged} intervals have waited too long: what they count is in the one after",
                    writer.name(),
                );
            }
        }
        Ok(())
    }

    fn tick(&mut self, counted: &Counted, order: &impl Order) -> io::Result<()> {
        let at = counted.passed().min(now());
        if at > Timestamp::default() {
            // Before all threads have reported, nobody knows.
            let set = self.control.set();
            for writer in &mut self.writers {
                writer.tick(at, &set);
            }
        }
        self.look_for_readers();
        self.publish(counted, order);
        Ok(())
    }

    fn finish(&mut self, counted: &Counted, order: &impl Order) -> io::Result<()> {
        let set = self.control.set();
        let wire = counted.ledger(&Cells::new()).wire;
        let sources = self.snapshot(counted, order).sources;
        let run = RunRecord {
            set: Arc::clone(&set),
            end: Some(RunEnd {
                at: now(),
                intervals: 0,
                packets: wire.packets,
                bytes: wire.bytes,
                packets_lost: sources
                    .iter()
                    .map(|source| source.dropped_ring + source.dropped_interface)
                    .sum(),
            }),
            ..self.run.clone()
        };
        for writer in &mut self.writers {
            writer.close(&set, &run);
        }
        // Those who watch see the end while the last records are written.
        self.publish(counted, order);
        Writer::wait_for(&mut self.writers);
        self.publish(counted, order);
        Ok(())
    }
}
