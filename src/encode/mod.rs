//! Stage 10, how records are written: typed records to bytes, by the tables of their fields.
//!
//! An encoder knows neither files nor sockets. A new one is a file here and a row in [`ENCODERS`].

pub mod csv;
pub mod framing;
pub mod ipfix;
pub mod json;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod prometheus;
pub mod syslog;

pub use framing::Framing;

use std::fmt;
use std::io;

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

/// A row of [`ENCODERS`].
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// What it is called.
    pub name: &'static str,
    /// The endings of names of files that are written in it.
    pub endings: &'static [&'static str],
    /// What stands before the `+` of a scheme; none where it goes into files only.
    pub scheme: Option<&'static str>,
    /// The ports it has over these transports.
    pub ports: &'static [(&'static str, u16)],
    /// What a URL may say about it.
    pub settings: &'static [Setting<Options>],
    /// How its records stand one behind the other.
    pub framing: Framing,
    /// Makes one for records of this kind.
    pub make: fn(Records, &Options) -> Box<dyn Encode>,
}

/// What a user may say about an encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The Observation Domain ID of IPFIX; without, each kind of records has its own.
    pub domain: Option<u32>,
    /// The facility of syslog, below 24.
    pub facility: u8,
    /// This host, as syslog calls it.
    pub host: Box<str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            domain: None,
            facility: syslog::DEFAULT_FACILITY,
            host: "".into(),
        }
    }
}

/// A name that a URL may give a value to, behind its `?`.
#[derive(Clone, Copy, Debug)]
pub struct Setting<T> {
    /// The name.
    pub name: &'static str,
    /// Takes the value, or says what was expected.
    pub set: fn(&mut T, &str) -> Result<(), String>,
}

/// Endings of files that this build does not write, each with the feature of the same name that a
/// build needs to do so.
pub const LEFT_OUT: &[&str] = if cfg!(feature = "parquet") {
    &[]
} else {
    &["parquet"]
};

/// The encodings. The first is that of a file or stream whose name has no ending.
pub static ENCODERS: &[Encoder] = &[
    Encoder {
        name: "JSON Lines",
        endings: &["jsonl", "ndjson", "json"],
        scheme: Some("json"),
        ports: &[],
        settings: &[],
        // RFC 8259, section 2.
        framing: Framing::Lines { may_pad: true },
        make: |_, _| Box::new(json::Json),
    },
    Encoder {
        name: "CSV",
        endings: &["csv"],
        scheme: Some("csv"),
        ports: &[],
        settings: &[],
        // RFC 4180, section 2: spaces are part of a field.
        framing: Framing::Lines { may_pad: false },
        make: |records, _| Box::new(csv::Csv::new(records)),
    },
    Encoder {
        name: "IPFIX",
        // RFC 5655, section 7.1.
        endings: &["ipfix"],
        scheme: Some("ipfix"),
        // RFC 7011, section 12.
        ports: &[("udp", 4739), ("tcp", 4739), ("tls", 4740)],
        settings: &[ipfix::DOMAIN],
        framing: Framing::Messages,
        make: |records, options| Box::new(ipfix::Ipfix::new(records, options)),
    },
    Encoder {
        name: "syslog",
        endings: &[],
        scheme: Some("syslog"),
        // RFC 5426, section 3.3, and RFC 5425, section 4.1; over TCP there is none (RFC 6587, section 1).
        ports: &[("udp", 514), ("tls", 6514)],
        settings: &[syslog::FACILITY],
        framing: Framing::Counted,
        make: |records, options| Box::new(syslog::Syslog::new(records, options)),
    },
    #[cfg(feature = "parquet")]
    Encoder {
        name: "Parquet",
        endings: &["parquet"],
        scheme: None,
        ports: &[],
        settings: &[],
        framing: Framing::Whole,
        make: |records, _| Box::new(parquet::Parquet::new(records)),
    },
];
