//! `signatures/*/*.toml` to matchers: [`SignatureSet`].
//!
//! The language is described in `docs/signatures.md`. A set is compiled once and is read-only after
//! that; matchers answer with [`Tag`](crate::verdict::Tag)s and `classify` decides between them. While flows live, a set
//! is replaced by one compiled after it ([`Loader`]): numbers of applications, protocols and rules
//! that flows have learned from the old one mean the same in the new one.
//!
//! On the way from text to matcher: [`file`](mod@file) is the shape of a file (`packed` what is built
//! in), `compile` its meaning, `condition`, `pattern` and `glob` the small languages inside it; `matching` holds
//! the matchers. [`check`], [`test`] and [`list`] serve those who write signatures.

mod builtin;
mod category;
mod check;
mod compile;
pub(crate) mod condition;
mod diagnostic;
pub mod file;
mod glob;
mod ids;
mod list;
mod loader;
mod matching;
mod packed;
mod pattern;
mod places;
mod rule;
mod schema;
mod set;
mod source;
mod syntax;
mod test;

pub use builtin::builtin_files;
pub use category::{CATEGORIES, is_known as is_known_category};
pub use check::check;
pub use diagnostic::{Diagnostic, Severity};
pub use ids::{Draft, FIRST_OF_SITES, Ids};
pub use list::{ListRow, ShowRow, list, show};
pub use loader::{Loader, with_built_in};
pub use matching::call::CallRule;
pub use matching::payload::near::{Missing, Near};
pub use places::{Place, Places};
pub use rule::RuleKind;
pub use schema::schema;
pub use set::SignatureSet;
pub use source::{SourceFile, files_in, look_in};
pub use syntax::SyntaxError;
pub use test::{Conversation, Fate, Observed, Runner, TestResult, test};

use std::path::Path;
use std::sync::OnceLock;

pub(crate) use self::matching::flow::entropy;

use self::set::Hash;

impl SignatureSet {
    /// The set built into the binary.
    ///
    /// `check` refuses a bad file before it can become built in; should one be there all the
    /// same, its bad rules are left out.
    pub fn builtin() -> Self {
        let mut set = compile::compile_files(&builtin_files(), None, &mut Vec::new());
        set.hash = Hash::OfBuiltin(OnceLock::new());
        set
    }

    /// The files under `dir`: instead of the built-in set, or in addition to it. There a file
    /// takes the place of the built-in one of the same folder and name.
    ///
    /// # Errors
    ///
    /// What could not be read, and everything wrong in what could.
    pub fn from_dir(dir: &Path, replace: bool) -> Result<Self, Vec<Diagnostic>> {
        let loader = Loader {
            dir: Some(dir.to_owned()),
            replace,
        };
        Self::compile(&loader.files()?)
    }

    /// The set of `files`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any of them.
    pub fn compile(files: &[SourceFile]) -> Result<Self, Vec<Diagnostic>> {
        refuse_errors(compile_files(files, None))
    }

    /// The set of `files`, to take the place of `previous`: names that both have keep their
    /// numbers, new ones get new numbers, and those that are gone are retired: their numbers still
    /// have their names, but no rule gives them.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any file, also against `previous`: an application whose stable
    /// number has changed.
    pub fn compile_after(previous: &Self, files: &[SourceFile]) -> Result<Self, Vec<Diagnostic>> {
        refuse_errors(compile_files(files, Some(previous)))
    }

    /// The set of what is right in `files`, and what is wrong.
    pub fn compile_leniently(files: &[SourceFile]) -> (Self, Vec<Diagnostic>) {
        compile_files(files, None)
    }
}

fn compile_files(
    files: &[SourceFile],
    previous: Option<&SignatureSet>,
) -> (SignatureSet, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut set = compile::compile_files(files, previous, &mut found);
    set.hash = Hash::Known(source::hash(files));
    (set, found)
}

fn refuse_errors(
    (set, found): (SignatureSet, Vec<Diagnostic>),
) -> Result<SignatureSet, Vec<Diagnostic>> {
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    if found.iter().any(is_error) {
        Err(found)
    } else {
        Ok(set)
    }
}

#[cfg(test)]
mod tests;
