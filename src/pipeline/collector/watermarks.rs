//! The order of a live run: records leave as they come, and an interval once all threads have passed
//! its end.

use std::collections::BTreeMap;

use crate::clock::now;
use crate::time::{IntervalLength, Timestamp};
use crate::usage::{Cells, Closed};

use super::{Complete, Order, Report};

/// Reports by the clock.
#[derive(Debug)]
pub(in crate::pipeline) struct Watermarks {
    /// The length of an interval; without, there is one, which ends with the run.
    interval: Option<IntervalLength>,
    parts: Vec<Part>,
    /// Intervals that not all threads have closed, by how often the clock had been set back, and
    /// start.
    closing: BTreeMap<(u32, Timestamp), Cells>,
    /// From when on, and up to when, the clock was seen after it had been set back so often.
    seen: BTreeMap<u32, (Timestamp, Timestamp)>,
    /// What is complete as it comes.
    at_once: Complete,
}

/// How far a thread is.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    set_backs: u32,
    watermark: Timestamp,
    is_last: bool,
}

impl Part {
    /// Whether it adds nothing more to an interval that has its `end` by the clock as it was after
    /// it had been set back for the `set_backs`th time.
    fn has_closed(&self, set_backs: u32, end: Timestamp, now: Timestamp) -> bool {
        let is_past = self.set_backs > set_backs;
        let is_through = self.set_backs == set_backs && end <= self.watermark.min(now);
        self.is_last || is_past || is_through
    }
}

impl Watermarks {
    /// Of so many threads, which began at this time.
    pub(in crate::pipeline) fn new(
        parts: usize,
        interval: Option<IntervalLength>,
        began: Timestamp,
    ) -> Self {
        Self {
            interval,
            parts: vec![Part::default(); parts],
            closing: BTreeMap::new(),
            seen: [(0, (began, began))].into(),
            at_once: Complete::default(),
        }
    }

    /// Takes out the intervals that are closed.
    fn take_closed(&mut self, is_closed: impl Fn(&[Part], u32, Timestamp) -> bool) -> Vec<Closed> {
        let Self {
            interval,
            parts,
            closing,
            seen,
            ..
        } = self;
        let end = |start: Timestamp| {
            let length = interval.as_ref();
            length.map(|length| length.around(start).1)
        };
        let closed = closing.extract_if(.., |&(set_backs, start), _| {
            is_closed(parts, set_backs, end(start).unwrap_or(Timestamp(u64::MAX)))
        });
        let closed = closed.map(|((set_backs, start), cells)| {
            let (from, until) = seen.get(&set_backs).copied().unwrap_or_default();
            Closed {
                start,
                covered_from: end(start).map_or(start, |end| from.min(end).max(start)),
                covered_until: end(start).map_or(until, |end| end.min(until)),
                cells,
            }
        });
        let closed = closed.collect();
        let oldest = parts.iter().map(|part| part.set_backs).min();
        let oldest = oldest.unwrap_or_default();
        seen.retain(|&set_backs, _| set_backs >= oldest);
        closed
    }
}

impl Order for Watermarks {
    fn take(&mut self, report: &mut Report) {
        self.at_once.records.append(&mut report.records);
        self.at_once.record_bytes += report.record_bytes;
        self.at_once.marked.append(&mut report.marked);
        for (set_backs, start, cells) in report.closed.drain(..) {
            // Where there is one interval, it goes on through all that.
            let set_backs = self.interval.as_ref().map_or(0, |_| set_backs);
            let interval = self.closing.entry((set_backs, start)).or_default();
            for (key, totals) in cells {
                interval.entry(key).or_default().add(&totals);
            }
        }
        // A thread that has ended is through with all times, but has not seen them.
        let reached = report.watermark.min(now());
        let seen = self.seen.entry(report.set_backs);
        let (_, until) = seen.or_insert((reached, reached));
        *until = reached.max(*until);
        if let Some(part) = self.parts.get_mut(report.part) {
            *part = Part {
                set_backs: report.set_backs,
                watermark: report.watermark,
                is_last: report.is_last,
            };
        }
    }

    fn complete(&mut self) -> Option<Complete> {
        let mut complete = std::mem::take(&mut self.at_once);
        if self.interval.is_some() {
            let now = now();
            complete.closed = self.take_closed(|parts, set_backs, end| {
                let mut parts = parts.iter();
                parts.all(|part| part.has_closed(set_backs, end, now))
            });
        }
        let is_nothing = complete.records.is_empty() && complete.marked.is_empty();
        (!is_nothing || !complete.closed.is_empty()).then_some(complete)
    }

    fn rest(&mut self) -> Option<Complete> {
        let mut rest = std::mem::take(&mut self.at_once);
        rest.closed = self.take_closed(|_, _, _| true);
        Some(rest)
    }

    fn held(&self) -> impl Iterator<Item = &Cells> {
        self.closing.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::{CellKey, Totals};

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

    #[test]
    fn an_interval_says_what_of_it_was_seen() {
        let minute = std::time::Duration::from_secs(60).into();
        let at = |second| Timestamp::new(second, 0);
        let volume = || Cells::from([(CellKey::default(), Totals::default())]);
        // The run begins at 30; the clock goes to 150 and is set back to 70; the run ends at 140.
        let reports = [
            (0, 130, false, vec![(0, 0), (0, 60)]),
            (0, 150, false, vec![]),
            (1, 70, false, vec![(0, 120)]),
            (1, 125, false, vec![(1, 60)]),
            (1, 140, true, vec![(1, 120)]),
        ];
        let expected = [
            (0, 30, 60),
            (60, 60, 120),
            (120, 120, 150),
            (60, 70, 120),
            (120, 120, 140),
        ];
        let mut order = Watermarks::new(1, Some(minute), at(30));
        let mut left = Vec::new();
        for (set_backs, watermark, is_last, closed) in reports {
            let closed = closed.into_iter();
            order.take(&mut Report {
                set_backs,
                watermark: at(watermark),
                is_last,
                closed: closed
                    .map(|(set_backs, start)| (set_backs, at(start), volume()))
                    .collect(),
                ..Report::default()
            });
            while let Some(complete) = order.complete() {
                left.extend(complete.closed);
            }
        }
        let said = left.iter().map(|one| {
            let times = [one.start, one.covered_from, one.covered_until];
            let [start, from, until] = times.map(|time| time.0 / 1_000_000_000);
            (start, from, until)
        });
        assert_eq!(said.collect::<Vec<_>>(), expected);
        assert!(order.rest().unwrap().closed.is_empty());
    }
}
