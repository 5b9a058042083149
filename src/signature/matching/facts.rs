//! Rules over what dissectors read: `[[tls]]`, `[[http]]`, `[[stun]]`, `[[sip]]`, `[[proto]]`.
//!
//! Each rule is indexed by its most telling key: a glob over one field, found by the text's first
//! character or by an automaton over the globs' longest pieces. Its other keys are compared only
//! then.

use super::address::AddressTable;
use super::guard::{Found, Guard};
use super::needles::{MAX_NEEDLES, Needles};
use crate::signature::glob::Glob;
use std::ops::Range;

use crate::app::Proto;
use crate::dissect::{FIELDS, Facts, Family, Field, Value};
use crate::flow::Opening;
use crate::verdict::Tag;

/// What a fact must be.
#[derive(Clone, Debug)]
pub(in crate::signature) enum Wanted {
    /// One of these globs matches the text, or one of the texts.
    Globs(Vec<Glob>),
    /// One of these codes was seen.
    Codes(Vec<u16>),
    /// One of these headers is there with such a value.
    Headers(Vec<(Box<str>, Glob)>),
}

impl Wanted {
    /// Bytes it has on the heap, about.
    fn memory(&self) -> usize {
        match self {
            Self::Globs(globs) => {
                globs.capacity() * size_of::<Glob>() + globs.iter().map(Glob::memory).sum::<usize>()
            }
            Self::Codes(codes) => codes.capacity() * size_of::<u16>(),
            Self::Headers(headers) => {
                let header = |(name, glob): &(Box<str>, Glob)| name.len() + glob.memory();
                headers.capacity() * size_of::<(Box<str>, Glob)>()
                    + headers.iter().map(header).sum::<usize>()
            }
        }
    }

    fn fits(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Globs(globs), value) => {
                value.any_text(|text| globs.iter().any(|glob| glob.matches(text.as_bytes())))
            }
            (Self::Codes(codes), Value::Codes(seen)) => {
                codes.iter().any(|code| seen.contains(code))
            }
            (Self::Headers(headers), Value::Headers(seen)) => seen.iter().any(|(name, value)| {
                headers.iter().any(|(expected, glob)| {
                    name.eq_ignore_ascii_case(expected) && glob.matches(value.as_bytes())
                })
            }),
            _ => false,
        }
    }

    /// The globs over texts.
    pub(in crate::signature) fn globs(&self) -> Vec<&Glob> {
        match self {
            Self::Globs(globs) => globs.iter().collect(),
            Self::Codes(_) => Vec::new(),
            Self::Headers(headers) => headers.iter().map(|(_, glob)| glob).collect(),
        }
    }
}

/// A compiled rule.
#[derive(Clone, Debug)]
pub(in crate::signature) struct FactRule {
    pub(in crate::signature) tag: Tag,
    /// The protocols it is about: some fields are shared, their meaning is not.
    pub(in crate::signature) family: Family,
    /// What each of these must be.
    pub(in crate::signature) wanted: Vec<(&'static Field, Wanted)>,
    pub(in crate::signature) guard: Guard,
}

impl FactRule {
    /// Bytes it takes, itself included, about.
    fn memory(&self) -> usize {
        let wanted = self.wanted.iter().map(|(_, wanted)| wanted.memory());
        size_of::<Self>()
            + self.wanted.capacity() * size_of::<(&Field, Wanted)>()
            + wanted.sum::<usize>()
            + self.guard.memory()
    }

    fn holds(&self, opening: &Opening<'_>, facts: &Facts, addresses: &AddressTable) -> bool {
        let fits = |(field, wanted): &(&Field, Wanted)| {
            field.of(facts).is_some_and(|value| wanted.fits(value))
        };
        self.family.includes(facts)
            && self.wanted.iter().all(fits)
            && self.guard.allows(opening, addresses)
    }

    /// The field to find the rule by: the one whose least telling glob tells most.
    fn key(&self) -> Option<(&'static Field, Vec<&Glob>)> {
        let globs = self
            .wanted
            .iter()
            .map(|(field, wanted)| (*field, wanted.globs()));
        globs
            .filter(|(_, globs)| !globs.is_empty())
            .max_by_key(|(_, globs)| globs.iter().map(|glob| glob.longest_literal().len()).min())
    }
}

/// A compiled `[[proto]]` rule.
#[derive(Clone, Debug)]
pub(in crate::signature) struct ProtoRule {
    pub(in crate::signature) tag: Tag,
    pub(in crate::signature) guard: Guard,
}

/// All rules over facts.
#[derive(Debug, Default)]
pub(in crate::signature) struct FactTable {
    rules: Vec<FactRule>,
    /// In the order of [`FIELDS`], those that a rule is found by.
    by_field: Vec<(&'static Field, GlobIndex)>,
    /// The families these are of, and where the fields of each are.
    families: Vec<(Family, Range<usize>)>,
    /// Rules without any text: STUN types and attributes, TLS towards a port of an operator.
    bare: Vec<(Family, Vec<u32>)>,
    /// By [`Proto`].
    by_proto: Vec<Vec<ProtoRule>>,
}

impl FactTable {
    pub(in crate::signature) fn new(rules: Vec<FactRule>, protos: Vec<(Proto, ProtoRule)>) -> Self {
        let mut by_field: Vec<_> = FIELDS.iter().map(|field| (field, Vec::new())).collect();
        let mut bare: Vec<(Family, Vec<u32>)> = Vec::new();
        for (number, rule) in (0..).zip(&rules) {
            let key = rule.key();
            let list = key.as_ref().and_then(|(field, _)| {
                let mut lists = by_field.iter_mut();
                lists.find(|(of, _)| std::ptr::eq(*of, *field))
            });
            match (key, list) {
                (Some((_, globs)), Some((_, list))) => {
                    list.extend(globs.into_iter().map(|glob| (glob.clone(), number)));
                }
                _ => match bare.iter_mut().find(|(family, _)| *family == rule.family) {
                    Some((_, rules)) => rules.push(number),
                    None => bare.push((rule.family, vec![number])),
                },
            }
        }
        let mut by_proto = Vec::new();
        for (proto, rule) in protos {
            let place = usize::from(proto.0);
            if by_proto.len() <= place {
                by_proto.resize(place + 1, Vec::new());
            }
            if let Some(list) = by_proto.get_mut(place) {
                list.push(rule);
            }
        }
        let by_field: Vec<_> = by_field
            .into_iter()
            .filter(|(_, globs)| !globs.is_empty())
            .map(|(field, globs)| (field, GlobIndex::new(globs)))
            .collect();
        let mut families: Vec<(Family, Range<usize>)> = Vec::new();
        for (place, (field, _)) in by_field.iter().enumerate() {
            match families.last_mut() {
                Some((family, range)) if *family == field.family => range.end = place + 1,
                _ => families.push((field.family, place..place + 1)),
            }
        }
        Self {
            rules,
            by_field,
            families,
            bare,
            by_proto,
        }
    }

    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        let index = |(_, index): &(&Field, GlobIndex)| {
            let anchored = index.anchored.iter().map(|one| one.glob.memory());
            let others = index.floating.iter().chain(&index.rest);
            size_of::<(&Field, GlobIndex)>()
                + anchored.sum::<usize>()
                + others.map(|(glob, _)| glob.memory()).sum::<usize>()
                + index.places.capacity() * size_of::<u128>()
                + index.anchored.capacity() * size_of::<Anchored>()
                + (index.floating.capacity() + index.rest.capacity()) * size_of::<(Glob, u32)>()
                + index.needles.as_ref().map_or(0, Needles::memory)
        };
        let bare = |(_, rules): &(Family, Vec<u32>)| {
            size_of::<(Family, Vec<u32>)>() + rules.capacity() * size_of::<u32>()
        };
        let proto = |rules: &Vec<ProtoRule>| {
            size_of::<Vec<ProtoRule>>() + rules.capacity() * size_of::<ProtoRule>()
        };
        self.rules.iter().map(FactRule::memory).sum::<usize>()
            + self.by_field.iter().map(index).sum::<usize>()
            + self.families.capacity() * size_of::<(Family, Range<usize>)>()
            + self.bare.iter().map(bare).sum::<usize>()
            + self.by_proto.iter().map(proto).sum::<usize>()
    }

    /// The rules that `facts` make true.
    pub(in crate::signature) fn find(
        &self,
        opening: &Opening<'_>,
        facts: &Facts,
        addresses: &AddressTable,
        found: &mut Found<'_>,
    ) {
        let mut attempt = |number: u32| {
            if let Some(rule) = self.rules.get(number as usize)
                && !found.is_full()
                && !found.has(rule.tag.rule)
                && rule.holds(opening, facts, addresses)
            {
                found.push(rule.tag);
            }
        };
        let families = self.families.iter();
        let fields = families
            .filter(|(family, _)| family.includes(facts))
            .flat_map(|(_, range)| self.by_field.get(range.clone()).unwrap_or_default());
        for (field, index) in fields {
            if let Some(value) = field.of(facts) {
                value.any_text(|text| {
                    index.find(text.as_bytes(), &mut attempt);
                    false
                });
            }
        }
        for (family, rules) in &self.bare {
            if family.includes(facts) {
                rules.iter().copied().for_each(&mut attempt);
            }
        }
        let rules = facts
            .proto
            .and_then(|proto| self.by_proto.get(usize::from(proto.0)));
        for rule in rules.into_iter().flatten() {
            if rule.guard.allows(opening, addresses) {
                found.push(rule.tag);
            }
        }
    }
}

/// What a text begins with, in lower case: compared at once, before anything else is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    bytes: u128,
    mask: u128,
}

impl Head {
    const LEN: usize = size_of::<u128>();

    /// The head of `text`, all that there is of it.
    fn of(text: &[u8]) -> Self {
        let (mut bytes, mut mask) = ([0; Self::LEN], [0; Self::LEN]);
        for ((byte, mask), octet) in bytes.iter_mut().zip(&mut mask).zip(text) {
            (*byte, *mask) = (octet.to_ascii_lowercase(), u8::MAX);
        }
        Self {
            bytes: u128::from_le_bytes(bytes),
            mask: u128::from_le_bytes(mask),
        }
    }

    /// In the order of the texts.
    const fn place(self) -> u128 {
        self.bytes.swap_bytes()
    }

    /// Whether a text with this head may begin with the one of which `start` is the head.
    const fn begins_with(self, start: Self) -> bool {
        self.bytes & start.mask == start.bytes
    }
}

/// A glob that begins with a text.
#[derive(Debug)]
struct Anchored {
    head: Head,
    /// The place, from 1, of the last one before it with whose head its own begins; 0: none.
    shorter: u32,
    glob: Glob,
    rule: u32,
}

/// Globs over one field, each with the number of its rule.
#[derive(Debug, Default)]
struct GlobIndex {
    /// Where the heads of `anchored` stand.
    places: Vec<u128>,
    /// Globs that begin with a text, in the order of their heads.
    anchored: Vec<Anchored>,
    /// Globs whose longest piece is not their beginning, to be searched for by it.
    floating: Vec<(Glob, u32)>,
    needles: Option<Needles>,
    /// Globs that say next to nothing.
    rest: Vec<(Glob, u32)>,
}

impl GlobIndex {
    fn new(globs: Vec<(Glob, u32)>) -> Self {
        let mut index = Self::default();
        let mut anchored = Vec::new();
        for (glob, rule) in globs {
            let piece = glob.longest_literal().len();
            let prefix = glob.prefix();
            if !prefix.is_empty() && prefix.len() >= piece {
                anchored.push((Head::of(prefix), glob, rule));
            } else if piece > 1 && index.floating.len() < MAX_NEEDLES {
                index.floating.push((glob, rule));
            } else {
                index.rest.push((glob, rule));
            }
        }
        // Of heads that say the same the shorter one first.
        anchored.sort_by_key(|(head, ..)| (head.place(), head.mask));
        for (head, glob, rule) in anchored {
            let mut shorter = index.anchored.len();
            while let Some(before) = shorter.checked_sub(1)
                && let Some(other) = index.anchored.get(before)
                && !head.begins_with(other.head)
            {
                shorter = other.shorter as usize;
            }
            index.places.push(head.place());
            index.anchored.push(Anchored {
                head,
                shorter: u32::try_from(shorter).unwrap_or_default(),
                glob,
                rule,
            });
        }
        let pieces: Vec<_> = index
            .floating
            .iter()
            .map(|(glob, _)| glob.longest_literal())
            .collect();
        index.needles = Needles::new(&pieces, true);
        if index.needles.is_none() {
            index.rest.append(&mut index.floating);
        }
        index
    }

    /// Calls `attempt` with the rule of each glob that matches.
    fn find(&self, text: &[u8], mut attempt: impl FnMut(u32)) {
        if !self.anchored.is_empty() {
            let head = Head::of(text);
            let place = head.place();
            // What the text begins with stands before it, and with nothing between that does not
            // begin so as well.
            let mut next = self.places.partition_point(|&of| of <= place);
            while let Some(before) = next.checked_sub(1)
                && let Some(one) = self.anchored.get(before)
            {
                if head.begins_with(one.head) && one.glob.matches(text) {
                    attempt(one.rule);
                }
                next = one.shorter as usize;
            }
        }
        if let Some(needles) = &self.needles {
            needles.find(text, |number| {
                if let Some((glob, rule)) = self.floating.get(number)
                    && glob.matches(text)
                {
                    attempt(*rule);
                }
            });
        }
        for (glob, rule) in &self.rest {
            if glob.matches(text) {
                attempt(*rule);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_index_equals_trying_every_glob(
            globs in prop::collection::vec("[ab*]{1,6}|[ab]{14,18}[*]?", 0..40),
            texts in prop::collection::vec("[aAbB]{0,10}|[aAbB]{14,20}", 1..10),
        ) {
            let globs: Vec<(Glob, u32)> =
                globs.iter().map(|text| Glob::parse(text).unwrap()).zip(0..).collect();
            let index = GlobIndex::new(globs.clone());
            for text in &texts {
                let mut found = Vec::new();
                index.find(text.as_bytes(), |rule| found.push(rule));
                found.sort_unstable();
                let expected: Vec<u32> = globs
                    .iter()
                    .filter(|(glob, _)| glob.matches(text.as_bytes()))
                    .map(|&(_, rule)| rule)
                    .collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
