//! The bytes of a capture file: opened, decompressed, counted.
//!
//! Compression is told by the first bytes, never by the name, so that standard input works too.
//! Everything streams: the decompressors hold their own window (zstd: at most 128 MiB, what the
//! `zstd` tool takes without being asked for more) and nothing else grows.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::capture::error::Compression;
use crate::capture::stop::Stop;
use crate::capture::stream::Stream;

/// What is read from the file at once for a decompressor.
const COMPRESSED_BUFFER: usize = 128 * 1024;

/// What is decompressed at once: a decompressor that meets corrupt data drops what it had made of
/// the good data before it in the same call. (Pieces of 16 KiB cost gzip a third of its speed.)
const PIECE_LEN: usize = 128 * 1024;

/// Enough to tell gzip and zstd from everything else.
const MAGIC_LEN: usize = 4;

/// The decompressed bytes of a capture file.
pub(super) enum Input {
    Plain(Raw),
    Gzip(Box<MultiGzDecoder<BufReader<Raw>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Raw>>>),
}

impl Input {
    /// Finds out how `reader` is compressed. `Err` also names the compression found.
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
    ) -> Result<Self, (Option<Compression>, io::Error)> {
        let raw = Raw::new(reader).map_err(|error| (None, error))?;
        match compression(raw.start()) {
            None => Ok(Self::Plain(raw)),
            Some(Compression::Gzip) => {
                let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, raw);
                Ok(Self::Gzip(Box::new(MultiGzDecoder::new(buffered))))
            }
            Some(Compression::Zstd) => {
                let buffered = BufReader::with_capacity(COMPRESSED_BUFFER, raw);
                let decoder = zstd::stream::read::Decoder::with_buffer(buffered)
                    .map_err(|error| (Some(Compression::Zstd), error))?;
                Ok(Self::Zstd(Box::new(decoder)))
            }
        }
    }

    /// Fills `buffer`, unless the input ends or fails first: then fewer bytes are given, and the
    /// failure beside them. [`is_pause`] tells a stream that pauses from a failure.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> (usize, io::Result<()>) {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let piece_len = rest.len().min(PIECE_LEN);
            let read = match self {
                Self::Plain(raw) => raw.read(rest),
                Self::Gzip(decoder) => decoder.read(rest.split_at_mut(piece_len).0),
                Self::Zstd(decoder) => decoder.read(rest.split_at_mut(piece_len).0),
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
        }
    }

    /// How many bytes of the file itself have been read.
    pub(super) fn position(&self) -> u64 {
        match self {
            Self::Plain(raw) => raw.count,
            Self::Gzip(decoder) => decoder.get_ref().get_ref().count,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().count,
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

/// The file as it lies on disk or comes through a pipe; its first bytes have been looked at.
pub(super) struct Raw {
    inner: Box<dyn Read + Send>,
    start: [u8; MAGIC_LEN],
    start_len: usize,
    given: usize,
    count: u64,
}

impl Raw {
    fn new(mut inner: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut start = [0; MAGIC_LEN];
        let mut start_len = 0;
        while let Some(rest) = start.get_mut(start_len..).filter(|rest| !rest.is_empty()) {
            match inner.read(rest) {
                Ok(0) => break,
                Ok(count) => start_len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            inner,
            start,
            start_len,
            given: 0,
            count: 0,
        })
    }

    fn start(&self) -> &[u8] {
        self.start.get(..self.start_len).unwrap_or_default()
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let looked_at = self.start().get(self.given..).unwrap_or_default();
        let count = if looked_at.is_empty() {
            self.inner.read(buffer)?
        } else {
            let mut looked_at = looked_at;
            let count = looked_at.read(buffer)?;
            self.given += count;
            count
        };
        self.count += count as u64;
        Ok(count)
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

/// Whether `error` says only that nothing has come for a moment: what was read before may be handed
/// on, and reading again waits for more.
pub(super) fn is_pause(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Whether `path` stands for standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn compression(start: &[u8]) -> Option<Compression> {
    match start {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        // RFC 8878 section 3.1.1 and 3.1.2: a frame, or a skippable frame, as parallel
        // compressors put at the start.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Compression::Zstd),
        _ => None,
    }
}
