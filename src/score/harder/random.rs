//! Numbers that look random and are the same in every run.

/// SplitMix64 (Steele, Lea and Flood, 2014), of a seed and what is decided by it.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The numbers of `seed` for the decision that `parts` name.
    pub(super) fn new(seed: u64, parts: &[u64]) -> Self {
        let mut random = Self(seed);
        for part in parts {
            random.0 ^= part.wrapping_mul(0xd6e8_feb8_6659_fd93);
            random.0 = random.next();
        }
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `from..to`; `from` where there is none.
    pub(super) fn between(&mut self, from: usize, to: usize) -> usize {
        let range = to.saturating_sub(from).max(1) as u64;
        from + usize::try_from(self.next() % range).unwrap_or(0)
    }

    /// True for so many of a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    /// Up to `count` places inside `0..len`, in order, all different and none at the start.
    pub(super) fn cuts(&mut self, len: usize, count: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..count).map(|_| self.between(1, len)).collect();
        cuts.retain(|&cut| cut < len);
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}
