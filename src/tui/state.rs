//! What the view shows, and where the user is in it.

use super::cursor::Cursor;
use super::input::{Pane, Search};
use super::sort::{FlowSort, RowSort};
use super::theme::Theme;
use crate::view::history::{History, KINDS};
use crate::view::live::Live;

/// What is shown, and where the user is in it.
#[derive(Debug, Default)]
pub struct View {
    pub(super) theme: Theme,
    pub(super) history: History,
    pub(super) live: Live,
    /// Seconds since the last snapshot, once that is too long.
    pub(super) stale: Option<u64>,
    pub(super) pane: Pane,
    pub(super) sort: RowSort,
    pub(super) flow_sort: FlowSort,
    pub(super) search: Search,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// The selected flow has the whole screen.
    pub(super) opened: bool,
    /// Lines above the first one shown, in health and in an opened flow.
    pub(super) scroll: usize,
    /// Everything is to be painted anew.
    pub(super) repaint: bool,
    pub(super) names: [Cursor<String>; KINDS.len()],
    pub(super) flow: Cursor<u64>,
}
