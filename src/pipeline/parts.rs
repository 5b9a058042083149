//! Records of flows that go on for long: when one is due, and what those before it have told.
//!
//! A part of a flow ends with the first packet that comes when its record is due, so that the same
//! capture has the same parts with any number of workers.

use crate::flow::{Counters, Flow, PerSide};
use crate::record::Part;
use crate::time::Timestamp;

/// From when on a record of a flow may be due, as each of its packets asks: a time in steps of 2 to
/// the power of 32 nanoseconds (4.3 s), so that it has room in the flow's cache line. In the step in
/// which it is due the exact time is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due(u32);

impl Due {
    /// Something is to be done with the next packet, whenever that comes.
    pub(super) const NOW: Self = Self(0);

    /// At this time.
    pub(super) const fn at(time: Timestamp) -> Self {
        Self((time.0 >> 32) as u32)
    }

    /// Whether a record may be due at this time.
    #[inline]
    pub(super) const fn may_be(self, now: Timestamp) -> bool {
        (now.0 >> 32) as u32 >= self.0
    }
}

/// Never.
impl Default for Due {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

/// What the records that a flow has had tell. Most have had none.
#[derive(Debug, Default)]
pub(super) struct Told(Option<Box<Before>>);

#[derive(Debug)]
struct Before {
    /// How many records.
    number: u32,
    /// The latest time of a frame in them.
    until: Timestamp,
    /// The client was the end that sorts first: sides may turn around.
    client_is_low: bool,
    /// What each side sent in them.
    counters: PerSide<Counters>,
}

impl Told {
    /// The most bytes it takes of a flow beside the flow.
    pub(super) const MEMORY: usize = size_of::<Before>();

    /// Since when nothing was told of a flow: the latest record, or its beginning.
    pub(super) fn until<T>(&self, flow: &Flow<T>) -> Timestamp {
        self.0.as_ref().map_or(flow.first, |before| before.until)
    }

    /// The part of a flow that was not told yet.
    pub(super) fn part<T>(&self, flow: &Flow<T>) -> Part {
        let Some(before) = self.0.as_deref() else {
            return Part::whole(flow);
        };
        let mut told = before.counters;
        if before.client_is_low != flow.client_is_low() {
            std::mem::swap(&mut told.client, &mut told.server);
        }
        Part {
            number: before.number.saturating_add(1),
            start: before.until,
            counters: PerSide {
                client: flow.counters.client.since(&told.client),
                server: flow.counters.server.since(&told.server),
            },
        }
    }

    /// All of a flow up to now, with the part of this number.
    pub(super) fn all<T>(flow: &Flow<T>, number: u32) -> Self {
        Self(Some(Box::new(Before {
            number,
            until: flow.last,
            client_is_low: flow.client_is_low(),
            counters: flow.counters,
        })))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_may_be_due_from_the_step_of_its_time_on() {
        let step = Duration::from_nanos(1 << 32);
        let at = Timestamp::new(1_767_323_045, 6);
        assert!(Due::at(at).may_be(at));
        assert!(Due::at(at).may_be(at.after(step)));
        assert!(!Due::at(at.after(step)).may_be(at));
        assert!(!Due::default().may_be(at));
    }
}
