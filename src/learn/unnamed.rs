//! What a flow without an application has shown.

use std::net::IpAddr;

use super::draft::Beginning;
use super::party::Party;
use crate::app::Proto;
use crate::classify::UnknownReason;
use crate::decode::IpProtocol;
use crate::dissect::{Facts, Tls};
use crate::flow::PerSide;
use crate::record::FlowRecord;
use crate::signature::SignatureSet;

/// What carries whatever application, and shows little more than whose it is: of others that were
/// recognised it is known what they are.
const CARRIERS: &[Proto] = &[
    Proto::TLS,
    Proto::DTLS,
    Proto::QUIC,
    Proto::GQUIC,
    Proto::HTTP,
    Proto::HTTP2,
    Proto::WEBSOCKET,
];

/// A flow without an application.
#[derive(Clone, Debug, Default)]
pub struct Unnamed {
    /// Who asked.
    pub client: Option<IpAddr>,
    /// Who was asked.
    pub server: Option<IpAddr>,
    /// The server's port; zero where there are none.
    pub port: u16,
    /// What carries it.
    pub transport: IpProtocol,
    /// Bytes of its frames.
    pub bytes: u64,
    /// What is spoken, as far as that is known.
    pub protocol: Option<String>,
    /// The host that the client asked for.
    pub host: Option<String>,
    /// Protocols that the client offers in TLS, a comma between them.
    pub alpn: Option<String>,
    /// The fingerprint of its hello.
    pub ja4: Option<String>,
    /// Whose the server's certificate is.
    pub subject: Option<Party>,
    /// Who has given it.
    pub issuer: Option<Party>,
    /// A domain in the certificate.
    pub certified: Option<String>,
    /// The first messages of each side.
    pub messages: PerSide<Beginning>,
}

impl Unnamed {
    /// What `record` shows; `None` where it has a name, or nothing to be known by.
    pub fn of(record: &FlowRecord, set: &SignatureSet) -> Option<Self> {
        let named = &record.named;
        let facts = record.facts.as_deref();
        let is_known = named
            .proto
            .is_some_and(|proto| !CARRIERS.contains(&proto) && !has_host(facts));
        let is_unseen = matches!(
            named.unknown,
            Some(UnknownReason::NoPayload | UnknownReason::TableFull | UnknownReason::Overload)
        );
        if named.app.is_some() || is_known || is_unseen {
            return None;
        }
        let tls = facts.and_then(|facts| facts.tls.as_deref());
        let counters = record.part.counters;
        let kept = record
            .steps
            .as_deref()
            .and_then(|steps| steps.opening.as_deref());
        Some(Self {
            client: Some(record.client_ip),
            server: Some(record.server_ip),
            port: record.server_port,
            transport: record.protocol,
            bytes: counters.client.bytes + counters.server.bytes,
            protocol: named
                .proto
                .map(|proto| set.catalog().protocol_name(proto).to_owned()),
            host: facts.and_then(|facts| facts.server_name.as_deref().map(str::to_owned)),
            alpn: tls.and_then(|tls| joined(&tls.alpn)),
            ja4: tls.and_then(|tls| tls.ja4.as_ref().map(|ja4| ja4.to_string())),
            subject: tls.and_then(|tls| {
                let names = &tls.certificate;
                Party::of(names.organisation.as_deref(), names.common_name.as_deref())
            }),
            issuer: tls.and_then(|tls| {
                let names = &tls.certificate;
                Party::of(
                    names.issuer_organisation.as_deref(),
                    names.issuer.as_deref(),
                )
            }),
            certified: tls.and_then(certified),
            messages: kept.map_or_else(PerSide::default, |kept| PerSide {
                client: Beginning::of(&kept.sides.client),
                server: Beginning::of(&kept.sides.server),
            }),
        })
    }
}

fn has_host(facts: Option<&Facts>) -> bool {
    facts.is_some_and(|facts| facts.server_name.is_some())
}

/// What a list has, as a text; `None` where it is empty.
pub(super) fn joined(texts: &[Box<str>]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(","))
}

/// The first name of a certificate that is a domain.
fn certified(tls: &Tls) -> Option<String> {
    let names = &tls.certificate;
    let all = names.alternative.iter().chain(&names.common_name);
    let mut domains = all.filter(|name| name.contains('.') && !name.contains(' '));
    let name = domains.next()?;
    Some(name.strip_prefix("*.").unwrap_or(name).to_owned())
}
