//! What is in a set, as rows to print.

use std::collections::BTreeMap;

use toml::Spanned;

use super::compile::{Parsed, parse_all};
use super::file::SignatureFile;
use super::matching::domain;
use super::rule::RuleKind;
use super::source::SourceFile;
use super::{Diagnostic, SignatureSet};
use crate::app::Service;
use crate::verdict::Evidence;

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRow {
    /// The application's number; none for a plain protocol.
    pub id: Option<u32>,
    /// The slug.
    pub name: String,
    /// The name people know.
    pub title: String,
    /// The category; `protocol` for a plain protocol.
    pub category: String,
    /// Who runs it; empty for a plain protocol.
    pub owner: String,
    /// The domains its rules name.
    pub domains: Vec<String>,
    /// How many rules there are of each kind: names and prefixes count one by one. Kinds without
    /// rules are left out.
    pub rules: BTreeMap<RuleKind, usize>,
    /// How many tests there are.
    pub tests: usize,
}

/// One rule of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShowRow {
    /// The table it is in.
    pub kind: RuleKind,
    /// Its whole name: `wechat/domain:weixin.qq.com`.
    pub name: String,
    /// What it says is done.
    pub service: Option<Service>,
    /// What it says is spoken.
    pub proto: Option<String>,
    /// What its word is worth.
    pub evidence: Evidence,
    /// What breaks ties.
    pub weight: u16,
    /// How we know.
    pub source: String,
}

impl ListRow {
    /// Whether `text` is part of its slug, its title, its owner or a domain, or is a host under one
    /// of its domains; upper and lower case are the same.
    pub fn fits(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let is_in = |field: &String| field.to_lowercase().contains(&text);
        let is_under = |domain: &String| domain::covers(domain, &text);
        [&self.name, &self.title, &self.owner]
            .into_iter()
            .any(is_in)
            || self
                .domains
                .iter()
                .any(|domain| is_in(domain) || is_under(domain))
    }
}

/// The files of a set in the order of folder and name; what cannot be read is left out.
pub fn list(files: &[SourceFile]) -> Vec<ListRow> {
    let mut found: Vec<Diagnostic> = Vec::new();
    parse_all(files, &mut found)
        .iter()
        .filter_map(row)
        .collect()
}

/// The rules of the file called `name`, in the order of their numbers.
pub fn show(set: &SignatureSet, name: &str) -> Vec<ShowRow> {
    let mut rows = Vec::new();
    for rule in set.rules.iter() {
        let whole = set.rule_name(rule.tag.rule);
        if whole.split_once('/').is_none_or(|(file, _)| file != name) {
            continue;
        }
        rows.push(ShowRow {
            kind: rule.kind,
            name: whole.to_owned(),
            service: rule.tag.service,
            proto: rule
                .tag
                .proto
                .map(|proto| set.catalog.protocol_name(proto).to_owned()),
            evidence: rule.tag.evidence,
            weight: rule.weight,
            source: set.rule_source(rule.tag.rule).to_owned(),
        });
    }
    rows
}

fn row(parsed: &Parsed<'_>) -> Option<ListRow> {
    let file = &parsed.file;
    let (rules, tests) = (count(file), file.test.len());
    let domains = file.domain.iter().map(Spanned::get_ref);
    let domains = domains.flat_map(|table| table.suffix.iter().chain(&table.exact));
    let domains: Vec<String> = domains.map(|name| name.get_ref().clone()).collect();
    if let Some(app) = file.app.as_ref().map(Spanned::get_ref) {
        return Some(ListRow {
            id: Some(*app.id.get_ref()),
            name: app.name.get_ref().clone(),
            title: app.title.clone(),
            category: app.category.get_ref().clone(),
            owner: app.owner.clone(),
            domains,
            rules,
            tests,
        });
    }
    let protocol = file.protocol.as_ref()?.get_ref();
    Some(ListRow {
        id: None,
        name: protocol.name.get_ref().clone(),
        title: protocol.title.clone(),
        category: "protocol".to_owned(),
        owner: String::new(),
        domains,
        rules,
        tests,
    })
}

fn count(file: &SignatureFile) -> BTreeMap<RuleKind, usize> {
    let names = |table: &Spanned<super::file::DomainTable>| {
        table.get_ref().suffix.len() + table.get_ref().exact.len()
    };
    let counts = [
        (RuleKind::Domain, file.domain.iter().map(names).sum()),
        (RuleKind::Payload, file.payload.len()),
        (RuleKind::Stun, file.stun.len()),
        (RuleKind::Http, file.http.len()),
        (RuleKind::Tls, file.tls.len()),
        (RuleKind::Sip, file.sip.len()),
        (RuleKind::Proto, file.proto.len()),
        (RuleKind::Flow, file.flow.len()),
        (
            RuleKind::Address,
            file.address
                .iter()
                .map(|table| table.get_ref().prefix.len())
                .sum(),
        ),
        (RuleKind::Call, file.call.len()),
        (RuleKind::Port, file.port.len()),
    ];
    counts.into_iter().filter(|&(_, count)| count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [app]
        id = 7
        name = "acme"
        title = "Acme"
        category = "messaging"
        owner = "Acme Inc."
        [[domain]]
        suffix = ["acme.example", "acme.test", "apex.*"]
        service = "chat"
        [[http]]
        user_agent = ["Acme/*"]
        source = "its documents"
    "#;

    #[test]
    fn rows_say_what_a_file_holds() {
        let files = [SourceFile::new("signatures/messaging/acme.toml", FILE)];
        let rows = list(&files);
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].id, rows[0].name.as_str()), (Some(7), "acme"));
        let counts: Vec<_> = rows[0]
            .rules
            .iter()
            .map(|(kind, count)| (kind.slug(), *count))
            .collect();
        assert_eq!(counts, [("domain", 3), ("http", 1)]);
        assert_eq!(rows[0].domains, ["acme.example", "acme.test", "apex.*"]);
        for (text, expected) in [
            ("acme", true),
            ("CME", true),
            ("acme.example", true),
            ("www.acme.example", true),
            ("Acme Inc.", true),
            ("www.apex.co.uk", true),
            ("apex.evil.com", false),
            ("messaging", false),
            ("notacme.test", false),
            ("other", false),
        ] {
            assert_eq!(rows[0].fits(text), expected, "{text}");
        }

        let set = SignatureSet::compile(&files).unwrap();
        let shown = show(&set, "acme");
        let names: Vec<_> = shown.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "acme/domain:acme.example",
                "acme/domain:acme.test",
                "acme/domain:apex.*",
                "acme/http:user_agent=Acme/*"
            ]
        );
        assert_eq!(shown[0].service, Some(Service::Chat));
        assert_eq!(
            (shown[3].evidence, shown[3].source.as_str()),
            (Evidence::Payload, "its documents")
        );
        assert_eq!(show(&set, "other"), []);
    }
}
