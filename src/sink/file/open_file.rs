//! The file that records are written to: whole records only, whatever happens to it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::options::{Note, Options};
use super::pages::{self, Pages};
use crate::encode::Framing;
use crate::time::Timestamp;

/// Owner may write, group may read: records tell who spoke to whom.
pub(super) const MODE: u32 = 0o640;

/// The file that is written to.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    /// Bytes of whole records in it.
    pub(super) len: u64,
    /// There is more in it than `len`, which could not be cut off yet.
    torn: bool,
    /// Start of the stretch of time its records are of.
    pub(super) period: Timestamp,
    /// Device and inode.
    pub(super) identity: (u64, u64),
    /// A device, such as /dev/null: neither rotated nor repaired.
    pub(super) device: bool,
    /// Nothing can be added to it: its columns are not today's, or another run began it.
    pub(super) other_head: bool,
}

impl OpenFile {
    /// Opens the file at `path` for adding records of this framing, at the time `at`. A broken last record
    /// is cut off, and noted.
    pub(super) fn at_path(
        path: &Path,
        framing: Framing,
        options: &Options,
        at: Timestamp,
        notes: &mut Vec<Note>,
    ) -> io::Result<Self> {
        let kind = match fs::metadata(path) {
            Ok(metadata) => Some(metadata.file_type()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let device = kind.is_some_and(|kind| kind.is_char_device());
        if kind.is_some_and(|kind| !device && !kind.is_file()) {
            let text = "it is not a file (`-` is standard output)";
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        let opened = OpenOptions::new()
            .append(true)
            .read(!device)
            .create(true)
            .mode(MODE)
            .open(path);
        let mut file = opened.map_err(|error| match error.kind() {
            ErrorKind::NotFound => io::Error::new(
                ErrorKind::NotFound,
                "its folder does not exist, and folders are not created",
            ),
            _ => error,
        })?;
        let metadata = file.metadata()?;
        let mut len = 0;
        if !device {
            // Two writers would tear each other's records. Where locks are not known, as on some
            // network file systems, it goes without.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let text = "another process writes to it, or it was named twice";
                return Err(io::Error::new(ErrorKind::ResourceBusy, text));
            }
            let mut start = Vec::new();
            file.seek(SeekFrom::Start(0))?;
            (&file).take(4).read_to_end(&mut start)?;
            if !framing.may_begin(&start) {
                let text =
                    "it holds something else than records, a capture perhaps: it is left as it is";
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            len = framing.whole(&mut file, metadata.len())?;
            let bytes = metadata.len() - len;
            if bytes > 0 {
                file.set_len(len)?;
                notes.push(Note::Cut {
                    path: path.to_owned(),
                    bytes,
                });
            }
        }
        // The file's last change says of which time its records are. One from the future, by a clock
        // that was put right since, does not keep the file for ever.
        let changed = u64::try_from(metadata.mtime()).unwrap_or(0);
        let last = if len > 0 {
            Timestamp::new(changed, 0).min(at)
        } else {
            at
        };
        Ok(Self {
            file,
            len,
            torn: false,
            period: options.max_age.map_or(last, |age| last.floor(age)),
            identity: (metadata.dev(), metadata.ino()),
            device,
            other_head: !framing.goes_on() && len > 0 && !device,
        })
    }

    /// The place the next record is written to.
    pub(super) fn place(&mut self) -> u64 {
        if !self.torn && !self.device {
            // Somebody else may have cut the file.
            self.len = self
                .file
                .metadata()
                .map_or(self.len, |metadata| metadata.len());
        }
        self.len
    }

    /// Writes what is held, in whole records. Where that fails, the file ends with the last one that
    /// was written whole, and `pages` holds the others.
    pub(super) fn write(&mut self, pages: &mut Pages) -> io::Result<()> {
        self.mend()?;
        while !pages.is_empty() {
            let slices = pages.slices();
            let total: usize = slices.iter().map(|slice| slice.len()).sum();
            let outcome = match self.file.write_vectored(&slices) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Ok(written) => Ok(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let written = outcome?;
            let whole = pages.whole(written);
            pages.written(whole);
            self.len += whole as u64;
            if whole < written {
                // Cut back before trying to write the rest: nothing is torn meanwhile.
                self.torn = true;
                self.mend()?;
            }
            if written < total && whole == 0 {
                // The next round would say the same.
                return Err(ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    /// Cuts off what a failed write left of a record.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            if self.file.metadata()?.len() > self.len {
                self.file.set_len(self.len)?;
            }
            self.torn = false;
        }
        Ok(())
    }

    /// Finds out whether the file begins with this line of column names, if it has one.
    pub(super) fn compare_head(&mut self, head: &[u8], path: &Path, notes: &mut Vec<Note>) {
        if head.is_empty() || self.len == 0 || self.device || self.other_head {
            return;
        }
        let mut start = vec![0; head.len() + pages::PAGE];
        let read = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.read(&mut start));
        let found = start.get(..read.unwrap_or(0)).unwrap_or_default();
        let first = found
            .split(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        if first.trim_ascii_end() != head.trim_ascii_end() {
            self.other_head = true;
            notes.push(Note::OtherHeader {
                path: path.to_owned(),
            });
        }
    }
}

/// What goes wrong, and with which file.
pub(super) fn about(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}
