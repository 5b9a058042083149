//! A bounded map for what is learned: when the young generation is full it becomes the old one,
//! and the old one goes.

use std::hash::Hash;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::time::Timestamp;

/// At most two generations of entries; it grows as they come.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    /// Entries a generation holds.
    limit: usize,
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K, V> Generations<K, V> {
    /// An empty one whose generations have `buckets` each, a power of two.
    pub(super) fn new(buckets: usize) -> Self {
        Self {
            // hashbrown fills seven eighths.
            limit: (buckets / 8 * 7).max(1),
            young: HashMap::default(),
            old: HashMap::default(),
        }
    }

    /// The most bytes one of `buckets` takes: two maps with one control byte a bucket, and half a
    /// one while the young one grows to its full size beside what it was before.
    pub(super) const fn memory(buckets: usize) -> usize {
        buckets * (size_of::<(K, V)>() + 1) / 2 * 5
    }
}

impl<K: Hash + Eq, V: Copy> Generations<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.limit && !self.young.contains_key(&key) {
            make_old(&mut self.young, &mut self.old);
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let young = self.young.remove(key);
        // Most runs do not fill one generation.
        let old = if self.old.is_empty() {
            None
        } else {
            self.old.remove(key)
        };
        young.or(old)
    }
}

/// Makes the young generation the old one. What the old one took is the young one's room: given back
/// and asked for again, it would be cleared by the system and grown step by step each time.
pub(super) fn make_old<K, V>(
    young: &mut HashMap<K, V, RandomState>,
    old: &mut HashMap<K, V, RandomState>,
) {
    old.clear();
    std::mem::swap(young, old);
}

/// The whole seconds of `at`, as what is remembered for long keeps them.
pub(super) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.0 / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generations_are_kept() {
        let mut map = Generations::new(8);
        for number in 0..20 {
            map.insert(number, number);
        }
        // Seven a generation: 0 to 6 have gone.
        assert_eq!(
            [6, 7, 19].map(|number| map.get(&number)),
            [None, Some(7), Some(19)]
        );
        map.insert(19, 1);
        assert_eq!((map.remove(&19), map.get(&19)), (Some(1), None));
        assert_eq!((map.remove(&8), map.remove(&8)), (Some(8), None));
    }

    #[test]
    fn memory_is_what_the_maps_may_take() {
        let buckets = 1 << 10;
        let mut map = Generations::<u64, u64>::new(buckets);
        for number in 0..10 * buckets as u64 {
            map.insert(number, 0);
        }
        let taken = map.young.allocation_size() + map.old.allocation_size();
        assert!(taken <= Generations::<u64, u64>::memory(buckets), "{taken}");
    }
}
