//! Whether the wall clock was set back.
//!
//! That of a machine that has just started is often wrong, by hours where the hardware's
//! is set to local time, until somebody sets it right: forward, which is like a quiet time, or back.

use std::time::Duration;

use crate::capture::FrameRef;
use crate::time::Timestamp;

/// How much earlier than one before a frame, or the clock, may be that has not been set back:
/// several processors stamp frames, and a clock that is a little ahead is slowed down.
pub(super) const DISORDER: Duration = Duration::from_secs(1);

/// Whether the clock was set back between `before` and `after`, which was read, or stamped, later, and
/// may be earlier by `disorder`.
pub(super) fn was_set_back(before: Timestamp, after: Timestamp, disorder: Duration) -> bool {
    after.after(disorder) < before
}

/// The first of `frames` that was stamped after the clock had been set back, where they, or those
/// before, came up to `watermark`.
pub(super) fn first_set_back(
    frames: &[FrameRef],
    mut watermark: Timestamp,
    disorder: Duration,
) -> Option<usize> {
    frames.iter().position(|frame| {
        let before = watermark;
        watermark = watermark.max(frame.at);
        was_set_back(before, frame.at, disorder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Envelope, InterfaceId, LinkType};

    #[test]
    fn a_step_back_is_told_from_disorder() {
        // (watermark before, times of frames, all in milliseconds; the first after the step)
        let rows: [(u64, &[u64], Option<usize>); 8] = [
            (0, &[], None),
            (0, &[5_000, 6_000], None),
            (5_000, &[4_000, 4_900, 6_000], None),
            (5_000, &[3_999], Some(0)),
            (5_000, &[5_001, 4_002, 4_000], Some(2)),
            (0, &[9_000, 10_000, 2_000, 2_001], Some(2)),
            (2_000, &[2_000, 2_001], None),
            (0, &[7_200_000, 7_199_500, 7_199_000, 0], Some(3)),
        ];
        for (watermark, times, expected) in rows {
            let at = |millis: u64| Timestamp(millis * 1_000_000);
            let frames: Vec<FrameRef> = times
                .iter()
                .map(|&millis| FrameRef {
                    at: at(millis),
                    link: LinkType::ETHERNET,
                    interface: InterfaceId::default(),
                    offset: 0,
                    captured: 0,
                    wire_len: 0,
                    envelope: Envelope::None,
                })
                .collect();
            let found = first_set_back(&frames, at(watermark), DISORDER);
            assert_eq!(found, expected, "{watermark} {times:?}");
        }
    }
}
