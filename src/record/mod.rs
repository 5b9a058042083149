//! What is said of flows, intervals and runs: each kind of record is a struct and one table of
//! its fields, [`flow::FIELDS`], [`usage::FIELDS`] and [`run::FIELDS`].
//!
//! All that depends on the fields follows those tables: encodings, the JSON Schemas and the manual.
//! The next stage, `encode`, turns records into bytes.

pub mod flow;
pub mod flow_record;
pub mod only;
pub mod run;
pub mod schema;
pub mod usage;

mod community_id;
mod field;
mod names;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use field::{Column, Element, Field, Kind, Record, Value};
pub use flow::FlowView;
pub use flow_record::{FlowRecord, Part};
pub use only::{KeptBack, Only};
pub use run::{RunEnd, RunRecord};
pub use usage::{Interval, Intervals, UsageRecord};

pub(crate) use names::{decider_name, transport_by_name, transport_name};

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// Flows that have ended, or go on for long.
    Flows,
    /// Intervals of usage.
    Usage,
}

impl Records {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Flows, Self::Usage];

    /// What a user calls them.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Usage => "usage",
        }
    }
}
