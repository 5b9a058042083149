//! What the rest of the program and a live run tell one another while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::clock::now;
use crate::flow;
use crate::pipeline::worker::Worker;
use crate::signature::SignatureSet;
use crate::view::snapshot::{Reloads, Snapshot};

/// Shared by all threads; nothing here is touched for a packet.
#[derive(Debug)]
pub struct Control {
    set: ArcSwap<SignatureSet>,
    flow: ArcSwap<flow::Config>,
    reloads: ArcSwap<Reloads>,
    latest: Arc<ArcSwap<Snapshot>>,
    stop: AtomicBool,
    /// Somebody wants to see volume by subject.
    wants_accounts: AtomicBool,
}

impl Control {
    /// For a run that begins with `set`, and with flows by `flow`.
    pub fn new(set: Arc<SignatureSet>, flow: flow::Config) -> Self {
        let reloads = Reloads {
            loaded: now(),
            ..Reloads::default()
        };
        let snapshot = Snapshot {
            started: reloads.loaded,
            at: reloads.loaded,
            set: Arc::clone(&set),
            reloads: reloads.clone(),
            ..Snapshot::default()
        };
        Self {
            set: ArcSwap::new(set),
            flow: ArcSwap::from_pointee(flow),
            reloads: ArcSwap::from_pointee(reloads),
            latest: Arc::new(ArcSwap::from_pointee(snapshot)),
            stop: AtomicBool::new(false),
            wants_accounts: AtomicBool::new(false),
        }
    }

    /// The rules in use.
    pub fn set(&self) -> Arc<SignatureSet> {
        self.set.load_full()
    }

    /// Takes `set` into use: for each thread from its next block on. Its numbers must continue
    /// those of the set before.
    pub fn replace_set(&self, set: Arc<SignatureSet>) {
        self.set.store(set);
        self.reloads.rcu(|before| Reloads {
            loaded: now(),
            accepted: before.accepted + 1,
            ..Reloads::clone(before)
        });
    }

    /// Lets flows live, and be inspected, as long as `flow` says: for each thread from its next
    /// block on. How much is held stays.
    pub fn replace_flow(&self, flow: flow::Config) {
        self.flow.store(Arc::new(flow));
    }

    /// Puts on record that a set was refused.
    pub fn refuse_set(&self, reason: &str) {
        self.reloads.rcu(|before| Reloads {
            refused: before.refused + 1,
            last_refusal: Some(reason.into()),
            ..Reloads::clone(before)
        });
    }

    /// Asks the run to take in what has arrived and to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether the run is to end.
    pub fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks for volume by subject: one of the next snapshots has it, where subjects are kept apart.
    pub fn want_accounts(&self) {
        self.wants_accounts.store(true, Ordering::Relaxed);
    }

    /// Where the latest snapshot is, for those who show it.
    pub fn latest(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.latest)
    }

    /// How long flows live at the moment.
    pub(super) fn flow(&self) -> Arc<flow::Config> {
        self.flow.load_full()
    }

    /// Brings `worker` up to date, whose flows go by `flow`: between blocks.
    pub(super) fn update(&self, worker: &mut Worker, flow: &mut Arc<flow::Config>) {
        let latest = self.set.load();
        if !Arc::ptr_eq(&latest, worker.set()) {
            worker.replace_set(Arc::clone(&latest));
        }
        let latest = self.flow.load();
        if !Arc::ptr_eq(&latest, flow) {
            worker.pace(&latest);
            *flow = Arc::clone(&latest);
        }
    }

    /// Whether threads have to tell volume by subject.
    pub(super) fn wants_accounts(&self) -> bool {
        self.wants_accounts.load(Ordering::Relaxed)
    }

    /// All of them have.
    pub(super) fn has_accounts(&self) {
        self.wants_accounts.store(false, Ordering::Relaxed);
    }

    pub(super) fn reloads(&self) -> Reloads {
        Reloads::clone(&self.reloads.load())
    }

    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.latest.store(Arc::new(snapshot));
    }
}
