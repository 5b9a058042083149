//! Hellos cut as senders may cut them: handshake messages over several records (RFC 8446 section 5.1), records
//! over several segments, and CRYPTO frames over several packets in any order (RFC 9000 section 19.6).

use std::collections::HashMap;

use super::build;
use super::ends::{hash, is_from_low, key};
use super::random::Random;
use super::rewritten::Rewritten;
use crate::capture::Frame;
use crate::decode::{IpProtocol, Packet, TcpSegment};
use crate::dissect::quic::build::{Apart, Initial, crypto_frame, take_apart};
use crate::flow::Side;
use crate::score::key::FlowKey;

/// The header of a TLS record.
const RECORD: usize = 5;

/// A datagram with an Initial packet of a client has so much at least (RFC 9000 section 14.1).
const DATAGRAM: usize = 1200;

/// Cuts the hellos of a capture.
#[derive(Debug)]
pub(super) struct Cutter {
    seed: u64,
    streams: HashMap<FlowKey, [Option<Grown>; 2]>,
    /// What the keys of QUIC flows are made of.
    connections: HashMap<FlowKey, Vec<u8>>,
}

/// A direction of a TCP connection that has become longer.
#[derive(Clone, Copy, Debug)]
struct Grown {
    /// Where its hello begins.
    at: u32,
    /// By how many octets.
    by: u32,
}

impl Cutter {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            streams: HashMap::new(),
            connections: HashMap::new(),
        }
    }

    /// Adds to `out` what becomes of the `packet` that `frame` was decoded to.
    pub(super) fn packet(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        out: &mut Vec<Rewritten>,
    ) {
        let before = out.len();
        let done = match (packet.protocol, packet.tcp) {
            (IpProtocol::TCP, Some(tcp)) => self.segment(frame, packet, &tcp, out),
            (IpProtocol::UDP, _) => self.datagram(frame, packet, out),
            _ => None,
        };
        if done.is_none() {
            out.truncate(before);
            out.push(Rewritten::of(frame));
        }
    }

    fn segment(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        tcp: &TcpSegment,
        out: &mut Vec<Rewritten>,
    ) -> Option<()> {
        let key = key(packet);
        let is_low = is_from_low(packet, &key);
        let place = usize::from(is_low);
        let is_whole = packet.payload.len() == packet.payload_len as usize;
        let mut random = Random::new(self.seed, &[hash(&key), place as u64]);
        let known = self.streams.get(&key).copied().unwrap_or_default();
        let [own, other] = match is_low {
            true => [known[1], known[0]],
            false => [known[0], known[1]],
        };
        let is_first = own.is_none_or(|grown| grown.at == tcp.sequence);
        let is_hello = is_whole && is_first && begins_hello(packet.payload);
        if !is_hello && own.is_none() && other.is_none() {
            return None;
        }
        // What is behind a hello that has grown, and what acknowledges it, moves.
        let moved = |number: u32, grown: Option<Grown>| match grown {
            Some(Grown { at, by }) if (number.wrapping_sub(at) as i32) > 0 => {
                number.wrapping_add(by)
            }
            _ => number,
        };
        let tcp = TcpSegment {
            sequence: moved(tcp.sequence, own),
            acknowledgement: moved(tcp.acknowledgement, other),
            ..*tcp
        };
        if !is_hello {
            let len = packet.payload_len as usize;
            out.push(build::segment(frame, packet, &tcp, packet.payload, len)?);
            return Some(());
        }
        let way = random.between(0, 3);
        let (bytes, by) = match way {
            0 => (packet.payload.to_vec(), 0),
            _ => over_records(packet.payload, &mut random)?,
        };
        let cuts = match way {
            1 => Vec::new(),
            _ => {
                let count = random.between(1, 4);
                random.cuts(bytes.len(), count)
            }
        };
        let mut from = 0;
        for to in cuts.into_iter().chain([bytes.len()]) {
            let tcp = TcpSegment {
                sequence: tcp.sequence.wrapping_add(u32::try_from(from).ok()?),
                flags: match to == bytes.len() {
                    true => tcp.flags,
                    false => tcp.flags & !(TcpSegment::FIN | TcpSegment::PSH),
                },
                ..tcp
            };
            let piece = bytes.get(from..to)?;
            out.push(build::segment(frame, packet, &tcp, piece, piece.len())?);
            from = to;
        }
        let grown = Grown {
            at: tcp.sequence,
            by,
        };
        if let Some(slot) = self.streams.entry(key).or_default().get_mut(place) {
            *slot = Some(grown);
        }
        Some(())
    }

    fn datagram(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        out: &mut Vec<Rewritten>,
    ) -> Option<()> {
        // The form of a long header (RFC 8999 section 5.1).
        if packet.payload.first()? & 0x80 == 0 {
            return None;
        }
        let key = key(packet);
        let known = self.connections.get(&key);
        let apart = known.and_then(|id| take_apart(packet.payload, Some(id)));
        let (apart, is_new) = match apart {
            Some(apart) => (apart, false),
            None => (take_apart(packet.payload, None)?, true),
        };
        if is_new {
            self.connections.insert(key.clone(), apart.dcid.clone());
        }
        let keyed_by = self.connections.get(&key)?;
        let number = u64::from(apart.number);
        let mut random = Random::new(self.seed, &[hash(&key), number]);
        let mut datagrams = over_datagrams(&apart, keyed_by, &mut random)?;
        // What is coalesced behind it.
        let rest = packet.payload.get(apart.len..)?;
        if rest.iter().any(|&byte| byte != 0) {
            datagrams.last_mut()?.extend_from_slice(rest);
        }
        for datagram in datagrams {
            out.push(build::datagram(frame, packet, &datagram)?);
        }
        Some(())
    }
}

/// A record of the handshake with the hello of a client or a server.
fn begins_hello(payload: &[u8]) -> bool {
    matches!(payload, [0x16, 3, 0..=4, _, _, 1 | 2, 0, ..]) && payload.len() > 2 * RECORD
}

/// The record that `payload` begins with as two or three, and how much longer that is.
fn over_records(payload: &[u8], random: &mut Random) -> Option<(Vec<u8>, u32)> {
    let (header, body) = payload.split_first_chunk::<RECORD>()?;
    let &[kind, major, minor, high, low] = header;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let count = random.between(1, 3);
    let cuts = random.cuts(len.min(body.len()), count);
    let grown = u32::try_from(cuts.len() * RECORD).ok()?;
    let mut bytes = Vec::with_capacity(payload.len() + cuts.len() * RECORD);
    let mut from = 0;
    for to in cuts.into_iter().chain([len]) {
        bytes.extend([kind, major, minor]);
        bytes.extend(u16::try_from(to - from).ok()?.to_be_bytes());
        bytes.extend(body.get(from..to.min(body.len()))?);
        from = to;
    }
    // What is behind the record.
    bytes.extend(body.get(len..).unwrap_or_default());
    Some((bytes, grown))
}

/// The CRYPTO frames of a packet in smaller pieces, out of order, in one or two packets.
fn over_datagrams(apart: &Apart, keyed_by: &[u8], random: &mut Random) -> Option<Vec<Vec<u8>>> {
    let mut pieces: Vec<(usize, &[u8])> = Vec::new();
    for (offset, data) in &apart.crypto {
        let count = random.between(1, 4);
        let mut from = 0;
        for to in random
            .cuts(data.len(), count)
            .into_iter()
            .chain([data.len()])
        {
            pieces.push((offset + from, data.get(from..to)?));
            from = to;
        }
    }
    if pieces.is_empty() {
        return None;
    }
    for place in (1..pieces.len()).rev() {
        pieces.swap(place, random.between(0, place + 1));
    }
    let first = random.between(1, pieces.len() + 1);
    let halves = [pieces.get(..first)?, pieces.get(first..)?];
    let halves = halves.into_iter().filter(|half| !half.is_empty());
    let packet = |(index, half): (u32, &[(usize, &[u8])])| {
        let mut frames = Vec::new();
        for &(offset, data) in half {
            frames.extend(crypto_frame(apart.version, offset, data)?);
            // PING, by its number in QUIC and in gQUIC.
            frames.push(if apart.is_google { 0x07 } else { 0x01 });
        }
        let header = Initial {
            version: apart.version,
            dcid: &apart.dcid,
            scid: &apart.scid,
            token: &apart.token,
            // Room for both, after those before.
            number: apart.number.checked_mul(2)?.checked_add(index)?,
            sender: Side::Client,
            keyed_by,
        };
        header.packet(&frames, DATAGRAM)
    };
    (0..).zip(halves).map(packet).collect()
}
