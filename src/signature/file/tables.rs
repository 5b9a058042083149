//! The tables of a signature file, one struct each, in the order of the manual.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::values::{OneOrMany, Ports};
use crate::app::Service;
use crate::verdict::Evidence;

/// `[app]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppTable {
    /// The number billing and IPFIX use: unique, given once, never reused.
    #[schemars(with = "u32")]
    pub id: Spanned<u32>,
    /// The slug; also the file's name.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The name people know.
    pub title: String,
    /// What kind of application it is; also the folder's name.
    #[schemars(schema_with = "super::super::category::schema")]
    pub category: Spanned<String>,
    /// Who runs it.
    pub owner: String,
    /// What is known and how sure.
    pub notes: Option<String>,
}

/// `[protocol]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtocolTable {
    /// The slug; also the file's name.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The name people know.
    pub title: String,
    /// What is known and how sure.
    pub notes: Option<String>,
}

/// `[[domain]]`: names, as in TLS and QUIC SNI, HTTP Host, certificates, DNS.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DomainTable {
    /// These names and everything below them. `brand.*`: the label under every public suffix.
    #[schemars(with = "Vec<String>")]
    pub suffix: Vec<Spanned<String>>,
    /// Exactly these names; `brand.*` as in `suffix`.
    #[schemars(with = "Vec<String>")]
    pub exact: Vec<Spanned<String>>,
    /// Public names of encrypted ClientHellos (RFC 9849): outside one, they stand for the name inside.
    pub placeholder: bool,
    /// What is done there.
    pub service: Option<Service>,
    /// The rule's name, where `domain:NAME` is not wanted.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    pub source: Option<String>,
}

/// `[[payload]]`: bytes of messages.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadTable {
    /// The rule's name, unique in the file.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// What carries it; default: `tcp` and `udp`, or `ip` where `ip_protocol` is given.
    pub transport: Option<OneOrMany<TransportName>>,
    /// The IP protocol number, with `transport = "ip"`.
    pub ip_protocol: Option<u8>,
    /// Whose messages; default: either side's.
    #[serde(default)]
    pub direction: DirectionName,
    /// Ports of either end: a hint, or a condition with `port_required`.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end must use one of `port`.
    #[serde(default)]
    pub port_required: bool,
    /// Which messages; default: `first` over TCP, `any` over all else.
    pub message: Option<MessageName>,
    /// Whether it is tried as well on segments of a TCP stream whose own start was not seen; default:
    /// whether it is a proof that fixes at least 48 bits.
    #[schemars(with = "Option<bool>")]
    pub middle: Option<Spanned<bool>>,
    /// How many messages must match.
    #[schemars(with = "Option<u8>")]
    pub repeat: Option<Spanned<u8>>,
    /// Bytes at fixed places.
    #[serde(default)]
    #[schemars(with = "Vec<AtTable>")]
    pub at: Vec<Spanned<AtTable>>,
    /// Bytes anywhere near the start.
    #[serde(default)]
    #[schemars(with = "Vec<ContainsTable>")]
    pub contains: Vec<Spanned<ContainsTable>>,
    /// Conditions, all of which must hold.
    #[serde(default, rename = "where")]
    #[schemars(with = "Vec<String>")]
    pub conditions: Vec<Spanned<String>>,
    /// What the other side's first message must be.
    #[schemars(with = "Option<ReplyTable>")]
    pub reply: Option<Spanned<ReplyTable>>,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// Prefixes in which neither end's address may be.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub address_excluded: Vec<Spanned<String>>,
    /// What is spoken.
    pub proto: Option<String>,
    /// The class of evidence; default: `payload`.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// An entry of `at`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AtTable {
    /// From the message's start; negative: from its end.
    pub offset: i32,
    /// Hex, with `??`, nibbles and `|` alternatives.
    #[schemars(with = "Option<String>")]
    pub hex: Option<Spanned<String>>,
    /// The exact bytes of this text, in place of `hex`.
    #[schemars(with = "Option<String>")]
    pub text: Option<Spanned<String>>,
}

/// An entry of `contains`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainsTable {
    /// Whole bytes in hex.
    #[schemars(with = "Option<String>")]
    pub hex: Option<Spanned<String>>,
    /// The exact bytes of this text, in place of `hex`.
    #[schemars(with = "Option<String>")]
    pub text: Option<Spanned<String>>,
    /// How many bytes from the message's start are searched; default 512, at most 2048.
    #[schemars(with = "Option<u32>")]
    pub within: Option<Spanned<u32>>,
}

/// `reply` of a payload rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReplyTable {
    /// Bytes at fixed places.
    #[schemars(with = "Vec<AtTable>")]
    pub at: Vec<Spanned<AtTable>>,
    /// Bytes anywhere near the start.
    #[schemars(with = "Vec<ContainsTable>")]
    pub contains: Vec<Spanned<ContainsTable>>,
    /// Conditions over the reply: `len` and `u8(0)` are its own, `peer_len` and so on the first
    /// message of the rule's side.
    #[serde(rename = "where")]
    #[schemars(with = "Vec<String>")]
    pub conditions: Vec<Spanned<String>>,
}

/// `[[stun]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StunTable {
    /// Any of these message types was seen.
    #[serde(default, rename = "type")]
    pub types: Vec<u16>,
    /// Any of these attribute types was seen.
    #[serde(default)]
    pub attribute: Vec<u16>,
    /// Globs over REALM.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub realm: Vec<Spanned<String>>,
    /// Globs over SOFTWARE.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub software: Vec<Spanned<String>>,
    /// Globs over USERNAME.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub username: Vec<Spanned<String>>,
    /// Globs over ORIGIN.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub origin: Vec<Spanned<String>>,
    /// Ports, one of which an end must use.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// What is spoken, where it is more than STUN.
    pub proto: Option<String>,
    /// The class of evidence; default: `payload`.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// The rule's name.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// `[[http]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpTable {
    /// Globs over User-Agent.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub user_agent: Vec<Spanned<String>>,
    /// Globs over the path and query.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub path: Vec<Spanned<String>>,
    /// Globs over the method.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub method: Vec<Spanned<String>>,
    /// Globs over Upgrade.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub upgrade: Vec<Spanned<String>>,
    /// Globs over Content-Type.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub content_type: Vec<Spanned<String>>,
    /// Globs over Server.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub server: Vec<Spanned<String>>,
    /// Globs over Host, for what a suffix cannot say.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub host: Vec<Spanned<String>>,
    /// Further headers.
    #[serde(default)]
    pub header: Vec<HeaderTable>,
    /// Ports, one of which an end must use.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// What is spoken, where it is more than HTTP.
    pub proto: Option<String>,
    /// The class of evidence; default: `payload`, `server-name` where `host` is given.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// The rule's name.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// An entry of `header`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderTable {
    /// The header's name.
    pub name: String,
    /// Glob over its value; default: any.
    #[schemars(with = "Option<String>")]
    pub value: Option<Spanned<String>>,
}

/// `[[tls]]`: TLS, DTLS and QUIC.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsTable {
    /// Globs over the protocols offered in ALPN.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub alpn: Vec<Spanned<String>>,
    /// JA4 of the ClientHello; needs another key beside it.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub ja4: Vec<Spanned<String>>,
    /// Globs over SNI, for what a suffix cannot say.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub server_name: Vec<Spanned<String>>,
    /// Globs over the certificate's subject common name.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub common_name: Vec<Spanned<String>>,
    /// Globs over its subject organisation.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub organisation: Vec<Spanned<String>>,
    /// Globs over its issuer common name.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub issuer: Vec<Spanned<String>>,
    /// Globs over its issuer organisation.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub issuer_organisation: Vec<Spanned<String>>,
    /// Globs over its alternative names.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub alternative: Vec<Spanned<String>>,
    /// Ports, one of which an end must use.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// Prefixes in which neither end's address may be.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub address_excluded: Vec<Spanned<String>>,
    /// What is spoken, where it is more than TLS.
    pub proto: Option<String>,
    /// The class of evidence; default: by the strongest key.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// The rule's name.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// `[[sip]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SipTable {
    /// Globs over the host of the request URI.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub request_host: Vec<Spanned<String>>,
    /// Globs over the host of From.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub from_host: Vec<Spanned<String>>,
    /// Globs over the host of To.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub to_host: Vec<Spanned<String>>,
    /// Globs over User-Agent.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub user_agent: Vec<Spanned<String>>,
    /// Globs over Contact.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub contact: Vec<Spanned<String>>,
    /// Globs over Server and the like.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub server: Vec<Spanned<String>>,
    /// Globs over the method.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub method: Vec<Spanned<String>>,
    /// Ports, one of which an end must use.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// What is spoken, where it is more than SIP.
    pub proto: Option<String>,
    /// The class of evidence; default: `payload`.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// The rule's name.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// `[[proto]]`: what a dissector recognised is this application.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtoTable {
    /// The protocol's slug.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Ports, one of which an end must use.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// Prefixes in which neither end's address may be.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub address_excluded: Vec<Spanned<String>>,
    /// The class of evidence; default: `payload`.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// How we know.
    pub source: Option<String>,
}

/// `[[flow]]`: what the flow does rather than what one packet says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowTable {
    /// The rule's name, unique in the file.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// What carries it; default: `tcp` and `udp`, or `ip` where `ip_protocol` is given.
    pub transport: Option<OneOrMany<TransportName>>,
    /// The IP protocol number, with `transport = "ip"`.
    pub ip_protocol: Option<u8>,
    /// Ports of either end: a hint, or a condition with `port_required`.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether one end must use one of `port`.
    #[serde(default)]
    pub port_required: bool,
    /// The first messages: `c 48`, `s 60-90`, `c *`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub packets: Vec<Spanned<String>>,
    /// At least so many bits a byte.
    #[schemars(with = "Option<EntropyTable>")]
    pub entropy: Option<Spanned<EntropyTable>>,
    /// At least so many messages seen.
    pub minimum: Option<u8>,
    /// Conditions over the first message of the client, all of which must hold.
    #[serde(default, rename = "where")]
    #[schemars(with = "Vec<String>")]
    pub conditions: Vec<Spanned<String>>,
    /// Whether both sides must have sent.
    #[serde(default)]
    pub symmetric: bool,
    /// Whether one end's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// Prefixes in which neither end's address may be.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub address_excluded: Vec<Spanned<String>>,
    /// What is spoken.
    pub proto: Option<String>,
    /// The class of evidence; default: `flow`.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Option<Spanned<Evidence>>,
    /// What is done.
    pub service: Option<Service>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// `entropy` of a flow rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EntropyTable {
    /// Over what the client sent.
    pub client: Option<f64>,
    /// Over what the server sent.
    pub server: Option<f64>,
}

/// `[[address]]`: prefixes of the operator.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AddressTable {
    /// `203.0.113.0/24`, `2001:db8::/32`.
    #[schemars(with = "Vec<String>")]
    pub prefix: Vec<Spanned<String>>,
    /// Other people's services live there as well: never names a flow by itself.
    pub shared: bool,
    /// Protocols that are this application's when they are spoken there: what carries applications
    /// (`tls`, `http`, `quic`, ...) is in any case, anything else that is recognised is not.
    #[schemars(with = "Vec<String>")]
    pub proto: Vec<Spanned<String>>,
    /// What is done there.
    pub service: Option<Service>,
    /// The rule's name, where `address:PREFIX` is not wanted.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    pub source: Option<String>,
}

/// `[[call]]`: media of calls that does not say itself whose it is, where it goes to such a place while
/// its client has this application's signalling open.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallTable {
    /// The rule's name, unique in the file.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Services of this file's names that signal calls: a client that asked DNS for one of them or began
    /// TLS to it. What proves a call of this application (`[[stun]]`) does in any case.
    #[serde(default)]
    pub signalling: Vec<Service>,
    /// All names of this file signal calls, whatever their service.
    #[serde(default)]
    pub any_name: bool,
    /// Seconds for which signalling counts; default: 60, at most 600.
    #[schemars(with = "Option<u32>")]
    pub within: Option<Spanned<u32>>,
    /// What may be recognised of the media; default: STUN, TURN, DTLS, RTP, RTCP and SRTP. Where the
    /// address is asked for, it may also be what was not recognised.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub proto: Vec<Spanned<String>>,
    /// Ports of the relay, one of which it must use.
    #[serde(default)]
    pub port: Vec<Ports>,
    /// Whether the relay's address must be in this file's prefixes.
    #[serde(default)]
    pub address_required: bool,
    /// Files in one of whose prefixes the relay's address must be: networks shared by several
    /// applications.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub address_of: Vec<Spanned<String>>,
    /// What is done.
    pub service: Option<Service>,
    /// How we know.
    #[schemars(with = "String")]
    pub source: Spanned<String>,
}

/// `[[port]]`: names a flow when nothing better is known.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortTable {
    /// What carries it.
    pub transport: OneOrMany<TransportName>,
    /// The ports.
    #[schemars(with = "Vec<Ports>")]
    pub port: Spanned<Vec<Ports>>,
    /// What is spoken.
    pub proto: Option<String>,
    /// What is done.
    pub service: Option<Service>,
    /// The rule's name, where `port:TRANSPORT/PORT` is not wanted.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    pub source: Option<String>,
}

/// `[[test]]`: literal messages against one rule, or a capture against what must be found in it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestTable {
    /// The name of the rule of this file.
    #[schemars(with = "Option<String>")]
    pub rule: Option<Spanned<String>>,
    /// What carries the messages; default: the rule's.
    pub transport: Option<TransportName>,
    /// The server's port; default: the rule's first, else 443 (TCP) or 9999.
    pub port: Option<u16>,
    /// The client's messages.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub client: Vec<Spanned<String>>,
    /// The server's messages; they arrive in turn with the client's, the client first.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub server: Vec<Spanned<String>>,
    /// Whether the flow's beginning was not captured; default: whether the rule is about such flows.
    pub middle: Option<bool>,
    /// The server's address.
    #[schemars(with = "Option<String>")]
    pub server_ip: Option<Spanned<std::net::IpAddr>>,
    /// Whether the rule must match; default: it must.
    #[serde(default = "yes", rename = "match")]
    pub matches: bool,
    /// A capture, in place of messages.
    pub capture: Option<String>,
    /// What a flow of the capture must be found to be.
    pub expect: Option<ExpectTable>,
}

const fn yes() -> bool {
    true
}

/// `expect` of a capture test: a flow with all of these must be found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectTable {
    /// The application's slug; `none` for a flow without one.
    pub app: Option<String>,
    /// The service.
    pub service: Option<Service>,
    /// The protocol's slug.
    pub proto: Option<String>,
}

/// What carries a rule's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum TransportName {
    Tcp,
    Udp,
    Sctp,
    /// Any other IP protocol, or the one `ip_protocol` gives.
    Ip,
}

/// Whose messages a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum DirectionName {
    Client,
    Server,
    /// One side's or the other's.
    #[default]
    Either,
    /// Each side's must match.
    Both,
}

/// Which of a side's messages a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageName {
    /// The start of the TCP stream, or the first datagram.
    First,
    /// Any segment or datagram of the opening.
    Any,
    /// A segment of a TCP stream whose own start was not seen.
    Middle,
}
