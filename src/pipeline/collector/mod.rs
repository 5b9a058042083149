//! The collector: adds up what the threads of a run report, and hands on what all of them are
//! through with.
//!
//! It is the same for `read` and `live`. These differ in the [`Order`] in which things leave, by
//! blocks of the capture or by the clock, and in the [`Outlet`] they leave by.

mod blocks;
mod counted;
mod order;
mod report;
mod watermarks;

use std::io;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::clock::steady;
use crate::record::FlowRecord;
use crate::usage::Closed;

pub(super) use self::blocks::Blocks;
pub(super) use self::counted::Counted;
pub(super) use self::order::{Complete, Order};
pub(super) use self::report::{Report, State};
pub(super) use self::watermarks::Watermarks;

/// Where things go.
pub(super) trait Outlet {
    /// How often [`Outlet::tick`] is called, also when nothing comes.
    fn every(&self) -> Duration;

    /// Flows have ended.
    ///
    /// # Errors
    ///
    /// What ends the run, of this and of the other calls.
    fn records(&mut self, records: Vec<FlowRecord>, bytes: usize) -> io::Result<()>;

    /// Flows that somebody watches have settled.
    fn news(&mut self, records: Vec<FlowRecord>) {
        let _ = records;
    }

    /// Frames are of flows that were asked for.
    ///
    /// # Errors
    ///
    /// As [`Outlet::records`].
    fn frames(&mut self, numbers: &[u64]) -> io::Result<()> {
        let _ = numbers;
        Ok(())
    }

    /// An interval has closed, in which so many subjects had to be put together.
    ///
    /// # Errors
    ///
    /// As [`Outlet::records`].
    fn interval(&mut self, closed: Closed, put_together: u64) -> io::Result<()>;

    /// A while has passed.
    ///
    /// # Errors
    ///
    /// As [`Outlet::records`].
    fn tick(&mut self, counted: &Counted, order: &impl Order) -> io::Result<()>;

    /// All threads have ended.
    ///
    /// # Errors
    ///
    /// As [`Outlet::records`].
    fn finish(&mut self, counted: &Counted, order: &impl Order) -> io::Result<()>;
}

/// Adds up, and hands on.
#[derive(Debug)]
pub(super) struct Collector<O> {
    order: O,
    counted: Counted,
    /// Intervals are handed on; without, the one interval is no more than the sum.
    intervals: bool,
}

impl<O: Order> Collector<O> {
    /// For so many threads as `counted` knows, whose reports leave in `order`.
    pub(super) const fn new(order: O, counted: Counted, intervals: bool) -> Self {
        Self {
            order,
            counted,
            intervals,
        }
    }

    /// Takes reports until all threads have given their last.
    ///
    /// # Errors
    ///
    /// The first error of the outlet. It ends the run: threads find nobody to report to.
    pub(super) fn run(
        mut self,
        reports: &Receiver<Report>,
        outlet: &mut impl Outlet,
    ) -> io::Result<Counted> {
        let mut next = steady();
        loop {
            match reports.recv_timeout(outlet.every()) {
                Ok(report) => self.take(report, outlet)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = steady();
            if now >= next {
                next = now + outlet.every();
                self.hand_on(outlet)?;
                outlet.tick(&self.counted, &self.order)?;
            }
        }
        if let Some(rest) = self.order.rest() {
            self.leave(rest, outlet)?;
        }
        outlet.finish(&self.counted, &self.order)?;
        Ok(self.counted)
    }

    /// Takes in a report, and hands on what is complete with it.
    fn take(&mut self, mut report: Report, outlet: &mut impl Outlet) -> io::Result<()> {
        self.order.take(&mut report);
        outlet.news(std::mem::take(&mut report.news));
        self.counted.take(report);
        self.hand_on(outlet)
    }

    fn hand_on(&mut self, outlet: &mut impl Outlet) -> io::Result<()> {
        while let Some(complete) = self.order.complete() {
            self.leave(complete, outlet)?;
        }
        Ok(())
    }

    fn leave(&mut self, complete: Complete, outlet: &mut impl Outlet) -> io::Result<()> {
        if !complete.records.is_empty() {
            outlet.records(complete.records, complete.record_bytes)?;
        }
        if !complete.marked.is_empty() {
            outlet.frames(&complete.marked)?;
        }
        for mut closed in complete.closed {
            let put_together = self.counted.close(&mut closed.cells);
            if self.intervals {
                outlet.interval(closed, put_together)?;
            }
        }
        Ok(())
    }
}
