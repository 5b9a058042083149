//! What a flow is called, by what, or why it has no name.

use crate::app::{AppId, Proto, Service};
use crate::verdict::{Evidence, RuleId};

/// Why a flow, or a packet without one, has no name at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnknownReason {
    /// Nothing was carried above the transport header.
    NoPayload,
    /// The opening was read and no rule fits.
    NoMatch,
    /// The same, and the flow's beginning was not captured.
    MidStream,
    /// The flow table was full.
    TableFull,
    /// The flow began while the program could not keep up, and was counted without a look at it.
    Overload,
    /// The opening was read and no rule fits; both sides are like random bytes from the first on, as those of
    /// obfuscated tunnels are.
    VpnLike,
}

impl UnknownReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::NoPayload,
        Self::NoMatch,
        Self::MidStream,
        Self::TableFull,
        Self::Overload,
        Self::VpnLike,
    ];

    /// The slug of the ledger.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NoPayload => "no-payload",
            Self::NoMatch => "no-match",
            Self::MidStream => "mid-stream",
            Self::TableFull => "table-full",
            Self::Overload => "overload",
            Self::VpnLike => "vpn-like",
        }
    }
}

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decider {
    /// A rule of the signature set.
    Rule(RuleId),
    /// A dissector, by its place in `DISSECTORS`.
    Dissector(u8),
    /// The IP protocol number.
    ProtocolNumber,
    /// A model of what a site's named flows do.
    Behaviour,
}

/// The names of a flow; each may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Whose service it is.
    pub app: Option<AppId>,
    /// What is done inside it.
    pub service: Option<Service>,
    /// What is spoken: of protocols in one another, the outermost.
    pub proto: Option<Proto>,
    /// What is spoken inside it, if it carries another protocol: the innermost that is known.
    pub inner: Option<Proto>,
    /// How the strongest of the names was established.
    pub evidence: Option<Evidence>,
    /// What established it.
    pub decider: Option<Decider>,
    /// Why there is no name, when there is none.
    pub unknown: Option<UnknownReason>,
    /// All this was established on a flow between the same sockets, of which this is the rest.
    pub remembered: bool,
}
