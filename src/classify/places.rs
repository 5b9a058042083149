//! Places at which an end waits for another flow because a message said so: data connections of FTP,
//! streams of RTSP, media that SIP describes, peers of BitTorrent.
//!
//! Learning is stateless towards flows, as in [`super::names`]: each message is read by itself. What
//! was said is believed for a while, of the end that said it or was told; it names a flow that shows
//! nothing else.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;

use super::generations::{Generations, seconds};
use super::names::NO_RULE;
use crate::app::Proto;
use crate::decode::Packet;
use crate::dissect::bittorrent::swarm;
use crate::dissect::ftp_data;
use crate::dissect::rtsp::transport;
use crate::flow::{Flow, Side, Transport};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::RuleId;

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// FTP's data.
    Transfer,
    /// A stream of RTSP, and reports on it.
    Stream,
    StreamReports,
    /// Media of a call by SIP, and reports on it.
    Media,
    MediaReports,
    /// A peer of BitTorrent.
    Peer,
}

/// What holds of all places for one purpose.
struct Row {
    purpose: Purpose,
    /// `None`: any.
    transport: Option<Transport>,
    proto: Proto,
    /// The dissector of those who say so, by its name.
    told_by: &'static str,
    /// Seconds it is believed for.
    lifetime: u32,
}

const ROWS: &[Row] = &[
    // RFC 959 has no limit; servers wait from one to five minutes.
    row(
        Purpose::Transfer,
        Some(Transport::Tcp),
        Proto::FTP_DATA,
        "ftp",
        300,
    ),
    // Between SETUP and PLAY; a session that is silent lives for one minute (RFC 2326 section 12.37).
    row(
        Purpose::Stream,
        Some(Transport::Udp),
        Proto::RTP,
        "rtsp",
        300,
    ),
    row(
        Purpose::StreamReports,
        Some(Transport::Udp),
        Proto::RTCP,
        "rtsp",
        300,
    ),
    // An INVITE is given up after three minutes (RFC 3261 section 16.6).
    row(Purpose::Media, Some(Transport::Udp), Proto::RTP, "sip", 300),
    row(
        Purpose::MediaReports,
        Some(Transport::Udp),
        Proto::RTCP,
        "sip",
        300,
    ),
    // Trackers and the DHT are asked again after half an hour (BEP 3, BEP 5).
    row(Purpose::Peer, None, Proto::BITTORRENT, "bittorrent", 1800),
];

const fn row(
    purpose: Purpose,
    transport: Option<Transport>,
    proto: Proto,
    told_by: &'static str,
    lifetime: u32,
) -> Row {
    Row {
        purpose,
        transport,
        proto,
        told_by,
        lifetime,
    }
}

/// What was said of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) proto: Proto,
    /// The dissector of those who said so, by its name.
    pub(super) by: &'static str,
    /// The rule that knows whose the signalling is.
    pub(super) rule: Option<RuleId>,
}

impl Row {
    /// Whether a flow that speaks `proto` may be one that was spoken of.
    fn fits(&self, proto: Proto) -> bool {
        const MEDIA: &[Proto] = &[Proto::RTP, Proto::RTCP, Proto::SRTP];
        proto == self.proto || MEDIA.contains(&proto) && MEDIA.contains(&self.proto)
    }
}

const FTP_PORT: u16 = 21;

/// Segments longer than this are no lines of a control connection: nothing is read in them, as most
/// segments are full of data.
const MAX_LINES: usize = 1024;

/// Whether a TCP segment may say something of places. All that does begins with a letter or a `2`.
#[inline]
pub(super) fn teaches_over_tcp(packet: &Packet<'_>) -> bool {
    packet.payload.len() <= MAX_LINES
        && (ftp_data::may_announce(packet.payload)
            || is_reply_of_ftp(packet)
            || transport::may_set_up(packet.payload))
        || swarm::Kind::of_segment(packet.payload).is_some()
}

/// Whether a datagram may say something of places.
#[inline]
pub(super) fn teaches_over_udp(packet: &Packet<'_>) -> bool {
    swarm::Kind::of_datagram(packet.payload).is_some()
}

/// Whether `packet` is a server's on the registered port: another answer may stand before that one.
#[inline]
fn is_reply_of_ftp(packet: &Packet<'_>) -> bool {
    packet.source_port == FTP_PORT && matches!(packet.payload, [b'2', ..])
}

/// Buckets of a generation of places.
const BUCKETS: usize = 1 << 16;

/// Buckets of a generation of those who speak with trackers.
const TRACKERS: usize = 1 << 12;

/// The places that were spoken of.
#[derive(Debug)]
pub(super) struct Places {
    state: RandomState,
    /// By the place and the address of the other end (`None`: anybody's).
    places: Generations<u64, Place>,
    /// Who asked a tracker over UDP for a connection, from which socket to which.
    trackers: Generations<u64, u32>,
    any_transfer: bool,
    any: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// In seconds of 1970.
    at: u32,
    /// [`NO_RULE`]: none.
    rule: RuleId,
    purpose: Purpose,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            state: RandomState::default(),
            places: Generations::new(BUCKETS),
            trackers: Generations::new(TRACKERS),
            any_transfer: false,
            any: false,
        }
    }
}

impl Places {
    /// The most bytes they take.
    pub(super) const MEMORY: usize =
        Generations::<u64, Place>::memory(BUCKETS) + Generations::<u64, u32>::memory(TRACKERS);

    /// Learns from one segment.
    pub(super) fn learn_segment(&mut self, packet: &Packet<'_>, set: &SignatureSet) {
        if transport::may_set_up(packet.payload) {
            self.learn_streams(packet, set);
        } else if let Some(kind) = swarm::Kind::of_segment(packet.payload) {
            self.learn_swarm(packet, kind);
        } else {
            self.learn_transfer(packet);
        }
    }

    /// Learns from one datagram.
    pub(super) fn learn_datagram(&mut self, packet: &Packet<'_>) {
        if let Some(kind) = swarm::Kind::of_datagram(packet.payload) {
            self.learn_swarm(packet, kind);
        }
    }

    fn learn_transfer(&mut self, packet: &Packet<'_>) {
        let Some(listener) = ftp_data::announced(packet.payload) else {
            return;
        };
        let [speaker, other] = ends(packet);
        // Behind address translation the line may name an address that the mirror does not show:
        // the speaker's own is as good. That of a third party is never taken for the speaker's: the
        // other end is always the one of the control connection.
        for address in [Some(speaker), listener.address].into_iter().flatten() {
            let place = SocketAddr::new(address, listener.port);
            self.add(place, Some(other), Purpose::Transfer, None, packet.at);
            self.any_transfer = true;
        }
    }

    fn learn_streams(&mut self, packet: &Packet<'_>, set: &SignatureSet) {
        let [sender, receiver] = ends(packet);
        let host = transport::host(packet.payload);
        let tag = host.as_deref().and_then(|host| set.by_name(host));
        let rule = tag.filter(|tag| tag.app.is_some()).map(|tag| tag.rule);
        transport::channels(packet.payload, &mut |channel| {
            let (end, other) = match channel.of_sender {
                true => (sender, receiver),
                false => (receiver, sender),
            };
            let purpose = match channel.proto {
                Proto::RTCP => Purpose::StreamReports,
                _ => Purpose::Stream,
            };
            for address in [Some(end), channel.address].into_iter().flatten() {
                let place = SocketAddr::new(address, channel.port);
                self.add(place, Some(other), purpose, rule, packet.at);
            }
        });
    }

    /// Media of a call that no rule knows goes to `place`.
    pub(super) fn expect_media(&mut self, place: SocketAddr, proto: Proto, at: Timestamp) {
        let purpose = match proto {
            Proto::RTCP => Purpose::MediaReports,
            _ => Purpose::Media,
        };
        self.add(place, None, purpose, None, at);
    }

    fn learn_swarm(&mut self, packet: &Packet<'_>, kind: swarm::Kind) {
        let [sender, receiver] = ends(packet);
        let sockets = |from: SocketAddr, to: SocketAddr| self.state.hash_one((from, to));
        let from = SocketAddr::new(sender, packet.source_port);
        let to = SocketAddr::new(receiver, packet.destination_port);
        let pair = match kind {
            swarm::Kind::TrackerConnect => {
                let pair = sockets(from, to);
                return self.trackers.insert(pair, seconds(packet.at));
            }
            swarm::Kind::TrackerAnnounce => Some(sockets(from, to)),
            swarm::Kind::TrackerAnswer => Some(sockets(to, from)),
            _ => None,
        };
        // A connection holds for two minutes (BEP 15).
        let is_recent = |asked: u32| seconds(packet.at).saturating_sub(asked) <= 120;
        if pair.is_some_and(|pair| !self.trackers.get(&pair).is_some_and(is_recent)) {
            return;
        }
        if let Some(port) = kind.listens(packet.payload, packet.source_port) {
            let place = SocketAddr::new(sender, port);
            self.add(place, None, Purpose::Peer, None, packet.at);
        }
        kind.peers(packet.payload, packet.version == 6, &mut |peer| {
            self.add(peer, Some(receiver), Purpose::Peer, None, packet.at);
        });
    }

    fn add(
        &mut self,
        place: SocketAddr,
        other: Option<IpAddr>,
        purpose: Purpose,
        rule: Option<RuleId>,
        at: Timestamp,
    ) {
        let key = self.key(place, other);
        let place = Place {
            at: seconds(at),
            rule: rule.unwrap_or(NO_RULE),
            purpose,
        };
        self.places.insert(key, place);
        self.any = true;
    }

    fn key(&self, place: SocketAddr, other: Option<IpAddr>) -> u64 {
        let bits = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        // No other end has the address zero.
        let other = other.map_or(0, bits);
        self.state.hash_one((bits(place.ip()), other, place.port()))
    }

    /// Whether the flow is a data connection that was spoken of.
    pub(super) fn is_transfer<T>(&self, flow: &Flow<T>, at: Timestamp) -> bool {
        self.any_transfer
            && flow.transport() == Transport::Tcp
            && self
                .find(flow, at, &[true])
                .is_some_and(|(row, _)| row.purpose == Purpose::Transfer)
    }

    /// What was said of the flow, if one of which `spoken` was recognised may be what was spoken of.
    pub(super) fn of<T>(
        &self,
        flow: &Flow<T>,
        spoken: Option<Proto>,
        at: Timestamp,
    ) -> Option<Told> {
        if !self.any || spoken.is_some_and(|spoken| !ROWS.iter().any(|row| row.fits(spoken))) {
            return None;
        }
        let (row, place) = self.find(flow, at, &[true, false])?;
        let told = Told {
            proto: row.proto,
            by: row.told_by,
            rule: Some(place.rule).filter(|&rule| rule != NO_RULE),
        };
        spoken.is_none_or(|spoken| row.fits(spoken)).then_some(told)
    }

    /// The place at either end; `to`: said to the other one, or of anybody.
    fn find<T>(&self, flow: &Flow<T>, at: Timestamp, to: &[bool]) -> Option<(&'static Row, Place)> {
        to.iter().find_map(|&is_to_other| {
            [Side::Server, Side::Client].into_iter().find_map(|side| {
                let place = SocketAddr::new(flow.ip(side), flow.port(side));
                let other = is_to_other.then(|| flow.ip(!side));
                let found = self.places.get(&self.key(place, other))?;
                let row = ROWS.iter().find(|row| row.purpose == found.purpose)?;
                let carries = row.transport.is_none_or(|it| it == flow.transport());
                let is_recent = seconds(at).saturating_sub(found.at) <= row.lifetime;
                (carries && is_recent).then_some((row, found))
            })
        })
    }
}

/// The addresses of a packet: from, to.
fn ends(packet: &Packet<'_>) -> [IpAddr; 2] {
    [packet.source, packet.destination].map(|address| address.to_ip(packet.version))
}
