//! One interface captured by one thread, through all that happens to it.
//!
//! `tap` is libpcap's handle on it. When the interface vanishes the handle is closed, and another
//! opened once there is one of that name again; frame numbers, counts and time go on.
//!
//! Counting is exact: from the moment a source is open, every frame the kernel takes for it is
//! handed over or counted as dropped. Therefore it opens with a filter that passes nothing, throws
//! away what the ring had taken before, joins its fanout, and only then sets the real filter. To
//! stop, it sets that first filter again, and empties the ring.
//! An interface captured by several threads is shared as intended once all of them are open; until
//! then those that are open have it all.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use super::course::{self, Course, Kept};
use super::error::{Error, message};
use super::tap::{RETIRE, Tap};
use super::{Arrival, Counts, LinkState, Options, Source, link, set_back};
use crate::capture::Block;
use crate::clock;
use crate::time::Timestamp;

/// How often a quiet interface is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the counts are asked for while frames keep coming.
pub(super) const COUNT_EVERY: Duration = Duration::from_millis(100);
/// After how many frames they are asked for in any case: libpcap's counters have 32 bits.
const COUNT_AFTER: u64 = 1 << 30;

/// How long after a capture has ended another is tried for first.
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(200);
/// And how long at most between two attempts.
pub(super) const LAST_RETRY: Duration = Duration::from_secs(5);

/// A live interface.
pub struct Interface {
    options: Options,
    handle: Handle,
    state: (LinkState, Timestamp),
    counts: Counts,
    counted_at: Instant,
    looked_at: Instant,
    look_now: bool,
    stopped: bool,
    /// Whether the last block was [`Arrival::Quiet`]: then the counts are worth asking for.
    quiet: bool,
    course: Course,
}

/// Whether libpcap has it tap.
enum Handle {
    Open(Tap),
    Closed {
        retry_at: Instant,
        pause: Duration,
        /// Whether it has been said why it cannot be opened.
        reported: bool,
    },
}

impl Interface {
    /// Opens the interface for capture. `now` is since when its state counts.
    ///
    /// Every frame that passes the interface after this is handed over or counted as dropped.
    ///
    /// # Errors
    ///
    /// When there is no such interface, it is down, the process may not capture, or libpcap or the
    /// kernel refuse the options.
    pub fn open(options: &Options, now: Timestamp) -> Result<Self, Error> {
        let tap = Tap::open(options)?;
        let state = look(&options.interface, tap.index);
        let steady = clock::steady();
        Ok(Self {
            options: options.clone(),
            handle: Handle::Open(tap),
            state: (state, now),
            counts: Counts::default(),
            counted_at: steady,
            looked_at: steady,
            look_now: false,
            stopped: false,
            quiet: true,
            course: Course::new(options.interface.clone(), set_back::DISORDER, now),
        })
    }

    /// Waits until frames are there, or for as long as it may.
    fn wait(&mut self, wait: Duration) {
        let Handle::Open(tap) = &self.handle else {
            let now = clock::steady();
            if let Handle::Closed { retry_at, .. } = self.handle {
                thread::sleep(wait.min(retry_at.saturating_duration_since(now)));
            }
            return;
        };
        let mut descriptors = [PollFd::new(tap.descriptor(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        // A signal ends it early, which is what a caller who got one wants.
        let ready = poll(&mut descriptors, timeout);
        let [descriptor] = descriptors;
        let error = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        if ready.is_ok_and(|ready| ready > 0)
            && descriptor
                .revents()
                .is_some_and(|events| events.intersects(error))
        {
            // Something has happened to it. libpcap will see, and clear, the error; should it
            // not, this must not become a busy loop.
            self.look_now = true;
            thread::sleep(wait.min(RETIRE));
        }
    }

    /// Looks after an interface that gives nothing.
    fn look_after(&mut self) {
        let now = clock::steady();
        if let Handle::Closed {
            retry_at, pause, ..
        } = &mut self.handle
        {
            if now < *retry_at || self.stopped {
                return;
            }
            *pause = (*pause * 2).min(LAST_RETRY);
            *retry_at = now + *pause;
            self.reopen();
        } else if self.look_now || now.duration_since(self.looked_at) >= LOOK_EVERY {
            self.look_now = false;
            self.looked_at = now;
            self.look();
        }
    }

    fn look(&mut self) {
        let Handle::Open(tap) = &self.handle else {
            return;
        };
        match look(&self.options.interface, tap.index) {
            LinkState::Gone => self.close("the interface is gone"),
            state => self.set_state(state),
        }
    }

    /// Counts what has come, closes the capture, and has it opened again later.
    fn close(&mut self, reason: &str) {
        let closed = Handle::Closed {
            retry_at: clock::steady() + FIRST_RETRY,
            pause: FIRST_RETRY,
            reported: false,
        };
        let Handle::Open(mut tap) = mem::replace(&mut self.handle, closed) else {
            return;
        };
        tap.count(&mut self.counts);
        // What was in the ring and did not come out is lost as if there had been no room.
        self.counts.dropped_ring += tap.outstanding();
        let interface = &self.options.interface;
        warn!(interface, reason, "capture interrupted");
        self.set_state(match look(interface, tap.index) {
            LinkState::Up => LinkState::Down,
            state => state,
        });
    }

    fn reopen(&mut self) {
        match Tap::open(&self.options) {
            Ok(tap) => {
                let state = look(&self.options.interface, tap.index);
                self.handle = Handle::Open(tap);
                info!(interface = self.options.interface, "capture resumed");
                self.set_state(state);
            }
            Err(Error::NoSuchInterface { .. }) => self.set_state(LinkState::Gone),
            Err(Error::Down { .. }) => self.set_state(LinkState::Down),
            Err(error) => {
                // Threads of a fanout leave the old interface one after the other: until the
                // last has, the group is not free for the new one. That is nothing to report.
                if let Handle::Closed {
                    pause: LAST_RETRY,
                    reported,
                    ..
                } = &mut self.handle
                    && !mem::replace(reported, true)
                {
                    warn!(interface = self.options.interface, %error, "cannot resume capture");
                }
                self.set_state(LinkState::Down);
            }
        }
    }

    fn set_state(&mut self, state: LinkState) {
        if self.state.0 == state {
            return;
        }
        self.state = (state, clock::now());
        let interface = &self.options.interface;
        match state {
            LinkState::Up => info!(interface, "interface is up"),
            LinkState::Down => warn!(interface, "interface is down"),
            LinkState::Gone => warn!(interface, "interface is gone"),
        }
    }

    fn count(&mut self) {
        self.counted_at = clock::steady();
        if let Handle::Open(tap) = &mut self.handle {
            tap.count(&mut self.counts);
        }
    }
}

impl Kept for Interface {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn fill(&mut self, block: &mut Block) -> bool {
        if let Handle::Open(tap) = &mut self.handle
            && let Err(error) = tap.fill(block)
        {
            // What libpcap took in before an error counts all the same.
            self.close(&message(&error));
        }
        true
    }

    fn wait(&mut self, most: Duration) {
        Self::wait(self, most);
    }
}

impl Source for Interface {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        if let Some((now, _)) = course::take_in(self, block, wait) {
            self.look_after();
            let arrival = self.course.pass_quietly(block, now);
            self.quiet = arrival == Arrival::Quiet;
            return arrival;
        }
        let since = self.course.watermark();
        let arrival = self.course.hand_over(block, since);
        self.quiet = false;
        if let Handle::Open(tap) = &self.handle
            && tap.uncounted() >= COUNT_AFTER
        {
            self.count();
        }
        if arrival == Arrival::Frames && self.state.0 != LinkState::Up {
            self.look();
        }
        arrival
    }

    fn behind(&self) -> Duration {
        if self.quiet {
            return Duration::ZERO;
        }
        clock::now().since(self.course.newest())
    }

    fn stop(&mut self) {
        self.stopped = true;
        if let Handle::Open(tap) = &self.handle
            && let Err(error) = tap.stop()
        {
            warn!(interface = self.options.interface, %error, "cannot stop the capture");
        }
    }

    /// Exact when the last block was [`Arrival::Quiet`] and nothing has come since: then
    /// `received` is the frames handed over and those dropped. In between up to 100 ms old.
    fn counts(&mut self) -> Counts {
        if self.quiet || clock::steady().duration_since(self.counted_at) >= COUNT_EVERY {
            self.count();
        }
        self.counts
    }

    fn state(&self) -> (LinkState, Timestamp) {
        self.state
    }

    fn name(&self) -> &str {
        &self.options.interface
    }
}

/// Whether the interface gives frames. Another one of the same name, which has another number, does
/// not.
fn look(name: &str, index: u32) -> LinkState {
    match link::find(name) {
        None => LinkState::Gone,
        Some(link) if link.index != index => LinkState::Gone,
        Some(link) if link.running => LinkState::Up,
        Some(_) => LinkState::Down,
    }
}
