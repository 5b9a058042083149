//! Where the records of a live run are written: a thread for each output, so that one that takes
//! nothing, a pipe that nobody reads or a disk that hangs, holds up neither the collector nor the
//! other outputs.
//!
//! Flow records wait in memory while there is [`RecordBudget`]. Usage is never given up while the run lasts:
//! an interval that could not be written is tried again, and of those that wait too long the
//! earliest goes into the one after it.
//!
//! Each record that a thread was given is in the end written or lost, and counted so.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::capture::live::steady;
pub use crate::record::Records;
use crate::record::{self, FlowRecord, RunEnd, RunRecord};
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::time::Timestamp;
use crate::usage::{self, CellKey, Closed, Totals};

use super::outbox::RecordBudget;

/// Cells of closed intervals that may wait for one output: two intervals with as many accounts as
/// there may be.
pub(super) fn cells_waiting(usage: &usage::Config) -> usize {
    const LEAST: usize = 1 << 17;
    match usage.subjects {
        Some(_) => usage.max_accounts.saturating_mul(2).max(LEAST),
        None => LEAST,
    }
}

/// Intervals that a thread has at a time; the others wait where they can be put together.
const AT_A_TIME: u64 = 4;

/// How long an output may take nothing at the end of a run before it is given up.
const LAST_WAIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// The most memory that intervals on their way to so many outputs take, in maps with nodes half
/// full.
pub(crate) fn intervals_memory(outputs: usize, usage: &usage::Config) -> usize {
    let cell = 2 * size_of::<(CellKey, Totals)>();
    outputs.saturating_mul(cells_waiting(usage).saturating_mul(cell))
}

/// Where records of a live run go.
pub struct Output {
    /// For the log: the file.
    pub name: String,
    /// What it takes.
    pub records: Records,
    /// What writes them.
    pub exporter: Box<dyn Exporter>,
}

/// Flow records on their way, and the room they take.
#[derive(Debug)]
pub(super) struct Batch {
    records: Vec<FlowRecord>,
    bytes: usize,
    budget: RecordBudget,
    set: Arc<SignatureSet>,
}

impl Batch {
    /// Records that take so many bytes of `budget`, named by `set`.
    pub(super) const fn new(
        records: Vec<FlowRecord>,
        bytes: usize,
        budget: RecordBudget,
        set: Arc<SignatureSet>,
    ) -> Self {
        Self {
            records,
            bytes,
            budget,
            set,
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// What a thread is to do.
enum Order {
    Flows(Arc<Batch>),
    Usage(Usage),
    Tick(Timestamp),
}

/// What an output of usage is to write, in order.
enum Usage {
    Interval(Interval),
    /// The run has begun, or ended.
    Run(Box<RunRecord>),
}

impl Usage {
    fn records(&self) -> u64 {
        match self {
            Self::Interval(interval) => interval.records(),
            Self::Run(_) => 1,
        }
    }

    /// Whether it counts among the intervals that are under way.
    const fn is_interval(&self) -> bool {
        matches!(self, Self::Interval(_))
    }
}

/// A closed interval that is to be written.
struct Interval {
    closed: Arc<Closed>,
    sequence: u64,
    set: Arc<SignatureSet>,
}

impl Interval {
    fn records(&self) -> u64 {
        record::usage::usage_records(&self.closed.cells) as u64
    }
}

/// What a thread and the collector tell one another besides.
#[derive(Debug, Default)]
struct Account {
    /// Records the thread was given.
    given: AtomicU64,
    /// Those that are out of the process.
    written: AtomicU64,
    /// Those that will not be written.
    lost: AtomicU64,
    /// Grows while something is done.
    steps: AtomicU64,
    /// Intervals the thread has.
    intervals: AtomicU64,
    /// It has an [`Order::Tick`] to come.
    has_tick: AtomicBool,
    /// Nobody will ever read what is written.
    is_gone: AtomicBool,
}

/// The collector's end of an output.
pub(super) struct Writer {
    name: String,
    records: Records,
    orders: Option<Sender<Order>>,
    ended: Receiver<()>,
    account: Arc<Account>,
    waiting: Waiting,
    sequence: u64,
    given_up: bool,
}

impl Writer {
    /// Starts the thread of `output`, for which so many cells may wait.
    pub(super) fn start(output: Output, cells_waiting: usize) -> io::Result<Self> {
        let Output {
            name,
            records,
            exporter,
        } = output;
        let (orders, inbox) = unbounded();
        let (end, ended) = bounded(0);
        let account = Arc::new(Account::default());
        let thread = WriterThread {
            name: name.clone(),
            records,
            exporter,
            account: Arc::clone(&account),
            pending: VecDeque::new(),
            taken: 0,
            dropped: 0,
            fails: false,
        };
        thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || {
                thread.run(&inbox);
                // Or by a panic: the collector sees the channel close.
                drop(end);
            })?;
        Ok(Self {
            name,
            records,
            orders: Some(orders),
            ended,
            account,
            waiting: Waiting::new(cells_waiting),
            sequence: 0,
            given_up: false,
        })
    }

    /// Flows have ended.
    pub(super) fn flows(&self, batch: &Arc<Batch>) {
        if self.records == Records::Flows {
            self.give(batch.records.len() as u64);
            self.order(Order::Flows(Arc::clone(batch)));
        }
    }

    /// An interval has closed. Gives how many had to be put together with the one after.
    pub(super) fn interval(&mut self, closed: &Arc<Closed>) -> u64 {
        if self.records != Records::Usage {
            return 0;
        }
        self.waiting.add(Arc::clone(closed))
    }

    /// The run has begun, or ended.
    pub(super) fn run_record(&self, run: &RunRecord) {
        if self.records == Records::Usage {
            self.give(1);
            self.order(Order::Usage(Usage::Run(Box::new(run.clone()))));
        }
    }

    /// It is `now`: what waits is handed on, as far as the thread has come.
    pub(super) fn tick(&mut self, now: Timestamp, set: &Arc<SignatureSet>) {
        while self.account.intervals.load(Ordering::Relaxed) < AT_A_TIME && self.hand_on(set) {}
        if !self.account.has_tick.swap(true, Ordering::Relaxed) {
            self.order(Order::Tick(now));
        }
    }

    /// Nothing more will come: the run ends with `run`, which is told how many intervals there were.
    pub(super) fn close(&mut self, set: &Arc<SignatureSet>, run: &RunRecord) {
        while self.hand_on(set) {}
        let end = run.end.map(|end| RunEnd {
            intervals: self.sequence,
            ..end
        });
        self.run_record(&RunRecord { end, ..run.clone() });
        self.orders = None;
    }

    /// Waits until all of `writers`, which are closed, have written what they can, or do nothing any
    /// more.
    pub(super) fn wait_for(writers: &mut [Self]) {
        for writer in writers {
            let (mut steps, mut since) = (writer.steps(), steady());
            while writer.ended.recv_timeout(LAST_WAIT / 50) == Err(RecvTimeoutError::Timeout) {
                let now = steady();
                if writer.steps() != steps {
                    (steps, since) = (writer.steps(), now);
                } else if now.duration_since(since) > LAST_WAIT {
                    writer.given_up = true;
                    break;
                }
            }
            let lost = writer.lost();
            if lost > 0 {
                let why = if writer.given_up {
                    ", which takes nothing"
                } else {
                    ""
                };
                tracing::error!("{}{why}: {lost} records were not written", writer.name);
            }
        }
    }

    /// For the log.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it takes.
    pub(super) const fn records(&self) -> Records {
        self.records
    }

    /// Records that will not be written, or may not have been.
    pub(super) fn lost(&self) -> u64 {
        let has_ended = self.orders.is_none() && !self.is_running();
        if self.given_up || has_ended {
            let written = self.account.written.load(Ordering::Relaxed);
            return self.account.given.load(Ordering::Relaxed) - written;
        }
        self.account.lost.load(Ordering::Relaxed)
    }

    /// Closed intervals that are not written.
    pub(super) fn intervals(&self) -> u64 {
        self.waiting.len() as u64 + self.account.intervals.load(Ordering::Relaxed)
    }

    /// Whether nobody will ever read what is written.
    pub(super) fn is_gone(&self) -> bool {
        self.account.is_gone.load(Ordering::Relaxed)
    }

    fn is_running(&self) -> bool {
        self.ended.try_recv() == Err(crossbeam::channel::TryRecvError::Empty)
    }

    fn steps(&self) -> u64 {
        self.account.steps.load(Ordering::Relaxed)
    }

    fn hand_on(&mut self, set: &Arc<SignatureSet>) -> bool {
        let Some(closed) = self.waiting.take() else {
            return false;
        };
        let interval = Interval {
            closed,
            sequence: self.sequence,
            set: Arc::clone(set),
        };
        self.sequence += 1;
        self.account.intervals.fetch_add(1, Ordering::Relaxed);
        self.give(interval.records());
        self.order(Order::Usage(Usage::Interval(interval)));
        true
    }

    fn give(&self, records: u64) {
        self.account.given.fetch_add(records, Ordering::Relaxed);
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // A thread that has panicked takes none: what it was given is lost in the end.
            let _ = orders.send(order);
        }
    }
}

/// Intervals that wait, so many cells of them; where there are more, the earliest goes into the one
/// after it.
#[derive(Debug)]
struct Waiting {
    intervals: VecDeque<Arc<Closed>>,
    cells: usize,
    most: usize,
}

impl Waiting {
    /// None, and at most so many cells.
    const fn new(most: usize) -> Self {
        Self {
            intervals: VecDeque::new(),
            cells: 0,
            most,
        }
    }

    fn len(&self) -> usize {
        self.intervals.len()
    }

    fn take(&mut self) -> Option<Arc<Closed>> {
        let first = self.intervals.pop_front()?;
        self.cells -= first.cells.len();
        Some(first)
    }

    fn add(&mut self, closed: Arc<Closed>) -> u64 {
        self.cells += closed.cells.len();
        self.intervals.push_back(closed);
        let mut merged = 0;
        while self.cells > self.most
            && self.intervals.len() > 1
            && let Some(earliest) = self.intervals.pop_front()
            && let Some(next) = self.intervals.front_mut()
        {
            self.cells -= earliest.cells.len() + next.cells.len();
            let sum = Arc::make_mut(next);
            sum.covered_from = sum.covered_from.min(earliest.covered_from);
            for (&key, totals) in &earliest.cells {
                sum.cells.entry(key).or_default().add(totals);
            }
            self.cells += sum.cells.len();
            merged += 1;
        }
        merged
    }
}

/// The thread's end.
struct WriterThread {
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
}

impl WriterThread {
    fn run(mut self, orders: &Receiver<Order>) {
        for order in orders {
            match order {
                Order::Flows(batch) => self.flows(&batch),
                Order::Usage(usage) => {
                    self.pending.push_back(usage);
                    if self.pending.len() == 1 {
                        self.usage();
                    }
                }
                Order::Tick(now) => self.tick(now),
            }
            self.count_dropped();
            self.account.steps.fetch_add(1, Ordering::Relaxed);
        }
        self.finish();
    }

    fn flows(&mut self, batch: &Batch) {
        for record in &batch.records {
            let done = self.exporter.flow(record, &batch.set);
            match done {
                Ok(()) => self.taken += 1,
                Err(error) => {
                    self.account.lost.fetch_add(1, Ordering::Relaxed);
                    self.note(&error);
                }
            }
            self.account.steps.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what usage there is, up to what fails: it is tried again.
    fn usage(&mut self) {
        while let Some(usage) = self.pending.front() {
            let done = match usage {
                Usage::Interval(Interval {
                    closed,
                    sequence,
                    set,
                }) => self.exporter.interval(closed, *sequence, set),
                Usage::Run(run) => self.exporter.run(run),
            };
            if let Err(error) = done {
                return self.note(&error);
            }
            self.taken += usage.records();
            if usage.is_interval() {
                self.account.intervals.fetch_sub(1, Ordering::Relaxed);
            }
            self.pending.pop_front();
            self.account.steps.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.account.has_tick.store(false, Ordering::Relaxed);
        let mut done = self.exporter.tick(now);
        if !self.pending.is_empty() {
            self.usage();
            done = done.and_then(|()| self.exporter.tick(now));
        }
        match done {
            Ok(()) if self.exporter.held() == 0 => {
                let written = self.taken.saturating_sub(self.exporter.dropped());
                self.account.written.store(written, Ordering::Relaxed);
                if std::mem::take(&mut self.fails) {
                    tracing::info!("{}: records can be written again", self.name);
                }
            }
            Ok(()) => {}
            Err(error) => self.note(&error),
        }
    }

    /// Counts what the exporter had taken and lost.
    fn count_dropped(&mut self) {
        let before = std::mem::replace(&mut self.dropped, self.exporter.dropped());
        let more = self.dropped.saturating_sub(before);
        self.account.lost.fetch_add(more, Ordering::Relaxed);
    }

    fn finish(mut self) {
        // Twice: what was held may have left room for the rest.
        for _ in 0..2 {
            self.usage();
            if let Err(error) = self.exporter.finish() {
                self.note(&error);
            }
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
    }

    /// Says once that writing fails.
    fn note(&mut self, error: &io::Error) {
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
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
