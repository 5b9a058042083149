//! What can be wrong with a capture file: an [`Error`] when nothing can be read (any more), a
//! [`Damage`] when it was read as far as it goes.
//!
//! Both carry facts: the path, the place, what was found. Frames are never an error here; what
//! lies inside them is the business of the stages behind `capture`.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::capture::LinkType;

/// How a capture file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
    /// The .xz file format, one or more streams.
    Xz,
    /// One or more streams.
    Bzip2,
    /// The LZ4 frame format, one or more frames.
    Lz4,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Lz4 => "lz4",
        })
    }
}

/// Why a capture file cannot be read.
#[derive(Debug)]
pub enum Error {
    /// The file cannot be opened.
    Open {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Not even the file header can be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// How it is compressed.
        compression: Option<Compression>,
        /// What the system or the decompressor says.
        source: io::Error,
    },
    /// There is not one byte in it.
    Empty {
        /// Which file.
        path: PathBuf,
        /// How it is compressed.
        compression: Option<Compression>,
    },
    /// There is no capture in a folder that is to be read.
    NoCapture {
        /// Which folder.
        folder: PathBuf,
    },
    /// It starts like no capture format we read.
    NotACapture {
        /// Which file.
        path: PathBuf,
        /// How it is compressed.
        compression: Option<Compression>,
        /// Its first bytes, after decompression.
        start: Vec<u8>,
    },
    /// It starts like a capture and ends inside the file header.
    HeaderCut {
        /// Which file.
        path: PathBuf,
        /// How it is compressed.
        compression: Option<Compression>,
        /// How many bytes there are.
        present: usize,
        /// How many the header takes.
        needed: usize,
    },
    /// The file header contradicts itself or names a version of the format nobody has defined.
    BadHeader {
        /// Which file.
        path: PathBuf,
        /// How it is compressed.
        compression: Option<Compression>,
        /// What was found.
        fault: Fault,
    },
    /// libpcap does not take the filter.
    Filter {
        /// The file whose frames it was compiled for.
        path: PathBuf,
        /// The filter as given.
        filter: String,
        /// The link type it was compiled for.
        link: LinkType,
        /// What libpcap says.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Read {
                path,
                compression,
                source,
            } => {
                write!(f, "{}: ", path.display())?;
                if let Some(compression) = compression {
                    write!(f, "{compression}: ")?;
                }
                source.fmt(f)
            }
            Self::Empty { path, compression } => {
                write!(f, "{}: not a capture file: it is empty", path.display())?;
                after_decompression(f, *compression)
            }
            Self::NoCapture { folder } => write!(f, "{}: no capture in it", folder.display()),
            Self::NotACapture {
                path,
                compression,
                start,
            } => {
                write!(f, "{}: not a capture file: it starts with ", path.display())?;
                for (place, byte) in start.iter().enumerate() {
                    let space = if place == 0 { "" } else { " " };
                    write!(f, "{space}{byte:02x}")?;
                }
                write!(f, " (\"{}\"", start.escape_ascii())?;
                if let Some(name) = known_start(start) {
                    write!(f, ", {name}")?;
                }
                f.write_str(")")?;
                after_decompression(f, *compression)?;
                f.write_str("; expected pcap or pcapng, plain or compressed by gzip, zstd, xz, bzip2 or lz4")
            }
            Self::HeaderCut {
                path,
                compression,
                present,
                needed,
            } => {
                write!(
                    f,
                    "{}: the capture ends inside its file header: {present} of {needed} bytes",
                    path.display()
                )?;
                after_decompression(f, *compression)
            }
            Self::BadHeader {
                path,
                compression,
                fault,
            } => {
                write!(f, "{}: bad file header: {fault}", path.display())?;
                after_decompression(f, *compression)
            }
            Self::Filter {
                path,
                filter,
                link,
                message,
            } => write!(
                f,
                "{}: filter '{filter}' does not compile for link type {}: {message}",
                path.display(),
                link.0
            ),
        }
    }
}

// What the system says is in the text already: as a source it would be printed twice.
impl std::error::Error for Error {}

/// Where a capture file stops making sense; everything before that place was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which file.
    pub path: PathBuf,
    /// The first byte that could not be used: of the file, or of what it decompresses to.
    pub offset: u64,
    /// How the file is compressed.
    pub compression: Option<Compression>,
    /// What was found there.
    pub fault: Fault,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: damaged at byte {}",
            self.path.display(),
            self.offset
        )?;
        if let Some(compression) = self.compression {
            write!(f, " of the data inside the {compression} file")?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// What is wrong at one place of a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file ends inside a record.
    CutShort {
        /// How many bytes of the record there are.
        present: u64,
        /// How many it takes, as far as its header is there to say so.
        needed: u64,
    },
    /// A record says it holds more bytes than a record of this file can.
    CapturedLength {
        /// What it says.
        captured: u32,
        /// The most there can be.
        limit: u32,
    },
    /// A record is longer than those that are taken.
    RecordLength {
        /// How long it says it is.
        needed: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// A pcapng block says it is longer or shorter than its kind can be.
    BlockLength {
        /// The block type.
        block: u32,
        /// What it says.
        length: u32,
    },
    /// A pcapng block does not end with the length it starts with.
    BlockEnd {
        /// The length at its start.
        length: u32,
        /// The length at its end.
        trailing: u32,
    },
    /// The captured bytes do not fit in their pcapng block.
    DataLength {
        /// How many bytes it says were captured.
        captured: u32,
        /// The length of the block.
        length: u32,
    },
    /// A pcapng packet of an interface that has not been described.
    UnknownInterface {
        /// The interface it names.
        interface: u32,
        /// How many have been described.
        described: usize,
    },
    /// More interfaces in one pcapng section than are taken.
    TooManyInterfaces {
        /// The most that are taken.
        limit: usize,
    },
    /// A pcapng section in no byte order.
    ByteOrder {
        /// What stands where the byte-order magic should.
        magic: [u8; 4],
    },
    /// A version of the format nobody has defined.
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// The system or the decompressor cannot read on.
    Unreadable {
        /// What it says.
        message: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort { present, needed } => write!(
                f,
                "the file ends inside a record: {present} of {needed} bytes"
            ),
            Self::CapturedLength { captured, limit } => write!(
                f,
                "a record of {captured} captured bytes, where {limit} is the most"
            ),
            Self::RecordLength { needed, limit } => {
                write!(f, "a record of {needed} bytes, where {limit} are the most")
            }
            Self::BlockLength { block, length } => {
                write!(f, "a block of type {block:#x} with a length of {length}")
            }
            Self::BlockEnd { length, trailing } => write!(
                f,
                "a block that starts with a length of {length} and ends with {trailing}"
            ),
            Self::DataLength { captured, length } => write!(
                f,
                "{captured} captured bytes in a block with a length of {length}"
            ),
            Self::UnknownInterface {
                interface,
                described,
            } => write!(
                f,
                "a packet of interface {interface}, where {described} have been described"
            ),
            Self::TooManyInterfaces { limit } => {
                write!(f, "more than {limit} interfaces in one section")
            }
            Self::ByteOrder {
                magic: [a, b, c, d],
            } => write!(
                f,
                "{a:02x} {b:02x} {c:02x} {d:02x} where a section states its byte order"
            ),
            Self::Version { major, minor } => write!(f, "version {major}.{minor} of the format"),
            Self::Unreadable { message } => f.write_str(message),
        }
    }
}

fn after_decompression(
    f: &mut fmt::Formatter<'_>,
    compression: Option<Compression>,
) -> fmt::Result {
    match compression {
        Some(compression) => write!(f, " after {compression} decompression"),
        None => Ok(()),
    }
}

/// What files that are not captures most often are, when somebody takes them for one.
const KNOWN_STARTS: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (
        b"\x02\x21\x4c\x18",
        "lz4 in the old format, which `lz4 -d` reads",
    ),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"snoop\0\0\0", "snoop"),
    (b"\x7fELF", "a program"),
];

fn known_start(start: &[u8]) -> Option<&'static str> {
    KNOWN_STARTS
        .iter()
        .find(|(magic, _)| start.starts_with(magic))
        .map(|&(_, name)| name)
}
