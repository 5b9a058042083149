//! How far a source has come: numbers and times of what it hands over.

use std::time::Duration;

use tracing::warn;

use super::{Arrival, clock};
use crate::capture::Block;
use crate::time::Timestamp;

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

    /// Hands over the frames of `block`, the first of which are at most a disorder earlier than what
    /// was there up to `since`.
    pub(super) fn hand_over(&mut self, block: &mut Block, since: Timestamp) -> Arrival {
        if let Some(place) = clock::first_set_back(&block.frames, since, self.disorder) {
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
        if clock::was_set_back(self.watermark, passed, self.disorder) {
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
