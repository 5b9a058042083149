//! Record files of a live run: whole lines only, rotated by size and time, compressed when rotated.
//!
//! [`Rotating`] is what [`records`](super::records) are written to. `pages` lays lines out so that
//! a kill leaves no half line behind, and says why; `names` gives rotated files their names;
//! `archive` compresses and deletes them in the background.
//!
//! What can happen to a file, and what is done about it:
//!
//! - The process is killed: what was written out ends with a whole line, where lines may be
//!   filled up with blanks; else what follows its last line feed is cut off when it is opened again.
//!   Lines that were not written out yet, at most those since the last tick, are lost.
//! - The machine stops: the file may end anywhere. What follows its last line feed is cut off when
//!   it is opened again, see [`Rotating::notes`].
//! - The disk is full, or fails: the file is cut back to its last whole line. What could not be
//!   written is kept, up to 64 KiB; lines that find no place are refused one by one. The next tick
//!   tries again.
//! - It is moved or deleted by somebody else: the next tick begins a new one.

mod archive;
mod names;
mod pages;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::archive::Archive;
use self::names::Names;
use self::pages::{NoRoom, Pages};
use super::lines::Lines;
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
    /// A file holds lines of one such stretch of time, aligned to 1970.
    pub max_age: Option<Duration>,
    /// Rotated files that are kept.
    pub keep: Option<usize>,
    /// How rotated files are compressed.
    pub compress: Compression,
}

/// What an operator should know about a file that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It ended with a broken line, which was cut off.
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
                "{}: cut off {bytes} bytes of a broken last line",
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

/// Lines into a file that is rotated.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    names: Names,
    options: Options,
    at: Timestamp,
    header: Option<Vec<u8>>,
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
    /// Bytes of whole lines in it.
    len: u64,
    /// There is more in it than `len`, which could not be cut off yet.
    torn: bool,
    /// Start of the stretch of time its lines are of.
    period: Timestamp,
    /// Device and inode.
    identity: (u64, u64),
    /// A device, such as /dev/null: neither rotated nor repaired.
    device: bool,
    /// Its columns are not today's.
    other_header: bool,
}

impl Rotating {
    /// Opens `path` for adding lines, at the time `at`. A broken last line is cut off; what a crash
    /// left undone with rotated files is done in the background.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or another process writes to it. Folders are not created.
    pub fn open(path: impl Into<PathBuf>, options: Options, at: Timestamp) -> io::Result<Self> {
        let path = path.into();
        let opened = Names::of(&path).and_then(|names| {
            let mut notes = Vec::new();
            let file = Open::at_path(&path, &options, at, &mut notes)?;
            let archive = (!file.device && options.has_archive())
                .then(|| Archive::start(names.clone(), options.keep, options.compress))
                .transpose()?;
            Ok((names, file, archive, notes))
        });
        let (names, file, archive, notes) =
            opened.map_err(|error| about("cannot write records to", &path, &error))?;
        let mut pages = Pages::new();
        pages.start_at(file.len);
        Ok(Self {
            path,
            names,
            options,
            at,
            header: None,
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

    /// Writes out all lines that are held.
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
        let mut file = Open::at_path(&self.path, &self.options, self.at, &mut self.notes)?;
        file.compare_header(self.header.as_deref(), &self.path, &mut self.notes);
        if self.pages.is_empty() {
            self.pages.start_at(file.len);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Gives the file its rotated name and begins a new one. All lines must have been written out.
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

    fn is_due(&self, line: usize) -> bool {
        let Some(file) = &self.file else { return false };
        if file.device || (file.len == 0 && self.pages.is_empty()) {
            return false;
        }
        let end = file.len.saturating_add(self.pages.end_with(line) as u64);
        let too_large = self.options.max_bytes.is_some_and(|max| end > max);
        let too_old = self
            .options
            .max_age
            .is_some_and(|age| self.at.floor(age) > file.period);
        file.other_header || (line > 0 && too_large) || (line == 0 && too_old)
    }

    /// Rotates if that is due before a line of this length, or at a tick (length zero). What goes
    /// wrong is told at the next tick: no line is lost by it.
    fn rotate_if_due(&mut self, line: usize) {
        if self.trouble.is_some() || self.failing.is_some() || !self.is_due(line) {
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

    fn begin(&mut self) -> io::Result<()> {
        let place = self.file.as_mut().map_or(0, Open::place);
        self.pages.start_at(place);
        if place == 0
            && let Some(header) = &self.header
            && self.file.as_ref().is_none_or(|file| !file.device)
        {
            self.pages.push(header).map_err(|NoRoom| too_long())?;
        }
        Ok(())
    }
}

impl Lines for Rotating {
    fn may_pad(&mut self, may: bool) {
        self.pages.may_pad(may);
    }

    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.compare_header(Some(line), &self.path, &mut self.notes);
        }
        self.header = Some(line.to_vec());
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if line.len() > Pages::LONGEST || line.last() != Some(&b'\n') {
            return Err(too_long());
        }
        self.rotate_if_due(line.len());
        if self.pages.is_empty() {
            self.begin()?;
        }
        if self.pages.push(line).is_ok() {
            return Ok(());
        }
        if let Some((kind, text)) = &self.failing {
            return Err(io::Error::new(*kind, text.clone()));
        }
        self.write_out()?;
        self.begin()?;
        self.pages.push(line).map_err(|NoRoom| too_long())
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
        let header = self.header.as_deref().unwrap_or_default();
        let header = header.strip_suffix(b"\n").unwrap_or(header);
        let has_header = !header.is_empty() && self.pages.begins_with(header);
        self.pages.lines() - u64::from(has_header)
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
            // Two writers would tear each other's lines. Where locks are not known, as on some
            // network file systems, it goes without.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let text = "another process writes to it, or it was named twice";
                return Err(io::Error::new(ErrorKind::ResourceBusy, text));
            }
            if is_binary(&mut file)? {
                let text =
                    "it holds something else than records, a capture perhaps: it is left as it is";
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            len = whole_lines(&mut file, metadata.len())?;
            let bytes = metadata.len() - len;
            if bytes > 0 {
                file.set_len(len)?;
                notes.push(Note::Cut {
                    path: path.to_owned(),
                    bytes,
                });
            }
        }
        // The file's last change says of which time its lines are. One from the future, by a clock
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
            other_header: false,
        })
    }

    /// The place the next line is written to.
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

    /// Writes what is held, in whole lines. Where that fails, the file ends with the last line that
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
            let whole = pages.whole_lines(written);
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

    /// Cuts off what a failed write left of a line.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            if self.file.metadata()?.len() > self.len {
                self.file.set_len(self.len)?;
            }
            self.torn = false;
        }
        Ok(())
    }

    fn compare_header(&mut self, header: Option<&[u8]>, path: &Path, notes: &mut Vec<Note>) {
        let Some(header) = header else { return };
        if self.len == 0 || self.device {
            return;
        }
        let mut start = vec![0; header.len() + pages::PAGE];
        let read = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.read(&mut start));
        let found = start.get(..read.unwrap_or(0)).unwrap_or_default();
        let first = found
            .split(|&byte| byte == b'\n')
            .next()
            .unwrap_or_default();
        if first.trim_ascii_end() != header.trim_ascii_end() {
            self.other_header = true;
            notes.push(Note::OtherHeader {
                path: path.to_owned(),
            });
        }
    }
}

/// Whether a file begins as no text does: as a capture, or as something compressed. Zeros are what
/// a power loss may leave.
fn is_binary(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(4).read_to_end(&mut start)?;
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    // pcapng begins with line ends, which transfers as text damage.
    Ok(match start.as_slice() {
        b"\n\r\r\n" => true,
        [0, 0, 0, 0] | [0xef, 0xbb, 0xbf, _] => false,
        start => start.len() == 4 && !start.iter().all(is_text),
    })
}

/// Bytes up to and with the last line feed of a file of `len` bytes.
fn whole_lines(file: &mut File, len: u64) -> io::Result<u64> {
    let mut block = vec![0; 1 << 16];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = usize::try_from(end - start).unwrap_or(0);
        let Some(part) = block.get_mut(..part) else {
            break;
        };
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(place) = memchr::memrchr(b'\n', part) {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

fn too_long() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "a record is no line, or too long")
}

fn about(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {}: {error}", path.display()))
}
