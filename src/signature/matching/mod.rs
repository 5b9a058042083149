//! The tables that flows are asked of: from bytes, facts, names, addresses and ports to
//! [`Tag`](crate::verdict::Tag)s.
//!
//! `compile` fills them, `set` asks them. `payload` (over `index`) and `flow` are about messages, `facts` about
//! what dissectors read, `domain` about names, `address` and `port` about the other end, `call` about media.

pub(super) mod address;
pub(super) mod call;
pub(super) mod domain;
pub(super) mod facts;
pub(super) mod flow;
pub(super) mod guard;
pub(super) mod index;
mod needles;
pub(super) mod payload;
pub(super) mod port;
