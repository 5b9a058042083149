//! Packets made by hand, for the tests of this stage and those after it.

#![allow(clippy::indexing_slicing)]

use super::{Attachment, EndReason, FlowTable};
use crate::decode::{Address, IpProtocol, Packet, TcpSegment, Vlans};
use crate::time::Timestamp;

/// The last octet of an address in 10.0.0.0/24, and a port.
pub(crate) type Host = (u8, u16);

/// The flows of `table` that have ended: the number of their first frame, and why.
pub(crate) fn ended<T: Attachment>(table: &mut FlowTable<T>) -> Vec<(u64, EndReason)> {
    let mut ended = Vec::new();
    while let Some((flow, reason)) = table.next_ended() {
        ended.push((flow.first_number, reason));
    }
    ended
}

/// Those that have ended and those that are idle at this second.
pub(crate) fn expired<T: Attachment>(table: &mut FlowTable<T>, at: u64) -> Vec<(u64, EndReason)> {
    let mut gone = Vec::new();
    let mut may_be_more = true;
    while may_be_more {
        may_be_more = table.expire(Timestamp::new(at, 0));
        gone.extend(ended(table));
    }
    gone
}

/// A datagram at this second.
pub(crate) fn udp(at: u64, from: Host, to: Host, payload: &[u8]) -> Packet<'_> {
    let len = u32::try_from(payload.len()).unwrap();
    Packet {
        at: Timestamp::new(at, 0),
        number: at,
        version: 4,
        protocol: IpProtocol::UDP,
        source: Address::v4([10, 0, 0, from.0]),
        destination: Address::v4([10, 0, 0, to.0]),
        source_port: from.1,
        destination_port: to.1,
        icmp: (0, 0),
        tcp: None,
        payload,
        payload_len: len,
        wire_len: 42 + len,
        ip_len: 28 + len,
        frames: 1,
        vlans: Vlans::default(),
        tunnel: None,
        tunnel_id: 0,
        source_mac: None,
    }
}

/// A segment at this second, with these control bits and sequence number.
pub(crate) fn tcp(
    at: u64,
    from: Host,
    to: Host,
    (flags, sequence): (u8, u32),
    payload: &[u8],
) -> Packet<'_> {
    Packet {
        protocol: IpProtocol::TCP,
        tcp: Some(TcpSegment {
            sequence,
            acknowledgement: 0,
            flags,
            window_scale: None,
            window: 0xffff,
        }),
        ..udp(at, from, to, payload)
    }
}

/// The same with an acknowledgement number.
pub(crate) fn acknowledging(mut segment: Packet<'_>, acknowledgement: u32) -> Packet<'_> {
    if let Some(tcp) = &mut segment.tcp {
        tcp.flags |= TcpSegment::ACK;
        tcp.acknowledgement = acknowledgement;
    }
    segment
}

/// The DNS query that [`dns_answer`] answers.
pub(crate) fn dns_question(name: &str) -> Vec<u8> {
    let answer = dns_answer(name, 0, 0);
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    // All but the header and the one record of 16 octets.
    message.extend_from_slice(&answer[12..answer.len() - 16]);
    message
}

/// A DNS response: `name` has the address 10.0.0.`host` for `ttl` seconds.
pub(crate) fn dns_answer(name: &str, host: u8, ttl: u32) -> Vec<u8> {
    let mut message = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message.extend([0xc0, 12, 0, 1, 0, 1]);
    message.extend(ttl.to_be_bytes());
    message.extend([0, 4, 10, 0, 0, host]);
    message
}
