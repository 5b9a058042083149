//! Flow records against what is known of their flows: [`Truth`] holds labels, [`Seen`] what a
//! run has called the flows, [`Score`] adds up what of that is right.
//!
//! `key` says when a label and a record are of the same flow, `judge` what is right. [`harder`] makes
//! captures harder: what is measured on whole captures says little of mirrors that lose frames. `view`
//! draws the tables.

pub mod harder;

mod judge;

mod key;

mod seen;

mod tally;

mod truth;

pub use judge::{Group, Judged, Outcome};
pub use key::FlowKey;
pub use seen::Seen;
pub use tally::{Name, Score, Settled, Volume, WITHIN};
pub use truth::{Label, Truth, TruthError};
