//! One capture file as a source of frames: pcap or pcapng, plain or compressed.
//!
//! [`Reader`] reads into the buffer of a recycled [`Block`] and lists the records that are whole;
//! the head of the one that is not is carried over to the next block, and no other byte is copied.
//! How a file is cut into blocks depends on its bytes and the block size alone; a pipe that pauses
//! ends a block early, so that what has come is seen. A damaged file is read as far as it goes. The
//! neighbours are `input` below, and `inputs` above, which makes one stream of several files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::error::{Compression, Damage, Error, Fault};
use crate::capture::filter::Filter;
use crate::capture::input::{self, Input};
use crate::capture::listing::Listing;
use crate::capture::raw;
use crate::capture::stop::Stop;
use crate::capture::stream::Stream;
use crate::capture::{Block, Interfaces};
use crate::capture::{pcap, pcapng};
use crate::time::Timestamp;

pub use crate::capture::listing::{Counts, MAX_RECORD};

/// How to read capture files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Frames to keep, in libpcap's filter language; all when `None`.
    pub filter: Option<String>,
    /// How many bytes to read at once. A longer record makes its block as long as itself.
    pub block_size: usize,
    /// When to take the input for ended.
    pub stop: Stop,
    /// Of several files, pass by those that cannot be read at all.
    pub pass_by: bool,
    /// The longest record that is taken; at most [`MAX_RECORD`].
    pub largest: usize,
    /// Take the bytes as they are: what is compressed is no capture.
    pub plain: bool,
    /// Where the interfaces of frames have their names.
    pub interfaces: Arc<Interfaces>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: None,
            // Half of what a core has for itself; measured: 32 ns a frame, 256 KiB 34, 1 MiB 31.
            block_size: 256 * 1024,
            stop: Stop::default(),
            pass_by: false,
            largest: MAX_RECORD,
            plain: false,
            interfaces: Arc::default(),
        }
    }
}

/// A capture file being read.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    input: Input,
    size: Option<u64>,
    is_stream: bool,
    format: Format,
    filter: Option<Filter>,
    block_size: usize,
    largest: usize,
    stop: Stop,
    /// The record that did not fit in the last block, as far as it was read.
    carry: Vec<u8>,
    /// How long that record is, as far as it shows.
    needed: usize,
    /// Where the carried record starts in the (decompressed) file.
    offset: u64,
    counts: Counts,
    first_at: Option<Timestamp>,
    watermark: Timestamp,
    ended: bool,
    damage: Option<Damage>,
}

#[derive(Debug)]
enum Format {
    Pcap(pcap::Walker),
    Pcapng(pcapng::Walker),
}

impl Reader {
    /// Opens `path`, `-` for standard input, and reads the file header.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is no capture, or libpcap does not take the filter. (For pcapng,
    /// link types show only later: there it is [`Reader::next_block`] that refuses the filter.)
    pub fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        let opened = input::open(path, &options.stop).map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        let mut reader = Self::from_read(path, opened.bytes, options)?;
        reader.size = opened.size;
        reader.is_stream = opened.is_stream;
        Ok(reader)
    }

    /// Reads a capture that comes through a pipe or socket, which messages call `path`. Waits until the
    /// file header is there, or the end is asked for.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`].
    pub(super) fn from_stream(path: &Path, file: File, options: &Options) -> Result<Self, Error> {
        let bytes = Stream::new(file, options.stop.clone());
        let mut reader = Self::from_read(path, Box::new(bytes), options)?;
        reader.is_stream = true;
        Ok(reader)
    }

    /// Reads a capture from `bytes`, which messages call `path`.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`].
    pub fn from_read(
        path: &Path,
        bytes: Box<dyn Read + Send>,
        options: &Options,
    ) -> Result<Self, Error> {
        let path = path.to_owned();
        let input = match options.plain {
            true => Input::plain(bytes).map_err(|error| (None, error)),
            false => Input::new(bytes),
        };
        let mut input = match input {
            Ok(input) => input,
            Err((compression, source)) => {
                return Err(Error::Read {
                    path,
                    compression,
                    source,
                });
            }
        };
        let mut filter = options
            .filter
            .as_deref()
            .map(|text| Filter::new(&path, text));
        let (format, carry, offset) =
            open_format(&path, &mut input, filter.as_mut(), &options.interfaces)?;
        Ok(Self {
            path,
            input,
            size: None,
            is_stream: false,
            format,
            filter,
            block_size: options.block_size.clamp(64, MAX_RECORD),
            largest: options.largest,
            stop: options.stop.clone(),
            carry,
            needed: 0,
            offset,
            counts: Counts::default(),
            first_at: None,
            watermark: Timestamp::default(),
            ended: false,
            damage: None,
        })
    }

    /// Fills `block` with the next frames; whatever it held is gone. `false` at the end.
    ///
    /// A block may hold no frame, when a filter leaves them out.
    ///
    /// # Errors
    ///
    /// When libpcap does not take the filter for a link type that turns up.
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, Error> {
        block.frames.clear();
        block.left_out.clear();
        block.first_number = self.counts.frames + 1;
        block.watermark = self.watermark;
        // A pipe ends by itself, with what has come before it was asked for.
        self.ended |= !self.is_stream && self.stop.is_asked();
        if self.ended {
            return Ok(false);
        }
        let mut target = self.block_size.max(self.needed);
        fit(&mut block.bytes, target, self.block_size);
        let mut filled = self.carry.len();
        if let Some(start) = block.bytes.get_mut(..filled) {
            start.copy_from_slice(&self.carry);
        }
        loop {
            let room = block.bytes.get_mut(filled..target).unwrap_or_default();
            let (read, state) = self.input.fill(room);
            filled += read;
            let held = block.bytes.get(..filled).unwrap_or_default();
            let is_all = state.is_err() || filled < target;

            let mut listing = Listing::new(
                &mut block.frames,
                &mut block.left_out,
                &mut self.counts,
                &mut self.first_at,
                self.watermark,
            );
            let walked = match &mut self.format {
                Format::Pcap(walker) => walker.walk(held, &mut listing),
                Format::Pcapng(walker) => walker
                    .walk(held, is_all, &mut listing, &mut self.filter)
                    .inspect_err(|_| self.ended = true)?,
            };
            let seen = listing.finish();
            self.watermark = seen.watermark;
            self.needed = walked.needed;
            self.offset += walked.consumed as u64;
            block.first_number = seen.first_number;
            block.watermark = seen.watermark;
            block.position = self.input.position();

            let left = held.get(walked.consumed..).unwrap_or_default();
            let pauses = state.as_ref().is_err_and(raw::is_pause);
            let fault = match state {
                _ if walked.fault.is_some() => walked.fault,
                _ if walked.needed > self.largest => Some(Fault::RecordLength {
                    needed: walked.needed as u64,
                    limit: self.largest as u64,
                }),
                _ if pauses => None,
                // Where it ends is not the file's doing then.
                _ if filled < target && self.stop.is_asked() => {
                    self.ended = true;
                    None
                }
                Err(error) => Some(Fault::Unreadable {
                    message: error.to_string(),
                }),
                Ok(()) if filled == target => None,
                Ok(()) if left.is_empty() => {
                    self.ended = true;
                    None
                }
                Ok(()) => Some(Fault::CutShort {
                    present: left.len() as u64,
                    needed: walked.needed as u64,
                }),
            };
            if let Some(fault) = fault {
                self.end_damaged(fault);
            }
            if self.ended {
                self.carry = Vec::new();
                return Ok(seen.any);
            }
            if walked.consumed > 0 {
                self.carry.clear();
                self.carry.shrink_to(self.block_size);
                self.carry.extend_from_slice(left);
                return Ok(true);
            }
            if pauses {
                continue;
            }
            // Not one record was whole: make room for it. `needed` is what the walks ask for,
            // at most MAX_RECORD, and they ask for more than they were shown.
            target = walked.needed.max(filled + 1);
            fit(&mut block.bytes, target, self.block_size);
        }
    }

    /// What is wrong with the file, as far as it has been read.
    pub const fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// What has been read so far.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The time of the first frame read, one that a filter left out among them.
    pub const fn first_at(&self) -> Option<Timestamp> {
        self.first_at
    }

    /// The size of the file as it lies on disk; `None` for pipes.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of it have been read.
    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// How it is compressed.
    pub const fn compression(&self) -> Option<Compression> {
        self.input.compression()
    }

    fn end_damaged(&mut self, fault: Fault) {
        self.ended = true;
        self.damage = Some(Damage {
            path: self.path.clone(),
            offset: self.offset,
            compression: self.input.compression(),
            fault,
        });
    }
}

/// Reads the file header and gives the walk over what follows, the bytes read beyond the header,
/// and where they lie.
fn open_format(
    path: &Path,
    input: &mut Input,
    filter: Option<&mut Filter>,
    interfaces: &Arc<Interfaces>,
) -> Result<(Format, Vec<u8>, u64), Error> {
    const START_LEN: usize = 16;
    const HEADER_MAX: usize = 28;

    let compression = input.compression();
    let mut header = [0; HEADER_MAX];
    let mut have = 0;
    // Reads on until there are `len` bytes of header.
    let mut read = |header: &mut [u8; HEADER_MAX], len: usize| {
        loop {
            let (read, state) = input.fill(header.get_mut(have..len).unwrap_or_default());
            have += read;
            match state {
                Ok(()) => return Ok(have),
                Err(pause) if raw::is_pause(&pause) => {}
                Err(source) => {
                    return Err(Error::Read {
                        path: path.to_owned(),
                        compression,
                        source,
                    });
                }
            }
        }
    };
    let bad = |fault| Error::BadHeader {
        path: path.to_owned(),
        compression,
        fault,
    };
    let cut = |present, needed| Error::HeaderCut {
        path: path.to_owned(),
        compression,
        present,
        needed,
    };

    let start_len = read(&mut header, START_LEN)?;
    let [m0, m1, m2, m3, ..] = header;
    let magic = [m0, m1, m2, m3];
    if start_len == 0 {
        return Err(Error::Empty {
            path: path.to_owned(),
            compression,
        });
    }
    if start_len >= magic.len() && magic == pcapng::MAGIC {
        let have = read(&mut header, pcapng::SECTION_HEADER_LEN)?;
        if have < pcapng::SECTION_HEADER_LEN {
            return Err(cut(have, pcapng::SECTION_HEADER_LEN));
        }
        let names = pcapng::Names::of(path, interfaces);
        let walker = pcapng::Walker::new(&header, names).map_err(bad)?;
        return Ok((Format::Pcapng(walker), header.to_vec(), 0));
    }
    if start_len >= magic.len()
        && let Some(magic) = pcap::Magic::parse(magic)
    {
        let needed = magic.header_len();
        let have = read(&mut header, needed)?;
        let Some(header) = header.first_chunk().filter(|_| have == needed) else {
            return Err(cut(have, needed));
        };
        let interface = interfaces.of_file(&path.to_string_lossy());
        let mut walker = pcap::Walker::new(magic, header, interface).map_err(bad)?;
        if let Some(filter) = filter {
            walker.program = Some(filter.program(walker.link)?);
        }
        return Ok((Format::Pcap(walker), Vec::new(), needed as u64));
    }
    let start = header.get(..start_len).unwrap_or_default();
    Err(Error::NotACapture {
        path: path.to_owned(),
        compression,
        start: start.to_vec(),
    })
}

/// Makes `buffer` at least `len` long, and gives back what one long record made it grow by.
/// Bytes that are there stay: they need no zeros, they are written over.
fn fit(buffer: &mut Vec<u8>, len: usize, usual: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    } else if buffer.len() > usual.max(len) {
        buffer.truncate(usual.max(len));
        buffer.shrink_to_fit();
    }
}
