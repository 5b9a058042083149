//! Endpoints of calls: a UDP socket that sent an application's STUN is that application's, and so
//! are the peers it asked its relay for; media from or to them belongs to the call.
//!
//! Learning is stateless towards flows, as in [`super::names`]: each STUN message is read by itself.

use std::net::SocketAddr;
use std::time::Duration;

use super::names::Generations;
use crate::decode::{IpProtocol, Packet};
use crate::dissect::{Facts, stun};
use crate::flow::{Flow, Opening, Side, Stream, Transport};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::Tag;

/// How long after its last STUN message an endpoint still belongs to the call. RFC 8656 section
/// 3.2: a permission lives 300 seconds.
const LIFETIME: Duration = Duration::from_secs(300);

/// An endpoint learned less than this ago is not learned anew.
const REFRESH: Duration = Duration::from_secs(30);

/// RFC 8489 section 5.
const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();

/// Whether `packet` is a STUN message by its cookie.
#[inline]
pub(super) fn teaches(packet: &Packet<'_>) -> bool {
    packet.protocol == IpProtocol::UDP
        && packet.payload.get(4..8) == Some(&MAGIC_COOKIE)
        && packet.payload.len() >= 20
        && packet
            .payload
            .first()
            .is_some_and(|octet| octet & 0xc0 == 0)
}

/// The endpoints of calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    endpoints: Generations<SocketAddr, Member>,
    found: Vec<Tag>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// `None`: its STUN messages name no application.
    tag: Option<Tag>,
    learned: Timestamp,
}

impl Calls {
    /// Learns from one STUN message.
    pub(super) fn learn(&mut self, packet: &Packet<'_>, set: &SignatureSet) {
        let source = SocketAddr::new(packet.source.to_ip(packet.version), packet.source_port);
        let destination = SocketAddr::new(
            packet.destination.to_ip(packet.version),
            packet.destination_port,
        );
        // RFC 8489 section 5: the class bit 0x0100 is set in responses. Who asks owns the socket.
        let is_response = packet
            .payload
            .first()
            .is_some_and(|octet| octet & 0x01 != 0);
        let asker = if is_response { destination } else { source };
        let fresh =
            |member: Member| member.tag.is_some() && packet.at.since(member.learned) < REFRESH;
        let known = self.endpoints.get(&asker).filter(|&member| fresh(member));
        let tag = known.and_then(|member| member.tag).or_else(|| {
            let tag = self.application(packet, source, destination, set);
            if tag.is_some() {
                self.endpoints.insert(
                    asker,
                    Member {
                        tag,
                        learned: packet.at,
                    },
                );
            }
            tag
        });
        let Some(tag) = tag else { return };
        let endpoints = &mut self.endpoints;
        stun::peers(packet.payload, &mut |peer| {
            if !endpoints.get(&peer).is_some_and(fresh) {
                endpoints.insert(
                    peer,
                    Member {
                        tag: Some(tag),
                        learned: packet.at,
                    },
                );
            }
        });
    }

    /// The application of the call this flow's media belongs to.
    pub(super) fn of<T>(&self, flow: &Flow<T>, at: Timestamp) -> Option<Tag> {
        if flow.transport() != Transport::Udp {
            return None;
        }
        [Side::Client, Side::Server].into_iter().find_map(|side| {
            let endpoint = SocketAddr::new(flow.ip(side), flow.port(side));
            let member = self.endpoints.get(&endpoint)?;
            member.tag.filter(|_| at.since(member.learned) <= LIFETIME)
        })
    }

    /// What rules say of the one message in `packet`.
    fn application(
        &mut self,
        packet: &Packet<'_>,
        source: SocketAddr,
        destination: SocketAddr,
        set: &SignatureSet,
    ) -> Option<Tag> {
        let ends = [u32::try_from(packet.payload.len()).ok()?];
        let opening = Opening {
            transport: Transport::Udp,
            client_ip: source.ip(),
            server_ip: destination.ip(),
            client_port: source.port(),
            server_port: destination.port(),
            client: Stream {
                bytes: packet.payload,
                ends: &ends,
                ..Stream::default()
            },
            server: Stream::default(),
            latest: Side::Client,
        };
        let mut facts = Facts::default();
        stun::dissect(&opening, &mut facts);
        self.found.clear();
        set.by_facts(&opening, &facts, &mut self.found);
        self.found.iter().copied().find(|tag| tag.app.is_some())
    }
}
