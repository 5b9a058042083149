//! Stage 5, [`Opening`] to protocol and [`Facts`]: one dissector a protocol.
//!
//! A dissector holds no state: it sees the whole opening again whenever it has grown, and says
//! whether this is its protocol. What it reads goes into the flow's [`Facts`], which the rules of
//! `signature` test. A new protocol is a file here, a `mod` line and a row in [`DISSECTORS`].
#![deny(clippy::indexing_slicing)]

mod dtls;
mod facts;
mod host;
mod http;
mod http2;
pub mod quic;
pub(crate) mod tls;

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
        name: "tls",
        over: Over::Tcp,
        dissect: tls::dissect,
    },
    Dissector {
        name: "dtls",
        over: Over::Udp,
        dissect: dtls::dissect,
    },
    Dissector {
        name: "http",
        over: Over::Tcp,
        dissect: http::dissect,
    },
    Dissector {
        name: "http2",
        over: Over::Tcp,
        dissect: http2::dissect,
    },
    Dissector {
        name: "quic",
        over: Over::Udp,
        dissect: quic::dissect,
    },
];
