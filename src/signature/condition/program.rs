//! A compiled condition: a program for a stack machine whose depth is known.

/// The longest program; about as many terms and operators as four lines hold.
pub(super) const MAX_OPS: usize = 256;
/// How deep the stack may become: nesting of parentheses, in practice.
pub(super) const MAX_STACK: usize = 24;

/// A compiled condition; `T` is what it can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program<T> {
    pub(super) ops: Box<[Op<T>]>,
    pub(super) ranges: Box<[(i64, i64)]>,
}

/// What a condition reads.
pub(crate) trait Read {
    /// What a condition can name.
    type Term: Copy;

    /// What has no value is unequal to all, and no more: without, the whole condition does not hold.
    const ABSENT_IS_UNEQUAL: bool;

    /// The value of `term`, which may take operands from the stack; `None`: there is none.
    fn read(&self, term: Self::Term, stack: &mut Stack) -> Option<i64>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op<T> {
    Const(i64),
    /// Pushes what the term reads.
    Term(T),
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
pub(crate) enum Binary {
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
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl<T: Copy> Program<T> {
    /// Bytes it takes on the heap.
    pub(in crate::signature) fn memory(&self) -> usize {
        size_of_val(&*self.ops) + size_of_val(&*self.ranges)
    }

    /// Whether the condition holds.
    pub(crate) fn holds(&self, input: &impl Read<Term = T>) -> bool {
        self.evaluate(input).is_some_and(|value| value != 0)
    }

    pub(super) fn evaluate<R: Read<Term = T>>(&self, input: &R) -> Option<i64> {
        let mut stack = Stack {
            values: [0; MAX_STACK],
            len: 0,
        };
        // A side of the comparison that is worked out has no value. No comparison is within another.
        let mut is_absent = false;
        let mut next = 0;
        while let Some(&op) = self.ops.get(next) {
            next += 1;
            let value = match op {
                Op::Const(value) => Some(value),
                Op::Term(term) => input.read(term, &mut stack),
                Op::Negate => Some(stack.pop()?.saturating_neg()),
                Op::Binary(binary) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    binary.apply(left, right)
                }
                Op::Compare(compare) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    Some(i64::from(match std::mem::take(&mut is_absent) {
                        false => compare.apply(left, right),
                        true => compare == Compare::NotEqual,
                    }))
                }
                Op::In(first, end) => {
                    let value = stack.pop()?;
                    let list = self.ranges.get(usize::from(first)..usize::from(end))?;
                    let held = list
                        .iter()
                        .any(|&(low, high)| low <= value && value <= high);
                    Some(i64::from(held && !std::mem::take(&mut is_absent)))
                }
                Op::Not => Some(i64::from(stack.pop()? == 0)),
                Op::AndThen(skip) | Op::OrElse(skip) => {
                    let value = stack.pop()?;
                    if (value == 0) != matches!(op, Op::AndThen(_)) {
                        continue;
                    }
                    next += usize::from(skip);
                    Some(value)
                }
            };
            let value = match value {
                None if R::ABSENT_IS_UNEQUAL => {
                    is_absent = true;
                    0
                }
                value => value?,
            };
            stack.push(value)?;
        }
        stack.pop()
    }
}

/// Integers that wait for what is done with them.
#[derive(Debug)]
pub(crate) struct Stack {
    values: [i64; MAX_STACK],
    len: usize,
}

impl Stack {
    pub(super) fn push(&mut self, value: i64) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    pub(super) fn pop(&mut self) -> Option<i64> {
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
