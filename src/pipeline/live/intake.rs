//! A capture thread's source, and what the thread counts and watches about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::capture::live::{Arrival, Source};
use crate::capture::{Block, InterfaceId};
use crate::clock::steady;
use crate::pipeline::CAPTURE_THREADS;
use crate::pipeline::duplicates::Deduplicator;
use crate::time::Timestamp;
use crate::usage::Stats;
use crate::usage::ledger::Volume;
use crate::view::snapshot::SourceReport;

use super::Control;
use super::load::Load;

/// How long a thread with nothing to do waits for a frame.
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// How often the kernel is asked what it dropped.
const ASK: Duration = Duration::from_millis(100);

/// How long a source may go on giving frames after the run was asked to end.
const LAST_CALL: Duration = Duration::from_secs(2);

/// Blocks kept for another use.
pub(super) const SPARE: usize = 8;

/// Where frame numbers of the capture threads begin, so that no two flows have one number.
const NUMBERS_A_THREAD: u64 = 1 << 48;

// All stay below 2^53, as far as JSON readers count exactly.
const _: () = assert!(CAPTURE_THREADS as u64 * NUMBERS_A_THREAD <= 1 << 53);

/// The receiving end of a live run.
pub(super) struct Intake {
    source: Box<dyn Source>,
    thread: usize,
    interface: InterfaceId,
    spare: Vec<Block>,
    /// Frames read.
    pub(super) wire: Volume,
    sizes: Stats,
    load: Load,
    last_call: Option<Instant>,
    ended: bool,
    next_ask: Instant,
    report: SourceReport,
    /// Second copies among the frames of this source.
    pub(super) duplicates: Deduplicator,
}

/// What a look at the source gave.
pub(super) enum Taken {
    /// Frames.
    Block(Block),
    /// Nothing came; all before this time has.
    Quiet(Timestamp),
    /// The clock has been set back, to this time.
    SetBack(Timestamp),
    /// Nothing came, and the run is to end.
    Done,
}

impl Intake {
    /// The receiving end of `thread`, whose frames come in by `interface`.
    pub(super) fn new(
        source: Box<dyn Source>,
        (thread, interface): (usize, InterfaceId),
        duplicates: Deduplicator,
    ) -> Self {
        let report = SourceReport {
            interface: source.name().to_owned(),
            thread,
            ..SourceReport::default()
        };
        Self {
            source,
            thread,
            interface,
            spare: Vec::new(),
            wire: Volume::default(),
            sizes: Stats::default(),
            load: Load::default(),
            last_call: None,
            ended: false,
            next_ask: steady(),
            report,
            duplicates,
        }
    }

    /// The next frames. `in_a_hurry`: other work waits.
    pub(super) fn take(&mut self, control: &Control, in_a_hurry: bool) -> Taken {
        if self.ended {
            return Taken::Done;
        }
        let mut block = self.spare.pop().unwrap_or_default();
        let wait = if in_a_hurry {
            Duration::from_millis(1)
        } else {
            IDLE_WAIT
        };
        // What came before it was told to stop may come out only after that.
        let is_stopped = self.last_call.is_some();
        let arrival = self.source.next_block(&mut block, wait);
        let now = steady();
        self.watch(now);
        if control.stops() {
            if self.last_call.is_none() {
                self.source.stop();
            }
            let last_call = *self.last_call.get_or_insert(now + LAST_CALL);
            // What comes after that was not asked for: it stays in the kernel.
            self.ended = now > last_call;
        }
        match arrival {
            Arrival::Frames => {
                block.first_number += self.thread as u64 * NUMBERS_A_THREAD;
                self.count(&mut block);
                self.duplicates.look(&mut block);
                Taken::Block(block)
            }
            Arrival::Quiet => {
                let watermark = block.watermark;
                self.give_back(block);
                if is_stopped && !in_a_hurry {
                    Taken::Done
                } else {
                    Taken::Quiet(watermark)
                }
            }
            Arrival::SetBack => {
                let watermark = block.watermark;
                self.give_back(block);
                Taken::SetBack(watermark)
            }
        }
    }

    /// Takes a block back that is no longer needed.
    pub(super) fn give_back(&mut self, block: Block) {
        if self.spare.len() < SPARE {
            self.spare.push(block);
        }
    }

    /// Takes a shared block back, if nobody else has it.
    pub(super) fn give_back_shared(&mut self, block: Arc<Block>) {
        if let Some(block) = Arc::into_inner(block) {
            self.give_back(block);
        }
    }

    /// Whether new flows are to be shed.
    pub(super) fn sheds(&self) -> bool {
        self.load.is_over(steady())
    }

    /// Takes note of frames lost behind the source.
    pub(super) fn is_losing(&mut self) {
        self.load.strain(steady());
    }

    /// How the source is.
    pub(super) fn report(&mut self) -> SourceReport {
        self.ask();
        self.report.clone()
    }

    /// Sizes of the frames read.
    pub(super) const fn sizes(&self) -> &Stats {
        &self.sizes
    }

    fn count(&mut self, block: &mut Block) {
        for frame in &mut block.frames {
            frame.interface = self.interface;
            self.wire.count(1, u64::from(frame.wire_len));
            self.sizes.packet(frame.wire_len);
        }
    }

    fn watch(&mut self, now: Instant) {
        if now >= self.next_ask {
            self.next_ask = now + ASK;
            self.ask();
        }
        let behind = self.source.behind();
        self.load.observe(now, behind, self.report.dropped_ring);
    }

    fn ask(&mut self) {
        let counts = self.source.counts();
        let (state, since) = self.source.state();
        self.report.state = state.slug();
        self.report.since = since;
        self.report.received = counts.received;
        self.report.dropped_ring = counts.dropped_ring;
        self.report.dropped_interface = counts.dropped_interface;
    }
}
