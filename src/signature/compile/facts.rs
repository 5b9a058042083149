//! `[[tls]]`, `[[http]]`, `[[stun]]` and `[[sip]]`: rules over what dissectors read.

use std::ops::Range;

use toml::Spanned;

use super::{Common, Compiler, Context, all, evidence, guard, inside, prefixes};
use crate::app::Service;
use crate::dissect::{Family, Field, Tells};
use crate::signature::diagnostic::Findings;
use crate::signature::file::{
    HeaderTable, HttpTable, Ports, SignatureFile, SipTable, StunTable, TlsTable,
};
use crate::signature::glob::Glob;
use crate::signature::matching::facts::{FactRule, Wanted};
use crate::signature::rule::RuleKind;
use crate::verdict::Evidence;

/// One table of any of the four kinds, in one shape.
struct FactSource<'a> {
    family: Family,
    kind: RuleKind,
    at: Range<usize>,
    /// Each key and what is given for it, in the order in which a rule without a name takes its
    /// name from them.
    keys: Vec<(&'static str, Given<'a>)>,
    port: &'a [Ports],
    address_required: bool,
    address_excluded: &'a [Spanned<String>],
    proto: Option<&'a str>,
    evidence: &'a Option<Spanned<Evidence>>,
    service: Option<Service>,
    name: Option<&'a str>,
    source: &'a str,
}

/// What is given for a key.
#[derive(Clone, Copy)]
enum Given<'a> {
    Globs(&'a [Spanned<String>]),
    Codes(&'a [u16]),
    Headers(&'a [HeaderTable]),
}

impl Given<'_> {
    const fn is_empty(self) -> bool {
        match self {
            Self::Globs(globs) => globs.is_empty(),
            Self::Codes(codes) => codes.is_empty(),
            Self::Headers(headers) => headers.is_empty(),
        }
    }

    /// The first of it, as the name of a rule.
    fn shown(self, key: &str) -> Option<String> {
        Some(match self {
            Self::Globs(globs) => format!("{key}={}", globs.first()?.get_ref()),
            Self::Codes(codes) => format!("{key}={:#06x}", codes.first()?),
            Self::Headers(headers) => format!("{key}={}", headers.first()?.name),
        })
    }

    fn wanted(self, findings: &mut Findings<'_>) -> Option<Wanted> {
        Some(match self {
            Self::Globs(globs) => Wanted::Globs(all(globs, |text| glob(text, findings))?),
            Self::Codes(codes) => Wanted::Codes(codes.to_vec()),
            Self::Headers(headers) => Wanted::Headers(all(headers, |header| {
                let value = match &header.value {
                    Some(value) => glob(value, findings),
                    None => Glob::parse("*").ok(),
                };
                Some((Box::from(&*header.name), value?))
            })?),
        })
    }
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
            .keys
            .iter()
            .filter(|(_, given)| !given.is_empty())
            .filter_map(|&(key, given)| Some((Field::by_key(source.family, key)?, key, given)))
            .collect();
        let bound = !source.port.is_empty() || source.address_required;
        let says = !given.is_empty()
            || source.family == Family::Tls && !source.port.is_empty() && source.address_required;
        if !says {
            let texts = source
                .keys
                .iter()
                .filter(|(_, given)| matches!(given, Given::Globs(_)));
            let keys: Vec<_> = texts.map(|(key, _)| format!("`{key}`")).collect();
            findings.error(
                source.at.clone(),
                format!("expected one of {}", keys.join(", ")),
            );
            return;
        }
        let is_fingerprint =
            |(field, ..): &(&Field, &str, Given<'_>)| field.tells == Tells::Fingerprint;
        if !given.is_empty() && given.iter().all(is_fingerprint) && !bound {
            findings.error(
                source.at.clone(),
                "`ja4` needs another key beside it: many clients share one",
            );
            return;
        }
        let wanted = all(&given, |&(field, _, given)| {
            Some((field, given.wanted(findings)?))
        });
        let allowed = allowed_evidence(given.iter().map(|(field, ..)| field.tells));
        let evidence = evidence(source.evidence, &allowed, findings);
        let excluded = prefixes(source.address_excluded, findings);
        let (Some(wanted), Some(evidence), Some(excluded)) = (wanted, evidence, excluded) else {
            return;
        };
        let shown = shown_name(source);
        let mut rule = FactRule {
            tag: crate::verdict::Tag {
                app: None,
                service: None,
                proto: None,
                evidence,
                rule: crate::verdict::RuleId(0),
            },
            family: source.family,
            wanted,
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
fn allowed_evidence(keys: impl Iterator<Item = Tells>) -> Vec<Evidence> {
    let default = keys
        .map(|tells| match tells {
            Tells::Host | Tells::Owner => Evidence::ServerName,
            Tells::Fingerprint => Evidence::Fingerprint,
            Tells::Text => Evidence::Payload,
        })
        .min_by_key(|evidence| match evidence {
            Evidence::ServerName => 0,
            Evidence::Fingerprint => 1,
            _ => 2,
        })
        .unwrap_or(Evidence::Payload);
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
        let hosts = rule
            .wanted
            .iter()
            .filter(|(field, _)| field.tells == Tells::Host);
        let labels =
            hosts.filter_map(|(_, wanted)| wanted.globs().into_iter().map(Glob::labels).min());
        return small(labels.max().unwrap_or(1)).max(1);
    }
    let bits = rule.wanted.iter().map(|(_, wanted)| match wanted {
        Wanted::Codes(_) => 16,
        texts => {
            let least = texts.globs().into_iter().map(Glob::fixed_bytes).min();
            small(least.unwrap_or_default() * 8)
        }
    });
    bits.fold(0, u32::saturating_add)
}

fn shown_name(source: &FactSource<'_>) -> String {
    let of_key = source.keys.iter().find_map(|(key, given)| given.shown(key));
    let of_port = || source.port.first().map(|ports| format!("port={ports}"));
    of_key.or_else(of_port).unwrap_or_default()
}

fn of_tls(at: Range<usize>, table: &TlsTable) -> FactSource<'_> {
    FactSource {
        family: Family::Tls,
        kind: RuleKind::Tls,
        at,
        keys: vec![
            ("alpn", Given::Globs(&table.alpn)),
            ("server_name", Given::Globs(&table.server_name)),
            ("common_name", Given::Globs(&table.common_name)),
            ("organisation", Given::Globs(&table.organisation)),
            ("issuer", Given::Globs(&table.issuer)),
            (
                "issuer_organisation",
                Given::Globs(&table.issuer_organisation),
            ),
            ("alternative", Given::Globs(&table.alternative)),
            ("ja4", Given::Globs(&table.ja4)),
        ],
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
        keys: vec![
            ("user_agent", Given::Globs(&table.user_agent)),
            ("path", Given::Globs(&table.path)),
            ("method", Given::Globs(&table.method)),
            ("upgrade", Given::Globs(&table.upgrade)),
            ("content_type", Given::Globs(&table.content_type)),
            ("server", Given::Globs(&table.server)),
            ("host", Given::Globs(&table.host)),
            ("header", Given::Headers(&table.header)),
        ],
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
        keys: vec![
            ("realm", Given::Globs(&table.realm)),
            ("software", Given::Globs(&table.software)),
            ("username", Given::Globs(&table.username)),
            ("origin", Given::Globs(&table.origin)),
            ("type", Given::Codes(&table.types)),
            ("attribute", Given::Codes(&table.attribute)),
        ],
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
        keys: vec![
            ("request_host", Given::Globs(&table.request_host)),
            ("from_host", Given::Globs(&table.from_host)),
            ("to_host", Given::Globs(&table.to_host)),
            ("user_agent", Given::Globs(&table.user_agent)),
            ("contact", Given::Globs(&table.contact)),
            ("server", Given::Globs(&table.server)),
            ("method", Given::Globs(&table.method)),
        ],
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
