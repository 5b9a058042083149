//! Stage 5, [`Opening`] to protocol and [`Facts`]: one dissector a protocol.
//!
//! A dissector holds no state: it sees the whole opening again whenever it has grown, and says
//! whether this is its protocol. What it reads goes into the flow's [`Facts`], which the rules of
//! `signature` test. A new protocol is a file here, a `mod` line and a row in [`DISSECTORS`].
#![deny(clippy::indexing_slicing)]

mod ber;
mod dhcp;
mod dialogue;
mod dnscrypt;
mod dtls;
mod facts;
mod ftp;
mod host;
mod http;
mod http2;
mod ike;
mod imap;
mod kerberos;
mod ldap;
mod mmtls;
mod mqtt;
mod ntp;
mod oicq;
mod openvpn;
mod pop3;
mod radius;
mod rdp;
mod rtmp;
mod rtsp;
mod smb;
mod smtp;
mod snmp;
mod socks;
mod ssh;
mod starttls;
mod telegram;
pub(crate) mod tls;
#[cfg(test)]
mod trial;
mod whatsapp;
mod wireguard;
mod xmpp;

pub use facts::{Facts, Names, Sip, Stun};

use crate::flow::Opening;

/// What a dissector says of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not this protocol, whatever follows: the dissector is not asked again.
    NotMine,
    /// Too few bytes to tell.
    NeedMore,
    /// This protocol for sure; `Facts` may grow, so ask again (only this dissector) when more came.
    Partial,
    /// This protocol for sure, and there is nothing more to learn from the opening.
    Done,
}

/// The transports a dissector wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Over {
    Tcp,
    Udp,
    TcpAndUdp,
}

/// A row of [`DISSECTORS`].
#[derive(Clone, Copy, Debug)]
pub struct Dissector {
    /// The name `explain` prints and fuzz targets go by: that of the file.
    pub name: &'static str,
    /// Which openings it is shown.
    pub over: Over,
    /// Reads an opening. Must be cheap on the first byte that is not its protocol's, must not
    /// panic or allocate without bound on any bytes, and sets `Facts::proto` when it answers
    /// [`Outcome::Partial`] or [`Outcome::Done`]. It must not change `Facts` when it answers
    /// anything else.
    pub dissect: fn(&Opening<'_>, &mut Facts) -> Outcome,
}

/// All dissectors, in the order they are asked: those with the strongest check first.
pub const DISSECTORS: &[Dissector] = &[
    row("whatsapp", Over::Tcp, whatsapp::dissect),
    row("mmtls", Over::Tcp, mmtls::dissect),
    row("tls", Over::Tcp, tls::dissect),
    row("dtls", Over::Udp, dtls::dissect),
    row("http", Over::Tcp, http::dissect),
    row("http2", Over::Tcp, http2::dissect),
    row("telegram", Over::Tcp, telegram::dissect),
    row("ssh", Over::Tcp, ssh::dissect),
    row("smtp", Over::Tcp, smtp::dissect),
    row("ftp", Over::Tcp, ftp::dissect),
    row("pop3", Over::Tcp, pop3::dissect),
    row("imap", Over::Tcp, imap::dissect),
    row("xmpp", Over::Tcp, xmpp::dissect),
    row("rtsp", Over::Tcp, rtsp::dissect),
    row("smb", Over::Tcp, smb::dissect),
    row("rdp", Over::TcpAndUdp, rdp::dissect),
    row("mqtt", Over::Tcp, mqtt::dissect),
    row("rtmp", Over::Tcp, rtmp::dissect),
    row("socks", Over::Tcp, socks::dissect),
    row("ike", Over::TcpAndUdp, ike::dissect),
    row("dnscrypt", Over::TcpAndUdp, dnscrypt::dissect),
    row("wireguard", Over::Udp, wireguard::dissect),
    row("openvpn", Over::TcpAndUdp, openvpn::dissect),
    row("snmp", Over::Udp, snmp::dissect),
    row("kerberos", Over::TcpAndUdp, kerberos::dissect),
    row("ldap", Over::TcpAndUdp, ldap::dissect),
    row("dhcp", Over::Udp, dhcp::dissect),
    row("radius", Over::TcpAndUdp, radius::dissect),
    row("ntp", Over::Udp, ntp::dissect),
    row("oicq", Over::TcpAndUdp, oicq::dissect),
];

const fn row(
    name: &'static str,
    over: Over,
    dissect: fn(&Opening<'_>, &mut Facts) -> Outcome,
) -> Dissector {
    Dissector {
        name,
        over,
        dissect,
    }
}
