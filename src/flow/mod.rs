//! Stage 4, [`Packet`](crate::decode::Packet) to flow: the table of conversations, their
//! counters, and the first bytes of each direction in order.
//!
//! The next stage, `dissect`, reads a flow's [`Opening`].

pub mod opening;

pub use opening::{Opening, Side, Stream, Transport};
