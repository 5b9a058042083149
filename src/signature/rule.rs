//! What every rule has, whatever it looks at: its names and its weight.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use crate::verdict::{RuleId, Tag};

/// The tables of the language that hold rules, for lists and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum RuleKind {
    Domain,
    Payload,
    Stun,
    Http,
    Tls,
    Sip,
    Proto,
    Flow,
    Address,
    Call,
    Port,
}

impl RuleKind {
    /// Every kind, in the order of the manual.
    pub const ALL: [Self; 11] = [
        Self::Domain,
        Self::Payload,
        Self::Stun,
        Self::Http,
        Self::Tls,
        Self::Sip,
        Self::Proto,
        Self::Flow,
        Self::Address,
        Self::Call,
        Self::Port,
    ];

    /// The name of the table.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Payload => "payload",
            Self::Stun => "stun",
            Self::Http => "http",
            Self::Tls => "tls",
            Self::Sip => "sip",
            Self::Proto => "proto",
            Self::Flow => "flow",
            Self::Address => "address",
            Self::Call => "call",
            Self::Port => "port",
        }
    }
}

/// The metadata of all rules of a set, by [`RuleId`], and of those that only sets before it had.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// Names and sources, one after the other; a source that many rules share stands once.
    texts: String,
    /// How many are of this set.
    current: usize,
    /// The source of the rule added last.
    last_source: Range<u32>,
    /// Numbers of earlier sets that no rule of this one has taken yet, by whole name. Rules that
    /// share a name have theirs in the order they stand in.
    known: HashMap<Box<str>, VecDeque<u32>>,
}

/// The metadata of one rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) tag: Tag,
    pub(super) kind: RuleKind,
    pub(super) weight: u16,
    /// It is not of this set, but of one before it.
    is_retired: bool,
    /// The whole name is `FILE/KIND:NAME`; this is where `NAME` begins in it.
    short: u32,
    name: Range<u32>,
    source: Range<u32>,
}

/// A rule about to be added.
#[derive(Debug)]
pub(super) struct NewRule<'a> {
    /// Its tag; the rule number in it is replaced by the one it gets.
    pub(super) tag: Tag,
    pub(super) kind: RuleKind,
    pub(super) slug: &'a str,
    pub(super) name: &'a str,
    pub(super) source: &'a str,
    pub(super) weight: u32,
}

impl Rules {
    /// Rules that go on with the numbers of `previous`, all of which are retired until they are
    /// added again.
    pub(super) fn after(previous: &Self) -> Self {
        let mut known = HashMap::<Box<str>, VecDeque<u32>>::new();
        let mut rules = previous.rules.clone();
        for (number, rule) in (0..).zip(&mut rules) {
            rule.is_retired = true;
            let name = previous.text(&rule.name);
            match known.get_mut(name) {
                Some(numbers) => numbers.push_back(number),
                None => {
                    known.insert(name.into(), VecDeque::from([number]));
                }
            }
        }
        Self {
            rules,
            texts: previous.texts.clone(),
            current: 0,
            last_source: 0..0,
            known,
        }
    }

    /// Adds a rule, under the number it had before if it had one; `None` when there is no number
    /// left.
    pub(super) fn add(&mut self, new: &NewRule<'_>) -> Option<Tag> {
        let start = self.texts.len();
        self.texts.extend([new.slug, "/", new.kind.slug(), ":"]);
        let short = self.texts.len();
        self.texts.push_str(new.name);
        let name = start..self.texts.len();
        let before = self
            .known
            .get_mut(self.texts.get(name.clone()).unwrap_or_default())
            .and_then(VecDeque::pop_front);
        if self.text(&self.last_source) != new.source {
            let start = self.texts.len();
            self.texts.push_str(new.source);
            self.last_source = narrow(start..self.texts.len());
        }
        let number = match before {
            Some(number) => number,
            None => u32::try_from(self.rules.len()).ok()?,
        };
        // Texts are told apart by 32 bits as well.
        u32::try_from(self.texts.len()).ok()?;
        let tag = Tag {
            rule: RuleId(number),
            ..new.tag
        };
        let rule = Rule {
            tag,
            kind: new.kind,
            weight: u16::try_from(new.weight).unwrap_or(u16::MAX),
            is_retired: false,
            short: narrow(short..short).start,
            name: narrow(name),
            source: self.last_source.clone(),
        };
        match self.rules.get_mut(number as usize) {
            Some(known) => *known = rule,
            None => self.rules.push(rule),
        }
        self.current += 1;
        Some(tag)
    }

    /// The rules once all are added, in no more memory than they need: what they take must not
    /// hang on how many sets there were before.
    pub(super) fn finish(mut self) -> Self {
        let mut rules = std::mem::take(&mut self.rules);
        if self.known.is_empty() {
            // There was none before: every text is of a rule, and stands once.
            self.texts.shrink_to_fit();
            rules.shrink_to_fit();
            return Self {
                rules,
                last_source: 0..0,
                ..self
            };
        }
        let mut texts = String::new();
        let mut last: Option<&mut Rule> = None;
        for rule in &mut rules {
            let start = texts.len();
            texts.push_str(self.text(&rule.name));
            let source = self.text(&rule.source);
            let place = match &last {
                Some(last) if slice(&texts, &last.source) == source => last.source.clone(),
                _ => {
                    let start = texts.len();
                    texts.push_str(source);
                    narrow(start..texts.len())
                }
            };
            let name = narrow(start..start + rule.name.len());
            rule.short = rule.short - rule.name.start + name.start;
            rule.name = name;
            rule.source = place;
            last = Some(rule);
        }
        texts.shrink_to_fit();
        rules.shrink_to_fit();
        Self {
            rules,
            texts,
            current: self.current,
            last_source: 0..0,
            known: HashMap::new(),
        }
    }

    /// How many rules are of this set.
    pub(super) const fn count(&self) -> usize {
        self.current
    }

    /// Bytes they take, about.
    pub(super) const fn memory(&self) -> usize {
        self.rules.capacity() * size_of::<Rule>() + self.texts.capacity()
    }

    pub(super) fn get(&self, rule: RuleId) -> Option<&Rule> {
        self.rules.get(rule.0 as usize)
    }

    pub(super) fn tag(&self, rule: RuleId) -> Option<Tag> {
        self.get(rule).map(|rule| rule.tag)
    }

    /// `wechat/domain:weixin.qq.com`
    pub(super) fn name(&self, rule: RuleId) -> &str {
        self.get(rule).map_or("", |rule| self.text(&rule.name))
    }

    /// `weixin.qq.com`
    pub(super) fn short_name(&self, rule: RuleId) -> &str {
        self.get(rule)
            .map_or("", |rule| self.text(&(rule.short..rule.name.end)))
    }

    pub(super) fn source(&self, rule: RuleId) -> &str {
        self.get(rule).map_or("", |rule| self.text(&rule.source))
    }

    /// The rules of this set in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| !rule.is_retired)
    }

    fn text(&self, range: &Range<u32>) -> &str {
        slice(&self.texts, range)
    }
}

fn slice<'a>(texts: &'a str, range: &Range<u32>) -> &'a str {
    texts
        .get(range.start as usize..range.end as usize)
        .unwrap_or_default()
}

fn narrow(range: Range<usize>) -> Range<u32> {
    let small = |n| u32::try_from(n).unwrap_or(u32::MAX);
    small(range.start)..small(range.end)
}
