//! The time of day, for a live run only: to say when it began, and how far behind it is.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// Now, as frames of live captures give their time.
#[expect(
    clippy::disallowed_methods,
    reason = "a live run must know how far it is behind; what is counted has the frames' time"
)]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::new(since.as_secs(), u64::from(since.subsec_nanos()))
}
