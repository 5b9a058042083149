//! A capture handle of libpcap, from its opening to its counters.
//!
//! On Linux it reads a ring shared with the kernel (`TPACKET_V3`). The kernel fills blocks of the
//! ring and hands over each when it is full or 10 ms old. Frames are copied once, out of the ring
//! into the recycled [`Block`], so that the ring is free again soon.
//!
//! `interface` uses it and says why it opens in the order it does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket as open_socket};
use pcap::{Active, BreakLoop, Capture, Packet, Precision, Stat};

use super::error::{Error, message};
use super::link;
use super::{Counts, Options, fanout, socket};
use crate::capture::listing::MAX_FRAME;
use crate::capture::{Block, Envelope, FrameRef, InterfaceId, LinkType};
use crate::time::Timestamp;

/// A block is full with so many bytes; the last frame may go beyond.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
/// The most bytes of frames in a block of a live source.
pub const MAX_BLOCK: usize = BLOCK_BYTES + MAX_FRAME as usize;
/// And with so many frames.
pub(super) const BLOCK_FRAMES: usize = 4096;
/// How old a block of the ring may get before the kernel hands it over as it is.
pub(super) const RETIRE: Duration = Duration::from_millis(10);
/// The smallest ring: two of libpcap's blocks.
const LEAST_RING: u32 = 512 * 1024;

/// An interface that libpcap has open.
pub(super) struct Tap {
    capture: Capture<Active>,
    breaker: BreakLoop,
    link: LinkType,
    /// The interface's number, to notice when another one has taken the name.
    pub(super) index: u32,
    /// libpcap's counters when last asked.
    stat: Stat,
    /// What came through this capture: offered, dropped and handed over.
    received: u64,
    dropped: u64,
    handed_over: u64,
    handed_over_when_counted: u64,
}

impl Tap {
    /// Opens it.
    pub(super) fn open(options: &Options) -> Result<Self, Error> {
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
        let snap_len = options.snap_len.clamp(1, MAX_FRAME);
        let mut capture = Capture::from_device(name.as_str())
            .and_then(|capture| {
                capture
                    .promisc(options.promiscuous)
                    .snaplen(limited(snap_len))
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
        // `any` stays at version 1 of the cooked header: with version 2, libpcap does not put the
        // VLAN tag back that the kernel has taken off the frame.
        let filter = options.filter.as_deref().unwrap_or_default();
        capture
            .compile(filter, true)
            .map_err(|error| Error::Filter {
                name: name.clone(),
                filter: filter.to_owned(),
                message: message(&error),
            })?;
        // `any` shows what goes over loopback going out and coming in: once will do.
        let loopback = link::find("lo").filter(|lo| link.index == 0 && lo.loopback);
        let once = match loopback {
            Some(loopback) => {
                capture.filter(filter, true).map_err(failed)?;
                let index = loopback.index;
                Some(
                    socket::filter_without_sent_by(capture.as_fd(), index, snap_len)
                        .map_err(system)?,
                )
            }
            None => None,
        };
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
        match once {
            Some(program) => socket::set_filter(capture.as_fd(), &program).map_err(system)?,
            None => capture.filter(filter, true).map_err(failed)?,
        }
        Ok(Self {
            breaker: capture.breakloop_handle(),
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

    /// What to wait on for frames.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }

    /// Lets the kernel add nothing to the ring.
    pub(super) fn stop(&self) -> io::Result<()> {
        socket::take_nothing(self.capture.as_fd())
    }

    /// Takes in what is there, until the block is full.
    pub(super) fn fill(&mut self, block: &mut Block) -> Result<(), pcap::Error> {
        let Self {
            capture,
            breaker,
            link,
            handed_over,
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
                interface: InterfaceId::default(),
                // A block holds little more than BLOCK_BYTES.
                offset: bytes.len() as u32,
                captured,
                // As in files: a length that cannot be true is not counted.
                wire_len: if (captured..=MAX_FRAME).contains(&on_wire) {
                    on_wire
                } else {
                    captured
                },
                envelope: Envelope::None,
            });
            bytes.extend_from_slice(packet.data);
            if bytes.len() >= BLOCK_BYTES {
                full = true;
                // The rest stays in the ring.
                breaker.breakloop();
            }
        });
        *handed_over += frames.len() as u64;
        match result {
            // That is how libpcap says that it has been stopped.
            Err(_) if full => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Adds to `counts` what has come since it was last asked.
    pub(super) fn count(&mut self, counts: &mut Counts) {
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

    /// How many frames have been handed over since the counters were last asked.
    pub(super) const fn uncounted(&self) -> u64 {
        self.handed_over - self.handed_over_when_counted
    }

    /// How many frames have been taken into the ring and were not handed over, when last asked.
    pub(super) const fn outstanding(&self) -> u64 {
        self.received
            .saturating_sub(self.dropped)
            .saturating_sub(self.handed_over)
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
