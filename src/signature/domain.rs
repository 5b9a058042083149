//! Names: the longest suffix rule, or the exact rule, that a host name falls under.
//!
//! A name is walked once from its end with a rolling hash; at each dot the hash of the labels
//! passed so far is looked up. What a rule costs is one table entry, whatever its length.

use hashbrown::HashTable;
use hashbrown::hash_table;

use crate::verdict::RuleId;

/// The longest host name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// All domain rules.
#[derive(Debug, Default)]
pub(super) struct DomainTable {
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

impl DomainTable {
    /// Makes `rule` the one for `name` and, unless `exact`, for everything below it. The first
    /// rule for a name stays; the answer is then the rule that was there.
    pub(super) fn insert(&mut self, name: &str, exact: bool, rule: RuleId) -> Result<(), RuleId> {
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

    /// Bytes it takes on the heap, about.
    pub(super) fn memory(&self) -> usize {
        // One control byte an entry (hashbrown).
        self.entries.capacity() * (size_of::<Entry>() + 1) + self.names.capacity()
    }

    /// The rule for `name`, which is lower case and without a trailing dot.
    pub(super) fn find(&self, name: &str) -> Option<RuleId> {
        let name = name.as_bytes();
        if name.len() > MAX_NAME {
            return None;
        }
        let mut longest = None;
        let mut hash = SEED;
        let mut rest = name;
        while let [before @ .., byte] = rest {
            if *byte == b'.'
                && let Some((_, passed)) = name.split_at_checked(rest.len())
                && let Some(entry) = self.entry(hash, passed)
            {
                longest = entry.suffix.or(longest);
            }
            hash = step(hash, *byte);
            rest = before;
        }
        match self.entry(hash, name) {
            Some(entry) => entry.exact.or(entry.suffix).or(longest),
            None => longest,
        }
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

fn hash(name: &[u8]) -> u64 {
    finish(name.iter().rev().fold(SEED, |hash, &byte| step(hash, byte)))
}

/// What is wrong with `name` as a host name in a rule, if anything.
pub(super) fn fault(name: &str) -> Option<&'static str> {
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
    if name.contains('*') {
        return Some("a suffix covers everything below it: expected no `*`");
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
    if EVERYBODY.contains(&name) || name.len() == 2 {
        return Some("this is a public top-level domain: it would claim everybody's names");
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
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
    }

    proptest! {
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
