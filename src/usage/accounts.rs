//! Accounts: what each subject has sent and got, by name and interval.
//!
//! A packet of a settled flow changes the flow's own counters only. What they have grown by since
//! the last time is added to the flow's account when its first packet of another interval comes,
//! when its interval closes and when it ends. Accounts have a limit: beyond it the subjects with the
//! least volume are put together.

use std::collections::BTreeMap;
use std::mem;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::cell::{CellId, CellKey, Cells, INTERVALS, Totals, buckets};
use super::subject::{Subject, Subjects};
use crate::classify::UnknownReason;
use crate::decode::Packet;
use crate::flow::{Attachment, Counters, Flow, FlowTable, PerSide, Side, Slot};
use crate::time::Timestamp;

/// Where a settled flow's account is, kept in the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountRef {
    /// The place of its [`Part`] from 1; 0: none.
    part: u32,
    /// The [`Usage::epoch`](super::Usage::epoch) in which its latest packet came.
    pub(super) epoch: u32,
}

/// What a flow adds to its account.
#[derive(Clone, Copy, Debug)]
struct Part {
    subject: Subject,
    cell: CellId,
    /// The subject is the end that is lower in the flow's key: sides may turn around.
    is_low: bool,
    is_live: bool,
    /// The flow's place in its table, once a packet has come after it settled.
    slot: Option<Slot>,
    /// The interval that what is not counted yet is of.
    start: Timestamp,
    /// What is counted already: sent by the subject, and to it.
    counted: PerSide<Counters>,
}

/// Totals of subjects: what they sent stands as the client's, what they got as the server's.
type Open = HashMap<(Subject, CellId), Totals, RandomState>;

/// The accounts of one worker.
#[derive(Debug)]
pub(super) struct Accounts {
    subjects: Subjects,
    /// Accounts of an interval beyond which subjects are put together.
    most: usize,
    parts: Vec<Part>,
    free: Vec<u32>,
    open: BTreeMap<Timestamp, Open>,
}

/// A worker puts subjects together only when an interval has this many times the accounts that are
/// kept of all workers together: the smallest of all are not the smallest of each.
const SLACK: usize = 2;

impl Accounts {
    pub(super) fn new(subjects: Subjects, max_accounts: usize) -> Self {
        Self {
            subjects,
            most: max_accounts.max(1).saturating_mul(SLACK),
            parts: Vec::new(),
            free: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    /// The most bytes that one worker's accounts take, with so many flows.
    pub(super) fn memory_limit(max_accounts: usize, max_flows: usize) -> usize {
        let one = buckets(max_accounts.saturating_mul(SLACK))
            .saturating_mul(size_of::<((Subject, CellId), Totals)>() + 1);
        // Handed on they are in trees, with nodes half full.
        let handed_on = max_accounts
            .saturating_mul(SLACK)
            .saturating_mul(2 * size_of::<(CellKey, Totals)>());
        // A list that grows is there twice for a moment.
        let parts = max_flows.saturating_mul(2 * (size_of::<Part>() + size_of::<u32>()));
        INTERVALS
            .saturating_mul(one)
            .saturating_add(handed_on)
            .saturating_add(parts)
    }

    /// A flow has settled: all it has counted so far goes to its account in the interval at `start`.
    pub(super) fn settle<T>(
        &mut self,
        cell: CellId,
        flow: &Flow<T>,
        start: Timestamp,
    ) -> AccountRef {
        let (subject, side) = self
            .subjects
            .find(flow.ip(Side::Client), flow.ip(Side::Server));
        let is_low = (side == Side::Client) == flow.client_is_low();
        let counted = ends(flow, is_low);
        self.add(
            start,
            (subject, cell),
            &Totals {
                sides: counted,
                flows: 1,
            },
        );
        let part = Part {
            subject,
            cell,
            is_low,
            is_live: true,
            slot: None,
            start,
            counted,
        };
        let place = match self.free.pop() {
            Some(place) => {
                if let Some(free) = self.parts.get_mut(place as usize) {
                    *free = part;
                }
                place
            }
            None => {
                self.parts.push(part);
                u32::try_from(self.parts.len() - 1).unwrap_or(u32::MAX)
            }
        };
        AccountRef {
            part: place.saturating_add(1),
            epoch: 0,
        }
    }

    /// The first packet of a settled flow since another interval was counted in, of the interval at
    /// `start`. The packet is counted in the flow, and not yet in its account.
    pub(super) fn turn<T>(
        &mut self,
        account: AccountRef,
        flow: &Flow<T>,
        slot: Slot,
        (packet, side): (&Packet<'_>, Side),
        start: Timestamp,
    ) {
        let Some(part) = part_mut(&mut self.parts, account) else {
            return;
        };
        part.slot = Some(slot);
        if part.start == start {
            return;
        }
        let mut before = ends(flow, part.is_low);
        let mut packets = Counters::default();
        packets.count(packet);
        let is_subject = (side == Side::Client) == (flow.client_is_low() == part.is_low);
        let sender = if is_subject {
            Side::Client
        } else {
            Side::Server
        };
        before[sender] = before[sender].since(&packets);
        let was = mem::replace(&mut part.start, start);
        self.bring_up(account, before, was);
    }

    /// A flow ends or takes in packets at another time: what it has counted up to now goes to its
    /// account.
    pub(super) fn bring<T>(&mut self, account: AccountRef, flow: &Flow<T>) {
        if let Some(&mut Part { is_low, start, .. }) = part_mut(&mut self.parts, account) {
            self.bring_up(account, ends(flow, is_low), start);
        }
    }

    /// What the flow counts from now on is of the interval at `start`.
    pub(super) fn move_to(&mut self, account: AccountRef, start: Timestamp) {
        if let Some(part) = part_mut(&mut self.parts, account) {
            part.start = start;
        }
    }

    /// The subject of a flow: of its account, or, before it has one, the one it would have now.
    pub(super) fn subject<T>(&self, account: AccountRef, flow: &Flow<T>) -> Subject {
        let place = (account.part as usize).checked_sub(1);
        match place.and_then(|place| self.parts.get(place)) {
            Some(part) => part.subject,
            None => {
                let (client, server) = (flow.ip(Side::Client), flow.ip(Side::Server));
                self.subjects.find(client, server).0
            }
        }
    }

    /// A flow has ended.
    pub(super) fn release(&mut self, account: AccountRef) {
        if let Some(part) = part_mut(&mut self.parts, account) {
            part.is_live = false;
            self.free.push(account.part - 1);
        }
    }

    /// Brings up to date the accounts of all flows that have counted in intervals before `floor`.
    pub(super) fn bring_all<T: Attachment>(&mut self, floor: Timestamp, flows: &FlowTable<T>) {
        for place in 0..self.parts.len() {
            let Some(part) = self.parts.get(place) else {
                continue;
            };
            if part.is_live
                && part.start < floor
                && let Some(flow) = part.slot.and_then(|slot| flows.at(slot))
            {
                let now = ends(flow, part.is_low);
                let account = AccountRef {
                    part: u32::try_from(place + 1).unwrap_or_default(),
                    epoch: 0,
                };
                self.bring_up(account, now, part.start);
            }
        }
    }

    /// Takes the accounts of the interval at `start`, whose `names` have counted so much.
    pub(super) fn take(&mut self, start: Timestamp, keys: &[CellKey], names: &[Totals]) -> Cells {
        by_subject(self.open.remove(&start).unwrap_or_default(), keys, names)
    }

    /// All accounts that have not been taken, whose `names` have counted so much.
    pub(super) fn so_far(&self, keys: &[CellKey], names: &[Totals]) -> Cells {
        let mut all = Open::default();
        for (key, totals) in self.open.values().flatten() {
            all.entry(*key).or_default().add(totals);
        }
        by_subject(all, keys, names)
    }

    fn bring_up(&mut self, account: AccountRef, now: PerSide<Counters>, start: Timestamp) {
        let Some(part) = part_mut(&mut self.parts, account) else {
            return;
        };
        let before = mem::replace(&mut part.counted, now);
        let sides = PerSide {
            client: now.client.since(&before.client),
            server: now.server.since(&before.server),
        };
        let key = (part.subject, part.cell);
        if sides != PerSide::default() {
            self.add(start, key, &Totals { sides, flows: 0 });
        }
    }

    fn add(&mut self, start: Timestamp, key: (Subject, CellId), totals: &Totals) {
        let open = self.open.entry(start).or_default();
        open.entry(key).or_default().add(totals);
        if open.len() > self.most {
            // To half of it, so that this is done seldom.
            let all = mem::take(open);
            *open = Open::default();
            for (key, totals) in put_together(all, self.most / SLACK, |key| &mut key.0).0 {
                open.entry(key).or_default().add(&totals);
            }
        }
    }
}

/// Accounts by name. What the `names` have counted beyond them is nobody's: packets without a place
/// in the flow table.
fn by_subject(accounts: Open, keys: &[CellKey], names: &[Totals]) -> Cells {
    let mut rest = names.to_vec();
    let mut cells = Cells::new();
    let key = |cell: CellId| keys.get(cell.place()).copied().unwrap_or_default();
    for ((subject, cell), totals) in accounts {
        let key = CellKey {
            subject: Some(subject),
            ..key(cell)
        };
        cells.entry(key).or_default().add(&totals);
        if let Some(rest) = rest.get_mut(cell.place()) {
            take_away(rest, &totals);
        }
    }
    for (&name, rest) in keys.iter().zip(rest) {
        if rest != Totals::default() {
            debug_assert_eq!(name.unknown, Some(UnknownReason::TableFull), "{rest:?}");
            let key = CellKey {
                subject: Some(Subject::Nobody),
                ..name
            };
            cells.entry(key).or_default().add(&rest);
        }
    }
    cells
}

fn part_mut(parts: &mut [Part], account: AccountRef) -> Option<&mut Part> {
    parts.get_mut((account.part as usize).checked_sub(1)?)
}

/// What the subject of `flow` sent, and what it got.
fn ends<T>(flow: &Flow<T>, is_low: bool) -> PerSide<Counters> {
    if flow.client_is_low() == is_low {
        flow.counters
    } else {
        PerSide {
            client: flow.counters.server,
            server: flow.counters.client,
        }
    }
}

/// Takes volume away whatever its direction: a subject's is its own, a name's the client's.
fn take_away(rest: &mut Totals, counted: &Totals) {
    rest.flows = rest.flows.saturating_sub(counted.flows);
    let mut sum = rest.sides.client;
    sum.add(&rest.sides.server);
    let mut gone = counted.sides.client;
    gone.add(&counted.sides.server);
    rest.sides = PerSide {
        client: sum.since(&gone),
        server: Counters::default(),
    };
}

/// Puts together the subjects with the least volume, so that at most `most` accounts are left beside
/// those of [`Subject::Other`] and [`Subject::Nobody`]; also how many subjects went into it.
fn put_together<K: Ord>(
    accounts: impl IntoIterator<Item = (K, Totals)>,
    most: usize,
    subject_of: impl Fn(&mut K) -> &mut Subject,
) -> (BTreeMap<K, Totals>, u64) {
    let mut accounts: Vec<(K, Totals)> = accounts.into_iter().collect();
    let mut subjects: BTreeMap<Subject, (u64, usize)> = BTreeMap::new();
    for (key, totals) in &mut accounts {
        let subject = *subject_of(key);
        if matches!(subject, Subject::Prefix(_)) {
            let (bytes, count) = subjects.entry(subject).or_default();
            *bytes += totals.bytes();
            *count += 1;
        }
    }
    let mut left: usize = subjects.values().map(|&(_, count)| count).sum();
    let mut smallest: Vec<(u64, Subject, usize)> = subjects
        .into_iter()
        .map(|(subject, (bytes, count))| (bytes, subject, count))
        .collect();
    smallest.sort_unstable();
    let mut going = std::collections::BTreeSet::new();
    for (_, subject, count) in smallest {
        if left <= most {
            break;
        }
        left -= count;
        going.insert(subject);
    }
    let mut together: BTreeMap<K, Totals> = BTreeMap::new();
    for (mut key, totals) in accounts {
        let subject = subject_of(&mut key);
        if going.contains(subject) {
            *subject = Subject::Other;
        }
        together.entry(key).or_default().add(&totals);
    }
    (together, going.len() as u64)
}

/// Bounds the accounts of an interval: beyond `max_accounts` the subjects with the least volume are
/// put together. How many these were.
pub fn bound(cells: &mut Cells, max_accounts: usize) -> u64 {
    let accounts = cells
        .keys()
        .filter(|key| matches!(key.subject, Some(Subject::Prefix(_))))
        .count();
    if accounts <= max_accounts {
        return 0;
    }
    // Keys without a subject are no accounts: those of an interval have all one, or none.
    let (kept, gone) = put_together(mem::take(cells), max_accounts, |key| {
        key.subject.get_or_insert_default()
    });
    *cells = kept;
    gone
}
