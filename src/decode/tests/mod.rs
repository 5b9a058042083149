//! The decoder from outside: tables of frames, and properties of random ones.
#![allow(clippy::indexing_slicing)]

mod build;

mod copies;

mod devices;

mod encapsulations;

mod fragments;

mod headers;

mod links;

mod oracle;

mod tags;

mod tunnels;

use std::net::IpAddr;

use crate::capture::{Envelope, Frame, InterfaceId, LinkType};
use crate::time::Timestamp;

use super::{Config, Decoded, Decoder, DropReason, Packet};

/// A frame of the first millisecond, captured whole.
fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        at: Timestamp(1_000_000),
        number: 7,
        link,
        wire_len: bytes.len() as u32,
        frames: 1,
        envelope: Envelope::None,
        interface: InterfaceId::default(),
        bytes,
    }
}

/// What a new decoder makes of a frame, where that is no fragment.
fn decode(link: LinkType, bytes: &[u8]) -> Result<Packet<'_>, DropReason> {
    outcome(frame(link, bytes))
}

fn outcome(frame: Frame<'_>) -> Result<Packet<'_>, DropReason> {
    match Decoder::new(Config::default()).decode(frame) {
        Decoded::Packet(packet) => Ok(packet),
        Decoded::Dropped(reason) => Err(reason),
        other => panic!("{other:?}"),
    }
}

/// Source, destination, ports.
fn ends(packet: &Packet<'_>) -> (IpAddr, IpAddr, u16, u16) {
    (
        packet.source.to_ip(packet.version),
        packet.destination.to_ip(packet.version),
        packet.source_port,
        packet.destination_port,
    )
}

/// Asserts that it is the packet [`build::udp_packet`] makes.
#[track_caller]
fn assert_innermost(packet: &Packet<'_>) {
    let expected = (build::A.into(), build::B.into(), 5000, 6000);
    assert_eq!(ends(packet), expected);
    assert_eq!(packet.payload, build::PAYLOAD);
    assert_eq!(packet.payload_len as usize, build::PAYLOAD.len());
    assert_eq!(packet.ip_len as usize, 28 + build::PAYLOAD.len());
}
