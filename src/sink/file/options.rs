//! When a file is rotated, what becomes of it, and what is said of it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How rotated files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// The ending of a compressed file's name.
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some(".gz"),
            Self::Zstd => Some(".zst"),
        }
    }
}

/// When a file is rotated, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A file does not grow beyond this.
    pub max_bytes: Option<u64>,
    /// A file holds records of one such stretch of time, aligned to 1970.
    pub max_age: Option<Duration>,
    /// Rotated files that are kept.
    pub keep: Option<usize>,
    /// How rotated files are compressed.
    pub compress: Compression,
}

/// What an operator should know about a file that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It ended with a broken record, which was cut off.
    Cut {
        /// The file.
        path: PathBuf,
        /// Bytes cut off.
        bytes: u64,
    },
    /// Its columns are not today's: it is rotated before anything is added to it.
    OtherHeader {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { path, bytes } => write!(
                f,
                "{}: cut off {bytes} bytes of a broken last record",
                path.display()
            ),
            Self::OtherHeader { path } => write!(
                f,
                "{}: its columns differ from today's, so it is rotated",
                path.display()
            ),
        }
    }
}

impl Options {
    /// Whether there is something to do with files that were rotated.
    pub(super) const fn has_archive(&self) -> bool {
        let rotates = self.max_bytes.is_some() || self.max_age.is_some();
        rotates && (self.keep.is_some() || !matches!(self.compress, Compression::None))
    }
}
