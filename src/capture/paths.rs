//! What is named to be read: files, folders and patterns become a list of files.
//!
//! A folder stands for the captures in it, in the order of their names; what else is in it is told.
//! Folders in it are not gone into. A pattern (`*`, `?`, `[...]`) stands for the files whose names
//! fit, as a shell would have it, unless there is a file with that very name.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::error::Error;
use crate::capture::file::{Options, Reader};
use crate::capture::input::is_standard_input;

/// The files that are named.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order named; those of a folder or a pattern by name.
    pub files: Vec<PathBuf>,
    /// What folders hold besides captures, and what it is instead.
    pub skipped: Vec<(PathBuf, &'static str)>,
}

/// Finds the files that `names` name. One that does not exist is among them: whoever opens it says
/// so.
///
/// # Errors
///
/// A folder cannot be read, or there is nothing but folders without captures.
pub fn find(names: &[PathBuf]) -> Result<Found, Error> {
    let mut found = Found::default();
    for name in names {
        if is_standard_input(name) {
            found.files.push(name.clone());
            continue;
        }
        let fitting = if fs::symlink_metadata(name).is_ok() {
            Vec::new()
        } else {
            fitting(name)
        };
        for path in if fitting.is_empty() {
            vec![name.clone()]
        } else {
            fitting
        } {
            if path.is_dir() {
                look_in(&path, &mut found)?;
            } else {
                found.files.push(path);
            }
        }
    }
    if found.files.is_empty()
        && let Some(folder) = names.first()
    {
        return Err(Error::NoCapture {
            folder: folder.clone(),
        });
    }
    Ok(found)
}

/// The paths that fit the pattern `name`, by name; none where it is no pattern.
fn fitting(name: &Path) -> Vec<PathBuf> {
    let pattern = name.to_str().filter(|text| text.contains(['*', '?', '[']));
    let paths = pattern.and_then(|pattern| glob::glob(pattern).ok());
    paths.into_iter().flatten().filter_map(Result::ok).collect()
}

fn look_in(folder: &Path, found: &mut Found) -> Result<(), Error> {
    let cannot = |source| Error::Open {
        path: folder.to_owned(),
        source,
    };
    let mut names: Vec<OsString> = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        names.push(entry.map_err(cannot)?.file_name());
    }
    names.sort_unstable();
    for name in names {
        let path = folder.join(name);
        match other_than_capture(&path) {
            Some(what) => found.skipped.push((path, what)),
            None => found.files.push(path),
        }
    }
    Ok(())
}

/// What `path` is, if not a capture. One that cannot be read, or is damaged from its first bytes
/// on, is for whoever reads it to tell.
fn other_than_capture(path: &Path) -> Option<&'static str> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Some("a folder"),
        // Opening a pipe would take what is in it.
        Ok(metadata) if !metadata.is_file() => return Some("not a regular file"),
        _ => {}
    }
    match Reader::open(path, &Options::default()) {
        Err(Error::NotACapture { .. }) => Some("not a capture"),
        Err(Error::Empty { .. }) => Some("empty"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::samples;

    #[test]
    fn folders_and_patterns_stand_for_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let capture = samples::pcap(&[(1, b"frame")]);
        fs::create_dir(at("sub")).unwrap();
        for (name, bytes) in [
            ("b.pcap", &capture[..]),
            ("a.pcap1", &capture),
            ("c.gz", &samples::gzip(&capture)),
            ("cut.pcap", &capture[..10]),
            ("notes.txt", b"these are notes"),
            ("nothing", b""),
            ("sub/d.pcap", &capture),
            ("[x].pcap", &capture),
        ] {
            fs::write(at(name), bytes).unwrap();
        }
        let all = ["[x].pcap", "a.pcap1", "b.pcap", "c.gz", "cut.pcap"];
        // (what is named, what is found in it)
        for (name, expected) in [
            ("", &all[..]),
            ("*.pcap", &["[x].pcap", "b.pcap", "cut.pcap"]),
            ("?.pcap*", &["a.pcap1", "b.pcap"]),
            ("s*", &["sub/d.pcap"]),
            ("[x].pcap", &["[x].pcap"]),
            ("[ab].pcap", &["b.pcap"]),
            ("no*such", &["no*such"]),
            ("missing.pcap", &["missing.pcap"]),
        ] {
            let found = find(&[at(name)]).unwrap();
            let expected: Vec<PathBuf> = expected.iter().map(|name| at(name)).collect();
            assert_eq!(found.files, expected, "{name}");
        }
        let skipped = find(&[folder.path().to_owned()]).unwrap().skipped;
        let expected = [
            (at("notes.txt"), "not a capture"),
            (at("nothing"), "empty"),
            (at("sub"), "a folder"),
        ];
        assert_eq!(skipped, expected);
        fs::create_dir(at("sub/none")).unwrap();
        let error = find(&[at("sub/none")]).unwrap_err().to_string();
        assert!(error.ends_with("no capture in it"), "{error}");
    }
}
