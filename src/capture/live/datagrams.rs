//! Frames that a mirror sends in datagrams to a UDP socket: VXLAN and GENEVE, as the mirrors of clouds
//! do and switches can.
//!
//! What is handed over is the frame inside, as long as it is itself, with the identifier of its network
//! in its [`Envelope`]. Datagrams are taken many at a time (`recvmmsg(2)`) and stamped by the kernel as
//! they come in (`SO_TIMESTAMPNS`): that costs no call and no clock here, is right also when they have
//! waited, and says how long they have. The socket's buffer is the ring of this source: for what has no
//! room there the kernel keeps a count, see `Drops`.

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Seek as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, getsockopt, recvmmsg, setsockopt,
};
use nix::sys::stat::fstat;
use nix::sys::time::TimeSpec;
use tracing::warn;

use super::course::{self, Course, Kept};
use super::error::Error;
use super::interface::COUNT_EVERY;
use super::place::Mirror;
use super::tap::{BLOCK_BYTES, BLOCK_FRAMES};
use super::{Arrival, Counts, LinkState, Options, Source, set_back, socket};
use crate::capture::bpf::Program;
use crate::capture::filter::Filter;
use crate::capture::listing::MAX_FRAME;
use crate::capture::{Block, Envelope, FrameRef, InterfaceId, LinkType};
use crate::clock;
use crate::time::Timestamp;
use crate::wire::ethernet::EtherType;
use crate::wire::geneve::Geneve;
use crate::wire::vxlan::Vxlan;

/// Datagrams that are taken with one call.
const AT_ONCE: usize = 64;
/// The longest datagram that there is.
const MAX_DATAGRAM: usize = 65_535;
/// What may stand around a frame: the header of GENEVE with the most options.
const MAX_HEADER: usize = 8 + 63 * 4;
/// How long a socket is left alone that gives nothing but errors.
const REST: Duration = Duration::from_millis(10);

/// A socket that a mirror sends frames to.
pub struct Datagrams {
    name: String,
    mirror: Mirror,
    socket: UdpSocket,
    drops: Drops,
    snap_len: usize,
    filter: Option<Programs>,
    /// Room for [`AT_ONCE`] datagrams of so many bytes.
    buffer: Vec<u8>,
    slot: usize,
    /// What was received last, and how much of it has been handed over.
    batch: Vec<Received>,
    taken: usize,
    /// When the last of them came that was looked at.
    seen: Timestamp,
    counts: Counts,
    counted_at: Instant,
    opened: Timestamp,
    course: Course,
    quiet: bool,
    stopped: bool,
    /// It has been told that the socket gives errors.
    reported: bool,
}

/// A datagram in its slot.
#[derive(Clone, Copy, Debug)]
struct Received {
    at: Timestamp,
    /// Its length, of which the slot may hold the beginning only.
    len: usize,
}

/// The filter for both kinds of frames there can be.
struct Programs {
    ethernet: Arc<Program>,
    ip: Arc<Program>,
}

impl Datagrams {
    /// Bytes that one takes besides its ring; which the kernel may fill twice over, for what it needs
    /// itself (`socket(7)`).
    pub const MEMORY: usize = AT_ONCE * MAX_DATAGRAM;

    /// Opens a socket with this `address`, for what `mirror` sends. `now` is since when it counts.
    ///
    /// # Errors
    ///
    /// When the address is not to be had, or libpcap does not take the filter.
    pub fn open(
        options: &Options,
        mirror: Mirror,
        address: SocketAddr,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let name = options.interface.clone();
        let filter = options.filter.as_deref();
        let filter = filter.map(|text| Programs::new(&name, text)).transpose()?;
        let system = |error| Error::of_socket(&name, error);
        let socket = UdpSocket::bind(address).map_err(system)?;
        socket.set_nonblocking(true).map_err(system)?;
        setsockopt(&socket, ReceiveTimestampns, &true).map_err(|errno| system(errno.into()))?;
        enlarge(&socket, options.ring_bytes, &name);
        let drops = Drops::of(&socket).map_err(system)?;
        let snap_len = options.snap_len as usize;
        let slot = (snap_len + MAX_HEADER).min(MAX_DATAGRAM);
        Ok(Self {
            mirror,
            socket,
            drops,
            snap_len,
            filter,
            buffer: vec![0; AT_ONCE * slot],
            slot,
            batch: Vec::with_capacity(AT_ONCE),
            taken: 0,
            seen: now,
            counts: Counts::default(),
            counted_at: clock::steady(),
            opened: now,
            course: Course::new(name.clone(), set_back::DISORDER, now),
            quiet: true,
            stopped: false,
            reported: false,
            name,
        })
    }

    /// Takes in what is there, until the block is full or so much has been looked at that would fill it;
    /// whether that was all.
    fn fill(&mut self, block: &mut Block) -> bool {
        let mut looked_at = 0;
        while block.bytes.len() < BLOCK_BYTES && looked_at < BLOCK_FRAMES {
            if self.taken == self.batch.len() {
                if let Err(error) = self.receive() {
                    self.report(&error);
                }
                if self.batch.is_empty() {
                    return true;
                }
            }
            let slots = self.buffer.chunks_exact(self.slot).zip(&self.batch);
            for (slot, &datagram) in slots.skip(self.taken) {
                self.taken += 1;
                self.seen = datagram.at;
                looked_at += 1;
                let bytes = slot.get(..datagram.len).unwrap_or(slot);
                let mut frame = unwrapped(self.mirror, bytes, datagram.len);
                frame.bytes = frame.bytes.get(..self.snap_len).unwrap_or(frame.bytes);
                if self
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.wants(&frame))
                {
                    frame.add_to(block, datagram.at);
                }
                if block.bytes.len() >= BLOCK_BYTES {
                    break;
                }
            }
        }
        false
    }

    /// Receives as much as one call does.
    fn receive(&mut self) -> io::Result<()> {
        self.batch.clear();
        self.taken = 0;
        let mut headers = MultiHeaders::<()>::preallocate(AT_ONCE, Some(cmsg_space!(TimeSpec)));
        let slots = self.buffer.chunks_exact_mut(self.slot);
        let mut slices: Vec<_> = slots.map(|slot| [IoSliceMut::new(slot)]).collect();
        // With the length of all of a datagram, not of what there was room for.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let descriptor = self.socket.as_raw_fd();
        let datagrams = match recvmmsg(descriptor, &mut headers, slices.iter_mut(), flags, None) {
            Ok(datagrams) => datagrams,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let mut now = None;
        for datagram in datagrams {
            let stamp = datagram.cmsgs().ok().and_then(|mut about| {
                about.find_map(|one| match one {
                    ControlMessageOwned::ScmTimestampns(time) => Some(stamp(time)),
                    _ => None,
                })
            });
            self.batch.push(Received {
                at: stamp.unwrap_or_else(|| *now.get_or_insert_with(clock::now)),
                len: datagram.bytes,
            });
        }
        self.counts.received += self.batch.len() as u64;
        Ok(())
    }

    fn report(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.reported, true) {
            warn!(interface = self.name, %error, "cannot receive");
        }
        // It must not become a busy loop.
        std::thread::sleep(REST);
    }

    fn wait(&self, wait: Duration) {
        let mut descriptors = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        // A signal ends it early, which is what a caller who got one wants.
        let _ = poll(&mut descriptors, timeout);
    }

    fn count(&mut self) {
        self.counted_at = clock::steady();
        if self.stopped {
            return;
        }
        let dropped = self.drops.since_asked();
        self.counts.received += dropped;
        self.counts.dropped_ring += dropped;
    }
}

impl Kept for Datagrams {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn fill(&mut self, block: &mut Block) -> bool {
        Self::fill(self, block)
    }

    fn wait(&mut self, most: Duration) {
        Self::wait(self, most);
    }
}

impl Source for Datagrams {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        if let Some((now, is_all)) = course::take_in(self, block, wait) {
            self.quiet = is_all;
            return match is_all {
                true => self.course.pass_quietly(block, now),
                // All that came so far is left out by the filter.
                false => self.course.pass(block, self.seen),
            };
        }
        self.quiet = false;
        let since = self.course.watermark();
        self.course.hand_over(block, since)
    }

    fn behind(&self) -> Duration {
        if self.quiet {
            return Duration::ZERO;
        }
        clock::now().since(self.course.newest())
    }

    fn stop(&mut self) {
        self.count();
        self.stopped = true;
        // What is refused by this filter would be counted as dropped.
        if let Err(error) = socket::take_nothing(self.socket.as_fd()) {
            warn!(interface = self.name, %error, "cannot stop the capture");
        }
    }

    /// Exact when the last block was [`Arrival::Quiet`] and nothing has come since: then `received`
    /// is the datagrams handed over, those that the filter left out, and those dropped. In between up
    /// to 100 ms old.
    fn counts(&mut self) -> Counts {
        if self.quiet || clock::steady().duration_since(self.counted_at) >= COUNT_EVERY {
            self.count();
        }
        self.counts
    }

    fn state(&self) -> (LinkState, Timestamp) {
        (LinkState::Up, self.opened)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Programs {
    fn new(name: &str, text: &str) -> Result<Self, Error> {
        let mut filter = Filter::new(Path::new(name), text);
        let mut program = |link| {
            filter
                .program(link)
                .map_err(|error| Error::of_filter(name, error))
        };
        Ok(Self {
            ethernet: program(LinkType::ETHERNET)?,
            ip: program(LinkType::RAW)?,
        })
    }

    /// What is no frame of the mirror's is nothing that a filter could judge.
    fn wants(&self, frame: &Unwrapped<'_>) -> bool {
        match (frame.envelope, frame.link) {
            (Envelope::Other | Envelope::Malformed, _) => true,
            (_, LinkType::RAW) => self.ip.accepts(frame.bytes, frame.wire_len),
            _ => self.ethernet.accepts(frame.bytes, frame.wire_len),
        }
    }
}

/// A frame taken out of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unwrapped<'a> {
    envelope: Envelope,
    link: LinkType,
    bytes: &'a [u8],
    wire_len: u32,
}

impl Unwrapped<'_> {
    fn add_to(&self, block: &mut Block, at: Timestamp) {
        block.frames.push(FrameRef {
            at,
            link: self.link,
            interface: InterfaceId::default(),
            // A block holds little more than BLOCK_BYTES.
            offset: block.bytes.len() as u32,
            captured: self.bytes.len() as u32,
            wire_len: self.wire_len,
            envelope: self.envelope,
        });
        block.bytes.extend_from_slice(self.bytes);
    }
}

/// The frame in a datagram of `len` octets, of which `bytes` are there.
fn unwrapped(mirror: Mirror, bytes: &[u8], len: usize) -> Unwrapped<'_> {
    let found = match mirror {
        Mirror::Vxlan => in_vxlan(bytes),
        Mirror::Geneve => in_geneve(bytes),
    };
    let (envelope, link, header) = found.unwrap_or_else(|envelope| (envelope, LinkType::RAW, 0));
    let bytes = bytes.get(header..).unwrap_or_default();
    // No longer than a datagram.
    let wire_len = len.saturating_sub(header).max(bytes.len()) as u32;
    Unwrapped {
        envelope,
        link,
        bytes,
        wire_len: wire_len.min(MAX_FRAME),
    }
}

type Header = Result<(Envelope, LinkType, usize), Envelope>;

fn in_vxlan(bytes: &[u8]) -> Header {
    let vxlan = Vxlan::parse(bytes).map_err(|_| Envelope::Malformed)?;
    // The bit of the generic protocol extension is one to be ignored where that is not spoken.
    let version = bytes.get(Vxlan::LEN).map(|first| first >> 4);
    let link = match (vxlan.ether_type(), version) {
        (Some(EtherType::IPV4), Some(4)) | (Some(EtherType::IPV6), Some(6)) => LinkType::RAW,
        _ => LinkType::ETHERNET,
    };
    Ok((Envelope::Vxlan(vxlan.vni), link, Vxlan::LEN))
}

fn in_geneve(bytes: &[u8]) -> Header {
    /// The O bit (RFC 8926, section 3.4): a message to the tunnel's end.
    const CONTROL: u8 = 0x80;
    let geneve = Geneve::parse(bytes).map_err(|_| match bytes {
        [version, flags, ..] if version >> 6 == 0 && flags & CONTROL != 0 => Envelope::Other,
        _ => Envelope::Malformed,
    })?;
    if geneve.len > bytes.len() {
        return Err(Envelope::Malformed);
    }
    let link = match geneve.protocol {
        EtherType::BRIDGED => LinkType::ETHERNET,
        EtherType::IPV4 | EtherType::IPV6 => LinkType::RAW,
        _ => return Err(Envelope::Other),
    };
    Ok((Envelope::Geneve(geneve.vni), link, geneve.len))
}

fn stamp(time: TimeSpec) -> Timestamp {
    Timestamp::new(
        u64::try_from(time.tv_sec()).unwrap_or(0),
        u64::try_from(time.tv_nsec()).unwrap_or(0),
    )
}

/// Gives the socket so much room as it may have.
fn enlarge(socket: &UdpSocket, bytes: u32, name: &str) {
    let asked = bytes as usize;
    // Beyond the system's limit it takes CAP_NET_ADMIN, which root has.
    if setsockopt(socket, RcvBufForce, &asked).is_err() {
        let _ = setsockopt(socket, RcvBuf, &asked);
    }
    // The kernel doubles the number for what it needs itself (`socket(7)`).
    let given = getsockopt(socket, RcvBuf).unwrap_or_default() / 2;
    if given < asked {
        warn!(
            interface = name,
            "the socket's buffer has {} KiB, not the {} KiB of the ring size: bursts may be lost; \
             sysctl net.core.rmem_max={asked} allows it",
            given >> 10,
            asked >> 10,
        );
    }
}

/// Datagrams that the kernel has dropped for want of room in the socket's buffer, as the tables of
/// `/proc/net` say. (`SO_RXQ_OVFL` tells it with the next datagram, and there may be none.)
struct Drops {
    /// Of the process's network namespace when it was opened.
    table: File,
    inode: String,
    /// The kernel's count when last asked, which has 32 bits.
    asked: u32,
    text: Vec<u8>,
}

impl Drops {
    fn of(socket: &UdpSocket) -> io::Result<Self> {
        let path = match socket.local_addr()? {
            SocketAddr::V4(_) => "/proc/thread-self/net/udp",
            SocketAddr::V6(_) => "/proc/thread-self/net/udp6",
        };
        let inode = fstat(socket)?.st_ino.to_string();
        let mut drops = Self {
            table: File::open(path)?,
            inode,
            asked: 0,
            text: Vec::new(),
        };
        if drops.read()?.is_none() {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                format!("the socket is not in {path}: losses could not be counted"),
            ));
        }
        Ok(drops)
    }

    /// Those since it was last asked.
    fn since_asked(&mut self) -> u64 {
        let Ok(Some(now)) = self.read() else {
            return 0;
        };
        u64::from(now.wrapping_sub(std::mem::replace(&mut self.asked, now)))
    }

    fn read(&mut self) -> io::Result<Option<u32>> {
        self.table.rewind()?;
        self.text.clear();
        self.table.read_to_end(&mut self.text)?;
        let text = String::from_utf8_lossy(&self.text);
        Ok(text.lines().find_map(|line| dropped(line, &self.inode)))
    }
}

/// What a line of the table says of drops, if it is that of the socket with this inode.
fn dropped(line: &str, inode: &str) -> Option<u32> {
    /// Before the inode stand slot, addresses, state, queues, timer, retransmissions, user and timeout.
    const INODE: usize = 9;
    let mut words = line.split_ascii_whitespace().skip(INODE);
    words.next().filter(|word| *word == inode)?;
    // References and a pointer stand between.
    words.nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of GENEVE with so many words of options.
    fn geneve(first: u8, flags: u8, protocol: u16, options: usize) -> Vec<u8> {
        let [high, low] = protocol.to_be_bytes();
        let mut header = vec![first, flags, high, low, 1, 2, 3, 0];
        header.resize(8 + 4 * options, 0xaa);
        header
    }

    #[test]
    fn frames_come_out_of_datagrams() {
        let vxlan = |flags, next| vec![flags, 0, 0, next, 1, 2, 3, 0];
        let packet = |first: u8| vec![first, 7, 7, 7];
        let (in_vxlan, in_geneve) = (Envelope::Vxlan(0x01_0203), Envelope::Geneve(0x01_0203));
        let (ethernet, ip) = (LinkType::ETHERNET, LinkType::RAW);
        let (other, malformed) = (Envelope::Other, Envelope::Malformed);
        /// The envelope, what the frame is, octets of the header.
        type Inside = (Envelope, LinkType, usize);
        // How it is wrapped, header, what follows, what comes out.
        let rows: [(Mirror, Vec<u8>, u8, Inside); 16] = [
            (Mirror::Vxlan, vxlan(0x08, 0), 0x02, (in_vxlan, ethernet, 8)),
            (Mirror::Vxlan, vxlan(0xff, 0), 0x02, (in_vxlan, ethernet, 8)),
            (Mirror::Vxlan, vxlan(0x0c, 1), 0x45, (in_vxlan, ip, 8)),
            (Mirror::Vxlan, vxlan(0x0c, 2), 0x60, (in_vxlan, ip, 8)),
            (Mirror::Vxlan, vxlan(0x0c, 1), 0x02, (in_vxlan, ethernet, 8)),
            (Mirror::Vxlan, vxlan(0x00, 0), 0x02, (malformed, ip, 0)),
            (Mirror::Vxlan, vec![8; 3], 0x02, (malformed, ip, 0)),
            (
                Mirror::Geneve,
                geneve(0, 0, 0x6558, 0),
                2,
                (in_geneve, ethernet, 8),
            ),
            (
                Mirror::Geneve,
                geneve(2, 0, 0x6558, 2),
                2,
                (in_geneve, ethernet, 16),
            ),
            (
                Mirror::Geneve,
                geneve(63, 0, 0x0800, 63),
                0x45,
                (in_geneve, ip, 260),
            ),
            (
                Mirror::Geneve,
                geneve(0, 0, 0x86dd, 0),
                0x60,
                (in_geneve, ip, 8),
            ),
            (Mirror::Geneve, geneve(0, 0, 0x0806, 0), 0, (other, ip, 0)),
            (
                Mirror::Geneve,
                geneve(0, 0x80, 0x6558, 0),
                0,
                (other, ip, 0),
            ),
            (
                Mirror::Geneve,
                geneve(0x40, 0, 0x6558, 0),
                0,
                (malformed, ip, 0),
            ),
            // Options that are not there.
            (
                Mirror::Geneve,
                geneve(63, 0, 0x6558, 1),
                0,
                (malformed, ip, 0),
            ),
            (Mirror::Geneve, vec![], 0, (malformed, ip, 0)),
        ];
        for (mirror, header, first, (envelope, link, len)) in rows {
            let datagram = [header.clone(), packet(first)].concat();
            let expected = Unwrapped {
                envelope,
                link,
                bytes: datagram.get(len..).unwrap(),
                wire_len: (datagram.len() - len) as u32,
            };
            let found = unwrapped(mirror, &datagram, datagram.len());
            assert_eq!(found, expected, "{mirror:?} {header:02x?}");
            // Of a longer one that was cut as much is known.
            let found = unwrapped(mirror, &datagram, datagram.len() + 1000);
            let wire_len = expected.wire_len + 1000;
            assert_eq!(
                found,
                Unwrapped {
                    wire_len,
                    ..expected
                }
            );
            for len in 0..datagram.len() {
                let cut = datagram.get(..len).unwrap();
                let found = unwrapped(mirror, cut, len);
                assert!(found.bytes.len() <= found.wire_len as usize);
            }
        }
    }

    #[test]
    fn drops_are_found_by_the_inode() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             1234: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17\n\
             1235: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 471 2 0000000000000000 4294967295\n";
        for (inode, expected) in [("4711", Some(17)), ("471", Some(u32::MAX)), ("17", None)] {
            let found = table.lines().find_map(|line| dropped(line, inode));
            assert_eq!(found, expected, "{inode}");
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(Drops::of(&socket).unwrap().since_asked(), 0);
    }
}
