//! The clocks of this machine, which live runs need and nothing else in the library may ask.
//!
//! Frames bring their time with them; the clock says how late it is where none come, and when to look
//! after something, or to report, again.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// The wall clock, which the kernel stamps frames with: it can be set back.
#[expect(
    clippy::disallowed_methods,
    reason = "on a quiet link nothing else tells the time"
)]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::new(since.as_secs(), since.subsec_nanos().into())
}

/// For how long something lasts: it cannot be set back.
#[expect(
    clippy::disallowed_methods,
    reason = "how often something is done must not depend on the wall clock"
)]
pub(crate) fn steady() -> Instant {
    Instant::now()
}
