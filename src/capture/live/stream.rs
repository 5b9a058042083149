//! A capture that another host sends over TCP, as pcap or pcapng: "pcap over IP".
//!
//! A thread of its own connects, or waits for who connects, and reads with the reader of capture files
//! ([`Reader`]): for that a stream is a file that comes when it comes. When it ends, or makes no sense any
//! more, that is told and another is opened, after pauses that grow as long as no frame comes. Nobody
//! who sends can make the program hold more than [`AHEAD`] blocks and a record of [`MAX_BLOCK`]: what
//! is not read yet waits at the sender, which may drop frames and is the only one to know.
//!
//! Time is that of the frames. While none come it goes on as fast as this machine's clock.

use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval};
use tracing::{info, warn};

use super::course::Course;
use super::error::Error;
use super::interface::{FIRST_RETRY, LAST_RETRY};
use super::tap::BLOCK_BYTES;
use super::{Arrival, Counts, LinkState, MAX_BLOCK, Options, Source};
use crate::capture::file::{self, Reader};
use crate::capture::filter::Filter;
use crate::capture::stop::Stop;
use crate::capture::{Block, LinkType};
use crate::clock;
use crate::host::Host;
use crate::time::Timestamp;

/// Blocks that are read ahead of what has been handed over.
const AHEAD: usize = 2;
/// How long a host may take to answer.
const CONNECTING: Duration = Duration::from_secs(5);
/// Seconds after which a silent sender is asked whether it is still there, seconds between two
/// questions, and how many stay without an answer before it is taken for gone.
const ALIVE: [u32; 3] = [30, 10, 3];
/// How far a quiet stream's watermark is behind its time: senders hold frames back for so long, to send
/// more at once.
const LAG: Duration = Duration::from_secs(2);
/// How much earlier than the one before a frame of a capture may be: several interfaces that were put
/// together are in disorder.
const DISORDER: Duration = Duration::from_secs(10);
/// How long the thread may take to hand over what had come before the end.
const LAST_BLOCKS: Duration = Duration::from_secs(1);

/// A capture that comes over TCP.
pub struct CaptureStream {
    name: String,
    /// What its thread begins with.
    peer: Option<Peer>,
    events: Receiver<Event>,
    spare: Sender<Block>,
    is_asked_to_stop: Arc<AtomicBool>,
    /// Wakes the thread when it is closed.
    waker: Option<PipeWriter>,
    counts: Counts,
    state: (LinkState, Timestamp),
    course: Course,
    /// When the last frame came.
    came: Instant,
}

/// What the thread has to tell.
enum Event {
    Connected,
    Block(Block),
    Ended {
        /// Whether there was a record that could not be read.
        is_damaged: bool,
    },
}

/// The other side, and all that the thread needs.
struct Peer {
    name: String,
    place: PeerPlace,
    options: file::Options,
    wakes: PipeReader,
    events: Sender<Event>,
    spare: Receiver<Block>,
}

enum PeerPlace {
    Host(Host, Vec<SocketAddr>),
    Listener(TcpListener),
}

impl CaptureStream {
    /// Bytes that one takes: blocks on their way, one that is read, and what is left of the last.
    pub const MEMORY: usize = (2 * AHEAD + 2) * MAX_BLOCK;

    /// Looks up the host, which is connected to once the first block is asked for. `now` is since when
    /// its state counts.
    ///
    /// # Errors
    ///
    /// When there is no such host, or libpcap does not take the filter.
    pub fn connect(options: &Options, host: &Host, now: Timestamp) -> Result<Self, Error> {
        let found = host
            .addresses()
            .map_err(|error| Error::of_socket(&options.interface, error))?;
        Self::open(options, PeerPlace::Host(host.clone(), found), now)
    }

    /// Takes the address, for one at a time who connects. `now` is since when its state counts.
    ///
    /// # Errors
    ///
    /// When the address is not to be had, or libpcap does not take the filter.
    pub fn listen(options: &Options, address: SocketAddr, now: Timestamp) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(|error| Error::of_socket(&options.interface, error))?;
        Self::open(options, PeerPlace::Listener(listener), now)
    }

    fn open(options: &Options, place: PeerPlace, now: Timestamp) -> Result<Self, Error> {
        let name = options.interface.clone();
        let system = |error| Error::of_socket(&name, error);
        if let Some(text) = &options.filter {
            check_filter(&name, text)?;
        }
        let (wakes, waker) = io::pipe().map_err(system)?;
        let is_asked_to_stop = Arc::new(AtomicBool::new(false));
        let also_wakes = wakes.try_clone().map_err(system)?;
        let stop = Stop::new(Arc::clone(&is_asked_to_stop), OwnedFd::from(also_wakes));
        let (event_out, events) = bounded(AHEAD);
        let (spare, spare_in) = bounded(AHEAD);
        Ok(Self {
            peer: Some(Peer {
                name: name.clone(),
                place,
                options: file::Options {
                    filter: options.filter.clone(),
                    block_size: BLOCK_BYTES,
                    stop,
                    largest: MAX_BLOCK,
                    plain: true,
                    ..file::Options::default()
                },
                wakes,
                events: event_out,
                spare: spare_in,
            }),
            events,
            spare,
            is_asked_to_stop,
            waker: Some(waker),
            counts: Counts::default(),
            state: (LinkState::Down, now),
            course: Course::new(name.clone(), DISORDER, now),
            came: clock::steady(),
            name,
        })
    }

    /// Begins to read, by a thread that inherits what this one may do.
    fn begin(&mut self) {
        let Some(peer) = self.peer.take() else { return };
        let thread = thread::Builder::new().name("pcap-stream".to_owned());
        if let Err(error) = thread.spawn(move || peer.run()) {
            warn!(interface = self.name, %error, "cannot start a thread: nothing is read");
        }
    }

    fn is_stopped(&self) -> bool {
        self.waker.is_none()
    }

    /// The next frames within the time.
    fn frames(&mut self, block: &mut Block, wait: Duration) -> bool {
        let until = clock::steady() + wait;
        loop {
            let left = until.saturating_duration_since(clock::steady());
            match self.events.recv_timeout(left) {
                Ok(Event::Block(mut filled)) => {
                    std::mem::swap(block, &mut filled);
                    // It is full only if there are enough of them.
                    let _ = self.spare.try_send(filled);
                    // What a filter leaves out is not counted, in a stream as little as in the kernel.
                    block.left_out.clear();
                    self.counts.received += block.frames.len() as u64;
                    if !block.frames.is_empty() {
                        return true;
                    }
                    if left.is_zero() {
                        return false;
                    }
                }
                Ok(Event::Connected) => self.state = (LinkState::Up, clock::now()),
                Ok(Event::Ended { is_damaged }) => {
                    // It is this side that ends it otherwise.
                    if !self.is_stopped() {
                        self.state = (LinkState::Down, clock::now());
                    }
                    // That record at least is lost.
                    self.counts.dropped_interface += u64::from(is_damaged);
                }
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => {
                    if !self.is_stopped() {
                        thread::sleep(left);
                    }
                    return false;
                }
            }
        }
    }
}

impl Source for CaptureStream {
    fn next_block(&mut self, block: &mut Block, wait: Duration) -> Arrival {
        self.begin();
        block.clear();
        let wait = if self.is_stopped() { LAST_BLOCKS } else { wait };
        if self.course.take_held(block) || self.frames(block, wait) {
            self.came = clock::steady();
            let since = self.course.newest();
            return self.course.hand_over(block, since);
        }
        block.clear();
        let since = clock::steady().saturating_duration_since(self.came);
        let passed = self.course.newest().after(since.saturating_sub(LAG));
        self.course.pass(block, passed.max(self.course.watermark()))
    }

    /// What is not read waits at the sender: it does not get worse by waiting.
    fn behind(&self) -> Duration {
        Duration::ZERO
    }

    fn stop(&mut self) {
        self.is_asked_to_stop.store(true, Ordering::SeqCst);
        self.waker = None;
    }

    fn counts(&mut self) -> Counts {
        self.counts
    }

    fn state(&self) -> (LinkState, Timestamp) {
        self.state
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for CaptureStream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Peer {
    /// Reads one stream after the other, until it is to stop.
    fn run(mut self) {
        let mut pause = FIRST_RETRY;
        let mut failing = String::new();
        while !self.options.stop.is_asked() {
            match self.connect() {
                Ok(None) => return,
                Ok(Some((stream, from))) => {
                    failing.clear();
                    if self.events.send(Event::Connected).is_err() {
                        return;
                    }
                    info!(interface = self.name, %from, "connected");
                    let Some(has_frames) = self.read(stream) else {
                        return;
                    };
                    if has_frames {
                        pause = FIRST_RETRY;
                    }
                }
                Err(error) => {
                    // Said once, however often it is tried.
                    let error = error.to_string();
                    if error != failing {
                        warn!(
                            interface = self.name,
                            error, "no connection; it is tried again"
                        );
                        failing = error;
                    }
                }
            }
            // Who listens waits for the next one anyway, but not for one that comes again and again.
            self.wait(pause);
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    /// Waits, unless it is to stop.
    fn wait(&self, wait: Duration) {
        let mut watched = [PollFd::new(self.wakes.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let _ = poll(&mut watched, timeout);
    }

    /// A new stream, and whom it is from. `None`: it is to stop.
    fn connect(&mut self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        let connected = match &mut self.place {
            PeerPlace::Host(host, known) => {
                // Where it cannot be asked for, it is where it was.
                if let Ok(found) = host.addresses() {
                    *known = found;
                }
                let mut outcome = Err(ErrorKind::AddrNotAvailable.into());
                for &address in &*known {
                    outcome = TcpStream::connect_timeout(&address, CONNECTING)
                        .map(|stream| (stream, address));
                    if outcome.is_ok() {
                        break;
                    }
                }
                outcome?
            }
            PeerPlace::Listener(listener) => loop {
                match listener.accept() {
                    Ok(accepted) => break accepted,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                let wakes = PollFd::new(self.wakes.as_fd(), PollFlags::POLLIN);
                let comes = PollFd::new(listener.as_fd(), PollFlags::POLLIN);
                let _ = poll(&mut [wakes, comes], PollTimeout::NONE);
                if self.options.stop.is_asked() {
                    return Ok(None);
                }
            },
        };
        let (stream, _) = &connected;
        // One taken by a listener that does not wait does not wait either.
        stream.set_nonblocking(false)?;
        let [idle, interval, count] = ALIVE;
        setsockopt(stream, KeepAlive, &true)?;
        setsockopt(stream, TcpKeepIdle, &idle)?;
        setsockopt(stream, TcpKeepInterval, &interval)?;
        setsockopt(stream, TcpKeepCount, &count)?;
        Ok(Some(connected))
    }

    /// Reads a stream to its end; whether there were frames in it. `None`: nobody takes them.
    fn read(&self, stream: TcpStream) -> Option<bool> {
        let interface = &self.name;
        let file = File::from(OwnedFd::from(stream));
        let path = PathBuf::from(interface);
        let mut has_frames = false;
        let mut is_damaged = false;
        match Reader::from_stream(&path, file, &self.options) {
            Err(_) if self.options.stop.is_asked() => {}
            Err(error) => {
                is_damaged = !matches!(error, crate::capture::error::Error::Empty { .. });
                warn!(interface, reason = %error, "capture interrupted");
            }
            Ok(mut reader) => {
                loop {
                    let mut block = self.spare.try_recv().unwrap_or_default();
                    match reader.next_block(&mut block) {
                        Ok(true) => self.events.send(Event::Block(block)).ok()?,
                        Ok(false) => break,
                        Err(error) => {
                            warn!(interface, reason = %error, "capture interrupted");
                            break;
                        }
                    }
                }
                let counts = reader.counts();
                has_frames = counts.frames > 0;
                if counts.lying_lengths > 0 {
                    let records = counts.lying_lengths;
                    warn!(
                        interface,
                        records, "their original lengths cannot be true: they count as captured"
                    );
                }
                if let Some(damage) = reader.damage() {
                    is_damaged = true;
                    warn!(interface, reason = %damage, "capture interrupted");
                } else if !self.options.stop.is_asked() {
                    warn!(
                        interface,
                        reason = "the stream has ended",
                        "capture interrupted"
                    );
                }
            }
        }
        self.events.send(Event::Ended { is_damaged }).ok()?;
        Some(has_frames)
    }
}

/// Whether libpcap takes the filter for any of the kinds of frames that mostly come: which do, only
/// the stream says.
fn check_filter(name: &str, text: &str) -> Result<(), Error> {
    let mut refused = None;
    for link in [
        LinkType::ETHERNET,
        LinkType::RAW,
        LinkType::LINUX_SLL,
        LinkType::IEEE802_11_RADIOTAP,
    ] {
        match Filter::new(name.as_ref(), text).program(link) {
            Ok(_) => return Ok(()),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    refused.map_or(Ok(()), |error| Err(Error::of_filter(name, error)))
}
