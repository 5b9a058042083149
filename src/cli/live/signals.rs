//! What the operator says by signals, from the first moment of a run to its last.
//!
//! SIGHUP asks to read all again, SIGUSR1 for a summary of what is counted so far, SIGTERM and SIGINT ask for an orderly end. What comes while the
//! run still starts is kept until it runs. A second SIGTERM or SIGINT is from somebody who does
//! not want to wait any longer: it ends the process where it stands, whatever that is busy with.
//! `--duration` and `--count` are like a first signal that comes by itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::SigId;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::unregister;

use crate::capture::live::Budget;
use crate::clock::steady;
use crate::pipeline::live::Control;

/// Those that ask for the end.
const ENDS: [i32; 2] = [SIGTERM, SIGINT];

/// How often signals are looked for: what an operator does not notice.
const LOOK: Duration = Duration::from_millis(20);

/// For so long after the end has begun another signal is taken for the same one: `timeout(1)`
/// sends two at a time, one to the process and one to its group.
const SAME: Duration = Duration::from_millis(500);

/// Takes signals in, in place of what the kernel would do with them, and keeps them.
#[derive(Debug)]
pub(super) struct Listener {
    signals: Signals,
    /// Once it is set, a signal of [`ENDS`] ends the process at once.
    over: Arc<AtomicBool>,
    /// What holds only while the run starts: nobody looks for signals, and the second one counts.
    of_start: Vec<SigId>,
}

/// When a run ends by itself, if it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    /// So long after it began to capture.
    pub(super) after: Option<Duration>,
    /// When so many frames have come.
    pub(super) frames: Option<Budget>,
}

/// What somebody asked for once or more, and waits for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish(Arc<AtomicBool>);

/// What an operator may ask of a run that goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// To read everything again.
    pub(super) reload: Wish,
    /// To see what is counted so far.
    pub(super) summary: Wish,
}

impl Listener {
    /// Listens from now on. Starts no thread.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn new() -> io::Result<Self> {
        // The first: whatever comes after it is kept.
        let signals = Signals::new([SIGHUP, SIGUSR1, SIGTERM, SIGINT])?;
        let over = Arc::new(AtomicBool::new(false));
        let once = Arc::new(AtomicBool::new(false));
        let mut of_start = Vec::new();
        for signal in ENDS {
            // As shells give it for a death by that signal.
            let code = 128 + signal;
            flag::register_conditional_shutdown(signal, code, Arc::clone(&over))?;
            // In this order: the first signal finds the flag down and raises it.
            let second = flag::register_conditional_shutdown(signal, code, Arc::clone(&once))?;
            let first = flag::register(signal, Arc::clone(&once))?;
            of_start.extend([second, first]);
        }
        Ok(Self {
            signals,
            over,
            of_start,
        })
    }

    /// The run has started: what has come and what comes takes effect. A thread of its own sees to
    /// that, which nothing can keep waiting: no reload, no disk, no terminal.
    ///
    /// # Errors
    ///
    /// There can be no further thread.
    pub(super) fn attend(mut self, control: Arc<Control>, ends: Ends) -> io::Result<Wishes> {
        for id in self.of_start.drain(..) {
            unregister(id);
        }
        let wishes = Wishes::default();
        let asked = wishes.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || self.pass_on(&control, &asked, &ends))?;
        Ok(wishes)
    }

    fn pass_on(mut self, control: &Control, asked: &Wishes, ends: &Ends) {
        // What is too long for the clock has no end.
        let until = ends.after.and_then(|length| steady().checked_add(length));
        // It may also be that the view ends the run.
        while !control.stops() {
            if until.is_some_and(|until| steady() >= until) {
                tracing::info!("the time that --duration gives is over");
                control.stop();
            }
            if ends.frames.as_ref().is_some_and(Budget::is_spent) {
                tracing::info!("the frames that --count asks for have come");
                control.stop();
            }
            for signal in self.signals.pending() {
                match signal {
                    SIGHUP => asked.reload.ask(),
                    SIGUSR1 => asked.summary.ask(),
                    _ => control.stop(),
                }
            }
            thread::sleep(LOOK);
        }
        thread::sleep(SAME);
        self.over.store(true, Ordering::SeqCst);
    }
}

impl Wish {
    fn ask(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether it was asked for since the last call, or since the start.
    pub(super) fn is_asked(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}
