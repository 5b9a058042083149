//! Records over a connection: TCP (RFC 7011, section 10.4; RFC 6587), or TLS over it (RFC 5425).
//!
//! Each connection is a session of its own: it begins with the head. While there is none, records
//! wait, up to [`WAITING`]; then they are refused one by one. It is tried again at each tick that
//! is due, ever more rarely. A record that a connection may have taken in part only, when it broke, is
//! sent again; one that it has taken may be lost with it, as TCP does not say what has arrived.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, ProtocolVersion, StreamOwned};

use super::peer::Peer;
use crate::encode::Framing;
use crate::sink::way::{Opening, Sink};
use crate::time::Timestamp;

/// Bytes of records that wait for a connection.
const WAITING: usize = 1 << 20;
/// Bytes that are sent at a time.
const AT_A_TIME: usize = 1 << 16;
/// How long a host may take to answer.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long a server's first word is waited for: more than a message takes round the earth.
const LOOKING: Duration = Duration::from_secs(1);
/// How long it may take nothing, in a live run: then it is tried again.
const TAKING: Duration = Duration::from_secs(2);
/// The same where the input can wait.
const TAKING_AT_LEISURE: Duration = Duration::from_secs(60);
/// Ticks between two attempts, at most.
const RAREST: u32 = 60;

/// Records to a TCP port.
pub(super) struct Connection {
    peer: Peer,
    /// How it is encrypted; without, it is not.
    tls: Option<Arc<ClientConfig>>,
    framing: Framing,
    taking: Duration,
    link: Option<Box<dyn Link>>,
    head: Vec<u8>,
    /// Bytes of the head that this connection has.
    told: usize,
    /// Records that it has, as the framing counts them.
    number: u32,
    /// Records that wait, and the bytes of them.
    waiting: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// What is being sent, as it goes out; how much of it is out; where its records end.
    sending: Vec<u8>,
    sent: usize,
    ends: VecDeque<usize>,
    /// Why there is no connection.
    failing: Option<(ErrorKind, String)>,
    /// Ticks until the next attempt, and between two attempts.
    wait: u32,
    pause: u32,
}

/// A connection that is open.
trait Link: Write + Send {
    /// Whether the other side has not closed it.
    fn is_open(&mut self) -> bool;

    /// Nothing more will be written.
    fn close(&mut self);
}

impl Connection {
    /// Records of this framing to `peer`, encrypted as `tls` says.
    pub(super) fn open(
        peer: Peer,
        tls: Option<Arc<ClientConfig>>,
        framing: Framing,
        opening: &Opening,
    ) -> io::Result<Self> {
        let at_leisure = opening.rotation.is_none();
        let mut connection = Self {
            peer,
            tls,
            framing,
            taking: if at_leisure {
                TAKING_AT_LEISURE
            } else {
                TAKING
            },
            link: None,
            head: Vec::new(),
            told: 0,
            number: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            sending: Vec::new(),
            sent: 0,
            ends: VecDeque::new(),
            failing: None,
            wait: 0,
            pause: 1,
        };
        if at_leisure {
            connection.connect(false)?;
        }
        Ok(connection)
    }

    fn connect(&mut self, again: bool) -> io::Result<()> {
        let tls = self.tls.clone();
        let host = self.peer.host.clone();
        let taking = self.taking;
        let linked = self.peer.try_each(again, |address| {
            let stream = TcpStream::connect_timeout(&address, CONNECTING)?;
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(taking))?;
            stream.set_read_timeout(Some(CONNECTING))?;
            let link: Box<dyn Link> = match &tls {
                None => Box::new(stream),
                Some(config) => Box::new(shake_hands(stream, config, &host.name)?),
            };
            Ok(link)
        });
        match linked {
            Ok(link) => {
                self.link = Some(link);
                (self.told, self.number) = (0, 0);
                (self.failing, self.wait, self.pause) = (None, 0, 1);
                Ok(())
            }
            Err(error) => {
                let text = format!("no connection to {host}: {error}");
                Err(self.failed(io::Error::new(error.kind(), text)))
            }
        }
    }

    /// Remembers why there is no connection, and when to try again.
    fn failed(&mut self, error: io::Error) -> io::Error {
        // A pipe that is broken has no reader for ever; a connection may have one again.
        let error = match error.kind() {
            ErrorKind::BrokenPipe => io::Error::new(ErrorKind::ConnectionReset, error),
            _ => error,
        };
        self.failing = Some((error.kind(), error.to_string()));
        self.wait = self.pause;
        self.pause = (self.pause * 2).min(RAREST);
        error
    }

    /// The connection is gone: what it did not take whole is for the next one.
    fn lose(&mut self, error: io::Error) -> io::Error {
        self.link = None;
        self.sending.clear();
        self.sent = 0;
        self.ends.clear();
        self.failed(error)
    }

    /// Sends what waits, as far as the other side takes it.
    fn send(&mut self) -> io::Result<()> {
        while !self.sending.is_empty() || !self.waiting.is_empty() {
            match &mut self.link {
                None if self.wait > 0 => return Err(self.why()),
                None => self.connect(self.failing.is_some())?,
                Some(link) => {
                    if self.sending.is_empty() && !link.is_open() {
                        let text = format!("{} closed the connection", self.peer.host.name);
                        self.lose(io::Error::new(ErrorKind::ConnectionReset, text));
                        // One that had worked is made anew at once.
                        self.wait = 0;
                        continue;
                    }
                }
            }
            if self.sending.is_empty() {
                self.fill();
            }
            self.write()?;
        }
        Ok(())
    }

    /// Puts together what is sent next.
    fn fill(&mut self) {
        while let Some(rest) = self.head.get(self.told..).filter(|rest| !rest.is_empty()) {
            let part = self.framing.first(rest).to_vec();
            self.told += part.len();
            self.frame(part);
        }
        let mut place = 0;
        while self.sending.len() < AT_A_TIME
            && let Some(record) = self.waiting.get(place)
        {
            let record = record.to_vec();
            self.frame(record);
            self.ends.push_back(self.sending.len());
            place += 1;
        }
    }

    fn frame(&mut self, mut record: Vec<u8>) {
        self.number = self.framing.number(&mut record, self.number);
        self.framing.on_stream(&record, &mut self.sending);
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(link) = &mut self.link else {
            return Err(ErrorKind::NotConnected.into());
        };
        let mut outcome = Ok(());
        while let Some(rest) = self
            .sending
            .get(self.sent..)
            .filter(|rest| !rest.is_empty())
        {
            match link.write(rest) {
                Ok(0) => outcome = Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => outcome = Err(error),
            }
            if outcome.is_err() {
                break;
            }
        }
        let outcome = outcome.and_then(|()| link.flush());
        while self.ends.front().is_some_and(|&end| end <= self.sent) {
            self.ends.pop_front();
            if let Some(record) = self.waiting.pop_front() {
                self.bytes -= record.len();
            }
        }
        if self.sent == self.sending.len() {
            self.sending.clear();
            self.sent = 0;
        }
        match outcome {
            // It takes nothing at the moment: the rest goes on where it stopped.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let text = format!("{} takes nothing", self.peer.host.name);
                Err(io::Error::new(ErrorKind::TimedOut, text))
            }
            Err(error) => Err(self.lose(error)),
            Ok(()) => Ok(()),
        }
    }

    fn why(&self) -> io::Error {
        match &self.failing {
            Some((kind, text)) => io::Error::new(*kind, text.clone()),
            None => ErrorKind::NotConnected.into(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("host", &self.peer.host)
            .field("open", &self.link.is_some())
            .field("waiting", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Sink for Connection {
    fn head(&mut self, head: &[u8]) {
        head.clone_into(&mut self.head);
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        let waits = |bytes: usize| bytes + record.len();
        if waits(self.bytes) > WAITING {
            // Room comes with the next tick, if it does.
            if self.failing.is_some() || self.wait > 0 {
                return Err(self.why());
            }
            self.send()?;
        }
        self.waiting.push_back(record.into());
        self.bytes += record.len();
        if self.bytes >= AT_A_TIME && self.failing.is_none() {
            // What goes wrong is said by what asks for it to be written.
            let _ = self.send();
        }
        Ok(())
    }

    fn tick(&mut self, _: Timestamp) -> io::Result<()> {
        self.wait = self.wait.saturating_sub(1);
        self.send()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.wait = 0;
        self.send()?;
        if let Some(link) = &mut self.link {
            link.close();
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.waiting.len() as u64
    }
}

impl Link for TcpStream {
    fn is_open(&mut self) -> bool {
        let is_open = self.set_nonblocking(true).is_ok() && is_open(self);
        is_open && self.set_nonblocking(false).is_ok()
    }

    fn close(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Reads what the other side says, which is nothing we want to know, as far as it has come.
fn is_open(from: &mut impl Read) -> bool {
    let mut block = [0; 512];
    // Not for ever, if it goes on speaking.
    for _ in 0..64 {
        match from.read(&mut block) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

fn shake_hands(
    mut stream: TcpStream,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<Encrypted> {
    let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let mut session =
        ClientConnection::new(Arc::clone(config), server).map_err(io::Error::other)?;
    while session.is_handshaking() || session.wants_write() {
        session.complete_io(&mut stream)?;
    }
    if session.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
        is_welcome(&mut session, &mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

/// Whether the other side takes what it was shown. In TLS 1.3 the client is done before the server
/// has looked at the client's certificate, or missed it (RFC 8446, appendix E.1.2): records would
/// go to one that has refused. Servers say something at once, an alert or tickets for a later
/// session; of one that says nothing the best is assumed after [`LOOKING`].
fn is_welcome(session: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(LOOKING))?;
    match session.read_tls(stream) {
        Ok(0) => return Err(ErrorKind::ConnectionReset.into()),
        Ok(_) => {
            let seen = session.process_new_packets();
            seen.map_err(|error| io::Error::new(ErrorKind::ConnectionRefused, error))?;
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
        Err(error) => return Err(error),
    }
    stream.set_read_timeout(Some(CONNECTING))
}

impl Link for Encrypted {
    fn is_open(&mut self) -> bool {
        let is_open = self.sock.set_nonblocking(true).is_ok() && is_open(self);
        is_open && self.sock.set_nonblocking(false).is_ok()
    }

    fn close(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        let _ = self.sock.shutdown(Shutdown::Write);
    }
}
