//! Summaries of a live run: at its end, and of what is counted so far when somebody asks.

use std::io::{self, Write};

use crate::cli::read::Format;
use crate::pipeline::live::Control;
use crate::view::snapshot::Snapshot;
use crate::view::summary::{self, By};

/// How summaries are written, and where.
#[derive(Clone, Debug)]
pub(super) struct Summaries {
    pub(super) by: Vec<By>,
    pub(super) top: Option<usize>,
    pub(super) format: Format,
    /// Records are on standard output, for programs: what is for people goes beside them.
    pub(super) to_stderr: bool,
}

impl Summaries {
    /// Writes what `snapshot` says.
    pub(super) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let mut out: Box<dyn Write> = match self.to_stderr {
            true => Box::new(io::stderr().lock()),
            false => Box::new(io::stdout().lock()),
        };
        let format = self.format.on(self.to_stderr);
        summary::write_live(&mut out, snapshot, &self.by, self.top, format)?;
        out.flush()
    }

    fn needs_subjects(&self) -> bool {
        self.by.iter().any(|by| by.needs_subjects())
    }
}

/// Summaries that are asked for while the run goes on.
#[derive(Debug)]
pub(super) struct Interim {
    summaries: Summaries,
    /// One is due, of a snapshot after the one of this number.
    after: Option<u64>,
}

impl Interim {
    pub(super) const fn new(summaries: Summaries) -> Self {
        Self {
            summaries,
            after: None,
        }
    }

    /// Somebody asks for one.
    pub(super) fn ask(&mut self, control: &Control) {
        self.after = Some(control.latest().load().sequence);
        if self.summaries.needs_subjects() {
            control.want_accounts();
        }
    }

    /// Writes the one that is due, once there is a snapshot with all that it says.
    pub(super) fn give(&mut self, control: &Control) {
        let Some(after) = self.after else {
            return;
        };
        let snapshot = control.latest().load_full();
        let has_subjects = snapshot.accounts.is_some() || !self.summaries.needs_subjects();
        if snapshot.sequence <= after || !has_subjects {
            return;
        }
        self.after = None;
        if let Err(error) = self.summaries.write(&snapshot) {
            tracing::warn!("cannot write the summary: {error}");
        }
    }
}
