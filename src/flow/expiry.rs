//! When flows are looked at again: a wheel of one-second buckets in frame time.
//!
//! An entry is a reminder, not a promise: a flow that was busy since is put in again by the table,
//! so that a packet of a known flow never touches the wheel.

use crate::time::Timestamp;

/// Seconds the wheel reaches ahead; what is due later is looked at once on the way.
const SLOTS: u64 = 512;

/// A flow's slot in the table and the generation it was entered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reminder {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// The reminders of one table.
#[derive(Debug)]
pub(super) struct Wheel {
    buckets: Vec<Vec<Reminder>>,
    /// The second whose bucket is emptied next; `None` before the first entry.
    next: Option<u64>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            buckets: vec![Vec::new(); SLOTS as usize],
            next: None,
        }
    }

    /// Reminds of a flow once `due` has passed. `now` is where an empty wheel starts.
    pub(super) fn remind(&mut self, reminder: Reminder, now: Timestamp, due: Timestamp) {
        let next = *self.next.get_or_insert(seconds(now));
        // A flow is due when its second is over, hence one bucket later.
        let at = (seconds(due) + 1).clamp(next, next + SLOTS - 1);
        if let Some(bucket) = self.buckets.get_mut((at % SLOTS) as usize) {
            bucket.push(reminder);
        }
    }

    /// Whether `due` has passed at `now`, by the wheel's seconds: a flow looked at ahead of its
    /// time, after a leap, must not end before one that was not.
    pub(super) const fn is_over(due: Timestamp, now: Timestamp) -> bool {
        seconds(due) < seconds(now)
    }

    /// Takes all reminders due by `now`.
    pub(super) fn take_due(&mut self, now: Timestamp, due: &mut Vec<Reminder>) {
        let now = seconds(now);
        // Time goes on for an empty wheel as well: when a flow that begins late is looked at must
        // not hang on whether there were others.
        let next = *self.next.get_or_insert(now);
        if now < next {
            return;
        }
        for second in next..=now.min(next + SLOTS - 1) {
            if let Some(bucket) = self.buckets.get_mut((second % SLOTS) as usize) {
                due.append(bucket);
            }
        }
        self.next = Some(now + 1);
    }

    /// Takes the reminder that is due first, however far ahead.
    pub(super) fn take_first(&mut self) -> Option<Reminder> {
        let next = self.next?;
        (next..next + SLOTS)
            .find_map(|second| self.buckets.get_mut((second % SLOTS) as usize)?.pop())
    }
}

const fn seconds(at: Timestamp) -> u64 {
    at.0 / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::new(seconds, 0)
    }

    fn due_at(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.take_due(at(now), &mut due);
        due.iter().map(|reminder| reminder.slot).collect()
    }

    #[test]
    fn reminds_after_the_second_is_over() {
        let mut wheel = Wheel::new();
        for (slot, due) in [(1, 110), (2, 105), (3, 10_000), (4, 90)] {
            wheel.remind(
                Reminder {
                    slot,
                    generation: 0,
                },
                at(100),
                at(due),
            );
        }
        assert!(due_at(&mut wheel, 99).is_empty());
        assert_eq!(due_at(&mut wheel, 105), [4], "overdue entries come at once");
        assert_eq!(due_at(&mut wheel, 106), [2]);
        assert_eq!(
            due_at(&mut wheel, 1_000_000),
            [1, 3],
            "a leap empties the wheel once"
        );
    }

    #[test]
    fn what_is_late_waits_as_long_in_an_empty_wheel() {
        let reminder = |slot| Reminder {
            slot,
            generation: 0,
        };
        for others in [0, 1] {
            let mut wheel = Wheel::new();
            for _ in 0..others {
                wheel.remind(reminder(1), at(50), at(110));
            }
            due_at(&mut wheel, 1_000);
            wheel.remind(reminder(2), at(100), at(160));
            assert!(due_at(&mut wheel, 1_000).is_empty(), "{others} others");
            assert_eq!(due_at(&mut wheel, 1_001), [2], "{others} others");
        }
    }

    #[test]
    fn first_is_the_earliest() {
        let mut wheel = Wheel::new();
        for (slot, due) in [(1, 110), (2, 105)] {
            wheel.remind(
                Reminder {
                    slot,
                    generation: 0,
                },
                at(100),
                at(due),
            );
        }
        assert_eq!(wheel.take_first().map(|reminder| reminder.slot), Some(2));
        assert_eq!(wheel.take_first().map(|reminder| reminder.slot), Some(1));
        assert_eq!(wheel.take_first(), None);
    }
}
