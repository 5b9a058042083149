//! Names: the longest suffix rule, or the exact rule, that a host name falls under.
//!
//! A name is walked once from its end with a rolling hash; at each dot the hash of the labels
//! passed so far is looked up. What a rule costs is one table entry, whatever its length.
//!
//! A rule may end in `*`, which stands for any public suffix (<https://publicsuffix.org>, its ICANN
//! section): `google.*` is `google.de`, `google.co.uk` and what is below them. Such rules have a
//! table of their own, in which what stands before a name's public suffix is looked up likewise.

use std::cmp::Reverse;

use hashbrown::HashTable;
use hashbrown::hash_table;
use psl::Type;

use crate::verdict::RuleId;

/// The longest host name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// How a rule for a label under every public suffix ends.
const ANYWHERE: &str = ".*";

/// All domain rules.
#[derive(Debug, Default)]
pub(in crate::signature) struct DomainTable {
    /// By the whole name.
    names: NameTable,
    /// By what stands before any public suffix.
    anywhere: NameTable,
}

impl DomainTable {
    /// Makes `rule` the one for `name` and, unless `exact`, for everything below it. The first
    /// rule for a name stays; the answer is then the rule that was there.
    pub(in crate::signature) fn insert(
        &mut self,
        name: &str,
        exact: bool,
        rule: RuleId,
    ) -> Result<(), RuleId> {
        match name.strip_suffix(ANYWHERE) {
            Some(label) => self.anywhere.insert(label, exact, rule),
            None => self.names.insert(name, exact, rule),
        }
    }

    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        self.names.memory() + self.anywhere.memory()
    }

    /// The rule for `name`, which is lower case and without a trailing dot: an exact one, else the
    /// one that covers most of it; of two that cover the same, the one that spells out its end.
    pub(in crate::signature) fn find(&self, name: &str) -> Option<RuleId> {
        if name.len() > MAX_NAME {
            return None;
        }
        let spelt = self.names.find(name);
        let anywhere = if self.anywhere.entries.is_empty() {
            None
        } else {
            before_public_suffix(name).and_then(|head| self.anywhere.find(head))
        };
        match (spelt, anywhere) {
            (Some(spelt), Some(anywhere)) if anywhere.rank() <= spelt.rank() => Some(spelt.rule),
            (spelt, anywhere) => anywhere.or(spelt).map(|one| one.rule),
        }
    }
}

/// Names with a rule for themselves, one for all below them, or both.
#[derive(Debug, Default)]
struct NameTable {
    entries: HashTable<Entry>,
    /// The names, one after the other.
    names: String,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    start: u32,
    len: u8,
    suffix: Option<RuleId>,
    exact: Option<RuleId>,
}

/// A rule that a name falls under.
#[derive(Clone, Copy, Debug)]
struct Match {
    /// Where in the name that begins which the rule names.
    start: usize,
    is_exact: bool,
    rule: RuleId,
}

impl Match {
    /// How close a rule it is: more is closer.
    const fn rank(&self) -> (bool, Reverse<usize>) {
        (self.is_exact, Reverse(self.start))
    }
}

impl NameTable {
    fn insert(&mut self, name: &str, exact: bool, rule: RuleId) -> Result<(), RuleId> {
        let hash = hash(name.as_bytes());
        let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let names = &mut self.names;
        let entry = self.entries.entry(
            hash,
            |entry| entry.hash == hash && text(names, entry) == name.as_bytes(),
            |entry| entry.hash,
        );
        let mut entry = match entry {
            hash_table::Entry::Occupied(entry) => entry,
            hash_table::Entry::Vacant(vacant) => {
                let start = u32::try_from(names.len()).unwrap_or(u32::MAX);
                names.push_str(name);
                vacant.insert(Entry {
                    hash,
                    start,
                    len,
                    suffix: None,
                    exact: None,
                })
            }
        };
        let entry = entry.get_mut();
        let slot = if exact {
            &mut entry.exact
        } else {
            &mut entry.suffix
        };
        match *slot {
            Some(first) => Err(first),
            None => {
                *slot = Some(rule);
                Ok(())
            }
        }
    }

    fn memory(&self) -> usize {
        // One control byte an entry (hashbrown).
        self.entries.capacity() * (size_of::<Entry>() + 1) + self.names.capacity()
    }

    fn find(&self, name: &str) -> Option<Match> {
        let name = name.as_bytes();
        let mut longest = None;
        let mut hash = SEED;
        let mut rest = name;
        while let [before @ .., byte] = rest {
            if *byte == b'.'
                && let Some((_, passed)) = name.split_at_checked(rest.len())
                && let Some(rule) = self.entry(hash, passed).and_then(|entry| entry.suffix)
            {
                longest = Some(Match {
                    start: rest.len(),
                    is_exact: false,
                    rule,
                });
            }
            hash = step(hash, *byte);
            rest = before;
        }
        let whole = self.entry(hash, name).and_then(|entry| {
            Some(Match {
                start: 0,
                is_exact: entry.exact.is_some(),
                rule: entry.exact.or(entry.suffix)?,
            })
        });
        whole.or(longest)
    }

    fn entry(&self, rolled: u64, name: &[u8]) -> Option<&Entry> {
        let hash = finish(rolled);
        self.entries.find(hash, |entry| {
            entry.hash == hash && text(&self.names, entry) == name
        })
    }
}

fn text<'a>(names: &'a str, entry: &Entry) -> &'a [u8] {
    let start = entry.start as usize;
    names
        .as_bytes()
        .get(start..start + usize::from(entry.len))
        .unwrap_or_default()
}

/// What stands before the public suffix of `name`: `www.google` of `www.google.co.uk`. None where
/// there is nothing, and where nobody gives names out under the end of `name`.
///
/// Suffixes that companies registered for their customers (the list's private section:
/// `github.io`, `blogspot.com`) count as the company's own names: anybody can have `google` there.
fn before_public_suffix(name: &str) -> Option<&str> {
    if name.ends_with('.') {
        return None;
    }
    let mut suffix = psl::suffix(name.as_bytes())?;
    // Shorter each time.
    while suffix.typ() == Some(Type::Private) {
        let dot = memchr::memchr(b'.', suffix.as_bytes())?;
        suffix = psl::suffix(suffix.as_bytes().get(dot + 1..)?)?;
    }
    if suffix.typ() != Some(Type::Icann) {
        return None;
    }
    let before = name.len().checked_sub(suffix.as_bytes().len())?;
    name.get(..before)?.strip_suffix('.')
}

/// Whether `host` is `name`, which may end in `*`, or is below it.
pub(in crate::signature) fn covers(name: &str, host: &str) -> bool {
    let (name, host) = match name.strip_suffix(ANYWHERE) {
        None => (name, Some(host)),
        Some(label) => (label, before_public_suffix(host)),
    };
    host.and_then(|host| host.strip_suffix(name))
        .is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The names in the table are ours, so there is no need for a secret: a stranger's name can only
/// be looked up.
const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn finish(hash: u64) -> u64 {
    let mixed = (hash ^ hash >> 32).wrapping_mul(SEED);
    mixed ^ mixed >> 29
}

fn roll(name: &[u8]) -> u64 {
    name.iter().rev().fold(SEED, |hash, &byte| step(hash, byte))
}

fn hash(name: &[u8]) -> u64 {
    finish(roll(name))
}

/// Whether a name is as nearly all of them are: labels of lower case in their bounds, more than one of
/// them, and no `*`. Asked in one go, for there are many thousands of them at every start.
fn is_plain(name: &str) -> bool {
    let (mut label, mut dots) = (0_usize, 0_usize);
    for byte in name.bytes() {
        match byte {
            b'.' if (1..=63).contains(&label) => (label, dots) = (0, dots + 1),
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => label += 1,
            _ => return false,
        }
    }
    dots > 0 && (1..=63).contains(&label) && name.len() <= MAX_NAME
}

/// What is wrong with `name` as a host name in a rule, if anything.
pub(in crate::signature) fn fault(name: &str) -> Option<&'static str> {
    if is_plain(name) {
        return None;
    }
    if name.is_empty() {
        return Some("expected a name");
    }
    if name.len() > MAX_NAME {
        return Some("expected a name of at most 255 bytes");
    }
    if !name.is_ascii() {
        return Some(
            "expected ASCII: write an international name as it is on the wire (`xn--...`)",
        );
    }
    let everywhere = name.strip_suffix(ANYWHERE);
    let name = everywhere.unwrap_or(name);
    if name.contains('*') {
        return Some(
            "a suffix covers everything below it: expected no `*` but as the last label, for any public suffix",
        );
    }
    if name.contains("://") || name.contains('/') || name.contains(':') {
        return Some("expected a host name alone, without scheme, port or path");
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some("expected lower case");
    }
    if name
        .split('.')
        .any(|label| label.is_empty() || label.len() > 63)
    {
        return Some("expected labels of 1 to 63 characters between single dots");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        return Some("expected letters, digits, `-`, `_` and dots");
    }
    // A country, or one of the domains under which everybody is: never one application.
    const EVERYBODY: [&str; 12] = [
        "com", "net", "org", "info", "biz", "edu", "gov", "arpa", "online", "site", "shop", "xyz",
    ];
    if EVERYBODY.contains(&name) || name.len() == 2 && everywhere.is_none() {
        return Some("this is a public top-level domain: it would claim everybody's names");
    }
    // `co`, `ac`, `hp`: part of public suffixes, or somebody else's name in some country.
    if everywhere.is_some() && name.rsplit('.').next().is_none_or(|label| label.len() < 3) {
        return Some(
            "expected a label of 3 characters or more before `*`: nobody has a shorter one everywhere",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_suffix_wins_and_exact_beats_it() {
        let rules = [
            ("qq.com", false),
            ("weixin.qq.com", false),
            ("weixin.qq.com", true),
            ("example.org", true),
            ("goog", false),
        ];
        let mut table = DomainTable::default();
        for (rule, (name, exact)) in (0..).map(RuleId).zip(rules) {
            assert_eq!(table.insert(name, exact, rule), Ok(()));
        }
        assert_eq!(
            table.insert("qq.com", false, RuleId(9)),
            Err(RuleId(0)),
            "the first stays"
        );
        let cases = [
            ("qq.com", Some(0)),
            ("www.qq.com", Some(0)),
            ("a.b.c.qq.com", Some(0)),
            ("xqq.com", None),
            ("com", None),
            ("", None),
            (".", None),
            (".qq.com", Some(0)),
            ("weixin.qq.com", Some(2)),
            ("short.weixin.qq.com", Some(1)),
            ("notweixin.qq.com", Some(0)),
            ("example.org", Some(3)),
            ("www.example.org", None),
            ("dns.goog", Some(4)),
            ("qq.com.", None),
            ("微.qq.com", Some(0)),
        ];
        for (name, expected) in cases {
            assert_eq!(table.find(name), expected.map(RuleId), "{name}");
        }
        assert_eq!(
            table.find(&format!("{}.qq.com", "a".repeat(300))),
            None,
            "no such name exists"
        );
    }

    #[test]
    fn a_label_is_found_under_every_public_suffix() {
        let rules = [
            ("google.*", false),
            ("maps.google.*", false),
            ("google.de", false),
            ("mail.google.com", false),
            ("brand.*", true),
            ("brand.fr", false),
            ("brand.it", true),
        ];
        let mut table = DomainTable::default();
        for (rule, (name, exact)) in (0..).map(RuleId).zip(rules) {
            assert_eq!(table.insert(name, exact, rule), Ok(()));
        }
        assert_eq!(table.insert("google.*", false, RuleId(9)), Err(RuleId(0)));
        let cases = [
            ("google.com", Some(0)),
            ("www.google.co.uk", Some(0)),
            ("google.com.br", Some(0)),
            ("google.xn--55qx5d.cn", Some(0)),
            ("maps.google.fr", Some(1)),
            // Longer goes before spelt out, spelt out before a pattern.
            ("maps.google.de", Some(1)),
            ("a.maps.google.de", Some(1)),
            ("google.de", Some(2)),
            ("www.google.de", Some(2)),
            ("mail.google.com", Some(3)),
            // Exact goes before both.
            ("brand.es", Some(4)),
            ("www.brand.es", None),
            ("brand.fr", Some(4)),
            ("www.brand.fr", Some(5)),
            ("brand.it", Some(6)),
            // Not a suffix; not one of ICANN's.
            ("google.evil.com", None),
            ("google.github.io", None),
            ("www.google.blogspot.com", None),
            ("google.s3.dualstack.us-east-1.amazonaws.com", None),
            ("google.internal", None),
            ("google.localhost", None),
            ("xgoogle.com", None),
            ("google", None),
            // A suffix of a wildcard rule, and an exception to it.
            ("google.kawasaki.jp", None),
            ("google.x.kawasaki.jp", Some(0)),
            ("google.city.kawasaki.jp", None),
            ("google.com.", None),
            ("google..com", None),
            (".google.com", Some(0)),
            ("微.google.com", Some(0)),
            ("google.微", None),
            ("com", None),
            ("co.uk", None),
            (".", None),
            ("..", None),
            (".com", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(table.find(name), expected.map(RuleId), "{name}");
        }
        // 255 octets are a name, 256 are none; so with labels of no length, and of too much.
        for (before, expected) in [
            ("a".repeat(245), Some(0)),
            ("a".repeat(246), None),
            (".".repeat(245), Some(0)),
            ("a.".repeat(122), Some(0)),
        ] {
            let name = format!("{before}.google.it");
            assert_eq!(table.find(&name), expected.map(RuleId), "{}", name.len());
        }
    }

    #[test]
    fn a_name_is_covered_as_it_is_found() {
        for (name, host, expected) in [
            ("qq.com", "qq.com", true),
            ("qq.com", "www.qq.com", true),
            ("qq.com", "xqq.com", false),
            ("google.*", "www.google.co.uk", true),
            ("google.*", "google.github.io", false),
            ("google.*", "google", false),
        ] {
            assert_eq!(covers(name, host), expected, "{name} {host}");
        }
    }

    #[test]
    fn names_that_cannot_be_meant_are_refused() {
        for name in [
            "",
            "*.qq.com",
            "https://qq.com",
            "qq.com/",
            "qq.com:443",
            "QQ.com",
            ".qq.com",
            "qq.com.",
            "a..b",
            "微信.com",
            "a b.com",
            "*",
            ".*",
            "a.*.com",
            "brand*",
            "brand.*.*",
            "*.brand.*",
            "com.*",
            "co.*",
            "www.hp.*",
            "Brand.*",
            "com",
            "cn",
            "online",
        ] {
            assert!(fault(name).is_some(), "{name}");
        }
        for name in [
            "qq.com",
            "xn--fiq228c.com",
            "_dns.resolver.arpa",
            "goog",
            "a-b.c_d.io",
            "1.co",
            "brand.*",
            "maps.brand.*",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_equals_its_label_under_each_suffix(
            label in "[abc-]{3,5}",
            below in prop::sample::select(vec!["", "www.", "a.b.", "."]),
            suffix in prop::sample::select(vec![
                "com", "de", "co.uk", "com.br", "github.io", "evil.com", "ck", "x.ck", "internal", "",
            ]),
        ) {
            let mut table = DomainTable::default();
            prop_assert_eq!(table.insert("abc.*", false, RuleId(0)), Ok(()));
            let found = table.find(&format!("{below}{label}.{suffix}")).is_some();
            let is_public = matches!(suffix, "com" | "de" | "co.uk" | "com.br" | "x.ck");
            prop_assert_eq!(found, is_public && label == "abc");
        }

        #[test]
        fn any_text_can_be_looked_up(name in "(\\PC|[.*ab]|google|com|co\\.uk){0,40}") {
            let mut table = DomainTable::default();
            prop_assert_eq!(table.insert("google.*", false, RuleId(0)), Ok(()));
            let found = table.find(&name).is_some();
            prop_assert_eq!(found, name.len() <= MAX_NAME && covers("google.*", &name), "{}", name);
        }

        #[test]
        fn the_table_equals_a_search_through_all_suffixes(
            rules in prop::collection::vec(("[ab]{1,2}(\\.[ab]{1,2}){0,3}", any::<bool>()), 0..40),
            names in prop::collection::vec("[ab.]{0,12}", 0..40),
        ) {
            let mut table = DomainTable::default();
            let mut naive = HashMap::new();
            for (id, (name, exact)) in (0..).zip(&rules) {
                let taken = table.insert(name, *exact, RuleId(id));
                let first = *naive.entry((name.clone(), *exact)).or_insert(id);
                prop_assert_eq!(taken, if first == id { Ok(()) } else { Err(RuleId(first)) });
            }
            for name in rules.iter().map(|(name, _)| name).chain(&names) {
                let suffix = rules.iter().filter(|(rule, exact)| {
                    !exact && (name == rule || name.ends_with(&format!(".{rule}")))
                });
                let longest = suffix.max_by_key(|(rule, _)| rule.len()).cloned();
                let expected = naive.get(&(name.clone(), true)).or_else(|| naive.get(&longest?));
                prop_assert_eq!(table.find(name), expected.copied().map(RuleId), "{}", name);
            }
        }
    }
}
