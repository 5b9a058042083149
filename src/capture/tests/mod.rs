//! Capture files through the front door: what is read from them, and what is said of bad ones.

mod damage;
mod formats;
mod hostile;
mod reading;

use std::io::{self, Read};
use std::path::Path;

use crate::capture::error::{Error, Fault};
use crate::capture::file::{Counts, Options, Reader};
use crate::capture::{Block, samples};

/// A frame that was read: number, nanoseconds, link type, length on the wire, captured bytes.
type Seen = (u64, u64, u16, u32, Vec<u8>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    frames: Vec<Seen>,
    counts: Counts,
    /// Offset and fault.
    damage: Option<(u64, Fault)>,
}

fn options(filter: Option<&str>, block_size: usize) -> Options {
    Options {
        filter: filter.map(str::to_owned),
        block_size,
        ..Options::default()
    }
}

fn read_with(bytes: impl Read + Send + 'static, options: &Options) -> Result<Contents, Error> {
    let mut reader = Reader::from_read(Path::new("a.pcap"), Box::new(bytes), options)?;
    let mut block = Block::default();
    let mut contents = Contents::default();
    let mut watermark = 0;
    while reader.next_block(&mut block)? {
        for index in 0..block.frames.len() {
            let frame = block.frame(index).unwrap();
            assert!(frame.wire_len as usize >= frame.bytes.len());
            watermark = watermark.max(frame.at.0);
            contents.frames.push((
                frame.number,
                frame.at.0,
                frame.link.0,
                frame.wire_len,
                frame.bytes.to_vec(),
            ));
        }
        assert_eq!(block.watermark.0, watermark);
        assert_eq!(block.position, reader.position());
    }
    assert!(!reader.next_block(&mut block)?, "the end stays the end");
    contents.counts = *reader.counts();
    contents.damage = reader
        .damage()
        .map(|damage| (damage.offset, damage.fault.clone()));
    Ok(contents)
}

/// Reads `bytes` in blocks of several sizes, whole and octet by octet: all must give the same.
fn read(bytes: &[u8]) -> Result<Contents, Error> {
    let whole = read_with(io::Cursor::new(bytes.to_vec()), &Options::default())?;
    for size in [64, 100, 1000] {
        let trickle = Trickle::new(bytes);
        let cut = read_with(trickle, &options(None, size))?;
        assert_eq!(cut, whole, "in blocks of {size}");
    }
    Ok(whole)
}

/// Gives one octet at a time, and an interruption before each.
struct Trickle {
    bytes: io::Cursor<Vec<u8>>,
    interrupted: bool,
}

impl Trickle {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: io::Cursor::new(bytes.to_vec()),
            interrupted: false,
        }
    }
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.bytes.read(&mut buffer[..1])
    }
}

fn frames(bytes: &[u8]) -> Vec<Seen> {
    let contents = read(bytes).unwrap();
    assert_eq!(contents.damage, None);
    assert_eq!(contents.counts.frames, contents.frames.len() as u64);
    contents.frames
}

/// Frames of every length up to 200, as both formats.
fn plain_files() -> [(Vec<Vec<u8>>, Vec<u8>); 2] {
    let data: Vec<Vec<u8>> = (0..200_u8).map(|len| vec![len; len.into()]).collect();
    let frames: Vec<(u64, &[u8])> = data
        .iter()
        .enumerate()
        .map(|(place, frame)| (place as u64, &frame[..]))
        .collect();
    let files = [samples::pcap(&frames), samples::pcapng(&frames)];
    files.map(|file| (data.clone(), file))
}
