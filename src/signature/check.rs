//! What a reviewer should know of a set of files before it is used: all that is wrong in a file,
//! and what files say against one another.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::Spanned;

use super::compile::messages::fixed_bits;
use super::compile::{Parsed, compile, is_slug, parse_all};
use super::diagnostic::{Diagnostic, Findings};
use super::file::{FlowTable, PayloadTable, SignatureFile};
use super::matching::address::Prefix;
use super::source::SourceFile;
use super::test::{all_names, check_tests};
use crate::app::BUILTIN_PROTOCOLS;
use crate::verdict::Evidence;

/// Four bytes, a few of them with alternatives: fewer meet by chance, and in a neighbour's protocol.
const STANDALONE_BITS: u32 = 28;
/// What a proof fixes if it has nothing else.
const PROOF_BITS: u32 = 32;

/// All findings in `files`, in the order of path and place.
pub fn check(files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let parsed = parse_all(files, &mut found);
    compile(&parsed, None, &mut found);
    check_parsed(&parsed, &mut found);
    for one in &parsed {
        let mut findings = Findings::new(&one.source.path, &one.source.text, &mut found);
        check_tests(one, &mut findings);
        check_coverage(&one.file, &mut findings);
    }
    found.sort();
    found.dedup();
    found
}

/// What matters to those who use a set, besides what the compiler finds: all but its tests.
pub(super) fn check_parsed(parsed: &[Parsed<'_>], found: &mut Vec<Diagnostic>) {
    let mut claims = Claims::default();
    for one in parsed {
        let mut findings = Findings::new(&one.source.path, &one.source.text, found);
        check_head(one, &mut findings);
        check_texts(&one.file, &mut findings);
        check_names(&one.file, &mut findings);
        check_payload(&one.file, &mut findings);
        check_addresses(&one.file, &mut findings);
        claims.check(one, &mut findings);
    }
    check_protocols(parsed, found);
    check_networks(parsed, found);
}

/// Files in whose prefixes relays are said to be.
fn check_networks(parsed: &[Parsed<'_>], found: &mut Vec<Diagnostic>) {
    let has_prefixes = |one: &Parsed<'_>| !one.file.address.is_empty();
    let with_prefixes: HashSet<&str> = parsed
        .iter()
        .filter(|one| has_prefixes(one))
        .map(|one| one.source.stem())
        .collect();
    for one in parsed {
        let mut findings = Findings::new(&one.source.path, &one.source.text, found);
        for table in &one.file.call {
            let table = table.get_ref();
            for name in &table.address_of {
                if !with_prefixes.contains(name.get_ref().as_str()) {
                    let text = format!("`{}`: expected a file with `[[address]]`", name.get_ref());
                    findings.error(name.span(), text);
                }
            }
            if table.address_required && !has_prefixes(one) {
                let text = "`address_required`: expected `[[address]]` in this file";
                findings.error(table.name.span(), text);
            }
        }
    }
}

fn check_head(parsed: &Parsed<'_>, findings: &mut Findings<'_>) {
    let source = parsed.source;
    let name = |name: &Spanned<String>, findings: &mut Findings<'_>| {
        if name.get_ref() != source.stem() {
            let stem = source.stem();
            findings.error(
                name.span(),
                format!("the file is `{stem}.toml`: expected the same name"),
            );
        }
    };
    if let Some(app) = &parsed.file.app {
        let at = app.span();
        let app = app.get_ref();
        name(&app.name, findings);
        if app.category.get_ref() != source.folder() {
            let folder = source.folder();
            findings.error(
                app.category.span(),
                format!("the folder is `{folder}`: expected the same category"),
            );
        }
        if !is_slug(app.category.get_ref()) {
            findings.error(app.category.span(), "expected a slug");
        }
        for (key, text) in [("title", &app.title), ("owner", &app.owner)] {
            if text.trim().is_empty() {
                findings.error(at.clone(), format!("`{key}` is empty"));
            }
        }
    } else if let Some(protocol) = &parsed.file.protocol {
        name(&protocol.get_ref().name, findings);
        if source.folder() != "protocol" {
            findings.error(
                protocol.span(),
                "a plain protocol's file is in the folder `protocol`",
            );
        }
    }
}

/// Sources and protocol names that say nothing.
fn check_texts(file: &SignatureFile, findings: &mut Findings<'_>) {
    let mut sources: Vec<&Spanned<String>> = Vec::new();
    sources.extend(file.payload.iter().map(|table| &table.get_ref().source));
    sources.extend(file.flow.iter().map(|table| &table.get_ref().source));
    sources.extend(file.call.iter().map(|table| &table.get_ref().source));
    sources.extend(file.stun.iter().map(|table| &table.get_ref().source));
    sources.extend(file.tls.iter().map(|table| &table.get_ref().source));
    sources.extend(file.http.iter().map(|table| &table.get_ref().source));
    sources.extend(file.sip.iter().map(|table| &table.get_ref().source));
    for source in sources {
        if source.get_ref().trim().is_empty() {
            findings.error(source.span(), "`source` is empty: how do we know?");
        }
    }
    for (at, proto) in protos(file) {
        if !is_slug(proto) {
            findings.error(at, format!("`{proto}`: expected the slug of a protocol"));
        }
    }
}

/// The protocols a file's rules say are spoken.
fn protos(file: &SignatureFile) -> Vec<(Range<usize>, &str)> {
    let mut protos = Vec::new();
    protos.extend(
        file.payload
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos.extend(
        file.flow
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos.extend(
        file.stun
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos.extend(
        file.tls
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos.extend(
        file.http
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos.extend(
        file.sip
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos.extend(
        file.port
            .iter()
            .filter_map(|t| Some((t.span(), t.get_ref().proto.as_deref()?))),
    );
    protos
}

fn check_names(file: &SignatureFile, findings: &mut Findings<'_>) {
    let mut seen = HashMap::new();
    for name in all_names(file) {
        if !is_slug(name.get_ref()) {
            findings.error(
                name.span(),
                "expected a slug: lower-case letters, digits and `-`, 64 at most",
            );
        }
        if seen.insert(name.get_ref(), ()).is_some() {
            findings.error(
                name.span(),
                format!("there is a rule `{}` in this file already", name.get_ref()),
            );
        }
    }
}

fn check_payload(file: &SignatureFile, findings: &mut Findings<'_>) {
    for table in &file.payload {
        let at = table.get_ref().name.span();
        let Some(bits) = fixed_bits(table.get_ref()) else {
            continue;
        };
        let table = table.get_ref();
        let proof = table
            .evidence
            .as_ref()
            .filter(|one| *one.get_ref() == Evidence::PayloadProof);
        if let Some(evidence) = proof
            && bits < PROOF_BITS
            && table.conditions.is_empty()
            && table.reply.is_none()
        {
            findings.error(
                evidence.span(),
                format!(
                    "a proof fixes {PROOF_BITS} bits or has conditions: this rule fixes {bits} and has none"
                ),
            );
        }
        let supported = !table.conditions.is_empty()
            || table.reply.is_some()
            || table.port_required
            || table.address_required
            || table.ip_protocol.is_some()
            || table.repeat.is_some();
        if bits < STANDALONE_BITS && !supported {
            findings.error(
                at,
                format!(
                    "too weak to stand alone: {bits} fixed bits, expected {STANDALONE_BITS} or one of `where`, `reply`, \
                     `repeat`, `port_required`, `address_required`"
                ),
            );
        }
    }
}

fn check_addresses(file: &SignatureFile, findings: &mut Findings<'_>) {
    let required = |required: bool, at: Range<usize>| required.then_some(at);
    let mut needing = Vec::new();
    needing.extend(
        file.payload
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    needing.extend(
        file.flow
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    needing.extend(
        file.stun
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    needing.extend(
        file.tls
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    needing.extend(
        file.http
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    needing.extend(
        file.sip
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    needing.extend(
        file.proto
            .iter()
            .filter_map(|t| required(t.get_ref().address_required, t.span())),
    );
    if file.address.is_empty() {
        for at in needing {
            findings.error(at, "`address_required`, but there is no `[[address]]` in this file: this never matches");
        }
    }
    for text in file
        .address
        .iter()
        .flat_map(|table| &table.get_ref().prefix)
    {
        // The largest allocations to one operator are /8s.
        if Prefix::parse(text.get_ref()).is_ok_and(|prefix| prefix.len() < 8) {
            findings.error(text.span(), "expected a prefix of at least 8 bits");
        }
    }
}

/// Payload and flow rules need a message that matches and one that does not.
fn check_coverage(file: &SignatureFile, findings: &mut Findings<'_>) {
    let payload = file
        .payload
        .iter()
        .map(|table: &Spanned<PayloadTable>| &table.get_ref().name);
    let flow = file
        .flow
        .iter()
        .map(|table: &Spanned<FlowTable>| &table.get_ref().name);
    for name in payload.chain(flow) {
        let tests = || {
            let tests = file.test.iter().map(Spanned::get_ref);
            tests.filter(|test| {
                test.rule
                    .as_ref()
                    .is_some_and(|rule| rule.get_ref() == name.get_ref())
            })
        };
        let missing = match (
            tests().any(|test| test.matches),
            tests().any(|test| !test.matches),
        ) {
            (true, true) => continue,
            (true, false) => "a test that must not match",
            (false, true) => "a test that must match",
            (false, false) => "tests: one that must match and one that must not",
        };
        findings.warning(name.span(), format!("`{}` lacks {missing}", name.get_ref()));
    }
}

/// A `[[proto]]` rule over a protocol that nothing recognises never matches.
fn check_protocols(parsed: &[Parsed<'_>], found: &mut Vec<Diagnostic>) {
    let mut known: HashMap<&str, ()> = BUILTIN_PROTOCOLS.iter().map(|&slug| (slug, ())).collect();
    for one in parsed {
        known.extend(protos(&one.file).into_iter().map(|(_, proto)| (proto, ())));
        known.extend(
            one.file
                .protocol
                .iter()
                .map(|table| (table.get_ref().name.get_ref().as_str(), ())),
        );
    }
    for one in parsed {
        let mut findings = Findings::new(&one.source.path, &one.source.text, found);
        for table in &one.file.proto {
            let name = &table.get_ref().name;
            if !known.contains_key(name.get_ref().as_str()) {
                findings.warning(
                    name.span(),
                    format!("nothing recognises a protocol `{}`", name.get_ref()),
                );
            }
        }
    }
}

/// What files claim for themselves.
#[derive(Default)]
struct Claims<'a> {
    names: HashMap<(&'a str, bool), &'a str>,
    prefixes: HashMap<Prefix, (bool, &'a str)>,
    ports: HashMap<(u8, u16), &'a str>,
    patterns: HashMap<String, (&'a str, &'a str)>,
}

impl<'a> Claims<'a> {
    fn check(&mut self, parsed: &'a Parsed<'a>, findings: &mut Findings<'_>) {
        let path: &str = &parsed.source.path;
        for table in &parsed.file.domain {
            let table = table.get_ref();
            let suffixes = table.suffix.iter().map(|name| (name, false));
            for (name, exact) in suffixes.chain(table.exact.iter().map(|name| (name, true))) {
                match self.names.insert((name.get_ref(), exact), path) {
                    None => {}
                    Some(first) if first == path => {
                        findings.error(
                            name.span(),
                            format!("`{}` stands here twice", name.get_ref()),
                        );
                    }
                    Some(first) => {
                        findings.error(
                            name.span(),
                            format!("`{}` is claimed by {first} as well", name.get_ref()),
                        );
                    }
                }
            }
        }
        self.check_prefixes(parsed, findings);
        self.check_ports(parsed, findings);
        for table in &parsed.file.payload {
            let name = &table.get_ref().name;
            let here = (path, name.get_ref().as_str());
            if let Some((first, rule)) = self.patterns.insert(shape(table.get_ref()), here) {
                findings.error(
                    name.span(),
                    format!("can never win: the same pattern as `{rule}` in {first}"),
                );
            }
        }
    }

    fn check_prefixes(&mut self, parsed: &'a Parsed<'a>, findings: &mut Findings<'_>) {
        let path: &str = &parsed.source.path;
        for table in &parsed.file.address {
            let shared = table.get_ref().shared;
            for text in &table.get_ref().prefix {
                let Ok(prefix) = Prefix::parse(text.get_ref()) else {
                    continue;
                };
                let (others, first) = *self.prefixes.entry(prefix).or_insert((shared, path));
                if first != path && !shared && !others {
                    let text = text.get_ref();
                    findings.error(
                        table.span(),
                        format!(
                            "`{text}` is claimed by {first} as well: only one file can name it, expected `shared`"
                        ),
                    );
                }
            }
        }
    }

    fn check_ports(&mut self, parsed: &'a Parsed<'a>, findings: &mut Findings<'_>) {
        let path: &str = &parsed.source.path;
        for table in &parsed.file.port {
            let at = table.get_ref().port.span();
            let table = table.get_ref();
            for &transport in &table.transport.0 {
                for ports in table.port.get_ref() {
                    let claimed = ports.range().find_map(|port| {
                        let first = *self.ports.entry((transport as u8, port)).or_insert(path);
                        (first != path).then_some((port, first))
                    });
                    if let Some((port, first)) = claimed {
                        findings.error(
                            at.clone(),
                            format!("port {port} is claimed by {first} as well"),
                        );
                    }
                }
            }
        }
    }
}

/// All that decides when a rule matches, as a text to compare.
fn shape(table: &PayloadTable) -> String {
    let at = |at: &[Spanned<super::file::AtTable>]| -> Vec<String> {
        let mut list: Vec<String> = at
            .iter()
            .map(|at| {
                let at = at.get_ref();
                let hex = at
                    .hex
                    .as_ref()
                    .map(|hex| hex.get_ref().to_ascii_lowercase().replace(' ', ""));
                format!(
                    "{} {hex:?} {:?}",
                    at.offset,
                    at.text.as_ref().map(Spanned::get_ref)
                )
            })
            .collect();
        list.sort();
        list
    };
    let contains = |list: &[Spanned<super::file::ContainsTable>]| -> Vec<String> {
        let text =
            |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.get_ref().clone());
        let one = |one: &Spanned<super::file::ContainsTable>| {
            let one = one.get_ref();
            format!(
                "{:?} {:?} {:?}",
                text(&one.hex),
                text(&one.text),
                one.within.as_ref().map(Spanned::get_ref)
            )
        };
        list.iter().map(one).collect()
    };
    let conditions = |list: &[Spanned<String>]| -> Vec<String> {
        list.iter()
            .map(|text| text.get_ref().replace(' ', ""))
            .collect()
    };
    let reply = table.reply.as_ref().map(|reply| {
        let reply = reply.get_ref();
        (
            at(&reply.at),
            contains(&reply.contains),
            conditions(&reply.conditions),
        )
    });
    let ports: &[_] = if table.port_required {
        &table.port
    } else {
        &[]
    };
    format!(
        "{:?} {:?} {:?} {ports:?} {:?} {:?} {:?} {:?} {:?} {reply:?} {} {:?}",
        table.transport,
        table.ip_protocol,
        table.direction,
        table.message,
        table.repeat.as_ref().map(Spanned::get_ref),
        at(&table.at),
        contains(&table.contains),
        conditions(&table.conditions),
        table.address_required,
        table
            .address_excluded
            .iter()
            .map(Spanned::get_ref)
            .collect::<Vec<_>>(),
    )
}
