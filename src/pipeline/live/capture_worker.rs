//! A capture thread that also does all the work on its frames: they never cross threads.
//!
//! With several such threads each sees only its part of the frames, shared out by the kernel by
//! address pair; what teaches about other flows is passed on through the [`LessonExchange`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::capture::Block;
use crate::clock::steady;
use crate::flow::{self, EndReason};
use crate::pipeline::collector::State;
use crate::pipeline::steer::{Entry, Steer};
use crate::pipeline::worker::{Teacher, Worker};
use crate::time::Timestamp;
use crate::usage::ledger::Volume;

use super::Control;
use super::intake::{Intake, Taken};
use super::lessons::LessonExchange;
use super::outbox::Outbox;

/// Blocks that may wait for the other threads. A thread that is further ahead goes on without
/// their lessons: capturing comes first.
pub(super) const MAX_WAITING: usize = 128;

/// Milliseconds a thread waits at its end for the others' lessons.
const LAST_WAITS: u32 = 3000;

/// One of a live run's capture threads.
pub(super) struct CaptureWorker<'a> {
    control: &'a Control,
    intake: Intake,
    worker: Worker,
    /// What flows go by.
    flow: Arc<flow::Config>,
    outbox: Outbox,
    tick: Duration,
    next_tick: Instant,
    watermark: Timestamp,
    /// How often the clock was set back.
    set_backs: u32,
    shared: Option<Shared>,
}

/// What a thread needs that is not the only one.
pub(super) struct Shared {
    pub(super) exchange: LessonExchange,
    pub(super) steer: Steer,
    waiting: VecDeque<(Block, Vec<Entry>)>,
}

impl Shared {
    pub(super) const fn new(exchange: LessonExchange, steer: Steer) -> Self {
        Self {
            exchange,
            steer,
            waiting: VecDeque::new(),
        }
    }
}

impl<'a> CaptureWorker<'a> {
    pub(super) fn new(
        control: &'a Control,
        intake: Intake,
        worker: Worker,
        outbox: Outbox,
        tick: Duration,
        shared: Option<Shared>,
    ) -> Self {
        Self {
            control,
            intake,
            worker,
            flow: control.flow(),
            outbox,
            tick,
            next_tick: steady(),
            watermark: Timestamp::default(),
            set_backs: 0,
            shared,
        }
    }

    /// Captures and classifies until the run is to end.
    pub(super) fn run(mut self) {
        loop {
            let waits = self
                .shared
                .as_ref()
                .is_some_and(|shared| !shared.waiting.is_empty());
            let taken = self.intake.take(self.control, waits);
            self.control.update(&mut self.worker, &mut self.flow);
            self.worker.shed(self.intake.sheds());
            match taken {
                Taken::Block(block) => self.on_block(block),
                Taken::Quiet(watermark) => self.on_quiet(watermark),
                Taken::SetBack(watermark) => self.on_set_back(watermark),
                Taken::Done => break,
            }
            self.tell();
        }
        self.finish();
    }

    fn on_block(&mut self, block: Block) {
        match &mut self.shared {
            None => {
                let began = self.worker.stopwatch();
                self.worker.run_block(&block);
                self.watermark = block.watermark;
                self.worker.end_block(self.watermark, began);
                self.intake.give_back(block);
            }
            Some(shared) => {
                let (entries, lessons) = shared.steer.keep(&block);
                shared.exchange.publish(lessons);
                shared.exchange.mark(block.watermark);
                shared.waiting.push_back((block, entries));
                self.work(MAX_WAITING);
            }
        }
    }

    fn on_quiet(&mut self, watermark: Timestamp) {
        match &mut self.shared {
            None => {
                self.watermark = watermark;
                self.worker.end_block(watermark, None);
            }
            Some(shared) => {
                shared.exchange.mark(watermark);
                self.work(MAX_WAITING);
                if let Some(shared) = &mut self.shared
                    && shared.waiting.is_empty()
                {
                    let passed = watermark.min(shared.exchange.passed());
                    shared.steer.expire(passed);
                    shared.exchange.teach(passed, &mut self.worker);
                    self.watermark = self.watermark.max(passed);
                    self.worker.end_block(self.watermark, None);
                }
            }
        }
    }

    /// Ends all that began before the clock was set back to `watermark`.
    fn on_set_back(&mut self, watermark: Timestamp) {
        self.work(0);
        if let Some(shared) = &mut self.shared {
            shared.steer.give_up();
            shared.exchange.set_back(watermark, &mut self.worker);
        }
        self.worker.end_all(EndReason::ClockSetBack);
        self.outbox.collect_records(&mut self.worker);
        self.set_backs += 1;
        self.outbox.set_back(self.set_backs);
        self.watermark = watermark;
    }

    /// Works on the blocks whose time all other threads have passed, and on those beyond the
    /// `most` that may wait.
    fn work(&mut self, most: usize) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let passed = shared.exchange.passed();
        shared.exchange.receive(&mut self.worker);
        while let Some((block, _)) = shared.waiting.front()
            && (block.watermark <= passed || shared.waiting.len() > most)
            && let Some((block, entries)) = shared.waiting.pop_front()
        {
            let began = self.worker.stopwatch();
            self.worker.run_share(&block, entries, &mut shared.exchange);
            self.watermark = block.watermark;
            self.worker.end_block(self.watermark, began);
            self.intake.give_back(block);
        }
    }

    /// Reports, if it is time.
    fn tell(&mut self) {
        self.outbox.collect_records(&mut self.worker);
        let now = steady();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + self.tick;
        self.outbox.collect(&mut self.worker);
        let state = self.state();
        self.outbox.offer(self.watermark, state);
    }

    fn state(&mut self) -> State {
        let tally = self.worker.tally();
        let mut state = State {
            wire: self.intake.wire,
            open: tally.open,
            accounts: self.worker.accounts(self.control.wants_accounts()),
            drops: tally.drops,
            unsettled: tally.unsettled,
            channel: Volume::default(),
            flows: tally.flows,
            flows_held: tally.flows_held,
            health: tally.health,
            stats: tally.stats,
            source: Some(self.intake.report()),
            sheds: self.intake.sheds(),
            records_lost: 0,
        };
        if let Some(stats) = &mut state.stats {
            stats.merge(self.intake.sizes());
        }
        state.drops.add(self.intake.duplicates.drops());
        state.health.add(self.intake.duplicates.health());
        if let Some(shared) = &self.shared {
            let (drops, waiting) = shared.steer.tally();
            state.drops.add(&drops);
            state.unsettled.add(waiting);
            for (block, entries) in &shared.waiting {
                for entry in entries {
                    let (packets, bytes) = entry.volume(block);
                    state.unsettled.count(packets, bytes);
                }
            }
        }
        state
    }

    fn finish(mut self) {
        if let Some(shared) = &self.shared {
            shared.exchange.mark(Timestamp(u64::MAX));
        }
        // The others end as well; what they saw before must be learned here.
        for _ in 0..LAST_WAITS {
            self.work(MAX_WAITING);
            let waits = |shared: &Shared| !shared.waiting.is_empty();
            if !self.shared.as_ref().is_some_and(waits) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.work(0);
        self.outbox.collect(&mut self.worker);
        let state = self.state();
        let steered = self.shared.map(|shared| shared.steer.finish());
        let mut drops = *self.intake.duplicates.drops();
        drops.add(&steered.unwrap_or_default());
        self.outbox.close_with(self.worker, state, drops);
    }
}
