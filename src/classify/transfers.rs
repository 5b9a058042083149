//! Data connections of FTP: who says on a control connection where it waits for the other end gets
//! one there, from that end.
//!
//! Learning is stateless towards flows, as in [`super::names`]: each line is read by itself.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::generations::Generations;
use crate::decode::{IpProtocol, Packet};
use crate::dissect::ftp_data;
use crate::flow::{Flow, Side, Transport};
use crate::time::Timestamp;

/// How long the data connection may let wait for it. RFC 959 has no limit; servers wait from one to
/// five minutes.
const LIFETIME: Duration = Duration::from_secs(300);

const FTP_PORT: u16 = 21;

/// Segments longer than this are no lines of a control connection: nothing is read in them, as most
/// segments are full of data.
const MAX_LINES: usize = 1024;

/// Whether `packet` may say where a data connection is to go.
#[inline]
pub(super) fn teaches(packet: &Packet<'_>) -> bool {
    packet.protocol == IpProtocol::TCP
        && packet.payload.len() <= MAX_LINES
        && (ftp_data::may_announce(packet.payload) || is_reply_of_ftp(packet))
}

/// Whether `packet` is a server's on the registered port: another answer may stand before that one.
#[inline]
fn is_reply_of_ftp(packet: &Packet<'_>) -> bool {
    packet.source_port == FTP_PORT && matches!(packet.payload, [b'2', ..])
}

/// Buckets of a generation of them.
const BUCKETS: usize = 1 << 14;

/// The data connections that were spoken of.
#[derive(Debug)]
pub(super) struct Transfers {
    /// By where they go, and from which address.
    expected: Generations<(SocketAddr, IpAddr), Timestamp>,
    any: bool,
}

impl Default for Transfers {
    fn default() -> Self {
        Self {
            expected: Generations::new(BUCKETS),
            any: false,
        }
    }
}

impl Transfers {
    /// The most bytes they take.
    pub(super) const MEMORY: usize =
        Generations::<(SocketAddr, IpAddr), Timestamp>::memory(BUCKETS);

    /// Learns from one segment of a control connection.
    pub(super) fn learn(&mut self, packet: &Packet<'_>) {
        let Some(listener) = ftp_data::announced(packet.payload) else {
            return;
        };
        let speaker = packet.source.to_ip(packet.version);
        let other = packet.destination.to_ip(packet.version);
        // Behind address translation the line may name an address that the mirror does not show:
        // the speaker's own is as good. That of a third party is never taken for the speaker's: the
        // other end is always the one of the control connection.
        for address in [Some(speaker), listener.address].into_iter().flatten() {
            let place = SocketAddr::new(address, listener.port);
            self.expected.insert((place, other), packet.at);
            self.any = true;
        }
    }

    /// Whether the flow is one that was spoken of.
    pub(super) fn has<T>(&self, flow: &Flow<T>, at: Timestamp) -> bool {
        self.any
            && flow.transport() == Transport::Tcp
            && [Side::Client, Side::Server].into_iter().any(|side| {
                let place = SocketAddr::new(flow.ip(side), flow.port(side));
                let told = self.expected.get(&(place, flow.ip(!side)));
                told.is_some_and(|told| at.since(told) <= LIFETIME)
            })
    }
}
