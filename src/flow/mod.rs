//! [`Packet`](crate::decode::Packet) to [`Flow`]: the table of conversations, their
//! counters, and the first bytes of each direction in order.
//!
//! The next stage, `dissect`, reads a flow's [`Opening`].

mod attachment;
mod budget;
mod buffers;
mod config;
mod conversation;
mod counters;
mod expiry;
mod key;
mod leaving;
pub mod opening;
mod quic;
mod reassembly;
pub mod sequence;
mod table;
mod tcp;

#[cfg(test)]
pub(crate) mod samples;

pub use attachment::Attachment;
pub use buffers::Buffers;
pub use config::Config;
pub use conversation::{EndReason, Flow};
pub use counters::Counters;
pub use key::{End, FlowKey, Scope};
pub use opening::{Opening, PerSide, Side, Stream, Transport};
pub use sequence::Sequence;
pub use table::{FlowTable, Located, Slot, Touch, Unplaced};
