//! Sets from where they lie, checked as a whole before any is used; again and again while the
//! program runs.

use std::path::PathBuf;
use std::sync::Arc;

use super::builtin::builtin_files;
use super::check::check_parsed;
use super::compile::{compile, parse_all};
use super::diagnostic::{Diagnostic, Severity};
use super::set::{Hash, SignatureSet};
use super::source::{SourceFile, files_in, hash};

/// Where the files of a set come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loader {
    /// The folder of `CATEGORY/NAME.toml` files; `None`: only the built-in ones.
    pub dir: Option<PathBuf>,
    /// Use the folder's files instead of the built-in ones, not in addition to them.
    pub replace: bool,
}

impl Loader {
    /// The set to start with.
    ///
    /// # Errors
    ///
    /// What could not be read, else everything wrong in what was read: what the compiler finds, and
    /// what `signatures check` calls an error (tests left aside).
    pub fn load_first(&self) -> Result<Arc<SignatureSet>, Vec<Diagnostic>> {
        if self.dir.is_none() {
            return Ok(Arc::new(SignatureSet::builtin()));
        }
        checked(&self.files()?, None)
    }

    /// The set to take the place of `previous`, compiled after it (see
    /// [`SignatureSet::compile_after`]). `previous` itself ([`Arc::ptr_eq`] tells) when no file has
    /// changed.
    ///
    /// # Errors
    ///
    /// As [`Loader::load_first`]; there is no new set then.
    pub fn load_after(
        &self,
        previous: &Arc<SignatureSet>,
    ) -> Result<Arc<SignatureSet>, Vec<Diagnostic>> {
        let files = self.files()?;
        if hash(&files) == previous.hash() {
            return Ok(Arc::clone(previous));
        }
        checked(&files, Some(previous))
    }

    /// What an operator should know of a set that is as it should be: a folder that adds nothing may
    /// be meant, and may be the wrong one.
    pub fn warning(&self) -> Option<Diagnostic> {
        let dir = self.dir.as_ref()?;
        let is_idle = files_in(dir).is_ok_and(|files| files.is_empty());
        let message = "no CATEGORY/NAME.toml in it: only the built-in signatures are used";
        is_idle.then(|| Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::of_file(&dir.display().to_string(), message)
        })
    }

    /// All files, read to their end. A file of the folder takes the place of the built-in one of
    /// the same folder and name.
    ///
    /// # Errors
    ///
    /// What could not be read, and that there is none.
    pub fn files(&self) -> Result<Vec<SourceFile>, Vec<Diagnostic>> {
        let Some(dir) = &self.dir else {
            return Ok(builtin_files());
        };
        let mut files = files_in(dir)?;
        if !self.replace {
            files = with_built_in(files);
        }
        if files.is_empty() {
            let path = dir.display().to_string();
            let message = "expected CATEGORY/NAME.toml files: there are none";
            return Err(vec![Diagnostic::of_file(&path, message)]);
        }
        Ok(files)
    }
}

/// These files and the built-in ones, without those in whose place one of them is: of the same
/// folder and name.
pub fn with_built_in(mut files: Vec<SourceFile>) -> Vec<SourceFile> {
    let built_in = builtin_files().into_iter();
    let kept = built_in.filter(|one| files.iter().all(|file| file.key() != one.key()));
    let kept: Vec<_> = kept.collect();
    files.extend(kept);
    files
}

fn checked(
    files: &[SourceFile],
    previous: Option<&SignatureSet>,
) -> Result<Arc<SignatureSet>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let parsed = parse_all(files, &mut found);
    let mut set = compile(&parsed, previous, &mut found);
    check_parsed(&parsed, &mut found);
    found.retain(|finding| finding.severity == Severity::Error);
    if found.is_empty() {
        set.hash = Hash::Known(hash(files));
        return Ok(Arc::new(set));
    }
    found.sort();
    found.dedup();
    Err(found)
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
