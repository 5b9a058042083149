//! A signature file as it is written: one struct for each table of `docs/signatures.md`.
//!
//! [`parse`] reads one file and reports everything in it that is not of the language's shape;
//! what the texts inside mean (hex, conditions, names) is `compile`'s subject. Every struct
//! refuses keys it does not know, so that a misspelt key is not a rule that matches everything.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, IntoDeserializer as _, SeqAccess, Visitor, value::StrDeserializer};
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostic::{Diagnostic, Findings};
use crate::app::Service;
use crate::verdict::Evidence;

/// One file: an application or a plain protocol, and its rules.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, title = "ottometer signature file")]
#[allow(missing_docs)]
pub struct SignatureFile {
    /// The application the rules name.
    #[schemars(with = "Option<AppTable>")]
    pub app: Option<Spanned<AppTable>>,
    /// The plain protocol the rules name, in a file without `[app]`.
    #[schemars(with = "Option<ProtocolTable>")]
    pub protocol: Option<Spanned<ProtocolTable>>,
    #[schemars(with = "Vec<DomainTable>", default)]
    pub domain: Vec<Spanned<DomainTable>>,
    #[schemars(with = "Vec<PayloadTable>", default)]
    pub payload: Vec<Spanned<PayloadTable>>,
    #[schemars(with = "Vec<StunTable>", default)]
    pub stun: Vec<Spanned<StunTable>>,
    #[schemars(with = "Vec<HttpTable>", default)]
    pub http: Vec<Spanned<HttpTable>>,
    #[schemars(with = "Vec<TlsTable>", default)]
    pub tls: Vec<Spanned<TlsTable>>,
    #[schemars(with = "Vec<SipTable>", default)]
    pub sip: Vec<Spanned<SipTable>>,
    #[schemars(with = "Vec<ProtoTable>", default)]
    pub proto: Vec<Spanned<ProtoTable>>,
    #[schemars(with = "Vec<FlowTable>", default)]
    pub flow: Vec<Spanned<FlowTable>>,
    #[schemars(with = "Vec<AddressTable>", default)]
    pub address: Vec<Spanned<AddressTable>>,
    #[schemars(with = "Vec<PortTable>", default)]
    pub port: Vec<Spanned<PortTable>>,
    #[schemars(with = "Vec<TestTable>", default)]
    pub test: Vec<Spanned<TestTable>>,
}

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
    #[schemars(with = "String")]
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
    /// These names and everything below them.
    #[schemars(with = "Vec<String>")]
    pub suffix: Vec<Spanned<String>>,
    /// Exactly these names.
    #[schemars(with = "Vec<String>")]
    pub exact: Vec<Spanned<String>>,
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
    /// What is done there.
    pub service: Option<Service>,
    /// The rule's name, where `address:PREFIX` is not wanted.
    #[schemars(with = "Option<String>")]
    pub name: Option<Spanned<String>>,
    /// How we know.
    pub source: Option<String>,
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
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let text: StrDeserializer<'_, E> = text.into_deserializer();
                T::deserialize(text).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = list.next_element()? {
                    many.push(one);
                }
                if many.is_empty() {
                    return Err(A::Error::invalid_length(0, &"at least one entry"));
                }
                Ok(OneOrMany(many))
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// A port, `443`, or a range of them, `"8000-8010"`, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl Ports {
    /// The ports themselves.
    pub const fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortOrRange;
        impl Visitor<'_> for PortOrRange {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port (443) or a range of ports in quotes (\"8000-8010\")")
            }

            fn visit_i64<E: serde::de::Error>(self, port: i64) -> Result<Ports, E> {
                u16::try_from(port)
                    .map(|port| Ports {
                        first: port,
                        last: port,
                    })
                    .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(port), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, port: u64) -> Result<Ports, E> {
                self.visit_i64(i64::try_from(port).unwrap_or(i64::MAX))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ports, E> {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                match (first.trim().parse(), last.trim().parse()) {
                    (Ok(first), Ok(last)) if first <= last => Ok(Ports { first, last }),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(PortOrRange)
    }
}

impl JsonSchema for Ports {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a port, or a range `\"8000-8010\"`",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 65535 },
                { "type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$" },
            ],
        })
    }
}

/// Reads one file. What is not of the language's shape is reported and left out; the rest is
/// returned, so that one bad rule does not hide the findings in the others.
pub(super) fn parse(path: &str, text: &str, found: &mut Vec<Diagnostic>) -> SignatureFile {
    let mut findings = Findings::new(path, text, found);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        findings.error(error.span().unwrap_or(0..0), error.message());
    }
    let mut file = SignatureFile::default();
    for (key, value) in table.into_inner() {
        let at = key.span();
        let findings = &mut findings;
        match key.get_ref().as_ref() {
            "app" => file.app = read_one(value, findings),
            "protocol" => file.protocol = read_one(value, findings),
            "domain" => read_all(value, &mut file.domain, findings),
            "payload" => read_all(value, &mut file.payload, findings),
            "stun" => read_all(value, &mut file.stun, findings),
            "http" => read_all(value, &mut file.http, findings),
            "tls" => read_all(value, &mut file.tls, findings),
            "sip" => read_all(value, &mut file.sip, findings),
            "proto" => read_all(value, &mut file.proto, findings),
            "flow" => read_all(value, &mut file.flow, findings),
            "address" => read_all(value, &mut file.address, findings),
            "port" => read_all(value, &mut file.port, findings),
            "test" => read_all(value, &mut file.test, findings),
            unknown => findings.error(at, format!("unknown table `{unknown}`, expected {TABLES}")),
        }
    }
    match (&file.app, &file.protocol) {
        (Some(app), Some(_)) => findings
            .error(app.span(), "a file is about an application or a protocol: `[app]` and `[protocol]` exclude one another"),
        (None, None) => findings.error(0..0, "expected `[app]` or `[protocol]`"),
        _ => {}
    }
    file
}

const TABLES: &str = "one of `[app]`, `[protocol]`, `[[domain]]`, `[[payload]]`, `[[stun]]`, `[[http]]`, \
     `[[tls]]`, `[[sip]]`, `[[proto]]`, `[[flow]]`, `[[address]]`, `[[port]]`, `[[test]]`";

fn read_one<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    findings: &mut Findings<'_>,
) -> Option<Spanned<T>> {
    let at = value.span();
    match Spanned::deserialize(ValueDeserializer::from(value)) {
        Ok(table) => Some(table),
        Err(error) => {
            findings.error(narrow(error.span(), at), error.message());
            None
        }
    }
}

fn read_all<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    tables: &mut Vec<Spanned<T>>,
    findings: &mut Findings<'_>,
) {
    let at = value.span();
    let DeValue::Array(list) = value.into_inner() else {
        findings.error(
            at,
            "expected a list of tables: two brackets, as in `[[domain]]`",
        );
        return;
    };
    tables.reserve(list.len());
    for table in list {
        tables.extend(read_one(table, findings));
    }
}

/// An error without a place of its own stands where its table does.
fn narrow(span: Option<Range<usize>>, table: Range<usize>) -> Range<usize> {
    span.filter(|span| *span != (0..0)).unwrap_or(table)
}
