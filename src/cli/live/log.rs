//! What a live run tells its operator, on standard error; never anything about one packet.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

use crate::config::{Level, Log, LogFormat};

/// Turns the log up and down while it is written.
#[derive(Debug)]
pub(super) struct Volume(Option<reload::Handle<LevelFilter, Registry>>);

impl Volume {
    /// Tells as much as `level` from now on.
    pub(super) fn set(&self, level: Level) {
        if let Some(handle) = &self.0 {
            // It fails only where the log is gone, and then nobody listens.
            let _ = handle.reload(filter(level));
        }
    }
}

/// Begins to write. With a view on the same terminal nothing can be: redirect standard error to
/// keep the log.
pub(super) fn start(settings: &Log, has_view: bool) -> Volume {
    if has_view && io::stderr().is_terminal() {
        return Volume(None);
    }
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    let log = tracing_subscriber::registry().with(filter);
    // It fails where the process has a log already, as tests do: that one is used then.
    let _ = match settings.format {
        LogFormat::Text => log.with(lines).try_init(),
        LogFormat::Json => log.with(lines.json()).try_init(),
    };
    Volume(Some(handle))
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
