//! Header views: bytes in, checked borrowed views out, nothing kept.
//!
//! A view exists only if its lengths hold, so no accessor fails or panics. Headers up to layer 4
//! live here, and those of the tunnels between them; everything above is `dissect`.
//!
//! A view sees captured bytes only. How long a packet was on the wire is `decode`'s knowledge: it
//! turns [`WireError::Truncated`] into a cut capture or a lying header.
#![deny(clippy::indexing_slicing)]

pub mod reader;

pub mod ethernet;

pub mod vlan;

pub mod mpls;

pub mod switch_tag;

pub mod macsec;

pub mod ppp;

pub mod multiprotocol;

pub mod ring;

pub mod docsis;

pub mod infiniband;

pub mod preamble;

pub mod cooked;

pub mod nflog;

pub mod pflog;

pub mod pktap;

pub mod juniper;

pub mod erf;

pub mod ieee80211;

pub mod radio;

pub mod ipv4;

pub mod ipv6;

pub mod tcp;

pub mod udp;

pub mod dccp;

pub mod sctp;

pub mod icmp;

pub mod gre;

pub mod erspan;

pub mod vxlan;

pub mod geneve;

pub mod gtp;

pub mod teredo;

pub mod capwap;

pub mod tzsp;

pub mod l2tp;

pub mod etherip;

pub mod gue;

pub mod lisp;

pub mod ayiya;

pub mod multilink;

pub mod nsh;

use std::fmt;

/// Why bytes are not the header they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The captured bytes end inside the header.
    Truncated,
    /// A length field contradicts the bytes around it.
    BadLength,
    /// A version or type field holds a value this header cannot have.
    BadValue,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bytes end inside the header",
            Self::BadLength => "a length field contradicts the bytes around it",
            Self::BadValue => "a field holds a value this header cannot have",
        })
    }
}

impl std::error::Error for WireError {}
