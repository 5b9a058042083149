//! Points in time as captures give them: nanoseconds since 1970, never read from a clock.
//!
//! Every stage takes its time from the frame it works on, so that the same capture gives the
//! same answer on any machine.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// Nanoseconds since 1970-01-01T00:00:00Z, from a frame's record header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The point `seconds` and `nanos` after 1970; saturates at the far end of the range.
    ///
    /// `nanos` may be a second or more: capture files hold such fields.
    pub const fn new(seconds: u64, nanos: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This point moved later by `duration`, saturating.
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// The start of the interval of `length` this point lies in, aligned to 1970.
    pub fn floor(self, length: Duration) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self(self.0 - self.0 % nanos)
    }
}

/// As it is displayed.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// RFC 3339 with nanoseconds, in UTC: `2026-01-02T03:04:05.678901234Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last representable instant is in 2554, well inside what the formatter takes.
        humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(self.0)).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339() {
        let at = Timestamp::new(1_767_323_045, 678_901_234);
        assert_eq!(at.to_string(), "2026-01-02T03:04:05.678901234Z");
        assert_eq!(Timestamp(u64::MAX).to_string().len(), 30);
    }

    #[test]
    fn odd_fields_stay_in_range() {
        assert_eq!(
            Timestamp::new(1, 1_500_000_000),
            Timestamp::new(2, 500_000_000)
        );
        assert_eq!(Timestamp::new(u64::MAX, 1), Timestamp(u64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }

    #[test]
    fn floors_to_the_interval() {
        let minute = Duration::from_secs(60);
        assert_eq!(Timestamp::new(119, 5).floor(minute), Timestamp::new(60, 0));
        assert_eq!(Timestamp(7).floor(Duration::ZERO), Timestamp(7));
    }
}
