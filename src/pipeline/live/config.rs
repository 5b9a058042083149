//! What a live run needs to know.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline;
use crate::record::Only;

/// What a live run needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// As for capture files; `workers` counts only where frames are steered.
    pub run: pipeline::Config,
    /// How frames come to workers.
    pub steering: Steering,
    /// How often threads report and a snapshot is published.
    pub tick: Duration,
    /// Show the latest flows in snapshots.
    pub follow: bool,
    /// Records are all that anybody gets of the run: once nobody can take them any more, it ends.
    pub only_records: bool,
    /// The records that leave, as the outputs know; without, all.
    pub only: Option<Arc<Only>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            run: pipeline::Config {
                stats: true,
                ..pipeline::Config::default()
            },
            steering: Steering::default(),
            tick: Duration::from_secs(1),
            follow: false,
            only_records: false,
            only: None,
        }
    }
}

/// How frames come to workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// Each source's thread works on what the kernel gives it.
    #[default]
    Kernel,
    /// By the hash of the innermost addresses, over channels.
    Inner,
}
