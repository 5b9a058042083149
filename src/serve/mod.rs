//! Metrics and health over HTTP, out of the latest [`Snapshot`].
//!
//! One thread of its own runs everything: `listener` accepts and bounds connections, `routes` answers,
//! `health` watches that snapshots keep coming, `secrets` holds certificate, key and token. All that
//! the outside world has to give is taken in [`Server::prepare`] (the address, the files: what root
//! alone may have), [`Prepared::start`] (threads) and [`Handle::reload`]; the thread itself needs ordinary socket calls (`epoll`,
//! `accept4`, `recvfrom`, `writev`, `shutdown`, `fcntl`, `close`), memory, time, random numbers and to
//! read `/proc`, so it may run where nothing else is allowed any more.
//!
//! Beyond loopback it insists on TLS and a bearer token (RFC 6750).

mod health;
mod listener;
mod routes;
mod secrets;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use self::health::Health;
use self::secrets::Secrets;
use crate::view::metrics::{DEFAULT_SERIES_LIMIT, Pages};
use crate::view::snapshot::Snapshot;

/// Where to listen and what is asked of those who connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTPS with this certificate.
    pub tls: Option<Tls>,
    /// A file with the token that `/metrics` asks for.
    pub token: Option<PathBuf>,
    /// Label sets of volume by name that get series of their own.
    pub series_limit: usize,
    /// Bounds that keep clients from hurting.
    pub limits: Limits,
}

impl Config {
    /// Plain HTTP on `listen` without a token, which is refused beyond loopback.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            token: None,
            series_limit: DEFAULT_SERIES_LIMIT,
            limits: Limits::default(),
        }
    }

    /// What is wrong with it, before anything is opened.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] when others could reach the address and TLS or token are missing.
    pub fn check(&self) -> Result<(), Error> {
        let error = Error::Open {
            listen: self.listen,
            tls: self.tls.is_none(),
            token: self.token.is_none(),
        };
        let local = self.listen.ip().to_canonical().is_loopback();
        if !local && (self.tls.is_none() || self.token.is_none()) {
            return Err(error);
        }
        Ok(())
    }
}

/// PEM files of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, followed by those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Bounds that keep clients from hurting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. A further one takes the place of the oldest: a scrape is over in
    /// milliseconds, so the oldest is one that dawdles.
    pub connections: usize,
    /// Time for a request's header.
    pub header: Duration,
    /// Time for a whole connection, which is one request.
    pub connection: Duration,
    /// `/healthz` fails when no new snapshot came for so long.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header: Duration::from_secs(5),
            connection: Duration::from_secs(30),
            stalled: Duration::from_secs(10),
        }
    }
}

/// Why the server does not start, or keeps its old certificate and token.
#[derive(Debug)]
pub enum Error {
    /// Others could reach the address, and what that needs is missing.
    Open {
        /// The address.
        listen: SocketAddr,
        /// Certificate and key are missing.
        tls: bool,
        /// The token is missing.
        token: bool,
    },
    /// The address cannot be listened on.
    Bind(SocketAddr, io::Error),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file does not hold what it should.
    Content(PathBuf, String),
    /// The thread or its event loop cannot be made.
    Thread(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { listen, tls, token } => {
                write!(f, "others can reach {listen}, which needs ")?;
                let certificate = "a certificate and its key (--tls-cert FILE --tls-key FILE)";
                let bearer = "a bearer token (--token-file FILE)";
                match (tls, token) {
                    (true, true) => write!(f, "{certificate} and {bearer}")?,
                    (true, false) => f.write_str(certificate)?,
                    _ => f.write_str(bearer)?,
                }
                let port = listen.port();
                write!(f, "; --listen 127.0.0.1:{port} needs none of it")
            }
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Content(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Thread(error) => write!(f, "cannot start the HTTP server: {error}"),
        }
    }
}

// What the system says is in the text already: as a source it would be printed twice.
impl std::error::Error for Error {}

/// What every connection sees.
struct Shared {
    latest: Arc<ArcSwap<Snapshot>>,
    secrets: Arc<ArcSwap<Secrets>>,
    health: Health,
    /// Taken for a moment by a scrape, on the one thread there is; never across an `await`.
    pages: tokio::sync::Mutex<Pages>,
    limits: Limits,
}

/// The HTTP server.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Listens and answers until the handle is dropped.
    ///
    /// # Errors
    ///
    /// As for [`Self::prepare`] and [`Prepared::start`].
    pub fn start(config: Config, latest: Arc<ArcSwap<Snapshot>>) -> Result<Handle, Error> {
        Self::prepare(config)?.start(latest)
    }

    /// Takes the address and reads the files. Starts no thread, and answers nobody yet.
    ///
    /// # Errors
    ///
    /// When the settings are not safe, a file is not readable, or the address is not to be had.
    pub fn prepare(config: Config) -> Result<Prepared, Error> {
        config.check()?;
        let secrets = Secrets::load(&config)?;
        let bind = |error| Error::Bind(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        Ok(Prepared {
            config,
            secrets,
            listener,
        })
    }
}

/// A server that has all it needs to answer.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    secrets: Secrets,
    listener: TcpListener,
}

impl Prepared {
    /// Answers until the handle is dropped, those as well who have connected before.
    ///
    /// # Errors
    ///
    /// When there can be no thread or no event loop.
    pub fn start(self, latest: Arc<ArcSwap<Snapshot>>) -> Result<Handle, Error> {
        let Self {
            config,
            secrets,
            listener,
        } = self;
        let secrets = Arc::new(ArcSwap::from_pointee(secrets));
        let bind = |error| Error::Bind(config.listen, error);
        let address = listener.local_addr().map_err(bind)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(Error::Thread)?;
        let listener = {
            let _guard = runtime.enter();
            tokio::net::TcpListener::from_std(listener).map_err(bind)?
        };
        let shared = Arc::new(Shared {
            latest,
            secrets: secrets.clone(),
            health: Health::default(),
            pages: tokio::sync::Mutex::new(Pages::new(config.series_limit)),
            limits: config.limits,
        });
        let (stop, stopped) = oneshot::channel();
        let (running, started) = std::sync::mpsc::channel();
        let run = async move {
            // Nobody listens any more only if starting has failed.
            let _ = running.send(());
            tokio::select! {
                _ = stopped => {}
                () = listener::accept(listener, &shared) => {}
                () = health::watch(&shared) => {}
            }
        };
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(run))
            .map_err(Error::Thread)?;
        // A thread's first steps need more than its later ones: they are over when this returns.
        started
            .recv()
            .map_err(|error| Error::Thread(io::Error::other(error)))?;
        Ok(Handle {
            address,
            config,
            secrets,
            running: Some((stop, thread)),
        })
    }
}

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    config: Config,
    secrets: Arc<ArcSwap<Secrets>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Handle {
    /// Where it listens, with the port that was taken for port 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads certificate, key and token again, for connections from now on. What this process may
    /// no longer read (it was read before rights were given up) stays as it was: returned is why.
    ///
    /// # Errors
    ///
    /// When one cannot be used otherwise; then all of them stay as they were.
    pub fn reload(&self) -> Result<Vec<Error>, Error> {
        let (secrets, kept) = self.secrets.load().again(&self.config)?;
        self.secrets.store(Arc::new(secrets));
        Ok(kept)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // It may have ended by itself; there is nobody left to tell of a panic in it.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}
