//! The language of conditions: integers compared, the comparisons joined.
//!
//! What a condition can name is a [`Vocabulary`]'s: of a message in signatures ([`message`]), of a
//! record where records are chosen.
//!
//! A condition is parsed once into a [`Program`] for a stack machine whose depth is known then,
//! so that evaluation needs neither allocation nor recursion and takes one step an operation
//! (there is no jump backwards). Integers are 64-bit, signed, and saturate.

mod message;
mod parse;
pub(crate) mod program;

pub(crate) use super::glob::Glob;
pub(crate) use super::syntax::SyntaxError;
pub(super) use message::{Input, Known, KnownFact, MessageProgram as Program};
pub(crate) use parse::{Kind, Parser, Vocabulary};
pub(crate) use program::Read;

#[cfg(test)]
mod tests;
