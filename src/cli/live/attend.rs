//! The main thread of a live run: reloads, changed files, the view, the line a minute, summaries
//! that are asked for.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::Arguments;
use super::reload::Reload;
use super::signals::{Ends, Listener, Wishes};
use super::summaries::{Interim, Summaries};
use crate::clock::steady;
use crate::pipeline::live::Control;
use crate::tui::{Quit, View};
use crate::view::status;

/// How often the end, reloads and changed files are looked for: what an operator does not notice.
const LOOK: Duration = Duration::from_millis(20);

/// How often a line is written for those who have no view.
const STATUS: Duration = Duration::from_secs(60);

/// Looks after a run until it is to end.
pub(super) struct Attendant {
    control: Arc<Control>,
    wishes: Wishes,
    reload: Reload,
    /// Where summaries do not disturb the view.
    summaries: Option<Interim>,
    has_view: bool,
    says_status: bool,
    /// Somebody reads metrics or records.
    serves: bool,
}

impl Attendant {
    pub(super) fn new(
        control: Arc<Control>,
        signals: Listener,
        ends: Ends,
        reload: Reload,
        summaries: Summaries,
        serves: bool,
        arguments: &Arguments,
    ) -> anyhow::Result<Self> {
        let wishes = signals
            .attend(Arc::clone(&control), ends)
            .context("cannot start a thread")?;
        let hides = arguments.tui
            && match summaries.to_stderr {
                true => io::stderr().is_terminal(),
                false => io::stdout().is_terminal(),
            };
        Ok(Self {
            control,
            wishes,
            reload,
            summaries: (!hides).then(|| Interim::new(summaries)),
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
            // Both are asked: one reload answers both.
            if self.wishes.reload.is_asked() | self.reload.is_due() {
                self.reload.run(&self.control);
            }
            let is_asked = self.wishes.summary.is_asked();
            if let Some(summaries) = &mut self.summaries {
                if is_asked {
                    summaries.ask(&self.control);
                }
                summaries.give(&self.control);
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
