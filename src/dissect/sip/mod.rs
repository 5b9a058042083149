//! SIP over UDP and TCP (RFC 3261), and SIP-C, the dialect of Fetion.
//!
//! Signalling names the media to come: the addresses in SDP bodies go to [`Facts::media`], over
//! all messages seen, so the answer stays [`Outcome::Partial`]. Other text protocols of telephony
//! (MGCP, H.248, RTSP) are refused by their first line.

mod message;
mod sdp;

pub use self::sdp::Media;

use self::message::{Begin, Dialect, Header, Start, content_length, headers, split, uri_host};
use super::plain::{MAX_NAME, MAX_TEXT, is_domain, text};
use super::{Facts, Outcome};
use crate::app::Proto;
use crate::flow::{Opening, Side, Transport};

/// The ports registered for SIP.
const PORTS: [u16; 2] = [5060, 5061];

/// Messages of one side read from a TCP stream.
const MAX_IN_STREAM: usize = 16;

/// Whether `payload`, on whatever port, begins as a message that may carry a description. Cheap.
#[inline]
pub fn may_describe(payload: &[u8]) -> bool {
    payload.starts_with(b"SIP/2.0 ") || payload.starts_with(b"INVITE s")
}

/// Calls `each` for every address that the SDP of one SIP message says media will flow to.
///
/// `payload` is a UDP payload; stateless and total.
pub fn media(payload: &[u8], each: &mut dyn FnMut(Media)) {
    if let Begin::Line(_, _, rest) = Begin::read(payload)
        && let Some((_, body)) = split(rest)
    {
        sdp::media(body, each);
    }
}

/// Reads the newest message over UDP; over TCP what the newest segment's side sent.
pub(crate) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    match opening.transport {
        Transport::Udp => datagram(opening, facts),
        Transport::Tcp => streams(opening, facts),
        Transport::Other(_) => Outcome::NotMine,
    }
}

fn datagram(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let newest = opening.newest();
    let claimed = facts.sip.is_some();
    match Begin::read(newest) {
        Begin::Line(dialect, start, rest) => {
            if !claimed {
                claim(dialect, start, opening.latest, facts);
            }
            let head = split(rest).map_or(rest, |(head, _)| head);
            collect(start, head, facts);
            Outcome::Partial
        }
        _ if claimed => Outcome::Partial,
        // Clients may knock with anything on the port before they speak.
        _ if is_keep_alive(newest) || PORTS.iter().any(|&port| opening.has_port(port)) => {
            Outcome::NeedMore
        }
        // A datagram that ends inside its start line is no message.
        Begin::Cut | Begin::Foreign => Outcome::NotMine,
    }
}

/// What phones send to keep a binding of a NAT open before they send anything else.
fn is_keep_alive(datagram: &[u8]) -> bool {
    let blank = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    datagram == b"jaK" || datagram.len() <= 4 && datagram.iter().all(blank)
}

fn streams(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let mut undecided = false;
    for side in [Side::Client, Side::Server] {
        let stream = opening.stream(side);
        if stream.is_empty() || facts.sip.is_some() && side != opening.latest {
            continue;
        }
        let mut bytes = stream.bytes;
        for _ in 0..MAX_IN_STREAM {
            let (dialect, start, rest) = match Begin::read(bytes) {
                Begin::Line(dialect, start, rest) => (dialect, start, rest),
                Begin::Cut => {
                    undecided |= !stream.ended;
                    break;
                }
                Begin::Foreign => break,
            };
            if facts.sip.is_none() {
                claim(dialect, start, side, facts);
            }
            let Some((head, after)) = split(rest) else {
                collect(start, rest, facts);
                break;
            };
            collect(start, head, facts);
            let Some(next) = after.get(content_length(head)..) else {
                break; // The body is not whole yet.
            };
            bytes = next;
        }
    }
    match (facts.sip.is_some(), undecided) {
        (true, _) => Outcome::Partial,
        (false, true) => Outcome::NeedMore,
        (false, false) => Outcome::NotMine,
    }
}

fn claim(dialect: Dialect, start: Start<'_>, side: Side, facts: &mut Facts) {
    facts.sip = Some(Box::default());
    facts.proto = Some(match dialect {
        Dialect::Sip => Proto::SIP,
        Dialect::SipC => Proto::SIP_C,
    });
    facts.swapped |= side == Side::Client && matches!(start, Start::Response { .. });
}

/// Adds what a message holds; what came first stays.
fn collect(start: Start<'_>, head: &[u8], facts: &mut Facts) {
    let sip = facts.sip.get_or_insert_default();
    let set = |slot: &mut Option<Box<str>>, value: Option<Box<str>>| {
        if slot.is_none() {
            *slot = value;
        }
    };
    let is_request = match start {
        Start::Request { method, target } => {
            set(&mut sip.method, text(method, MAX_NAME));
            set(
                &mut sip.request_host,
                uri_host(target).or_else(|| bare_host(target)),
            );
            true
        }
        Start::Response { status } => {
            sip.status.get_or_insert(status);
            false
        }
    };
    for (header, value) in headers(head) {
        match header {
            Header::From => set(&mut sip.from_host, uri_host(value)),
            Header::To => set(&mut sip.to_host, uri_host(value)),
            Header::Contact => set(&mut sip.contact, text(value, MAX_TEXT)),
            Header::UserAgent if is_request => set(&mut sip.user_agent, text(value, MAX_TEXT)),
            // Phones that answer name themselves in User-Agent, servers in Server.
            Header::UserAgent | Header::Server | Header::AccessNetwork => {
                set(&mut sip.server, text(value, MAX_TEXT));
            }
            Header::Client => set(&mut sip.software, text(value, MAX_TEXT)),
            Header::ContentLength => {}
        }
    }
    if facts.server_name.is_none() {
        let names = [&sip.request_host, &sip.to_host];
        let name = names.into_iter().flatten().find(|host| is_domain(host));
        facts.server_name = name.cloned();
    }
}

/// The target of SIP-C is a host without scheme, or a user's number.
fn bare_host(target: &[u8]) -> Option<Box<str>> {
    super::plain::host(target).filter(|host| is_domain(host))
}

#[cfg(test)]
mod tests;
