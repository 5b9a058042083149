//! Records to another host: datagrams over UDP, a connection over TCP or TLS.
//!
//! A name is looked up before anything is sent, and again whenever a connection has to be made anew;
//! where that fails, the addresses it had are used on.

mod connection;
mod datagrams;
mod tls;

pub(super) use connection::{open_tcp, open_tls};
pub(super) use datagrams::open as open_udp;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::ClientConfig;

/// A host, as a URL names it, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name or an address.
    pub name: Box<str>,
    /// The port.
    pub port: u16,
    /// What else the URL says.
    pub settings: Settings,
}

/// What a URL may say of how a host is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After how long the head (IPFIX: templates) is said again where datagrams may be lost (RFC 7011,
    /// section 8.4).
    pub refresh: Duration,
    /// PEM file of certificates that are trusted, in place of the well-known ones.
    pub ca: Option<PathBuf>,
    /// PEM file of the certificate this side shows, with those between it and the root.
    pub cert: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
}

impl Settings {
    /// Whether they go together.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Err("cert needs key=FILE as well"),
            (None, Some(_)) => Err("key needs cert=FILE as well"),
            _ => Ok(()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(600),
            ca: None,
            cert: None,
            key: None,
        }
    }
}

/// What has to be found before rights are given up: addresses, certificates.
#[derive(Clone, Debug)]
pub struct Means {
    pub(super) host: Host,
    addresses: Vec<SocketAddr>,
    tls: Option<Arc<ClientConfig>>,
}

impl Means {
    /// Looks up the host, and reads what TLS needs if that is used.
    pub(super) fn find(host: &Host, is_tls: bool) -> io::Result<Self> {
        Ok(Self {
            host: host.clone(),
            addresses: host.addresses()?,
            tls: is_tls.then(|| tls::config(&host.settings)).transpose()?,
        })
    }

    /// Tries each address of the host until one takes a `connect`. It is asked for them anew first, if
    /// `again`.
    fn try_each<T>(
        &mut self,
        again: bool,
        connect: impl Fn(SocketAddr) -> io::Result<T>,
    ) -> io::Result<T> {
        if again && let Ok(addresses) = self.host.addresses() {
            self.addresses = addresses;
        }
        let mut outcome = Err(ErrorKind::AddrNotAvailable.into());
        for &address in &self.addresses {
            outcome = connect(address);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

impl Host {
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let found = (&*self.name, self.port).to_socket_addrs();
        let found = found.map(|found| found.collect::<Vec<_>>());
        match found {
            Ok(found) if found.is_empty() => Err(ErrorKind::NotFound.into()),
            found => found,
        }
        .map_err(|error| {
            let text = format!("the host {} is not found: {error}", self.name);
            io::Error::new(error.kind(), text)
        })
    }
}
