//! [`Opening`](crate::flow::Opening) to protocol and [`Facts`]: one dissector a protocol.
//!
//! A dissector holds no state: it sees the whole opening again whenever it has grown, and says
//! whether this is its protocol. What it reads goes into the flow's [`Facts`], which the rules of
//! `signature` test. A new protocol is a file here, a `mod` line and a row in [`DISSECTORS`].
#![deny(clippy::indexing_slicing)]

mod ber;
pub mod bittorrent;
mod dhcp;
mod dialogue;
mod dissector;
pub mod dns;
mod dnscrypt;
mod dtls;
mod facts;
mod framed;
mod ftp;
pub mod ftp_data;
pub(crate) mod host;
mod http;
mod http2;
mod ike;
mod imap;
pub mod inside;
mod irc;
mod kerberos;
mod ldap;
mod mmtls;
mod mqtt;
mod mysql;
mod netbios;
mod nntp;
mod ntp;
mod oicq;
mod openvpn;
mod plain;
mod pop3;
mod postgres;
mod proxy;
pub mod quic;
mod radius;
mod rdp;
mod rtmp;
mod rtp;
pub mod rtsp;
mod sieve;
pub mod sip;
mod smb;
mod smtp;
mod snmp;
mod socks;
mod ssdp;
mod ssh;
mod starttls;
pub mod stun;
mod tds;
mod telegram;
pub(crate) mod tls;
#[cfg(test)]
mod trial;
pub mod unpack;
mod websocket;
mod whatsapp;
mod wireguard;
mod xmpp;

pub use dissector::{Dissector, Middle, Outcome, Over};
pub use facts::{
    Banner, Bound, Destination, Dns, EXPLAINED, FIELDS, Facts, Family, Field, Http, Mqtt, Names,
    Quic, RECORDED, Rtmp, Rtsp, Sip, Ssdp, Stun, Tells, Tls, Value,
};
pub use inside::{Framing, Inside};
pub use tls::Ja4;

use crate::app::Proto;
use crate::flow::Transport;

use self::dissector::{Trait, bits, row, strong};

/// All dissectors, in the order they are asked: those with the strongest check first, of these what
/// most flows are.
pub const DISSECTORS: &[Dissector] = &[
    strong("tls", Over::Tcp, tls::dissect),
    row("dtls", Over::Udp, dtls::dissect),
    row("quic", Over::Udp, quic::dissect),
    strong("http2", Over::Tcp, http2::dissect),
    strong("http", Over::Tcp, http::dissect).wrapping(),
    row("proxy", Over::TcpAndUdp, proxy::dissect).wrapping(),
    row("dnscrypt", Over::TcpAndUdp, dnscrypt::dissect),
    row("whatsapp", Over::Tcp, whatsapp::dissect),
    row("mmtls", Over::Tcp, mmtls::dissect),
    row("telegram", Over::Tcp, telegram::dissect),
    strong("ssh", Over::Tcp, ssh::dissect),
    row("smtp", Over::Tcp, smtp::dissect).wrapping(),
    row("ftp", Over::Tcp, ftp::dissect).wrapping(),
    row("pop3", Over::Tcp, pop3::dissect).wrapping(),
    row("imap", Over::Tcp, imap::dissect).wrapping(),
    row("nntp", Over::Tcp, nntp::dissect).wrapping(),
    row("irc", Over::Tcp, irc::dissect).wrapping(),
    row("sieve", Over::Tcp, sieve::dissect).wrapping(),
    strong("xmpp", Over::Tcp, xmpp::dissect).wrapping(),
    strong("rtsp", Over::Tcp, rtsp::dissect),
    row("rtmp", Over::Tcp, rtmp::dissect),
    strong("mqtt", Over::Tcp, mqtt::dissect),
    row("postgres", Over::Tcp, postgres::dissect).wrapping(),
    row("mysql", Over::Tcp, mysql::dissect).wrapping(),
    row("tds", Over::Tcp, tds::dissect).wrapping(),
    strong("smb", Over::Tcp, smb::dissect),
    strong("rdp", Over::TcpAndUdp, rdp::dissect).wrapping(),
    row("dns", Over::TcpAndUdp, dns::dissect),
    row("netbios", Over::Udp, netbios::dissect),
    row("ssdp", Over::Udp, ssdp::dissect),
    strong("stun", Over::TcpAndUdp, stun::dissect),
    strong("sip", Over::TcpAndUdp, sip::dissect),
    row("dhcp", Over::Udp, dhcp::dissect),
    row("wireguard", Over::Udp, wireguard::dissect),
    row("ike", Over::TcpAndUdp, ike::dissect),
    row("openvpn", Over::TcpAndUdp, openvpn::dissect),
    row("snmp", Over::Udp, snmp::dissect),
    strong("kerberos", Over::TcpAndUdp, kerberos::dissect),
    strong("ldap", Over::TcpAndUdp, ldap::dissect).wrapping(),
    row("socks", Over::Tcp, socks::dissect).wrapping(),
    strong("bittorrent", Over::TcpAndUdp, bittorrent::dissect),
    row("ntp", Over::Udp, ntp::dissect),
    row("radius", Over::TcpAndUdp, radius::dissect),
    row("oicq", Over::TcpAndUdp, oicq::dissect),
    row("framed", Over::Tcp, framed::dissect),
    row("rtp", Over::Udp, stun::dissect_media),
];

/// The bits, by place in [`DISSECTORS`], of those that are [`Middle::Strong`].
pub const STRONG_IN_THE_MIDDLE: u64 = bits(DISSECTORS, Trait::StrongInTheMiddle);

/// The bits, by place in [`DISSECTORS`], of those behind which another protocol may begin.
pub const WRAPPING: u64 = bits(DISSECTORS, Trait::Wrapping);

/// The bits, by place in [`DISSECTORS`], of those that are shown openings over `transport`.
pub const fn over(transport: Transport) -> u64 {
    const TCP: u64 = bits(DISSECTORS, Trait::OverTcp);
    const UDP: u64 = bits(DISSECTORS, Trait::OverUdp);
    match transport {
        Transport::Tcp => TCP,
        Transport::Udp => UDP,
        Transport::Other(_) => 0,
    }
}

/// The protocol that an IP protocol number names by itself, as IANA assigns them: what carries
/// others (TCP, UDP, SCTP, DCCP) and unassigned numbers have none.
pub const fn protocol_by_number(number: u8) -> Option<Proto> {
    Some(match number {
        1 => Proto::ICMP,
        2 => Proto::IGMP,
        8 => Proto::EGP,
        47 => Proto::GRE,
        50 => Proto::ESP,
        51 => Proto::AH,
        58 => Proto::ICMPV6,
        89 => Proto::OSPF,
        103 => Proto::PIM,
        112 => Proto::VRRP,
        113 => Proto::PGM,
        _ => return None,
    })
}
