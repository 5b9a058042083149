//! Records to another host: datagrams over UDP, a connection over TCP or TLS.
//!
//! A name is looked up before anything is sent, and again whenever a connection has to be made anew;
//! where that fails, the addresses it had are used on.

mod connection;
mod datagrams;
mod peer;
mod settings;
mod tls;

use std::io;
use std::path::Path;
use std::sync::Arc;

use self::connection::Connection;
use self::datagrams::Datagrams;
use self::peer::Peer;
use self::settings::Settings;
use super::way::{Open, Opened, Place, Said};
use crate::host::{Host, host_and_port};

/// A host, and how it is spoken to.
#[derive(Debug)]
struct Socket {
    host: Host,
    transport: Transport,
    settings: Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// `HOST:PORT` behind `udp://`.
///
/// # Errors
///
/// When that is not what was said.
pub fn udp(said: &Said<'_>) -> Result<Arc<dyn Place>, String> {
    Socket::read(said, Transport::Udp)
}

/// `HOST:PORT` behind `tcp://`.
///
/// # Errors
///
/// When that is not what was said.
pub fn tcp(said: &Said<'_>) -> Result<Arc<dyn Place>, String> {
    Socket::read(said, Transport::Tcp)
}

/// `HOST:PORT` behind `tls://`.
///
/// # Errors
///
/// When that is not what was said.
pub fn tls(said: &Said<'_>) -> Result<Arc<dyn Place>, String> {
    Socket::read(said, Transport::Tls)
}

impl Socket {
    fn read(said: &Said<'_>, transport: Transport) -> Result<Arc<dyn Place>, String> {
        let authority = said.name.to_str().unwrap_or_default();
        let found = host_and_port(authority).filter(|(name, _)| !name.is_empty());
        let (name, port) = found.ok_or_else(|| format!("`{authority}` is not HOST:PORT"))?;
        let port = port.or(said.port);
        let port = port.ok_or("it says no port, and its scheme has none")?;
        let name = name.into();
        Ok(Arc::new(Self {
            host: Host { name, port },
            transport,
            settings: Settings::read(&said.settings)?,
        }))
    }
}

impl Place for Socket {
    fn prepare(&self) -> io::Result<Open> {
        let peer = Peer::find(self.host.clone())?;
        let refresh = self.settings.refresh;
        Ok(match self.transport {
            Transport::Udp => Box::new(move |framing, _| {
                Ok(Opened::quietly(Datagrams::open(peer, framing, refresh)?))
            }),
            Transport::Tcp | Transport::Tls => {
                let tls = (self.transport == Transport::Tls)
                    .then(|| tls::config(&self.settings))
                    .transpose()?;
                Box::new(move |framing, opening| {
                    let connection = Connection::open(peer, tls, framing, opening)?;
                    Ok(Opened::quietly(connection))
                })
            }
        })
    }

    fn connects(&self) -> bool {
        true
    }

    fn credentials(&self) -> Vec<&Path> {
        let Settings { ca, cert, key, .. } = &self.settings;
        let files = [ca, cert, key].into_iter().flatten();
        files.map(|path| path.as_path()).collect()
    }
}
