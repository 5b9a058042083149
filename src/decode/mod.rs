//! [`Frame`](crate::capture::Frame) to [`Packet`]: link layers, tunnels and fragments, down to the innermost
//! IP packet and its transport header.
//!
//! Bad traffic is no error here: it is a [`DropReason`], counted by the caller. The next stage
//! is `flow`.
//!
//! The way of a frame: `link` finds the IP packet behind the link-layer headers (`header` lists them,
//! `tag` passes the tags of switches, `device` what capture devices add, `pseudowire` weighs what no
//! header names, `network` says how sure an IP packet is), `ip` reads it and its transport header,
//! `tunnel` looks for a packet inside, `fragment` holds parts of datagrams. [`Decoder`] joins them.
//! [`Placed`] is what it finds without the bytes; [`Copies`] tells frames of which a copy came just before.
#![deny(clippy::indexing_slicing)]

mod packet;

mod outcome;

mod config;

mod copies;

mod decoder;

mod link;

mod header;

mod tag;

mod device;

mod network;

mod pseudowire;

mod ip;

mod tunnel;

mod fragment;

mod span;

mod placed;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use copies::Copies;
pub use decoder::Decoder;
pub use outcome::{Aside, Datagram, Decoded, DropReason};
pub use packet::{Address, IpProtocol, Packet, TcpSegment, Tunnel, Vlans};
pub use placed::Placed;

use crate::capture::{Frame, LinkType};

/// The outermost IP packet of `frame`, as far as it was captured, and how long it is; `None` if there is none.
pub fn ip_packet<'a>(frame: &Frame<'a>) -> Option<(&'a [u8], usize)> {
    decoder::outermost(frame)?.whole()
}

/// The link type that a frame was dropped for as [`DropReason::UnknownLink`]: its own, or the one
/// that a header before the frame itself names.
#[cold]
pub fn unknown_link(frame: Frame<'_>) -> LinkType {
    device::unknown_link(frame)
}
