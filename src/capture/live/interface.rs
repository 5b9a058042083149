//! One interface captured by one thread through libpcap, which on Linux reads a ring shared with
//! the kernel (`TPACKET_V3`).
//!
//! The kernel fills blocks of the ring and hands over each when it is full or 10 ms old. Frames are
//! copied once, out of the ring into the recycled [`Block`], so that the ring is free again soon.
//!
//! Counting is exact: from the moment a source is open, every frame the kernel takes for it is
//! handed over or counted as dropped. Therefore it opens with a filter that passes nothing, throws
//! away what the ring had taken before, joins its fanout, and only then sets the real filter. To
//! stop, it sets that first filter again, and empties the ring.
//! An interface captured by several threads is shared as intended once all of them are open; until
//! then those that are open have it all.

use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket as open_socket};
use pcap::{Active, BreakLoop, Capture, Linktype, Packet, Precision, Stat};
use tracing::{info, warn};

use super::error::{Error, message};
use super::link::{self, Link};
use super::{Arrival, Counts, LinkState, Options, Source, clock, fanout, socket};
use crate::capture::listing::MAX_FRAME;
use crate::capture::{Block, FrameRef, LinkType};
use crate::time::Timestamp;

/// A block is full with so many bytes; the last frame may go beyond.
const BLOCK_BYTES: usize = 256 * 1024;
/// And with so many frames.
const BLOCK_FRAMES: usize = 4096;

/// How old a block of the ring may get before the kernel hands it over as it is.
const RETIRE: Duration = Duration::from_millis(10);
/// How far a quiet link's watermark is behind the clock: a frame is stamped, put into the ring and
/// handed over in less.
const LAG: Duration = Duration::from_millis(50);

/// How often a quiet interface is looked after.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the counts are asked for while frames keep coming.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// After how many frames they are asked for in any case: libpcap's counters have 32 bits.
const COUNT_AFTER: u64 = 1 << 30;

const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);

/// The smallest ring: two of libpcap's blocks.
const LEAST_RING: u32 = 512 * 1024;

/// A live interface.
pub struct Interface {
    options: Options,
    tap: Tap,
    state: (LinkState, Timestamp),
    counts: Counts,
    counted_at: Instant,
    looked_at: Instant,
    look_now: bool,
    stopped: bool,
    /// Whether the last block was [`Arrival::Quiet`]: then the counts are worth asking for.
    quiet: bool,
    next_number: u64,
    position: u64,
    watermark: Timestamp,
}

/// Whether libpcap has it open.
enum Tap {
    Open(Open),
    Closed { retry_at: Instant, pause: Duration },
}

struct Open {
    capture: Capture<Active>,
    stop: BreakLoop,
    link: LinkType,
    /// The interface's number, to notice when another one has taken the name.
    index: u32,
    /// libpcap's counters when last asked.
    stat: Stat,
    /// What came through this capture: offered, dropped and handed over.
    received: u64,
    dropped: u64,
    handed_over: u64,
    handed_over_when_counted: u64,
}

impl Interface {
    /// Opens the interface for capture. `now` is since when its state counts.
    ///
    /// Every frame that passes the interface after this is handed over or counted as dropped.
    ///
    /// # Errors
    ///
    /// When there is no such interface, it is down, the process may not capture, or libpcap or the
    /// kernel refuse the options.
    pub fn open(options: &Options, now: Timestamp) -> Result<Self, Error> {
        let open = Open::new(options)?;
        let state = look(&options.interface, Some(open.index));
        let steady = clock::steady();
        Ok(Self {
            options: options.clone(),
            tap: Tap::Open(open),
            state: (state, now),
            counts: Counts::default(),
            counted_at: steady,
            looked_at: steady,
            look_now: false,
            stopped: false,
            quiet: true,
            next_number: 1,
            position: 0,
            watermark: Timestamp(0),
        })
    }

    fn fill(&mut self, block: &mut Block) -> usize {
        let Tap::Open(open) = &mut self.tap else {
            return 0;
        };
        let result = open.fill(block);
        let frames = block.frames.len();
        open.handed_over += frames as u64;
        // What libpcap took in before an error counts all the same.
        if let Err(error) = result {
            self.close(&error);
        }
        frames
    }

    /// Waits until frames are there, or for as long as it may.
    fn wait(&mut self, wait: Duration) {
        let Tap::Open(open) = &self.tap else {
            let now = clock::steady();
            if let Tap::Closed { retry_at, .. } = self.tap {
                thread::sleep(wait.min(retry_at.saturating_duration_since(now)));
            }
            return;
        };
        let mut descriptors = [PollFd::new(open.capture.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        // A signal ends it early, which is what a caller who got one wants.
        let ready = poll(&mut descriptors, timeout);
        let [descriptor] = descriptors;
        let error = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        if ready.is_ok_and(|ready| ready > 0)
            && descriptor
                .revents()
                .is_some_and(|events| events.intersects(error))
        {
            // Something has happened to it. libpcap will see, and clear, the error; should it
            // not, this must not become a busy loop.
            self.look_now = true;
            thread::sleep(wait.min(RETIRE));
        }
    }

    /// Looks after an interface that gives nothing.
    fn look_after(&mut self) {
        let now = clock::steady();
        if let Tap::Closed { retry_at, pause } = &mut self.tap {
            if now < *retry_at || self.stopped {
                return;
            }
            *pause = (*pause * 2).min(LAST_RETRY);
            *retry_at = now + *pause;
            self.reopen();
        } else if self.look_now || now.duration_since(self.looked_at) >= LOOK_EVERY {
            self.look_now = false;
            self.looked_at = now;
            self.look();
        }
    }

    fn look(&mut self) {
        let Tap::Open(open) = &self.tap else {
            return;
        };
        let state = look(&self.options.interface, Some(open.index));
        self.set_state(state);
        if state == LinkState::Gone {
            self.close(&pcap::Error::PcapError("the interface is gone".to_owned()));
        }
    }

    /// Counts what has come, closes the capture, and has it opened again later.
    fn close(&mut self, error: &pcap::Error) {
        let now = clock::steady();
        let closed = Tap::Closed {
            retry_at: now + FIRST_RETRY,
            pause: FIRST_RETRY,
        };
        if let Tap::Open(mut open) = std::mem::replace(&mut self.tap, closed) {
            open.count(&mut self.counts);
            // What was in the ring and did not come out is lost as if there had been no room.
            let left = open
                .received
                .saturating_sub(open.dropped)
                .saturating_sub(open.handed_over);
            self.counts.dropped_ring += left;
            warn!(
                interface = self.options.interface,
                reason = message(error),
                "capture interrupted"
            );
        }
        self.set_state(look(&self.options.interface, None));
    }

    fn reopen(&mut self) {
        match Open::new(&self.options) {
            Ok(open) => {
                let state = look(&self.options.interface, Some(open.index));
                self.tap = Tap::Open(open);
                info!(interface = self.options.interface, "capture resumed");
                self.set_state(state);
            }
            Err(Error::NoSuchInterface { .. }) => self.set_state(LinkState::Gone),
            Err(Error::Down { .. }) => self.set_state(LinkState::Down),
            Err(error) => {
                // Threads of a fanout leave the old interface one after the other: until the
                // last has, the group is not free for the new one.
                if let Tap::Closed { pause, .. } = self.tap
                    && pause >= LAST_RETRY
                {
                    warn!(interface = self.options.interface, %error, "cannot resume capture");
                }
                self.set_state(LinkState::Down);
            }
        }
    }

    fn set_state(&mut self, state: LinkState) {
        if self.state.0 == state {
            return;
        }
        self.state = (state, clock::wall());
        let interface = &self.options.interface;
        match state {
            LinkState::Up => info!(interface, "interface is up"),
            LinkState::Down => warn!(interface, "interface is down"),
            LinkState::Gone => warn!(interface, "interface is gone"),
        }
    }

    fn count(&mut self) {
        self.counted_at = clock::steady();
        if let Tap::Open(open) = &mut self.tap {
            open.count(&mut self.counts);
        }
    }

    fn finish(&mut self, block: &mut Block) {
        block.first_number = self.next_number;
        self.next_number += block.frames.len() as u64;
        self.position += block.bytes.len() as u64;
        block.position = self.position;
        let latest = block.frames.iter().map(|frame| frame.at).max();
        self.watermark = self.watermark.max(latest.unwrap_or_default());
        block.watermark = self.watermark;
        if let Tap::Open(open) = &self.tap
            && open.handed_over - open.handed_over_when_counted >= COUNT_AFTER
        {
            self.count();
        }
    }
}

impl Source for Interface {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        block.clear();
        let mut frames = self.fill(block);
        if frames == 0 {
            self.wait(wait);
            // Before looking into the ring: what comes later is later than this.
            let now = clock::wall();
            frames = self.fill(block);
            if frames == 0 {
                let lag = u64::try_from(LAG.as_nanos()).unwrap_or(u64::MAX);
                // If the clock has been set back, time stands still until it is there again.
                self.watermark = self.watermark.max(Timestamp(now.0.saturating_sub(lag)));
                self.look_after();
            }
        }
        self.finish(block);
        self.quiet = frames == 0;
        if self.quiet {
            return Arrival::Quiet;
        }
        self.set_state(LinkState::Up);
        Arrival::Frames
    }

    fn stop(&mut self) {
        self.stopped = true;
        if let Tap::Open(open) = &self.tap
            && let Err(error) = socket::take_nothing(open.capture.as_fd())
        {
            warn!(interface = self.options.interface, %error, "cannot stop the capture");
        }
    }

    /// Exact when the last block was [`Arrival::Quiet`] and nothing has come since: then
    /// `received` is the frames handed over and those dropped. In between up to 100 ms old.
    fn counts(&mut self) -> Counts {
        if self.quiet || clock::steady().duration_since(self.counted_at) >= COUNT_EVERY {
            self.count();
        }
        self.counts
    }

    fn state(&self) -> (LinkState, Timestamp) {
        self.state
    }

    fn name(&self) -> &str {
        &self.options.interface
    }
}

impl Open {
    fn new(options: &Options) -> Result<Self, Error> {
        let name = &options.interface;
        let Some(link) = link::find(name) else {
            return Err(Error::NoSuchInterface {
                name: name.clone(),
                known: link::names(),
            });
        };
        let failed = |error: pcap::Error| Error::Capture {
            name: name.clone(),
            message: message(&error),
        };
        let system = |error: io::Error| Error::Capture {
            name: name.clone(),
            message: error.to_string(),
        };
        let limited = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let mut capture = Capture::from_device(name.as_str())
            .and_then(|capture| {
                capture
                    .promisc(options.promiscuous)
                    .snaplen(limited(options.snap_len.clamp(1, MAX_FRAME)))
                    .buffer_size(limited(options.ring_bytes.max(LEAST_RING)))
                    .timeout(RETIRE.as_millis() as i32)
                    .immediate_mode(false)
                    // libpcap has it for every network interface of Linux.
                    .precision(Precision::Nano)
                    .open()
            })
            .map_err(|error| diagnose(name, &error))?
            .setnonblock()
            .map_err(failed)?;
        if name == link::ANY {
            // Where libpcap has no version 2 of the cooked header (1.10), version 1 will do.
            let _ = capture.set_datalink(Linktype(LinkType::LINUX_SLL2.0.into()));
        }
        let filter = filter(options, link, &capture)?;
        socket::take_nothing(capture.as_fd()).map_err(system)?;
        if link.loopback {
            // What goes out comes in again, and libpcap would count it as lost. Without this
            // option (Linux 4.20) that is all that happens.
            let _ = socket::ignore_outgoing(capture.as_fd());
        }
        let mut stat = capture.stats().map_err(failed)?;
        if stat.received > 0 {
            // Once its blocks have been handed over, the ring is empty.
            thread::sleep(RETIRE * 3);
            capture.dispatch(None, |_| ()).map_err(failed)?;
            stat = capture.stats().map_err(failed)?;
        }
        if let Some(place) = options.fanout
            && place.members > 1
        {
            socket::join_fanout(
                capture.as_fd(),
                place.group,
                place.members,
                &fanout::program(),
            )
            .map_err(|source| Error::Fanout {
                name: name.clone(),
                group: place.group,
                source,
            })?;
        }
        capture.filter(&filter, true).map_err(failed)?;
        Ok(Self {
            stop: capture.breakloop_handle(),
            link: LinkType(u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX)),
            index: link.index,
            capture,
            stat,
            received: 0,
            dropped: 0,
            handed_over: 0,
            handed_over_when_counted: 0,
        })
    }

    /// Takes in what is there, until the block is full.
    fn fill(&mut self, block: &mut Block) -> Result<(), pcap::Error> {
        let Self {
            capture,
            stop,
            link,
            ..
        } = self;
        let Block { bytes, frames, .. } = block;
        bytes.reserve(BLOCK_BYTES);
        let mut full = false;
        let result = capture.dispatch(Some(BLOCK_FRAMES), |packet: Packet<'_>| {
            let captured = packet.data.len() as u32;
            let on_wire = packet.header.len;
            frames.push(FrameRef {
                at: timestamp(&packet),
                link: *link,
                // A block holds little more than BLOCK_BYTES.
                offset: bytes.len() as u32,
                captured,
                // As in files: a length that cannot be true is not counted.
                wire_len: if (captured..=MAX_FRAME).contains(&on_wire) {
                    on_wire
                } else {
                    captured
                },
            });
            bytes.extend_from_slice(packet.data);
            if bytes.len() >= BLOCK_BYTES {
                full = true;
                // The rest stays in the ring.
                stop.breakloop();
            }
        });
        match result {
            // That is how libpcap says that it has been stopped.
            Err(_) if full => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Adds to `counts` what has come since it was last asked.
    fn count(&mut self, counts: &mut Counts) {
        self.handed_over_when_counted = self.handed_over;
        let Ok(stat) = self.capture.stats() else {
            return;
        };
        // libpcap on Linux counts in `received` what was dropped for want of room, too, and adds
        // up 32 bits; in `if_dropped` it has the interface's missed and FIFO errors if
        // promiscuous. The interface's own count of dropped frames is no substitute: it includes
        // those that were captured and then wanted by no protocol.
        let since = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        let received = since(stat.received, self.stat.received);
        let dropped = since(stat.dropped, self.stat.dropped);
        self.received += received;
        self.dropped += dropped;
        counts.received += received;
        counts.dropped_ring += dropped;
        counts.dropped_interface += since(stat.if_dropped, self.stat.if_dropped);
        self.stat = stat;
    }
}

/// With nanosecond precision, the field for microseconds holds nanoseconds.
fn timestamp(packet: &Packet<'_>) -> Timestamp {
    let time = packet.header.ts;
    Timestamp::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u64::try_from(time.tv_usec).unwrap_or(0),
    )
}

/// The filter to set: that asked for, and without what loopback shows twice.
fn filter(options: &Options, link: Link, capture: &Capture<Active>) -> Result<String, Error> {
    let asked = options.filter.as_deref().unwrap_or_default();
    // On its own first, so that a message is about what the user wrote, and no unmatched
    // parenthesis gets out of ours.
    capture
        .compile(asked, true)
        .map_err(|error| Error::Filter {
            name: options.interface.clone(),
            filter: asked.to_owned(),
            message: message(&error),
        })?;
    let cooked_v2 = capture.get_datalink().0 == i32::from(LinkType::LINUX_SLL2.0);
    let loopback = link::find("lo").filter(|link| link.loopback);
    Ok(match (link.index, loopback) {
        (0, Some(loopback)) if cooked_v2 => {
            let once = format!("not (outbound and ifindex {})", loopback.index);
            if asked.trim().is_empty() {
                once
            } else {
                format!("{once} and ({asked})")
            }
        }
        _ => asked.to_owned(),
    })
}

/// Whether the interface gives frames. With `index`, another one of the same name is none.
fn look(name: &str, index: Option<u32>) -> LinkState {
    match link::find(name) {
        None => LinkState::Gone,
        Some(link) if index.is_some_and(|index| index != link.index) => LinkState::Gone,
        Some(link) if link.running => LinkState::Up,
        Some(_) => LinkState::Down,
    }
}

/// Why libpcap could not open it.
fn diagnose(name: &str, error: &pcap::Error) -> Error {
    let name = name.to_owned();
    let kind = SockType::Raw;
    // No protocol: nothing is captured by the attempt.
    let flags = SockFlag::SOCK_CLOEXEC;
    if let Err(Errno::EPERM | Errno::EACCES) = open_socket(AddressFamily::Packet, kind, flags, None)
    {
        return Error::PermissionDenied { name };
    }
    match link::find(&name) {
        None => Error::NoSuchInterface {
            name,
            known: link::names(),
        },
        Some(link) if !link.up => Error::Down { name },
        Some(_) => Error::Capture {
            name,
            message: message(error),
        },
    }
}
