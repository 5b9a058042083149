//! A packet apart from the bytes of its frame.

use std::ops::Range;

use super::decoder::source_mac;
use super::{Address, IpProtocol, Packet, TcpSegment, Tunnel, Vlans};
use crate::capture::Frame;

/// What a frame was decoded to, and where in it the payload is: the thread that shares frames out decodes
/// them, and the one that counts them does not have to do it again.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    source: Address,
    destination: Address,
    tcp: Option<TcpSegment>,
    payload_at: u32,
    captured: u32,
    payload_len: u32,
    ip_len: u32,
    tunnel_id: u32,
    source_port: u16,
    destination_port: u16,
    vlans: Vlans,
    tunnel: Option<Tunnel>,
    icmp: (u8, u8),
    protocol: IpProtocol,
    version: u8,
}

impl Placed {
    /// The `packet` that `frame` was decoded to.
    pub fn new(packet: &Packet<'_>, frame: &Frame<'_>) -> Self {
        let Range { start, end } = place(packet.payload, frame.bytes).unwrap_or_default();
        Self {
            source: packet.source,
            destination: packet.destination,
            tcp: packet.tcp,
            payload_at: start,
            captured: end - start,
            payload_len: packet.payload_len,
            ip_len: packet.ip_len,
            tunnel_id: packet.tunnel_id,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            vlans: packet.vlans,
            tunnel: packet.tunnel,
            icmp: packet.icmp,
            protocol: packet.protocol,
            version: packet.version,
        }
    }

    /// The packet again, of the same `frame`.
    #[inline]
    pub fn packet<'a>(&self, frame: &Frame<'a>) -> Packet<'a> {
        let rest = frame.bytes.get(self.payload_at as usize..);
        let payload = rest.and_then(|rest| rest.get(..self.captured as usize));
        Packet {
            at: frame.at,
            number: frame.number,
            version: self.version,
            protocol: self.protocol,
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            icmp: self.icmp,
            tcp: self.tcp,
            payload: payload.unwrap_or_default(),
            payload_len: self.payload_len,
            wire_len: frame.wire_len,
            ip_len: self.ip_len,
            frames: frame.frames,
            vlans: self.vlans,
            tunnel: self.tunnel,
            tunnel_id: self.tunnel_id,
            source_mac: source_mac(*frame).filter(|_| self.tunnel.is_none()),
        }
    }
}

/// Where `part` is in `whole`, if it is a part of it and not empty.
fn place(part: &[u8], whole: &[u8]) -> Option<Range<u32>> {
    if part.is_empty() {
        return None;
    }
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    if end > whole.len() {
        return None;
    }
    Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Block;
    use crate::capture::file::Options;
    use crate::capture::inputs::Inputs;
    use crate::decode::{Config, Decoded, Decoder};

    #[test]
    fn the_packet_is_the_same_again() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pcaps");
        let mut packets = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(mut input) = Inputs::open(std::slice::from_ref(&path), &Options::default())
            else {
                continue;
            };
            let mut decoder = Decoder::new(Config::default());
            let mut block = Block::default();
            while input.next_block(&mut block).unwrap_or(false) {
                let frames = (0..block.frames.len()).filter_map(|index| block.frame(index));
                for frame in frames {
                    if let Decoded::Packet(packet) = decoder.decode(frame) {
                        let again = Placed::new(&packet, &frame).packet(&frame);
                        let path = path.display();
                        assert_eq!(format!("{packet:?}"), format!("{again:?}"), "{path}");
                        packets += 1;
                    }
                }
            }
        }
        assert!(packets > 1000, "{packets}");
    }
}
