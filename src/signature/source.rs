//! Where signature files come from: the folder built into the binary, or one on disk.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use ring::digest;

use super::diagnostic::Diagnostic;

include!(concat!(env!("OUT_DIR"), "/signatures.rs"));

/// One file before it is read: `CATEGORY/NAME.toml` and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path diagnostics show; its last two parts are the folder and the file's name.
    pub path: Cow<'static, str>,
    /// What is in it.
    pub text: Cow<'static, str>,
}

impl SourceFile {
    /// A file called `path`.
    pub fn new(path: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// The folder the file is in, which is its category.
    pub fn folder(&self) -> &str {
        self.path.rsplit(['/', '\\']).nth(1).unwrap_or_default()
    }

    /// The file's name without `.toml`, which is its slug.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit(['/', '\\']).next().unwrap_or_default();
        name.strip_suffix(".toml").unwrap_or(name)
    }

    /// What the file is among others: folder and name, wherever the set lies.
    pub fn key(&self) -> (&str, &str) {
        (self.folder(), self.stem())
    }
}

/// The files built into the binary, in the order of their paths.
pub fn builtin_files() -> Vec<SourceFile> {
    BUILTIN
        .iter()
        .map(|&(path, text)| SourceFile::new(path, text))
        .collect()
}

/// The files `DIR/*/*.toml`, in the order of their paths.
///
/// # Errors
///
/// What could not be listed or read, each with its path.
pub fn files_in(dir: &Path) -> Result<Vec<SourceFile>, Vec<Diagnostic>> {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    for folder in entries(dir, &mut errors)
        .iter()
        .filter(|path| path.is_dir())
    {
        for path in entries(folder, &mut errors) {
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => files.push(SourceFile::new(path.display().to_string(), text)),
                Err(error) => errors.push(unreadable(&path, &error)),
            }
        }
    }
    if errors.is_empty() {
        Ok(files)
    } else {
        Err(errors)
    }
}

fn entries(dir: &Path, errors: &mut Vec<Diagnostic>) -> Vec<std::path::PathBuf> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) => {
            errors.push(unreadable(dir, &error));
            Vec::new()
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::of_file(
        &path.display().to_string(),
        format!("cannot be read: {error}"),
    )
}

/// SHA-256 over the files in the order of folder and name, in hex. Lengths are hashed as well, so
/// that no text can pass for two files.
pub(super) fn hash(files: &[SourceFile]) -> String {
    let mut files: Vec<_> = files.iter().collect();
    files.sort_by_key(|file| file.key());
    let mut context = digest::Context::new(&digest::SHA256);
    for file in files {
        let (folder, stem) = file.key();
        for text in [folder, stem, &file.text] {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
    }
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
