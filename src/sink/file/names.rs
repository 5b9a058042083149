//! Names of rotated files: `NAME-20260102T030405Z.jsonl`, with `-2`, `-3`, ... where that is taken
//! and `.gz` or `.zst` at the end where compressed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::options::Compression;
use crate::time::Timestamp;

/// Ends the name of a compressed file that is not finished.
const UNFINISHED: &str = ".tmp";

/// The names of one record file's rotated files.
#[derive(Clone, Debug)]
pub(super) struct Names {
    folder: PathBuf,
    stem: String,
    /// With its dot; empty if there is none.
    extension: String,
}

/// A rotated file's place in time: oldest first.
pub(super) type Order = (String, u64);

/// A rotated file as it is found: plain, compressed, or both where a crash came between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rotated {
    pub(super) plain: Option<PathBuf>,
    pub(super) compressed: Vec<PathBuf>,
}

/// What is in the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) rotated: BTreeMap<Order, Rotated>,
    pub(super) unfinished: Vec<PathBuf>,
}

impl Names {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).map(str::to_owned);
        let Some(stem) = text(path.file_stem()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it has no name in UTF-8",
            ));
        };
        let extension = text(path.extension()).map_or_else(String::new, |text| format!(".{text}"));
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self {
            folder,
            stem,
            extension,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A name for the file that is rotated at `at` which no file has.
    pub(super) fn free(&self, at: Timestamp) -> io::Result<PathBuf> {
        let time = compact(at);
        let listing = self.list()?;
        let last = listing
            .rotated
            .range((time.clone(), 0)..=(time.clone(), u64::MAX))
            .next_back();
        let number = last.map_or(1, |((_, number), _)| number.saturating_add(1));
        let number = match number {
            1 => String::new(),
            number => format!("-{number}"),
        };
        let (stem, extension) = (&self.stem, &self.extension);
        Ok(self
            .folder
            .join(format!("{stem}-{time}{number}{extension}")))
    }

    /// Where the rotated file `plain` is compressed to, and the name it has until that is done.
    pub(super) fn compressed(plain: &Path, suffix: &str) -> (PathBuf, PathBuf) {
        let mut done = plain.as_os_str().to_owned();
        done.push(suffix);
        let mut unfinished = done.clone();
        unfinished.push(UNFINISHED);
        (done.into(), unfinished.into())
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (name, unfinished) = match name.strip_suffix(UNFINISHED) {
                Some(name) => (name, true),
                None => (name, false),
            };
            let suffix = Compression::ALL
                .iter()
                .filter_map(|compression| compression.suffix())
                .find(|suffix| name.ends_with(suffix));
            let plain = name.strip_suffix(suffix.unwrap_or_default());
            let Some(order) = plain.and_then(|plain| self.order(plain)) else {
                continue;
            };
            match (unfinished, suffix) {
                (true, Some(_)) => listing.unfinished.push(entry.path()),
                // Not ours: nobody writes a plain file under such a name.
                (true, None) => {}
                (false, Some(_)) => {
                    let rotated = listing.rotated.entry(order).or_default();
                    rotated.compressed.push(entry.path());
                }
                (false, None) => {
                    listing.rotated.entry(order).or_default().plain = Some(entry.path());
                }
            }
        }
        Ok(listing)
    }

    /// `20260102T030405Z` and the number in a rotated file's name; `None` for any other file.
    fn order(&self, plain: &str) -> Option<Order> {
        let rest = plain.strip_prefix(&self.stem)?.strip_prefix('-')?;
        let rest = rest.strip_suffix(&self.extension)?;
        let (time, number) = match rest.split_once('-') {
            None => (rest, 1),
            Some((time, number)) => {
                let value: u64 = number.parse().ok()?;
                // The one way we write it, so that no two names are the same place.
                (value > 1 && value.to_string() == number).then_some((time, value))?
            }
        };
        let shape = time.len() == 16
            && time.bytes().enumerate().all(|(place, byte)| match place {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        shape.then(|| (time.to_owned(), number))
    }
}

/// `20260102T030405Z`.
fn compact(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    let mut compact: String = seconds
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    compact.push('Z');
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_files_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flows.jsonl");
        let names = Names::of(&path).unwrap();
        for name in [
            "flows.jsonl",
            "flows-20260102T030405Z.jsonl",
            "flows-20260102T030405Z-2.jsonl.zst",
            "flows-20260102T030405Z-10.jsonl.gz",
            "flows-20260102T030406Z.jsonl.gz",
            "flows-20260102T030406Z.jsonl",
            "flows-20260102T030407Z.jsonl.zst.tmp",
            // Others.
            "flows-20260102T030405Z-1.jsonl",
            "flows-20260102T030405Z-02.jsonl",
            "flows-20260102T030405Z-x.jsonl",
            "flows-20260102T030405Z.csv",
            "flows-20260102T030405Z.jsonl.tmp",
            "flows-20260102030405Z.jsonl",
            "flows-backup.jsonl",
            "otherflows-20260102T030405Z.jsonl",
            "usage-20260102T030405Z.jsonl",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let listing = names.list().unwrap();
        let order: Vec<(&str, u64)> = listing
            .rotated
            .keys()
            .map(|(time, number)| (time.as_str(), *number))
            .collect();
        assert_eq!(
            order,
            [
                ("20260102T030405Z", 1),
                ("20260102T030405Z", 2),
                ("20260102T030405Z", 10),
                ("20260102T030406Z", 1),
            ]
        );
        let both = &listing.rotated[&("20260102T030406Z".to_owned(), 1)];
        assert!(both.plain.is_some() && both.compressed.len() == 1);
        assert_eq!(listing.unfinished.len(), 1);

        let at = |seconds: u64| Timestamp::new(1_767_323_045 + seconds, 999_999_999);
        for (seconds, expected) in [
            (0, "flows-20260102T030405Z-11.jsonl"),
            (1, "flows-20260102T030406Z-2.jsonl"),
            (9, "flows-20260102T030414Z.jsonl"),
        ] {
            let name = names.free(at(seconds)).unwrap();
            assert_eq!(name, folder.path().join(expected));
        }
    }

    #[test]
    fn names_without_folder_or_extension() {
        let names = Names::of(Path::new("records")).unwrap();
        assert_eq!(names.folder(), Path::new("."));
        assert_eq!(
            names.order("records-20260102T030405Z-3"),
            Some(("20260102T030405Z".to_owned(), 3))
        );
        assert!(Names::of(Path::new("/")).is_err());
    }
}
