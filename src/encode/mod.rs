//! How records are written: typed records to bytes, by the tables of their fields.
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

mod encoder;
mod line;

pub use encoder::{Encode, Encoder, Options, Setting};
pub use framing::Framing;

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
        scheme: "json",
        endings: &["jsonl", "ndjson", "json"],
        ports: &[],
        settings: &[],
        // RFC 8259, section 2.
        framing: Framing::Lines { may_pad: true },
        about: "lines of JSON, an object a record",
        make: |_, _| Box::new(json::Json),
    },
    Encoder {
        name: "CSV",
        scheme: "csv",
        endings: &["csv"],
        ports: &[],
        settings: &[],
        // RFC 4180, section 2: spaces are part of a field.
        framing: Framing::Lines { may_pad: false },
        about: "lines of CSV with a line of column names in front",
        make: |records, _| Box::new(csv::Csv::new(records)),
    },
    Encoder {
        name: "IPFIX",
        scheme: "ipfix",
        // RFC 5655, section 7.1.
        endings: &["ipfix"],
        // RFC 7011, section 12.
        ports: &[("udp", 4739), ("tcp", 4739), ("tls", 4740)],
        settings: &[ipfix::DOMAIN],
        framing: Framing::Messages,
        about: "messages of IPFIX (RFC 7011), templates in front",
        make: |records, options| Box::new(ipfix::Ipfix::new(records, options)),
    },
    Encoder {
        name: "syslog",
        scheme: "syslog",
        endings: &[],
        // RFC 5426, section 3.3, and RFC 5425, section 4.1; over TCP there is none (RFC 6587, section 1).
        ports: &[("udp", 514), ("tls", 6514)],
        settings: &[syslog::FACILITY],
        framing: Framing::Counted,
        about: "syslog messages (RFC 5424) that hold the object of JSON",
        make: |records, options| Box::new(syslog::Syslog::new(records, options)),
    },
    #[cfg(feature = "parquet")]
    Encoder {
        name: "Parquet",
        scheme: "parquet",
        endings: &["parquet"],
        ports: &[],
        settings: &[],
        framing: Framing::Whole,
        about: "files of Parquet, compressed by zstd; [see below](#files-of-parquet)",
        make: |records, _| Box::new(parquet::Parquet::new(records)),
    },
];
