//! Where records are written: a thread for each output, in `read` and `live` alike. What these do where an
//! output does not keep up, or fails, is its [`Pace`].
//!
//! Each record that a thread was given is in the end written or lost, and counted so.

mod order;
mod thread;
mod writers;

pub use self::thread::Output;
pub use self::writers::Writers;

pub(super) use self::order::{Batch, Interval, Usage};
pub(super) use self::thread::{OutputThread, Pace};
