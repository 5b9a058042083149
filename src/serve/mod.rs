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

mod config;
mod error;
mod health;
mod listener;
mod routes;
mod secrets;
mod shared;

#[cfg(test)]
mod tests;

pub use self::config::{Config, Limits, Tls};
pub use self::error::Error;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use self::health::Health;
use self::secrets::Secrets;
use self::shared::Shared;
use crate::view::metrics::pages::Pages;
use crate::view::snapshot::Snapshot;

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
                () = shared.health.watch(&shared.latest, shared.limits.stalled) => {}
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
