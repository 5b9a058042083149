//! Which records leave: conditions on their fields, in the language of the conditions of
//! signatures.
//!
//! A number or a time (in whole seconds since 1970) is compared as there. A text, an address or a
//! list is compared by `==`, `!=`, `in` and `not in`; a list is equal to each of its entries. A flag
//! is a condition by itself. A field without a value is unequal to all, and neither more nor less.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Column, FlowView, Kind, Record, UsageRecord, Value};
use crate::signature::SyntaxError;
use crate::signature::condition::program::{Op, Program, Stack};
use crate::signature::condition::{self, Glob, Parser, Vocabulary};
use crate::usage::subject::Prefix;

/// The longest list of texts.
const MOST_TEXTS: usize = 1024;

/// Conditions on the records of each kind, and how many records they keep back.
#[derive(Debug, Default)]
pub struct Only {
    /// For flow records; without, all leave.
    pub flows: Option<Condition>,
    /// For usage records.
    pub usage: Option<Condition>,
    kept_back: [AtomicU64; 2],
}

/// Records that conditions kept back, counted for each output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptBack {
    /// Flow records.
    pub flows: u64,
    /// Usage records.
    pub usage: u64,
}

impl Only {
    /// Records leave that these take, each of its kind.
    pub fn new(flows: Option<Condition>, usage: Option<Condition>) -> Self {
        Self {
            flows,
            usage,
            kept_back: Default::default(),
        }
    }

    /// Whether a flow record leaves.
    pub fn takes_flow(&self, view: &FlowView<'_>) -> bool {
        self.flows.as_ref().is_none_or(|one| one.holds(view))
    }

    /// Whether a usage record leaves.
    pub fn takes_usage(&self, record: &UsageRecord<'_>) -> bool {
        self.usage.as_ref().is_none_or(|one| one.holds(record))
    }

    /// The texts that a field is compared with and that are no patterns.
    pub fn texts_of(&self, field: &str) -> impl Iterator<Item = &str> {
        let flows = self.flows.iter();
        let flows = flows.flat_map(move |one| one.texts_of::<FlowView<'_>>(field));
        let usage = self.usage.iter();
        flows.chain(usage.flat_map(move |one| one.texts_of::<UsageRecord<'_>>(field)))
    }

    /// Counts records that did not leave.
    pub fn count(&self, more: KeptBack) {
        let [flows, usage] = &self.kept_back;
        flows.fetch_add(more.flows, Ordering::Relaxed);
        usage.fetch_add(more.usage, Ordering::Relaxed);
    }

    /// Records that did not leave until now.
    pub fn kept_back(&self) -> KeptBack {
        let [flows, usage] = &self.kept_back;
        KeptBack {
            flows: flows.load(Ordering::Relaxed),
            usage: usage.load(Ordering::Relaxed),
        }
    }
}

/// The same conditions, whatever they have kept back.
impl PartialEq for Only {
    fn eq(&self, other: &Self) -> bool {
        (&self.flows, &self.usage) == (&other.flows, &other.usage)
    }
}

impl Eq for Only {}

/// A condition on records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    program: Program<Term>,
    tests: Box<[Test]>,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where, and what was expected.
    pub error: SyntaxError,
    /// The field that records of this kind do not have, if that is it.
    pub unknown: Option<String>,
}

impl Condition {
    /// Reads a condition on the fields of `R`.
    ///
    /// # Errors
    ///
    /// What is no condition, and where.
    pub fn parse<R: Record>(text: &str) -> Result<Self, Refusal> {
        let mut unknown = None;
        let fields = Fields::<R> {
            tests: Vec::new(),
            unknown: &mut unknown,
            of: PhantomData,
        };
        match Program::parse_with(text, fields) {
            Ok((program, Fields { tests, .. })) => Ok(Self {
                program,
                tests: tests.into(),
            }),
            Err(error) => Err(Refusal { error, unknown }),
        }
    }

    /// The texts that a field is compared with and that are no patterns.
    fn texts_of<R: Record>(&self, field: &str) -> impl Iterator<Item = &str> {
        let is_it = move |column: &Column| column.name == field;
        let tests = self.tests.iter();
        let tests = tests.filter(move |test| R::columns().nth(test.field).is_some_and(is_it));
        tests
            .flat_map(|test| &test.any)
            .filter_map(|one| match one {
                Like::Text { text, .. } if !text.contains('*') => Some(&**text),
                _ => None,
            })
    }

    fn holds(&self, record: &impl Record) -> bool {
        let tests = &self.tests;
        self.program.holds(&Reader { record, tests })
    }
}

/// What a condition can name, by the place of the field in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// The number of a field.
    Number(usize),
    /// Whether a field has a value.
    Flag(usize),
    /// Whether one of the tests holds, by its place.
    Test(usize),
}

/// A field is like one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    field: usize,
    any: Box<[Like]>,
}

/// What a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Like {
    Text { text: Box<str>, glob: Glob },
    Prefix(Prefix),
    Range(i64, i64),
}

impl Like {
    fn is(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Text { glob, .. }, Value::Text(text)) => glob.matches(text.as_bytes()),
            (Self::Text { text, glob }, Value::Code { name, number }) => {
                glob.matches(name.as_bytes()) || text.parse() == Ok(*number)
            }
            (Self::Text { glob, .. }, Value::Texts(texts)) => {
                texts.iter().any(|text| glob.matches(text.as_bytes()))
            }
            (Self::Prefix(prefix), Value::Address(address)) => prefix.holds(*address),
            (&Self::Range(low, high), Value::Numbers(numbers)) => {
                let mut numbers = numbers.iter().map(|&number| i64::from(number));
                numbers.any(|number| low <= number && number <= high)
            }
            (&Self::Range(low, high), Value::WideNumbers(numbers)) => {
                let mut numbers = numbers.iter().map(|&number| i64::from(number));
                numbers.any(|number| low <= number && number <= high)
            }
            _ => false,
        }
    }
}

/// Reads the fields of a record for a condition.
struct Reader<'a, R> {
    record: &'a R,
    tests: &'a [Test],
}

impl<R: Record> condition::Read for Reader<'_, R> {
    type Term = Term;

    const ABSENT_IS_UNEQUAL: bool = true;

    fn read(&self, term: Term, _: &mut Stack) -> Option<i64> {
        match term {
            Term::Number(field) => match self.record.value(field)? {
                Value::Number(number) => Some(i64::try_from(number).unwrap_or(i64::MAX)),
                // Below 2^63, as nanoseconds are below 2^64.
                Value::Time(at) => i64::try_from(at.0 / 1_000_000_000).ok(),
                _ => None,
            },
            Term::Flag(field) => Some(i64::from(self.record.value(field).is_some())),
            Term::Test(test) => {
                let test = self.tests.get(test)?;
                let value = self.record.value(test.field);
                let is_like = value.is_some_and(|value| test.any.iter().any(|one| one.is(&value)));
                Some(i64::from(is_like))
            }
        }
    }
}

/// The terms of conditions on records of `R`.
struct Fields<'a, R> {
    tests: Vec<Test>,
    /// The name that stands for no field.
    unknown: &'a mut Option<String>,
    of: PhantomData<R>,
}

impl<R> fmt::Debug for Fields<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tests.fmt(f)
    }
}

impl<R: Record> Vocabulary for Fields<'_, R> {
    type Term = Term;

    fn term(parser: &mut Parser<'_, Self>) -> Result<condition::Kind, SyntaxError> {
        let start = parser.position();
        let mut name = parser.word();
        // As JSON has it: `flow.bytes_toserver`.
        if R::columns().any(|column| column.object == Some(name)) && parser.eat(".") {
            name = parser.word();
        }
        if name.is_empty() {
            return Err(SyntaxError::new(
                start,
                "expected a field, a number, `not` or `(`",
            ));
        }
        let mut columns = R::columns().enumerate();
        let Some((field, column)) = columns.find(|(_, column)| column.name == name) else {
            *parser.vocabulary.unknown = Some(name.to_owned());
            return Err(SyntaxError::new(start, format!("unknown field `{name}`")));
        };
        let one: fn(&mut Parser<'_, Self>) -> Result<Like, SyntaxError> = match column.kind {
            Kind::Unsigned(_) | Kind::Time => {
                parser.emit(Op::Term(Term::Number(field)), 0, 1)?;
                return Ok(condition::Kind::Number);
            }
            Kind::Flag => {
                parser.emit(Op::Term(Term::Flag(field)), 0, 1)?;
                return Ok(condition::Kind::Truth);
            }
            Kind::Text | Kind::Code | Kind::Texts => text,
            Kind::Address => prefix,
            Kind::Numbers | Kind::WideNumbers => number,
        };
        let (is_negated, any) = if parser.eat("==") {
            (false, vec![one(parser)?])
        } else if parser.eat("!=") {
            (true, vec![one(parser)?])
        } else {
            let is_negated = parser.eat_word("not");
            if !parser.eat_word("in") {
                return Err(
                    parser.wrong(format!("expected `==`, `!=` or `in [...]` after `{name}`"))
                );
            }
            (is_negated, parser.entries(MOST_TEXTS, one)?)
        };
        let test = parser.vocabulary.tests.len();
        let any = any.into();
        parser.vocabulary.tests.push(Test { field, any });
        parser.emit(Op::Term(Term::Test(test)), 0, 1)?;
        if is_negated {
            parser.emit(Op::Not, 1, 1)?;
        }
        Ok(condition::Kind::Truth)
    }
}

fn text<V: Vocabulary>(parser: &mut Parser<'_, V>) -> Result<Like, SyntaxError> {
    let start = parser.position();
    let text = parser.text()?;
    let glob = Glob::parse(text).map_err(|error| SyntaxError::new(start, error.message))?;
    Ok(Like::Text {
        text: text.into(),
        glob,
    })
}

fn prefix<V: Vocabulary>(parser: &mut Parser<'_, V>) -> Result<Like, SyntaxError> {
    let start = parser.position();
    let prefix = parser.text()?.parse();
    prefix
        .map(Like::Prefix)
        .map_err(|reason: String| SyntaxError::new(start, reason))
}

fn number<V: Vocabulary>(parser: &mut Parser<'_, V>) -> Result<Like, SyntaxError> {
    let (low, high) = parser.range()?;
    Ok(Like::Range(low, high))
}

#[cfg(test)]
#[path = "only_tests.rs"]
mod tests;
