//! The index over payload rules: from a message to the few rules that may hold for it.
//!
//! Most rules fix a byte at some offset. They are grouped by that offset and found by the byte
//! there; in a group's list each is first compared under a mask with the message's first eight
//! bytes. Rules with nothing but `contains` share one automaton; rules with nothing but
//! conditions are found by their port where they require one, and otherwise always tried.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::needles::{MAX_NEEDLES, Needles, RARE};
use super::payload::{Contains, Matcher, PayloadRule};
use crate::flow::Opening;
use crate::signature::condition::{Input, Known, KnownFact};
use crate::signature::pattern::ByteSet;
use crate::verdict::Evidence;

/// A byte set with more members does not narrow the search enough.
const MAX_CHOICES: u32 = 64;
/// A rule that requires one of more ports is not found by its port.
const MAX_PORTS: usize = 64;

/// Which rules are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signature) enum Which {
    All,
    /// Those that prove what they name.
    Proofs,
}

/// A rule in an index, with what can be said of it without looking at it.
#[derive(Clone, Debug)]
pub(in crate::signature) struct Entry {
    mask: u64,
    value: u64,
    /// The number of the rule among those of its transport.
    pub(in crate::signature) rule: u32,
    min_len: u32,
    max_len: u32,
    /// It proves what it names.
    pub(in crate::signature) is_proof: bool,
    /// How many bytes of the stream can change its answer.
    pub(in crate::signature) reach: usize,
}

/// What a rule says of all messages it can hold for: worked out once for its entries.
#[derive(Clone, Copy, Debug)]
pub(in crate::signature) struct Outline {
    mask: u64,
    value: u64,
    min_len: u32,
    max_len: u32,
    /// What to find the rule by.
    place: Option<(usize, ByteSet)>,
    /// No message at all can satisfy it.
    pub(in crate::signature) is_contradictory: bool,
}

impl Outline {
    pub(in crate::signature) fn of(matcher: &Matcher) -> Self {
        let said = Said::of_matcher(matcher);
        let mut mask = [0; 8];
        let mut value = [0; 8];
        for (place, (mask, value)) in mask.iter_mut().zip(&mut value).enumerate() {
            (*mask, *value) = said.bytes.get(&place).map_or((0, 0), |set| set.common());
        }
        Self {
            mask: u64::from_le_bytes(mask),
            value: u64::from_le_bytes(value),
            min_len: said.min_len,
            max_len: said.max_len,
            place: best_place(&said.bytes),
            is_contradictory: said.is_contradictory(),
        }
    }
}

impl Entry {
    pub(in crate::signature) fn new(
        number: u32,
        rule: &PayloadRule,
        outline: &Outline,
        reach: usize,
    ) -> Self {
        Self {
            mask: outline.mask,
            value: outline.value,
            rule: number,
            min_len: outline.min_len,
            max_len: outline.max_len,
            is_proof: rule.tag.evidence == Evidence::PayloadProof,
            reach,
        }
    }

    /// The same, as an entry among those that wait for the other side.
    pub(in crate::signature) fn waiting_for(&self, peer_reach: usize) -> Self {
        Self {
            reach: peer_reach,
            ..self.clone()
        }
    }

    /// Whether it is among those `wanted`.
    #[inline]
    pub(in crate::signature) fn is(&self, wanted: Which) -> bool {
        wanted == Which::All || self.is_proof
    }

    #[inline]
    const fn fits(&self, head: u64, len: u32, seen: usize) -> bool {
        head & self.mask == self.value
            && self.min_len <= len
            && len <= self.max_len
            && (seen == 0 || seen < self.reach)
    }
}

/// The first eight bytes, zeros where there are none: a filter only, so zeros do no harm.
fn head_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(head) => u64::from_le_bytes(*head),
        None => bytes
            .iter()
            .rev()
            .fold(0, |head, &byte| head << 8 | u64::from(byte)),
    }
}

/// Rules about one kind of message of one side.
#[derive(Debug, Default)]
pub(in crate::signature) struct MessageIndex {
    groups: Vec<Group>,
    by_port: HashMap<u16, Vec<Entry>, foldhash::fast::FixedState>,
    contained: Option<Contained>,
    rest: Vec<Entry>,
    /// The most any rule reaches.
    reach: usize,
}

/// Rules that fix a byte at one offset.
#[derive(Debug)]
struct Group {
    offset: usize,
    /// The bytes that have entries, a bit each: most have none, and `starts` is far larger.
    taken: [u64; 4],
    /// Where the entries for each byte begin, and after the last one where all end.
    starts: Box<[u32; 257]>,
    entries: Vec<Entry>,
}

/// Rules that have only `contains` to be found by.
#[derive(Debug)]
struct Contained {
    needles: Needles,
    entries: Vec<Entry>,
    within: usize,
    /// One of them is a proof.
    has_proof: bool,
}

impl MessageIndex {
    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        let entries = |entries: &Vec<Entry>| entries.capacity() * size_of::<Entry>();
        let group = |group: &Group| {
            size_of::<Group>() + size_of_val(&*group.starts) + entries(&group.entries)
        };
        let contained = |one: &Contained| one.needles.memory() + entries(&one.entries);
        self.groups.iter().map(group).sum::<usize>()
            + self.by_port.capacity() * (size_of::<(u16, Vec<Entry>)>() + 1)
            + self.by_port.values().map(entries).sum::<usize>()
            + self.contained.as_ref().map_or(0, contained)
            + entries(&self.rest)
    }

    /// An index of `entries` of `rules`, whose `outlines` stand in the same order.
    pub(in crate::signature) fn new(
        entries: Vec<Entry>,
        rules: &[PayloadRule],
        outlines: &[Outline],
    ) -> Self {
        let reach = entries
            .iter()
            .map(|entry| entry.reach)
            .max()
            .unwrap_or_default();
        let mut index = Self {
            reach,
            ..Self::default()
        };
        let mut by_offset = BTreeMap::<usize, Vec<(ByteSet, Entry)>>::new();
        let mut needles = Vec::new();
        for entry in entries {
            let number = entry.rule as usize;
            let (Some(rule), Some(outline)) = (rules.get(number), outlines.get(number)) else {
                continue;
            };
            let ports = || rule.guard.ports.iter().flat_map(|ports| ports.range());
            if let Some((offset, set)) = outline.place {
                by_offset.entry(offset).or_default().push((set, entry));
            } else if !rule.guard.ports.is_empty() && ports().count() <= MAX_PORTS {
                for port in ports() {
                    index.by_port.entry(port).or_default().push(entry.clone());
                }
            } else if longest_needle(rule).is_some_and(|one| one.needle.len() >= RARE)
                && needles.len() < MAX_NEEDLES
            {
                needles.push(entry);
            } else {
                index.rest.push(entry);
            }
        }
        index.groups = by_offset
            .into_iter()
            .map(|(offset, rules)| Group::new(offset, &rules))
            .collect();
        match Contained::new(&needles, rules) {
            Some(contained) => index.contained = Some(contained),
            None => index.rest.extend(needles),
        }
        index
    }

    /// Calls `attempt` with each rule that may hold for the message. `seen` is how much of the
    /// stream was there before it: rules that reach no further are passed by.
    pub(in crate::signature) fn candidates(
        &self,
        input: &Input<'_>,
        opening: &Opening<'_>,
        (seen, wanted): (usize, Which),
        mut attempt: impl FnMut(u32),
    ) {
        if seen > 0 && seen >= self.reach {
            return;
        }
        let head = head_of(input.bytes);
        let len = u32::try_from(input.message.len()).unwrap_or(u32::MAX);
        let mut try_all = |entries: &[Entry]| {
            for entry in entries {
                if entry.fits(head, len, seen) && entry.is(wanted) {
                    attempt(entry.rule);
                }
            }
        };
        for group in &self.groups {
            match input.bytes.get(group.offset) {
                Some(&byte) => try_all(group.entries_for(byte)),
                // Groups stand in order of their offset.
                None => break,
            }
        }
        if !self.by_port.is_empty() {
            let (server, client) = (opening.server_port, opening.client_port);
            try_all(self.by_port.get(&server).map_or(&[], |entries| entries));
            if client != server {
                try_all(self.by_port.get(&client).map_or(&[], |entries| entries));
            }
        }
        try_all(&self.rest);
        if let Some(contained) = &self.contained
            && (wanted == Which::All || contained.has_proof)
        {
            contained.candidates(input, |entry| try_all(std::slice::from_ref(entry)));
        }
    }
}

impl Group {
    fn new(offset: usize, rules: &[(ByteSet, Entry)]) -> Self {
        let mut by_byte = Vec::<(u8, &Entry)>::new();
        for (set, entry) in rules {
            by_byte.extend(set.iter().map(|byte| (byte, entry)));
        }
        // Stable: the entries for a byte stay in the order of their rules.
        by_byte.sort_by_key(|&(byte, _)| byte);
        let mut starts = Box::new([0; 257]);
        let mut taken = [0; 4];
        for &(byte, _) in &by_byte {
            let place = usize::from(byte);
            if let Some(count) = starts.get_mut(place + 1) {
                *count += 1;
            }
            if let Some(word) = taken.get_mut(place / 64) {
                *word |= 1 << (byte % 64);
            }
        }
        let mut start = 0;
        for place in starts.iter_mut() {
            start += *place;
            *place = start;
        }
        let entries = by_byte
            .into_iter()
            .map(|(_, entry)| entry.clone())
            .collect();
        Self {
            offset,
            taken,
            starts,
            entries,
        }
    }

    #[inline]
    fn entries_for(&self, byte: u8) -> &[Entry] {
        let place = usize::from(byte);
        let word = self.taken.get(place / 64).copied().unwrap_or_default();
        if word >> (byte % 64) & 1 == 0 {
            return &[];
        }
        let bounds = self.starts.get(place).zip(self.starts.get(place + 1));
        bounds
            .and_then(|(&start, &end)| self.entries.get(start as usize..end as usize))
            .unwrap_or_default()
    }
}

impl Contained {
    /// `None` without rules, or if the automaton would be too large: then each is searched alone.
    fn new(entries: &[Entry], rules: &[PayloadRule]) -> Option<Self> {
        let mut longest: Vec<&[u8]> = Vec::with_capacity(entries.len());
        let mut within = 0;
        for entry in entries {
            let rule = rules.get(entry.rule as usize)?;
            let contains = longest_needle(rule)?;
            within = within.max(contains.within);
            longest.push(&contains.needle);
        }
        let needles = Needles::new(&longest, false)?;
        Some(Self {
            needles,
            entries: entries.to_vec(),
            within,
            has_proof: entries.iter().any(|entry| entry.is_proof),
        })
    }

    fn candidates(&self, input: &Input<'_>, mut attempt: impl FnMut(&Entry)) {
        let searched = input.bytes.get(..self.within).unwrap_or(input.bytes);
        self.needles.find(searched, |needle| {
            if let Some(entry) = self.entries.get(needle) {
                attempt(entry);
            }
        });
    }
}

fn longest_needle(rule: &PayloadRule) -> Option<&Contains> {
    let contains = rule.matcher.contains.iter();
    contains.max_by_key(|one| one.needle.len())
}

/// What is said of messages.
#[derive(Debug)]
struct Said {
    /// Of single bytes, by their offset from the start.
    bytes: BTreeMap<usize, ByteSet>,
    /// The shortest and the longest.
    min_len: u32,
    max_len: u32,
}

impl Said {
    const NOTHING: Self = Self {
        bytes: BTreeMap::new(),
        min_len: 0,
        max_len: u32::MAX,
    };

    fn of_matcher(matcher: &Matcher) -> Self {
        let mut said = Self::NOTHING;
        for at in &matcher.at {
            match usize::try_from(at.offset) {
                Ok(start) => {
                    for place in 0..at.pattern.len() {
                        said.narrow(start + place, at.pattern.set(place));
                    }
                }
                Err(_) => said.min_len = said.min_len.max(at.offset.unsigned_abs()),
            }
        }
        for condition in &matcher.conditions {
            said.both(Self::of(&condition.known()));
        }
        said
    }

    fn of(known: &Known) -> Self {
        match known {
            Known::Nothing => Self::NOTHING,
            Known::Fact(fact) => Self::of_fact(fact),
            Known::Both(parts) => {
                let [one, other] = &**parts;
                let mut said = Self::of(one);
                said.both(Self::of(other));
                said
            }
            Known::Either(parts) => {
                let [one, other] = &**parts;
                Self::of(one).or(&Self::of(other))
            }
        }
    }

    fn of_fact(fact: &KnownFact) -> Self {
        let mut said = Self::NOTHING;
        match *fact {
            KnownFact::Len(low, high) => {
                let clamp = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
                (said.min_len, said.max_len) = (clamp(low), clamp(high));
            }
            KnownFact::Integer {
                offset,
                bytes,
                little,
                mask,
                ref ranges,
            } => {
                let Ok(start) = usize::try_from(offset) else {
                    return said;
                };
                for place in 0..bytes {
                    // How far the byte is from the integer's lowest.
                    let shift = 8 * if little { place } else { bytes - 1 - place };
                    if let Some(set) = byte_of_ranges(ranges, mask, shift, bytes) {
                        said.narrow(start + usize::from(place), set);
                    }
                }
            }
        }
        said
    }

    fn narrow(&mut self, offset: usize, set: ByteSet) {
        let known = self.bytes.entry(offset).or_insert(ByteSet::ALL);
        known.intersect(set);
    }

    /// And so is this.
    fn both(&mut self, other: Self) {
        for (offset, set) in other.bytes {
            self.narrow(offset, set);
        }
        self.min_len = self.min_len.max(other.min_len);
        self.max_len = self.max_len.min(other.max_len);
    }

    /// Or it is this.
    fn or(mut self, other: &Self) -> Self {
        // A byte of which one says nothing may be any, or not be there.
        self.bytes.retain(|offset, set| {
            let other = other.bytes.get(offset);
            other.is_some_and(|&other| {
                set.add(other);
                true
            })
        });
        self.min_len = self.min_len.min(other.min_len);
        self.max_len = self.max_len.max(other.max_len);
        self
    }

    fn is_contradictory(&self) -> bool {
        self.min_len > self.max_len || self.bytes.values().any(|set| set.len() == 0)
    }
}

/// What an integer in `ranges` under `mask` says of its byte at `shift`.
fn byte_of_ranges(ranges: &[(i64, i64)], mask: i64, shift: u8, bytes: u8) -> Option<ByteSet> {
    let all = (1_i64 << (8 * bytes)) - 1;
    let mut set = ByteSet::NONE;
    for &(low, high) in ranges {
        if high < 0 || low > all {
            continue;
        }
        let (low, high) = (low.max(0), high.min(all));
        // The bytes above must be the same over the range, or this one takes any value.
        if (low >> shift) >> 8 != (high >> shift) >> 8 {
            return None;
        }
        let byte_mask = u8::try_from(mask >> shift & 0xff).unwrap_or(u8::MAX);
        for value in low >> shift & 0xff..=high >> shift & 0xff {
            let value = u8::try_from(value).unwrap_or_default();
            set.add(ByteSet::masked(byte_mask, value));
        }
    }
    Some(set)
}

/// The offset to find a rule by: the first byte where it says enough, else the most telling one.
fn best_place(sets: &BTreeMap<usize, ByteSet>) -> Option<(usize, ByteSet)> {
    let telling = sets.iter().filter(|(_, set)| set.len() <= MAX_CHOICES);
    let at_start = telling.clone().find(|(offset, _)| **offset == 0);
    let best = at_start.or_else(|| telling.min_by_key(|(offset, set)| (set.len() > 4, **offset)));
    best.map(|(&offset, &set)| (offset, set))
}
