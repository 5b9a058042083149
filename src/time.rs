//! Time as captures give it: nanoseconds since 1970, never read from a clock; and intervals of it.

mod interval;
mod timestamp;

pub use interval::{IntervalLength, Unit, Zone};
pub use timestamp::Timestamp;
