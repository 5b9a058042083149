//! Records in datagrams (RFC 7011, section 10.3; RFC 5426): what does not arrive is not noticed, but
//! for what this host or the other one's says.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use nix::errno::Errno;

use super::peer::Peer;
use crate::encode::Framing;
use crate::sink::way::Sink;
use crate::time::Timestamp;

/// Bytes of a datagram of several records: what the smallest MTU of IPv6 leaves (RFC 8200, section 5).
const MTU: usize = 1280 - 40 - 8;
/// Datagrams sent in a row; after them there is a pause, as the receiver's buffer has its limits.
const BURST: u32 = 32;
const PAUSE: Duration = Duration::from_millis(1);
/// Datagrams after which the head is said again whatever time it is: a `read` has no clock.
const MANY: u32 = 4096;

/// Records to a UDP port.
#[derive(Debug)]
pub(super) struct Datagrams {
    peer: Peer,
    framing: Framing,
    /// After how long the head is said again.
    refresh: Duration,
    socket: Option<UdpSocket>,
    head: Vec<u8>,
    /// Bytes of the head that were said, this time.
    told: usize,
    /// When it is to be said again; `None` until time is told.
    due: Option<Timestamp>,
    /// Datagrams since it was said.
    since: u32,
    number: u32,
    /// The datagram that is made, and its records.
    datagram: Vec<u8>,
    records: u64,
    /// Records of the last one sent.
    last: u64,
    /// Datagrams sent without a pause.
    burst: u32,
    dropped: u64,
}

impl Datagrams {
    /// Records of this framing to `peer`, which is told the head again after `refresh`.
    pub(super) fn open(peer: Peer, framing: Framing, refresh: Duration) -> io::Result<Self> {
        let mut datagrams = Self {
            peer,
            framing,
            refresh,
            socket: None,
            head: Vec::new(),
            told: 0,
            due: None,
            since: 0,
            number: 0,
            datagram: Vec::new(),
            records: 0,
            last: 0,
            burst: 0,
            dropped: 0,
        };
        datagrams.connect(false)?;
        Ok(datagrams)
    }

    fn connect(&mut self, again: bool) -> io::Result<()> {
        let socket = self.peer.try_each(again, |address| {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            Ok(socket)
        })?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Puts a record, or a part of the head, into the datagram; into the next one where this is full.
    fn add(&mut self, record: &[u8]) -> io::Result<()> {
        if !self.datagram.is_empty() {
            let joined = self.framing.joined(&self.datagram, record);
            match joined.filter(|joined| joined.len() <= MTU) {
                Some(joined) => {
                    self.datagram = joined;
                    return Ok(());
                }
                None => self.send()?,
            }
        }
        self.datagram.extend_from_slice(self.framing.body(record));
        Ok(())
    }

    /// Sends the datagram, if there is one. Where that fails for a reason that may pass, it is kept.
    fn send(&mut self) -> io::Result<()> {
        if self.datagram.is_empty() {
            return Ok(());
        }
        if self.burst >= BURST {
            self.burst = 0;
            std::thread::sleep(PAUSE);
        }
        if self.socket.is_none() {
            self.connect(true)?;
        }
        let number = self.framing.number(&mut self.datagram, self.number);
        let Some(socket) = &self.socket else {
            return Err(ErrorKind::NotConnected.into());
        };
        let mut sent = socket.send(&self.datagram);
        if sent
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        {
            // Of the one before: nobody was there. This one was not sent.
            self.dropped += std::mem::take(&mut self.last);
            sent = socket.send(&self.datagram);
        }
        match sent {
            Ok(_) => self.last = self.records,
            Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                self.dropped += self.records;
                self.last = 0;
            }
            Err(error) => {
                // Another address, or another way, may be there next time.
                self.socket = None;
                return Err(error);
            }
        }
        (self.records, self.number) = (0, number);
        self.datagram.clear();
        self.burst += 1;
        self.since += 1;
        Ok(())
    }

    fn say_head(&mut self) -> io::Result<()> {
        while let Some(rest) = self.head.get(self.told..).filter(|rest| !rest.is_empty()) {
            let part = self.framing.first(rest).to_vec();
            self.add(&part)?;
            self.told += part.len();
        }
        Ok(())
    }
}

impl Sink for Datagrams {
    fn head(&mut self, head: &[u8]) {
        head.clone_into(&mut self.head);
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        if self.since >= MANY {
            (self.told, self.since) = (0, 0);
        }
        self.say_head()?;
        self.add(record)?;
        self.records += 1;
        Ok(())
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        self.burst = 0;
        let next = at.after(self.refresh);
        let due = *self.due.get_or_insert(next);
        // A clock that was set back does not put it off.
        if at >= due || due > next {
            self.due = Some(next);
            (self.told, self.since) = (0, 0);
            // The name may stand for another host by now.
            self.send()?;
            self.connect(true)?;
        }
        self.say_head()?;
        self.send()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }

    fn held(&self) -> u64 {
        self.records
    }

    fn dropped(&self) -> u64 {
        self.dropped
    }
}
