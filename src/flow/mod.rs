//! Stage 4, [`Packet`](crate::decode::Packet) to [`Flow`]: the table of conversations, their
//! counters, and the first bytes of each direction in order.
//!
//! The next stage, `dissect`, reads a flow's [`Opening`].

mod conversation;
mod expiry;
mod key;
mod leaving;
pub mod opening;
mod quic;
mod reassembly;
mod room;
mod table;
mod tcp;

#[cfg(test)]
pub(crate) mod samples;

pub use conversation::Flow;
pub use key::{End, FlowKey, Scope};
pub use opening::{Opening, PerSide, Side, Stream, Transport};
pub use table::{Config, Counters, EndReason, FlowTable, Slot, Touch, Unplaced};
