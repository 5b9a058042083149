//! Several capture files as one stream, merged by the times of their frames.
//!
//! The front door of stage 1 for files. [`Inputs`] looks at the head of each file. A file that
//! overlaps with no other is read by itself, and its frames stay where [`Reader`] put them. Files
//! that overlap are merged: the next frame is always the earliest of those that come next in their
//! files, and of two with the same time the one of the file that was named first. So a file whose
//! own frames are out of order keeps its order, as with `mergecap`. Only files that overlap at the
//! moment are open. Frames are numbered through, and the watermark never falls.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::error::{Damage, Error};
use crate::capture::file::{Counts, Options, Reader};
use crate::capture::input;
use crate::capture::{Block, Interfaces};
use crate::time::Timestamp;

/// Files that overlap and still have blocks of the whole size. More have smaller ones, so that
/// what is held of all of them hardly grows.
const WHOLE_BLOCKS: usize = 4;

/// The smallest block a file is read by for that reason.
const LEAST_BLOCK: usize = 16 * 1024;

/// Capture files as one stream of blocks.
#[derive(Debug)]
pub struct Inputs {
    options: Options,
    /// Files whose turn has not come, in the order in which it comes.
    waiting: VecDeque<Waiting>,
    /// Files that are read now: more than one where they overlap.
    open: Vec<Open>,
    size: Option<u64>,
    /// What the files that have ended held.
    counts: Counts,
    /// Frames given so far, those that a filter left out among them.
    given: u64,
    watermark: Timestamp,
    /// Bytes of the files that have ended.
    position: u64,
    damages: Vec<Damage>,
    /// Why files were passed by.
    passed_by: Vec<Error>,
}

/// Where a file stands in the merged stream: its next frame's time, then the order given.
type Turn = (Option<Timestamp>, usize);

/// A file whose turn has not come.
#[derive(Debug)]
struct Waiting {
    turn: Turn,
    file: Unread,
}

#[derive(Debug)]
enum Unread {
    /// To be opened again, so that a thousand files do not take a thousand descriptors.
    Closed(PathBuf),
    /// Cannot be opened again; with the block that was read to see its time.
    Open(Box<Reader>, Option<Block>),
}

/// A file that is read.
#[derive(Debug)]
struct Open {
    /// Its place in the order given.
    order: usize,
    reader: Reader,
    /// What was read of it last, unless that was given as it was.
    held: Block,
    /// The frame of `held` that comes next; all have been given where there is none.
    next: usize,
    /// The number, in its own file, of the last frame given.
    last_number: u64,
}

impl Open {
    fn turn(&self) -> Option<Turn> {
        let frame = self.held.frames.get(self.next)?;
        Some((Some(frame.at), self.order))
    }

    /// What is held has been given. Its bytes may stay: the reader writes over them.
    fn hold_nothing(&mut self) {
        self.held.frames.clear();
        self.held.left_out.clear();
        self.next = 0;
    }

    /// The frames of `block`, all that was read last, are given: the number of the first in the
    /// stream after `given` frames, and how many frames the stream has then.
    fn give_all(&mut self, block: &Block, given: u64) -> (u64, u64) {
        let first = given + block.first_number.saturating_sub(self.last_number);
        let read = self.reader.counts().frames;
        let given = given + read.saturating_sub(self.last_number);
        self.last_number = read;
        (first, given)
    }
}

impl Inputs {
    /// Opens all of `paths` and looks for the times of their first frames.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`], for any of them; with [`Options::pass_by`], if it is so for all of
    /// several. A filter that libpcap does not take is an error with that as well.
    pub fn open<P: AsRef<Path>>(paths: &[P], options: &Options) -> Result<Self, Error> {
        let mut size = Some(0_u64);
        let mut waiting = Vec::with_capacity(paths.len());
        let mut passed_by = Vec::new();
        let only = paths.len() == 1;
        for (order, path) in paths.iter().enumerate() {
            let (file, of_file) = match look_at(path.as_ref(), order, only, options) {
                Ok(looked) => looked,
                Err(error)
                    if options.pass_by && !only && !matches!(error, Error::Filter { .. }) =>
                {
                    passed_by.push(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            size = size
                .zip(of_file)
                .map(|(sum, size)| sum.saturating_add(size));
            waiting.push(file);
        }
        if waiting.is_empty()
            && let Some(first) = passed_by.drain(..).next()
        {
            return Err(first);
        }
        waiting.sort_by_key(|file| file.turn);
        Ok(Self {
            options: options.clone(),
            waiting: waiting.into(),
            open: Vec::new(),
            size,
            counts: Counts::default(),
            given: 0,
            watermark: Timestamp::default(),
            position: 0,
            damages: Vec::new(),
            passed_by,
        })
    }

    /// A capture that is open already, by itself.
    pub fn of_reader(reader: Reader, options: &Options) -> Self {
        let turn = (reader.first_at(), 0);
        let file = Unread::Open(Box::new(reader), None);
        Self {
            options: options.clone(),
            waiting: VecDeque::from([Waiting { turn, file }]),
            open: Vec::new(),
            size: None,
            counts: Counts::default(),
            given: 0,
            watermark: Timestamp::default(),
            position: 0,
            damages: Vec::new(),
            passed_by: Vec::new(),
        }
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
            self.open_due()?;
            let given = match self.open.len() {
                0 => {
                    block.frames.clear();
                    block.left_out.clear();
                    block.first_number = self.given + 1;
                    false
                }
                1 => {
                    if !self.alone(block)? {
                        continue;
                    }
                    true
                }
                _ => {
                    if !self.merge(block)? {
                        continue;
                    }
                    true
                }
            };
            block.position = self.read_so_far();
            block.watermark = self.watermark;
            return Ok(given);
        }
    }

    /// What was wrong with the files read so far.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// Why files were passed by, those not being in any count.
    pub fn passed_by(&self) -> &[Error] {
        &self.passed_by
    }

    /// What has been read so far, of all files.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        for file in &self.open {
            counts.add(file.reader.counts());
        }
        counts
    }

    /// The names of the interfaces that frames come from, as far as they are known.
    pub const fn interfaces(&self) -> &Arc<Interfaces> {
        &self.options.interfaces
    }

    /// The size of all files as they lie on disk, for progress; `None` when one is a pipe.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    fn read_so_far(&self) -> u64 {
        let open = self.open.iter().map(|file| file.reader.position());
        open.fold(self.position, u64::saturating_add)
    }

    /// The only open file's next block, as it was read. `false` when the file has ended, or has
    /// come to where another begins: then it waits to be merged.
    fn alone(&mut self, block: &mut Block) -> Result<bool, Error> {
        let Some(file) = self.open.first_mut() else {
            return Ok(false);
        };
        if file.next > 0 && file.turn().is_some() {
            return self.merge(block);
        }
        if file.turn().is_some() {
            std::mem::swap(block, &mut file.held);
        } else if !file.reader.next_block(block)? {
            self.finish(0);
            return Ok(false);
        }
        file.hold_nothing();
        let until: Turn = (Some(block.watermark), file.order);
        let overlaps = self
            .waiting
            .front()
            .is_some_and(|waiting| waiting.turn < until);
        if overlaps && !block.frames.is_empty() {
            std::mem::swap(block, &mut file.held);
            return self.merge(block);
        }
        (block.first_number, self.given) = file.give_all(block, self.given);
        self.watermark = self.watermark.max(block.watermark);
        Ok(true)
    }

    /// Copies the next frames of all open files into `block`. `false` when there are none.
    fn merge(&mut self, block: &mut Block) -> Result<bool, Error> {
        block.clear();
        while block.bytes.len() < self.options.block_size.max(1) {
            if !self.refill(block.frames.is_empty())? {
                break;
            }
            self.open_due()?;
            // Files that were just opened have nothing at hand yet.
            if self.open.iter().any(|file| file.turn().is_none()) {
                continue;
            }
            let first = self.open.iter().enumerate();
            let first = first.min_by_key(|(_, file)| file.turn());
            let Some(index) = first.map(|(index, _)| index) else {
                break;
            };
            self.take_run(index, block);
        }
        Ok(!block.frames.is_empty())
    }

    /// Reads on in the files of which nothing is at hand, if `may_read`. `false` when there is
    /// nothing to be given before more is read, or nothing to be merged any more.
    fn refill(&mut self, may_read: bool) -> Result<bool, Error> {
        let mut index = 0;
        while let Some(file) = self.open.get_mut(index) {
            if file.turn().is_some() {
                index += 1;
                continue;
            }
            if !may_read {
                return Ok(false);
            }
            file.hold_nothing();
            if !file.reader.next_block(&mut file.held)? {
                self.finish(index);
            }
        }
        // What is left of a single file is merged to the end of what is at hand, then read by itself.
        Ok(match self.open.as_slice() {
            [] => false,
            [file] => {
                file.next > 0
                    || self
                        .waiting
                        .front()
                        .is_some_and(|w| w.turn.0 <= Some(file.held.watermark))
            }
            _ => true,
        })
    }

    /// Copies frames of the file at `index` as long as no other file's turn comes.
    fn take_run(&mut self, index: usize, block: &mut Block) {
        let others = self.open.iter().enumerate();
        let others = others.filter(|&(other, _)| other != index);
        let others = others.filter_map(|(_, file)| file.turn());
        let waiting = self.waiting.front().map(|waiting| waiting.turn);
        let until = others.chain(waiting).min();
        let Some(file) = self.open.get_mut(index) else {
            return;
        };
        while let (Some(turn), Some(&entry)) = (file.turn(), file.held.frames.get(file.next)) {
            let is_due = until.is_none_or(|until| turn < until);
            if !is_due || block.bytes.len() >= self.options.block_size {
                return;
            }
            let frame = file.held.frame(file.next);
            file.next += 1;
            let Some(frame) = frame else {
                continue;
            };
            self.given += frame.number.saturating_sub(file.last_number);
            file.last_number = frame.number;
            self.watermark = self.watermark.max(frame.at);
            block.push(self.given, entry, frame.bytes);
        }
    }

    /// Opens the files that begin before the next frame of all that are open; the next, where none
    /// is.
    fn open_due(&mut self) -> Result<(), Error> {
        loop {
            let next = self.open.iter().filter_map(Open::turn).min();
            let is_due = |waiting: &mut Waiting| match next {
                Some(next) => waiting.turn < next,
                None => self.open.is_empty(),
            };
            let Some(waiting) = self.waiting.pop_front_if(is_due) else {
                return Ok(());
            };
            self.start(waiting)?;
        }
    }

    fn start(&mut self, Waiting { turn, file }: Waiting) -> Result<(), Error> {
        let order = turn.1;
        let (reader, held) = match file {
            Unread::Closed(path) => {
                let share = (self.open.len() + 1).div_ceil(WHOLE_BLOCKS);
                let whole = self.options.block_size;
                let options = Options {
                    block_size: (whole / share).max(LEAST_BLOCK.min(whole)),
                    ..self.options.clone()
                };
                (Reader::open(&path, &options)?, Block::default())
            }
            Unread::Open(reader, first) => (*reader, first.unwrap_or_default()),
        };
        self.open.push(Open {
            order,
            reader,
            held,
            next: 0,
            last_number: 0,
        });
        Ok(())
    }

    /// Ends the file at `index`, of which nothing is at hand.
    fn finish(&mut self, index: usize) {
        let file = self.open.remove(index);
        let counts = file.reader.counts();
        // What a filter left out after the last frame given.
        self.given += counts.frames.saturating_sub(file.last_number);
        self.counts.add(counts);
        self.position = self.position.saturating_add(file.reader.position());
        self.damages.extend(file.reader.damage().cloned());
    }
}

/// Opens a file and looks for the time of its first frame, unless it is the `only` one. Gives its
/// size as well, if it has one.
fn look_at(
    path: &Path,
    order: usize,
    only: bool,
    options: &Options,
) -> Result<(Waiting, Option<u64>), Error> {
    let mut reader = Reader::open(path, options)?;
    let size = reader.size();
    let mut block = Block::default();
    while !only && reader.first_at().is_none() && reader.next_block(&mut block)? {}
    let turn = (reader.first_at(), order);
    let file = if only {
        Unread::Open(Box::new(reader), None)
    } else if can_be_reopened(path) {
        Unread::Closed(path.to_owned())
    } else {
        Unread::Open(Box::new(reader), Some(block))
    };
    Ok((Waiting { turn, file }, size))
}

/// Whether opening `path` again gives the same bytes: not so for pipes.
fn can_be_reopened(path: &Path) -> bool {
    !input::is_standard_input(path) && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
