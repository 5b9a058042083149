//! Capture threads that only take in, and workers that get the frames by the hash of their
//! innermost addresses: for tunnels, whose outer addresses are all the kernel could go by.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use crate::capture::Block;
use crate::clock::steady;
use crate::flow::{self, EndReason};
use crate::pipeline::collector::State;
use crate::pipeline::duplicates::Deduplicator;
use crate::pipeline::steer::{Entry, Steer};
use crate::pipeline::worker::Worker;
use crate::time::Timestamp;
use crate::usage::Cells;
use crate::usage::ledger::Volume;

use super::Control;
use super::intake::{Intake, Taken};
use super::outbox::Outbox;

/// Blocks under way to each worker: some 16 MiB, a tenth of a second at a gigabit a second.
pub(super) const UNDER_WAY: usize = 64;

/// A worker's share of a block.
pub(super) struct Job {
    /// Which capture thread it is from.
    source: usize,
    /// How often the clock had been set back when the frames were stamped.
    set_back: u32,
    block: Arc<Block>,
    entries: Vec<Entry>,
    /// What the entries count for.
    volume: Volume,
    /// New flows are to be shed.
    sheds: bool,
}

/// A capture thread.
pub(super) struct CaptureThread<'a> {
    pub(super) control: &'a Control,
    pub(super) thread: usize,
    pub(super) intake: Intake,
    pub(super) steer: Steer,
    pub(super) jobs: Vec<Sender<Job>>,
    pub(super) empty: Receiver<Block>,
    pub(super) outbox: Outbox,
    pub(super) tick: Duration,
    /// How often the clock has been set back.
    pub(super) set_back: u32,
}

impl CaptureThread<'_> {
    /// Captures until the run is to end.
    pub(super) fn run(mut self) {
        let mut lost = Volume::default();
        let mut next_tick = steady();
        let mut watermark = Timestamp::default();
        loop {
            for block in self.empty.try_iter() {
                self.intake.give_back(block);
            }
            let block = match self.intake.take(self.control, false) {
                Taken::Block(block) => block,
                // An empty share: workers learn what time it is.
                Taken::Quiet(watermark) => Block {
                    watermark,
                    ..Block::default()
                },
                Taken::SetBack(watermark) => {
                    self.steer.give_up();
                    self.set_back += 1;
                    self.outbox.set_back(self.set_back);
                    Block {
                        watermark,
                        ..Block::default()
                    }
                }
                Taken::Done => break,
            };
            watermark = block.watermark;
            let shares = self.steer.split(&block);
            lost.add(self.send(block, shares));
            let now = steady();
            if now >= next_tick {
                next_tick = now + self.tick;
                let state = self.state(lost);
                self.outbox.offer(watermark, state);
            }
        }
        let mut state = self.state(lost);
        state.drops = self.steer.finish();
        state.drops.add(self.intake.duplicates.drops());
        state.unsettled = Volume::default();
        state.wire = own(&state);
        self.outbox.close(watermark, state);
    }

    /// Sends each worker its share; what finds no room is lost, and its volume returned.
    fn send(&mut self, block: Block, shares: Vec<Vec<Entry>>) -> Volume {
        let mut lost = Volume::default();
        let sheds = self.intake.sheds();
        let block = Arc::new(block);
        for (job, entries) in self.jobs.iter().zip(shares) {
            let mut volume = Volume::default();
            for entry in &entries {
                let (packets, bytes) = entry.volume(&block);
                volume.count(packets, bytes);
            }
            let sent = job.try_send(Job {
                source: self.thread,
                set_back: self.set_back,
                block: Arc::clone(&block),
                entries,
                volume,
                sheds: sheds || job.len() > UNDER_WAY / 2,
            });
            if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) = sent
                && job.volume != Volume::default()
            {
                lost.add(job.volume);
                self.intake.is_losing();
            }
        }
        self.intake.give_back_shared(block);
        lost
    }

    fn state(&mut self, channel: Volume) -> State {
        let (mut drops, unsettled) = self.steer.tally();
        drops.add(self.intake.duplicates.drops());
        let mut state = State {
            drops,
            unsettled,
            channel,
            // All that has a subject is with the workers.
            accounts: Some(Cells::new()),
            health: *self.intake.duplicates.health(),
            stats: Some(self.intake.sizes().clone()),
            source: Some(self.intake.report()),
            sheds: self.intake.sheds(),
            ..State::default()
        };
        state.wire = own(&state);
        state
    }
}

/// What a capture thread has on its own account: all it did not hand to a worker.
fn own(state: &State) -> Volume {
    let mut sum = state.unsettled;
    sum.add(state.channel);
    for (_, dropped) in state.drops.iter() {
        sum.add(dropped);
    }
    sum
}

/// How far a capture thread has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    set_back: u32,
    watermark: Timestamp,
}

/// A thread that works on the shares.
pub(super) struct ShareWorker<'a> {
    pub(super) control: &'a Control,
    pub(super) worker: Worker,
    pub(super) jobs: Receiver<Job>,
    pub(super) empty: Sender<Block>,
    pub(super) outbox: Outbox,
    pub(super) tick: Duration,
    /// Second copies that came by way of several capture threads.
    pub(super) duplicates: Deduplicator,
    /// How far each capture thread has come.
    pub(super) marks: Vec<Mark>,
    /// How often all of them have seen the clock set back.
    pub(super) set_back: u32,
    /// What flows go by.
    pub(super) flow: Arc<flow::Config>,
}

impl ShareWorker<'_> {
    /// Works until all capture threads have ended.
    pub(super) fn run(mut self) {
        let mut wire = Volume::default();
        let mut next_tick = steady();
        let mut watermark = Timestamp::default();
        let mut sheds = false;
        loop {
            match self.jobs.recv_timeout(self.tick) {
                Ok(job) => {
                    wire.add(job.volume);
                    sheds = job.sheds;
                    watermark = self.on_job(job);
                    self.outbox.collect_records(&mut self.worker);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = steady();
            if now >= next_tick {
                next_tick = now + self.tick;
                self.outbox.collect(&mut self.worker);
                let state = self.state(wire, sheds);
                self.outbox.offer(watermark, state);
            }
        }
        self.outbox.collect(&mut self.worker);
        let state = self.state(wire, false);
        let drops = *self.duplicates.drops();
        self.outbox.close_with(self.worker, state, drops);
    }

    /// Works on a share. Returns the time all capture threads have passed.
    fn on_job(&mut self, mut job: Job) -> Timestamp {
        self.control.update(&mut self.worker, &mut self.flow);
        self.worker.shed(job.sheds);
        if let Some(mark) = self.marks.get_mut(job.source) {
            *mark = Mark {
                set_back: job.set_back,
                watermark: job.block.watermark,
            };
        }
        // Each capture thread sees it for itself: what began before ends with the last to see it.
        let set_back = self.marks.iter().map(|mark| mark.set_back).min();
        let set_back = set_back.unwrap_or_default();
        if std::mem::replace(&mut self.set_back, set_back) < set_back {
            self.worker.end_all(EndReason::ClockSetBack);
            self.outbox.collect_records(&mut self.worker);
            self.outbox.set_back(set_back);
        }
        let began = self.worker.stopwatch();
        self.duplicates.look_in_share(&job.block, &mut job.entries);
        self.worker.run_share(&job.block, job.entries, &mut ());
        let marks = self.marks.iter().map(|mark| mark.watermark);
        let passed = marks.min().unwrap_or_default();
        self.worker.end_block(passed, began);
        if let Some(block) = Arc::into_inner(job.block) {
            let _ = self.empty.try_send(block);
        }
        passed
    }

    fn state(&mut self, wire: Volume, sheds: bool) -> State {
        let mut tally = self.worker.tally();
        tally.drops.add(self.duplicates.drops());
        tally.health.add(self.duplicates.health());
        State {
            wire,
            open: tally.open,
            accounts: self.worker.accounts(self.control.wants_accounts()),
            drops: tally.drops,
            health: tally.health,
            unsettled: tally.unsettled,
            flows: tally.flows,
            flows_held: tally.flows_held,
            stats: tally.stats,
            sheds,
            ..State::default()
        }
    }
}
