//! Many texts searched for at once: which of them occur.
//!
//! The automaton is used as the concrete `dfa::DFA`: behind the `AhoCorasick` type an overlapping
//! search is a virtual call for every byte, several times slower.

use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, Input, MatchKind, StartKind, packed};

/// The most needles in one automaton: as many as the record of those seen has bits.
pub(in crate::signature) const MAX_NEEDLES: usize = 1024;

/// Needles that one gate looks for: of more, vector instructions find too many that are none.
const GATE: usize = 32;

/// Fewer bytes occur too often to be worth searching for before anything else is asked.
pub(in crate::signature) const RARE: usize = 3;

/// The longest text that is brought to lower case for the gates.
const FOLDED: usize = 512;

/// A compiled set of needles.
#[derive(Clone, Debug)]
pub(in crate::signature) struct Needles {
    /// Say quickly, with vector instructions, that none of their needles occurs; none where that
    /// cannot be said of all.
    gates: Vec<packed::Searcher>,
    /// Of shorter texts the gates have no quick answer.
    gates_from: usize,
    ignore_case: bool,
    automaton: DFA,
}

impl Needles {
    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        let gates = self.gates.iter();
        gates.map(packed::Searcher::memory_usage).sum::<usize>() + self.automaton.memory_usage()
    }

    /// Compiles `needles`; `None` if there are none, one is empty, or they are too many.
    pub(in crate::signature) fn new(needles: &[&[u8]], ignore_case: bool) -> Option<Self> {
        let fits = (1..=MAX_NEEDLES).contains(&needles.len());
        if !fits || needles.iter().any(|needle| needle.is_empty()) {
            return None;
        }
        let automaton = DFA::builder()
            .match_kind(MatchKind::Standard)
            .start_kind(StartKind::Unanchored)
            .ascii_case_insensitive(ignore_case)
            // Letters of either case are not rare: asking for them first only costs.
            .prefilter(!ignore_case)
            .build(needles)
            .ok()?;
        let gates = gates(needles, ignore_case).unwrap_or_default();
        let least = gates.iter().map(packed::Searcher::minimum_len);
        Some(Self {
            gates_from: least.max().unwrap_or_default(),
            gates,
            ignore_case,
            automaton,
        })
    }

    /// Whether any needle may occur in `text`.
    fn may_occur(&self, text: &[u8]) -> bool {
        let any = |text: &[u8]| self.gates.iter().any(|gate| gate.find(text).is_some());
        if self.gates.is_empty() || text.len() < self.gates_from {
            return true;
        }
        if !self.ignore_case {
            return any(text);
        }
        let mut lower = [0; FOLDED];
        let Some(lower) = lower.get_mut(..text.len()) else {
            return true;
        };
        lower.copy_from_slice(text);
        lower.make_ascii_lowercase();
        any(lower)
    }

    /// Calls `found` with the number of each needle that occurs in `text`, once each.
    pub(in crate::signature) fn find(&self, text: &[u8], mut found: impl FnMut(usize)) {
        if !self.may_occur(text) {
            return;
        }
        let input = Input::new(text).anchored(Anchored::No);
        let mut state = OverlappingState::start();
        let mut seen = [0_u64; MAX_NEEDLES / 64];
        // One step a match; at one place no needle is reported twice.
        while self
            .automaton
            .try_find_overlapping(&input, &mut state)
            .is_ok()
        {
            let Some(hit) = state.get_match() else { return };
            let needle = hit.pattern().as_usize();
            let bit = 1 << (needle % 64);
            if let Some(word) = seen.get_mut(needle / 64)
                && *word & bit == 0
            {
                *word |= bit;
                found(needle);
            }
        }
    }
}

/// Searchers for all `needles`, in lower case where case does not matter.
fn gates(needles: &[&[u8]], ignore_case: bool) -> Option<Vec<packed::Searcher>> {
    if needles.iter().any(|needle| needle.len() < RARE) {
        return None;
    }
    let folded = |needle: &&[u8]| match ignore_case {
        true => needle.to_ascii_lowercase(),
        false => needle.to_vec(),
    };
    let searcher = |some: &[&[u8]]| packed::Searcher::new(some.iter().map(folded));
    needles.chunks(GATE).map(searcher).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_searched_for_is_refused() {
        assert!(Needles::new(&[], false).is_none());
        assert!(Needles::new(&[b"a", b""], false).is_none());
        assert!(Needles::new(&vec![&b"a"[..]; MAX_NEEDLES + 1], false).is_none());
    }

    proptest! {
        #[test]
        fn it_finds_each_needle_that_occurs_once(
            needles in prop::collection::vec("[abAB]{1,4}|[abAB]{3,4}", 1..70),
            text in "[abAB]{0,30}|[abAB.]{500,520}",
            ignore_case in any::<bool>(),
        ) {
            let bytes: Vec<&[u8]> = needles.iter().map(String::as_bytes).collect();
            let mut found = Vec::new();
            Needles::new(&bytes, ignore_case).unwrap().find(text.as_bytes(), |n| found.push(n));
            found.sort_unstable();
            let fold = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_owned() };
            let occurs = |n: &usize| fold(&text).contains(&fold(&needles[*n]));
            let expected: Vec<usize> = (0..needles.len()).filter(occurs).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
