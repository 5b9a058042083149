//! What capture threads tell one another, so that with several of them a flow learns in capture
//! order what another taught.
//!
//! Each thread publishes a mark: "what teaches among the frames up to this time has been sent to
//! all". A thread works on a frame once the marks of all others have passed its time, and takes
//! in their lessons in between by time. All clocks are the kernel's one. When it is set back, each
//! thread finds out for itself, and no lesson of before waits for the time to come again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::utils::CachePadded;

use crate::capture::live::MAX_BLOCK;
use crate::pipeline::steer::{Lessons, Taught};
use crate::pipeline::worker::{Teacher, Worker};
use crate::time::Timestamp;

/// Batches of lessons under way to one thread, each of at most a block's bytes. A thread that does
/// not take them for so long is far behind, and its flows have to do without.
const UNDER_WAY: usize = 64;

/// Bytes of lessons that wait for their time in one thread. It takes no more while there are so many.
const MAX_WAITING: usize = 8 << 20;

/// The most memory that so many threads use to teach one another.
pub(in crate::pipeline) fn lessons_memory(threads: usize) -> usize {
    // The last batch taken may go beyond the limit, and its lessons keep it as a whole.
    threads.saturating_mul((UNDER_WAY + 1) * MAX_BLOCK + 2 * MAX_WAITING)
}

/// One thread's end of the exchange.
#[derive(Debug)]
pub(super) struct LessonExchange {
    mine: usize,
    marks: Arc<[CachePadded<AtomicU64>]>,
    inbox: Receiver<Arc<Lessons>>,
    others: Vec<Sender<Arc<Lessons>>>,
    /// Lessons that have arrived, by time.
    waiting: VecDeque<(Timestamp, usize, Arc<Lessons>)>,
    /// Bytes they take.
    held: usize,
    /// How far the furthest of the others was when last asked.
    furthest: Timestamp,
}

impl LessonExchange {
    /// The ends for so many threads.
    pub(super) fn among(threads: usize) -> Vec<Self> {
        let marks: Arc<[_]> = (0..threads)
            .map(|_| CachePadded::new(AtomicU64::new(0)))
            .collect();
        let (senders, inboxes): (Vec<_>, Vec<_>) = (0..threads).map(|_| bounded(UNDER_WAY)).unzip();
        inboxes
            .into_iter()
            .enumerate()
            .map(|(mine, inbox)| Self {
                mine,
                marks: Arc::clone(&marks),
                inbox,
                others: (0..threads)
                    .filter(|&other| other != mine)
                    .filter_map(|other| senders.get(other).cloned())
                    .collect(),
                waiting: VecDeque::new(),
                held: 0,
                furthest: Timestamp::default(),
            })
            .collect()
    }

    /// Sends what a block taught to all others that have room for it.
    pub(super) fn publish(&self, lessons: Lessons) {
        if lessons.is_empty() {
            return;
        }
        let lessons = Arc::new(lessons);
        for other in &self.others {
            let _ = other.try_send(Arc::clone(&lessons));
        }
    }

    /// All that teaches up to `until` has been published. Earlier than before only where the clock
    /// was set back.
    pub(super) fn mark(&self, until: Timestamp) {
        if let Some(mark) = self.marks.get(self.mine) {
            // After the lessons were sent: who sees the mark finds them in the inbox.
            mark.store(until.0, Ordering::Release);
        }
    }

    /// The time all others have passed.
    pub(super) fn passed(&self) -> Timestamp {
        self.others().min().unwrap_or(Timestamp(u64::MAX))
    }

    /// The time each of the others has passed.
    fn others(&self) -> impl Iterator<Item = Timestamp> {
        let others = self.marks.iter().enumerate();
        others
            .filter(|&(thread, _)| thread != self.mine)
            .map(|(_, mark)| Timestamp(mark.load(Ordering::Acquire)))
    }

    /// Takes in what has been sent here. Where the others' clocks have been set back, `worker` is
    /// taught at once all that came before.
    pub(super) fn receive(&mut self, worker: &mut Worker) {
        let furthest = self.others().max().unwrap_or_default();
        self.take_in();
        if furthest < std::mem::replace(&mut self.furthest, furthest) {
            self.teach(Timestamp(u64::MAX), worker);
        }
    }

    /// The clock of this thread has been set back to `now`: nothing waits for its time any more.
    pub(super) fn set_back(&mut self, now: Timestamp, worker: &mut Worker) {
        self.take_in();
        self.teach(Timestamp(u64::MAX), worker);
        self.mark(now);
    }

    fn take_in(&mut self) {
        while self.held < MAX_WAITING
            && let Ok(lessons) = self.inbox.try_recv()
        {
            for index in 0..lessons.len() {
                if let Some(at) = lessons.at(index) {
                    // Nearly always the newest: the search is short.
                    let place = self
                        .waiting
                        .iter()
                        .rposition(|&(before, ..)| before <= at)
                        .map_or(0, |place| place + 1);
                    self.held += lessons.size(index);
                    self.waiting
                        .insert(place, (at, index, Arc::clone(&lessons)));
                }
            }
        }
    }
}

impl Teacher for LessonExchange {
    #[inline]
    fn is_due(&self, until: Timestamp) -> bool {
        self.waiting.front().is_some_and(|(at, ..)| *at <= until)
    }

    /// Teaches `worker` what others saw up to `until`.
    fn teach(&mut self, until: Timestamp, worker: &mut Worker) {
        while let Some((at, ..)) = self.waiting.front()
            && *at <= until
        {
            if let Some((_, index, lessons)) = self.waiting.pop_front() {
                self.held -= lessons.size(index);
                match lessons.get(index) {
                    Some(Taught::Frame(frame)) => worker.learn(frame),
                    Some(Taught::Datagram(datagram)) => worker.learn_datagram(datagram),
                    None => {}
                }
            }
        }
    }
}
