//! Conditions on messages, the `where` of signatures: what they can name, and what they say of a
//! message before one is there.

use super::parse::{Kind, Parser, Vocabulary};
use super::program::{Binary, Compare, Op, Program, Read, Stack};
use crate::signature::syntax::SyntaxError;

/// A condition on messages.
pub(in crate::signature) type MessageProgram = Program<Term>;

/// What a condition reads.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Input<'a> {
    /// What offsets from the start reach: the message, or for a TCP stream all of it.
    pub(in super::super) bytes: &'a [u8],
    /// The message: its length is `len`, and negative offsets count from its end.
    pub(in super::super) message: &'a [u8],
    /// Bytes the side has sent so far.
    pub(in super::super) total: usize,
    /// What offsets from the start of the other side's reach.
    pub(in super::super) peer_bytes: &'a [u8],
    /// The other side's first message.
    pub(in super::super) peer_message: &'a [u8],
    /// The client's port.
    pub(in super::super) client_port: u16,
    /// The server's port.
    pub(in super::super) server_port: u16,
}

/// Which message a term reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Own,
    Peer,
}

/// An integer's width in bytes and its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width {
    bytes: u8,
    little: bool,
}

/// What a condition on a message can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    Len(Whose),
    Total,
    ClientPort,
    ServerPort,
    /// Replaces the offset on the stack by the integer there.
    Load(Whose, Width),
    /// The integer at a constant offset.
    LoadAt(Whose, Width, i32),
}

impl Read for Input<'_> {
    type Term = Term;

    // What reads outside the message does not hold.
    const ABSENT_IS_UNEQUAL: bool = false;

    fn read(&self, term: Term, stack: &mut Stack) -> Option<i64> {
        Some(match term {
            Term::Len(Whose::Own) => length(self.message.len()),
            Term::Len(Whose::Peer) => length(self.peer_message.len()),
            Term::Total => length(self.total),
            Term::ClientPort => i64::from(self.client_port),
            Term::ServerPort => i64::from(self.server_port),
            Term::Load(whose, width) => {
                let offset = stack.pop()?;
                self.load(whose, width, offset)?
            }
            Term::LoadAt(whose, width, offset) => self.load(whose, width, i64::from(offset))?,
        })
    }
}

impl MessageProgram {
    /// Reads a condition.
    pub(in super::super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        Self::parse_with(text, Messages).map(|(program, _)| program)
    }

    /// How many bytes of the side's stream can change the answer: `usize::MAX` where that is
    /// not known beforehand (`total`, computed offsets).
    pub(in super::super) fn reach(&self) -> usize {
        self.reach_of(Whose::Own)
    }

    /// The same for the other side's stream.
    pub(in super::super) fn peer_reach(&self) -> usize {
        self.reach_of(Whose::Peer)
    }

    fn reach_of(&self, side: Whose) -> usize {
        let reach = self.ops.iter().map(|&op| match op {
            Op::Term(Term::Total) if side == Whose::Own => usize::MAX,
            Op::Term(Term::Load(whose, _)) if whose == side => usize::MAX,
            Op::Term(Term::Len(whose)) if whose == side => 1,
            Op::Term(Term::LoadAt(whose, width, offset)) if whose == side => {
                match usize::try_from(offset) {
                    Ok(offset) => offset + usize::from(width.bytes),
                    Err(_) => 1,
                }
            }
            _ => 0,
        });
        reach.max().unwrap_or_default()
    }

    /// What this condition, standing alone as one of a `where` list, says of single bytes and of
    /// the length: for the index, so what is not understood is nothing that is known.
    pub(in super::super) fn known(&self) -> Known {
        self.known_of(&self.ops)
    }

    fn known_of(&self, ops: &[Op<Term>]) -> Known {
        // A chain of `&&` or `||` is a jump to its end after each part but the last.
        let chain = ops.iter().enumerate().find_map(|(place, op)| {
            let (skip, is_and) = match *op {
                Op::AndThen(skip) => (skip, true),
                Op::OrElse(skip) => (skip, false),
                _ => return None,
            };
            (place + 1 + usize::from(skip) == ops.len()).then_some((place, is_and))
        });
        let Some((place, is_and)) = chain else {
            return self.fact(ops).map_or(Known::Nothing, Known::Fact);
        };
        let part = |ops: Option<&[Op<Term>]>| self.known_of(ops.unwrap_or_default());
        let parts = Box::new([part(ops.get(..place)), part(ops.get(place + 1..))]);
        if is_and {
            Known::Both(parts)
        } else {
            Known::Either(parts)
        }
    }

    /// What must be so whatever else is.
    pub(super) fn facts(&self) -> Vec<KnownFact> {
        fn collect(known: Known, facts: &mut Vec<KnownFact>) {
            match known {
                Known::Fact(fact) => facts.push(fact),
                Known::Both(parts) => parts.into_iter().for_each(|part| collect(part, facts)),
                Known::Either(_) | Known::Nothing => {}
            }
        }
        let mut facts = Vec::new();
        collect(self.known(), &mut facts);
        facts
    }

    fn fact(&self, part: &[Op<Term>]) -> Option<KnownFact> {
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
            [
                Op::Term(Term::LoadAt(Whose::Own, width, offset)),
                Op::Const(shift),
                Op::Binary(Binary::ShiftRight),
                ref compared @ ..,
            ] if width.bytes <= 4 && matches!(compared, [Op::In(..)] | [_, Op::Compare(_)]) => {
                let shift = u32::try_from(shift).ok().filter(|&shift| shift < 32)?;
                // What was shifted out may be anything.
                let most = i64::from(u32::MAX);
                let ranges = ranges.into_iter().map(|(low, high)| {
                    let (low, high) = (low.clamp(0, most), high.clamp(-1, most));
                    (low << shift, ((high + 1) << shift) - 1)
                });
                Some(KnownFact::Integer {
                    offset,
                    bytes: width.bytes,
                    little: width.little,
                    mask: -1,
                    ranges: ranges.collect(),
                })
            }
            [Op::Term(Term::Len(Whose::Own)), Op::In(..)]
            | [Op::Term(Term::Len(Whose::Own)), _, Op::Compare(_)] => {
                let low = ranges.iter().map(|&(low, _)| low).min()?;
                let high = ranges.iter().map(|&(_, high)| high).max()?;
                Some(KnownFact::Len(low, high))
            }
            [
                Op::Term(Term::LoadAt(Whose::Own, width, offset)),
                Op::In(..),
            ]
            | [
                Op::Term(Term::LoadAt(Whose::Own, width, offset)),
                _,
                Op::Compare(_),
            ] => Some(KnownFact::Integer {
                offset,
                bytes: width.bytes,
                little: width.little,
                mask: -1,
                ranges,
            }),
            [
                Op::Term(Term::LoadAt(Whose::Own, width, offset)),
                Op::Const(mask),
                Op::Binary(Binary::And),
                Op::In(..),
            ]
            | [
                Op::Term(Term::LoadAt(Whose::Own, width, offset)),
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
    pub(in super::super) fn agrees_with_length(&self) -> bool {
        let mut rest = &*self.ops;
        while let Some((op, after)) = rest.split_first() {
            let compared = matches!(
                after,
                [Op::Compare(Compare::Equal), ..]
                    | [Op::Const(_), Op::Binary(_), Op::Compare(Compare::Equal), ..]
                    | [Op::Term(Term::LoadAt(..)), Op::Compare(Compare::Equal), ..]
                    | [
                        Op::Term(Term::LoadAt(..)),
                        Op::Const(_),
                        Op::Binary(_),
                        Op::Compare(Compare::Equal),
                        ..
                    ]
            );
            if *op == Op::Term(Term::Len(Whose::Own)) && compared {
                return !self.ops.iter().any(|op| matches!(op, Op::OrElse(_)));
            }
            rest = after;
        }
        false
    }

    /// Roughly how many bits of a random message the condition fixes: for weights and for the
    /// question whether a rule can stand alone.
    pub(in super::super) fn fixed_bits(&self) -> u32 {
        let facts = self.facts();
        let known: u32 = facts.iter().map(KnownFact::fixed_bits).sum();
        // Something computed that agrees with something else: a length field, a checksum.
        let agreement = self.ops.ends_with(&[Op::Compare(Compare::Equal)]) && facts.is_empty();
        let width = self.ops.iter().filter_map(|op| match op {
            Op::Term(Term::LoadAt(_, width, _)) | Op::Term(Term::Load(_, width)) => {
                Some(u32::from(width.bytes) * 8)
            }
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

/// What a condition states about a message on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Known {
    Nothing,
    Fact(KnownFact),
    Both(Box<[Self; 2]>),
    Either(Box<[Self; 2]>),
}

/// A fact about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum KnownFact {
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

/// The terms of conditions on messages.
#[derive(Debug)]
struct Messages;

impl Vocabulary for Messages {
    type Term = Term;

    fn term(parser: &mut Parser<'_, Self>) -> Result<Kind, SyntaxError> {
        let start = parser.position();
        let word = parser.word();
        let simple = match word {
            "len" => Some(Term::Len(Whose::Own)),
            "peer_len" => Some(Term::Len(Whose::Peer)),
            "total" => Some(Term::Total),
            "client_port" => Some(Term::ClientPort),
            "server_port" => Some(Term::ServerPort),
            _ => None,
        };
        if let Some(term) = simple {
            parser.emit(Op::Term(term), 0, 1)?;
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
                return Err(SyntaxError::new(
                    start,
                    "expected a number, `(`, `len`, `total`, `client_port`, `server_port`, `peer_len`, or \
                     `u8(i)`, `be16(i)`, `be24(i)`, `be32(i)`, `le16(i)`, `le24(i)`, `le32(i)`, also as `peer_u8(i)`",
                ));
            }
        };
        parser.need("(")?;
        let start = parser.position();
        let before = parser.ops.len();
        let kind = parser.number_or_truth()?;
        parser.expect_kind(kind, Kind::Number, start)?;
        parser.need(")")?;
        let width = Width { bytes, little };
        let offset = match parser.ops.get(before..) {
            Some(&[Op::Const(offset)]) => i32::try_from(offset).ok(),
            _ => None,
        };
        if let (Some(offset), Some(last)) = (offset, parser.ops.last_mut()) {
            *last = Op::Term(Term::LoadAt(whose, width, offset));
        } else {
            parser.emit(Op::Term(Term::Load(whose, width)), 1, 1)?;
        }
        Ok(Kind::Number)
    }
}
