//! Stage 10, how records are written: typed records to bytes, by the tables of their fields.
//!
//! An encoder knows neither files nor sockets. A new one is a file here and a row in [`ENCODERS`].

pub mod csv;
pub mod ipfix;
pub mod json;

use std::fmt;
use std::io;
use std::path::Path;

use crate::record::{FlowView, RunRecord, UsageRecord};

/// Turns records of one kind into bytes, appended to `out`.
///
/// What one call appends is whole: a line, a message. The errors are those of encodings that
/// have limits of their own; nothing was appended then.
pub trait Encode: Send + fmt::Debug {
    /// What stands at the head of each file of flow records; nothing if the encoding has no such.
    fn flow_header(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// What stands at the head of each file of usage records.
    fn usage_header(&self, out: &mut Vec<u8>) {
        let _ = out;
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
}

/// A row of [`ENCODERS`].
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// What it is called.
    pub name: &'static str,
    /// The endings of names of files that are written in it.
    pub endings: &'static [&'static str],
    /// A record is a line of text: what files that are rotated and mended by lines hold.
    pub is_text: bool,
    /// Blanks between the end of a record and the line feed are no part of it, so that a sink may
    /// lay out lines with them.
    pub blanks_mean_nothing: bool,
    /// Makes one.
    pub make: fn() -> Box<dyn Encode>,
}

/// The encodings. The first is that of a stream without a name.
pub static ENCODERS: &[Encoder] = &[
    Encoder {
        name: "JSON Lines",
        endings: &["jsonl", "ndjson", "json"],
        is_text: true,
        // RFC 8259, section 2.
        blanks_mean_nothing: true,
        make: || Box::new(json::Json),
    },
    Encoder {
        name: "CSV",
        endings: &["csv"],
        is_text: true,
        // RFC 4180, section 2: spaces are part of a field.
        blanks_mean_nothing: false,
        make: || Box::new(csv::Csv),
    },
    Encoder {
        name: "IPFIX",
        // RFC 5655, section 7.1.
        endings: &["ipfix"],
        is_text: false,
        blanks_mean_nothing: false,
        make: || Box::new(ipfix::Ipfix::default()),
    },
];

impl Encoder {
    /// The encoding that the ending of `path` asks for; where it asks for none, the first.
    pub fn of(path: &Path) -> &'static Self {
        let ending = path.extension().unwrap_or_default();
        let mut rows = ENCODERS.iter();
        let asked = rows.find(|row| {
            row.endings
                .iter()
                .any(|one| ending.eq_ignore_ascii_case(one))
        });
        asked.unwrap_or(&ENCODERS[0])
    }
}
