//! Where what a thread of a live run has to tell waits until the collector takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::channel::{Sender, TrySendError};

use crate::pipeline::collector::{Report, State};
use crate::pipeline::worker::{Produced, Worker};
use crate::record::FlowRecord;
use crate::time::Timestamp;
use crate::usage::Cells;
use crate::usage::ledger::{Drops, Volume};

/// Bytes of records that may be under way to a collector that is behind, over all threads; any
/// further ones are lost, and counted.
const RECORDS_UNDER_WAY: usize = 128 << 20;

/// The most memory they take: a list that grows has twice the room it needs.
pub(crate) const RECORDS_MEMORY: usize = 2 * RECORDS_UNDER_WAY;

/// What all threads together have under way.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordBudget {
    taken: Arc<AtomicUsize>,
}

impl RecordBudget {
    /// Takes room for as many of `records` as there is room for, in order; the others go. Gives
    /// the bytes taken.
    fn admit(&self, records: &mut Vec<FlowRecord>) -> usize {
        let wanted = records.iter().map(FlowRecord::memory).sum();
        let before = self.taken.fetch_add(wanted, Ordering::Relaxed);
        let mut room = RECORDS_UNDER_WAY.saturating_sub(before);
        if wanted <= room {
            return wanted;
        }
        let mut admitted = 0;
        let fits = |record: &&FlowRecord| {
            let bytes = record.memory();
            let fits = bytes <= room;
            if fits {
                room -= bytes;
                admitted += bytes;
            }
            fits
        };
        let count = records.iter().take_while(fits).count();
        records.truncate(count);
        self.give_back(wanted - admitted);
        admitted
    }

    /// The records of these bytes have arrived.
    pub(super) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Named;
    use crate::decode::{IpProtocol, Vlans};
    use crate::flow::{EndReason, PerSide};
    use crate::record::Part;

    fn record(text: usize) -> FlowRecord {
        let mut record = FlowRecord {
            flow_id: 1,
            first: Timestamp::default(),
            last: Timestamp::default(),
            client_ip: [10, 0, 0, 1].into(),
            client_port: 1,
            server_ip: [10, 0, 0, 2].into(),
            server_port: 2,
            protocol: IpProtocol::TCP,
            icmp: (0, 0),
            interface: None,
            reverse_interface: None,
            vlans: Vlans::default(),
            tunnel: None,
            subject: None,
            named: Named::default(),
            settled_at_packet: 0,
            facts: Some(Box::default()),
            counters: PerSide::default(),
            part: Part {
                number: 1,
                start: Timestamp::default(),
                counters: PerSide::default(),
            },
            state: "new",
            reason: EndReason::Idle,
            steps: None,
            first_packets: None,
            client_is_low: true,
        };
        if let Some(facts) = &mut record.facts {
            facts.http.get_or_insert_default().user_agent = Some("a".repeat(text).into());
        }
        record
    }

    #[test]
    fn records_under_way_have_a_bound_that_all_threads_share() {
        let room = RecordBudget::default();
        let other = room.clone();
        let batch = |count: usize| (0..count).map(|_| record(24 << 20)).collect::<Vec<_>>();
        // (records offered, admitted, whether the oldest batch arrives before)
        let mut bytes = Vec::new();
        for (offered, admitted, arrive) in [
            (2, 2, false),
            (4, 3, false),
            (1, 0, false),
            (3, 2, true),
            (1, 0, false),
        ] {
            if arrive {
                room.give_back(bytes.remove(0));
            }
            let mut records = batch(offered);
            bytes.push(other.admit(&mut records));
            assert_eq!(records.len(), admitted);
            assert!(room.taken.load(Ordering::Relaxed) <= RECORDS_UNDER_WAY);
        }
        for bytes in bytes {
            room.give_back(bytes);
        }
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
