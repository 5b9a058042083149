//! Conditions from text to [`Program`]: recursive descent with bounded depth.

use super::{Binary, Compare, MAX_OPS, MAX_STACK, Op, Program, SyntaxError, Whose, Width};

/// How deep the parser may recurse.
const MAX_NESTING: usize = 24;
/// The longest `in [...]` list.
const MAX_LIST: usize = 64;

impl Program {
    /// Reads a condition.
    pub(in super::super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser {
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
        Ok(Self {
            ops: parser.ops.into(),
            ranges: parser.ranges.into(),
        })
    }
}

/// What an expression yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Truth,
}

/// Recursive descent; precedence from loosest: `||`, `&&`, comparison, `|`, `^`, `&`, shifts,
/// `+ -`, `* / %`, and the prefixes. `&` binds tighter than `==`, as in Rust and unlike C.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    ops: Vec<Op>,
    ranges: Vec<(i64, i64)>,
    depth: usize,
    max_depth: usize,
    nesting: usize,
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Kind, SyntaxError> {
        self.chain("||", Op::OrElse, Self::and)
    }

    fn and(&mut self) -> Result<Kind, SyntaxError> {
        self.chain("&&", Op::AndThen, Self::comparison)
    }

    fn chain(
        &mut self,
        operator: &str,
        jump: fn(u16) -> Op,
        part: fn(&mut Self) -> Result<Kind, SyntaxError>,
    ) -> Result<Kind, SyntaxError> {
        let mut start = self.position();
        let mut kind = part(self)?;
        let mut jumps = Vec::new();
        while self.eat(operator) {
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

    fn comparison(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.position();
        let left = self.binary(0)?;
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
            return self.prefixed();
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

    fn prefixed(&mut self) -> Result<Kind, SyntaxError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.wrong("the condition nests too deep"));
        }
        let kind = self.prefixed_within()?;
        self.nesting -= 1;
        Ok(kind)
    }

    fn prefixed_within(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.position();
        if self.eat("!") {
            let start = self.position();
            let kind = self.prefixed()?;
            self.expect_kind(kind, Kind::Truth, start)?;
            self.emit(Op::Not, 1, 1)?;
            return Ok(Kind::Truth);
        }
        if self.eat("-") {
            let kind = self.prefixed()?;
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
        self.term()
    }

    fn term(&mut self) -> Result<Kind, SyntaxError> {
        let start = self.position();
        let word = self.word();
        let simple = match word {
            "len" => Some(Op::Len(Whose::Own)),
            "peer_len" => Some(Op::Len(Whose::Peer)),
            "total" => Some(Op::Total),
            "client_port" => Some(Op::ClientPort),
            "server_port" => Some(Op::ServerPort),
            _ => None,
        };
        if let Some(op) = simple {
            self.emit(op, 0, 1)?;
            return Ok(Kind::Number);
        }
        let (whose, name) = match word.strip_prefix("peer_") {
            Some(name) => (Whose::Peer, name),
            None => (Whose::Own, word),
        };
        let (bytes, little) = match name {
            "u8" => (1, false),
            "be16" => (2, false),
            "be24" => (3, false),
            "be32" => (4, false),
            "le16" => (2, true),
            "le24" => (3, true),
            "le32" => (4, true),
            _ => {
                self.at = start;
                return Err(self.wrong(
                    "expected a number, `(`, `len`, `total`, `client_port`, `server_port`, `peer_len`, or \
                     `u8(i)`, `be16(i)`, `be24(i)`, `be32(i)`, `le16(i)`, `le24(i)`, `le32(i)`, also as `peer_u8(i)`",
                ));
            }
        };
        self.need("(")?;
        let start = self.position();
        let before = self.ops.len();
        let kind = self.binary(0)?;
        self.expect_kind(kind, Kind::Number, start)?;
        self.need(")")?;
        let width = Width { bytes, little };
        let offset = match self.ops.get(before..) {
            Some(&[Op::Const(offset)]) => i32::try_from(offset).ok(),
            _ => None,
        };
        if let (Some(offset), Some(last)) = (offset, self.ops.last_mut()) {
            *last = Op::LoadAt(whose, width, offset);
        } else {
            self.emit(Op::Load(whose, width), 1, 1)?;
        }
        Ok(Kind::Number)
    }

    fn list(&mut self) -> Result<(u16, u16), SyntaxError> {
        self.need("[")?;
        let first = self.ranges.len();
        loop {
            let low = self.signed_number()?;
            let high = if self.eat("..") {
                self.signed_number()?
            } else {
                low
            };
            if high < low {
                return Err(self.wrong("expected a range from the lower to the higher number"));
            }
            self.ranges.push((low, high));
            if self.ranges.len() - first > MAX_LIST {
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
        let small = |n| u16::try_from(n).unwrap_or(u16::MAX);
        Ok((small(first), small(self.ranges.len())))
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

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += end;
        rest.split_at(end).0
    }

    fn emit(&mut self, op: Op, pops: usize, pushes: usize) -> Result<(), SyntaxError> {
        self.depth = self.depth.saturating_sub(pops) + pushes;
        self.max_depth = self.max_depth.max(self.depth);
        if self.ops.len() >= MAX_OPS {
            return Err(self.wrong("the condition is too long: split it in two"));
        }
        self.ops.push(op);
        Ok(())
    }

    fn expect_kind(&self, found: Kind, expected: Kind, start: usize) -> Result<(), SyntaxError> {
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

    fn need(&mut self, text: &str) -> Result<(), SyntaxError> {
        if self.eat(text) {
            Ok(())
        } else {
            Err(self.wrong(format!("expected `{text}`")))
        }
    }

    fn eat(&mut self, text: &str) -> bool {
        self.spaces();
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn eat_word(&mut self, text: &str) -> bool {
        self.spaces();
        let after = self.rest().strip_prefix(text);
        let found =
            after.is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()));
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

    fn position(&mut self) -> usize {
        self.spaces();
        self.at
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.at, message)
    }
}
