//! The order of a capture file: blocks complete in any order, and leave in that of the capture.

use std::collections::BTreeMap;

use crate::record::FlowRecord;
use crate::time::{IntervalLength, Timestamp};
use crate::usage::{Cells, Closed};

use super::{Complete, Order, Report};

/// Reports by block.
#[derive(Debug)]
pub(in crate::pipeline) struct Blocks {
    /// The latest block that each worker has done; `None`: none yet.
    done: Vec<Option<u64>>,
    /// The length of an interval; without, there is one.
    interval: Option<IntervalLength>,
    pending: BTreeMap<u64, Pending>,
}

/// Reports of one block, as far as they are in.
#[derive(Debug, Default)]
struct Pending {
    records: Vec<FlowRecord>,
    marked: Vec<u64>,
    closed: BTreeMap<Timestamp, Cells>,
    /// When the capture begins, and the latest time up to this block.
    span: (Timestamp, Timestamp),
}

impl Blocks {
    /// Of so many workers, each of which gets all blocks, and intervals of this length.
    pub(in crate::pipeline) fn new(workers: usize, interval: Option<IntervalLength>) -> Self {
        Self {
            done: vec![None; workers],
            interval,
            pending: BTreeMap::new(),
        }
    }
}

impl Order for Blocks {
    fn take(&mut self, report: &mut Report) {
        if let Some(done) = self.done.get_mut(report.part) {
            *done = Some(report.block);
        }
        let pending = self.pending.entry(report.block).or_default();
        pending.records.append(&mut report.records);
        pending.marked.append(&mut report.marked);
        // All workers say the same.
        pending.span = (report.began, report.watermark);
        for (_, start, cells) in report.closed.drain(..) {
            let interval = pending.closed.entry(start).or_default();
            for (key, totals) in cells {
                interval.entry(key).or_default().add(&totals);
            }
        }
    }

    fn complete(&mut self) -> Option<Complete> {
        let done = self.done.iter().copied().min().flatten()?;
        let first = self.pending.first_entry()?;
        if *first.key() > done {
            return None;
        }
        let mut block = first.remove();
        let (began, until) = block.span;
        let closed = block.closed.into_iter().map(|(start, cells)| {
            let length = self.interval.as_ref();
            let end = length.map_or(until, |length| length.around(start).1);
            Closed {
                start,
                covered_from: start.max(began),
                covered_until: end.min(until),
                cells,
            }
        });
        // Those of one flow stay in their order.
        block.records.sort_by_key(|record| record.flow_id);
        Some(Complete {
            records: block.records,
            record_bytes: 0,
            marked: block.marked,
            closed: closed.collect(),
        })
    }

    fn rest(&mut self) -> Option<Complete> {
        // With the last report of each worker all was complete.
        None
    }

    fn held(&self) -> impl Iterator<Item = &Cells> {
        let blocks = self.pending.values();
        blocks.flat_map(|block| block.closed.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_tells_of_the_blocks_before_it() {
        // (worker, block, the frame it tells of if any, frames that have left after it)
        let steps: [(usize, u64, Option<u64>, &[u64]); 6] = [
            (0, 0, Some(10), &[]),
            (0, 2, Some(12), &[]),
            (1, 1, Some(11), &[10, 11]),
            (1, 9, None, &[10, 11, 12]),
            (0, 3, Some(13), &[10, 11, 12, 13]),
            (1, u64::MAX, Some(99), &[10, 11, 12, 13]),
        ];
        let mut blocks = Blocks::new(2, None);
        let mut left = Vec::new();
        for (part, block, frame, expected) in steps {
            blocks.take(&mut Report {
                part,
                block,
                marked: frame.into_iter().collect(),
                ..Report::default()
            });
            while let Some(complete) = blocks.complete() {
                left.extend(complete.marked);
            }
            assert_eq!(left, expected, "block {block} of worker {part}");
        }
    }

    #[test]
    fn an_interval_says_what_of_it_the_capture_has() {
        let at = |second| Timestamp::new(second, 0);
        // (block, latest time, the interval that closes with it, what of it is covered)
        let rows = [
            (0, 100, None, None),
            (1, 125, Some(60), Some((90, 120))),
            (2, 190, Some(120), Some((120, 180))),
            (u64::MAX, 199, Some(180), Some((180, 199))),
        ];
        let mut blocks = Blocks::new(1, Some(std::time::Duration::from_secs(60).into()));
        for (block, latest, closed, expected) in rows {
            let closed = closed.map(|start| (0, at(start), Cells::new()));
            blocks.take(&mut Report {
                block,
                began: at(90),
                watermark: at(latest),
                closed: closed.into_iter().collect(),
                ..Report::default()
            });
            let complete = blocks.complete().unwrap();
            let mut covered = complete.closed.iter();
            let covered = covered
                .next()
                .map(|one| (one.covered_from, one.covered_until));
            assert_eq!(covered, expected.map(|(from, until)| (at(from), at(until))));
        }
    }
}
