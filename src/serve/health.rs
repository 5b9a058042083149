//! Whether the process does its work: `/healthz` says that snapshots keep coming, `/readyz` that all
//! sources give frames.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::MissedTickBehavior;

use crate::view::snapshot::Snapshot;

/// Looks at the latest snapshot in the time it may be old.
const LOOKS: u32 = 10;

/// For how many looks there was no new snapshot.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicU32);

impl Health {
    /// Whether no new snapshot came for as long as is allowed.
    pub(super) fn stalled(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= LOOKS
    }

    /// Looks for new snapshots for ever, which may stay away for so long. Counting looks rather than seconds
    /// forgives a machine that slept.
    pub(super) async fn watch(&self, latest: &ArcSwap<Snapshot>, stalled: Duration) {
        let pause = (stalled / LOOKS).max(Duration::from_millis(1));
        let mut interval = tokio::time::interval(pause);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = 0;
        loop {
            interval.tick().await;
            let sequence = latest.load().sequence;
            if sequence == last {
                let quiet = self.0.load(Ordering::Relaxed);
                self.0.store(quiet.saturating_add(1), Ordering::Relaxed);
            } else {
                last = sequence;
                self.0.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Why it is not ready, if it is not.
pub(super) fn not_ready(snapshot: &Snapshot) -> Option<String> {
    if snapshot.sequence == 0 {
        return Some("the first snapshot has not come yet".to_owned());
    }
    if snapshot.sources.is_empty() {
        return Some("no interface is open".to_owned());
    }
    let mut reasons: Vec<String> = Vec::new();
    for source in snapshot
        .sources
        .iter()
        .filter(|source| source.state != "up")
    {
        let reason = format!(
            "interface {} is {} since {}",
            source.interface, source.state, source.since
        );
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("\n"))
}
