//! Metrics and health over HTTP, out of the latest [`Snapshot`](crate::export::snapshot::Snapshot).
