//! What people look at: rates, top lists, losses, the past, the summary, the reason of a
//! flow's name.
//!
//! All of it is computed here, out of a [`Snapshot`](snapshot::Snapshot) of a live run or the summary of
//! a finished one; `tui`, `serve` and `cli` draw, send and print it.

pub mod history;
pub mod learn;
pub mod live;
pub mod metrics;
pub mod score;
pub mod snapshot;
pub mod status;
pub mod summary;

pub(crate) mod health;
pub(crate) mod number;
pub(crate) mod opening;
pub(crate) mod reason;
pub(crate) mod table;
pub(crate) mod text;

#[cfg(test)]
pub(crate) mod samples;
