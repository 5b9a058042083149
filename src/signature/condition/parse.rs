//! Conditions from text to [`Program`]: recursive descent with bounded depth.

use super::program::{Binary, Compare, MAX_OPS, MAX_STACK, Op, Program};
use crate::signature::syntax::SyntaxError;

/// How deep the parser may recurse.
const MAX_NESTING: usize = 24;
/// The longest `in [...]` list.
const MAX_LIST: usize = 64;

/// What conditions can name.
pub(crate) trait Vocabulary: Sized {
    /// What is named, as the program has it.
    type Term: Copy;

    /// Reads a term, which begins where the parser stands, and emits what reads it.
    ///
    /// # Errors
    ///
    /// What is no term.
    fn term(parser: &mut Parser<'_, Self>) -> Result<Kind, SyntaxError>;
}

impl<T: Copy> Program<T> {
    /// Reads a condition on what `vocabulary` names; gives that back with what it has kept.
    ///
    /// # Errors
    ///
    /// What is no condition.
    pub(crate) fn parse_with<V: Vocabulary<Term = T>>(
        text: &str,
        vocabulary: V,
    ) -> Result<(Self, V), SyntaxError> {
        let mut parser = Parser {
            vocabulary,
            text,
            at: 0,
            ops: Vec::new(),
            ranges: Vec::new(),
            depth: 0,
            max_depth: 0,
            nesting: 0,
        };
        let kind = parser.or()?;
        parser.spaces();
        if parser.at < text.len() {
            return Err(parser.wrong("expected an operator or the end of the condition"));
        }
        if kind != Kind::Truth {
            return Err(SyntaxError::new(
                0,
                "expected a comparison: this is a number",
            ));
        }
        if parser.max_depth > MAX_STACK || parser.ops.len() > MAX_OPS {
            return Err(SyntaxError::new(
                0,
                "the condition is too long: split it in two",
            ));
        }
        let program = Self {
            ops: parser.ops.into(),
            ranges: parser.ranges.into(),
        };
        Ok((program, parser.vocabulary))
    }
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Truth,
}

/// Recursive descent; precedence from loosest: `||`, `&&`, comparison, `|`, `^`, `&`, shifts,
/// `+ -`, `* / %`, and the prefixes. `&` binds tighter than `==`, as in Rust and unlike C.
#[derive(Debug)]
pub(crate) struct Parser<'a, V: Vocabulary> {
    /// What can be named.
    pub(crate) vocabulary: V,
    text: &'a str,
    at: usize,
    pub(super) ops: Vec<Op<V::Term>>,
    ranges: Vec<(i64, i64)>,
    depth: usize,
    max_depth: usize,
    nesting: usize,
}

impl<'a, V: Vocabulary> Parser<'a, V> {
    fn or(&mut self) -> Result<Kind, SyntaxError> {
        self.chain(["||", "or"], Op::OrElse, Self::and)
    }

    fn and(&mut self) -> Result<Kind, SyntaxError> {
        self.chain(["&&", "and"], Op::AndThen, Self::negation)
    }

    fn chain(
        &mut self,
        [operator, word]: [&str; 2],
        jump: fn(u16) -> Op<V::Term>,
        part: fn(&mut Self) -> Result<Kind, SyntaxError>,
    ) -> Result<Kind, SyntaxError> {
        let mut start = self.position();
        let mut kind = part(self)?;
        let mut jumps = Vec::new();
        while self.eat(operator) || self.eat_word(word) {
            self.expect_kind(kind, Kind::Truth, start)?;
            jumps.push(self.ops.len());
            self.emit(jump(0), 1, 0)?;
            start = self.position();
            kind = part(self)?;
        }
        if !jumps.is_empty() {
            self.expect_kind(kind, Kind::Truth, start)?;
        }
        let end = self.ops.len();
        for place in jumps {
            // Below MAX_OPS, so it fits.
            let skip = u16::try_from(end - place - 1).unwrap_or(u16::MAX);
            if let Some(op) = self.ops.get_mut(place) {
                *op = jump(skip);
            }
        }
        Ok(kind)
    }

    fn negation(&mut self) -> Result<Kind, SyntaxError> {
        if !self.eat_word("not") {
            return self.comparison();
        }
        let start = self.position();
        let kind = self.nested(Self::negation)?;
        self.expect_kind(kind, Kind::Truth, start)?;
        self.emit(Op::Not, 1, 1)?;
        Ok(Kind::Truth)
    }

    fn comparison(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.position();
        let left = self.number_or_truth()?;
        let compares = [
            ("==", Compare::Equal),
            ("!=", Compare::NotEqual),
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("<", Compare::Less),
            (">", Compare::Greater),
        ];
        for (text, compare) in compares {
            if self.eat(text) {
                self.expect_kind(left, Kind::Number, start)?;
                let start = self.position();
                let right = self.binary(0)?;
                self.expect_kind(right, Kind::Number, start)?;
                self.emit(Op::Compare(compare), 2, 1)?;
                return Ok(Kind::Truth);
            }
        }
        if self.eat_word("in") {
            self.expect_kind(left, Kind::Number, start)?;
            let (first, end) = self.list()?;
            self.emit(Op::In(first, end), 1, 1)?;
            return Ok(Kind::Truth);
        }
        Ok(left)
    }

    /// What stands on a side of a comparison, or a comparison in parentheses.
    pub(super) fn number_or_truth(&mut self) -> Result<Kind, SyntaxError> {
        self.binary(0)
    }

    fn binary(&mut self, level: usize) -> Result<Kind, SyntaxError> {
        const LEVELS: [&[(&str, Binary)]; 6] = [
            &[("|", Binary::Or)],
            &[("^", Binary::Xor)],
            &[("&", Binary::And)],
            &[("<<", Binary::ShiftLeft), (">>", Binary::ShiftRight)],
            &[("+", Binary::Add), ("-", Binary::Subtract)],
            &[
                ("*", Binary::Multiply),
                ("/", Binary::Divide),
                ("%", Binary::Remainder),
            ],
        ];
        let Some(operators) = LEVELS.get(level) else {
            return self.nested(Self::prefixed);
        };
        let start = self.position();
        let left = self.binary(level + 1)?;
        'more: loop {
            for &(text, binary) in *operators {
                if self.peek_operator(text) {
                    self.at += text.len();
                    self.expect_kind(left, Kind::Number, start)?;
                    let start = self.position();
                    let right = self.binary(level + 1)?;
                    self.expect_kind(right, Kind::Number, start)?;
                    self.emit(Op::Binary(binary), 2, 1)?;
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    fn nested(
        &mut self,
        part: fn(&mut Self) -> Result<Kind, SyntaxError>,
    ) -> Result<Kind, SyntaxError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.wrong("the condition nests too deep"));
        }
        let kind = part(self)?;
        self.nesting -= 1;
        Ok(kind)
    }

    fn prefixed(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.position();
        if self.eat("!") {
            let start = self.position();
            let kind = self.nested(Self::prefixed)?;
            self.expect_kind(kind, Kind::Truth, start)?;
            self.emit(Op::Not, 1, 1)?;
            return Ok(Kind::Truth);
        }
        if self.eat("-") {
            let kind = self.nested(Self::prefixed)?;
            self.expect_kind(kind, Kind::Number, start)?;
            match self.ops.last_mut() {
                Some(Op::Const(value)) => *value = value.saturating_neg(),
                _ => self.emit(Op::Negate, 1, 1)?,
            }
            return Ok(Kind::Number);
        }
        if self.eat("(") {
            let kind = self.or()?;
            self.need(")")?;
            return Ok(kind);
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit()) {
            let value = self.number()?;
            self.emit(Op::Const(value), 0, 1)?;
            return Ok(Kind::Number);
        }
        V::term(self)
    }

    fn list(&mut self) -> Result<(u16, u16), SyntaxError> {
        let first = self.ranges.len();
        let list = self.entries(MAX_LIST, Self::range)?;
        self.ranges.extend(list);
        let small = |n| u16::try_from(n).unwrap_or(u16::MAX);
        Ok((small(first), small(self.ranges.len())))
    }

    /// `1`, `5..9`: the ends of a range.
    pub(crate) fn range(&mut self) -> Result<(i64, i64), SyntaxError> {
        let low = self.signed_number()?;
        let high = if self.eat("..") {
            self.signed_number()?
        } else {
            low
        };
        if high < low {
            return Err(self.wrong("expected a range from the lower to the higher number"));
        }
        Ok((low, high))
    }

    /// A list in brackets, with a comma after its last entry or without.
    pub(crate) fn entries<E>(
        &mut self,
        most: usize,
        entry: impl Fn(&mut Self) -> Result<E, SyntaxError>,
    ) -> Result<Vec<E>, SyntaxError> {
        self.need("[")?;
        let mut entries = Vec::new();
        loop {
            self.spaces();
            entries.push(entry(self)?);
            if entries.len() > most {
                return Err(self.wrong("the list is too long"));
            }
            if !self.eat(",") {
                self.need("]")?;
                break;
            }
            if self.eat("]") {
                break;
            }
        }
        Ok(entries)
    }

    /// A text in quotes, or without them as far as no blank and no bracket comes.
    pub(crate) fn text(&mut self) -> Result<&'a str, SyntaxError> {
        self.spaces();
        let rest = self.rest();
        let text = if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
            let inner = rest.split_at(1).1;
            let Some((text, _)) = inner.split_once(quote) else {
                return Err(self.wrong("the text does not end: a quote is missing"));
            };
            self.at += text.len() + 2;
            text
        } else {
            let is_text = |c: char| c.is_alphanumeric() || "_-.:/*@+%".contains(c);
            let end = rest.find(|c: char| !is_text(c)).unwrap_or(rest.len());
            self.at += end;
            rest.split_at(end).0
        };
        if text.is_empty() {
            return Err(self.wrong("expected a text"));
        }
        Ok(text)
    }

    fn signed_number(&mut self) -> Result<i64, SyntaxError> {
        if self.eat("-") {
            self.number().map(i64::saturating_neg)
        } else {
            self.number()
        }
    }

    fn number(&mut self) -> Result<i64, SyntaxError> {
        let start = self.position();
        let word = self.word();
        let digits = word.replace('_', "");
        let value = match digits.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        value.map_err(|_| {
            SyntaxError::new(
                start,
                "expected a number in decimal or `0x` hex, below 2^63",
            )
        })
    }

    pub(crate) fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += end;
        rest.split_at(end).0
    }

    pub(crate) fn emit(
        &mut self,
        op: Op<V::Term>,
        pops: usize,
        pushes: usize,
    ) -> Result<(), SyntaxError> {
        self.depth = self.depth.saturating_sub(pops) + pushes;
        self.max_depth = self.max_depth.max(self.depth);
        if self.ops.len() >= MAX_OPS {
            return Err(self.wrong("the condition is too long: split it in two"));
        }
        self.ops.push(op);
        Ok(())
    }

    pub(crate) fn expect_kind(
        &self,
        found: Kind,
        expected: Kind,
        start: usize,
    ) -> Result<(), SyntaxError> {
        match (found, expected) {
            (Kind::Number, Kind::Truth) => Err(SyntaxError::new(
                start,
                "expected a comparison: this is a number",
            )),
            (Kind::Truth, Kind::Number) => Err(SyntaxError::new(
                start,
                "expected a number: this is a comparison",
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn need(&mut self, text: &str) -> Result<(), SyntaxError> {
        if self.eat(text) {
            Ok(())
        } else {
            Err(self.wrong(format!("expected `{text}`")))
        }
    }

    pub(crate) fn eat(&mut self, text: &str) -> bool {
        self.spaces();
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(crate) fn eat_word(&mut self, text: &str) -> bool {
        self.spaces();
        let after = self.rest().strip_prefix(text);
        let found = after.is_some_and(|after| {
            !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        });
        if found {
            self.at += text.len();
        }
        found
    }

    /// Whether an operator comes that is not the beginning of a longer one.
    fn peek_operator(&mut self, text: &str) -> bool {
        self.spaces();
        let after = self.rest().strip_prefix(text);
        after.is_some_and(|after| !(matches!(text, "&" | "|") && after.starts_with(text)))
    }

    pub(crate) fn position(&mut self) -> usize {
        self.spaces();
        self.at
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(crate) fn wrong(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.at, message)
    }
}
