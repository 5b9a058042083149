//! Pipes, sockets and terminals, whose bytes come when they come.
//!
//! Who waits for more must not keep back what is there: a pause in the input is told. Waiting ends
//! as well when the input is to be taken for ended. The clock is asked only where the program
//! waits, never while bytes are there.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::capture::stop::Stop;

/// How long after bytes were given and no more were there a pause is told. What ended with them
/// is to be written within a second, and others on the way need time too.
const PAUSE: Duration = Duration::from_millis(200);

/// Whoever fills a pipe may be asked to end at the same moment (control-C asks all programs of a
/// terminal) and write out what it holds: if nothing comes for so long, it has.
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// What comes longer than this after the end was asked for is left.
const LAST_BYTES: Duration = Duration::from_millis(500);

/// A stream of bytes from elsewhere. [`ErrorKind::WouldBlock`] from its `read` is a pause: nothing
/// is lost, and the next call waits as long as it takes.
pub(super) struct Stream {
    file: File,
    stop: Stop,
    /// Bytes were given since a pause was told.
    has_given: bool,
    /// When the next pause is told.
    pause_at: Option<Instant>,
    /// When the end is, once it was asked for.
    ends_at: Option<Instant>,
}

impl Stream {
    pub(super) const fn new(file: File, stop: Stop) -> Self {
        Self {
            file,
            stop,
            has_given: false,
            pause_at: None,
            ends_at: None,
        }
    }

    /// Waits until there is something to read. `false`: there is not, within this time (`None`:
    /// however long), or the end was asked for.
    fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let file = self.file.as_fd();
        // Once it was asked for, it would wake at once.
        let wakes = match self.stop.wakes() {
            Some(wakes) if self.ends_at.is_none() => PollFd::new(wakes, PollFlags::POLLIN),
            _ => PollFd::new(file, PollFlags::empty()),
        };
        let mut watched = [PollFd::new(file, PollFlags::POLLIN), wakes];
        let timeout = match timeout {
            // Rounded up: zero would not wait at all.
            Some(time) => {
                PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut watched, timeout) {
            // An end or an error is for the read to find.
            Ok(_) => {
                let [file, _] = watched;
                Ok(file.any().unwrap_or_default())
            }
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What there is to read when the end was asked for: `false` is the end.
    fn is_rest(&mut self) -> io::Result<bool> {
        let now = now();
        let ends_at = *self.ends_at.get_or_insert(now + LAST_BYTES);
        Ok(now < ends_at && self.wait(Some(LAST_PAUSE))?)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.is_asked() {
                if !self.is_rest()? {
                    return Ok(0);
                }
            } else if !self.wait(Some(Duration::ZERO))? {
                let left = if self.has_given {
                    let now = now();
                    let pause_at = *self.pause_at.get_or_insert(now + PAUSE);
                    if now >= pause_at {
                        (self.has_given, self.pause_at) = (false, None);
                        return Err(ErrorKind::WouldBlock.into());
                    }
                    Some(pause_at - now)
                } else {
                    None
                };
                self.wait(left)?;
                continue;
            }
            match self.file.read(buffer) {
                // Somebody else reads the same pipe.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.has_given = true;
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the program waits for input: nothing of the traffic depends on it but when it is told"
)]
fn now() -> Instant {
    Instant::now()
}
