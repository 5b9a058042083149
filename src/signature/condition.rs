//! The `where` language: integers read from a message, compared.
//!
//! A condition is parsed once into a [`Program`] for a stack machine whose depth is known then,
//! so that evaluation needs neither allocation nor recursion and takes one step an operation
//! (there is no jump backwards). Integers are 64-bit, signed, and saturate.

use std::fmt;

/// The longest program; about as many terms and operators as four lines hold.
const MAX_OPS: usize = 256;
/// How deep the stack may become: nesting of parentheses, in practice.
const MAX_STACK: usize = 24;
/// How deep the parser may recurse.
const MAX_NESTING: usize = 24;
/// The longest `in [...]` list.
const MAX_LIST: usize = 64;

/// What is wrong with a pattern, a glob or a condition, and at which byte of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The byte of the text at which reading stopped.
    pub at: usize,
    /// What was expected there.
    pub message: String,
}

impl SyntaxError {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What a condition reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Input<'a> {
    /// What offsets from the start reach: the message, or for a TCP stream all of it.
    pub(super) bytes: &'a [u8],
    /// The message: its length is `len`, and negative offsets count from its end.
    pub(super) message: &'a [u8],
    /// Bytes the side has sent so far.
    pub(super) total: usize,
    /// What offsets from the start of the other side's reach.
    pub(super) peer_bytes: &'a [u8],
    /// The other side's first message.
    pub(super) peer_message: &'a [u8],
    /// The client's port.
    pub(super) client_port: u16,
    /// The server's port.
    pub(super) server_port: u16,
}

/// A compiled condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    ops: Box<[Op]>,
    ranges: Box<[(i64, i64)]>,
}

/// Which message a term reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Peer,
}

/// An integer's width in bytes and its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Width {
    bytes: u8,
    little: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Const(i64),
    Len(Whose),
    Total,
    ClientPort,
    ServerPort,
    /// Replaces the offset on the stack by the integer there.
    Load(Whose, Width),
    /// Pushes the integer at a constant offset.
    LoadAt(Whose, Width, i32),
    Negate,
    Binary(Binary),
    Compare(Compare),
    /// Replaces the integer on the stack by whether `ranges[first..end]` holds it.
    In(u16, u16),
    Not,
    /// `&&`: if the value on the stack is 0, leaves it and passes over so many operations; else drops it.
    AndThen(u16),
    /// `||`: the same for a value other than 0.
    OrElse(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Program {
    /// Reads a condition.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
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

    /// Whether the condition holds. What reads outside the message does not.
    pub(super) fn holds(&self, input: &Input<'_>) -> bool {
        self.evaluate(input).is_some_and(|value| value != 0)
    }

    fn evaluate(&self, input: &Input<'_>) -> Option<i64> {
        let mut stack = Stack {
            values: [0; MAX_STACK],
            len: 0,
        };
        let mut next = 0;
        while let Some(&op) = self.ops.get(next) {
            next += 1;
            match op {
                Op::Const(value) => stack.push(value)?,
                Op::Len(Whose::Own) => stack.push(length(input.message.len()))?,
                Op::Len(Whose::Peer) => stack.push(length(input.peer_message.len()))?,
                Op::Total => stack.push(length(input.total))?,
                Op::ClientPort => stack.push(i64::from(input.client_port))?,
                Op::ServerPort => stack.push(i64::from(input.server_port))?,
                Op::Load(whose, width) => {
                    let offset = stack.pop()?;
                    stack.push(input.load(whose, width, offset)?)?;
                }
                Op::LoadAt(whose, width, offset) => {
                    stack.push(input.load(whose, width, i64::from(offset))?)?;
                }
                Op::Negate => {
                    let value = stack.pop()?;
                    stack.push(value.saturating_neg())?;
                }
                Op::Binary(binary) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    stack.push(binary.apply(left, right)?)?;
                }
                Op::Compare(compare) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    stack.push(i64::from(compare.apply(left, right)))?;
                }
                Op::In(first, end) => {
                    let value = stack.pop()?;
                    let list = self.ranges.get(usize::from(first)..usize::from(end))?;
                    let held = list
                        .iter()
                        .any(|&(low, high)| low <= value && value <= high);
                    stack.push(i64::from(held))?;
                }
                Op::Not => {
                    let value = stack.pop()?;
                    stack.push(i64::from(value == 0))?;
                }
                Op::AndThen(skip) | Op::OrElse(skip) => {
                    let value = stack.pop()?;
                    if (value == 0) == matches!(op, Op::AndThen(_)) {
                        stack.push(value)?;
                        next += usize::from(skip);
                    }
                }
            }
        }
        stack.pop()
    }

    /// Whether the condition looks at the other side's message.
    pub(super) fn reads_peer(&self) -> bool {
        self.ops.iter().any(|op| {
            matches!(
                op,
                Op::Len(Whose::Peer) | Op::Load(Whose::Peer, _) | Op::LoadAt(Whose::Peer, ..)
            )
        })
    }

    /// How many bytes of the side's stream can change the answer: `usize::MAX` where that is
    /// not known beforehand (`total`, computed offsets).
    pub(super) fn reach(&self) -> usize {
        self.reach_of(Whose::Own)
    }

    /// The same for the other side's stream.
    pub(super) fn peer_reach(&self) -> usize {
        self.reach_of(Whose::Peer)
    }

    fn reach_of(&self, side: Whose) -> usize {
        let reach = self.ops.iter().map(|&op| match op {
            Op::Total if side == Whose::Own => usize::MAX,
            Op::Load(whose, _) if whose == side => usize::MAX,
            Op::Len(whose) if whose == side => 1,
            Op::LoadAt(whose, width, offset) if whose == side => match usize::try_from(offset) {
                Ok(offset) => offset + usize::from(width.bytes),
                Err(_) => 1,
            },
            _ => 0,
        });
        reach.max().unwrap_or_default()
    }

    /// What this condition, standing alone as one of a `where` list, says of single bytes and of
    /// the length: for the index, so what is not understood is simply not reported.
    pub(super) fn facts(&self) -> Vec<KnownFact> {
        let mut facts = Vec::new();
        let mut rest = &*self.ops;
        // A chain of `&&` at the top is a jump after each part, and no part holds another jump.
        loop {
            let cut = rest
                .iter()
                .position(|op| matches!(op, Op::AndThen(_) | Op::OrElse(_)));
            let (part, after) = match cut {
                Some(cut) => match (rest.split_at(cut), rest.get(cut)) {
                    ((part, [_, after @ ..]), Some(Op::AndThen(skip)))
                        if usize::from(*skip) == after.len() =>
                    {
                        (part, Some(after))
                    }
                    _ => return facts,
                },
                None => (rest, None),
            };
            facts.extend(self.fact(part));
            match after {
                Some(after) => rest = after,
                None => return facts,
            }
        }
    }

    fn fact(&self, part: &[Op]) -> Option<KnownFact> {
        let equal = |value| Some(vec![(value, value)]);
        let at_least = |low| Some(vec![(low, i64::MAX)]);
        let at_most = |high| Some(vec![(i64::MIN, high)]);
        let ranges = match *part.last()? {
            Op::In(first, end) => Some(
                self.ranges
                    .get(usize::from(first)..usize::from(end))?
                    .to_vec(),
            ),
            Op::Compare(compare) => {
                let [.., Op::Const(value), _] = *part else {
                    return None;
                };
                match compare {
                    Compare::Equal => equal(value),
                    Compare::NotEqual => None,
                    Compare::Less => at_most(value.saturating_sub(1)),
                    Compare::LessOrEqual => at_most(value),
                    Compare::Greater => at_least(value.saturating_add(1)),
                    Compare::GreaterOrEqual => at_least(value),
                }
            }
            _ => None,
        }?;
        match *part {
            [Op::Len(Whose::Own), Op::In(..)] | [Op::Len(Whose::Own), _, Op::Compare(_)] => {
                let low = ranges.iter().map(|&(low, _)| low).min()?;
                let high = ranges.iter().map(|&(_, high)| high).max()?;
                Some(KnownFact::Len(low, high))
            }
            [Op::LoadAt(Whose::Own, width, offset), Op::In(..)]
            | [Op::LoadAt(Whose::Own, width, offset), _, Op::Compare(_)] => {
                Some(KnownFact::Integer {
                    offset,
                    bytes: width.bytes,
                    little: width.little,
                    mask: -1,
                    ranges,
                })
            }
            [
                Op::LoadAt(Whose::Own, width, offset),
                Op::Const(mask),
                Op::Binary(Binary::And),
                Op::In(..),
            ]
            | [
                Op::LoadAt(Whose::Own, width, offset),
                Op::Const(mask),
                Op::Binary(Binary::And),
                _,
                Op::Compare(_),
            ] => Some(KnownFact::Integer {
                offset,
                bytes: width.bytes,
                little: width.little,
                mask,
                ranges,
            }),
            _ => None,
        }
    }

    /// Roughly how many bits of a random message the condition fixes: for weights and for the
    /// question whether a rule can stand alone.
    pub(super) fn fixed_bits(&self) -> u32 {
        let known: u32 = self.facts().iter().map(KnownFact::fixed_bits).sum();
        // Something computed that agrees with something else: a length field, a checksum.
        let agreement =
            self.ops.ends_with(&[Op::Compare(Compare::Equal)]) && self.facts().is_empty();
        let width = self.ops.iter().filter_map(|op| match op {
            Op::LoadAt(_, width, _) | Op::Load(_, width) => Some(u32::from(width.bytes) * 8),
            _ => None,
        });
        known
            + if agreement {
                width.max().unwrap_or_default()
            } else {
                0
            }
    }
}

/// A fact a condition states about a message on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KnownFact {
    /// The length is in this range.
    Len(i64, i64),
    /// The integer at a constant offset, under a mask, is in one of these ranges.
    Integer {
        offset: i32,
        bytes: u8,
        little: bool,
        mask: i64,
        ranges: Vec<(i64, i64)>,
    },
}

impl KnownFact {
    fn fixed_bits(&self) -> u32 {
        match self {
            Self::Len(low, high) => {
                let span = high.saturating_sub(*low).clamp(0, 2047);
                10_u32.saturating_sub(64 - span.leading_zeros())
            }
            Self::Integer {
                bytes,
                mask,
                ranges,
                ..
            } => {
                let width = u32::from(*bytes) * 8;
                let all = (1_i64 << width) - 1;
                let width = (mask & all).count_ones();
                let count = ranges.iter().fold(0_i64, |sum, &(low, high)| {
                    let (low, high) = (low.max(0), high.min(all));
                    sum.saturating_add(high.saturating_sub(low).saturating_add(1).max(0))
                });
                let free = 64 - count.saturating_sub(1).max(0).leading_zeros();
                width.saturating_sub(free)
            }
        }
    }
}

fn length(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

impl Input<'_> {
    fn load(&self, whose: Whose, width: Width, offset: i64) -> Option<i64> {
        let (bytes, message) = match whose {
            Whose::Own => (self.bytes, self.message),
            Whose::Peer => (self.peer_bytes, self.peer_message),
        };
        let (bytes, start) = if offset >= 0 {
            (bytes, usize::try_from(offset).ok()?)
        } else {
            let back = usize::try_from(offset.unsigned_abs()).ok()?;
            (message, message.len().checked_sub(back)?)
        };
        let end = start.checked_add(usize::from(width.bytes))?;
        let bytes = bytes.get(start..end)?;
        let join = |value: i64, &byte: &u8| value << 8 | i64::from(byte);
        Some(if width.little {
            bytes.iter().rev().fold(0, join)
        } else {
            bytes.iter().fold(0, join)
        })
    }
}

struct Stack {
    values: [i64; MAX_STACK],
    len: usize,
}

impl Stack {
    fn push(&mut self, value: i64) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<i64> {
        self.len = self.len.checked_sub(1)?;
        self.values.get(self.len).copied()
    }
}

impl Binary {
    fn apply(self, left: i64, right: i64) -> Option<i64> {
        Some(match self {
            Self::Add => left.saturating_add(right),
            Self::Subtract => left.saturating_sub(right),
            Self::Multiply => left.saturating_mul(right),
            Self::Divide if right == 0 => return None,
            Self::Divide => left.saturating_div(right),
            Self::Remainder => left.checked_rem(right)?,
            Self::And => left & right,
            Self::Or => left | right,
            Self::Xor => left ^ right,
            Self::ShiftLeft => {
                let by = u32::try_from(right).ok().filter(|&by| by < 63)?;
                left.saturating_mul(1 << by)
            }
            Self::ShiftRight => left >> u32::try_from(right).ok().filter(|&by| by < 64)?,
        })
    }
}

impl Compare {
    const fn apply(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
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
