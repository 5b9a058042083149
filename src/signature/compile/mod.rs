//! From files to a [`SignatureSet`]: what the texts in the tables mean, and the tables of each
//! kind of rule.
//!
//! A rule with an error is reported and left out; the others are compiled all the same.

mod facts;
pub(super) mod messages;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::FixedState;
use toml::Spanned;

use super::condition::SyntaxError;
use super::diagnostic::{Diagnostic, Findings};
use super::file::{self, Ports, SignatureFile, TransportName};
use super::matching::address::{AddressTable, Prefix};
use super::matching::call::{self, CallRule, CallTable, Signals};
use super::matching::domain::{self, DomainTable};
use super::matching::facts::{FactRule, FactTable, ProtoRule};
use super::matching::flow::{FlowRule, FlowTable};
use super::matching::guard::Guard;
use super::matching::payload::{Outlined, PayloadTable};
use super::matching::port::PortTable;
use super::rule::{NewRule, RuleKind, Rules};
use super::set::{Hash, SignatureSet};
use super::source::SourceFile;
use crate::app::{App, AppId, Catalog, Proto, Refused, Service};
use crate::verdict::{Evidence, RuleId, Tag};

/// IANA's number of SCTP.
const SCTP: u8 = 132;
/// A port rule for more ports than these names nothing.
const MAX_PORTS: usize = 1024;

/// A file and what it was read as.
#[derive(Debug)]
pub(super) struct Parsed<'a> {
    pub(super) source: &'a SourceFile,
    pub(super) file: SignatureFile,
}

/// Reads `files`, in the order of folder and name whatever order they are given in.
pub(super) fn parse_all<'a>(
    files: &'a [SourceFile],
    found: &mut Vec<Diagnostic>,
) -> Vec<Parsed<'a>> {
    let parse = |source| parse(source, true, found);
    sorted(files).into_iter().map(parse).collect()
}

fn sorted(files: &[SourceFile]) -> Vec<&SourceFile> {
    // Each key is made once: it is cut out of a path.
    let mut files: Vec<_> = files.iter().map(|source| (source.key(), source)).collect();
    // They mostly come in the order of their paths, which is nearly this one: of such, the stable
    // sort is the quick one.
    files.sort_by_key(|&(key, _)| key);
    files.into_iter().map(|(_, source)| source).collect()
}

/// Reads one file. Of what is built in, tests are read only where they are asked for.
fn parse<'a>(source: &'a SourceFile, with_tests: bool, found: &mut Vec<Diagnostic>) -> Parsed<'a> {
    let packed = source.tree.and_then(|tree| tree.read(with_tests));
    let file = packed.unwrap_or_else(|| file::parse(&source.path, &source.text, found));
    Parsed { source, file }
}

/// Compiles what was read. Names and rules keep the numbers they had in `previous`.
pub(super) fn compile(
    parsed: &[Parsed<'_>],
    previous: Option<&SignatureSet>,
    found: &mut Vec<Diagnostic>,
) -> SignatureSet {
    let mut compiler = Compiler::after(previous);
    for one in parsed {
        compiler.whole(one, found);
    }
    compiler.finish()
}

/// The same of files: each is read, compiled and forgotten before the next one is.
pub(super) fn compile_files(
    files: &[SourceFile],
    previous: Option<&SignatureSet>,
    found: &mut Vec<Diagnostic>,
) -> SignatureSet {
    let mut compiler = Compiler::after(previous);
    for source in sorted(files) {
        let parsed = parse(source, false, found);
        compiler.whole(&parsed, found);
    }
    compiler.finish()
}

/// The set as it grows.
#[derive(Debug, Default)]
struct Compiler {
    catalog: Catalog,
    /// Who has an id.
    ids: HashMap<u32, AppId, FixedState>,
    /// The path of the file of a slug.
    slugs: HashMap<String, Cow<'static, str>, FixedState>,
    rules: Rules,
    domains: DomainTable,
    prefixes: Vec<(Prefix, RuleId)>,
    owned: Vec<Vec<Prefix>>,
    spoken: Vec<(AppId, Proto)>,
    ports: PortTable,
    tcp: Outlined,
    udp: Outlined,
    other: Outlined,
    facts: Vec<FactRule>,
    protos: Vec<(Proto, ProtoRule)>,
    flows: Vec<FlowRule>,
    /// With the services that signal, and the names of the files in whose prefixes relays are.
    calls: Vec<(CallRule, Signals, Vec<String>)>,
    /// The number of the file of a slug.
    numbers: HashMap<String, u16, FixedState>,
    /// Set when a name of the file found no number.
    exhausted: Option<&'static str>,
}

/// What is the same for all rules of one file.
#[derive(Debug)]
struct Context {
    number: u16,
    slug: String,
    app: Option<AppId>,
    /// The protocol of a protocol file.
    proto: Option<Proto>,
}

impl Compiler {
    fn after(previous: Option<&SignatureSet>) -> Self {
        let mut compiler = Self::default();
        if let Some(previous) = previous {
            compiler.catalog = Catalog::after(&previous.catalog);
            compiler.rules = Rules::after(&previous.rules);
        }
        compiler
    }

    fn whole(&mut self, one: &Parsed<'_>, found: &mut Vec<Diagnostic>) {
        self.file(one, found);
        if let Some(fault) = self.exhausted.take() {
            found.push(Diagnostic::of_file(&one.source.path, fault));
        }
    }

    fn file(&mut self, parsed: &Parsed<'_>, found: &mut Vec<Diagnostic>) {
        let (path, file) = (&parsed.source.path, &parsed.file);
        let mut findings = Findings::new(path, &parsed.source.text, found);
        let findings = &mut findings;
        let Some(context) = self.head(parsed, findings) else {
            return;
        };
        for table in &file.address {
            self.address(table, &context, findings);
        }
        for table in &file.domain {
            self.domain(table, &context, findings);
        }
        for table in &file.port {
            self.port(table, &context, findings);
        }
        for table in &file.proto {
            self.proto(table, &context, findings);
        }
        for table in &file.call {
            self.call(table, &context, findings);
        }
        for table in &file.payload {
            self.payload(table, &context, findings);
        }
        for table in &file.flow {
            self.flow(table, &context, findings);
        }
        self.fact_tables(file, &context, findings);
    }

    fn head(&mut self, parsed: &Parsed<'_>, findings: &mut Findings<'_>) -> Option<Context> {
        let file = &parsed.file;
        let name = match (&file.app, &file.protocol) {
            (Some(app), _) => &app.get_ref().name,
            (None, Some(protocol)) => &protocol.get_ref().name,
            // Reported by the parser.
            (None, None) => return None,
        };
        let slug = name.get_ref();
        if !is_slug(slug) {
            findings.error(
                name.span(),
                "expected a slug: lower-case letters, digits and `-`, 64 at most",
            );
            return None;
        }
        let Ok(number) = u16::try_from(self.owned.len()) else {
            findings.error(name.span(), "there are more than 65,535 files");
            return None;
        };
        if let Some(other) = self.slugs.insert(slug.clone(), parsed.source.path.clone()) {
            findings.error(
                name.span(),
                format!("`{slug}` is the name of {other} already"),
            );
            return None;
        }
        let mut context = Context {
            number,
            slug: slug.clone(),
            app: None,
            proto: None,
        };
        if let Some(app) = &file.app {
            let app = app.get_ref();
            let id = *app.id.get_ref();
            if let Some(&other) = self.ids.get(&id) {
                let other = self.catalog.app_name(other);
                findings.error(
                    app.id.span(),
                    format!("{id} is the id of `{other}` already: ids are never reused"),
                );
            }
            let added = self.catalog.add_app(App {
                id,
                name: slug.as_str().into(),
                title: app.title.as_str().into(),
                category: app.category.get_ref().as_str().into(),
                owner: app.owner.as_str().into(),
            });
            match added {
                Ok(number) => {
                    self.ids.entry(id).or_insert(number);
                    context.app = Some(number);
                }
                // Reported above.
                Err(Refused::NameTaken) => {}
                Err(Refused::OtherId(before)) => findings.error(
                    app.id.span(),
                    format!(
                        "`{slug}` had the id {before} when it was loaded before: ids never change, expected {before} or another name"
                    ),
                ),
                Err(Refused::Full) => findings.error(
                    name.span(),
                    "there have been 65,535 applications since the program began: expected a new start",
                ),
            }
        } else {
            context.proto = self.intern(slug);
        }
        self.numbers.insert(slug.clone(), number);
        self.owned.push(Vec::new());
        Some(context)
    }

    fn domain(
        &mut self,
        table: &Spanned<file::DomainTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let at = table.span();
        let table = table.get_ref();
        if table.suffix.is_empty() && table.exact.is_empty() {
            findings.error(at, "expected `suffix` or `exact`");
        }
        let suffixes = table.suffix.iter().map(|name| (name, false));
        let exact = table.exact.iter().map(|name| (name, true));
        for (name, exact) in suffixes.chain(exact) {
            let (at, name) = (name.span(), name.get_ref());
            if let Some(fault) = domain::fault(name) {
                findings.error(at, format!("`{name}`: {fault}"));
                continue;
            }
            let labels = u32::try_from(name.split('.').count()).unwrap_or(u32::MAX);
            let shown = if exact {
                format!("={name}")
            } else {
                name.clone()
            };
            let tag = self.add(
                context,
                RuleKind::Domain,
                &Common {
                    name: table
                        .name
                        .as_ref()
                        .map_or(shown.as_str(), |name| name.get_ref()),
                    service: table.service,
                    proto: None,
                    evidence: match table.placeholder {
                        true => Evidence::OuterName,
                        false => Evidence::ServerName,
                    },
                    source: table.source.as_deref().unwrap_or_default(),
                    weight: labels + u32::from(exact),
                },
            );
            // A name claimed twice is `check`'s subject; here the first one stays.
            let _ = self.domains.insert(name, exact, tag.rule);
        }
    }

    fn address(
        &mut self,
        table: &Spanned<file::AddressTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let at = table.span();
        let table = table.get_ref();
        if table.prefix.is_empty() {
            findings.error(at, "expected `prefix`");
        }
        for name in &table.proto {
            if !is_slug(name.get_ref()) {
                findings.error(name.span(), "expected the slug of a protocol");
            } else if let (Some(app), Some(proto)) = (context.app, self.intern(name.get_ref())) {
                self.spoken.push((app, proto));
            }
        }
        for text in &table.prefix {
            let Some(prefix) = prefix(text, findings) else {
                continue;
            };
            if let Some(owned) = self.owned.last_mut() {
                owned.push(prefix);
            }
            if table.shared {
                continue;
            }
            let tag = self.add(
                context,
                RuleKind::Address,
                &Common {
                    name: table.name.as_ref().unwrap_or(text).get_ref(),
                    service: table.service,
                    proto: None,
                    evidence: Evidence::Address,
                    source: table.source.as_deref().unwrap_or_default(),
                    weight: prefix.len(),
                },
            );
            self.prefixes.push((prefix, tag.rule));
        }
    }

    fn port(
        &mut self,
        table: &Spanned<file::PortTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let table = table.get_ref();
        let ports = table.port.get_ref();
        let many = ports
            .iter()
            .map(|ports| ports.range().count())
            .sum::<usize>();
        if !(1..=MAX_PORTS).contains(&many) {
            findings.error(
                table.port.span(),
                format!("expected 1 to {MAX_PORTS} ports, these are {many}"),
            );
            return;
        }
        for &transport in &table.transport.0 {
            let (number, slug) = match transport {
                TransportName::Tcp => (6, "tcp"),
                TransportName::Udp => (17, "udp"),
                TransportName::Sctp => (SCTP, "sctp"),
                TransportName::Ip => {
                    findings.error(
                        table.port.span(),
                        "expected a transport that has ports: tcp, udp or sctp",
                    );
                    return;
                }
            };
            for &ports in ports {
                let shown = format!("{slug}/{ports}");
                let tag = self.add(
                    context,
                    RuleKind::Port,
                    &Common {
                        name: table
                            .name
                            .as_ref()
                            .map_or(shown.as_str(), |name| name.get_ref()),
                        service: table.service,
                        proto: table.proto.as_deref(),
                        evidence: Evidence::Port,
                        source: table.source.as_deref().unwrap_or_default(),
                        weight: u32::from(ports.first == ports.last),
                    },
                );
                self.ports.insert(number, ports, tag.rule);
            }
        }
    }

    fn proto(
        &mut self,
        table: &Spanned<file::ProtoTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let table = table.get_ref();
        let name = &table.name;
        if !is_slug(name.get_ref()) {
            findings.error(name.span(), "expected the slug of a protocol");
            return;
        }
        let allowed = [Evidence::Payload, Evidence::PayloadProof, Evidence::Flow];
        let evidence = evidence(&table.evidence, &allowed, findings);
        let excluded = prefixes(&table.address_excluded, findings);
        let (Some(evidence), Some(excluded)) = (evidence, excluded) else {
            return;
        };
        let Some(proto) = self.intern(name.get_ref()) else {
            return;
        };
        let tag = self.add(
            context,
            RuleKind::Proto,
            &Common {
                name: name.get_ref(),
                service: table.service,
                proto: Some(name.get_ref()),
                evidence,
                source: table.source.as_deref().unwrap_or_default(),
                weight: u32::from(!table.port.is_empty()) * 16
                    + u32::from(table.address_required) * 16,
            },
        );
        let guard = guard(context, &table.port, table.address_required, excluded);
        self.protos.push((proto, ProtoRule { tag, guard }));
    }

    fn call(
        &mut self,
        table: &Spanned<file::CallTable>,
        context: &Context,
        findings: &mut Findings<'_>,
    ) {
        let at = table.span();
        let table = table.get_ref();
        let mut networks: Vec<_> = table
            .address_of
            .iter()
            .map(|it| it.get_ref().clone())
            .collect();
        if table.address_required {
            networks.push(context.slug.clone());
        }
        if context.app.is_none() {
            findings.error(at, "a plain protocol has no calls: expected `[app]`");
            return;
        }
        if table.port.is_empty() && networks.is_empty() {
            findings.error(at, "expected `port`, `address_required` or `address_of`");
            return;
        }
        let within = table.within.as_ref().map_or(60, |within| *within.get_ref());
        if let Some(given) = &table.within
            && !(1..=600).contains(&within)
        {
            findings.error(given.span(), "expected 1 to 600 seconds");
            return;
        }
        let protos = all(&table.proto, |name| {
            if is_slug(name.get_ref()) {
                return self.intern(name.get_ref());
            }
            findings.error(name.span(), "expected the slug of a protocol");
            None
        });
        let Some(protos) = protos else { return };
        let tag = self.add(
            context,
            RuleKind::Call,
            &Common {
                name: table.name.get_ref(),
                service: table.service,
                proto: None,
                evidence: match networks.is_empty() {
                    true => Evidence::Port,
                    false => Evidence::Address,
                },
                source: table.source.get_ref(),
                weight: u32::from(!table.port.is_empty()) + 1,
            },
        );
        let rule = CallRule {
            tag,
            within,
            protos: match protos.is_empty() {
                true => call::MEDIA.into(),
                false => protos.into(),
            },
            ports: table.port.as_slice().into(),
            networks: Box::default(),
        };
        let signals = Signals::new(&table.signalling, table.any_name);
        self.calls.push((rule, signals, networks));
    }

    /// Gives a rule its number and its tag.
    fn add(&mut self, context: &Context, kind: RuleKind, common: &Common<'_>) -> Tag {
        let proto = match common.proto {
            Some(slug) => self.intern(slug),
            None => context.proto,
        };
        let tag = Tag {
            app: context.app,
            service: common.service,
            proto,
            evidence: common.evidence,
            rule: RuleId(u32::MAX),
        };
        let added = self.rules.add(&NewRule {
            tag,
            kind,
            slug: &context.slug,
            name: common.name,
            source: common.source,
            weight: common.weight,
        });
        if added.is_none() {
            self.exhausted = Some(
                "there have been too many different rules since the program began: expected a new start",
            );
        }
        added.unwrap_or(tag)
    }

    fn intern(&mut self, slug: &str) -> Option<Proto> {
        let proto = self.catalog.intern_protocol(slug);
        if proto.is_none() {
            self.exhausted = Some(
                "there have been 65,535 protocols since the program began: expected a new start",
            );
        }
        proto
    }

    fn finish(self) -> SignatureSet {
        // What the tables are made of goes before they are made.
        drop((self.ids, self.slugs));
        let numbers = self.numbers;
        let calls = self.calls.into_iter().filter_map(|(rule, signals, names)| {
            let networks: Box<[u16]> = names
                .iter()
                .filter_map(|name| numbers.get(name).copied())
                .collect();
            // A rule about networks that are in no file is about nothing.
            let is_whole = names.is_empty() || !networks.is_empty();
            is_whole.then_some((CallRule { networks, ..rule }, signals))
        });
        let calls = CallTable::new(calls.collect());
        SignatureSet {
            catalog: self.catalog,
            hash: Hash::default(),
            rules: self.rules.finish(),
            domains: self.domains,
            addresses: AddressTable::new(&self.prefixes, &self.owned, self.spoken),
            ports: self.ports,
            payloads: PayloadTable::new(self.tcp, self.udp, self.other),
            facts: FactTable::new(self.facts, self.protos),
            flows: FlowTable::new(self.flows),
            calls,
        }
    }
}

/// What every rule says of itself.
#[derive(Debug)]
struct Common<'a> {
    name: &'a str,
    service: Option<Service>,
    proto: Option<&'a str>,
    evidence: Evidence,
    source: &'a str,
    weight: u32,
}

/// Whether `text` can be a name that files, rules and records go by.
pub(super) fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn guard(
    context: &Context,
    ports: &[Ports],
    address_required: bool,
    excluded: Vec<Prefix>,
) -> Guard {
    Guard {
        ports: ports.into(),
        address_of: address_required.then_some(context.number),
        excluded: excluded.into(),
    }
}

/// The class of evidence given, one of `allowed`, the first of which is the default.
fn evidence(
    given: &Option<Spanned<Evidence>>,
    allowed: &[Evidence],
    findings: &mut Findings<'_>,
) -> Option<Evidence> {
    let Some(given) = given else {
        return allowed.first().copied();
    };
    if allowed.contains(given.get_ref()) {
        return Some(*given.get_ref());
    }
    let slugs: Vec<_> = allowed.iter().map(|evidence| evidence.slug()).collect();
    findings.error(
        given.span(),
        format!("expected one of {}", slugs.join(", ")),
    );
    None
}

fn prefix(text: &Spanned<String>, findings: &mut Findings<'_>) -> Option<Prefix> {
    Prefix::parse(text.get_ref())
        .map_err(|fault| findings.error(text.span(), format!("`{}`: {fault}", text.get_ref())))
        .ok()
}

fn prefixes(texts: &[Spanned<String>], findings: &mut Findings<'_>) -> Option<Vec<Prefix>> {
    all(texts, |text| prefix(text, findings))
}

/// All of them, each tried so that each is reported; `None` if one failed.
fn all<T, U>(list: &[T], mut each: impl FnMut(&T) -> Option<U>) -> Option<Vec<U>> {
    let mut whole = Vec::with_capacity(list.len());
    let mut complete = true;
    for one in list {
        match each(one) {
            Some(one) => whole.push(one),
            None => complete = false,
        }
    }
    complete.then_some(whole)
}

/// Where in the file a fault inside a quoted text stands.
fn inside(text: Range<usize>, error: &SyntaxError) -> Range<usize> {
    let start = text.start.saturating_add(1 + error.at).min(text.end);
    start..text.end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_what_paths_and_records_can_carry() {
        for (text, expected) in [
            ("wechat", true),
            ("3cx-2", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("We", false),
            ("a b", false),
            ("微", false),
            ("a_b", false),
        ] {
            assert_eq!(is_slug(text), expected, "{text}");
        }
    }
}
