//! Which worker gets which frame: the hash of the innermost unordered address pair, so that both
//! directions, fragments and related flows stay together. Frames that teach go to all.

use std::sync::Arc;

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use crate::capture::Block;
use crate::classify::Classifier;
use crate::decode::{self, Datagram, Decoded, Decoder, Packet};
use crate::usage::ledger::Drops;

/// One frame of a worker's share.
#[derive(Debug)]
pub(super) enum Entry {
    /// A frame of the block, to be counted.
    Frame(u32),
    /// A frame of the block that another worker counts: learn from it.
    Lesson(u32),
    /// A datagram put together from fragments, to be counted.
    Datagram(Box<Datagram>),
    /// A datagram that another worker counts: learn from it.
    DatagramLesson(Arc<Datagram>),
}

/// Splits blocks among workers. Fragments are put together here, since only a whole datagram shows
/// its innermost addresses.
#[derive(Debug)]
pub(super) struct Steer {
    decoder: Decoder,
    drops: Drops,
    workers: usize,
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
        let mut shares: Vec<Vec<Entry>> = (0..self.workers)
            .map(|_| Vec::with_capacity(room + room / 4))
            .collect();
        for index in 0..block.frames.len() {
            let Some(frame) = block.frame(index) else {
                continue;
            };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            match self.decoder.decode(frame) {
                Decoded::Packet(packet) => {
                    let owner = owner(&packet, self.workers);
                    let teaches = Classifier::teaches(&packet);
                    for (worker, share) in shares.iter_mut().enumerate() {
                        if worker == owner {
                            share.push(Entry::Frame(index));
                        } else if teaches {
                            share.push(Entry::Lesson(index));
                        }
                    }
                }
                Decoded::Fragment => {}
                Decoded::Datagram(datagram) => self.split_datagram(datagram, &mut shares),
                Decoded::Dropped(reason) => {
                    self.drops
                        .count(reason, u64::from(frame.frames), u64::from(frame.wire_len));
                }
            }
        }
        let drops = &mut self.drops;
        self.decoder
            .expire(block.watermark, &mut |reason, frames, bytes| {
                drops.count(reason, u64::from(frames), bytes);
            });
        shares
    }

    /// Gives up fragments that are left; what was dropped here.
    pub(super) fn finish(mut self) -> Drops {
        let drops = &mut self.drops;
        self.decoder.finish(&mut |reason, frames, bytes| {
            drops.count(reason, u64::from(frames), bytes);
        });
        self.drops
    }

    fn split_datagram(&mut self, mut datagram: Box<Datagram>, shares: &mut [Vec<Entry>]) {
        loop {
            let next = match self.decoder.decode_datagram(&datagram) {
                Decoded::Packet(packet) => {
                    let owner = owner(&packet, self.workers);
                    if Classifier::teaches(&packet) {
                        let lesson = Arc::new((*datagram).clone());
                        for (worker, share) in shares.iter_mut().enumerate() {
                            if worker != owner {
                                share.push(Entry::DatagramLesson(Arc::clone(&lesson)));
                            }
                        }
                    }
                    if let Some(share) = shares.get_mut(owner) {
                        share.push(Entry::Datagram(datagram));
                    }
                    return;
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

/// The worker that owns the flows between the packet's addresses. The hash is fixed, so that a run
/// can be repeated; senders who choose addresses can at worst load one worker.
fn owner(packet: &Packet<'_>, workers: usize) -> usize {
    let (a, b) = (packet.source, packet.destination);
    let hash = FixedState::default().hash_one((a.min(b).0, a.max(b).0));
    // Fits: the remainder is below the number of workers.
    (hash % workers as u64) as usize
}
