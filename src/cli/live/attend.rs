//! The main thread of a live run: signals, changed files, the view, the line a minute.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Arguments;
use super::reload::Reload;
use crate::capture::live::steady;
use crate::export::status;
use crate::pipeline::live::Control;
use crate::tui::{Quit, View};

/// How often signals and changed files are looked for: what an operator does not notice.
const LOOK: Duration = Duration::from_millis(20);

/// How often a line is written for those who have no view.
const STATUS: Duration = Duration::from_secs(60);

/// Looks after a run until it is to end.
pub(super) struct Attendant {
    control: Arc<Control>,
    signals: Signals,
    reload: Reload,
    has_view: bool,
    says_status: bool,
    /// Somebody reads metrics or records.
    serves: bool,
}

impl Attendant {
    pub(super) fn new(
        control: Arc<Control>,
        reload: Reload,
        serves: bool,
        arguments: &Arguments,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            control,
            signals: Signals::new([SIGHUP, SIGINT, SIGTERM])?,
            reload,
            has_view: arguments.tui,
            says_status: !arguments.quiet,
            serves,
        })
    }

    /// Until a signal or the user says that it is over.
    pub(super) fn attend(mut self) -> anyhow::Result<()> {
        if self.has_view {
            // The view has this thread; another does the rest, and tells it by the control.
            let control = Arc::clone(&self.control);
            let serves = self.serves;
            self.says_status = false;
            return thread::scope(|scope| {
                scope.spawn(|| self.wait());
                let quit = View::run(&control.latest(), || control.stops());
                match quit {
                    // Without the view the run may still serve others.
                    Ok(Quit::TerminalGone) if serves => Ok(()),
                    Ok(_) => {
                        control.stop();
                        Ok(())
                    }
                    Err(error) => {
                        control.stop();
                        Err(error.into())
                    }
                }
            });
        }
        self.wait();
        Ok(())
    }

    fn wait(&mut self) {
        let mut before = self.control.latest().load_full();
        let mut next = steady() + STATUS;
        while !self.control.stops() {
            for signal in self.signals.pending() {
                match signal {
                    SIGHUP => self.reload.run(&self.control),
                    _ => self.control.stop(),
                }
            }
            if self.reload.is_due() {
                self.reload.run(&self.control);
            }
            if self.says_status && steady() >= next {
                next = steady() + STATUS;
                let latest = self.control.latest().load_full();
                tracing::info!("{}", status::line(&before, &latest));
                before = latest;
            }
            thread::sleep(LOOK);
        }
    }
}
