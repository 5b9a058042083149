//! The signature files that are built in.
//!
//! Only optimised builds have the files in them. Others read the folder they were built from, so that
//! a changed file is no new build.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::packed;
use super::source::{self, SourceFile, look_in};

/// What `build.rs` made of the files.
#[cfg(embedded_signatures)]
const PACKED: Option<&[u8]> = Some(include_bytes!(concat!(
    env!("OUT_DIR"),
    "/signatures.packed"
)));
#[cfg(embedded_signatures)]
const TOMBSTONES: Option<&str> = Some(include_str!("../../signatures/tombstones.toml"));
#[cfg(embedded_signatures)]
const PROJECT: &str = "";

#[cfg(not(embedded_signatures))]
const PACKED: Option<&[u8]> = None;
#[cfg(not(embedded_signatures))]
const TOMBSTONES: Option<&str> = None;
/// Where the project was when it was built.
#[cfg(not(embedded_signatures))]
const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// The files built into the binary, in the order of their paths. In a development build those of the
/// folder it was made from, as they were when first asked for.
pub fn builtin_files() -> Vec<SourceFile> {
    static OF_FOLDER: OnceLock<Vec<SourceFile>> = OnceLock::new();
    match PACKED {
        Some(packed) => packed::files(packed)
            .into_iter()
            .map(|(path, text, tree)| SourceFile::packed(path, text, tree))
            .collect(),
        None => OF_FOLDER.get_or_init(files_of_project).clone(),
    }
}

fn files_of_project() -> Vec<SourceFile> {
    let root = Path::new(PROJECT);
    let (mut files, errors) = look_in(&root.join("signatures"));
    for error in errors {
        tracing::error!("{error}");
    }
    for file in &mut files {
        let shown = Path::new(&*file.path).strip_prefix(root);
        if let Ok(shown) = shown.map(|shown| shown.display().to_string()) {
            file.path = shown.into();
        }
    }
    files
}

/// The ids that were given to what is gone, beside the built-in files.
pub(super) fn builtin_tombstones() -> Cow<'static, str> {
    match TOMBSTONES {
        Some(text) => Cow::Borrowed(text),
        None => {
            let path = Path::new(PROJECT)
                .join("signatures")
                .join(source::TOMBSTONES);
            Cow::Owned(fs::read_to_string(path).unwrap_or_default())
        }
    }
}
