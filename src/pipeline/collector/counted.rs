//! What all threads of a run have counted together.

use std::sync::Arc;

use crate::pipeline::halves::Matcher;
use crate::time::Timestamp;
use crate::usage::accounts::bound;
use crate::usage::health::Fault;
use crate::usage::{self, CellKey, Cells, Health, Ledger, Stats, Subjects, Summary};

use super::{Report, State};

/// The sums of a run.
#[derive(Debug)]
pub(in crate::pipeline) struct Counted {
    parts: Vec<Part>,
    /// Volume by name of all intervals that are complete; by subject too, if they are kept apart.
    closed: Cells,
    /// How subjects are found, if they are kept apart.
    subjects: Option<Arc<Subjects>>,
    max_accounts: usize,
    put_together: u64,
    /// Flows whose directions came by two threads.
    matcher: Matcher,
    split: Health,
}

/// What one thread said last.
#[derive(Debug, Default)]
struct Part {
    watermark: Timestamp,
    state: State,
    is_last: bool,
}

impl Counted {
    /// Nothing yet, of so many threads.
    pub(in crate::pipeline) fn new(parts: usize, usage: &usage::Config) -> Self {
        Self {
            parts: (0..parts).map(|_| Part::default()).collect(),
            closed: Cells::new(),
            subjects: usage.subjects.clone(),
            max_accounts: usage.max_accounts,
            put_together: 0,
            matcher: Matcher::default(),
            split: Health::default(),
        }
    }

    /// Takes in what a thread says of itself.
    pub(super) fn take(&mut self, report: Report) {
        let (told, found) = self.matcher.take(report.part, report.halves);
        self.split.count(Fault::Split, told, found);
        if let Some(part) = self.parts.get_mut(report.part) {
            part.watermark = report.watermark;
            part.is_last = report.is_last;
            if let Some(state) = report.state {
                part.state = *state;
            }
        }
    }

    /// Adds an interval that is complete. Where it has too many accounts, the smallest subjects of
    /// it are put together: returns how many.
    pub(super) fn close(&mut self, cells: &mut Cells) -> u64 {
        let gone = bound(cells, self.max_accounts);
        for (key, totals) in &*cells {
            self.closed.entry(*key).or_default().add(totals);
        }
        // All intervals together have no more than one may have.
        self.put_together += gone + bound(&mut self.closed, self.max_accounts);
        gone
    }

    /// The time all threads are through with.
    pub(in crate::pipeline) fn passed(&self) -> Timestamp {
        let reached = |part: &Part| match part.is_last {
            true => Timestamp(u64::MAX),
            false => part.watermark,
        };
        self.parts.iter().map(reached).min().unwrap_or_default()
    }

    /// Whether all threads have given their last report.
    pub(in crate::pipeline) fn is_all(&self) -> bool {
        self.parts.iter().all(|part| part.is_last)
    }

    /// What each thread said last.
    pub(in crate::pipeline) fn states(&self) -> impl Iterator<Item = &State> {
        self.parts.iter().map(|part| &part.state)
    }

    /// How subjects are found, if they are kept apart.
    pub(in crate::pipeline) const fn subjects(&self) -> Option<&Arc<Subjects>> {
        self.subjects.as_ref()
    }

    /// Subjects that were put together because there were too many accounts.
    pub(in crate::pipeline) const fn put_together(&self) -> u64 {
        self.put_together
    }

    /// All volume that has its name, by name: of complete intervals, of those `held` until they
    /// are, and of those that go on.
    pub(in crate::pipeline) fn names<'a>(&'a self, held: impl Iterator<Item = &'a Cells>) -> Cells {
        let open = self.states().map(|state| &state.open);
        let all = std::iter::once(&self.closed).chain(held).chain(open);
        let mut names = Cells::new();
        for (key, totals) in all.flatten() {
            let name = CellKey {
                subject: None,
                ..*key
            };
            names.entry(name).or_default().add(totals);
        }
        names
    }

    /// Settled volume of complete intervals.
    pub(in crate::pipeline) const fn closed(&self) -> &Cells {
        &self.closed
    }

    /// The same volume by subject, once all threads have told it, and how many subjects had to be put
    /// together for that: of complete intervals, of those `held` until they are, and of those that go on.
    pub(in crate::pipeline) fn accounts<'a>(
        &'a self,
        held: impl Iterator<Item = &'a Cells>,
    ) -> Option<(Cells, u64)> {
        let mut all = self.closed.clone();
        let mut add = |cells: &Cells| {
            for (key, totals) in cells {
                all.entry(*key).or_default().add(totals);
            }
        };
        for state in self.states() {
            add(state.accounts.as_ref()?);
        }
        held.for_each(&mut add);
        let together = bound(&mut all, self.max_accounts);
        Some((all, together))
    }

    /// Where every byte went, of which `names` have theirs.
    pub(in crate::pipeline) fn ledger(&self, names: &Cells) -> Ledger {
        let mut ledger = Ledger::default();
        for state in self.states() {
            ledger.wire.add(state.wire);
            ledger.unsettled.add(state.unsettled);
            ledger.channel.add(state.channel);
            ledger.drops.add(&state.drops);
        }
        for (key, totals) in names {
            ledger.add_cell(key, totals);
        }
        ledger
    }

    /// Whether the mirror showed all traffic once and whole.
    pub(in crate::pipeline) fn health(&self) -> Health {
        let mut health = self.split;
        for state in self.states() {
            health.add(&state.health);
        }
        health
    }

    /// Distributions, if any thread has some.
    pub(in crate::pipeline) fn stats(&self) -> Option<Stats> {
        let mut all = self.states().filter_map(|state| state.stats.as_ref());
        let mut sum = all.next()?.clone();
        for stats in all {
            sum.merge(stats);
        }
        Some(sum)
    }

    /// What a run found that has ended.
    pub(in crate::pipeline) fn summary(self) -> Summary {
        Summary {
            ledger: self.ledger(&self.closed),
            health: self.health(),
            flows: self.states().map(|state| state.flows).sum(),
            stats: self.stats(),
            span: None,
            interfaces: Arc::default(),
            put_together: self.put_together,
            subjects: self.subjects,
            cells: self.closed,
            kept_back: None,
        }
    }
}
