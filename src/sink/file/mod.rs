//! Record files of a live run: whole records only, rotated by size and time, compressed when rotated.
//!
//! [`Rotating`] is the sink. `pages` lays records out so that
//! a kill leaves no half line behind, and says why; `names` gives rotated files their names;
//! `archive` compresses and deletes them in the background. Where a record ends is the framing's to
//! say: a line, a message.
//!
//! What can happen to a file, and what is done about it:
//!
//! - The process is killed: what was written out ends with a whole line, where lines may be
//!   filled up with blanks; else what follows its last whole record is cut off when it is opened again.
//!   Records that were not written out yet, at most those since the last tick, are lost.
//! - The machine stops: the file may end anywhere. What follows its last whole record is cut off when
//!   it is opened again, see [`Rotating::notes`].
//! - The disk is full, or fails: the file is cut back to its last whole record. What could not be
//!   written is kept, up to 64 KiB; records that find no place are refused one by one. The next tick
//!   tries again.
//! - It is moved or deleted by somebody else: the next tick begins a new one.

mod archive;
mod names;
mod pages;
#[cfg(test)]
mod tests;
mod whole;

pub(super) use self::whole::Whole;

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::archive::Archive;
use self::names::Names;
use self::pages::Pages;
use super::Sink;
use crate::encode::Framing;
use crate::time::Timestamp;

/// Owner may write, group may read: records tell who spoke to whom.
const MODE: u32 = 0o640;

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

/// Records into a file that is rotated.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    names: Names,
    options: Options,
    framing: Framing,
    at: Timestamp,
    head: Vec<u8>,
    /// Bytes of the head that the file has.
    told: usize,
    /// Records that the file has, as the framing counts them.
    number: u32,
    pages: Pages,
    /// `None` when the last one was rotated and no new one could be opened.
    file: Option<Open>,
    /// Why nothing can be written since the last tick.
    failing: Option<(ErrorKind, String)>,
    /// What went wrong on the side since the last tick; rotation is not tried again before it.
    trouble: Option<io::Error>,
    archive: Option<Archive>,
    notes: Vec<Note>,
}

/// The file that is written to.
#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes of whole records in it.
    len: u64,
    /// There is more in it than `len`, which could not be cut off yet.
    torn: bool,
    /// Start of the stretch of time its records are of.
    period: Timestamp,
    /// Device and inode.
    identity: (u64, u64),
    /// A device, such as /dev/null: neither rotated nor repaired.
    device: bool,
    /// Nothing can be added to it: its columns are not today's, or another run began it.
    other_head: bool,
}

impl Rotating {
    /// Opens `path` for adding records of this framing, at the time `at`. A broken last one is cut off;
    /// what a crash left undone with rotated files is done in the background.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or another process writes to it. Folders are not created.
    pub fn open(
        path: impl Into<PathBuf>,
        framing: Framing,
        options: Options,
        at: Timestamp,
    ) -> io::Result<Self> {
        let path = path.into();
        let opened = Names::of(&path).and_then(|names| {
            let mut notes = Vec::new();
            let file = Open::at_path(&path, framing, &options, at, &mut notes)?;
            let archive = (!file.device && options.has_archive())
                .then(|| Archive::start(names.clone(), options.keep, options.compress))
                .transpose()?;
            Ok((names, file, archive, notes))
        });
        let (names, file, archive, notes) =
            opened.map_err(|error| about("cannot write records to", &path, &error))?;
        let mut pages = Pages::new(framing == Framing::Lines { may_pad: true });
        pages.start_at(file.len);
        Ok(Self {
            path,
            names,
            options,
            framing,
            at,
            head: Vec::new(),
            told: 0,
            number: 0,
            pages,
            file: Some(file),
            failing: None,
            trouble: None,
            archive,
            notes,
        })
    }

    /// What the log should say about the file; taken once.
    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// The file that is open now, for changing its owner before rights are given up.
    pub fn file(&self) -> Option<&File> {
        self.file.as_ref().map(|open| &open.file)
    }

    /// Writes out all records that are held.
    fn write_out(&mut self) -> io::Result<()> {
        if self.pages.is_empty() {
            return Ok(());
        }
        let written = match &mut self.file {
            Some(file) => file.write(&mut self.pages),
            None => self.reopen().and_then(|()| match &mut self.file {
                Some(file) => file.write(&mut self.pages),
                None => Err(ErrorKind::NotFound.into()),
            }),
        };
        let written = written.map_err(|error| about("cannot write", &self.path, &error));
        self.failing = written
            .as_ref()
            .err()
            .map(|error| (error.kind(), error.to_string()));
        written
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = None;
        let mut file = Open::at_path(
            &self.path,
            self.framing,
            &self.options,
            self.at,
            &mut self.notes,
        )?;
        file.compare_head(&self.head, &self.path, &mut self.notes);
        if self.pages.is_empty() {
            self.pages.start_at(file.len);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Gives the file its rotated name and begins a new one. All records must have been written out.
    fn rotate(&mut self) -> io::Result<()> {
        let to = self.names.free(self.at)?;
        fs::rename(&self.path, &to)
            .map_err(|error| about("cannot rename to", &to, &error))
            .and_then(|()| {
                if let Some(archive) = &self.archive {
                    archive.look();
                }
                self.reopen()
            })
            .map_err(|error| about("cannot rotate", &self.path, &error))
    }

    fn is_due(&self, record: usize) -> bool {
        let Some(file) = &self.file else { return false };
        if file.device || (file.len == 0 && self.pages.is_empty()) {
            return false;
        }
        let end = file.len.saturating_add(self.pages.end_with(record) as u64);
        let too_large = self.options.max_bytes.is_some_and(|max| end > max);
        let too_old = self
            .options
            .max_age
            .is_some_and(|age| self.at.floor(age) > file.period);
        file.other_head || (record > 0 && too_large) || (record == 0 && too_old)
    }

    /// Rotates if that is due before a record of this length, or at a tick (length zero). What goes
    /// wrong is told at the next tick: no line is lost by it.
    fn rotate_if_due(&mut self, record: usize) {
        if self.trouble.is_some() || self.failing.is_some() || !self.is_due(record) {
            return;
        }
        // What could not be written keeps `failing`.
        if self.write_out().is_ok()
            && let Err(error) = self.rotate()
        {
            self.trouble = Some(error);
        }
    }

    /// Whether the path no longer leads to the file that is open.
    fn was_moved(&self) -> bool {
        let Some(file) = &self.file else { return true };
        match fs::metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()) != file.identity,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }

    /// What comes next is for the file's end; at its beginning, the head comes first.
    fn begin(&mut self) {
        let place = self.file.as_mut().map_or(0, Open::place);
        self.pages.start_at(place);
        if place == 0 {
            (self.told, self.number) = (0, 0);
        }
        // Nobody reads back what a device was given.
        if self.file.as_ref().is_some_and(|file| file.device) {
            self.told = self.head.len();
        }
    }

    /// Takes a record, behind what of the head the file does not have yet.
    fn take(&mut self, record: &[u8]) -> io::Result<()> {
        if self.pages.is_empty() {
            self.begin();
        }
        while let Some(rest) = self.head.get(self.told..).filter(|rest| !rest.is_empty()) {
            let part = self.framing.first(rest).to_vec();
            if !self.push(&part, false) {
                self.make_room()?;
                continue;
            }
            self.told += part.len();
        }
        if self.push(record, true) {
            return Ok(());
        }
        self.make_room()?;
        if self.told < self.head.len() {
            return self.take(record);
        }
        match self.push(record, true) {
            true => Ok(()),
            false => Err(no_record()),
        }
    }

    fn push(&mut self, record: &[u8], counts: bool) -> bool {
        let mut record = record.to_vec();
        let number = self.framing.number(&mut record, self.number);
        let taken = self.pages.push(&record, counts).is_ok();
        if taken {
            self.number = number;
        }
        taken
    }

    fn make_room(&mut self) -> io::Result<()> {
        if let Some((kind, text)) = &self.failing {
            return Err(io::Error::new(*kind, text.clone()));
        }
        self.write_out()?;
        self.begin();
        Ok(())
    }
}

impl Sink for Rotating {
    fn head(&mut self, head: &[u8]) {
        if self.head.is_empty()
            && let Some(file) = &mut self.file
        {
            file.compare_head(head, &self.path, &mut self.notes);
            if file.len > 0 {
                self.told = head.len();
            }
        }
        head.clone_into(&mut self.head);
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        if record.len() > Pages::LONGEST || !self.framing.is_record(record) {
            return Err(no_record());
        }
        self.rotate_if_due(record.len());
        // Records of lines can be read under other columns; others cannot without their head.
        if !self.framing.goes_on() && self.file.as_ref().is_some_and(|file| file.other_head) {
            return Err(io::Error::other("the file of an earlier run is in the way"));
        }
        self.take(record)
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        if let (Some(file), Some(age)) = (&mut self.file, self.options.max_age) {
            // The clock may have been set back: the file is not kept until that time comes again.
            file.period = file.period.min(at.floor(age));
        }
        self.at = at;
        self.failing = None;
        self.trouble = None;
        self.write_out()?;
        if self.was_moved() {
            self.reopen()
                .map_err(|error| about("cannot write records to", &self.path, &error))?;
        }
        self.rotate_if_due(0);
        if let (Some(file), Some(age)) = (&mut self.file, self.options.max_age)
            && file.len == 0
        {
            file.period = at.floor(age);
        }
        let failed = self.archive.as_ref().and_then(Archive::error);
        self.trouble.take().or(failed).map_or(Ok(()), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }

    fn held(&self) -> u64 {
        self.pages.records()
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        // Who wants to know of an error flushes first.
        let _ = self.write_out();
    }
}

impl Options {
    const fn has_archive(&self) -> bool {
        let rotates = self.max_bytes.is_some() || self.max_age.is_some();
        rotates && (self.keep.is_some() || !matches!(self.compress, Compression::None))
    }
}

impl Open {
    fn at_path(
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
    fn place(&mut self) -> u64 {
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
    fn write(&mut self, pages: &mut Pages) -> io::Result<()> {
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
    fn compare_head(&mut self, head: &[u8], path: &Path, notes: &mut Vec<Note>) {
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

fn no_record() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        "a record is not whole, or too long",
    )
}

fn about(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}
