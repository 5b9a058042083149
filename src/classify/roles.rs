//! Which side of a flow is the server, for evidence that is the server's alone.
//!
//! A client in an operator's network is no use of that operator's application. So an address says
//! something only where it is known to be the server's: by a SYN, by what a dissector read, by
//! ports, or because the other side cannot be reached unless it asked.

use std::net::IpAddr;

use crate::app::Proto;
use crate::decode::{Packet, TcpSegment};
use crate::flow::{Flow, Side};

/// RFC 6335 section 6: system ports are assigned to services.
const FIRST_USER_PORT: u16 = 1024;

/// Where systems take the ports of clients from: RFC 6335 says 49152, Linux begins here.
pub(super) const FIRST_DYNAMIC_PORT: u16 = 32_768;

/// Protocols in which either end may begin: that they were recognised says nothing of roles.
const SYMMETRIC: &[Proto] = &[
    Proto::RTP,
    Proto::RTCP,
    Proto::SRTP,
    Proto::STUN,
    Proto::DTLS,
    Proto::BITTORRENT,
    Proto::WIREGUARD,
    Proto::IKE,
];

/// Whether `packet` of `side` shows that the sides are as they were taken.
pub(super) fn shows_client(packet: &Packet<'_>, side: Side) -> bool {
    packet.tcp.is_some_and(|tcp| {
        tcp.has(TcpSegment::SYN) && tcp.has(TcpSegment::ACK) == (side == Side::Server)
    })
}

/// The side that is known to be the server. `dissected` is the protocol a dissector recognised.
pub(super) fn server<T>(
    flow: &Flow<T>,
    is_syn_seen: bool,
    dissected: Option<Proto>,
) -> Option<Side> {
    if is_syn_seen || dissected.is_some_and(|proto| !SYMMETRIC.contains(&proto)) {
        return Some(Side::Server);
    }
    let only = |is_server: &dyn Fn(Side) -> bool| match [Side::Client, Side::Server].map(is_server)
    {
        [true, false] => Some(Side::Client),
        [false, true] => Some(Side::Server),
        _ => None,
    };
    let port = |side| flow.port(side);
    only(&|side| (1..FIRST_USER_PORT).contains(&port(side)))
        .or_else(|| only(&|side| (1..FIRST_DYNAMIC_PORT).contains(&port(side))))
        .or_else(|| {
            // Who asked, or was answered: a probe that is forwarded to it is neither.
            let talks = flow.counters.client.packets > 0 && flow.counters.server.packets > 0;
            only(&|side| !is_private(flow.ip(side)))
                .filter(|&server| server == Side::Server || talks)
        })
}

/// Whether `address` is behind a translator (RFC 1918, RFC 6598, RFC 4193): nobody outside reaches
/// it unasked.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}
