//! Endpoints of calls: a UDP socket that sent an application's STUN is that application's, and so
//! are the peers it asked its relay for and the addresses that its SIP announces for media; media
//! from or to them belongs to the call.
//!
//! Learning is stateless towards flows, as in [`super::names`]: each message is read by itself.

use std::net::SocketAddr;
use std::time::Duration;

use super::generations::Generations;
use super::places::Places;
use crate::decode::{IpProtocol, Packet};
use crate::dissect::{Facts, Outcome, sip, stun};
use crate::flow::{Flow, Opening, Side, Stream, Transport};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::Tag;

/// How long after its last STUN message an endpoint still belongs to the call. RFC 8656 section
/// 3.2: a permission lives 300 seconds.
const LIFETIME: Duration = Duration::from_secs(300);

/// Addresses one message may announce.
const MAX_MEDIA: usize = 16;

/// An endpoint learned less than this ago is not learned anew.
const REFRESH: Duration = Duration::from_secs(30);

/// RFC 8489 section 5.
const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();

/// The ports registered for SIP, where all that may be a message is read.
const SIP_PORTS: [u16; 2] = [5060, 5061];

/// Whether `packet` may be, or begin with, a SIP message.
#[inline]
pub(super) fn is_sip(packet: &Packet<'_>) -> bool {
    let [sip, sips] = SIP_PORTS;
    let is_sip = |port| port == sip || port == sips;
    packet.payload.first().is_some_and(u8::is_ascii_uppercase)
        && matches!(packet.protocol, IpProtocol::UDP | IpProtocol::TCP)
        && (is_sip(packet.source_port)
            || is_sip(packet.destination_port)
            || sip::may_describe(packet.payload))
}

/// Whether `packet` is a STUN message by its cookie.
#[inline]
pub(super) fn is_stun(packet: &Packet<'_>) -> bool {
    packet.protocol == IpProtocol::UDP
        && packet.payload.get(4..8) == Some(&MAGIC_COOKIE)
        && packet.payload.len() >= 20
        && packet
            .payload
            .first()
            .is_some_and(|octet| octet & 0xc0 == 0)
}

/// Buckets of a generation of endpoints.
const BUCKETS: usize = 16_384;

/// The endpoints of calls.
#[derive(Debug)]
pub(super) struct Calls {
    endpoints: Generations<SocketAddr, Member>,
    found: Vec<Tag>,
    media: Vec<sip::Media>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// `None`: its STUN messages name no application.
    tag: Option<Tag>,
    learned: Timestamp,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            endpoints: Generations::new(BUCKETS),
            found: Vec::new(),
            media: Vec::new(),
        }
    }
}

impl Calls {
    /// The most bytes they take.
    pub(super) const MEMORY: usize = Generations::<SocketAddr, Member>::memory(BUCKETS);

    /// Learns from one message; media of calls that are no application's goes to `places`.
    pub(super) fn learn(&mut self, packet: &Packet<'_>, set: &SignatureSet, places: &mut Places) {
        if is_stun(packet) {
            self.learn_stun(packet, set);
        } else {
            self.learn_sip(packet, set, places);
        }
    }

    /// RFC 3264: SDP in an offer and in its answer says where each side wants to get media.
    fn learn_sip(&mut self, packet: &Packet<'_>, set: &SignatureSet, places: &mut Places) {
        let mut media = std::mem::take(&mut self.media);
        media.clear();
        sip::media(packet.payload, &mut |one| {
            if media.len() < MAX_MEDIA {
                media.push(one);
            }
        });
        if !media.is_empty() {
            let source = SocketAddr::new(packet.source.to_ip(packet.version), packet.source_port);
            let destination = SocketAddr::new(
                packet.destination.to_ip(packet.version),
                packet.destination_port,
            );
            let tag = self.application(packet, source, destination, sip::dissect, set);
            let learned = packet.at;
            for &sip::Media { address, proto } in &media {
                if tag.is_some() {
                    self.endpoints.insert(address, Member { tag, learned });
                } else if let Some(proto) = proto {
                    places.expect_media(address, proto, learned);
                }
            }
        }
        self.media = media;
    }

    fn learn_stun(&mut self, packet: &Packet<'_>, set: &SignatureSet) {
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
            let tag = self.application(packet, source, destination, stun::dissect, set);
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
        dissect: fn(&Opening<'_>, &mut Facts) -> Outcome,
        set: &SignatureSet,
    ) -> Option<Tag> {
        let ends = [u32::try_from(packet.payload.len()).ok()?];
        let opening = Opening {
            transport: match packet.protocol {
                IpProtocol::TCP => Transport::Tcp,
                _ => Transport::Udp,
            },
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
        dissect(&opening, &mut facts);
        self.found.clear();
        set.by_facts(&opening, &facts, &mut self.found);
        self.found.iter().copied().find(|tag| tag.app.is_some())
    }
}
