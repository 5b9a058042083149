//! Records into a file that is rotated.
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

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::archive::Archive;
use super::names::Names;
use super::open_file::{OpenFile, about};
use super::options::{Note, Options};
use super::pages::Pages;
use crate::encode::Framing;
use crate::sink::way::Sink;
use crate::time::Timestamp;

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
    pub(super) pages: Pages,
    /// `None` when the last one was rotated and no new one could be opened.
    file: Option<OpenFile>,
    /// Why nothing can be written since the last tick.
    failing: Option<(ErrorKind, String)>,
    /// What went wrong on the side since the last tick; rotation is not tried again before it.
    trouble: Option<io::Error>,
    pub(super) archive: Option<Archive>,
    notes: Vec<Note>,
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
            let file = OpenFile::at_path(&path, framing, &options, at, &mut notes)?;
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
        let mut file = OpenFile::at_path(
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
        let place = self.file.as_mut().map_or(0, OpenFile::place);
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

fn no_record() -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        "a record is not whole, or too long",
    )
}
