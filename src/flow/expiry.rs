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
    /// Reminders held, of flows that are gone included.
    len: usize,
}

/// Reminders a bucket keeps room for when it is empty.
const ROOM: usize = 256;

impl Wheel {
    /// Bytes a wheel takes whose reminders have all come due.
    pub(super) const EMPTY: usize =
        SLOTS as usize * (size_of::<Vec<Reminder>>() + ROOM * size_of::<Reminder>());

    pub(super) fn new() -> Self {
        Self {
            buckets: vec![Vec::new(); SLOTS as usize],
            next: None,
            len: 0,
        }
    }

    /// Reminds of a flow once `due` has passed. `now` is where an empty wheel starts.
    pub(super) fn remind(&mut self, reminder: Reminder, now: Timestamp, due: Timestamp) {
        let next = *self.next.get_or_insert_with(|| seconds(now));
        // A flow is due when its second is over, hence one bucket later.
        let at = (seconds(due) + 1).clamp(next, next + SLOTS - 1);
        if let Some(bucket) = self.buckets.get_mut((at % SLOTS) as usize) {
            bucket.push(reminder);
            self.len += 1;
        }
    }

    /// Bytes its buckets take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let reminders: usize = self.buckets.iter().map(Vec::capacity).sum();
        reminders * size_of::<Reminder>() + self.buckets.capacity() * size_of::<Vec<Reminder>>()
    }

    /// How many reminders are held.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Forgets the reminders for which `wanted` does not hold.
    pub(super) fn retain(&mut self, wanted: impl Fn(Reminder) -> bool) {
        self.len = 0;
        for bucket in &mut self.buckets {
            bucket.retain(|&reminder| wanted(reminder));
            bucket.shrink_to(ROOM);
            self.len += bucket.len();
        }
    }

    /// Whether a flow that is due at `due` ends at `now`: once that second is over. After a
    /// leap in time a wheel gives reminders too early: what it gives does not decide.
    pub(super) const fn is_over(due: Timestamp, now: Timestamp) -> bool {
        seconds(due) < seconds(now)
    }

    /// Takes all reminders due by `now`.
    pub(super) fn take_due(&mut self, now: Timestamp, due: &mut Vec<Reminder>) {
        let now = seconds(now);
        // Also a wheel with no entries goes with the time: when a flow ends must not hang on
        // whether its worker had others before.
        let Some(next) = self.next else {
            self.next = Some(now + 1);
            return;
        };
        if now < next {
            return;
        }
        for second in next..=now.min(next + SLOTS - 1) {
            if let Some(bucket) = self.buckets.get_mut((second % SLOTS) as usize) {
                self.len -= bucket.len();
                due.append(bucket);
                // Else each bucket would keep what its busiest second needed.
                bucket.shrink_to(ROOM);
            }
        }
        self.next = Some(now + 1);
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
    fn an_empty_wheel_goes_with_the_time() {
        let late = Reminder {
            slot: 1,
            generation: 0,
        };
        let mut fresh = Wheel::new();
        let mut used = Wheel::new();
        used.remind(late, at(90), at(95));
        for wheel in [&mut fresh, &mut used] {
            due_at(wheel, 100);
            wheel.remind(late, at(20), at(30));
            assert!(due_at(wheel, 100).is_empty(), "this second is over");
            assert_eq!(due_at(wheel, 101), [1]);
        }
    }

    #[test]
    fn forgets_what_is_not_wanted() {
        let mut wheel = Wheel::new();
        for slot in 0..10 {
            wheel.remind(
                Reminder {
                    slot,
                    generation: 0,
                },
                at(100),
                at(100 + u64::from(slot)),
            );
        }
        wheel.retain(|reminder| reminder.slot % 2 == 0);
        assert_eq!(wheel.len(), 5);
        assert_eq!(due_at(&mut wheel, 105), [0, 2, 4]);
        assert_eq!(wheel.len(), 2);
    }

    #[test]
    fn a_busy_second_is_not_remembered() {
        let mut wheel = Wheel::new();
        for slot in 0..100_000 {
            let generation = 0;
            wheel.remind(Reminder { slot, generation }, at(100), at(105));
        }
        assert_eq!(due_at(&mut wheel, 106).len(), 100_000);
        let room: usize = wheel.buckets.iter().map(Vec::capacity).sum();
        assert!(room <= ROOM, "{room}");
    }
}
