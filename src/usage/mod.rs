//! Stage 8, settled flows to counters: bytes by application, service, protocol and evidence, per
//! interval of capture time; and the ledger that proves nothing was lost.
//!
//! The next stages, `record`, `encode` and `export`, write them.

pub mod health;
pub mod ledger;
pub mod links;
pub mod stats;

pub use health::Health;
pub use ledger::Ledger;
pub use stats::Stats;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::app::{AppId, Proto, Service};
use crate::classify::{Named, UnknownReason};
use crate::decode::Packet;
use crate::flow::{Counters, PerSide, Side};
use crate::time::Timestamp;
use crate::verdict::Evidence;

/// What volume is counted under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Whose service it is.
    pub app: Option<AppId>,
    /// What is done inside it.
    pub service: Option<Service>,
    /// What is spoken.
    pub proto: Option<Proto>,
    /// How the name was established.
    pub evidence: Option<Evidence>,
    /// Why there is no name.
    pub unknown: Option<UnknownReason>,
}

impl From<&Named> for CellKey {
    fn from(named: &Named) -> Self {
        Self {
            app: named.app,
            service: named.service,
            proto: named.proto,
            evidence: named.evidence,
            unknown: named.unknown,
        }
    }
}

/// A [`CellKey`]'s place in one worker's [`Usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(u32);

/// What was counted in a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Volume sent by each side.
    pub sides: PerSide<Counters>,
    /// Flows that settled.
    pub flows: u64,
}

impl Totals {
    /// Adds what another counted.
    pub const fn add(&mut self, other: &Self) {
        self.sides.client.add(&other.sides.client);
        self.sides.server.add(&other.sides.server);
        self.flows += other.flows;
    }

    /// Bytes of both sides.
    pub const fn bytes(&self) -> u64 {
        self.sides.client.bytes + self.sides.server.bytes
    }

    /// Packets of both sides.
    pub const fn packets(&self) -> u64 {
        self.sides.client.packets + self.sides.server.packets
    }
}

/// The cells of one interval, by key.
pub type Cells = BTreeMap<CellKey, Totals>;

/// The cells of clients, by address and key.
pub type Clients = BTreeMap<(IpAddr, CellKey), Totals>;

/// What a run found.
#[derive(Debug, Default)]
pub struct Summary {
    /// Volume by name, over all intervals.
    pub cells: Cells,
    /// Volume by client and name, if asked for.
    pub clients: Clients,
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
}

/// What [`Usage`] counts besides the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Length of an interval of capture time; `None`: one interval for everything.
    pub interval: Option<Duration>,
    /// Keep totals for each client address.
    pub clients: bool,
}

/// Client addresses kept; the volume of any further ones is counted under the unspecified address.
const MAX_CLIENTS: usize = 1 << 18;

/// Different names counted apart; what further ones count goes under the application, or else the
/// reason, alone.
const MAX_CELLS: usize = 1 << 16;

/// Intervals open at a time that room is reckoned for: the one that goes on, one that is late, and
/// one on its way out.
const INTERVALS: usize = 3;

/// The counters of one worker.
#[derive(Debug)]
pub struct Usage {
    config: Config,
    ids: HashMap<CellKey, CellId, RandomState>,
    keys: Vec<CellKey>,
    /// The interval most packets fall in, and its start.
    current: (Timestamp, Vec<Totals>),
    /// Other intervals that are not closed yet.
    open: BTreeMap<Timestamp, Vec<Totals>>,
    /// Intervals before this one are closed: what is late is counted in this one.
    closed_until: Timestamp,
    clients: HashMap<(IpAddr, CellId), Totals, RandomState>,
}

impl Usage {
    /// Counters at zero.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            ids: HashMap::default(),
            keys: Vec::new(),
            current: (Timestamp::default(), Vec::new()),
            open: BTreeMap::new(),
            closed_until: Timestamp::default(),
            clients: HashMap::default(),
        }
    }

    /// The most bytes that one worker's counters take; twice that, where what they counted is
    /// handed on as a whole.
    pub fn memory_limit(config: &Config) -> usize {
        // Applications and reasons alone come on top of the cells.
        let cells = MAX_CELLS + u16::MAX as usize + UnknownReason::ALL.len();
        // A map has a power of two of buckets, seven eighths full, with one control byte each.
        let buckets = |entries: usize| (entries * 8 / 7 + 1).next_power_of_two();
        let names = buckets(cells) * (size_of::<(CellKey, CellId)>() + 1)
            + 2 * cells * size_of::<CellKey>();
        let counted = INTERVALS * 2 * cells * size_of::<Totals>();
        let clients = if config.clients {
            // Beyond the limit only the unspecified address has new cells.
            buckets(MAX_CLIENTS + cells) * (size_of::<((IpAddr, CellId), Totals)>() + 1)
        } else {
            0
        };
        names + counted + clients
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
            CellId(u32::try_from(keys.len() - 1).unwrap_or(u32::MAX))
        })
    }

    /// Counts a packet of a settled flow.
    #[inline]
    pub fn count(&mut self, cell: CellId, side: Side, packet: &Packet<'_>) {
        if let Some(totals) = self.totals(cell, packet.at) {
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

    /// Counts what waited for a settled flow at `at`.
    pub fn add(&mut self, cell: CellId, waited: &PerSide<Counters>, at: Timestamp) {
        if let Some(totals) = self.totals(cell, at) {
            totals.add(&Totals {
                sides: *waited,
                flows: 0,
            });
        }
    }

    /// Counts a finished flow for its client, if clients are kept.
    pub fn count_client(&mut self, client: IpAddr, cell: CellId, sides: &PerSide<Counters>) {
        if !self.config.clients {
            return;
        }
        let full = self.clients.len() >= MAX_CLIENTS;
        let client = if full && !self.clients.contains_key(&(client, cell)) {
            IpAddr::from([0, 0, 0, 0])
        } else {
            client
        };
        let totals = self.clients.entry((client, cell)).or_default();
        totals.add(&Totals {
            sides: *sides,
            flows: 1,
        });
    }

    /// Closes and takes all intervals that end by `until`.
    pub fn take_until(&mut self, until: Timestamp) -> Vec<(Timestamp, Cells)> {
        let Some(length) = self.config.interval else {
            return Vec::new();
        };
        let floor = until.floor(length);
        if floor <= self.closed_until {
            return Vec::new();
        }
        self.closed_until = floor;
        self.store_current();
        let later = self.open.split_off(&floor);
        let closed = std::mem::replace(&mut self.open, later);
        closed
            .into_iter()
            .map(|(start, totals)| (start, self.named(&totals)))
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

    /// Takes all intervals that are left; the next may be of any time.
    pub fn take_all(&mut self) -> Vec<(Timestamp, Cells)> {
        self.store_current();
        self.closed_until = Timestamp::default();
        let open = std::mem::take(&mut self.open);
        open.into_iter()
            .map(|(start, totals)| (start, self.named(&totals)))
            .collect()
    }

    /// Takes the clients' totals.
    pub fn take_clients(&mut self) -> Clients {
        let clients = std::mem::take(&mut self.clients);
        let key = |id: CellId| self.keys.get(id.0 as usize).copied().unwrap_or_default();
        clients
            .into_iter()
            .map(|((ip, id), totals)| ((ip, key(id)), totals))
            .collect()
    }

    #[inline]
    fn totals(&mut self, cell: CellId, at: Timestamp) -> Option<&mut Totals> {
        if let Some(length) = self.config.interval {
            let start = at.floor(length).max(self.closed_until);
            if start != self.current.0 {
                self.store_current();
                self.current = (start, self.open.remove(&start).unwrap_or_default());
            }
        }
        let place = cell.0 as usize;
        if place >= self.current.1.len() {
            self.current
                .1
                .resize(self.keys.len().max(place + 1), Totals::default());
        }
        self.current.1.get_mut(place)
    }

    fn store_current(&mut self) {
        let (start, totals) = std::mem::take(&mut self.current);
        if !totals.is_empty() {
            self.open.insert(start, totals);
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
        let minute = Duration::from_secs(60);
        let mut usage = Usage::new(Config {
            interval: Some(minute),
            clients: false,
        });
        let (a, b) = (usage.cell(key(1)), usage.cell(key(2)));
        for (cell, at, bytes) in [(a, 10, 1), (b, 70, 10), (a, 20, 100), (a, 130, 1000)] {
            usage.credit(cell, &sides(bytes), Timestamp::new(at, 0));
        }
        let closed = usage.take_until(Timestamp::new(65, 0));
        assert_eq!(closed.len(), 1);
        assert_eq!(
            closed[0].1[&key(1)].bytes(),
            101,
            "out of order, but not late"
        );
        usage.credit(b, &sides(7), Timestamp::new(5, 0));
        assert!(
            usage.take_until(Timestamp::new(119, 0)).is_empty(),
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
        let mut usage = Usage::new(Config::default());
        let cell = usage.cell(key(1));
        usage.credit(cell, &sides(1), Timestamp::new(5, 0));
        usage.credit(cell, &sides(2), Timestamp::new(5_000_000, 0));
        assert!(usage.take_until(Timestamp(u64::MAX)).is_empty());
        let all = usage.take_all();
        assert_eq!((all.len(), all[0].1[&key(1)].bytes()), (1, 3));
    }
}
