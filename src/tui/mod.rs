//! The terminal view of a live run, out of the latest [`Snapshot`](crate::export::snapshot::Snapshot).
