//! Where to listen, and what is asked of those who connect.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::Error;
use crate::view::metrics::DEFAULT_SERIES_LIMIT;

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
