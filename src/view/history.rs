//! What successive snapshots say together: rates, and the bounded past behind the sparklines.
//!
//! Times are the snapshots' own. Names, not numbers, join one snapshot to the next: another
//! signature set numbers them anew.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::snapshot::Snapshot;
use super::status::Losses;
use super::summary::{By, Kind, label};
use crate::time::Timestamp;
use crate::usage::{CellKey, Ledger, Totals};

/// Samples of a series: two minutes.
pub const SAMPLES: usize = 120;

/// Names of one kind that have a series: those that lead.
const MAX_SERIES: usize = 128;

/// Rows of one kind: those that lead.
const MOST_ROWS: usize = 4096;

/// What rates are averaged over, so that rows do not jump about.
const WINDOW: Duration = Duration::from_secs(5);

/// Moments held for that, however fast they come.
const MAX_MOMENTS: usize = 32;

/// A loss is told as going on for this long.
const RECENT: Duration = Duration::from_secs(10);

/// The ways volume is broken down.
pub const KINDS: [By; 4] = [By::App, By::Service, By::Category, By::Subject];

/// What is counted under one name, or for one subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) title: String,
    pub(super) category: String,
    pub(super) totals: Totals,
    /// Bytes by what the name rests on, or by the subject's names: keys that say nothing else. Only
    /// the latest moment has them.
    pub(super) parts: BTreeMap<CellKey, u64>,
}

/// Volume by name.
pub(super) type Tally = BTreeMap<String, Entry>;

/// What one snapshot said.
#[derive(Debug, Default)]
struct Moment {
    at: Timestamp,
    ledger: Ledger,
    flows: u64,
    losses: Losses,
    tallies: [Tally; KINDS.len()],
}

/// A name and what is known of it now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) entry: &'a Entry,
    /// Bytes counted within [`History::span`].
    pub(super) recent: u64,
}

/// The past, as far as it is kept.
#[derive(Debug, Default)]
pub struct History {
    moments: VecDeque<Moment>,
    /// Bytes a second under each leading name, newest last.
    series: [HashMap<String, VecDeque<u64>>; KINDS.len()],
    /// Bytes a second on the wire, newest last.
    wire: VecDeque<u64>,
    lost_at: Option<Timestamp>,
}

impl History {
    /// Takes in what `snapshot` says.
    pub fn push(&mut self, snapshot: &Snapshot) {
        let moment = Moment {
            at: snapshot.at,
            ledger: snapshot.ledger.clone(),
            flows: snapshot.flows,
            losses: Losses::of(snapshot),
            tallies: KINDS.map(|by| tally(snapshot, by)),
        };
        match self.moments.back_mut() {
            Some(last) if moment.at == last.at => {
                if moment.losses != last.losses {
                    self.lost_at = Some(moment.at);
                }
                *last = moment;
                return;
            }
            // Time went back: nothing can be said of rates.
            Some(last) if moment.at < last.at => {
                *self = Self::default();
            }
            Some(last) => {
                if moment.losses != last.losses {
                    self.lost_at = Some(moment.at);
                }
                let step = moment.at.since(last.at);
                let wire = moment.ledger.wire.bytes;
                let grown = wire.saturating_sub(last.ledger.wire.bytes);
                sample(&mut self.wire, grown, step);
                for ((series, now), before) in self
                    .series
                    .iter_mut()
                    .zip(&moment.tallies)
                    .zip(&last.tallies)
                {
                    extend(series, now, before, step);
                }
            }
            None => {}
        }
        if let Some(before) = self.moments.back_mut() {
            let entries = before.tallies.iter_mut().flat_map(BTreeMap::values_mut);
            entries.for_each(|entry| entry.parts.clear());
        }
        self.moments.push_back(moment);
        self.forget();
    }

    /// Keeps one moment that is as old as the window, none before it.
    fn forget(&mut self) {
        let Some(now) = self.moments.back().map(|last| last.at) else {
            return;
        };
        while self.moments.len() > MAX_MOMENTS
            || self
                .moments
                .get(1)
                .is_some_and(|second| self.moments.len() > 2 && now.since(second.at) >= WINDOW)
        {
            self.moments.pop_front();
        }
    }

    fn ends(&self) -> Option<(&Moment, &Moment)> {
        let (first, last) = (self.moments.front()?, self.moments.back()?);
        (self.moments.len() > 1).then_some((first, last))
    }

    /// The time that "recent" bytes were counted in; `None` until there are two snapshots.
    pub(super) fn span(&self) -> Option<Duration> {
        let (first, last) = self.ends()?;
        Some(last.at.since(first.at))
    }

    /// Frames and bytes on the wire, and flows begun, within [`History::span`].
    pub(super) fn recent(&self) -> (u64, u64, u64) {
        self.ends().map_or((0, 0, 0), |(first, last)| {
            let (before, now) = (first.ledger.wire, last.ledger.wire);
            (
                now.packets.saturating_sub(before.packets),
                now.bytes.saturating_sub(before.bytes),
                last.flows.saturating_sub(first.flows),
            )
        })
    }

    /// The ledger at the beginning of [`History::span`].
    pub(super) fn ledger_before(&self) -> Option<&Ledger> {
        self.ends().map(|(first, _)| &first.ledger)
    }

    /// What was lost within [`History::span`].
    pub(super) fn losses(&self) -> Losses {
        self.ends()
            .map_or_else(Losses::default, |(first, last)| Losses {
                ring: last.losses.ring.saturating_sub(first.losses.ring),
                interface: last.losses.interface.saturating_sub(first.losses.interface),
                channel: last.losses.channel.saturating_sub(first.losses.channel),
                records: last.losses.records.saturating_sub(first.losses.records),
            })
    }

    /// Whether something was lost a moment ago.
    pub(super) fn is_losing(&self) -> bool {
        let now = self.moments.back().map(|last| last.at);
        match (self.lost_at, now) {
            (Some(lost), Some(now)) => now.since(lost) < RECENT,
            _ => false,
        }
    }

    /// The names of a kind that lead by rate or by volume, in the order of the names.
    pub(super) fn rows(&self, kind: usize) -> Vec<Row<'_>> {
        let Some(last) = self.moments.back() else {
            return Vec::new();
        };
        let before = self.ends().and_then(|(first, _)| first.tallies.get(kind));
        let Some(now) = last.tallies.get(kind) else {
            return Vec::new();
        };
        let mut rows: Vec<Row<'_>> = now
            .iter()
            .map(|(name, entry)| {
                let earlier = before.map(|tally| bytes_of(tally, name));
                Row {
                    name,
                    entry,
                    recent: earlier.map_or(0, |bytes| entry.totals.bytes().saturating_sub(bytes)),
                }
            })
            .collect();
        if rows.len() > MOST_ROWS {
            rows.sort_unstable_by_key(|row| Reverse(row.entry.totals.bytes()));
            rows.get_mut(MOST_ROWS / 2..)
                .unwrap_or_default()
                .sort_unstable_by_key(|row| Reverse(row.recent));
            rows.truncate(MOST_ROWS);
            rows.sort_unstable_by_key(|row| row.name);
        }
        rows
    }

    /// Bytes a second under a name, newest last; empty for one that does not lead.
    pub(super) fn series(&self, kind: usize, name: &str) -> impl DoubleEndedIterator<Item = u64> {
        let series = self.series.get(kind).and_then(|series| series.get(name));
        series.into_iter().flatten().copied()
    }

    /// Bytes a second on the wire, newest last.
    pub(super) fn wire(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.wire.iter().copied()
    }
}

fn tally(snapshot: &Snapshot, by: By) -> Tally {
    let mut tally = Tally::new();
    if by == By::Subject {
        let accounts = snapshot.accounts.as_deref().into_iter().flatten();
        for (key, totals) in accounts {
            let name = key.subject.unwrap_or_default().to_string();
            let part = CellKey {
                app: key.app,
                proto: key.proto.filter(|_| key.app.is_none()),
                unknown: key.unknown,
                ..CellKey::default()
            };
            tally.entry(name).or_default().add(part, totals);
        }
        return tally;
    }
    for (key, totals) in snapshot.cells.iter() {
        let label = label(key, &snapshot.set, by);
        let entry = tally.entry(label.name).or_insert_with(|| Entry {
            title: label.title,
            category: if label.kind == Kind::App {
                label.category
            } else {
                String::new()
            },
            ..Entry::default()
        });
        let part = CellKey {
            evidence: key.evidence,
            ..CellKey::default()
        };
        entry.add(part, totals);
    }
    tally
}

impl Entry {
    fn add(&mut self, part: CellKey, totals: &Totals) {
        self.totals.add(totals);
        *self.parts.entry(part).or_default() += totals.bytes();
    }
}

fn bytes_of(tally: &Tally, name: &str) -> u64 {
    tally.get(name).map_or(0, |entry| entry.totals.bytes())
}

/// Adds a sample to the series of those that lead, and forgets the others.
fn extend(
    series: &mut HashMap<String, VecDeque<u64>>,
    now: &Tally,
    before: &Tally,
    step: Duration,
) {
    let mut leading: Vec<(u64, u64, &str)> = now
        .iter()
        .map(|(name, entry)| {
            let bytes = entry.totals.bytes();
            let grown = bytes.saturating_sub(bytes_of(before, name));
            (grown, bytes, name.as_str())
        })
        .collect();
    leading.sort_unstable_by(|a, b| b.cmp(a));
    let by_rate = leading.iter().take(MAX_SERIES / 2).map(|row| row.2);
    let mut by_total = leading.clone();
    by_total.sort_unstable_by_key(|row| Reverse(row.1));
    let kept: HashSet<&str> = by_rate
        .chain(by_total.iter().take(MAX_SERIES / 2).map(|row| row.2))
        .collect();
    series.retain(|name, _| kept.contains(name.as_str()));
    for (grown, _, name) in leading {
        if kept.contains(name) {
            sample(series.entry(name.to_owned()).or_default(), grown, step);
        }
    }
}

fn sample(series: &mut VecDeque<u64>, grown: u64, step: Duration) {
    let nanos = step.as_nanos().max(1);
    let rate = u128::from(grown) * 1_000_000_000 / nanos;
    if series.len() >= SAMPLES {
        series.pop_front();
    }
    series.push_back(u64::try_from(rate).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn rates_come_from_the_last_seconds() {
        let mut history = History::default();
        assert!(history.span().is_none());
        for (seconds, wire, span, recent) in [
            (10, 1000, None, 0),
            (11, 3000, Some(1), 2000),
            (12, 4000, Some(2), 3000),
            (16, 5000, Some(5), 2000),
            (40, 9000, Some(24), 4000),
            (41, 9500, Some(25), 4500),
            (45, 9600, Some(5), 600),
        ] {
            history.push(&samples::wire(seconds, wire));
            assert_eq!(history.span().map(|span| span.as_secs()), span, "{seconds}");
            assert_eq!(history.recent().1, recent, "{seconds}");
        }
        let wire: Vec<u64> = history.wire().collect();
        assert_eq!(wire, [2000, 1000, 250, 166, 500, 25]);
    }

    #[test]
    fn time_that_stands_or_goes_back_divides_nothing() {
        let mut history = History::default();
        history.push(&samples::wire(10, 1000));
        history.push(&samples::wire(10, 2000));
        assert_eq!((history.span(), history.recent().1), (None, 0));
        history.push(&samples::wire(11, 2500));
        assert_eq!(history.recent().1, 500);
        history.push(&samples::wire(5, 3000));
        assert_eq!(history.span(), None);
    }

    #[test]
    fn the_past_is_bounded() {
        let mut history = History::default();
        for seconds in 0..400_u64 {
            history.push(&samples::many(seconds, 300));
        }
        assert!(history.moments.len() <= 8);
        for series in &history.series {
            assert!(series.len() <= MAX_SERIES);
            assert!(series.values().all(|samples| samples.len() <= SAMPLES));
        }
        assert_eq!(history.wire().count(), SAMPLES);
    }

    #[test]
    fn losses_are_loud_for_a_while() {
        let mut history = History::default();
        for (seconds, ring, losing) in [
            (0, 5, false),
            (1, 5, false),
            (2, 6, true),
            (11, 6, true),
            (12, 6, false),
        ] {
            let mut snapshot = samples::wire(seconds, 0);
            samples::drop_in_ring(&mut snapshot, ring);
            history.push(&snapshot);
            assert_eq!(history.is_losing(), losing, "{seconds}");
        }
    }
}
