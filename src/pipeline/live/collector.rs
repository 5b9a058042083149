//! The collector of a live run: adds up what the threads report, hands records and intervals to
//! their writers, and publishes a snapshot about once a second. It is never waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::capture::live::{now, steady};
use crate::export::health;
use crate::export::snapshot::{Snapshot, SourceReport};
use crate::pipeline::halves::Matcher;
use crate::pipeline::watch::Recent;
use crate::record::FlowRecord;
use crate::time::Timestamp;
use crate::usage::accounts::bound;
use crate::usage::health::Fault;
use crate::usage::{CellKey, Cells, Health, Ledger, Stats, Subjects};

use super::Control;
use super::report::{Report, Room, State};
use super::writer::{Batch, Records, Writer};

/// Adds up reports until all threads have given their last.
pub(super) struct Collector<'a> {
    control: &'a Control,
    writers: Vec<Writer>,
    /// Without records nobody gets anything of the run.
    only_records: bool,
    tick: Duration,
    interval: Option<Duration>,
    flows_limit: u64,
    parts: Vec<Part>,
    room: Room,
    /// Intervals that not all threads have closed, by how often the clock had been set back, and start.
    closing: BTreeMap<(u32, Timestamp), Cells>,
    /// Volume by name of all intervals that any thread has closed.
    closed: Cells,
    /// How subjects are found, if they are kept apart.
    subjects: Option<Arc<Subjects>>,
    /// The volume of `closed` by subject too.
    accounts: Cells,
    max_accounts: usize,
    put_together: u64,
    snapshots: u64,
    started: Timestamp,
    recent: Option<Recent>,
    /// Flows whose directions came by two threads.
    matcher: Matcher,
    split: Health,
    /// Faults of the mirror that the log has.
    told: Vec<Fault>,
}

/// What one thread said last.
#[derive(Debug, Default)]
struct Part {
    set_backs: u32,
    watermark: Timestamp,
    state: State,
    is_last: bool,
}

impl Part {
    /// The time the thread is through with: all, at its end.
    fn reached(&self) -> Timestamp {
        if self.is_last {
            Timestamp(u64::MAX)
        } else {
            self.watermark
        }
    }

    /// Whether it adds nothing more to an interval that has its `end` by the clock as it was after
    /// it had been set back for the `set_backs`th time.
    fn has_closed(&self, set_backs: u32, end: Timestamp, now: Timestamp) -> bool {
        let is_past = self.set_backs > set_backs;
        let is_through = self.set_backs == set_backs && end <= self.watermark.min(now);
        self.is_last || is_past || is_through
    }
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        control: &'a Control,
        writers: Vec<Writer>,
        config: &super::Config,
        parts: usize,
        room: Room,
    ) -> Self {
        Self {
            room,
            control,
            writers,
            only_records: config.only_records,
            tick: config.tick,
            interval: config.run.usage.interval,
            flows_limit: config.run.flow.max_flows as u64,
            parts: (0..parts).map(|_| Part::default()).collect(),
            closing: BTreeMap::new(),
            closed: Cells::new(),
            subjects: config.run.usage.subjects.clone(),
            accounts: Cells::new(),
            max_accounts: config.run.usage.max_accounts,
            put_together: 0,
            snapshots: 0,
            started: control.latest().load().started,
            recent: config.follow.then(Recent::default),
            matcher: Matcher::default(),
            split: Health::default(),
            told: Vec::new(),
        }
    }

    /// Takes reports until the threads have ended; the state at the end.
    pub(super) fn run(mut self, reports: &Receiver<Report>) -> Arc<Snapshot> {
        let mut next = steady();
        loop {
            match reports.recv_timeout(self.tick) {
                Ok(report) => self.on_report(report),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = steady();
            if now >= next {
                next = now + self.tick;
                self.close_intervals();
                let at = self.passed();
                if at > Timestamp::default() {
                    // Before all threads have reported, nobody knows.
                    let set = self.control.set();
                    for writer in &mut self.writers {
                        writer.tick(at, &set);
                    }
                }
                self.look_for_readers();
                self.publish();
            }
        }
        self.close_intervals();
        let set = self.control.set();
        for writer in &mut self.writers {
            writer.close(&set);
        }
        // Those who watch see the end while the last records are written.
        self.publish();
        Writer::wait_for(&mut self.writers);
        self.publish();
        self.control.latest().load_full()
    }

    fn on_report(&mut self, report: Report) {
        if self.recent.is_some() {
            let older = report.records.len().saturating_sub(Recent::MOST);
            for record in report.records.iter().skip(older) {
                self.remember(record.clone());
            }
        }
        let (room, set) = (self.room.clone(), self.control.set());
        let batch = Arc::new(Batch::new(report.records, report.record_bytes, room, set));
        for writer in &self.writers {
            writer.flows(&batch);
        }
        for record in report.news {
            self.remember(record);
        }
        let (told, found) = self.matcher.take(report.part, report.halves);
        self.split.count(Fault::Split, told, found);
        for (set_backs, start, cells) in report.closed {
            let interval = self.closing.entry((set_backs, start)).or_default();
            for (key, totals) in cells {
                interval.entry(key).or_default().add(&totals);
                let name = CellKey {
                    subject: None,
                    ..key
                };
                self.closed.entry(name).or_default().add(&totals);
                if self.subjects.is_some() {
                    self.accounts.entry(key).or_default().add(&totals);
                }
            }
            // The run has no more of them than an interval may have, or else twice as many on the way.
            if self.accounts.len() > 2 * self.max_accounts.max(self.closed.len()) {
                bound(&mut self.accounts, self.max_accounts);
            }
        }
        if let Some(part) = self.parts.get_mut(report.part) {
            *part = Part {
                set_backs: report.set_backs,
                watermark: report.watermark,
                state: report.state,
                is_last: report.is_last,
            };
        }
    }

    /// The time all threads are through with.
    fn passed(&self) -> Timestamp {
        let marks = self.parts.iter().map(Part::reached);
        marks.min().unwrap_or_default().min(now())
    }

    /// Hands on the intervals that all threads have closed, the earliest first.
    fn close_intervals(&mut self) {
        let Some(length) = self.interval else {
            return;
        };
        let (parts, now) = (&self.parts, now());
        let closed = self.closing.extract_if(.., |&(set_backs, start), _| {
            let end = start.after(length);
            parts
                .iter()
                .all(|part| part.has_closed(set_backs, end, now))
        });
        for ((_, start), mut cells) in closed {
            let gone = bound(&mut cells, self.max_accounts);
            if gone > 0 {
                self.put_together += gone;
                tracing::warn!(
                    "usage from {start}: {gone} subjects are put together as `other`: there is room \
                     for {} accounts (max_accounts)",
                    self.max_accounts,
                );
            }
            let cells = Arc::new(cells);
            for writer in &mut self.writers {
                let merged = writer.interval(start, &cells);
                if merged > 0 {
                    tracing::warn!(
                        "{}: {merged} intervals have waited too long: what they count is in the one after",
                        writer.name(),
                    );
                }
            }
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

    fn publish(&mut self) {
        self.snapshots += 1;
        let snapshot = self.snapshot();
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

    fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = Snapshot {
            sequence: self.snapshots,
            at: self.passed(),
            started: self.started,
            set: self.control.set(),
            reloads: self.control.reloads(),
            flows_limit: self.flows_limit,
            records_lost: self.lost(Records::Flows),
            records_not_written: self.lost(Records::Flows),
            usage_records_lost: self.lost(Records::Usage),
            intervals_waiting: self.writers.iter().map(Writer::intervals).sum(),
            recent: self
                .recent
                .iter()
                .flat_map(Recent::flows)
                .cloned()
                .collect(),
            ..Snapshot::default()
        };
        snapshot.health = self.split;
        snapshot.subjects.clone_from(&self.subjects);
        snapshot.put_together = self.put_together;
        if self.subjects.is_some() && self.parts.iter().all(|part| part.is_last) {
            snapshot.put_together += bound(&mut self.accounts, self.max_accounts);
            snapshot.accounts = Some(Arc::new(self.accounts.clone()));
        }
        let mut cells = self.closed.clone();
        let mut ledger = Ledger::default();
        let mut stats = Stats::default();
        for Part { state, .. } in &self.parts {
            for (key, totals) in &state.open {
                cells.entry(*key).or_default().add(totals);
            }
            ledger.wire.add(state.wire);
            ledger.unsettled.add(state.unsettled);
            ledger.channel.add(state.channel);
            ledger.drops.add(&state.drops);
            snapshot.health.add(&state.health);
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
            if let Some(theirs) = &state.stats {
                stats.merge(theirs);
            }
        }
        for (key, totals) in &cells {
            ledger.add_cell(key, totals);
        }
        snapshot.dropped_channel = ledger.channel;
        snapshot.cells = Arc::new(cells);
        snapshot.ledger = ledger;
        snapshot.stats = stats;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_closes_with_the_last_thread_or_with_the_clock_set_back() {
        let at = |second| Timestamp::new(second, 0);
        // Times the thread has seen the clock set back, its time, now; the interval's, its end; closed.
        for (set_backs, watermark, now, of, end, expected) in [
            (0, 659, 700, 0, 660, false),
            (0, 660, 700, 0, 660, true),
            // Frames of a time to come close nothing.
            (0, 660, 659, 0, 660, false),
            // Set back by an hour: first one thread knows, then the other.
            (0, 7261, 7300, 0, 7320, false),
            (1, 3661, 3700, 0, 7320, true),
            // The other is not as far as the interval is.
            (0, 7200, 3700, 1, 3660, false),
            (1, 3660, 3700, 1, 3660, true),
        ] {
            let part = Part {
                set_backs,
                watermark: at(watermark),
                ..Part::default()
            };
            let closed = part.has_closed(of, at(end), at(now));
            assert_eq!(closed, expected, "{set_backs} {watermark} {now} {of} {end}");
            let ended = Part {
                is_last: true,
                ..part
            };
            assert!(ended.has_closed(of, at(end), at(now)), "all are through");
        }
    }
}
