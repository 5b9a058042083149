//! Files that are readable only as a whole, such as Parquet: made under a name that ends with `.part`,
//! and given their own when they are complete and on disk.
//!
//! A kill leaves the part behind: it cannot be read, and the next run begins it anew.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::archive::Archive;
use super::names::Names;
use super::open_file::{MODE, about};
use super::options::{Compression, Note, Options};
use crate::encode::Framing;
use crate::sink::way::Sink;
use crate::time::Timestamp;

/// Parts of files into a file that becomes readable when it is ended.
#[derive(Debug)]
pub(super) struct Whole {
    part: PathBuf,
    names: Names,
    options: Options,
    at: Timestamp,
    /// Start of the stretch of time that the file is of.
    period: Timestamp,
    file: File,
    /// Bytes of it that were taken.
    len: u64,
    archive: Option<Archive>,
}

impl Whole {
    /// Begins the first file beside `path`, at the time `at`.
    pub(super) fn open(
        path: PathBuf,
        options: Options,
        at: Timestamp,
    ) -> io::Result<(Self, Vec<Note>)> {
        let mut name: OsString = path.clone().into();
        name.push(".part");
        let part = PathBuf::from(name);
        let opened = || {
            if fs::exists(&path)? {
                let text = "there is a file of this name, and rotated ones are named by their time";
                return Err(io::Error::new(ErrorKind::AlreadyExists, text));
            }
            let names = Names::of(&path)?;
            let (file, left) = begin(&part)?;
            // They are compressed as they are.
            let archive = options
                .keep
                .map(|keep| Archive::start(names.clone(), Some(keep), Compression::None));
            Ok((names, file, left, archive.transpose()?))
        };
        let (names, file, left, archive) =
            opened().map_err(|error| about("cannot write records to", &path, &error))?;
        let note = (left > 0).then(|| Note::Cut {
            path: part.clone(),
            bytes: left,
        });
        let period = options.max_age.map_or(at, |age| at.floor(age));
        let whole = Self {
            part,
            names,
            options,
            at,
            period,
            file,
            len: 0,
            archive,
        };
        Ok((whole, note.into_iter().collect()))
    }
}

impl Sink for Whole {
    fn head(&mut self, _: &[u8]) {}

    fn put(&mut self, part: &[u8]) -> io::Result<()> {
        let written = self
            .file
            .seek(SeekFrom::Start(self.len))
            .and_then(|_| self.file.write_all(part));
        if let Err(error) = written {
            // Room for what others have to write; what was taken before stays.
            let _ = self.file.set_len(self.len);
            return Err(about("cannot write", &self.part, &error));
        }
        self.len += part.len() as u64;
        Ok(())
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        self.at = at;
        if let Some(age) = self.options.max_age {
            // The clock may have been set back.
            self.period = self.period.min(at.floor(age));
        }
        let failed = self.archive.as_ref().and_then(Archive::error);
        failed.map_or(Ok(()), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_due(&self) -> bool {
        let too_large = self.options.max_bytes.is_some_and(|most| self.len >= most);
        let age = self.options.max_age;
        too_large || age.is_some_and(|age| self.at.floor(age) > self.period)
    }

    fn end(&mut self) -> io::Result<()> {
        if self.len > 0 {
            let to = self.names.free(self.at)?;
            self.file
                .sync_all()
                .and_then(|()| fs::rename(&self.part, &to))
                .map_err(|error| about("cannot complete", &to, &error))?;
            if let Some(archive) = &self.archive {
                archive.look();
            }
            (self.file, _) = begin(&self.part)?;
            self.len = 0;
        }
        self.period = self
            .options
            .max_age
            .map_or(self.at, |age| self.at.floor(age));
        Ok(())
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if self.len == 0 {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Opens the part that is to be written, empty, and says how much of another run's was in it.
fn begin(part: &PathBuf) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(part)?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        let text = "another process writes to it, or it was named twice";
        return Err(io::Error::new(ErrorKind::ResourceBusy, text));
    }
    let mut start = Vec::new();
    (&file).take(4).read_to_end(&mut start)?;
    if !Framing::Whole.may_begin(&start) {
        let text = format!(
            "{} holds something else: it is left as it is",
            part.display()
        );
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let left = file.metadata()?.len();
    file.set_len(0)?;
    Ok((file, left))
}
