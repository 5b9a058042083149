//! How far a source has come: numbers and times of what it hands over.

use std::time::Duration;

use tracing::warn;

use super::{Arrival, set_back};
use crate::capture::Block;
use crate::clock;
use crate::time::Timestamp;

/// How far a quiet link's watermark is behind the clock: a frame is stamped, kept by the kernel and handed
/// over in less.
const LAG: Duration = Duration::from_millis(50);

/// A source of which the kernel keeps frames until they are asked for.
pub(super) trait Kept {
    /// How far it has come.
    fn course(&mut self) -> &mut Course;

    /// Puts into `block` what is there. Says whether nothing is left.
    fn fill(&mut self, block: &mut Block) -> bool;

    /// Waits until something is there, but no longer than so long.
    fn wait(&mut self, most: Duration);
}

/// Fills `block` anew, waiting for the first frame at most so long. Where none came: the time up to which
/// that was looked at, and whether nothing is left.
pub(super) fn take_in(
    source: &mut impl Kept,
    block: &mut Block,
    most: Duration,
) -> Option<(Timestamp, bool)> {
    block.clear();
    if !source.course().take_held(block) {
        source.fill(block);
    }
    if !block.frames.is_empty() {
        return None;
    }
    source.wait(most);
    // Before looking: what comes later is later than this.
    let now = clock::now();
    let is_all = source.fill(block);
    block.frames.is_empty().then_some((now, is_all))
}

/// Numbers frames through, and sees to it that the watermark goes back only where that is told.
#[derive(Debug)]
pub(super) struct Course {
    /// The source's name, for the log.
    name: String,
    /// How much earlier than one before a frame may be where no clock has been set back.
    disorder: Duration,
    /// When the last frame was captured.
    newest: Timestamp,
    next_number: u64,
    position: u64,
    watermark: Timestamp,
    /// Frames that came after the clock had been set back: that is told first.
    held: Option<Block>,
}

impl Course {
    /// Of a source that is opened `now`.
    pub(super) const fn new(name: String, disorder: Duration, now: Timestamp) -> Self {
        Self {
            name,
            disorder,
            newest: now,
            next_number: 1,
            position: 0,
            watermark: Timestamp(0),
            held: None,
        }
    }

    /// When the last frame was captured.
    pub(super) const fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Puts the frames into the empty `block` that come after what was told last.
    pub(super) fn take_held(&mut self, block: &mut Block) -> bool {
        match self.held.take() {
            Some(held) => {
                *block = held;
                true
            }
            None => false,
        }
    }

    /// Says with an empty `block` that all has come that was stamped a lag before `now`.
    pub(super) fn pass_quietly(&mut self, block: &mut Block, now: Timestamp) -> Arrival {
        let lag = u64::try_from(LAG.as_nanos()).unwrap_or(u64::MAX);
        self.pass(block, Timestamp(now.0.saturating_sub(lag)))
    }

    /// Hands over the frames of `block`, the first of which are at most a disorder earlier than what
    /// was there up to `since`.
    pub(super) fn hand_over(&mut self, block: &mut Block, since: Timestamp) -> Arrival {
        if let Some(place) = set_back::first_set_back(&block.frames, since, self.disorder) {
            let later = block.split_off(place);
            let first = later
                .frames
                .first()
                .map_or(self.watermark, |frame| frame.at);
            self.held = Some(later);
            if block.frames.is_empty() {
                return self.set_back(block, first);
            }
        }
        self.finish(block);
        Arrival::Frames
    }

    /// Says with an empty `block` that all up to `passed` has come.
    pub(super) fn pass(&mut self, block: &mut Block, passed: Timestamp) -> Arrival {
        if set_back::was_set_back(self.watermark, passed, self.disorder) {
            return self.set_back(block, passed);
        }
        self.watermark = self.watermark.max(passed);
        self.finish(block);
        Arrival::Quiet
    }

    /// The time up to which nothing is outstanding.
    pub(super) const fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Says that it is `now` again.
    fn set_back(&mut self, block: &mut Block, now: Timestamp) -> Arrival {
        let interface = &self.name;
        let seconds = self.watermark.since(now).as_secs();
        warn!(
            interface,
            seconds, "the clock has been set back; flows and intervals end here"
        );
        self.watermark = now;
        self.newest = now;
        self.finish(block);
        Arrival::SetBack
    }

    fn finish(&mut self, block: &mut Block) {
        block.first_number = self.next_number;
        self.next_number += block.frames.len() as u64;
        self.position += block.bytes.len() as u64;
        block.position = self.position;
        let latest = block.frames.iter().map(|frame| frame.at).max();
        self.newest = latest.unwrap_or(self.newest);
        self.watermark = self.watermark.max(latest.unwrap_or_default());
        block.watermark = self.watermark;
    }
}
