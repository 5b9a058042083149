//! Second copies of frames: what a mirror of two ports gives of a packet that passes both.
//!
//! Two frames are copies of one packet when their outermost IP packets have the same bytes, but for
//! what a router or switch changes between two ports: TTL or hop limit, the IPv4 header checksum,
//! and all that stands before the IP packet (addresses, VLAN tags, labels). Of frames that a switch
//! sends to an analyser (ERSPAN, TZSP) the packet inside is compared: what is around it is this
//! mirror's own, and counts frames.
//!
//! The same bytes twice within a few milliseconds can also be two packets: where a host sends IPv4
//! with identification 0 (RFC 6864 allows it with DF) or IPv6, which has none, an acknowledgement or
//! a datagram without a number of its own that is repeated at once is taken for a copy. TCP
//! retransmissions come later, or have another identification. Frames without IP are never copies:
//! some protocols repeat them byte for byte.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use foldhash::fast::{FixedState, RandomState};

use crate::capture::Frame;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::tzsp::Tzsp;

use super::decoder::outermost;
use super::ip::{Ip, Transport};
use super::network::Network;
use super::{IpProtocol, Tunnel, Vlans, tunnel};

/// Packets in one line of the table.
const WAYS: usize = 4;

/// Octets of a packet that choose its line.
const CHOOSE: usize = 32;

/// Mirrors inside mirrors that are looked through.
const MIRRORS: usize = 2;

/// The packets of the last moments, to tell second copies by.
#[derive(Debug)]
pub struct Copies {
    lines: Vec<[Slot; WAYS]>,
    /// Not to be foreseen: else a sender could make a packet that is taken for another's copy.
    state: RandomState,
    /// Nanoseconds between the first and its last copy.
    window: u64,
}

/// A packet; the fingerprint 0 stands for none.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    fingerprint: u64,
    at: u64,
}

impl Copies {
    /// A table of `lines` lines of four packets, rounded up to a power of two. A copy comes within
    /// `window` of the first.
    pub fn new(lines: usize, window: Duration) -> Self {
        Self {
            lines: vec![Default::default(); lines.next_power_of_two()],
            state: RandomState::default(),
            window: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// The bytes such a table takes.
    pub const fn memory(lines: usize) -> usize {
        lines.next_power_of_two() * size_of::<[Slot; WAYS]>()
    }

    /// Whether `frame` is another copy of one that was shown before.
    ///
    /// Where more packets fall in one line within the window than it has room for, the oldest is
    /// forgotten: which line, the packet's headers decide, the same in every run.
    pub fn is_copy(&mut self, frame: &Frame<'_>) -> bool {
        let Some(network) = mirrored(frame) else {
            return false;
        };
        let mut head = [0; Ipv6::LEN];
        let (head, rest) = match network {
            Network::V4(span) => {
                let Ok(ip) = Ipv4::parse(span.bytes) else {
                    return false;
                };
                let len = ip.total_len().unwrap_or(span.len);
                let packet = span.bytes.get(..len).unwrap_or(span.bytes);
                let Some((fixed, rest)) = packet.split_first_chunk::<{ Ipv4::LEN }>() else {
                    return false;
                };
                let [a @ .., _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
                let addresses = [s0, s1, s2, s3, d0, d1, d2, d3];
                let parts = a.into_iter().chain([protocol]).chain(addresses);
                head.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
                (&head, rest)
            }
            Network::V6(span) => {
                let Ok(ip) = Ipv6::parse(span.bytes) else {
                    return false;
                };
                let len = ip.payload_len().map_or(span.len, |len| Ipv6::LEN + len);
                let packet = span.bytes.get(..len).unwrap_or(span.bytes);
                let Some((fixed, rest)) = packet.split_first_chunk::<{ Ipv6::LEN }>() else {
                    return false;
                };
                head = *fixed;
                let [_, _, _, _, _, _, _, hop_limit, ..] = &mut head;
                *hop_limit = 0;
                (&head, rest)
            }
        };
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(head);
        hasher.write(rest.get(..CHOOSE).unwrap_or(rest));
        // As many bits as there are lines.
        let line = hasher.finish() as usize & (self.lines.len() - 1);
        let mut hasher = self.state.build_hasher();
        hasher.write(head);
        hasher.write(rest);
        let fingerprint = hasher.finish().max(1);
        let Some(line) = self.lines.get_mut(line) else {
            return false;
        };
        is_known(line, fingerprint, frame.at.0, self.window)
    }
}

/// Whether the packet of this `fingerprint` is in `line` already, within `window` of `at`; if not,
/// it is from now on.
fn is_known(line: &mut [Slot; WAYS], fingerprint: u64, at: u64, window: u64) -> bool {
    let is_past = |slot: &Slot| slot.fingerprint == 0 || slot.at.abs_diff(at) > window;
    if let Some(known) = line.iter_mut().find(|slot| slot.fingerprint == fingerprint) {
        let is_copy = !is_past(known);
        if !is_copy {
            known.at = at;
        }
        return is_copy;
    }
    // What is out of the window goes first, on either side: the clock may have been set back.
    let least = line.iter_mut().min_by_key(|slot| (!is_past(slot), slot.at));
    if let Some(slot) = least {
        *slot = Slot { fingerprint, at };
    }
    false
}

/// The outermost IP packet of `frame`, or the one a mirror has wrapped.
#[inline]
fn mirrored<'a>(frame: &Frame<'a>) -> Option<Network<'a>> {
    let mut network = outermost(frame)?;
    for _ in 0..MIRRORS {
        match unwrapped(network) {
            Some(inside) => network = inside,
            None => break,
        }
    }
    Some(network)
}

/// The packet in `network`, where that is how a switch sends a mirrored frame on.
fn unwrapped(network: Network<'_>) -> Option<Network<'_>> {
    let ip = Ip::read(network).ok()?;
    if ip.part.is_some() || !matches!(ip.protocol, IpProtocol::GRE | IpProtocol::UDP) {
        return None;
    }
    let transport = Transport::read(ip.protocol, ip.body).ok()?;
    if ip.protocol == IpProtocol::UDP && transport.destination_port != Tzsp::PORT {
        return None;
    }
    let inside = tunnel::look_inside(&ip, &transport, Vlans::default())?;
    matches!(inside.tunnel, Tunnel::Erspan | Tunnel::Tzsp).then_some(inside.network)
}
