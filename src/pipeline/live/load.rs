//! Whether the program keeps up: when it does not, new flows are counted without a look at them,
//! which costs a fraction, until it does again.

use std::time::{Duration, Instant};

/// Frames handed over later than this after they were captured mean that the ring fills.
const BEHIND: Duration = Duration::from_millis(250);

/// How long the last sign of overload counts.
const MEMORY: Duration = Duration::from_secs(1);

/// The state of one capture thread.
#[derive(Debug, Default)]
pub(super) struct Load {
    lost: u64,
    until: Option<Instant>,
}

impl Load {
    /// Takes in how things are at `now`: how long the newest frame waited, and how many frames
    /// have been lost since the start.
    pub(super) fn observe(&mut self, now: Instant, behind: Duration, lost: u64) {
        if behind > BEHIND || lost > self.lost {
            self.strain(now);
        }
        self.lost = self.lost.max(lost);
    }

    /// Takes note of a sign of overload.
    pub(super) fn strain(&mut self, now: Instant) {
        self.until = Some(now + MEMORY);
    }

    /// Whether new flows are to be shed at `now`.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::steady;

    #[test]
    fn sheds_while_behind_or_losing_and_a_second_longer() {
        let start = steady();
        let at = |millis: u64| start + Duration::from_millis(millis);
        // (now, behind, lost so far) -> shedding
        let rows = [
            (1_000, 10, 0, false),
            (1_400, 300, 0, true),
            (1_500, 10, 0, true),
            (2_399, 10, 0, true),
            (2_401, 0, 0, false),
            (2_500, 0, 7, true),
            (3_600, 0, 7, false),
            (3_700, 0, 7, false),
        ];
        let mut load = Load::default();
        for (now, behind, lost, expected) in rows {
            load.observe(at(now), Duration::from_millis(behind), lost);
            assert_eq!(load.is_over(at(now)), expected, "{now}");
        }
    }
}
