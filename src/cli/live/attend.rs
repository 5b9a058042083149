//! The main thread of a live run: signals, changed files, the view, the line a minute.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Arguments;
use crate::capture::live::now;
use crate::cli::watch::{Notice, Watch};
use crate::export::status;
use crate::pipeline::live::Control;
use crate::serve;
use crate::signature::Loader;
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

/// What is loaded again.
struct Reload {
    loader: Loader,
    server: Option<serve::Handle>,
    watch: Option<Watch>,
    count: u64,
}

impl Attendant {
    pub(super) fn new(
        control: Arc<Control>,
        loader: Loader,
        server: Option<serve::Handle>,
        arguments: &Arguments,
    ) -> anyhow::Result<Self> {
        let watch = arguments
            .watch
            .then(|| Watch::start(loader.dir.as_deref(), None))
            .transpose()?;
        Ok(Self {
            control,
            signals: Signals::new([SIGHUP, SIGINT, SIGTERM])?,
            reload: Reload {
                loader,
                server,
                watch,
                count: 0,
            },
            has_view: arguments.tui,
            says_status: !arguments.quiet,
            serves: arguments.listen.is_some()
                || arguments.flows.is_some()
                || arguments.usage.is_some(),
        })
    }

    /// Until a signal, the user or the run itself says that it is over.
    pub(super) fn attend(mut self) -> anyhow::Result<()> {
        if self.has_view {
            // The view has this thread; another does the rest, and tells it by the control.
            let control = Arc::clone(&self.control);
            let self_serves = self.serves;
            self.says_status = false;
            return thread::scope(|scope| {
                scope.spawn(|| self.wait());
                let quit = View::run(&control.latest(), || control.stops());
                match quit {
                    // Without the view the run may still serve others.
                    Ok(Quit::TerminalGone) if self_serves => Ok(()),
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
        let mut next = now().after(STATUS);
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
            if self.says_status && now() >= next {
                next = now().after(STATUS);
                let latest = self.control.latest().load_full();
                tracing::info!("{}", status::line(&before, &latest));
                before = latest;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Reload {
    /// Whether a file has changed.
    fn is_due(&self) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        let mut changed = false;
        for notice in watch.notices().try_iter() {
            match notice {
                Notice::Changed => changed = true,
                Notice::Trouble(error) => {
                    tracing::warn!(%error, "changed files may go unnoticed");
                }
            }
        }
        changed
    }

    /// Loads everything anew: each is taken into use whole, or stays as it was.
    fn run(&mut self, control: &Control) {
        self.count += 1;
        let count = self.count;
        if let Some(Err(error)) = self.server.as_ref().map(serve::Handle::reload) {
            tracing::error!("reload {count}: certificate and token stay as they were: {error}");
        }
        let before = control.set();
        match self.loader.load_after(&before) {
            Ok(set) if Arc::ptr_eq(&set, &before) => {
                tracing::info!("reload {count}: no signature has changed");
            }
            Ok(set) => {
                control.replace_set(Arc::clone(&set));
                // Said when it is so: every frame that comes after this line meets the new set.
                tracing::info!(
                    "reload {count}: {} applications, {} rules, set {}",
                    set.catalog().app_count(),
                    set.rule_count(),
                    set.hash().get(..12).unwrap_or_default(),
                );
            }
            Err(findings) => {
                let reason = super::lines(&findings).to_string();
                tracing::error!(
                    "reload {count}: refused, the signatures stay as they were:\n{reason}"
                );
                control.refuse_set(&reason);
            }
        }
    }
}
