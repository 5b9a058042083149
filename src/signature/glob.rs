//! Text patterns: case-insensitive, over the whole text, `*` for any run of characters.
//!
//! A text is at most 512 bytes, so going back to the last `*` costs at most the product of two
//! short lengths: there is no exponential case.

use super::syntax::SyntaxError;

/// The longest glob.
pub(super) const MAX_GLOB: usize = 256;

/// A compiled glob: lower case, runs of `*` folded into one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Glob(Box<[u8]>);

impl Glob {
    /// Bytes it takes on the heap.
    pub(super) const fn memory(&self) -> usize {
        self.0.len()
    }

    /// Reads a glob.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.is_empty() {
            return Err(SyntaxError::new(0, "expected a text; `*` matches any"));
        }
        if text.len() > MAX_GLOB {
            return Err(SyntaxError::new(
                MAX_GLOB,
                format!("expected at most {MAX_GLOB} bytes"),
            ));
        }
        let mut pattern = text.to_ascii_lowercase().into_bytes();
        pattern.dedup_by(|a, b| *a == b'*' && *b == b'*');
        Ok(Self(pattern.into()))
    }

    /// Whether the whole of `text` is what the glob says.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let pattern = &*self.0;
        let (mut p, mut t) = (0, 0);
        // Where to go on when what follows the last `*` does not fit: one byte further.
        let mut again: Option<(usize, usize)> = None;
        while let Some(byte) = text.get(t) {
            match pattern.get(p) {
                Some(b'*') => {
                    p += 1;
                    again = Some((p, t));
                }
                Some(expected) if *expected == byte.to_ascii_lowercase() => {
                    p += 1;
                    t += 1;
                }
                _ => match &mut again {
                    Some((after_star, start)) => {
                        *start += 1;
                        (p, t) = (*after_star, *start);
                    }
                    None => return false,
                },
            }
        }
        pattern
            .get(p..)
            .is_some_and(|rest| rest.iter().all(|&b| b == b'*'))
    }

    /// The text before the first `*`: what a match begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        self.0.split(|&b| b == b'*').next().unwrap_or_default()
    }

    /// The longest run without `*`: what a match must contain.
    pub(super) fn longest_literal(&self) -> &[u8] {
        self.0
            .split(|&b| b == b'*')
            .max_by_key(|piece| piece.len())
            .unwrap_or_default()
    }

    /// How many labels of a host name it fixes: `*.a.example` has two.
    pub(super) fn labels(&self) -> usize {
        self.0
            .split(|&b| b == b'.')
            .filter(|label| !label.is_empty() && **label != *b"*")
            .count()
    }

    /// How many characters it fixes.
    pub(super) fn fixed_bytes(&self) -> usize {
        self.0.iter().filter(|&&b| b != b'*').count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts_in_any_case() {
        let cases: &[(&str, &str, bool)] = &[
            ("abc", "abc", true),
            ("abc", "ABC", true),
            ("ABC", "abc", true),
            ("abc", "abcd", false),
            ("abc", "xabc", false),
            ("abc*", "abcd", true),
            ("abc*", "abc", true),
            ("*abc", "xxabc", true),
            ("*abc", "xxabcx", false),
            ("*abc*", "xxABCxx", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("a*bc", "abbbc", true),
            ("*", "", true),
            ("*", "x", true),
            ("**", "x", true),
            ("a", "", false),
            ("MicroMessenger Client*", "micromessenger client", true),
            ("*.signal.org", "turn.signal.org", true),
            ("*.signal.org", "signal.org", false),
            ("a.c", "abc", false),
            ("微*", "微信", true),
        ];
        for &(glob, text, expected) in cases {
            let compiled = Glob::parse(glob).unwrap();
            assert_eq!(
                compiled.matches(text.as_bytes()),
                expected,
                "{glob} on {text}"
            );
        }
    }

    #[test]
    fn pieces_serve_as_index() {
        for (glob, prefix, longest) in [
            ("abc*de", "abc", "abc"),
            ("*abc*abcd", "", "abcd"),
            ("*", "", ""),
            ("abc", "abc", "abc"),
        ] {
            let compiled = Glob::parse(glob).unwrap();
            assert_eq!(compiled.prefix(), prefix.as_bytes(), "{glob}");
            assert_eq!(compiled.longest_literal(), longest.as_bytes(), "{glob}");
        }
        assert!(Glob::parse("").is_err());
        assert!(Glob::parse(&"x".repeat(MAX_GLOB + 1)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_glob_is_what_its_pieces_say(glob in "[ab*]{1,12}", text in "[abAB]{0,24}") {
            // Naive: recursion over the first character of each.
            fn naive(glob: &[u8], text: &[u8]) -> bool {
                match (glob.split_first(), text.split_first()) {
                    (None, None) => true,
                    (Some((b'*', rest)), _) => {
                        naive(rest, text) || text.split_first().is_some_and(|(_, t)| naive(glob, t))
                    }
                    (Some((g, rest)), Some((t, more))) => {
                        g.eq_ignore_ascii_case(t) && naive(rest, more)
                    }
                    _ => false,
                }
            }
            let expected = naive(glob.as_bytes(), text.as_bytes());
            proptest::prop_assert_eq!(Glob::parse(&glob).unwrap().matches(text.as_bytes()), expected);
        }
    }
}
