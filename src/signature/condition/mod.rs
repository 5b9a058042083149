//! The `where` language: integers read from a message, compared.
//!
//! A condition is parsed once into a [`Program`] for a stack machine whose depth is known then,
//! so that evaluation needs neither allocation nor recursion and takes one step an operation
//! (there is no jump backwards). Integers are 64-bit, signed, and saturate.

mod parse;

use std::fmt;

/// The longest program; about as many terms and operators as four lines hold.
const MAX_OPS: usize = 256;
/// How deep the stack may become: nesting of parentheses, in practice.
const MAX_STACK: usize = 24;

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
    /// Bytes it takes on the heap.
    pub(super) fn memory(&self) -> usize {
        size_of_val(&*self.ops) + size_of_val(&*self.ranges)
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

    /// Whether an integer of the message and the message's length must agree.
    pub(super) fn agrees_with_length(&self) -> bool {
        let mut rest = &*self.ops;
        while let Some((op, after)) = rest.split_first() {
            let compared = matches!(
                after,
                [Op::Compare(Compare::Equal), ..]
                    | [Op::Const(_), Op::Binary(_), Op::Compare(Compare::Equal), ..]
                    | [Op::LoadAt(..), Op::Compare(Compare::Equal), ..]
                    | [
                        Op::LoadAt(..),
                        Op::Const(_),
                        Op::Binary(_),
                        Op::Compare(Compare::Equal),
                        ..
                    ]
            );
            if *op == Op::Len(Whose::Own) && compared {
                return !self.ops.iter().any(|op| matches!(op, Op::OrElse(_)));
            }
            rest = after;
        }
        false
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

#[cfg(test)]
mod tests;
