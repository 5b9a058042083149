//! The thread of an output: what it is told to write, it writes; and what it says of that.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};

use super::order::{Batch, Interval, Order, Usage};
use crate::record::Records;
use crate::sink::Exporter;
use crate::time::Timestamp;

/// An output of records.
pub struct Output {
    /// For the log: the file.
    pub name: String,
    /// What it takes.
    pub records: Records,
    /// What writes them.
    pub exporter: Box<dyn Exporter>,
}

/// What happens where an output does not keep up, or fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pipeline) enum Pace {
    /// It is not waited for, and it goes on: what it cannot write is tried again or lost, and counted.
    Live,
    /// Who gives it something waits while it has so many orders; its first error is its end.
    Waiting(usize),
}

/// What a thread and who tells it what to do tell one another besides.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Account {
    /// Records the thread was given.
    given: AtomicU64,
    /// Those that are out of the process.
    written: AtomicU64,
    /// Those that will not be written.
    lost: AtomicU64,
    /// Those that were written and are known to be lost on their way.
    dropped: AtomicU64,
    /// Grows while something is done.
    steps: AtomicU64,
    /// Intervals the thread has.
    intervals: AtomicU64,
    /// It has an [`Order::Tick`] to come.
    has_tick: AtomicBool,
    /// Nobody will ever read what is written.
    is_gone: AtomicBool,
    /// All that came was written, or is known to be lost.
    has_finished: AtomicBool,
}

/// The near end of an output's thread.
pub(in crate::pipeline) struct OutputThread {
    name: String,
    records: Records,
    orders: Option<Sender<Order>>,
    /// Closes when the thread ends; before, has the error that ended it.
    ended: Receiver<io::Error>,
    /// Its end was waited for, and said.
    is_joined: bool,
    account: Arc<Account>,
}

impl OutputThread {
    /// Starts the thread of `output`.
    pub(in crate::pipeline) fn start(output: Output, pace: Pace) -> io::Result<Self> {
        let Output {
            name,
            records,
            exporter,
        } = output;
        let (orders, inbox) = match pace {
            Pace::Live => unbounded(),
            Pace::Waiting(most) => bounded(most),
        };
        let (end, ended) = bounded(1);
        let account = Arc::new(Account::default());
        let work = Work {
            name: name.clone(),
            records,
            exporter,
            account: Arc::clone(&account),
            pending: VecDeque::new(),
            taken: 0,
            dropped: 0,
            fails: false,
            ends_with_error: pace != Pace::Live,
        };
        thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                if let Err(error) = work.run(&inbox) {
                    let _ = end.send(error);
                }
                // Or by a panic: who waits sees the channel close.
                drop(end);
            })?;
        Ok(Self {
            name,
            records,
            orders: Some(orders),
            ended,
            is_joined: false,
            account,
        })
    }

    /// For the log.
    pub(in crate::pipeline) fn name(&self) -> &str {
        &self.name
    }

    /// What it takes.
    pub(in crate::pipeline) const fn records(&self) -> Records {
        self.records
    }

    /// Flows have ended. Says whether the thread takes anything any more.
    pub(in crate::pipeline) fn flows(&self, batch: &Arc<Batch>) -> bool {
        if self.records != Records::Flows {
            return true;
        }
        self.give(batch.records.len() as u64);
        self.order(Order::Flows(Arc::clone(batch)))
    }

    /// Gives it an interval, or what a run says. Says whether it takes anything any more.
    pub(in crate::pipeline) fn usage(&self, usage: Usage) -> bool {
        if self.records != Records::Usage {
            return true;
        }
        if usage.is_interval() {
            self.account.intervals.fetch_add(1, Ordering::Relaxed);
        }
        self.give(usage.records());
        self.order(Order::Usage(usage))
    }

    /// It is `now`: said unless it has been told and has not come to it.
    pub(in crate::pipeline) fn tick(&self, now: Timestamp) {
        if !self.account.has_tick.swap(true, Ordering::Relaxed) {
            self.order(Order::Tick(now));
        }
    }

    /// What is held is to be written out. Says whether the thread takes anything any more.
    pub(in crate::pipeline) fn flush(&self) -> bool {
        self.order(Order::Flush)
    }

    /// Nothing more will come.
    pub(in crate::pipeline) fn close(&mut self) {
        self.orders = None;
    }

    /// Waits so long for the thread's end. `None`: it goes on; else the error that ended it.
    pub(in crate::pipeline) fn wait(&self, most: Duration) -> Option<io::Result<()>> {
        match self.ended.recv_timeout(most) {
            Ok(error) => Some(Err(error)),
            Err(RecvTimeoutError::Disconnected) => Some(Ok(())),
            Err(RecvTimeoutError::Timeout) => None,
        }
    }

    /// Waits for the thread's end, however long it takes. What ended it is said once.
    ///
    /// # Errors
    ///
    /// That which ended the thread; and where it panicked, that it did.
    pub(in crate::pipeline) fn join(&mut self) -> io::Result<()> {
        self.close();
        if std::mem::replace(&mut self.is_joined, true) {
            return Ok(());
        }
        match self.ended.recv() {
            Ok(error) => Err(error),
            Err(_) if self.account.has_finished.load(Ordering::Relaxed) => Ok(()),
            Err(_) => {
                let text = format!("{}: the thread that writes has panicked", self.name);
                Err(io::Error::other(text))
            }
        }
    }

    /// Records that the thread was given and that are not known to be written.
    pub(in crate::pipeline) fn lost_unseen(&self) -> u64 {
        let written = self.account.written.load(Ordering::Relaxed);
        self.account.given.load(Ordering::Relaxed) - written
    }

    /// Records that will not be written, as far as the thread knows.
    pub(in crate::pipeline) fn lost(&self) -> u64 {
        self.account.lost.load(Ordering::Relaxed)
    }

    /// Records that were written and are known to be lost on their way.
    pub(in crate::pipeline) fn dropped(&self) -> u64 {
        self.account.dropped.load(Ordering::Relaxed)
    }

    /// Intervals that it has and has not written.
    pub(in crate::pipeline) fn intervals(&self) -> u64 {
        self.account.intervals.load(Ordering::Relaxed)
    }

    /// Grows while something is done.
    pub(in crate::pipeline) fn steps(&self) -> u64 {
        self.account.steps.load(Ordering::Relaxed)
    }

    /// Whether nobody will ever read what is written.
    pub(in crate::pipeline) fn is_gone(&self) -> bool {
        self.account.is_gone.load(Ordering::Relaxed)
    }

    /// Whether it was closed and has ended.
    pub(in crate::pipeline) fn has_ended(&self) -> bool {
        let is_running = matches!(self.ended.try_recv(), Err(TryRecvError::Empty));
        self.orders.is_none() && !is_running
    }

    /// Whether it has been told the time and has not come to it.
    #[cfg(test)]
    pub(in crate::pipeline) fn has_tick(&self) -> bool {
        self.account.has_tick.load(Ordering::Relaxed)
    }

    fn give(&self, records: u64) {
        self.account.given.fetch_add(records, Ordering::Relaxed);
    }

    /// A thread that has panicked takes none: what it was given is lost in the end.
    fn order(&self, order: Order) -> bool {
        let orders = self.orders.as_ref();
        orders.is_some_and(|orders| orders.send(order).is_ok())
    }
}

/// The far end.
struct Work {
    name: String,
    records: Records,
    exporter: Box<dyn Exporter>,
    account: Arc<Account>,
    /// What is not written yet; of the first a part may be.
    pending: VecDeque<Usage>,
    /// Records that the exporter has taken.
    taken: u64,
    /// Those of them that it is known to have lost.
    dropped: u64,
    /// Writing fails at the moment, and it has been said.
    fails: bool,
    /// The first error is the end.
    ends_with_error: bool,
}

impl Work {
    fn run(mut self, orders: &Receiver<Order>) -> io::Result<()> {
        for order in orders {
            match order {
                Order::Flows(batch) => self.flows(&batch)?,
                Order::Usage(usage) => {
                    self.pending.push_back(usage);
                    if self.pending.len() == 1 {
                        self.usage()?;
                    }
                }
                Order::Tick(now) => self.tick(now)?,
                Order::Flush => {
                    let done = self.exporter.flush();
                    self.look(done)?;
                }
            }
            self.count_dropped();
            self.account.steps.fetch_add(1, Ordering::Relaxed);
        }
        self.finish()
    }

    fn flows(&mut self, batch: &Batch) -> io::Result<()> {
        for record in &batch.records {
            match self.exporter.flow(record, &batch.set) {
                Ok(()) => self.taken += 1,
                failed => {
                    self.account.lost.fetch_add(1, Ordering::Relaxed);
                    self.look(failed)?;
                }
            }
            self.account.steps.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes what usage there is, up to what fails: it is tried again.
    fn usage(&mut self) -> io::Result<()> {
        while let Some(usage) = self.pending.front() {
            let done = match usage {
                Usage::Interval(Interval {
                    closed,
                    sequence,
                    set,
                }) => self.exporter.interval(closed, *sequence, set),
                Usage::Run(run) => self.exporter.run(run),
            };
            if done.is_err() {
                return self.look(done);
            }
            self.taken += usage.records();
            if usage.is_interval() {
                self.account.intervals.fetch_sub(1, Ordering::Relaxed);
            }
            self.pending.pop_front();
            self.account.steps.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> io::Result<()> {
        self.account.has_tick.store(false, Ordering::Relaxed);
        let mut done = self.exporter.tick(now);
        if !self.pending.is_empty() {
            self.usage()?;
            done = done.and_then(|()| self.exporter.tick(now));
        }
        if done.is_ok() && self.exporter.held() == 0 {
            let written = self.taken.saturating_sub(self.exporter.dropped());
            self.account.written.store(written, Ordering::Relaxed);
            if std::mem::take(&mut self.fails) {
                tracing::info!("{}: records can be written again", self.name);
            }
        }
        self.look(done)
    }

    /// Counts what the exporter had taken and lost.
    fn count_dropped(&mut self) {
        let before = std::mem::replace(&mut self.dropped, self.exporter.dropped());
        let more = self.dropped.saturating_sub(before);
        self.account.lost.fetch_add(more, Ordering::Relaxed);
        self.account.dropped.store(self.dropped, Ordering::Relaxed);
    }

    fn finish(mut self) -> io::Result<()> {
        // Twice where it is tried again: what was held may have left room for the rest.
        for _ in 0..if self.ends_with_error { 1 } else { 2 } {
            self.usage()?;
            let done = self.exporter.finish();
            self.look(done)?;
        }
        self.count_dropped();
        // The exporter holds what is left of the first; the others it has not seen.
        let unseen: u64 = self.pending.iter().skip(1).map(Usage::records).sum();
        let account = &self.account;
        let lost = account.lost.load(Ordering::Relaxed) + self.exporter.held() + unseen;
        account.lost.store(lost, Ordering::Relaxed);
        let given = account.given.load(Ordering::Relaxed);
        account
            .written
            .store(given.saturating_sub(lost), Ordering::Relaxed);
        account.has_finished.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What is done about an error, if it is one: it is the end, or it is said once that writing fails.
    fn look(&mut self, done: io::Result<()>) -> io::Result<()> {
        let Err(error) = done else { return Ok(()) };
        if self.ends_with_error {
            return Err(error);
        }
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.account.is_gone.store(true, Ordering::Relaxed);
        }
        if !std::mem::replace(&mut self.fails, true) {
            let name = &self.name;
            match self.records {
                Records::Flows => {
                    tracing::error!(%error, "{name}: flow records cannot be written; those of this time are lost");
                }
                Records::Usage => {
                    tracing::error!(%error, "{name}: usage records cannot be written; they wait");
                }
            }
        }
        Ok(())
    }
}
