//! Which worker gets which frame: the hash of the innermost unordered address pair, so that both
//! directions, fragments and related flows stay together. Frames that teach go to all.

use std::sync::Arc;

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use crate::capture::{Block, Frame, FrameRef};
use crate::classify::Classifier;
use crate::decode::{self, Datagram, Decoded, Decoder, DropReason, Packet, Placed};
use crate::time::Timestamp;
use crate::usage::ledger::{Drops, Volume};

/// One frame of a worker's share.
#[derive(Debug)]
pub(super) enum Entry {
    /// A frame of the block and what it was decoded to, to be counted.
    Frame(u32, Placed),
    /// A frame of the block that another worker counts: learn from it.
    Lesson(u32, Placed),
    /// A datagram put together from fragments, to be counted.
    Datagram(Box<Datagram>),
    /// A datagram that another worker counts: learn from it.
    DatagramLesson(Arc<Datagram>),
}

impl Entry {
    /// Frames and bytes on the wire it counts for: none, for a lesson.
    pub(super) fn volume(&self, block: &Block) -> (u64, u64) {
        match self {
            Self::Frame(index, _) => {
                let frame = block.frames.get(*index as usize);
                (1, frame.map_or(0, |frame| u64::from(frame.wire_len)))
            }
            Self::Datagram(datagram) => (u64::from(datagram.frames), u64::from(datagram.wire_len)),
            Self::Lesson(..) | Self::DatagramLesson(_) => (0, 0),
        }
    }
}

/// Splits blocks among workers. Fragments are put together here, since only a whole datagram shows
/// its innermost addresses.
#[derive(Debug)]
pub(super) struct Steer {
    decoder: Decoder,
    drops: Drops,
    workers: usize,
}

/// Where packets go once they are decoded.
trait Sink {
    /// The packet that the block's frame at `index` is.
    fn frame(&mut self, index: u32, frame: Frame<'_>, packet: &Packet<'_>);

    /// A packet in a datagram that was put together from fragments; `teaches`: others learn from it.
    fn datagram(&mut self, datagram: Box<Datagram>, owner: usize, teaches: bool);
}

impl Steer {
    pub(super) fn new(config: &decode::Config, workers: usize) -> Self {
        Self {
            decoder: Decoder::new(config.clone()),
            drops: Drops::default(),
            workers,
        }
    }

    /// The share of each worker.
    pub(super) fn split(&mut self, block: &Block) -> Vec<Vec<Entry>> {
        let room = block.frames.len() / self.workers;
        let shares = (0..self.workers).map(|_| Vec::with_capacity(room + room / 4));
        let mut shares = Shares(shares.collect());
        self.walk(block, &mut shares);
        shares.0
    }

    /// All of the block for one worker, and what others learn from it.
    pub(super) fn keep(&mut self, block: &Block) -> (Vec<Entry>, Lessons) {
        let mut kept = Kept {
            entries: Vec::with_capacity(block.frames.len()),
            lessons: Lessons::default(),
        };
        self.walk(block, &mut kept);
        (kept.entries, kept.lessons)
    }

    /// Gives up the fragments that waited too long at `watermark`.
    pub(super) fn expire(&mut self, watermark: Timestamp) {
        let drops = &mut self.drops;
        self.decoder
            .expire(watermark, &mut |reason, frames, bytes| {
                drops.count(reason, u64::from(frames), bytes);
            });
    }

    /// What was dropped here so far, and what waits here for its fate.
    pub(super) fn tally(&self) -> (Drops, Volume) {
        let (packets, bytes) = self.decoder.waiting();
        (self.drops, Volume { packets, bytes })
    }

    /// Gives up all fragments that wait for others.
    pub(super) fn give_up(&mut self) {
        let drops = &mut self.drops;
        self.decoder.finish(&mut |reason, frames, bytes| {
            drops.count(reason, u64::from(frames), bytes);
        });
    }

    /// Gives up fragments that are left; what was dropped here.
    pub(super) fn finish(mut self) -> Drops {
        self.give_up();
        self.drops
    }

    fn walk(&mut self, block: &Block, sink: &mut impl Sink) {
        for index in 0..block.frames.len() {
            let Some(frame) = block.frame(index) else {
                continue;
            };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match self.decoder.decode(frame) {
                Decoded::Packet(packet) => sink.frame(index, frame, &packet),
                Decoded::Fragment => {}
                Decoded::Datagram(datagram) => self.walk_datagram(datagram, sink),
                Decoded::Dropped(reason) => drop_frame(&mut self.drops, reason, frame),
            }
        }
        self.expire(block.watermark);
    }

    fn walk_datagram(&mut self, mut datagram: Box<Datagram>, sink: &mut impl Sink) {
        loop {
            let next = match self.decoder.decode_datagram(&datagram) {
                Decoded::Packet(packet) => {
                    let owner = owner(&packet, self.workers);
                    let teaches = Classifier::teaches(&packet);
                    return sink.datagram(datagram, owner, teaches);
                }
                Decoded::Fragment => return,
                Decoded::Datagram(inner) => inner,
                Decoded::Dropped(reason) => {
                    let (frames, bytes) = (datagram.frames, u64::from(datagram.wire_len));
                    return self.drops.count(reason, u64::from(frames), bytes);
                }
            };
            datagram = next;
        }
    }
}

/// Counts a frame that belongs to no flow.
pub(super) fn drop_frame(drops: &mut Drops, reason: DropReason, frame: Frame<'_>) {
    let frames = u64::from(frame.frames);
    drops.count(reason, frames, u64::from(frame.wire_len));
    if reason == DropReason::UnknownLink {
        drops.links.count(decode::unknown_link(frame).0, frames);
    }
}

/// A share for each worker.
struct Shares(Vec<Vec<Entry>>);

impl Sink for Shares {
    #[inline]
    fn frame(&mut self, index: u32, frame: Frame<'_>, packet: &Packet<'_>) {
        let owner = owner(packet, self.0.len());
        let placed = Placed::new(packet, &frame);
        if let Some(share) = self.0.get_mut(owner) {
            share.push(Entry::Frame(index, placed));
        }
        if Classifier::teaches(packet) {
            for (worker, share) in self.0.iter_mut().enumerate() {
                if worker != owner {
                    share.push(Entry::Lesson(index, placed));
                }
            }
        }
    }

    fn datagram(&mut self, datagram: Box<Datagram>, owner: usize, teaches: bool) {
        if teaches {
            let lesson = Arc::new((*datagram).clone());
            for (worker, share) in self.0.iter_mut().enumerate() {
                if worker != owner {
                    share.push(Entry::DatagramLesson(Arc::clone(&lesson)));
                }
            }
        }
        if let Some(share) = self.0.get_mut(owner) {
            share.push(Entry::Datagram(datagram));
        }
    }
}

/// All for one, and copies of what others learn from.
struct Kept {
    entries: Vec<Entry>,
    lessons: Lessons,
}

impl Sink for Kept {
    #[inline]
    fn frame(&mut self, index: u32, frame: Frame<'_>, packet: &Packet<'_>) {
        let placed = Placed::new(packet, &frame);
        self.entries.push(Entry::Frame(index, placed));
        if Classifier::teaches(packet) {
            self.lessons.add(frame);
        }
    }

    fn datagram(&mut self, datagram: Box<Datagram>, _: usize, teaches: bool) {
        if teaches {
            self.lessons
                .list
                .push(Lesson::Datagram((*datagram).clone()));
        }
        self.entries.push(Entry::Datagram(datagram));
    }
}

/// What one capture thread saw that others learn from, in its order, with bytes of its own.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    block: Block,
    list: Vec<Lesson>,
}

#[derive(Debug)]
enum Lesson {
    /// A frame of the lessons' block.
    Frame(u32),
    Datagram(Datagram),
}

/// What teaches: a frame, or a datagram that was put together.
pub(super) enum Taught<'a> {
    Frame(Frame<'a>),
    Datagram(&'a Datagram),
}

impl Lessons {
    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    fn add(&mut self, frame: Frame<'_>) {
        let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let entry = FrameRef {
            at: frame.at,
            link: frame.link,
            interface: frame.interface,
            offset: place(self.block.bytes.len()),
            captured: place(frame.bytes.len()),
            wire_len: frame.wire_len,
            envelope: frame.envelope,
        };
        self.list
            .push(Lesson::Frame(place(self.block.frames.len())));
        self.block.frames.push(entry);
        self.block.bytes.extend_from_slice(frame.bytes);
    }

    /// When the `index`th was captured.
    pub(super) fn at(&self, index: usize) -> Option<Timestamp> {
        match self.list.get(index)? {
            Lesson::Frame(place) => Some(self.block.frames.get(*place as usize)?.at),
            Lesson::Datagram(datagram) => Some(datagram.at),
        }
    }

    /// Bytes the `index`th takes.
    pub(super) fn size(&self, index: usize) -> usize {
        let bytes = match self.list.get(index) {
            Some(Lesson::Frame(place)) => {
                let frame = self.block.frames.get(*place as usize);
                frame.map_or(0, |frame| frame.captured as usize)
            }
            Some(Lesson::Datagram(datagram)) => datagram.bytes.len(),
            None => 0,
        };
        bytes + size_of::<Lesson>() + size_of::<FrameRef>()
    }

    /// The `index`th.
    pub(super) fn get(&self, index: usize) -> Option<Taught<'_>> {
        match self.list.get(index)? {
            Lesson::Frame(place) => self.block.frame(*place as usize).map(Taught::Frame),
            Lesson::Datagram(datagram) => Some(Taught::Datagram(datagram)),
        }
    }
}

/// The worker that owns the flows between the packet's addresses. The hash is fixed, so that a run
/// can be repeated; senders who choose addresses can at worst load one worker.
fn owner(packet: &Packet<'_>, workers: usize) -> usize {
    let (a, b) = (packet.source, packet.destination);
    let hash = FixedState::default().hash_one((a.min(b).0, a.max(b).0));
    // Fits: the remainder is below the number of workers.
    (hash % workers as u64) as usize
}
