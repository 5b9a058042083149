//! The order of a live run: records leave as they come, and an interval once all threads have passed
//! its end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::capture::live::now;
use crate::time::Timestamp;
use crate::usage::Cells;

use super::{Complete, Order, Report};

/// Reports by the clock.
#[derive(Debug)]
pub(in crate::pipeline) struct Watermarks {
    /// The length of an interval; without, there is one, which ends with the run.
    interval: Option<Duration>,
    parts: Vec<Part>,
    /// Intervals that not all threads have closed, by how often the clock had been set back, and
    /// start.
    closing: BTreeMap<(u32, Timestamp), Cells>,
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
    /// Of so many threads.
    pub(in crate::pipeline) fn new(parts: usize, interval: Option<Duration>) -> Self {
        Self {
            interval,
            parts: vec![Part::default(); parts],
            closing: BTreeMap::new(),
            at_once: Complete::default(),
        }
    }

    fn is_closed(parts: &[Part], set_backs: u32, end: Timestamp, now: Timestamp) -> bool {
        parts
            .iter()
            .all(|part| part.has_closed(set_backs, end, now))
    }
}

impl Order for Watermarks {
    fn take(&mut self, report: &mut Report) {
        self.at_once.records.append(&mut report.records);
        self.at_once.record_bytes += report.record_bytes;
        self.at_once.marked.append(&mut report.marked);
        for (set_backs, start, cells) in report.closed.drain(..) {
            // Where there is one interval, it goes on through all that.
            let set_backs = self.interval.map_or(0, |_| set_backs);
            let interval = self.closing.entry((set_backs, start)).or_default();
            for (key, totals) in cells {
                interval.entry(key).or_default().add(&totals);
            }
        }
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
        if let Some(length) = self.interval {
            let (parts, now) = (&self.parts, now());
            let closed = self.closing.extract_if(.., |&(set_backs, start), _| {
                Self::is_closed(parts, set_backs, start.after(length), now)
            });
            complete
                .closed
                .extend(closed.map(|((_, start), cells)| (start, cells)));
        }
        let is_nothing = complete.records.is_empty() && complete.marked.is_empty();
        (!is_nothing || !complete.closed.is_empty()).then_some(complete)
    }

    fn rest(&mut self) -> Option<Complete> {
        let mut rest = std::mem::take(&mut self.at_once);
        let closing = std::mem::take(&mut self.closing).into_iter();
        rest.closed
            .extend(closing.map(|((_, start), cells)| (start, cells)));
        Some(rest)
    }

    fn held(&self) -> impl Iterator<Item = &Cells> {
        self.closing.values()
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
