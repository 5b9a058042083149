//! The bytes of a capture file: opened, decompressed, counted.
//!
//! Compression is told by the first bytes, never by the name, so that standard input works too.
//! Everything streams: the decompressors hold their own window (zstd and xz: at most 128 MiB, what
//! the `zstd` tool takes without being asked for more, and twice what `xz -9` asks for; the others
//! less than 32 MiB) and nothing else grows.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream as XzStream};

use crate::capture::error::Compression;
use crate::capture::lz4;
use crate::capture::raw::Raw;
use crate::capture::stop::Stop;
use crate::capture::stream::Stream;

/// What is read from the file at once for a decompressor.
const COMPRESSED_BUFFER: usize = 128 * 1024;

/// What is decompressed at once: a decompressor that meets corrupt data drops what it had made of
/// the good data before it in the same call. (Pieces of 16 KiB cost gzip a third of its speed.)
const PIECE_LEN: usize = 128 * 1024;

/// The most memory that xz may take.
const XZ_MEMORY: u64 = 128 << 20;

/// The decompressed bytes of a capture file.
pub(super) enum Input {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Raw>>>),
    Xz(Box<XzDecoder<BufReader<Raw>>>),
    Bzip2(Box<MultiBzDecoder<BufReader<Raw>>>),
    Lz4(Box<lz4::Decoder>),
}

impl Input {
    /// The bytes of `reader` as they are.
    pub(super) fn plain(reader: Box<dyn Read + Send>) -> io::Result<Self> {
        Raw::new(reader).map(Self::Plain)
    }

    /// Finds out how `reader` is compressed. `Err` also names the compression found.
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
    ) -> Result<Self, (Option<Compression>, io::Error)> {
        let raw = Raw::new(reader).map_err(|error| (None, error))?;
        let Some(compression) = compression(raw.start()) else {
            return Ok(Self::Plain(raw));
        };
        let bytes = BufReader::with_capacity(COMPRESSED_BUFFER, raw);
        let opened = match compression {
            Compression::Gzip => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(bytes)))),
            Compression::Zstd => zstd::stream::read::Decoder::with_buffer(bytes)
                .map(|decoder| Self::Zstd(Box::new(decoder))),
            Compression::Xz => XzStream::new_stream_decoder(XZ_MEMORY, CONCATENATED)
                .map(|stream| Self::Xz(Box::new(XzDecoder::new_stream(bytes, stream))))
                .map_err(io::Error::from),
            Compression::Bzip2 => Ok(Self::Bzip2(Box::new(MultiBzDecoder::new(bytes)))),
            Compression::Lz4 => Ok(Self::Lz4(Box::new(lz4::Decoder::new(bytes)))),
        };
        opened.map_err(|error| (Some(compression), error))
    }

    /// Fills `buffer`, unless the input ends or fails first: then fewer bytes are given, and the
    /// failure beside them. [`is_pause`] tells a stream that pauses from a failure.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> (usize, io::Result<()>) {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let piece_len = rest.len().min(PIECE_LEN);
            let piece = rest.split_at_mut(piece_len).0;
            let read = match self {
                Self::Plain(raw) => raw.read(rest),
                Self::Gzip(decoder) => decoder.read(piece),
                Self::Zstd(decoder) => decoder.read(piece),
                Self::Xz(decoder) => decoder.read(piece),
                Self::Bzip2(decoder) => decoder.read(piece),
                Self::Lz4(decoder) => decoder.read(piece),
            };
            match read {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (filled, Err(error)),
            }
        }
        (filled, Ok(()))
    }

    /// How the file is compressed.
    pub(super) const fn compression(&self) -> Option<Compression> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(_) => Some(Compression::Gzip),
            Self::Zstd(_) => Some(Compression::Zstd),
            Self::Xz(_) => Some(Compression::Xz),
            Self::Bzip2(_) => Some(Compression::Bzip2),
            Self::Lz4(_) => Some(Compression::Lz4),
        }
    }

    /// How many bytes of the file itself have been read.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Plain(raw) => raw.count,
            Self::Gzip(decoder) => decoder.get_ref().get_ref().count,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().count,
            Self::Xz(decoder) => decoder.get_ref().get_ref().count,
            Self::Bzip2(decoder) => decoder.get_ref().get_ref().count,
            Self::Lz4(decoder) => decoder.raw().map_or(0, |raw| raw.count),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("compression", &self.compression())
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}

/// A capture file that is open.
pub(super) struct Opened {
    pub(super) bytes: Box<dyn Read + Send>,
    /// Of a plain file.
    pub(super) size: Option<u64>,
    /// A pipe or the like: tells its pauses, and ends when it is asked to.
    pub(super) is_stream: bool,
}

/// Opens `path`, `-` for standard input.
pub(super) fn open(path: &Path, stop: &Stop) -> io::Result<Opened> {
    let file = if is_standard_input(path) {
        // Not through its buffer: what is in there cannot be waited for.
        File::from(io::stdin().as_fd().try_clone_to_owned()?)
    } else if fs::metadata(path)?.file_type().is_fifo() {
        // Whoever writes to it may not be there yet: that is not waited for here.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        options.open(path)?
    } else {
        File::open(path)?
    };
    let metadata = file.metadata()?;
    let is_stream = !metadata.is_file();
    Ok(Opened {
        // Standard input may begin anywhere in a file: its size says nothing.
        size: (!is_stream && !is_standard_input(path)).then_some(metadata.len()),
        is_stream,
        bytes: if is_stream {
            Box::new(Stream::new(file, stop.clone()))
        } else {
            Box::new(file)
        },
    })
}

/// Whether `path` stands for standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn compression(start: &[u8]) -> Option<Compression> {
    match start {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // RFC 8878 section 3.1.1.
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        // The .xz file format 1.2.1, section 2.1.1.1.
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some(Compression::Xz),
        // The block size, in 100 kB, follows the name.
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Compression::Bzip2),
        start if start.starts_with(&lz4::MAGIC) => Some(Compression::Lz4),
        _ => None,
    }
}
