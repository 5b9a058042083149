//! What a flow is called and why: evidence classes, tags and verdicts.
//!
//! Matchers in `signature` produce [`Tag`]s; `classify` decides between them by one table.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{AppId, Proto, Service};

/// How a name was established, strongest first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// A proprietary protocol recognised with a check that random bytes fail.
    PayloadProof,
    /// A name the client sent or the server proved: TLS or QUIC SNI, HTTP Host, certificate name.
    ServerName,
    /// A client fingerprint (JA4) with further support.
    Fingerprint,
    /// A byte pattern in the payload.
    Payload,
    /// What the flow does: lengths, directions, rates, entropy.
    Flow,
    /// Media that belongs to recognised signalling.
    CallFamily,
    /// This client asked for a name of the application and was given this address.
    Dns,
    /// This client showed to the same server on another flow that it is the application's.
    SameServer,
    /// What it does is like what named flows of the same site do.
    Behaviour,
    /// The name outside an encrypted ClientHello: a placeholder for the one inside.
    OuterName,
    /// The server's address is in a prefix of the application's operator.
    Address,
    /// The port alone.
    Port,
}

impl Evidence {
    /// Every class, strongest first.
    pub const ALL: [Self; 12] = [
        Self::PayloadProof,
        Self::ServerName,
        Self::Fingerprint,
        Self::Payload,
        Self::Flow,
        Self::CallFamily,
        Self::Dns,
        Self::SameServer,
        Self::Behaviour,
        Self::OuterName,
        Self::Address,
        Self::Port,
    ];

    /// The slug records carry.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::PayloadProof => "payload-proof",
            Self::ServerName => "server-name",
            Self::Fingerprint => "fingerprint",
            Self::Payload => "payload",
            Self::Flow => "flow",
            Self::CallFamily => "call-family",
            Self::Dns => "dns",
            Self::SameServer => "same-server",
            Self::Behaviour => "behaviour",
            Self::OuterName => "outer-name",
            Self::Address => "address",
            Self::Port => "port",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.slug())
    }
}

/// One rule of a signature set, by its place there, which it keeps in every set compiled after
/// that one; `SignatureSet::rule_name` gives its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// What one rule says of a flow. Any of the names may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Whose service it is.
    pub app: Option<AppId>,
    /// What is done inside it.
    pub service: Option<Service>,
    /// What is spoken.
    pub proto: Option<Proto>,
    /// What kind of reason this is.
    pub evidence: Evidence,
    /// The rule that said so.
    pub rule: RuleId,
}
