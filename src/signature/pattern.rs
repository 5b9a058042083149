//! Byte patterns in hex: whole bytes, `??` for any, `0?` or `?f` for any nibble, `03|04` for
//! alternatives.
//!
//! A pattern is a mask and a value over its length, plus a set of allowed bytes at the few
//! places where alternatives were given.

use super::condition::SyntaxError;

/// The longest pattern: what a message's header can reasonably hold.
pub(super) const MAX_PATTERN: usize = 256;

/// A compiled pattern; where it stands in a message is the rule's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HexPattern {
    mask: Box<[u8]>,
    value: Box<[u8]>,
    /// Places with alternatives; mask and value hold what all alternatives share.
    choices: Box<[(u16, ByteSet)]>,
}

impl HexPattern {
    /// Bytes it takes on the heap.
    pub(super) fn memory(&self) -> usize {
        self.mask.len() + self.value.len() + size_of_val(&*self.choices)
    }

    /// Reads hex: `16 f1 03|04 ?? 0?`. Spaces between bytes are optional.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = HexParser {
            text: text.as_bytes(),
            at: 0,
        };
        let mut sets = Vec::new();
        while let Some(set) = parser.place()? {
            if sets.len() == MAX_PATTERN {
                return Err(SyntaxError::new(
                    parser.at,
                    format!("expected at most {MAX_PATTERN} bytes"),
                ));
            }
            sets.push(set);
        }
        if sets.is_empty() {
            return Err(SyntaxError::new(0, "expected bytes in hex: `16 03 01`"));
        }
        Ok(Self::from_sets(&sets))
    }

    /// A pattern of exactly these bytes.
    pub(super) fn literal(bytes: &[u8]) -> Self {
        Self {
            mask: vec![0xff; bytes.len()].into(),
            value: bytes.into(),
            choices: Box::default(),
        }
    }

    fn from_sets(sets: &[ByteSet]) -> Self {
        let (mask, value) = sets
            .iter()
            .map(|set| set.common())
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let choices = (0u16..)
            .zip(sets)
            .filter(|(_, set)| !set.is_mask())
            .map(|(place, &set)| (place, set))
            .collect();
        Self {
            mask: mask.into(),
            value: value.into(),
            choices,
        }
    }

    /// Whether `bytes`, which must be of the pattern's length, are what it says.
    #[inline]
    pub(super) fn matches(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.mask.len()
            && bytes
                .iter()
                .zip(&self.mask)
                .zip(&self.value)
                .all(|((b, m), v)| b & m == *v)
            && self.choices.iter().all(|(place, set)| {
                bytes
                    .get(usize::from(*place))
                    .is_some_and(|&byte| set.contains(byte))
            })
    }

    /// How many of the first `bytes` are as it says, and how many bits that fixes.
    pub(super) fn prefix(&self, bytes: &[u8]) -> (usize, u32) {
        let places = bytes
            .iter()
            .zip((0..self.len()).map(|place| self.set(place)));
        let right = places.take_while(|(byte, set)| set.contains(**byte));
        right.fold((0, 0), |(there, bits), (_, set)| {
            (there + 1, bits + set.fixed_bits())
        })
    }

    /// How many bytes it spans.
    pub(super) const fn len(&self) -> usize {
        self.mask.len()
    }

    /// The bytes allowed at `place`.
    pub(super) fn set(&self, place: usize) -> ByteSet {
        let choice = self
            .choices
            .iter()
            .find(|(at, _)| usize::from(*at) == place);
        match (choice, self.mask.get(place), self.value.get(place)) {
            (Some(&(_, set)), ..) => set,
            (None, Some(&mask), Some(&value)) => ByteSet::masked(mask, value),
            _ => ByteSet::ALL,
        }
    }

    /// The bytes, if the pattern leaves no choice.
    pub(super) fn as_literal(&self) -> Option<&[u8]> {
        (self.choices.is_empty() && self.mask.iter().all(|&m| m == 0xff)).then_some(&self.value)
    }

    /// How many bits it fixes: 8 for a byte, 4 for a nibble, 7 for one of two bytes.
    pub(super) fn fixed_bits(&self) -> u32 {
        (0..self.len())
            .map(|place| self.set(place).fixed_bits())
            .sum()
    }
}

struct HexParser<'a> {
    text: &'a [u8],
    at: usize,
}

impl HexParser<'_> {
    /// The next byte with its alternatives; `None` at the end.
    fn place(&mut self) -> Result<Option<ByteSet>, SyntaxError> {
        self.spaces();
        if self.at == self.text.len() {
            return Ok(None);
        }
        let mut set = self.byte()?;
        loop {
            self.spaces();
            if self.text.get(self.at) != Some(&b'|') {
                return Ok(Some(set));
            }
            self.at += 1;
            self.spaces();
            set.add(self.byte()?);
        }
    }

    fn byte(&mut self) -> Result<ByteSet, SyntaxError> {
        let (high_mask, high) = self.nibble()?;
        let (low_mask, low) = self.nibble()?;
        Ok(ByteSet::masked(high_mask << 4 | low_mask, high << 4 | low))
    }

    fn nibble(&mut self) -> Result<(u8, u8), SyntaxError> {
        let digit = self.text.get(self.at).copied();
        let nibble = match digit {
            Some(b'?') => (0, 0),
            Some(digit @ b'0'..=b'9') => (0xf, digit - b'0'),
            Some(digit @ (b'a'..=b'f' | b'A'..=b'F')) => (0xf, (digit | 0x20) - b'a' + 10),
            _ => {
                return Err(SyntaxError::new(
                    self.at,
                    "expected a hex digit or `?` (bytes are two of them: `16`, `0?`, `??`, `03|04`)",
                ));
            }
        };
        self.at += 1;
        Ok(nibble)
    }

    fn spaces(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}

/// A set of byte values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) const ALL: Self = Self([u64::MAX; 4]);
    pub(super) const NONE: Self = Self([0; 4]);

    /// The bytes that are `value` under `mask`.
    pub(super) fn masked(mask: u8, value: u8) -> Self {
        let mut set = Self::NONE;
        if mask == u8::MAX {
            // Nearly every byte of every rule: worth not trying the other 255.
            set.insert(value);
            return set;
        }
        for byte in 0..=u8::MAX {
            if byte & mask == value {
                set.insert(byte);
            }
        }
        set
    }

    pub(super) fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0
            .get(usize::from(byte >> 6))
            .is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    pub(super) fn add(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    pub(super) fn intersect(&mut self, other: Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine &= theirs;
        }
    }

    pub(super) fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Its members, rising.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        [0, 64, 128, 192]
            .into_iter()
            .zip(self.0)
            .flat_map(|(start, word)| {
                let mut left = word;
                std::iter::from_fn(move || {
                    let bit = u8::try_from(left.trailing_zeros())
                        .ok()
                        .filter(|_| left != 0)?;
                    left &= left - 1;
                    Some(start + bit)
                })
            })
    }

    /// Mask and value that all bytes of the set share.
    pub(super) fn common(self) -> (u8, u8) {
        let (ones, any) = self
            .iter()
            .fold((u8::MAX, 0), |(ones, any), byte| (ones & byte, any | byte));
        let mask = !(ones ^ any);
        (mask, ones & mask)
    }

    /// Whether mask and value say all there is.
    fn is_mask(self) -> bool {
        let (mask, value) = self.common();
        Self::masked(mask, value) == self
    }

    /// How many bits are known of a byte of this set.
    pub(super) fn fixed_bits(self) -> u32 {
        match self.len() {
            0 => 8,
            len => 8 - (32 - (len - 1).leading_zeros()).min(8),
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_what_they_say() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("16 f1", &[0x16, 0xf1], true),
            ("16F1", &[0x16, 0xf1], true),
            ("16 f1", &[0x16, 0xf0], false),
            ("16 f1", &[0x16], false),
            ("16 f1", &[0x16, 0xf1, 0], false),
            ("?? f1", &[0, 0xf1], true),
            ("0? ?f", &[0x0a, 0xaf], true),
            ("0? ?f", &[0x1a, 0xaf], false),
            ("03|04", &[3], true),
            ("03|04", &[4], true),
            ("03|04", &[7], false),
            ("03 | 14 05", &[0x14, 5], true),
            ("03|8?", &[0x8c], true),
            ("03|8?", &[0x83], true),
            ("03|8?", &[0x03], true),
            ("03|8?", &[0x0b], false),
            ("00|01|03", &[2], false),
        ];
        for &(pattern, bytes, expected) in cases {
            let compiled = HexPattern::parse(pattern).unwrap();
            assert_eq!(
                compiled.matches(bytes),
                expected,
                "{pattern} on {bytes:02x?}"
            );
        }
    }

    #[test]
    fn what_is_not_hex_is_refused_where_it_stands() {
        for (pattern, at) in [
            ("", 0),
            ("1", 1),
            ("16 f", 4),
            ("16 zz", 3),
            ("03|", 3),
            ("|03", 0),
            ("03||04", 3),
            ("0x16", 1),
        ] {
            assert_eq!(
                HexPattern::parse(pattern).unwrap_err().at,
                at,
                "{pattern:?}"
            );
        }
        assert!(HexPattern::parse(&"00".repeat(MAX_PATTERN)).is_ok());
        assert!(HexPattern::parse(&"00".repeat(MAX_PATTERN + 1)).is_err());
    }

    #[test]
    fn bits_are_counted_by_how_many_bytes_stay_possible() {
        for (pattern, bits) in [
            ("16 f1", 16),
            ("??", 0),
            ("0?", 4),
            ("03|04", 7),
            ("00|01|02", 6),
            ("0?|1?", 3),
            ("03|8?", 3),
        ] {
            assert_eq!(
                HexPattern::parse(pattern).unwrap().fixed_bits(),
                bits,
                "{pattern}"
            );
        }
        assert_eq!(HexPattern::literal(b"HELLO").fixed_bits(), 40);
    }

    #[test]
    fn only_whole_bytes_are_a_literal() {
        assert_eq!(
            HexPattern::parse("16 03").unwrap().as_literal(),
            Some(&[0x16, 3][..])
        );
        assert_eq!(HexPattern::parse("16 0?").unwrap().as_literal(), None);
        assert_eq!(HexPattern::parse("16 03|04").unwrap().as_literal(), None);
    }
}
