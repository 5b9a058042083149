//! What every live source of blocks offers, whatever is behind it, and how it is opened.

use std::time::Duration;

use crate::capture::Block;
use crate::time::Timestamp;

/// How one interface is captured by one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The interface's name, `any`, or what else a [`Place`](super::Place) is said by.
    pub interface: String,
    /// Take in frames for other hosts as well, as a mirror port needs.
    pub promiscuous: bool,
    /// Bytes of each frame that are taken in.
    pub snap_len: u32,
    /// Bytes of the ring the kernel fills, or of a socket's buffer; each capture thread has one.
    pub ring_bytes: u32,
    /// Frames that do not pass this BPF filter stay in the kernel (`pcap-filter(7)`), or are left out
    /// uncounted by those who take frames from sockets.
    ///
    /// Tests of direction (`inbound`, `outbound`) leave out too much at the very start on an
    /// Ethernet interface: libpcap filters the ring's first block a second time, without knowing.
    pub filter: Option<String>,
    /// Share the interface's frames with other threads.
    pub fanout: Option<Fanout>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interface: String::new(),
            promiscuous: true,
            snap_len: 65_535,
            ring_bytes: 64 << 20,
            filter: None,
            fanout: None,
        }
    }
}

/// A thread's place in a group that shares an interface's frames by address pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fanout {
    /// The group's number, one for each interface.
    pub group: u16,
    /// How many threads there are in it.
    pub members: u16,
}

/// Whether an interface gives frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// It does.
    #[default]
    Up,
    /// It is there but down, or without carrier: the cable is out, the other end is down.
    Down,
    /// There is no such interface any more.
    Gone,
}

impl LinkState {
    /// The word for people and labels.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }
}

/// Frames a source has seen and lost since it was opened; they never go back, whatever the
/// interface does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames the kernel offered to this source: those it handed over and those it dropped.
    pub received: u64,
    /// Frames dropped because the ring, or the socket's buffer, was full.
    pub dropped_ring: u64,
    /// Frames the interface or its driver dropped before, where they tell. They are those of the
    /// whole interface: each member of a fanout counts the same. Of a stream: records that it broke at.
    pub dropped_interface: u64,
}

/// What a source did when asked for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// There are frames in the block.
    Frames,
    /// Nothing came within the time allowed; the block's watermark is the time up to which it is
    /// sure that no frame is outstanding.
    Quiet,
    /// The clock that stamps frames has been set back. The block has no frames; its watermark, and
    /// the times of all frames to come, are earlier than those before.
    SetBack,
}

/// A live stream of blocks.
pub trait Source: Send {
    /// Empties `block` and fills it with what has arrived, waiting at most `wait` for the first
    /// frame. Frames are numbered through from 1.
    ///
    /// The watermark never goes back, but at [`Arrival::SetBack`]. On a quiet link it follows the
    /// clock, behind by what the kernel may still hold: so flows and intervals end also where
    /// nothing comes.
    ///
    /// An interface that goes down or vanishes is no error: it is quiet, see
    /// [`Source::state`], and opened again when it is back.
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival;

    /// How long the newest frame of the last block had been waiting: when it grows, the ring
    /// fills.
    fn behind(&self) -> Duration;

    /// Takes in no more frames. What came before is still handed over: ask for blocks, with a
    /// wait of at least 50 ms, until it is [`Arrival::Quiet`]; then the counts are final.
    fn stop(&mut self) {}

    /// What was seen and lost so far.
    fn counts(&mut self) -> Counts;

    /// Whether the interface gives frames, and since when.
    fn state(&self) -> (LinkState, Timestamp);

    /// The interface's name.
    fn name(&self) -> &str;
}
