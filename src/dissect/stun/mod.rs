//! STUN in all its dialects: RFC 8489 and 5389, the classic RFC 3489, TURN (RFC 8656), ICE's
//! checks, and the private types of WhatsApp, Facebook, Teams, Zoom and Google.
//!
//! The cookie makes a message STUN whatever its type. Applications are told apart by the attributes
//! that show up over many messages, so the answer stays [`Outcome::Partial`] and every call adds
//! what the newest message holds.
//!
//! ICE's checks only open the way for what follows between the same ports (RFC 7983), and that is
//! what is spoken: `dtls` from its handshake on, whatever it keys (SRTP: RFC 5764, SCTP: RFC 8261),
//! `rtp` where there is none. A flow to a relay stays `turn`.

mod message;

use std::net::SocketAddr;

use self::message::{HEADER_LEN, Message, Proof, attribute, channel, multiplexed};
use super::plain::{MAX_TEXT, lower, text};
use super::{Facts, Outcome, dtls, rtp};
use crate::app::Proto;
use crate::flow::{Opening, Side, Stream, Transport};
use crate::wire::reader::Reader;

const MAX_TYPES: usize = 16;
const MAX_ATTRIBUTES: usize = 32;
const MAX_ADDRESSES: usize = 8;
const MAX_MEDIA: usize = 32;

/// Messages of one side read from a TCP stream.
const MAX_IN_STREAM: usize = 64;

/// ChannelData on one channel that show TURN where its beginning was not seen.
const ENOUGH_CHANNEL_DATA: usize = 3;

/// Ports registered for STUN and those beside it that its servers use.
const PORTS: std::ops::RangeInclusive<u16> = 3478..=3481;

/// What a STUN message teaches about other flows of the call that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson<'a> {
    /// A peer that the client asks its relay for.
    Peer(SocketAddr),
    /// The relay's socket at which peers reach the client.
    Relayed(SocketAddr),
    /// The two names of ICE's credentials, in the order of their octets: what the checks between all
    /// sockets of one session have in common (RFC 8445 section 7.2.2).
    Session([&'a [u8]; 2]),
}

/// Calls `each` for all that one STUN message teaches.
///
/// `payload` is a UDP payload; stateless and total. A check that goes through a relay is read as well.
pub fn lessons<'a>(payload: &'a [u8], each: &mut dyn FnMut(Lesson<'a>)) {
    let payload = multiplexed(payload).unwrap_or(payload);
    let Some(message) = Message::in_datagram(payload).filter(|m| m.proof == Proof::Cookie) else {
        return;
    };
    for (kind, value) in message.attributes().take(MAX_MEDIA) {
        match kind {
            attribute::XOR_PEER_ADDRESS => {
                message.xor_address(value).map(Lesson::Peer).map(&mut *each);
            }
            attribute::XOR_RELAYED_ADDRESS => {
                let relayed = message.xor_address(value);
                relayed.map(Lesson::Relayed).map(&mut *each);
            }
            attribute::USERNAME => {
                session(value).map(Lesson::Session).map(&mut *each);
            }
            attribute::DATA => {
                let check = Message::in_datagram(value).filter(|m| m.proof == Proof::Cookie);
                let names = check.and_then(|check| {
                    let mut inside = check.attributes().take(MAX_MEDIA);
                    inside.find(|&(kind, _)| kind == attribute::USERNAME)
                });
                let names = names.and_then(|(_, value)| session(value));
                names.map(Lesson::Session).map(&mut *each);
            }
            _ => {}
        }
    }
}

/// The names in a USERNAME of ICE. RFC 8445 section 5.3: each is random in 24 bits at least, four
/// characters; both together are no other session's.
fn session(username: &[u8]) -> Option<[&[u8]; 2]> {
    let colon = memchr::memchr(b':', username)?;
    let (one, other) = (username.get(..colon)?, username.get(colon + 1..)?);
    let is_name = |name: &[u8]| {
        let is_ice_char = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        (4..=256).contains(&name.len()) && name.iter().all(is_ice_char)
    };
    (is_name(one) && is_name(other) && one != other).then(|| match one <= other {
        true => [one, other],
        false => [other, one],
    })
}

/// Whether `payload` is what only a server of its own for calls sends: a response to anything but a
/// binding request, which servers answer to everybody.
pub fn is_of_relay(payload: &[u8]) -> bool {
    const BINDING: u16 = 1;
    let payload = multiplexed(payload).unwrap_or(payload);
    Message::in_datagram(payload).is_some_and(|message| {
        message.proof == Proof::Cookie && message.is_response() && message.method() != BINDING
    })
}

/// Reads the newest message over UDP; over TCP what both sides sent.
pub(crate) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    match opening.transport {
        Transport::Udp => datagrams(opening, facts),
        Transport::Tcp => streams(opening, facts),
        Transport::Other(_) => Outcome::NotMine,
    }
}

fn datagrams(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let newest = opening.newest();
    if facts.stun.is_some() {
        match Datagram::read(newest) {
            Datagram::Stun(message) => collect(&message, facts),
            Datagram::Channel(_) => facts.proto = Some(Proto::TURN),
            Datagram::Other => beside(opening, facts),
            Datagram::Foreign => {}
        }
        return Outcome::Partial;
    }
    let sure = match Datagram::read(newest) {
        Datagram::Stun(message) => {
            message.proof != Proof::HeaderOnly || on_stun_port(opening) || is_answered(opening)
        }
        Datagram::Channel(number) => {
            let same =
                |datagram: &&[u8]| channel(datagram) == Some(number) && carries_media(datagram);
            let sent = opening.client.messages().chain(opening.server.messages());
            sent.filter(same).take(ENOUGH_CHANNEL_DATA).count() == ENOUGH_CHANNEL_DATA
        }
        // STUN may begin after these (RFC 7983).
        Datagram::Other => false,
        Datagram::Foreign => return Outcome::NotMine,
    };
    if !sure {
        return Outcome::NeedMore;
    }
    claim(facts);
    if let Datagram::Stun(first) = Datagram::read(opening.client.first()) {
        facts.swapped |= first.is_response();
    }
    for datagram in opening.client.messages().chain(opening.server.messages()) {
        match Datagram::read(datagram) {
            Datagram::Stun(message) => collect(&message, facts),
            Datagram::Channel(_) => facts.proto = Some(Proto::TURN),
            _ => {}
        }
    }
    Outcome::Partial
}

/// Reads packets of RTP and RTCP. Whose media reports are of may be told by ICE's checks between the
/// same ports.
pub(super) fn dissect_media(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let is_turn = facts.proto == Some(Proto::TURN);
    let outcome = rtp::dissect(opening, facts);
    if outcome == Outcome::Partial {
        if is_turn {
            // Reports beside its channels do not make it another protocol.
            facts.proto = Some(Proto::TURN);
        }
        if matches!(opening.newest(), [0..=3, ..]) {
            dissect(opening, facts);
        }
    }
    outcome
}

/// Reads what STUN shares the ports with, told apart by its first octet (RFC 7983 section 7).
fn beside(opening: &Opening<'_>, facts: &mut Facts) {
    match (opening.newest().first(), facts.proto) {
        (Some(20..=63), Some(Proto::STUN | Proto::RTP | Proto::RTCP | Proto::DTLS)) => {
            dtls::dissect_muxed(opening, facts);
        }
        // After a handshake it is SRTP, which DTLS has the keys of.
        (Some(128..=191), Some(Proto::STUN | Proto::RTCP)) => {
            rtp::dissect(opening, facts);
        }
        _ => {}
    }
}

/// What a datagram is, as far as its first bytes tell (RFC 7983 section 7).
enum Datagram<'a> {
    Stun(Message<'a>),
    /// ChannelData with this number.
    Channel(u16),
    /// DTLS, RTP or RTCP, a keep-alive, or multiplexed data: may share the ports with STUN.
    Other,
    Foreign,
}

impl<'a> Datagram<'a> {
    fn read(datagram: &'a [u8]) -> Self {
        match datagram {
            [0..=63, ..] if let Some(message) = Message::in_datagram(datagram) => {
                Self::Stun(message)
            }
            [0x40..=0x7f, ..] if let Some(number) = channel(datagram) => Self::Channel(number),
            [0xff, 0x10, ..] if let Some(inner) = multiplexed(datagram) => {
                Message::in_datagram(inner).map_or(Self::Other, Self::Stun)
            }
            [20..=63 | 128..=191, ..] => Self::Other,
            keep_alive if keep_alive.len() <= 4 => Self::Other,
            _ => Self::Foreign,
        }
    }
}

/// Whether ChannelData holds what calls send between peers, told by the first octet (RFC 7983
/// section 7): STUN with its cookie, DTLS, RTP.
fn carries_media(datagram: &[u8]) -> bool {
    let data = datagram.get(4..).unwrap_or_default();
    match data {
        [0..=3, ..] => Message::in_datagram(data).is_some_and(|m| m.proof == Proof::Cookie),
        [20..=63 | 128..=191, ..] => true,
        _ => false,
    }
}

fn on_stun_port(opening: &Opening<'_>) -> bool {
    PORTS.contains(&opening.server_port) || PORTS.contains(&opening.client_port)
}

/// Whether a request without cookie and attributes got a response of its transaction.
fn is_answered(opening: &Opening<'_>) -> bool {
    let sides = [opening.client, opening.server];
    let [Some(client), Some(server)] = sides.map(|side| Message::in_datagram(side.first())) else {
        return false;
    };
    client.transaction == server.transaction
        && client.method() == server.method()
        && client.is_response() != server.is_response()
}

fn streams(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let mut undecided = false;
    for side in [Side::Client, Side::Server] {
        let stream = opening.stream(side);
        let Some(framing) = Framing::of(stream) else {
            continue;
        };
        if framing == Framing::Undecided {
            undecided = true;
            continue;
        }
        if side == Side::Client && facts.stun.is_none() {
            let first = framing.messages(stream.bytes).next();
            facts.swapped |= stream.mid_stream && first.is_some_and(|m| m.is_response());
        }
        claim(facts);
        for message in framing.messages(stream.bytes).take(MAX_IN_STREAM) {
            collect(&message, facts);
        }
    }
    match (facts.stun.is_some(), undecided) {
        (true, _) => Outcome::Partial,
        (false, true) => Outcome::NeedMore,
        (false, false) => Outcome::NotMine,
    }
}

/// How messages follow one another in a TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// One after the other, as RFC 8489 section 6.2.2 has it, with ChannelData between.
    Plain,
    /// Each behind its length in two octets (RFC 4571, as ICE over TCP does: RFC 6544).
    Length,
    /// Each behind `02 00` or `03 00` and its length (\[MS-TURN\] section 2.1.4).
    Microsoft,
    /// Too few bytes to tell.
    Undecided,
}

impl Framing {
    fn of(stream: Stream<'_>) -> Option<Self> {
        let bytes = stream.bytes;
        let field = |at: usize| {
            let mut reader = Reader::new(bytes.get(at..)?);
            reader.be16().map(usize::from)
        };
        if Message::in_stream(bytes).is_some() {
            return Some(Self::Plain);
        }
        let message_len = |at: usize| Some(field(at + 2)? + HEADER_LEN);
        let length = bytes.get(2..).and_then(Message::in_stream);
        if length.is_some() && field(0) == message_len(2) {
            return Some(Self::Length);
        }
        if bytes.starts_with(&[2, 0]) && field(2) == message_len(4) {
            let message = bytes.get(4..).and_then(|rest| rest.get(..message_len(4)?));
            if message.and_then(Message::in_datagram).is_some() {
                return Some(Self::Microsoft);
            }
        }
        // What is there does not contradict a message that is not whole yet.
        let cookie = |at: usize| {
            let there = bytes.get(at..).unwrap_or_default();
            there
                .iter()
                .zip(&[0x21, 0x12, 0xa4, 0x42])
                .all(|(a, b)| a == b)
        };
        let plain = bytes.first().is_some_and(|first| *first < 0x40)
            && field(2).is_none_or(|len| len % 4 == 0)
            && cookie(4);
        let length = field(0).is_none_or(|len| len >= HEADER_LEN)
            && bytes.get(2).is_none_or(|first| *first < 0x40)
            && field(4).is_none_or(|len| field(0) == Some(len + HEADER_LEN))
            && cookie(6);
        let microsoft = bytes.starts_with(&[2, 0])
            && field(2).is_none_or(|len| len >= HEADER_LEN && bytes.len() < len + 4)
            && bytes.get(4).is_none_or(|first| *first < 0x40)
            && message_len(4).is_none_or(|len| field(2) == Some(len));
        (!bytes.is_empty() && !stream.ended && (plain || length || microsoft))
            .then_some(Self::Undecided)
    }

    /// The whole messages of a stream; ends at the first byte that is none.
    fn messages(self, bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
        let mut reader = Reader::new(bytes);
        std::iter::from_fn(move || {
            loop {
                let mut ahead = reader;
                let first = ahead.be16()?;
                let (frame, next) = match self {
                    Self::Plain if (0x4000..0x8000).contains(&first) => {
                        let len = usize::from(ahead.be16()?).next_multiple_of(4);
                        ahead.skip(len)?;
                        (None, ahead)
                    }
                    Self::Plain => {
                        let (message, len) = Message::in_stream(reader.rest())?;
                        reader.skip(len)?;
                        return Some(message);
                    }
                    Self::Length => (ahead.take(usize::from(first)), ahead),
                    Self::Microsoft => {
                        let len = ahead.be16()?;
                        (Some(ahead.take(usize::from(len))?), ahead)
                    }
                    Self::Undecided => return None,
                };
                if self == Self::Length && frame.is_none() {
                    return None;
                }
                reader = next;
                if let Some(message) = frame.and_then(Message::in_datagram) {
                    return Some(message);
                }
            }
        })
    }
}

fn claim(facts: &mut Facts) {
    facts.stun.get_or_insert_default();
    facts.proto.get_or_insert(Proto::STUN);
}

/// Adds what a message holds.
fn collect(message: &Message<'_>, facts: &mut Facts) {
    let stun = facts.stun.get_or_insert_default();
    add(&mut stun.types, message.kind, MAX_TYPES);
    stun.classic |= message.proof != Proof::Cookie;
    for (kind, value) in message.attributes() {
        add(&mut stun.attributes, kind, MAX_ATTRIBUTES);
        match kind {
            attribute::REALM if stun.realm.is_none() => stun.realm = lower(value),
            attribute::SOFTWARE if stun.software.is_none() => stun.software = text(value, MAX_TEXT),
            attribute::USERNAME if stun.username.is_none() => stun.username = text(value, MAX_TEXT),
            attribute::ORIGIN | attribute::ALTERNATE_DOMAIN if stun.origin.is_none() => {
                stun.origin = lower(value);
            }
            attribute::XOR_PEER_ADDRESS
            | attribute::XOR_RELAYED_ADDRESS
            | attribute::XOR_MAPPED_ADDRESS
            | attribute::XOR_MAPPED_ADDRESS_DRAFT
                if message.proof == Proof::Cookie =>
            {
                if let Some(address) = message.xor_address(value) {
                    add(&mut stun.addresses, address, MAX_ADDRESSES);
                }
            }
            _ => {}
        }
    }
    if message.is_turn() {
        facts.proto = Some(Proto::TURN);
    }
}

/// Appends `value` unless it is there or the list is full.
fn add<T: PartialEq>(list: &mut Vec<T>, value: T, max: usize) {
    if list.len() < max && !list.contains(&value) {
        list.push(value);
    }
}

#[cfg(test)]
mod tests;
