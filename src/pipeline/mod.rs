//! Threads and channels; no protocol knowledge.
//!
//! One reader fills blocks of frames, N workers own the flows, one collector puts what they report
//! in the order the capture decides. Arrows point forward; all that comes back is an empty block.
//!
//! ```text
//! reader (steers when N > 1) --> worker 0 --\
//!    ^                      \--> worker 1 ---+--> collector --> a thread for each output
//!    +-------- empty blocks -----/----------/
//! ```

mod budget;
mod collector;
mod config;
mod duplicates;
mod halves;
pub mod live;
mod marks;
pub mod memory;
mod output;
mod parts;
mod steer;
mod stopwatch;
pub mod trial;
mod watch;
mod worker;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::capture::Block;
use crate::capture::error::Error;
use crate::capture::inputs::Inputs;
use crate::classify::Classifier;
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::time::Timestamp;
use crate::usage::{self, Closed, Stats, Summary};

use self::collector::{Blocks, Collector, Counted, Order, Outlet, Report, State};
use self::duplicates::Deduplicator;
use self::steer::{Entry, Steer};
use self::worker::{Produced, Worker};

pub use self::config::Config;
pub use self::duplicates::Duplicates;
pub use self::marks::FlowIds;
pub use self::output::{Output, Writers};

#[cfg(test)]
mod noise;

#[cfg(test)]
mod noise_tests;
#[cfg(test)]
mod tests;

/// Blocks under way for each worker: enough to keep it busy, few enough to stay in the cache.
const BLOCKS_A_WORKER: usize = 2;

/// Blocks in a row of which a worker says nothing at most: until it does, the collector holds what the
/// others say.
const UNTOLD: usize = 16;

/// How long exporters may hold back what they were given, so that a reader of what they write sees
/// it within a second.
const HELD: Duration = Duration::from_millis(200);

/// Most capture threads of a live run, over all interfaces.
pub const CAPTURE_THREADS: usize = 32;

/// Why a run stopped before the end of its input.
#[derive(Debug)]
pub enum Failure {
    /// The input could not be read.
    Read(Error),
    /// An exporter could not write.
    Write(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Write(error) => write!(f, "cannot write the records: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// A block on its way to a worker.
struct Job {
    index: u64,
    block: Arc<Block>,
    /// The worker's share of the block; `None`: all of it.
    share: Option<Vec<Entry>>,
}

/// Reads `inputs` to their end, naming flows by `set`. Records go to `exporter` as flows end;
/// `progress` is told how many bytes of input have been read.
///
/// # Errors
///
/// When reading or writing fails. A damaged capture is no failure: it is read as far as it goes and
/// `inputs` lists the damage.
pub fn run(
    inputs: &mut Inputs,
    set: &Arc<SignatureSet>,
    config: &Config,
    exporter: &mut dyn Exporter,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, Failure> {
    let count = config.workers.max(1);
    let mut share = config.clone();
    share.flow = config.flow.share(count);
    share.interfaces = Arc::clone(inputs.interfaces());
    thread::scope(|scope| {
        let (empty_out, empty_in) = bounded::<Block>(BLOCKS_A_WORKER * (count + 1));
        let (report_out, report_in) = bounded::<Report>(BLOCKS_A_WORKER * count);
        let mut jobs = Vec::with_capacity(count);
        for number in 0..count {
            let (job_out, job_in) = bounded::<Job>(BLOCKS_A_WORKER);
            jobs.push(job_out);
            let mut classifier = Classifier::new(Arc::clone(set), config.steps)
                .with_learning(&config.learning)
                .with_behaviour(config.behaviour.clone());
            classifier.keep_openings(config.keep);
            let (share, empty, reports) = (&share, empty_out.clone(), report_out.clone());
            scope.spawn(move || {
                let worker = Worker::new(share, classifier);
                work(worker, (number, count), &job_in, &empty, &reports);
            });
        }
        drop((empty_out, report_out));
        let collector = {
            let counted = Counted::new(count, &config.usage);
            let intervals = config.usage.interval.is_some();
            let collector = Collector::new(
                Blocks::new(count, config.usage.interval.clone()),
                counted,
                intervals,
            );
            let mut direct = Direct {
                exporter,
                set,
                sequence: 0,
                holds: false,
            };
            scope.spawn(move || collector.run(&report_in, &mut direct))
        };
        let read = read(inputs, &jobs, &empty_in, &share, progress);
        drop(jobs);
        let collected = match collector.join() {
            Ok(collected) => collected,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let mut summary = collected.map_err(Failure::Write)?.summary();
        let read = read.map_err(Failure::Read)?;
        summary.ledger.wire = read.wire;
        let counts = inputs.counts();
        summary
            .ledger
            .filtered
            .count(counts.left_out_frames, counts.left_out_bytes);
        summary.ledger.lying_lengths = counts.lying_lengths;
        summary.ledger.drops.add(&read.drops);
        summary.health.add(&read.health);
        summary.interfaces = Arc::clone(&share.interfaces);
        summary.span = read.span;
        if let (Some(stats), Some(sizes)) = (&mut summary.stats, read.stats) {
            stats.merge(&sizes);
        }
        Ok(summary)
    })
}

/// What the reading thread counted itself.
struct Read {
    wire: usage::ledger::Volume,
    drops: usage::ledger::Drops,
    health: usage::Health,
    span: Option<(Timestamp, Timestamp)>,
    stats: Option<Stats>,
}

fn read(
    inputs: &mut Inputs,
    jobs: &[Sender<Job>],
    empty: &Receiver<Block>,
    config: &Config,
    progress: &mut dyn FnMut(u64),
) -> Result<Read, Error> {
    let mut duplicates = Deduplicator::new(config.duplicates);
    let mut steer = (jobs.len() > 1).then(|| Steer::new(&config.decode, jobs.len()));
    let mut read = Read {
        wire: usage::ledger::Volume::default(),
        drops: usage::ledger::Drops::default(),
        health: usage::Health::default(),
        span: None,
        stats: config.stats.then(Stats::default),
    };
    let mut index = 0;
    let mut outcome = Ok(());
    'blocks: loop {
        let mut block = empty.try_recv().unwrap_or_default();
        match inputs.next_block(&mut block) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
        for frame in &block.frames {
            read.wire.count(1, u64::from(frame.wire_len));
            let (first, last) = read.span.get_or_insert((frame.at, frame.at));
            *first = (*first).min(frame.at);
            *last = (*last).max(frame.at);
            if let Some(stats) = &mut read.stats {
                stats.packet(frame.wire_len);
            }
        }
        progress(block.position);
        // Before frames are shared out: the same are left out with any number of workers.
        duplicates.look(&mut block);
        let mut shares = steer
            .as_mut()
            .map(|steer| steer.split(&block))
            .unwrap_or_default()
            .into_iter();
        let block = Arc::new(block);
        for job in jobs {
            let sent = job.send(Job {
                index,
                block: Arc::clone(&block),
                share: shares.next(),
            });
            if sent.is_err() {
                // The worker is gone, because nobody takes its reports any more or it panicked:
                // the collector's end or the scope's says why. Reading on would be for nothing.
                break 'blocks;
            }
        }
        index += 1;
    }
    if let Some(steer) = steer {
        read.drops = steer.finish();
    }
    read.drops.add(duplicates.drops());
    read.health.add(duplicates.health());
    outcome.map(|()| read)
}

fn work(
    mut worker: Worker,
    (number, count): (usize, usize),
    jobs: &Receiver<Job>,
    empty: &Sender<Block>,
    reports: &Sender<Report>,
) {
    let mut untold = 0;
    let (mut began, mut watermark) = (None, Timestamp::default());
    for Job {
        index,
        block,
        share,
    } in jobs
    {
        if began.is_none() {
            began = block.frames.iter().map(|frame| frame.at).min();
        }
        let stopwatch = worker.stopwatch();
        match share {
            None => worker.run_block(&block),
            Some(entries) => worker.run_share(&block, entries, &mut ()),
        }
        watermark = block.watermark;
        worker.end_block(watermark, stopwatch);
        if let Some(block) = Arc::into_inner(block) {
            // As it is: the reader writes over it without filling it with zeros first.
            let _ = empty.try_send(block);
        }
        let produced = worker.take();
        let report = Report {
            block: index,
            began: began.unwrap_or(watermark),
            watermark,
            ..report(number, produced)
        };
        // The next report tells of this block as well. It can wait while more is to be done here,
        // and without another worker nothing waits for it: waking the collector for each block
        // costs more than a block of large frames does.
        if report.is_empty() && (count == 1 || (!jobs.is_empty() && untold < UNTOLD)) {
            untold += 1;
            continue;
        }
        untold = 0;
        if reports.send(report).is_err() {
            return;
        }
    }
    let (produced, totals) = worker.finish();
    let _ = reports.send(Report {
        block: u64::MAX,
        began: began.unwrap_or(watermark),
        watermark,
        state: Some(Box::new(State {
            drops: totals.drops,
            health: totals.health,
            flows: totals.flows,
            stats: totals.stats,
            ..State::default()
        })),
        is_last: true,
        ..report(number, produced)
    });
}

/// A report of what a worker has produced.
fn report(part: usize, produced: Produced) -> Report {
    let closed = produced.closed.into_iter();
    Report {
        part,
        records: produced.records,
        marked: produced.marked,
        closed: closed.map(|(start, cells)| (0, start, cells)).collect(),
        ..Report::default()
    }
}

/// What is complete goes to the exporter at once, whose first error ends the run.
struct Direct<'a> {
    exporter: &'a mut dyn Exporter,
    set: &'a SignatureSet,
    /// Of the next interval.
    sequence: u64,
    /// The exporter may hold something back.
    holds: bool,
}

impl Outlet for Direct<'_> {
    fn every(&self) -> Duration {
        HELD
    }

    fn records(&mut self, records: Vec<FlowRecord>, _: usize) -> io::Result<()> {
        self.holds = true;
        self.exporter.flows(records, self.set)
    }

    fn frames(&mut self, numbers: &[u64]) -> io::Result<()> {
        self.exporter.frames(numbers)
    }

    fn interval(&mut self, closed: Closed, _: u64) -> io::Result<()> {
        self.holds = true;
        let sequence = self.sequence;
        self.sequence += 1;
        self.exporter.closed(closed, sequence, self.set)
    }

    fn tick(&mut self, _: &Counted, _: &impl Order) -> io::Result<()> {
        if std::mem::take(&mut self.holds) {
            self.exporter.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &Counted, _: &impl Order) -> io::Result<()> {
        self.exporter.finish()
    }
}
