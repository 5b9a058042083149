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
mod facts;
mod ftp;
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
    Dissector {
        name: "mmtls",
        over: Over::Tcp,
        dissect: mmtls::dissect,
    },
    Dissector {
        name: "whatsapp",
        over: Over::Tcp,
        dissect: whatsapp::dissect,
    },
    Dissector {
        name: "telegram",
        over: Over::Tcp,
        dissect: telegram::dissect,
    },
    Dissector {
        name: "oicq",
        over: Over::TcpAndUdp,
        dissect: oicq::dissect,
    },
    Dissector {
        name: "ssh",
        over: Over::Tcp,
        dissect: ssh::dissect,
    },
    Dissector {
        name: "smtp",
        over: Over::Tcp,
        dissect: smtp::dissect,
    },
    Dissector {
        name: "ftp",
        over: Over::Tcp,
        dissect: ftp::dissect,
    },
    Dissector {
        name: "pop3",
        over: Over::Tcp,
        dissect: pop3::dissect,
    },
    Dissector {
        name: "imap",
        over: Over::Tcp,
        dissect: imap::dissect,
    },
    Dissector {
        name: "xmpp",
        over: Over::Tcp,
        dissect: xmpp::dissect,
    },
    Dissector {
        name: "rtsp",
        over: Over::Tcp,
        dissect: rtsp::dissect,
    },
    Dissector {
        name: "rtmp",
        over: Over::Tcp,
        dissect: rtmp::dissect,
    },
    Dissector {
        name: "mqtt",
        over: Over::Tcp,
        dissect: mqtt::dissect,
    },
    Dissector {
        name: "smb",
        over: Over::Tcp,
        dissect: smb::dissect,
    },
    Dissector {
        name: "rdp",
        over: Over::Tcp,
        dissect: rdp::dissect,
    },
    Dissector {
        name: "socks",
        over: Over::Tcp,
        dissect: socks::dissect,
    },
    Dissector {
        name: "ike",
        over: Over::TcpAndUdp,
        dissect: ike::dissect,
    },
    Dissector {
        name: "dnscrypt",
        over: Over::TcpAndUdp,
        dissect: dnscrypt::dissect,
    },
    Dissector {
        name: "wireguard",
        over: Over::Udp,
        dissect: wireguard::dissect,
    },
    Dissector {
        name: "openvpn",
        over: Over::TcpAndUdp,
        dissect: openvpn::dissect,
    },
    Dissector {
        name: "snmp",
        over: Over::Udp,
        dissect: snmp::dissect,
    },
    Dissector {
        name: "kerberos",
        over: Over::TcpAndUdp,
        dissect: kerberos::dissect,
    },
    Dissector {
        name: "ldap",
        over: Over::TcpAndUdp,
        dissect: ldap::dissect,
    },
    Dissector {
        name: "dhcp",
        over: Over::Udp,
        dissect: dhcp::dissect,
    },
    Dissector {
        name: "radius",
        over: Over::TcpAndUdp,
        dissect: radius::dissect,
    },
    Dissector {
        name: "ntp",
        over: Over::Udp,
        dissect: ntp::dissect,
    },
];
