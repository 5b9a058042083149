//! The collector of a live run: adds up what the threads report, hands records and intervals to
//! their writers, and publishes a snapshot about once a second. It is never waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::capture::live::{now, steady};
use crate::export::snapshot::{Snapshot, SourceReport};
use crate::pipeline::watch::Recent;
use crate::time::Timestamp;
use crate::usage::{Cells, FlowRecord, Ledger, Stats};

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
    /// Intervals that not all threads have closed.
    closing: BTreeMap<Timestamp, Cells>,
    /// Volume of all intervals that any thread has closed.
    closed: Cells,
    snapshots: u64,
    started: Timestamp,
    recent: Option<Recent>,
}

/// What one thread said last.
#[derive(Debug, Default)]
struct Part {
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
            snapshots: 0,
            started: control.latest().load().started,
            recent: config.follow.then(Recent::default),
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
        for (start, cells) in report.closed {
            let interval = self.closing.entry(start).or_default();
            for (key, totals) in cells {
                interval.entry(key).or_default().add(&totals);
                self.closed.entry(key).or_default().add(&totals);
            }
        }
        if let Some(part) = self.parts.get_mut(report.part) {
            *part = Part {
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
        let all_ended = self.parts.iter().all(|part| part.is_last);
        let passed = self.passed();
        // Who has not told yet how far it is may still be at a time before the clock was set back.
        let known = |part: &Part| part.reached() > Timestamp::default();
        let furthest = match self.parts.iter().all(known) {
            true => self.parts.iter().map(Part::reached).max(),
            false => None,
        };
        let furthest = furthest.unwrap_or(Timestamp(u64::MAX));
        let closed = self.closing.extract_if(.., |&start, _| {
            all_ended || is_closed(start, length, passed, furthest)
        });
        for (start, cells) in closed {
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
        self.control.publish(snapshot);
    }

    fn snapshot(&self) -> Snapshot {
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

/// Whether no thread adds to the interval any more: all have `passed` it, or even the `furthest` has
/// not come to it, as it is of a time before the clock was set back.
fn is_closed(start: Timestamp, length: Duration, passed: Timestamp, furthest: Timestamp) -> bool {
    start.after(length) <= passed || start > furthest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_closes_with_the_last_thread_or_with_the_clock_set_back() {
        let at = |second| Timestamp::new(second, 0);
        // (start of a minute, time all have passed, furthest, closed)
        for (start, passed, furthest, expected) in [
            (600, 659, 659, false),
            (600, 659, 700, false),
            (600, 660, 660, true),
            // Set back by an hour: one thread knows, then the other.
            (7200, 3660, 7261, false),
            (7200, 3660, 3661, true),
            (3600, 3655, 3661, false),
            (3660, 3660, 3660, false),
        ] {
            let closed = is_closed(at(start), Duration::from_secs(60), at(passed), at(furthest));
            assert_eq!(closed, expected, "{start} {passed} {furthest}");
        }
    }
}
