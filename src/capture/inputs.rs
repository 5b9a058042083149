//! Several capture files as one stream, in the order of their first frames.
//!
//! The front door of stage 1 for files: [`Inputs`] looks at the head of each file, then reads one
//! after the other with [`Reader`]. Frames are numbered through, and the watermark never falls.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::Block;
use crate::capture::error::{Damage, Error};
use crate::capture::file::{Counts, Options, Reader};
use crate::capture::input;
use crate::time::Timestamp;

/// Capture files as one stream of blocks.
#[derive(Debug)]
pub struct Inputs {
    options: Options,
    waiting: VecDeque<Waiting>,
    current: Option<Reader>,
    size: Option<u64>,
    /// What the files before the current one held.
    counts: Counts,
    watermark: Timestamp,
    position: u64,
    damages: Vec<Damage>,
}

/// A file whose turn has not come.
#[derive(Debug)]
enum Waiting {
    /// To be opened again, so that a thousand files do not take a thousand descriptors.
    Closed(PathBuf),
    /// Cannot be opened again; with the block that was read to see its time.
    Open(Box<Reader>, Option<Block>),
}

impl Inputs {
    /// Opens all of `paths` and orders them by the times of their first frames; files with the
    /// same time stay in the order given.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`], for any of them.
    pub fn open<P: AsRef<Path>>(paths: &[P], options: &Options) -> Result<Self, Error> {
        let mut size = Some(0_u64);
        let mut ordered = Vec::with_capacity(paths.len());
        for path in paths {
            let path = path.as_ref();
            let mut reader = Reader::open(path, options)?;
            size = size
                .zip(reader.size())
                .map(|(sum, size)| sum.saturating_add(size));
            if paths.len() == 1 {
                let waiting = Waiting::Open(Box::new(reader), None);
                ordered.push((None, waiting));
                break;
            }
            let mut block = Block::default();
            while reader.first_at().is_none() && reader.next_block(&mut block)? {}
            let first_at = reader.first_at();
            let waiting = if can_be_reopened(path) {
                Waiting::Closed(path.to_owned())
            } else {
                Waiting::Open(Box::new(reader), Some(block))
            };
            ordered.push((first_at, waiting));
        }
        // The sort is stable: equal times keep their order.
        ordered.sort_by_key(|&(first_at, _)| first_at);
        Ok(Self {
            options: options.clone(),
            waiting: ordered.into_iter().map(|(_, waiting)| waiting).collect(),
            current: None,
            size,
            counts: Counts::default(),
            watermark: Timestamp::default(),
            position: 0,
            damages: Vec::new(),
        })
    }

    /// Fills `block` with the next frames; whatever it held is gone. `false` at the end of the
    /// last file.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened any more, or libpcap does not take the filter for a link type
    /// that turns up.
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, Error> {
        loop {
            let read = match &mut self.current {
                Some(reader) => reader.next_block(block)?,
                None => match self.waiting.pop_front() {
                    Some(waiting) => self.start(waiting, block)?,
                    None => false,
                },
            };
            if read {
                block.first_number += self.counts.frames;
                block.position = block.position.saturating_add(self.position);
                self.watermark = self.watermark.max(block.watermark);
                block.watermark = self.watermark;
                return Ok(true);
            }
            match self.current.take() {
                Some(reader) => self.finish(&reader),
                None if self.waiting.is_empty() => {
                    block.frames.clear();
                    block.left_out.clear();
                    block.first_number = self.counts.frames + 1;
                    block.position = self.position;
                    block.watermark = self.watermark;
                    return Ok(false);
                }
                None => {}
            }
        }
    }

    /// What was wrong with the files read so far.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// What has been read so far, of all files.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        if let Some(reader) = &self.current {
            counts.add(reader.counts());
        }
        counts
    }

    /// The size of all files as they lie on disk, for progress; `None` when one is a pipe.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Makes `waiting` the current file. Whether `block` holds frames of it already.
    fn start(&mut self, waiting: Waiting, block: &mut Block) -> Result<bool, Error> {
        let (reader, first) = match waiting {
            Waiting::Closed(path) => (Reader::open(&path, &self.options)?, None),
            Waiting::Open(reader, first) => (*reader, first),
        };
        let reader = self.current.insert(reader);
        match first {
            Some(first) if reader.counts().frames > 0 => {
                *block = first;
                Ok(true)
            }
            _ => reader.next_block(block),
        }
    }

    fn finish(&mut self, reader: &Reader) {
        self.counts.add(reader.counts());
        self.position = self.position.saturating_add(reader.position());
        self.damages.extend(reader.damage().cloned());
    }
}

/// Whether opening `path` again gives the same bytes: not so for pipes.
fn can_be_reopened(path: &Path) -> bool {
    !input::is_standard_input(path) && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}
