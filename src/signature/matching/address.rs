//! Addresses: the longest prefix around one, and whether it is in the prefixes of a file.
//!
//! Nested prefixes are flattened into ranges that do not overlap, so that a look-up is one binary
//! search; for IPv4 an index over the first 16 bits leaves only a few ranges to search.

use std::net::IpAddr;

use crate::app::{AppId, Proto};
use crate::verdict::RuleId;

/// An IP prefix. IPv4 and IPv6 are apart: no prefix of one holds an address of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::signature) struct Prefix {
    v6: bool,
    first: u128,
    last: u128,
}

impl Prefix {
    /// Reads `203.0.113.0/24`, `2001:db8::/32` or a single address.
    pub(in crate::signature) fn parse(text: &str) -> Result<Self, String> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| "expected a prefix: `203.0.113.0/24` or `2001:db8::/32`".to_owned())?;
        let (v6, bits, width) = family(address);
        let len = match len.map(str::parse::<u32>) {
            None => width,
            Some(Ok(len)) if len <= width => len,
            Some(_) => return Err(format!("expected a prefix length of 0 to {width}")),
        };
        let free = u128::MAX
            .checked_shr(128 - (width - len))
            .unwrap_or_default();
        if bits & free != 0 {
            return Err(format!(
                "bits are set after the first {len}: expected zeros there"
            ));
        }
        Ok(Self {
            v6,
            first: bits,
            last: bits | free,
        })
    }

    /// Whether `address` is in it.
    pub(in crate::signature) fn holds(&self, address: IpAddr) -> bool {
        let (v6, bits, _) = family(address);
        v6 == self.v6 && self.first <= bits && bits <= self.last
    }

    /// How many bits it fixes.
    pub(in crate::signature) const fn len(&self) -> u32 {
        let width = if self.v6 { 128 } else { 32 };
        width - (128 - (self.last - self.first).leading_zeros())
    }
}

/// The address that stands for `address`: an IPv4 address in IPv6 clothes is that one, be it mapped (RFC 4291
/// section 2.5.5.2) or, for a translator, behind the well-known prefix `64:ff9b::/96` (RFC 6052 section 2.1),
/// as clients of networks without IPv4 write their servers'.
fn undressed(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.octets() {
            [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => IpAddr::from([a, b, c, d]),
            _ => IpAddr::V6(v6),
        },
        v4 => v4,
    }
}

/// Whether it is IPv6, the bits, and how many. An IPv4 address in IPv6 clothes is IPv4.
fn family(address: IpAddr) -> (bool, u128, u32) {
    match undressed(address) {
        IpAddr::V4(v4) => (false, u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (true, v6.to_bits(), 128),
    }
}

/// All address rules.
#[derive(Debug, Default)]
pub(in crate::signature) struct AddressTable {
    v4: Ranges<u32>,
    /// For each first 16 bits of an address, the range its first address is in; empty without rules.
    v4_index: Box<[u32]>,
    v6: Ranges<u128>,
    /// By the number of the file: all its prefixes, shared ones as well.
    owned: Box<[Owned]>,
    /// What is an application's if it is spoken at its addresses, in order.
    spoken: Box<[(AppId, Proto)]>,
}

/// Ranges that follow one another: each goes from its start to the next one's.
#[derive(Debug, Default)]
struct Ranges<T> {
    starts: Box<[T]>,
    rules: Box<[Option<RuleId>]>,
}

/// Prefixes of one file as ranges that do not overlap.
#[derive(Debug, Default)]
struct Owned {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl AddressTable {
    /// A table of `rules` that name a flow and of the prefixes of each file.
    ///
    /// Of two rules for one prefix the first is taken.
    pub(in crate::signature) fn new(
        rules: &[(Prefix, RuleId)],
        owned: &[Vec<Prefix>],
        mut spoken: Vec<(AppId, Proto)>,
    ) -> Self {
        spoken.sort_unstable();
        let of_family = |v6| {
            rules
                .iter()
                .filter(move |(prefix, _)| prefix.v6 == v6)
                .copied()
                .collect()
        };
        let v4 = flatten(of_family(false)).narrow(|start| u32::try_from(start).ok());
        let v4_index = v4.index();
        let v6 = flatten(of_family(true)).narrow(Some);
        let owned = owned.iter().map(|prefixes| Owned::new(prefixes)).collect();
        Self {
            v4,
            v4_index,
            v6,
            owned,
            spoken: spoken.into(),
        }
    }

    /// Whether `proto` is `app`'s if it is spoken at its addresses.
    pub(in crate::signature) fn speaks(&self, app: AppId, proto: Proto) -> bool {
        self.spoken.binary_search(&(app, proto)).is_ok()
    }

    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        let owned =
            |one: &Owned| size_of::<Owned>() + size_of_val(&*one.v4) + size_of_val(&*one.v6);
        size_of_val(&*self.v4.starts)
            + size_of_val(&*self.v4.rules)
            + size_of_val(&*self.v4_index)
            + size_of_val(&*self.v6.starts)
            + size_of_val(&*self.v6.rules)
            + size_of_val(&*self.spoken)
            + self.owned.iter().map(owned).sum::<usize>()
    }

    /// The rule of the longest prefix around `address`.
    pub(in crate::signature) fn find(&self, address: IpAddr) -> Option<RuleId> {
        match undressed(address) {
            IpAddr::V4(v4) => {
                let bits = v4.to_bits();
                let high = (bits >> 16) as usize;
                let low = *self.v4_index.get(high)? as usize;
                let end = *self.v4_index.get(high + 1)? as usize;
                let few = self.v4.starts.get(low..=end)?;
                let place = low + few.partition_point(|&start| start <= bits);
                *self.v4.rules.get(place.checked_sub(1)?)?
            }
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                let place = self.v6.starts.partition_point(|&start| start <= bits);
                *self.v6.rules.get(place.checked_sub(1)?)?
            }
        }
    }

    /// Whether `address` is in a prefix of the file numbered `file`.
    pub(in crate::signature) fn owns(&self, file: u16, address: IpAddr) -> bool {
        let Some(owned) = self.owned.get(usize::from(file)) else {
            return false;
        };
        match undressed(address) {
            IpAddr::V4(v4) => within(&owned.v4, v4.to_bits()),
            IpAddr::V6(v6) => within(&owned.v6, v6.to_bits()),
        }
    }
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], bits: T) -> bool {
    let place = ranges.partition_point(|&(first, _)| first <= bits);
    place
        .checked_sub(1)
        .and_then(|place| ranges.get(place))
        .is_some_and(|&(_, last)| bits <= last)
}

impl Owned {
    fn new(prefixes: &[Prefix]) -> Self {
        let merged = |v6| {
            let mut ranges: Vec<(u128, u128)> = prefixes
                .iter()
                .filter(|prefix| prefix.v6 == v6)
                .map(|prefix| (prefix.first, prefix.last))
                .collect();
            ranges.sort_unstable();
            let mut merged: Vec<(u128, u128)> = Vec::new();
            for (first, last) in ranges {
                match merged.last_mut() {
                    Some(before) if first <= before.1.saturating_add(1) => {
                        before.1 = before.1.max(last);
                    }
                    _ => merged.push((first, last)),
                }
            }
            merged
        };
        let small = |(first, last)| Some((u32::try_from(first).ok()?, u32::try_from(last).ok()?));
        Self {
            v4: merged(false).into_iter().filter_map(small).collect(),
            v6: merged(true).into(),
        }
    }
}

impl Ranges<u128> {
    fn narrow<T>(self, narrow: impl Fn(u128) -> Option<T>) -> Ranges<T> {
        // A range past the end of the family (after its last address) has no start there.
        let starts: Box<[T]> = self
            .starts
            .iter()
            .map_while(|&start| narrow(start))
            .collect();
        Ranges {
            starts,
            rules: self.rules,
        }
    }
}

impl Ranges<u32> {
    fn index(&self) -> Box<[u32]> {
        if self.starts.is_empty() {
            return Box::default();
        }
        let place = |bits: u32| {
            let place = self
                .starts
                .partition_point(|&start| start <= bits)
                .saturating_sub(1);
            u32::try_from(place).unwrap_or(u32::MAX)
        };
        (0..=u32::from(u16::MAX))
            .map(|high| place(high << 16))
            .chain([place(u32::MAX)])
            .collect()
    }
}

/// Nested prefixes as ranges one after the other, from address 0 on.
fn flatten(mut rules: Vec<(Prefix, RuleId)>) -> Ranges<u128> {
    if rules.is_empty() {
        return Ranges::default();
    }
    // Outer before inner; the sort is stable, so of equal ones the first rule is kept.
    rules.sort_by_key(|&(prefix, _)| (prefix.first, u128::MAX - prefix.last));
    rules.dedup_by_key(|&mut (prefix, _)| prefix);
    let mut ranges = vec![(0, None)];
    let mut open = Vec::new();
    for (prefix, rule) in rules {
        close(&mut open, &mut ranges, Some(prefix.first));
        begin(&mut ranges, prefix.first, Some(rule));
        open.push((prefix.last, rule));
    }
    close(&mut open, &mut ranges, None);
    let (starts, rules): (Vec<_>, Vec<_>) = ranges.into_iter().unzip();
    Ranges {
        starts: starts.into(),
        rules: rules.into(),
    }
}

/// Ends the open prefixes whose last address is before `next`, inner ones first: what follows
/// each belongs to the one around it.
fn close(
    open: &mut Vec<(u128, RuleId)>,
    ranges: &mut Vec<(u128, Option<RuleId>)>,
    next: Option<u128>,
) {
    while let Some(&(last, _)) = open.last()
        && next.is_none_or(|next| last < next)
    {
        open.pop();
        if let Some(after) = last.checked_add(1) {
            begin(ranges, after, open.last().map(|&(_, rule)| rule));
        }
    }
}

fn begin(ranges: &mut Vec<(u128, Option<RuleId>)>, start: u128, rule: Option<RuleId>) {
    match ranges.last_mut() {
        Some(last) if last.0 == start => last.1 = rule,
        _ => ranges.push((start, rule)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn prefixes_are_read_strictly() {
        for (text, len) in [
            ("203.0.113.0/24", 24),
            ("203.0.113.9", 32),
            ("0.0.0.0/0", 0),
            ("2001:db8::/32", 32),
            ("::/0", 0),
            ("2001:db8::1", 128),
        ] {
            assert_eq!(prefix(text).len(), len, "{text}");
        }
        for text in [
            "",
            "x",
            "1.2.3/24",
            "1.2.3.0/33",
            "1.2.3.1/24",
            "2001:db8::1/64",
            "1.2.3.0/",
            "::/129",
        ] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let rules = [
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.1.3.0/24",
            "255.255.255.255/32",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "10.1.2.0/24",
        ];
        let rules: Vec<_> = rules
            .iter()
            .map(|text| prefix(text))
            .zip((0..).map(RuleId))
            .collect();
        let table = AddressTable::new(&rules, &[], Vec::new());
        for (address, expected) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some(0)),
            ("10.1.1.255", Some(1)),
            ("10.1.2.0", Some(2)),
            ("10.1.3.255", Some(3)),
            ("10.1.4.0", Some(1)),
            ("10.2.0.0", Some(0)),
            ("10.255.255.255", Some(0)),
            ("11.0.0.0", None),
            ("255.255.255.254", None),
            ("255.255.255.255", Some(4)),
            ("::ffff:10.1.2.3", Some(2)),
            ("2001:db7::", None),
            ("2001:db8::1", Some(5)),
            ("2001:db8:1::1", Some(6)),
            ("2001:db8:2::", Some(5)),
            ("2001:db9::", None),
        ] {
            assert_eq!(
                table.find(address.parse().unwrap()),
                expected.map(RuleId),
                "{address}"
            );
        }
        assert_eq!(
            AddressTable::default().find(IpAddr::from([10, 0, 0, 1])),
            None
        );
    }

    #[test]
    fn a_file_owns_its_prefixes_and_no_others() {
        let files = [
            vec![
                prefix("10.0.0.0/8"),
                prefix("11.0.0.0/8"),
                prefix("10.3.0.0/16"),
                prefix("2001:db8::/32"),
            ],
            vec![prefix("10.0.0.0/8")],
        ];
        let table = AddressTable::new(&[], &files, Vec::new());
        for (file, address, expected) in [
            (0, "10.1.1.1", true),
            (1, "10.1.1.1", true),
            (0, "11.255.255.255", true),
            (1, "11.1.1.1", false),
            (0, "9.255.255.255", false),
            (0, "12.0.0.0", false),
            (0, "2001:db8::1", true),
            (1, "2001:db8::1", false),
            (2, "10.1.1.1", false),
        ] {
            assert_eq!(
                table.owns(file, address.parse().unwrap()),
                expected,
                "{file} {address}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_table_equals_a_search_through_all_prefixes(
            rules in prop::collection::vec((any::<u8>(), any::<bool>(), 0..=10_u32), 0..30),
            addresses in prop::collection::vec((any::<u8>(), any::<bool>()), 0..40),
        ) {
            // Eight bits of freedom on either side of the /16 boundary, so that prefixes nest.
            let v4 = |bits: u8| Ipv4Addr::from_bits(0x0a0f_f000 | u32::from(bits) << 9);
            let v6 = |bits: u8| Ipv6Addr::from_bits(u128::from(bits) << 100);
            let rules: Vec<(Prefix, RuleId)> = rules
                .iter()
                .zip((0..).map(RuleId))
                .map(|(&(bits, six, len), rule)| {
                    let (address, len) = if six {
                        let len = 18 + len;
                        (IpAddr::V6(Ipv6Addr::from_bits(v6(bits).to_bits() & u128::MAX << (128 - len))), len)
                    } else {
                        let len = 14 + len;
                        (IpAddr::V4(Ipv4Addr::from_bits(v4(bits).to_bits() & u32::MAX << (32 - len))), len)
                    };
                    (Prefix::parse(&format!("{address}/{len}")).unwrap(), rule)
                })
                .collect();
            let all: Vec<Prefix> = rules.iter().map(|&(prefix, _)| prefix).collect();
            let table = AddressTable::new(&rules, &[all], Vec::new());
            for &(bits, six) in &addresses {
                let address = if six { IpAddr::V6(v6(bits)) } else { IpAddr::V4(v4(bits)) };
                let around = rules.iter().rev().filter(|(prefix, _)| prefix.holds(address));
                // `rev` and `max_by_key` (the last of equals): the first rule of the longest.
                let expected = around.clone().max_by_key(|(prefix, _)| prefix.len());
                prop_assert_eq!(table.find(address), expected.map(|&(_, rule)| rule));
                prop_assert_eq!(table.owns(0, address), around.count() > 0);
            }
        }
    }
}
