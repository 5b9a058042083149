//! The host that records go to, and the addresses it has.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::host::Host;

/// A host whose addresses are known.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) host: Host,
    addresses: Vec<SocketAddr>,
}

impl Peer {
    /// Looks up the host.
    pub(super) fn find(host: Host) -> io::Result<Self> {
        let addresses = host.addresses()?;
        Ok(Self { host, addresses })
    }

    /// Tries each address of the host until one takes a `connect`. It is asked for them anew first, if
    /// `again`.
    pub(super) fn try_each<T>(
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
