//! What an encoding is: the trait it implements, and its row in the table of the folder.

use std::fmt;
use std::io;

use super::Framing;
use crate::record::{FlowView, Records, RunRecord, UsageRecord};

/// Turns records of one kind into bytes, appended to `out`.
///
/// What one call appends is whole: a line, a message; or nothing, where records are held until many
/// can be written together. The errors are those of encodings that have limits of their own; nothing was
/// appended then.
pub trait Encode: Send + fmt::Debug {
    /// What a reader has to see before the records that were encoded so far: the line of column
    /// names, templates. It stands at the head of each file and of each session. Whole records of the
    /// encoding's framing; it may grow with each record, and never changes otherwise.
    fn head(&self) -> &[u8] {
        &[]
    }

    /// One flow.
    ///
    /// # Errors
    ///
    /// When the encoding cannot hold this record.
    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()>;

    /// One usage record.
    ///
    /// # Errors
    ///
    /// When the encoding cannot hold this record.
    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()>;

    /// What a run says of itself, among its usage records; nothing where records of another shape
    /// have no place.
    ///
    /// # Errors
    ///
    /// When the encoding cannot hold this record.
    fn run(&mut self, record: &RunRecord, out: &mut Vec<u8>) -> io::Result<()> {
        let _ = (record, out);
        Ok(())
    }

    /// The file ends here: what is held, and what has to stand at a file's end. The next record
    /// begins another.
    ///
    /// # Errors
    ///
    /// When the encoding cannot hold what it was given.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let _ = out;
        Ok(())
    }

    /// Records that it holds.
    fn held(&self) -> u64 {
        0
    }
}

/// An encoding: a row of [`ENCODERS`](super::ENCODERS).
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// What people call it.
    pub name: &'static str,
    /// What stands for it in front of `+TRANSPORT://`, and of `:-` for standard output.
    pub scheme: &'static str,
    /// The endings of names of files that are written in it.
    pub endings: &'static [&'static str],
    /// The ports it has over these transports.
    pub ports: &'static [(&'static str, u16)],
    /// What may be said about it, behind the `?` of a URL.
    pub settings: &'static [Setting],
    /// How its records stand one behind the other.
    pub framing: Framing,
    /// What is written, for the manual, in Markdown.
    pub about: &'static str,
    /// Makes one for records of this kind.
    pub make: fn(Records, &Options) -> Box<dyn Encode>,
}

/// What an encoder is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// This host, as it calls itself.
    pub host: Box<str>,
    settings: Vec<(&'static str, Box<str>)>,
}

impl Options {
    /// The same for a host that calls itself so.
    #[must_use]
    pub fn of_host(self, host: &str) -> Self {
        let host = host.into();
        Self { host, ..self }
    }

    /// Gives a value to a setting, which has looked at it.
    pub fn set(&mut self, setting: &Setting, value: &str) {
        self.settings.push((setting.name, value.into()));
    }

    /// What was said of this setting, the last time; `None` if nothing was.
    pub fn said(&self, name: &str) -> Option<&str> {
        let mut said = self.settings.iter().rev();
        said.find_map(|(one, value)| (*one == name).then_some(&**value))
    }
}

/// A name that a URL may give a value to.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// Whether a value can be taken; if not, what was expected.
    pub check: fn(&str) -> Result<(), String>,
}
