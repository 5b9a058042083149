//! What all connections share.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::config::Limits;
use super::health::Health;
use super::secrets::Secrets;
use crate::view::metrics::pages::Pages;
use crate::view::snapshot::Snapshot;

/// What every connection sees.
pub(super) struct Shared {
    pub(super) latest: Arc<ArcSwap<Snapshot>>,
    pub(super) secrets: Arc<ArcSwap<Secrets>>,
    pub(super) health: Health,
    /// Taken for a moment by a scrape, on the one thread there is; never across an `await`.
    pub(super) pages: tokio::sync::Mutex<Pages>,
    pub(super) limits: Limits,
}
