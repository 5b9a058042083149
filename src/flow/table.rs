//! The flow table: finds or makes the flow of a packet, counts it, ends what is idle.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::attachment::Attachment;
use super::budget::Budget;
use super::config::Config;
use super::conversation::{EndReason, Fate, Flow};
use super::expiry::{Reminder, Wheel};
use super::key::{End, FlowKey};
use super::leaving::Leaving;
use super::opening::Side;
use crate::decode::{Packet, TcpSegment};
use crate::time::Timestamp;

/// A flow's place in its table, as long as it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

/// Where a packet's flow is in the table, and who sent the packet.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    slot: u32,
    /// The sender.
    pub side: Side,
    /// The flow began with this packet.
    pub is_new: bool,
}

impl Touch {
    /// The flow's place.
    pub const fn slot(self) -> Slot {
        Slot(self.slot)
    }
}

/// Where a packet's flow is to be looked for, and who sent the packet.
#[derive(Clone, Copy, Debug)]
pub struct Located {
    /// Identifies the flow.
    pub key: FlowKey,
    /// The sender.
    pub end: End,
    hash: u64,
    /// The flow most likely has this place, if it still is the one that was seen there.
    near: Option<Reminder>,
}

/// Why a packet has no place in a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// The table is full and no flow may leave it.
    Full,
    /// It may begin another connection between the sockets of a flow. What comes next will tell; it
    /// is counted in that flow or in the new one then.
    Held,
}

/// The flows of one worker.
#[derive(Debug)]
pub struct FlowTable<T> {
    config: Config,
    state: RandomState,
    index: HashTable<u32>,
    /// Slots in chunks, so that growth never copies a flow and memory follows the number of flows.
    chunks: Vec<Vec<Option<Flow<T>>>>,
    free: Vec<u32>,
    wheel: Wheel,
    /// Reminders that have come due, and how many of them were looked at.
    due: Vec<Reminder>,
    looked_at: usize,
    /// Flows that have ended and are not shown yet, in their order.
    ended: VecDeque<(u32, EndReason)>,
    /// The one that was shown last. Its place is free when the next one is asked for.
    shown: Option<u32>,
    generation: u32,
    /// What openings take, and what was read in them so far.
    openings: Budget,
    /// What settled flows keep for their records.
    kept: Budget,
    /// The slot to look at next for a flow that may leave a full table.
    hand: usize,
    /// Flows that leave it before.
    leaving: Leaving,
    /// Flows that hold packets of which it is not known whether they are theirs.
    holding: usize,
    /// The flow that was shown last to let go of memory.
    cut: Option<Cut>,
    /// No flow is idle that had a packet so many nanoseconds ago.
    least_idle: u64,
}

/// A flow that was shown to let go of memory, by its slot.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Of its opening, and of what was read in it.
    Opening(u32),
    /// Of what it keeps for its record.
    Kept(u32),
}

const CHUNK: usize = 1024;

/// Flows that end with one packet, at most: the one it does not belong to any more.
const ENDED_AT_ONCE: usize = 1;

/// How many flows are looked at for one that may leave a full table.
const EVICTION_TRIES: usize = 64;

/// A full table keeps one place of so many for attempts: a flood of them takes no more from flows
/// that are more than that, and connections that begin at the same time do not push out each other.
const ATTEMPTS: usize = 16;

/// Flows that may hold packets back at a time. Beyond it, a SYN counts in the flow that is there.
const HOLDING: usize = 128;

/// Bytes of each direction kept of packets that are held back, and what the lists of them take.
const HELD_OPENING: usize = 2 << 10;

/// Reminders there may be for each flow, those of flows that are gone included, and some more, so
/// that forgetting them costs a new flow little.
const REMINDERS: (usize, usize) = (4, 1024);

/// Reminders whose flows are loaded before they are looked at.
const REMINDERS_AHEAD: usize = 32;

/// Flows that have ended that are loaded before they are shown.
const ENDED_AHEAD: usize = 16;

/// Reminders due at once that room is kept for.
const DUE_ROOM: usize = 4096;

impl<T: Attachment> FlowTable<T> {
    /// An empty table.
    pub fn new(config: Config) -> Self {
        Self {
            openings: Budget::new(config.opening_memory),
            kept: Budget::new(config.record_memory),
            least_idle: config.least_idle(),
            config,
            state: RandomState::default(),
            index: HashTable::new(),
            chunks: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            due: Vec::new(),
            looked_at: 0,
            ended: VecDeque::new(),
            shown: None,
            cut: None,
            generation: 0,
            hand: 0,
            leaving: Leaving::default(),
            holding: 0,
        }
    }

    /// How many flows are held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no flow is held.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What the table was made with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Takes idle times and the length of openings from `config`; how much is held stays.
    pub fn pace(&mut self, config: &Config) {
        self.config.opening_bytes = config.opening_bytes;
        self.config.opening_packets = config.opening_packets;
        self.config.tcp_idle = config.tcp_idle;
        self.config.tcp_closed = config.tcp_closed;
        self.config.udp_idle = config.udp_idle;
        self.config.half_open_idle = config.half_open_idle;
        self.least_idle = self.config.least_idle();
    }

    /// Where the flow of `packet` is to be looked for, to be computed for a batch ahead.
    #[inline(always)]
    pub fn locate(&self, packet: &Packet<'_>) -> Located {
        let (key, end) = FlowKey::of(packet, self.config.scope);
        Located {
            key,
            end,
            hash: key.hash_with(&self.state),
            near: None,
        }
    }

    /// Loads what the packets of a batch need of the table, and notes where their flows seem to be.
    ///
    /// In two rounds, of which the second asks for what the first has found: within a round no load
    /// waits for another.
    #[inline]
    pub fn look_ahead(&self, batch: &mut [Option<Located>]) {
        for located in batch.iter_mut().flatten() {
            // Entries with this part of the hash are of other keys seldom enough.
            self.index.find(located.hash, |&slot| {
                located.near = Some(Reminder {
                    slot,
                    generation: 0,
                });
                true
            });
        }
        let mut loaded = 0;
        for located in batch.iter_mut().flatten() {
            if let Some(near) = &mut located.near
                && let Some(flow) = flow_at(&self.chunks, near.slot)
            {
                near.generation = flow.generation;
                loaded ^= flow.warm();
            }
        }
        std::hint::black_box(loaded);
    }

    /// Finds or makes the flow of `packet` and counts the packet in it. A packet that has no place is
    /// counted by the caller.
    ///
    /// A flow that ends on the way is the [next ended](Self::next_ended): it is to be asked for where one
    /// is new, or the packet has no place.
    ///
    /// # Errors
    ///
    /// Why it has no place.
    #[inline(always)]
    pub fn touch(&mut self, packet: &Packet<'_>, located: &Located) -> Result<Touch, Unplaced> {
        let chunks = &self.chunks;
        let has_key = |flow: &Flow<T>| flow.key == located.key;
        let is_there = |near: &Reminder| {
            flow_at(chunks, near.slot)
                .is_some_and(|flow| flow.generation == near.generation && has_key(flow))
        };
        let found = match located.near.filter(is_there) {
            Some(near) => Some(near.slot),
            None => {
                let is_it = |&slot: &u32| flow_at(chunks, slot).is_some_and(has_key);
                self.index.find(located.hash, is_it).copied()
            }
        };
        // Most packets come so soon that how long their flow lasts need not be asked.
        if let Some(slot) = found
            && let Some(flow) = flow_at(chunks, slot)
            && packet.at.0.saturating_sub(flow.last.0) <= self.least_idle
            && flow.surely_goes_on(packet)
        {
            return Ok(self.go_on(slot, packet, located.end));
        }
        self.touch_with_care(packet, located, found)
    }

    /// The same as [`FlowTable::touch`], for what begins, ends or belongs to another connection.
    #[inline(never)]
    fn touch_with_care(
        &mut self,
        packet: &Packet<'_>,
        &Located { key, end, hash, .. }: &Located,
        found: Option<u32>,
    ) -> Result<Touch, Unplaced> {
        debug_assert!(
            self.ended.is_empty(),
            "flows have ended and were not asked for"
        );
        let mut next = None;
        if let Some(slot) = found
            && let Some(flow) = flow_at_mut(&mut self.chunks, slot)
        {
            let is_idle = packet.at.0.saturating_sub(flow.last.0) > self.least_idle
                && packet.at.since(flow.last) > flow.idle(&self.config);
            let fate = if is_idle {
                Fate::Over(EndReason::Idle)
            } else {
                flow.fate(packet, end)
            };
            let reason = match fate {
                Fate::GoesOn => return Ok(self.count_in(slot, packet, end)),
                Fate::Joined => {
                    flow.join_held();
                    self.holding -= 1;
                    // The beginning it goes on with may be no more than an attempt.
                    let becomes_slight = flow.may_leave_first() && !flow.is_slight;
                    let touch = self.count_in(slot, packet, end);
                    if becomes_slight {
                        self.change(slot, packet.at);
                    }
                    return Ok(touch);
                }
                Fate::Held if flow.held.is_none() && self.holding >= HOLDING => {
                    return Ok(self.count_in(slot, packet, end));
                }
                Fate::Held => {
                    self.holding += usize::from(flow.held.is_none());
                    let config = Config {
                        opening_bytes: self.config.opening_bytes.min(HELD_OPENING),
                        ..self.config.clone()
                    };
                    flow.hold(packet, end, &config);
                    return Err(Unplaced::Held);
                }
                Fate::Over(reason) => {
                    if is_syn(packet) && !is_idle {
                        next = flow.held.take();
                    }
                    reason
                }
                Fate::Succeeded => {
                    next = flow.held.take();
                    EndReason::Reused
                }
            };
            self.holding -= usize::from(next.is_some());
            self.remove(slot, hash, reason);
        }
        if self.index.len() >= self.config.max_flows {
            let slot = self.first_to_leave(packet);
            let slot = slot.ok_or(Unplaced::Full)?;
            if let Some(flow) = flow_at(&self.chunks, slot) {
                let hash = flow.key.hash_with(&self.state);
                self.remove(slot, hash, EndReason::Evicted);
            }
        }
        self.generation = self.generation.wrapping_add(1);
        let flow = match next {
            Some(held) => *held,
            None => Flow::new(packet, key, end),
        };
        Ok(self.insert(flow, packet, end, hash))
    }

    /// Counts a packet in the flow in `slot`.
    #[inline(always)]
    fn go_on(&mut self, slot: u32, packet: &Packet<'_>, end: End) -> Touch {
        let mut side = Side::Client;
        if let Some(flow) = flow_at_mut(&mut self.chunks, slot) {
            let was_closed = flow.is_closed();
            side = flow.count(packet, end);
            // Once it is more than an attempt it is never again, but for those it joins.
            if flow.is_closed() != was_closed || flow.is_slight && !flow.may_leave_first() {
                self.change(slot, packet.at);
            }
        }
        Touch {
            slot,
            side,
            is_new: false,
        }
    }

    /// The same, where that is not what most packets need.
    #[inline(never)]
    fn count_in(&mut self, slot: u32, packet: &Packet<'_>, end: End) -> Touch {
        self.go_on(slot, packet, end)
    }

    /// The flow in `slot` has come to stand, or has ended.
    #[cold]
    fn change(&mut self, slot: u32, at: Timestamp) {
        let Some(flow) = flow_at_mut(&mut self.chunks, slot) else {
            return;
        };
        let reminder = Reminder {
            slot,
            generation: flow.generation,
        };
        // Once: who makes a connection end and go on again and again gets no entry for each time.
        let is_slight = flow.may_leave_first() && !flow.has_turned;
        let was_slight = std::mem::replace(&mut flow.is_slight, is_slight);
        if is_slight {
            flow.has_turned = true;
            // It is idle sooner than the reminder it has.
            let until = flow.last.after(flow.idle(&self.config));
            self.wheel.remind(reminder, at, until);
        }
        match (was_slight, is_slight) {
            (true, false) => self.leaving.release(),
            (false, true) => self.add_leaving(reminder),
            _ => {}
        }
    }

    fn add_leaving(&mut self, flow: Reminder) {
        let (chunks, flows) = (&self.chunks, self.index.len());
        let max_flows = self.config.max_flows;
        let begins = self
            .leaving
            .add(flow, flows, max_flows, |entry| is_slight(chunks, entry));
        if begins {
            self.begin_leaving();
        }
    }

    #[cold]
    fn begin_leaving(&mut self) {
        let slight = self.oldest_first(|flow| flow.is_slight);
        self.leaving.begin(slight.into_iter());
    }

    /// The flows for which `wanted` holds, in the order they began.
    #[cold]
    fn oldest_first(&self, wanted: impl Fn(&Flow<T>) -> bool) -> Vec<Reminder> {
        let mut flows = Vec::new();
        for (slot, flow) in (0..).zip(self.chunks.iter().flatten()) {
            if let Some(flow) = flow.as_ref().filter(|flow| wanted(flow)) {
                let generation = flow.generation;
                flows.push((flow.first_number, Reminder { slot, generation }));
            }
        }
        flows.sort_unstable_by_key(|&(number, _)| number);
        flows.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The flow with this key, if it is held.
    pub fn find(&self, key: &FlowKey) -> Option<&Flow<T>> {
        let flow = |slot: u32| flow_at(&self.chunks, slot).filter(|flow| flow.key == *key);
        let found = self
            .index
            .find(key.hash_with(&self.state), |&slot| flow(slot).is_some());
        found.and_then(|&slot| flow(slot))
    }

    /// The flow in this place.
    pub fn at(&self, slot: Slot) -> Option<&Flow<T>> {
        flow_at(&self.chunks, slot.0)
    }

    /// The flow of a packet just touched.
    #[inline]
    pub fn flow(&mut self, touch: Touch) -> Option<&mut Flow<T>> {
        flow_at_mut(&mut self.chunks, touch.slot)
    }

    /// Notes what the flow of a packet just read has come to take: its opening, and what `read`
    /// tells was learned from it. Called after each packet of a flow that had not settled before.
    ///
    /// That may be more than there is room for: see [`FlowTable::next_to_cut`].
    pub fn book(&mut self, touch: Touch) {
        self.note(touch.slot);
    }

    /// The next flow that has to let go of memory; to be asked for after [`FlowTable::book`] until there
    /// is none.
    ///
    /// While all openings together take more than they may, it is the flow whose opening began first,
    /// which is to settle by what it has shown. While settled flows keep more than they may, it is the
    /// one that settled first, which is to let go of what it keeps. Of those that were there when
    /// half of the room was taken, the flow that began first counts as the first.
    pub fn next_to_cut(&mut self) -> Option<&mut Flow<T>> {
        match self.cut.take() {
            Some(Cut::Opening(slot)) => {
                if let Some(flow) = flow_at_mut(&mut self.chunks, slot) {
                    flow.drop_opening();
                }
                self.note(slot);
            }
            Some(Cut::Kept(slot)) => {
                if let Some(flow) = flow_at_mut(&mut self.chunks, slot) {
                    self.kept.release(std::mem::take(&mut flow.kept));
                }
            }
            None => {}
        }
        // Most runs never come near their limits.
        if !self.openings.is_near() && !self.kept.is_near() {
            return None;
        }
        self.cut = self.first_to_cut();
        let (Cut::Opening(slot) | Cut::Kept(slot)) = self.cut?;
        flow_at_mut(&mut self.chunks, slot)
    }

    fn first_to_cut(&mut self) -> Option<Cut> {
        if self.openings.begins() {
            let flows = self.oldest_first(|flow| flow.charged > 0);
            self.openings.begin(flows.into_iter());
        }
        while self.openings.is_exceeded()
            && let Some(oldest) = self.openings.oldest()
        {
            if flow_at(&self.chunks, oldest.slot).is_some_and(|flow| flow.opens(oldest)) {
                return Some(Cut::Opening(oldest.slot));
            }
        }
        if self.kept.begins() {
            let flows = self.oldest_first(|flow| flow.kept > 0);
            self.kept.begin(flows.into_iter());
        }
        while self.kept.is_exceeded()
            && let Some(oldest) = self.kept.oldest()
        {
            if flow_at(&self.chunks, oldest.slot).is_some_and(|flow| flow.keeps(oldest)) {
                return Some(Cut::Kept(oldest.slot));
            }
        }
        let chunks = &self.chunks;
        self.openings
            .tidy(|entry| flow_at(chunks, entry.slot).is_some_and(|flow| flow.opens(entry)));
        self.kept
            .tidy(|entry| flow_at(chunks, entry.slot).is_some_and(|flow| flow.keeps(entry)));
        None
    }

    /// Books what the flow in `slot` takes now.
    fn note(&mut self, slot: u32) {
        let Some(flow) = flow_at_mut(&mut self.chunks, slot) else {
            return;
        };
        let small = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        let (charged, kept) = match (flow.opening_memory(), flow.class.memory()) {
            (0, kept) => (0, small(kept)),
            (opening, read) => (small(opening + read), 0),
        };
        let entry = Reminder {
            slot,
            generation: flow.generation,
        };
        let before = std::mem::replace(&mut flow.charged, charged);
        self.openings.change(entry, before, charged);
        let before = std::mem::replace(&mut flow.kept, kept);
        self.kept.change(entry, before, kept);
    }

    /// Bytes that openings take, and what was read in them; and what settled flows keep.
    pub const fn memory(&self) -> (usize, usize) {
        (self.openings.held(), self.kept.held())
    }

    /// The most bytes a table of `config` can take; openings, and what settled flows keep, left
    /// aside.
    pub fn memory_limit(config: &Config) -> usize {
        let flows = config.max_flows;
        let slots = flows.saturating_add(ENDED_AT_ONCE).div_ceil(CHUNK) * CHUNK;
        // Growing lists may have twice the room they need.
        let list = |entries: usize, size: usize| entries.saturating_mul(2 * size);
        // hashbrown: a power of two of buckets, seven eighths full, one control byte each; while it
        // grows, there are the old ones and twice as many new ones.
        let buckets = (flows.saturating_mul(8) / 7 + 1).next_power_of_two();
        let (each, more) = REMINDERS;
        let reminders = flows.saturating_mul(each).saturating_add(more);
        let parts = [
            slots.saturating_mul(size_of::<Option<Flow<T>>>()),
            list(slots / CHUNK, size_of::<Vec<Option<Flow<T>>>>()),
            buckets.saturating_mul(size_of::<u32>() + 1) / 2 * 3,
            list(flows, size_of::<u32>()),
            // In the wheel and, all at once, due.
            list(reminders, 2 * size_of::<Reminder>()),
            Wheel::EMPTY,
            Budget::memory_limit(flows),
            Budget::memory_limit(flows),
            Leaving::memory_limit(flows),
            HOLDING.saturating_mul(size_of::<Flow<T>>() + 3 * HELD_OPENING),
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// The next flow that has ended, and why: with a packet whose flow is new or that has no place, after
    /// [`FlowTable::expire`] or [`FlowTable::finish`].
    ///
    /// It is shown where it is, as flows are large, and gone when the next one is asked for.
    pub fn next_ended(&mut self) -> Option<(&mut Flow<T>, EndReason)> {
        self.forget_shown();
        if self.ended.len().is_multiple_of(ENDED_AHEAD) {
            self.load(self.ended.iter().take(ENDED_AHEAD).map(|&(slot, _)| slot));
        }
        let Some((slot, otherwise)) = self.ended.pop_front() else {
            if self.index.is_empty() {
                self.chunks = Vec::new();
                self.free = Vec::new();
                self.ended = VecDeque::new();
            }
            return None;
        };
        self.shown = Some(slot);
        let flow = flow_at_mut(&mut self.chunks, slot)?;
        let reason = flow.end_reason(otherwise);
        Some((flow, reason))
    }

    /// Loads what the flows in these places need at their end, so that the loads overlap.
    #[inline]
    fn load(&self, slots: impl Iterator<Item = u32>) {
        let loaded = slots.fold(0, |read, slot| {
            read ^ flow_at(&self.chunks, slot).map_or(0, Flow::warm_whole)
        });
        std::hint::black_box(loaded);
    }

    fn forget_shown(&mut self) {
        if let Some(slot) = self.shown.take() {
            if let Some(place) = place_mut(&mut self.chunks, slot) {
                *place = None;
            }
            self.free.push(slot);
        }
    }

    /// Ends some of the flows that are idle at `now`. To be called again while it says that there may be
    /// more; [`FlowTable::next_ended`] shows those that have ended so far.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        if self.due.is_empty() {
            self.wheel.take_due(now, &mut self.due);
        }
        let next = self.due.len().min(self.looked_at + REMINDERS_AHEAD);
        let reminders = self.due.get(self.looked_at..next).unwrap_or_default();
        // They have been quiet for long: loading all at once takes hardly longer than one.
        self.load(reminders.iter().map(|reminder| reminder.slot));
        let mut over = [None; REMINDERS_AHEAD];
        for (over, &reminder) in over.iter_mut().zip(reminders) {
            let flow = flow_at(&self.chunks, reminder.slot);
            let Some(flow) = flow.filter(|flow| flow.generation == reminder.generation) else {
                continue;
            };
            let until = flow.last.after(flow.idle(&self.config));
            if Wheel::is_over(until, now) {
                *over = Some((flow.key.hash_with(&self.state), reminder));
            } else {
                self.wheel.remind(reminder, now, until);
            }
        }
        let over = over.iter().flatten();
        let loaded = over.clone().fold(false, |read, (hash, reminder)| {
            read ^ self
                .index
                .find(*hash, |&slot| slot == reminder.slot)
                .is_some()
        });
        std::hint::black_box(loaded);
        for &(hash, Reminder { slot, generation }) in over {
            // A flow may have had several reminders for one second.
            let flow = flow_at(&self.chunks, slot);
            if flow.is_some_and(|flow| flow.generation == generation) {
                self.remove(slot, hash, EndReason::Idle);
            }
        }
        self.looked_at = next;
        if next < self.due.len() {
            return true;
        }
        self.due.clear();
        self.due.shrink_to(DUE_ROOM);
        self.looked_at = 0;
        false
    }

    /// Ends all flows, in the order they began, for the reason `otherwise` where they have none of
    /// their own; [`FlowTable::next_ended`] shows them. The table can be used again then, with times from
    /// before as well.
    pub fn finish(&mut self, otherwise: EndReason) {
        self.forget_shown();
        self.index = HashTable::new();
        self.wheel = Wheel::new();
        self.due = Vec::new();
        self.looked_at = 0;
        self.openings = Budget::new(self.config.opening_memory);
        self.kept = Budget::new(self.config.record_memory);
        self.hand = 0;
        self.leaving = Leaving::default();
        self.holding = 0;
        let mut order: Vec<(u64, u32)> = Vec::new();
        for (slot, flow) in (0..).zip(self.chunks.iter().flatten()) {
            order.extend(flow.as_ref().map(|flow| (flow.first_number, slot)));
        }
        order.sort_unstable();
        let order = order.into_iter();
        self.ended = order.map(|(_, slot)| (slot, otherwise)).collect();
    }

    /// Puts in a flow, and counts in it the packet it begins with, or goes on with.
    fn insert(&mut self, mut flow: Flow<T>, packet: &Packet<'_>, end: End, hash: u64) -> Touch {
        flow.generation = self.generation;
        let side = flow.count(packet, end);
        flow.is_slight = flow.may_leave_first();
        let until = flow.last.after(flow.idle(&self.config));
        let is_slight = flow.is_slight;
        let slot = self.store(flow);
        let (chunks, state) = (&self.chunks, &self.state);
        self.index.insert_unique(hash, slot, |&slot| {
            flow_at(chunks, slot).map_or(0, |flow| flow.key.hash_with(state))
        });
        let reminder = Reminder {
            slot,
            generation: self.generation,
        };
        if is_slight {
            self.add_leaving(reminder);
        }
        self.wheel.remind(reminder, packet.at, until);
        let (each, more) = REMINDERS;
        if self.wheel.len() > each * self.index.len() + more {
            // Many flows came and went while little time passed.
            let chunks = &self.chunks;
            self.wheel.retain(|reminder| {
                flow_at(chunks, reminder.slot)
                    .is_some_and(|flow| flow.generation == reminder.generation)
            });
        }
        Touch {
            slot,
            side,
            is_new: true,
        }
    }

    fn store(&mut self, flow: Flow<T>) -> u32 {
        if let Some(slot) = self.free.pop() {
            if let Some(place) = place_mut(&mut self.chunks, slot) {
                *place = Some(flow);
            }
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.len() - 1;
        let mut slot = 0;
        if let Some(last) = self.chunks.last_mut() {
            slot = chunk * CHUNK + last.len();
            last.push(Some(flow));
        }
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    /// Ends the flow in `slot`, whose key has this `hash`, for the reason `otherwise` where it has
    /// none of its own. It keeps its place until it was shown.
    fn remove(&mut self, slot: u32, hash: u64, otherwise: EndReason) {
        let Some(flow) = flow_at_mut(&mut self.chunks, slot) else {
            return;
        };
        // Reminders and entries of it are of a flow that is gone.
        self.generation = self.generation.wrapping_add(1);
        flow.generation = self.generation;
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.openings.release(std::mem::take(&mut flow.charged));
        self.kept.release(std::mem::take(&mut flow.kept));
        if std::mem::take(&mut flow.is_slight) {
            self.leaving.release();
        }
        self.holding -= usize::from(flow.held.is_some());
        self.ended.push_back((slot, otherwise));
    }

    /// The flow that leaves a full table for that of `packet`: the attempt that is oldest, unless
    /// there are few; else the settled flow that has been quiet longest; else an attempt all the
    /// same, and for a packet with a payload one that still opens.
    fn first_to_leave(&mut self, packet: &Packet<'_>) -> Option<u32> {
        let few = (self.config.max_flows / ATTEMPTS).max(1);
        if self.leaving.count() > few
            && let Some(slot) = self.oldest_leaving()
        {
            return Some(slot);
        }
        let (quiet, opens) = self.quietest();
        quiet
            .or_else(|| self.oldest_leaving())
            .or_else(|| opens.filter(|_| packet.payload_len > 0))
    }

    fn oldest_leaving(&mut self) -> Option<u32> {
        let chunks = &self.chunks;
        self.leaving.oldest(|entry| is_slight(chunks, entry))
    }

    /// Of the [`EVICTION_TRIES`] next slots, each time others, so that flows that may not leave
    /// never hide those that may: the settled flow that has been quiet longest, and the one that
    /// still opens.
    fn quietest(&mut self) -> (Option<u32>, Option<u32>) {
        let last = self.chunks.last().map_or(0, Vec::len);
        let slots = self.chunks.len().saturating_sub(1) * CHUNK + last;
        let mut chosen: [Option<(Timestamp, u32)>; 2] = [None; 2];
        for _ in 0..slots.min(EVICTION_TRIES) {
            let slot = u32::try_from(self.hand).unwrap_or(u32::MAX);
            self.hand = (self.hand + 1) % slots;
            let Some(flow) = flow_at(&self.chunks, slot).filter(|flow| !flow.is_slight) else {
                continue;
            };
            let [settles, opens] = &mut chosen;
            let best = if flow.class.is_settled() {
                settles
            } else {
                opens
            };
            if best.is_none_or(|(quiet, _)| flow.last < quiet) {
                *best = Some((flow.last, slot));
            }
        }
        let [settled, opens] = chosen.map(|chosen| chosen.map(|(_, slot)| slot));
        (settled, opens)
    }
}

/// Whether `entry` is of a flow that leaves a full table first.
fn is_slight<T>(chunks: &[Vec<Option<Flow<T>>>], entry: Reminder) -> bool {
    flow_at(chunks, entry.slot)
        .is_some_and(|flow| flow.generation == entry.generation && flow.is_slight)
}

fn is_syn(packet: &Packet<'_>) -> bool {
    packet
        .tcp
        .is_some_and(|tcp| tcp.has(TcpSegment::SYN) && !tcp.has(TcpSegment::ACK))
}

#[inline]
fn flow_at<T>(chunks: &[Vec<Option<Flow<T>>>], slot: u32) -> Option<&Flow<T>> {
    let slot = slot as usize;
    chunks.get(slot / CHUNK)?.get(slot % CHUNK)?.as_ref()
}

#[inline]
fn flow_at_mut<T>(chunks: &mut [Vec<Option<Flow<T>>>], slot: u32) -> Option<&mut Flow<T>> {
    place_mut(chunks, slot)?.as_mut()
}

fn place_mut<T>(chunks: &mut [Vec<Option<Flow<T>>>], slot: u32) -> Option<&mut Option<Flow<T>>> {
    let slot = slot as usize;
    chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "leaving_tests.rs"]
mod leaving_tests;

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tcp_tests;

#[cfg(test)]
#[path = "memory_tests.rs"]
mod memory_tests;
