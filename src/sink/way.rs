//! What a sink is: the trait it implements, how it is opened, and its row in the table of the folder.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::file::options::{Note, Options as Rotation};
use crate::encode::Framing;
use crate::time::Timestamp;

/// A way for records to go: a row of [`SINKS`](super::SINKS).
#[derive(Debug)]
pub struct Way {
    /// What leads to it.
    pub named: Named,
    /// What may be said about it, behind the `?` of a URL.
    pub settings: &'static [&'static str],
    /// Reads what was said of the place; where it cannot be one, says why.
    pub place: fn(&Said<'_>) -> Result<Arc<dyn Place>, String>,
}

/// What a user says that leads to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// `-`, in the first encoding, or `ENCODING:-`.
    Dash,
    /// The name of a file, whose ending says the encoding.
    File,
    /// `ENCODING+SCHEME://...`.
    Url {
        /// What stands behind the `+`.
        scheme: &'static str,
        /// What stands behind the `://`: `HOST:PORT`.
        form: &'static str,
    },
}

/// What a user said of a place.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    /// The name of the file; of a URL what stands between `://` and `?`, which is UTF-8.
    pub name: &'a Path,
    /// The port that the encoding has over this transport.
    pub port: Option<u16>,
    /// Values of settings that the row has, in the order they were given in.
    pub settings: Vec<(&'a str, &'a str)>,
}

/// Where records go, as a row has read it.
pub trait Place: fmt::Debug + Send + Sync {
    /// Finds all that has to be found before rights are given up: addresses, certificates.
    ///
    /// # Errors
    ///
    /// When there is no such host or file.
    fn prepare(&self) -> io::Result<Open>;

    /// The file, if it is one; `-` is standard output.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Whether it calls out (connect(2)), which a live run is not allowed without.
    fn connects(&self) -> bool {
        false
    }

    /// The files it is authenticated by: certificates that are trusted, its own, and the key.
    fn credentials(&self) -> Vec<&Path> {
        Vec::new()
    }
}

/// Opens a place that is prepared, for records of a framing. Of a connection of a live run that need
/// not be there yet.
///
/// Errors are those that mean that nothing can be written there.
pub type Open = Box<dyn FnOnce(Framing, &Opening) -> io::Result<Opened> + Send>;

/// What a sink is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// How files are rotated; without, a file is written over, and what is sent waits for who takes it.
    pub rotation: Option<Rotation>,
    /// The time now.
    pub at: Timestamp,
}

/// A sink, and what an operator should know of it.
pub struct Opened {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// What was found.
    pub notes: Vec<Note>,
}

impl Opened {
    /// A sink of which there is nothing to say.
    pub fn quietly(sink: impl Sink + 'static) -> Self {
        Self {
            sink: Box::new(sink),
            notes: Vec::new(),
        }
    }
}

/// Takes whole records, encoded, in order.
pub trait Sink: Send {
    /// What a reader has to see first: the head of each file and of each session. Said before the
    /// first record, and again whenever it has grown: then readers that have begun see what is new.
    fn head(&mut self, head: &[u8]);

    /// Takes one record.
    ///
    /// # Errors
    ///
    /// When this record was not taken. What was taken before is not concerned.
    fn put(&mut self, record: &[u8]) -> io::Result<()>;

    /// Writes out what has been taken; `at` is the time now.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        let _ = at;
        self.flush()
    }

    /// Writes out what has been taken.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Writes out what has been taken; nothing more will come.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// Whether the file is to end, with what the encoder ends it with.
    fn is_due(&self) -> bool {
        false
    }

    /// The file has its end: it is complete, and what comes next is another.
    ///
    /// # Errors
    ///
    /// When that could not be done. It may be tried again.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Records that were taken, were not held any more, and are known to be lost.
    fn dropped(&self) -> u64 {
        0
    }

    /// Records that were taken and are not written out; a head is none.
    fn held(&self) -> u64 {
        0
    }
}

impl Sink for Box<dyn Sink> {
    fn head(&mut self, head: &[u8]) {
        (**self).head(head);
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        (**self).put(record)
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        (**self).tick(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn is_due(&self) -> bool {
        (**self).is_due()
    }

    fn end(&mut self) -> io::Result<()> {
        (**self).end()
    }

    fn dropped(&self) -> u64 {
        (**self).dropped()
    }

    fn held(&self) -> u64 {
        (**self).held()
    }
}
