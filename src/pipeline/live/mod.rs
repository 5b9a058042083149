//! The live run: the same stages as for capture files, on interfaces, without an end.
//!
//! ```text
//! by the kernel:   capture + work 0 --\                  by the innermost addresses:
//!                  capture + work 1 ---+-> collector     capture --> worker 0..N --> collector
//! ```
//!
//! Nobody waits for a slower one behind: what finds no room is counted where it is lost. The
//! collector publishes a [`Snapshot`] about once a second; each [`Output`] has a thread that writes.
//! [`Control`] is how the rest of the program stops a run, replaces its signatures and sees how it
//! is.

mod capture_worker;
mod config;
mod control;
mod intake;
mod lessons;
mod load;
mod outbox;
mod publisher;
mod steered;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{Sender, bounded};

use crate::capture::Block;
use crate::capture::live::Source;
use crate::classify::Classifier;
use crate::view::snapshot::Snapshot;

use self::capture_worker::{CaptureWorker, Shared};
use self::intake::Intake;
use self::lessons::LessonExchange;
use self::outbox::Outbox;
use self::publisher::Publisher;
use self::steered::{CaptureThread, Job, Mark, ShareWorker, UNDER_WAY};
use self::writer::{Writer, cells_waiting};

pub use self::config::{Config, Steering};
pub use self::control::Control;
pub(super) use self::lessons::lessons_memory;
pub(super) use self::writer::intervals_memory;

use super::budget::RecordBudget;
use super::collector::{Collector, Counted, Report, Watermarks};
use super::duplicates::Deduplicator;
use super::output::Output;
use super::steer::Steer;
use super::worker::Worker;

/// Reports under way: a few from each thread.
const REPORTS: usize = 4;

/// Blocks there are at most: kept for use, waiting for other threads, on their way to workers.
pub(super) fn blocks_in_use(config: &Config, sources: usize) -> usize {
    let kept = sources * (intake::SPARE + 1);
    match config.steering {
        Steering::Kernel if sources == 1 => kept,
        Steering::Kernel => kept + sources * (capture_worker::MAX_WAITING + 1),
        Steering::Inner => kept + UNDER_WAY * (config.run.workers.max(1) + 1),
    }
}

/// Classifies what `sources` give, each with a thread of its own, until `control` says to stop;
/// the state at the end. Records go to `outputs`; what these cannot write is lost and counted.
///
/// # Errors
///
/// When a thread cannot be started.
pub fn run(
    sources: Vec<Box<dyn Source>>,
    control: &Control,
    config: &Config,
    outputs: Vec<Output>,
) -> io::Result<Arc<Snapshot>> {
    let waiting = cells_waiting(&config.run.usage);
    let writers = outputs.into_iter();
    let writers = writers.map(|output| Writer::start(output, waiting));
    let writers = writers.collect::<io::Result<Vec<_>>>()?;
    let threads = sources.len().max(1);
    let mut interfaces: Vec<Box<str>> = sources.iter().map(|source| source.name().into()).collect();
    interfaces.dedup();
    let workers = match config.steering {
        Steering::Kernel => threads,
        Steering::Inner => config.run.workers.max(1),
    };
    let parts = match config.steering {
        Steering::Kernel => threads,
        Steering::Inner => threads + workers,
    };
    let mut share = config.run.clone();
    share.flow = config.run.flow.share(workers);
    let (report_out, report_in) = bounded::<Report>(REPORTS * parts);
    let worker = || {
        let classifier = Classifier::new(control.set(), share.steps)
            .with_learning(&share.learning)
            .with_behaviour(share.behaviour.clone());
        let mut worker = Worker::new(&share, classifier);
        if config.follow {
            worker.follow();
        }
        if config.steering == Steering::Kernel && threads > 1 {
            worker.tell_halves();
        }
        worker
    };
    let duplicates = config.run.duplicates;
    // What several capture threads give to one worker is looked at there, which finds copies that
    // came by two interfaces. Only copies of fragments have to be left out before they are put together.
    let meet = config.steering == Steering::Inner && threads > 1;
    let at_source = || match meet && !duplicates.leave_out {
        true => Deduplicator::idle(),
        false => Deduplicator::new(duplicates),
    };
    let at_worker = || match meet {
        true => Deduplicator::new(duplicates),
        false => Deduplicator::idle(),
    };
    let reports = report_out.clone();
    let budget = RecordBudget::default();
    let arrived = budget.clone();
    let outbox = move |part| Outbox::new(part, reports.clone(), budget.clone());
    thread::scope(|scope| {
        let intakes = sources.into_iter().enumerate().map(|(thread, source)| {
            let interface = config.run.interfaces.id(source.name());
            Intake::new(source, (thread, interface), at_source())
        });
        match config.steering {
            Steering::Kernel => {
                let mut exchanges = LessonExchange::among(threads).into_iter();
                for (part, intake) in intakes.enumerate() {
                    let shared = (threads > 1)
                        .then(|| exchanges.next())
                        .flatten()
                        .map(|exchange| Shared::new(exchange, Steer::new(&share.decode, 1)));
                    let (worker, outbox) = (worker(), outbox(part));
                    let thread =
                        CaptureWorker::new(control, intake, worker, outbox, config.tick, shared);
                    scope.spawn(move || thread.run());
                }
            }
            Steering::Inner => {
                let (empty_out, empty_in) = bounded::<Block>(UNDER_WAY);
                let (mut jobs, mut inboxes): (Vec<Sender<Job>>, Vec<_>) = (Vec::new(), Vec::new());
                for _ in 0..workers {
                    let (job_out, job_in) = bounded::<Job>(UNDER_WAY);
                    jobs.push(job_out);
                    inboxes.push(job_in);
                }
                for (thread, intake) in intakes.enumerate() {
                    let capture = CaptureThread {
                        control,
                        thread,
                        intake,
                        steer: Steer::new(&share.decode, workers),
                        jobs: jobs.clone(),
                        empty: empty_in.clone(),
                        outbox: outbox(thread),
                        tick: config.tick,
                        set_back: 0,
                    };
                    scope.spawn(move || capture.run());
                }
                for (number, jobs) in inboxes.into_iter().enumerate() {
                    let worker = ShareWorker {
                        control,
                        worker: worker(),
                        jobs,
                        empty: empty_out.clone(),
                        outbox: outbox(threads + number),
                        tick: config.tick,
                        flow: control.flow(),
                        duplicates: at_worker(),
                        marks: vec![Mark::default(); threads],
                        set_back: 0,
                    };
                    scope.spawn(move || worker.run());
                }
            }
        }
        // Its end shows when all threads have gone.
        drop((outbox, report_out));
        let usage = &config.run.usage;
        let order = Watermarks::new(
            parts,
            usage.interval.clone(),
            control.latest().load().started,
        );
        let counted = Counted::new(parts, usage);
        let collector = Collector::new(order, counted, usage.interval.is_some());
        let mut publisher = Publisher::new(control, writers, config, interfaces, arrived);
        collector.run(&report_in, &mut publisher)?;
        Ok(control.latest().load_full())
    })
}
