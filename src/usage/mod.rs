//! Settled flows to counters: bytes by application, service, protocol and evidence, per
//! interval of capture time; and the ledger that proves nothing was lost.
//!
//! The next stages, `record`, `encode` and `sink`, write them; `view` shows them.

pub mod accounts;
mod cell;
pub mod health;
pub mod ledger;
pub mod links;
pub mod stats;
pub mod subject;

pub use cell::{CellId, CellKey, Cells, Totals};
pub use health::Health;
pub use ledger::Ledger;
pub use stats::Stats;
pub use subject::{Subject, Subjects};

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::capture::{InterfaceId, Interfaces};
use crate::classify::UnknownReason;
use crate::decode::Packet;
use crate::flow::{Attachment, Counters, Flow, FlowTable, PerSide, Side, Slot};
use crate::time::{IntervalLength, Timestamp};

use self::accounts::{AccountRef, Accounts};
use self::cell::{INTERVALS, buckets};

/// An interval that has closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Its first moment.
    pub start: Timestamp,
    /// What part of it the run saw: from its first moment on, or from when the run began in it.
    pub covered_from: Timestamp,
    /// Up to its end, or up to when the run ended in it.
    pub covered_until: Timestamp,
    /// The volume in it.
    pub cells: Cells,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Summary {
    /// Volume by name, and by subject if asked for, over all intervals.
    pub cells: Cells,
    /// Names of the interfaces.
    pub interfaces: Arc<Interfaces>,
    /// How subjects were found, if they were asked for.
    pub subjects: Option<Arc<Subjects>>,
    /// Subjects that were put together because there were too many accounts, over all intervals.
    pub put_together: u64,
    /// Where every byte went.
    pub ledger: Ledger,
    /// Whether the mirror showed all traffic once and whole.
    pub health: Health,
    /// Flows that were seen.
    pub flows: u64,
    /// Times of the first and the last frame.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Distributions, if asked for.
    pub stats: Option<Stats>,
    /// Flow records and usage records that were not to be written, where a condition says which are.
    pub kept_back: Option<(u64, u64)>,
}

/// What [`Usage`] counts besides the cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Length of an interval of capture time; `None`: one interval for everything.
    pub interval: Option<IntervalLength>,
    /// Keep subjects apart, found like this.
    pub subjects: Option<Arc<Subjects>>,
    /// Keep interfaces apart.
    pub by_interface: bool,
    /// Accounts (a subject and a name) of an interval; beyond it the subjects with the least volume are
    /// put together.
    pub max_accounts: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: None,
            subjects: None,
            by_interface: false,
            max_accounts: 1 << 17,
        }
    }
}

/// Different names counted apart; what further ones count goes under the application, or else the
/// reason, alone.
const MAX_CELLS: usize = 1 << 16;

/// No times.
const NEVER: Range<Timestamp> = Timestamp(0)..Timestamp(0);

/// The counters of one worker.
#[derive(Debug)]
pub struct Usage {
    config: Config,
    ids: HashMap<CellKey, CellId, RandomState>,
    keys: Vec<CellKey>,
    /// The interval most packets fall in, and its start.
    current: (Timestamp, Vec<Totals>),
    /// The times that are in it for sure.
    within: Range<Timestamp>,
    /// Counts how often `current` became another, from 1; 0 if there are no accounts to care for.
    epoch: u32,
    /// Other intervals that are not closed yet.
    open: BTreeMap<Timestamp, Vec<Totals>>,
    /// Intervals before this one are closed: what is late is counted in this one.
    closed_until: Timestamp,
    accounts: Option<Accounts>,
}

impl Usage {
    /// Counters at zero.
    pub fn new(config: Config) -> Self {
        let subjects = config.subjects.as_deref().cloned();
        let accounts = subjects.map(|subjects| Accounts::new(subjects, config.max_accounts));
        Self {
            epoch: u32::from(accounts.is_some()),
            accounts,
            config,
            ids: HashMap::default(),
            keys: Vec::new(),
            current: (Timestamp::default(), Vec::new()),
            within: NEVER,
            open: BTreeMap::new(),
            closed_until: Timestamp::default(),
        }
    }

    /// The most bytes that one worker's counters take; twice that, where what they counted is
    /// handed on as a whole. `max_flows` is how many flows the worker holds.
    pub fn memory_limit(config: &Config, max_flows: usize) -> usize {
        // Applications and reasons alone come on top of the cells.
        let cells = MAX_CELLS + u16::MAX as usize + UnknownReason::ALL.len();
        let names = buckets(cells) * (size_of::<(CellKey, CellId)>() + 1)
            + 2 * cells * size_of::<CellKey>();
        let counted = INTERVALS * 2 * cells * size_of::<Totals>();
        let accounts = match &config.subjects {
            // Beyond the limit only those that are put together have new accounts.
            Some(_) => Accounts::memory_limit(config.max_accounts.saturating_add(cells), max_flows),
            None => 0,
        };
        accounts.saturating_add(names + counted)
    }

    /// The place of `key`'s counters.
    pub fn cell(&mut self, key: CellKey) -> CellId {
        let key = if self.keys.len() < MAX_CELLS || self.ids.contains_key(&key) {
            key
        } else {
            CellKey {
                app: key.app,
                unknown: key.unknown,
                ..CellKey::default()
            }
        };
        let keys = &mut self.keys;
        *self.ids.entry(key).or_insert_with(|| {
            keys.push(key);
            CellId::last(keys.len())
        })
    }

    /// The place of the counters of `key` for flows that came in by `interface`.
    pub fn cell_at(&mut self, key: CellKey, interface: InterfaceId) -> CellId {
        self.cell(CellKey {
            interface: self.config.by_interface.then_some(interface),
            ..key
        })
    }

    /// Counts a packet of a settled flow.
    #[inline(always)]
    pub fn count(&mut self, cell: CellId, side: Side, packet: &Packet<'_>) {
        if self.within.contains(&packet.at)
            && let Some(totals) = self.current.1.get_mut(cell.place())
        {
            totals.sides[side].count(packet);
        } else if let Some(totals) = self.totals(cell, packet.at) {
            totals.sides[side].count(packet);
        }
    }

    /// Counts a flow that settled at `at`, with all that waited for its name.
    pub fn credit(&mut self, cell: CellId, waited: &PerSide<Counters>, at: Timestamp) {
        if let Some(totals) = self.totals(cell, at) {
            totals.add(&Totals {
                sides: *waited,
                flows: 1,
            });
        }
    }

    /// Counts a flow that has just settled, and was credited, for its subject.
    pub fn settle<T>(&mut self, cell: CellId, flow: &Flow<T>) -> AccountRef {
        let start = self.current.0;
        let accounts = self.accounts.as_mut();
        accounts.map_or_else(AccountRef::default, |accounts| {
            accounts.settle(cell, flow, start)
        })
    }

    /// Follows a settled flow into the interval of its latest `packet`, which was counted just before.
    #[inline]
    pub fn follow<T: AsMut<AccountRef>>(
        &mut self,
        flow: &mut Flow<T>,
        slot: Slot,
        packet: (&Packet<'_>, Side),
    ) {
        if flow.class.as_mut().epoch == self.epoch {
            return;
        }
        let at = *flow.class.as_mut();
        if let Some(accounts) = &mut self.accounts {
            accounts.turn(at, flow, slot, packet, self.current.0);
        }
        flow.class.as_mut().epoch = self.epoch;
    }

    /// Brings up to date the account of a flow that ends, or that takes in what waited.
    pub fn bring<T>(&mut self, account: AccountRef, flow: &Flow<T>) {
        if let Some(accounts) = &mut self.accounts {
            accounts.bring(account, flow);
        }
    }

    /// Counts what waited for a flow, which has taken it in and was brought up to date before.
    pub fn add<T>(
        &mut self,
        (cell, account): (CellId, AccountRef),
        flow: &Flow<T>,
        waited: &PerSide<Counters>,
    ) {
        if let Some(totals) = self.totals(cell, flow.last) {
            totals.add(&Totals {
                sides: *waited,
                flows: 0,
            });
        }
        if let Some(accounts) = &mut self.accounts {
            accounts.move_to(account, self.current.0);
            accounts.bring(account, flow);
        }
    }

    /// Whose volume a flow's is, if subjects are kept apart: that of its account, once it has one.
    pub fn subject<T>(&self, account: AccountRef, flow: &Flow<T>) -> Option<Subject> {
        let accounts = self.accounts.as_ref();
        accounts.map(|accounts| accounts.subject(account, flow))
    }

    /// A flow has ended, and was brought up to date before.
    pub fn release(&mut self, account: AccountRef) {
        if let Some(accounts) = &mut self.accounts {
            accounts.release(account);
        }
    }

    /// Closes and takes all intervals that end by `until`; what the `flows` have counted in them is
    /// brought to their accounts.
    pub fn take_until<T: Attachment>(
        &mut self,
        until: Timestamp,
        flows: &FlowTable<T>,
    ) -> Vec<(Timestamp, Cells)> {
        let Some(length) = &self.config.interval else {
            return Vec::new();
        };
        let floor = length.start(until);
        if floor <= self.closed_until {
            return Vec::new();
        }
        self.closed_until = floor;
        self.store_current();
        if let Some(accounts) = &mut self.accounts {
            accounts.bring_all(floor, flows);
        }
        let later = self.open.split_off(&floor);
        let closed = std::mem::replace(&mut self.open, later);
        closed
            .into_iter()
            .map(|(start, totals)| (start, self.close(start, &totals)))
            .collect()
    }

    /// What intervals that are not closed hold so far, summed up.
    pub fn open(&self) -> Cells {
        let mut cells = self.named(&self.current.1);
        for totals in self.open.values() {
            for (key, totals) in self.named(totals) {
                cells.entry(key).or_default().add(&totals);
            }
        }
        cells
    }

    /// The same by subject, where subjects are kept apart; what the `flows` have counted is brought to
    /// their accounts.
    pub fn open_accounts<T: Attachment>(&mut self, flows: &FlowTable<T>) -> Option<Cells> {
        let accounts = self.accounts.as_mut()?;
        accounts.bring_all(Timestamp(u64::MAX), flows);
        let mut names = vec![Totals::default(); self.keys.len()];
        for counted in self.open.values().chain([&self.current.1]) {
            for (sum, totals) in names.iter_mut().zip(counted) {
                sum.add(totals);
            }
        }
        Some(accounts.so_far(&self.keys, &names))
    }

    /// Takes all intervals that are left, once all flows have ended; the next may be of any time.
    pub fn take_all(&mut self) -> Vec<(Timestamp, Cells)> {
        self.store_current();
        self.closed_until = Timestamp::default();
        let open = std::mem::take(&mut self.open);
        open.into_iter()
            .map(|(start, totals)| (start, self.close(start, &totals)))
            .collect()
    }

    #[cold]
    fn totals(&mut self, cell: CellId, at: Timestamp) -> Option<&mut Totals> {
        // Out of the current interval, or late: what is closed already is counted in the first open one.
        if let Some(length) = &self.config.interval
            && !self.within.contains(&at)
        {
            let (start, end) = length.around(at.max(self.closed_until));
            if start != self.current.0 {
                self.store_current();
                self.current = (start, self.open.remove(&start).unwrap_or_default());
                if self.accounts.is_some() {
                    self.epoch = self.epoch.wrapping_add(1).max(1);
                }
            }
            self.within = start..end;
        }
        if self.config.interval.is_none() {
            self.within = Timestamp::default()..Timestamp(u64::MAX);
        }
        let place = cell.place();
        if place >= self.current.1.len() {
            self.current
                .1
                .resize(self.keys.len().max(place + 1), Totals::default());
        }
        self.current.1.get_mut(place)
    }

    fn store_current(&mut self) {
        let (start, totals) = std::mem::take(&mut self.current);
        self.within = NEVER;
        if !totals.is_empty() {
            self.open.insert(start, totals);
        }
    }

    /// What an interval that has closed says: by subject, if subjects are kept apart.
    fn close(&mut self, start: Timestamp, totals: &[Totals]) -> Cells {
        match &mut self.accounts {
            Some(accounts) => accounts.take(start, &self.keys, totals),
            None => self.named(totals),
        }
    }

    fn named(&self, totals: &[Totals]) -> Cells {
        let counted = self
            .keys
            .iter()
            .zip(totals)
            .filter(|&(_, totals)| *totals != Totals::default());
        counted.map(|(&key, &totals)| (key, totals)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppId;

    fn sides(bytes: u64) -> PerSide<Counters> {
        PerSide {
            client: Counters {
                packets: 1,
                bytes,
                ip_bytes: bytes,
            },
            server: Counters::default(),
        }
    }

    fn key(app: u16) -> CellKey {
        CellKey {
            app: Some(AppId(app)),
            ..CellKey::default()
        }
    }

    #[test]
    fn intervals_close_once_and_late_volume_is_kept() {
        let minute = std::time::Duration::from_secs(60);
        let mut usage = Usage::new(Config {
            interval: Some(minute.into()),
            ..Config::default()
        });
        let flows = FlowTable::<()>::new(crate::flow::Config::default());
        let (a, b) = (usage.cell(key(1)), usage.cell(key(2)));
        for (cell, at, bytes) in [(a, 10, 1), (b, 70, 10), (a, 20, 100), (a, 130, 1000)] {
            usage.credit(cell, &sides(bytes), Timestamp::new(at, 0));
        }
        let closed = usage.take_until(Timestamp::new(65, 0), &flows);
        assert_eq!(closed.len(), 1);
        assert_eq!(
            closed[0].1[&key(1)].bytes(),
            101,
            "out of order, but not late"
        );
        usage.credit(b, &sides(7), Timestamp::new(5, 0));
        assert!(
            usage.take_until(Timestamp::new(119, 0), &flows).is_empty(),
            "an interval closes once"
        );
        let rest = usage.take_all();
        assert_eq!(
            rest.iter()
                .map(|(start, _)| start.0 / 1_000_000_000)
                .collect::<Vec<_>>(),
            [60, 120]
        );
        assert_eq!(
            rest[0].1[&key(2)].bytes(),
            17,
            "late volume counts in the first open interval"
        );
    }

    #[test]
    fn one_interval_when_none_is_asked_for() {
        let flows = FlowTable::<()>::new(crate::flow::Config::default());
        let mut usage = Usage::new(Config::default());
        let cell = usage.cell(key(1));
        usage.credit(cell, &sides(1), Timestamp::new(5, 0));
        usage.credit(cell, &sides(2), Timestamp::new(5_000_000, 0));
        assert!(usage.take_until(Timestamp(u64::MAX), &flows).is_empty());
        let all = usage.take_all();
        assert_eq!((all.len(), all[0].1[&key(1)].bytes()), (1, 3));
    }
}
