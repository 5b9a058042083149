//! Endpoints of calls: a UDP socket that sent an application's STUN is that application's, and so
//! are the peers it asked its relay for, the relay's socket it was given, the sockets whose checks have
//! the credentials of the same session of ICE, a relay that says itself whose it is, and the addresses
//! that the application's SIP announces for media; media from or to them belongs to the call.
//!
//! Learning is stateless towards flows, as in [`super::names`]: each message is read by itself.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::generations::Generations;
use super::places::Places;
use super::signalling::Signalling;
use crate::app::Proto;
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

/// Buckets of a generation of credentials.
const SESSIONS: usize = 8192;

/// What is spoken to a relay.
const TO_RELAYS: &[Proto] = &[
    Proto::STUN,
    Proto::TURN,
    Proto::DTLS,
    Proto::RTP,
    Proto::RTCP,
    Proto::SRTP,
];

/// The endpoints of calls.
#[derive(Debug)]
pub(super) struct Calls {
    endpoints: Generations<SocketAddr, Member>,
    /// Sessions of ICE, by the hash of their credentials.
    sessions: Generations<u64, Member>,
    state: RandomState,
    found: Vec<Tag>,
    media: Vec<sip::Media>,
    peers: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    /// `None`: different applications have it.
    tag: Option<Tag>,
    /// A server that many clients share.
    is_relay: bool,
    learned: Timestamp,
}

impl Member {
    fn is_fresh(&self, at: Timestamp) -> bool {
        at.since(self.learned) < REFRESH
    }

    /// Whose it is.
    fn holds(&self, at: Timestamp) -> Option<Tag> {
        self.tag.filter(|_| at.since(self.learned) <= LIFETIME)
    }

    /// What `before`, if there was something, becomes when `tag` is told of it.
    fn told(before: Option<Self>, tag: Tag, is_relay: bool, at: Timestamp) -> Self {
        let before = before.filter(|before| at.since(before.learned) <= LIFETIME);
        let is_other = |before: Self| before.tag.is_none_or(|it| it.app != tag.app);
        Self {
            tag: (!before.is_some_and(is_other)).then_some(tag),
            is_relay,
            learned: at,
        }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            endpoints: Generations::new(BUCKETS),
            sessions: Generations::new(SESSIONS),
            state: RandomState::default(),
            found: Vec::new(),
            media: Vec::new(),
            peers: Vec::new(),
        }
    }
}

impl Calls {
    /// The most bytes they take.
    pub(super) const MEMORY: usize = Generations::<SocketAddr, Member>::memory(BUCKETS)
        + Generations::<u64, Member>::memory(SESSIONS);

    /// Learns from one message; media of calls that are no application's goes to `places`, and who
    /// calls to `signalling`.
    pub(super) fn learn(
        &mut self,
        packet: &Packet<'_>,
        set: &SignatureSet,
        places: &mut Places,
        signalling: &mut Signalling,
    ) {
        if is_stun(packet) {
            self.learn_stun(packet, set, signalling);
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
                if let Some(tag) = tag {
                    self.endpoints
                        .insert(address, Member::told(None, tag, false, learned));
                } else if let Some(proto) = proto {
                    places.expect_media(address, proto, learned);
                }
            }
        }
        self.media = media;
    }

    fn learn_stun(&mut self, packet: &Packet<'_>, set: &SignatureSet, signalling: &mut Signalling) {
        let at = packet.at;
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
        let mut peers = std::mem::take(&mut self.peers);
        peers.clear();
        let mut session = None;
        stun::lessons(packet.payload, &mut |lesson| match lesson {
            stun::Lesson::Peer(socket) | stun::Lesson::Relayed(socket) => peers.push(socket),
            stun::Lesson::Session(names) => session = Some(self.state.hash_one(names)),
        });
        let known = self.endpoints.get(&asker).filter(|it| it.is_fresh(at));
        let known = known.filter(|it| !it.is_relay).and_then(|it| it.tag);
        let tag = known.or_else(|| {
            let own = self.application(packet, source, destination, stun::dissect, set);
            if let Some(tag) = own {
                signalling.calls(asker.ip(), tag, at, set);
            }
            // The relay itself says whose it is, to whoever asks.
            let tag = own.or_else(|| self.sessions.get(&session?)?.holds(at));
            if let Some(tag) = tag {
                self.endpoints
                    .insert(asker, Member::told(None, tag, false, at));
            }
            tag
        });
        if is_response {
            self.learn_relay(packet, source, destination, set);
        }
        if let Some(tag) = tag {
            for &peer in &peers {
                let known = self.endpoints.get(&peer);
                if !known.is_some_and(|it| it.tag.is_some() && it.is_fresh(at)) {
                    self.endpoints
                        .insert(peer, Member::told(None, tag, false, at));
                }
            }
            if let Some(session) = session {
                let before = self.sessions.get(&session);
                if !before.is_some_and(|it| it.is_fresh(at)) {
                    let member = Member::told(before, tag, false, at);
                    self.sessions.insert(session, member);
                }
            }
        }
        self.peers = peers;
    }

    /// What the message of a relay alone says of it holds for all its clients.
    fn learn_relay(
        &mut self,
        packet: &Packet<'_>,
        relay: SocketAddr,
        client: SocketAddr,
        set: &SignatureSet,
    ) {
        let before = self.endpoints.get(&relay);
        if before.is_some_and(|it| it.is_fresh(packet.at)) || !stun::is_of_relay(packet.payload) {
            return;
        }
        if let Some(tag) = self.application(packet, relay, client, stun::dissect, set) {
            let before = before.filter(|it| it.is_relay);
            let member = Member::told(before, tag, true, packet.at);
            self.endpoints.insert(relay, member);
        }
    }

    /// The application of the call this flow's media belongs to, `spoken` being what was recognised.
    pub(super) fn of<T>(
        &self,
        flow: &Flow<T>,
        spoken: Option<Proto>,
        at: Timestamp,
    ) -> Option<Tag> {
        if flow.transport() != Transport::Udp {
            return None;
        }
        let to_relays = spoken.is_none_or(|proto| TO_RELAYS.contains(&proto));
        [Side::Client, Side::Server].into_iter().find_map(|side| {
            let endpoint = SocketAddr::new(flow.ip(side), flow.port(side));
            let member = self.endpoints.get(&endpoint)?;
            member.holds(at).filter(|_| !member.is_relay || to_relays)
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
