//! Signals of a run over captures: the first SIGINT or SIGTERM is the end of its input, as in a
//! live run, the second ends the process where it stands.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::signal::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::capture::stop::Stop;

/// For so long after the first signal another one is taken for the same: `timeout(1)` sends two
/// at a time, one to the process and one to its group.
const SAME: Duration = Duration::from_millis(100);

/// Listens from now on, as long as the process lives. Gives what the signals ask for.
///
/// # Errors
///
/// What the system says.
pub(super) fn listen() -> io::Result<Stop> {
    let is_asked = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let (wakes, told) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        // As shells give it for a death by that signal.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_over))?;
        // In this order: who is woken finds it asked for.
        flag::register(signal, Arc::clone(&is_asked))?;
        low_level::pipe::register(signal, told.try_clone()?)?;
    }
    let watched = wakes.try_clone()?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut watched = [PollFd::new(watched.as_fd(), PollFlags::POLLIN)];
            while !matches!(poll(&mut watched, PollTimeout::NONE), Ok(1..)) {}
            thread::sleep(SAME);
            is_over.store(true, Ordering::SeqCst);
        })?;
    Ok(Stop::new(is_asked, wakes.into()))
}
