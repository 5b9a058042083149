//! `[[tls]]`, `[[http]]`, `[[stun]]` and `[[sip]]`: rules over what dissectors read.

use std::ops::Range;

use toml::Spanned;

use super::{Common, Compiler, Context, all, evidence, guard, inside, prefixes};
use crate::app::Service;
use crate::signature::diagnostic::Findings;
use crate::signature::facts::{FactRule, Family, Field};
use crate::signature::file::{HttpTable, Ports, SignatureFile, SipTable, StunTable, TlsTable};
use crate::signature::glob::Glob;
use crate::signature::rule::RuleKind;
use crate::verdict::Evidence;

/// One table of any of the four kinds, in one shape.
struct FactSource<'a> {
    family: Family,
    kind: RuleKind,
    at: Range<usize>,
    texts: Vec<(Field, &'static str, &'a [Spanned<String>])>,
    headers: Vec<(&'a str, Option<&'a Spanned<String>>)>,
    stun_types: &'a [u16],
    stun_attributes: &'a [u16],
    port: &'a [Ports],
    address_required: bool,
    address_excluded: &'a [Spanned<String>],
    proto: Option<&'a str>,
    evidence: &'a Option<Spanned<Evidence>>,
    service: Option<Service>,
    name: Option<&'a str>,
    source: &'a str,
}

impl Compiler {
    pub(super) fn fact_tables(
        &mut self,
        file: &SignatureFile,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let tls = file
            .tls
            .iter()
            .map(|table| of_tls(table.span(), table.get_ref()));
        let http = file
            .http
            .iter()
            .map(|table| of_http(table.span(), table.get_ref()));
        let stun = file
            .stun
            .iter()
            .map(|table| of_stun(table.span(), table.get_ref()));
        let sip = file
            .sip
            .iter()
            .map(|table| of_sip(table.span(), table.get_ref()));
        for source in tls.chain(http).chain(stun).chain(sip) {
            self.fact(&source, context, findings);
        }
    }

    fn fact(&mut self, source: &FactSource<'_>, context: &Context, findings: &mut Findings<'_>) {
        let given: Vec<_> = source
            .texts
            .iter()
            .filter(|(.., texts)| !texts.is_empty())
            .collect();
        let bound = !source.port.is_empty() || source.address_required;
        let says = !given.is_empty()
            || !source.headers.is_empty()
            || !source.stun_types.is_empty()
            || !source.stun_attributes.is_empty()
            || source.family == Family::Tls && !source.port.is_empty() && source.address_required;
        if !says {
            let keys: Vec<_> = source
                .texts
                .iter()
                .map(|(_, key, _)| format!("`{key}`"))
                .collect();
            findings.error(
                source.at.clone(),
                format!("expected one of {}", keys.join(", ")),
            );
            return;
        }
        let only_ja4 = !given.is_empty() && given.iter().all(|(field, ..)| *field == Field::Ja4);
        if source.family == Family::Tls && only_ja4 && !bound {
            findings.error(
                source.at.clone(),
                "`ja4` needs another key beside it: many clients share one",
            );
            return;
        }
        let texts = all(&given, |(field, _, texts)| {
            Some((*field, all(texts, |text| glob(text, findings))?))
        });
        let any = Glob::parse("*").ok();
        let headers = all(&source.headers, |(name, value)| {
            let glob = match value {
                Some(value) => glob(value, findings),
                None => any.clone(),
            };
            Some((Box::from(*name), glob?))
        });
        let allowed = allowed_evidence(&given);
        let evidence = evidence(source.evidence, &allowed, findings);
        let excluded = prefixes(source.address_excluded, findings);
        let (Some(texts), Some(headers), Some(evidence), Some(excluded)) =
            (texts, headers, evidence, excluded)
        else {
            return;
        };
        let shown = shown_name(source, &given);
        let mut rule = FactRule {
            tag: crate::verdict::Tag {
                app: None,
                service: None,
                proto: None,
                evidence,
                rule: crate::verdict::RuleId(0),
            },
            family: source.family,
            texts,
            headers,
            stun_types: source.stun_types.to_vec(),
            stun_attributes: source.stun_attributes.to_vec(),
            guard: guard(context, source.port, source.address_required, excluded),
        };
        rule.tag = self.add(
            context,
            source.kind,
            &Common {
                name: source.name.unwrap_or(&shown),
                service: source.service,
                proto: source.proto,
                evidence,
                source: source.source,
                weight: weight(&rule, evidence),
            },
        );
        self.facts.push(rule);
    }
}

fn glob(text: &Spanned<String>, findings: &mut Findings<'_>) -> Option<Glob> {
    Glob::parse(text.get_ref())
        .map_err(|error| findings.error(inside(text.span(), &error), error.message))
        .ok()
}

/// The default, from the strongest key, and what else may be given.
fn allowed_evidence(given: &[&(Field, &str, &[Spanned<String>])]) -> Vec<Evidence> {
    let has = |fields: &[Field]| given.iter().any(|(field, ..)| fields.contains(field));
    let names = [
        Field::ServerName,
        Field::CommonName,
        Field::Organisation,
        Field::Issuer,
        Field::IssuerOrganisation,
        Field::Alternative,
    ];
    let default = if has(&names) {
        Evidence::ServerName
    } else if has(&[Field::Ja4]) {
        Evidence::Fingerprint
    } else {
        Evidence::Payload
    };
    let others = [
        Evidence::Payload,
        Evidence::PayloadProof,
        Evidence::ServerName,
        Evidence::Fingerprint,
        Evidence::Flow,
    ];
    std::iter::once(default)
        .chain(others.into_iter().filter(|&other| other != default))
        .collect()
}

/// Names are weighed in labels, as domain rules are; everything else in bits.
fn weight(rule: &FactRule, evidence: Evidence) -> u32 {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    if evidence == Evidence::ServerName {
        let hosts = [Field::ServerName, Field::CommonName, Field::Alternative];
        let of_hosts = rule.texts.iter().filter(|(field, _)| hosts.contains(field));
        let labels = of_hosts
            .filter_map(|(_, globs)| globs.iter().map(Glob::labels).min())
            .max();
        return small(labels.unwrap_or(1)).max(1);
    }
    let least = |globs: &mut dyn Iterator<Item = &Glob>| {
        small(globs.map(Glob::fixed_bytes).min().unwrap_or_default() * 8)
    };
    let texts: u32 = rule
        .texts
        .iter()
        .map(|(_, globs)| least(&mut globs.iter()))
        .sum();
    let headers = least(&mut rule.headers.iter().map(|(_, glob)| glob));
    let stun = u32::from(!rule.stun_types.is_empty()) + u32::from(!rule.stun_attributes.is_empty());
    texts.saturating_add(headers).saturating_add(stun * 16)
}

fn shown_name(
    source: &FactSource<'_>,
    given: &[&(Field, &'static str, &[Spanned<String>])],
) -> String {
    let text = given
        .first()
        .and_then(|(_, key, texts)| Some((key, texts.first()?)));
    if let Some((key, text)) = text {
        return format!("{key}={}", text.get_ref());
    }
    if let Some((name, _)) = source.headers.first() {
        return format!("header={name}");
    }
    if let Some(first) = source.stun_types.first() {
        return format!("type={first:#06x}");
    }
    if let Some(first) = source.stun_attributes.first() {
        return format!("attribute={first:#06x}");
    }
    source
        .port
        .first()
        .map(|ports| format!("port={ports}"))
        .unwrap_or_default()
}

fn of_tls(at: Range<usize>, table: &TlsTable) -> FactSource<'_> {
    FactSource {
        family: Family::Tls,
        kind: RuleKind::Tls,
        at,
        texts: vec![
            (Field::Alpn, "alpn", &table.alpn),
            (Field::ServerName, "server_name", &table.server_name),
            (Field::CommonName, "common_name", &table.common_name),
            (Field::Organisation, "organisation", &table.organisation),
            (Field::Issuer, "issuer", &table.issuer),
            (
                Field::IssuerOrganisation,
                "issuer_organisation",
                &table.issuer_organisation,
            ),
            (Field::Alternative, "alternative", &table.alternative),
            (Field::Ja4, "ja4", &table.ja4),
        ],
        headers: Vec::new(),
        stun_types: &[],
        stun_attributes: &[],
        port: &table.port,
        address_required: table.address_required,
        address_excluded: &table.address_excluded,
        proto: table.proto.as_deref(),
        evidence: &table.evidence,
        service: table.service,
        name: table.name.as_ref().map(|name| name.get_ref().as_str()),
        source: table.source.get_ref(),
    }
}

fn of_http(at: Range<usize>, table: &HttpTable) -> FactSource<'_> {
    FactSource {
        family: Family::Http,
        kind: RuleKind::Http,
        at,
        texts: vec![
            (Field::UserAgent, "user_agent", &table.user_agent),
            (Field::Path, "path", &table.path),
            (Field::Method, "method", &table.method),
            (Field::Upgrade, "upgrade", &table.upgrade),
            (Field::ContentType, "content_type", &table.content_type),
            (Field::Server, "server", &table.server),
            (Field::ServerName, "host", &table.host),
        ],
        headers: table
            .header
            .iter()
            .map(|header| (header.name.as_str(), header.value.as_ref()))
            .collect(),
        stun_types: &[],
        stun_attributes: &[],
        port: &table.port,
        address_required: table.address_required,
        address_excluded: &[],
        proto: table.proto.as_deref(),
        evidence: &table.evidence,
        service: table.service,
        name: table.name.as_ref().map(|name| name.get_ref().as_str()),
        source: table.source.get_ref(),
    }
}

fn of_stun(at: Range<usize>, table: &StunTable) -> FactSource<'_> {
    FactSource {
        family: Family::Stun,
        kind: RuleKind::Stun,
        at,
        texts: vec![
            (Field::Realm, "realm", &table.realm),
            (Field::Software, "software", &table.software),
            (Field::Username, "username", &table.username),
            (Field::Origin, "origin", &table.origin),
        ],
        headers: Vec::new(),
        stun_types: &table.types,
        stun_attributes: &table.attribute,
        port: &table.port,
        address_required: table.address_required,
        address_excluded: &[],
        proto: table.proto.as_deref(),
        evidence: &table.evidence,
        service: table.service,
        name: table.name.as_ref().map(|name| name.get_ref().as_str()),
        source: table.source.get_ref(),
    }
}

fn of_sip(at: Range<usize>, table: &SipTable) -> FactSource<'_> {
    FactSource {
        family: Family::Sip,
        kind: RuleKind::Sip,
        at,
        texts: vec![
            (Field::RequestHost, "request_host", &table.request_host),
            (Field::FromHost, "from_host", &table.from_host),
            (Field::ToHost, "to_host", &table.to_host),
            (Field::UserAgent, "user_agent", &table.user_agent),
            (Field::Contact, "contact", &table.contact),
            (Field::SipServer, "server", &table.server),
            (Field::Method, "method", &table.method),
        ],
        headers: Vec::new(),
        stun_types: &[],
        stun_attributes: &[],
        port: &table.port,
        address_required: table.address_required,
        address_excluded: &[],
        proto: table.proto.as_deref(),
        evidence: &table.evidence,
        service: table.service,
        name: table.name.as_ref().map(|name| name.get_ref().as_str()),
        source: table.source.get_ref(),
    }
}
