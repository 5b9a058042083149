//! Where the rules about names stand in the files of a set.

use std::collections::HashMap;

use toml::Spanned;

use super::SignatureSet;
use super::compile::{Parsed, parse_all};
use super::diagnostic::line_and_column;
use super::rule::RuleKind;
use super::source::SourceFile;
use crate::verdict::RuleId;

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file.
    pub path: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The pattern of a `[[domain]]` rule as it is written.
    pub pattern: Option<&'a str>,
}

/// The places of the `[[domain]]` and `[[tls]]` rules of a set.
#[derive(Debug)]
pub struct Places<'a> {
    files: &'a [SourceFile],
    spots: HashMap<RuleId, Spot>,
}

#[derive(Clone, Debug)]
struct Spot {
    /// Which of the files.
    file: usize,
    /// The byte where it begins.
    at: usize,
    /// The text of its pattern.
    pattern: Option<Box<str>>,
}

impl<'a> Places<'a> {
    /// Those of `set`, which was compiled of `files` and has no errors.
    pub fn new(files: &'a [SourceFile], set: &SignatureSet) -> Self {
        let mut rules = HashMap::<(&str, RuleKind), Vec<RuleId>>::new();
        for rule in set.rules.iter() {
            let name = set.rules.name(rule.tag.rule);
            let slug = name.split_once('/').map_or(name, |(slug, _)| slug);
            let list = rules.entry((slug, rule.kind)).or_default();
            list.push(rule.tag.rule);
        }
        let index: HashMap<_, usize> = files.iter().map(SourceFile::key).zip(0..).collect();
        let mut spots = HashMap::new();
        for parsed in parse_all(files, &mut Vec::new()) {
            let Some(&file) = index.get(&parsed.source.key()) else {
                continue;
            };
            for (kind, written) in [
                (RuleKind::Domain, domains(&parsed)),
                (RuleKind::Tls, hellos(&parsed)),
            ] {
                // Rules of a file have their numbers in the order they stand in.
                let numbered = rules.get(&(parsed.source.stem(), kind));
                for (&rule, (at, pattern)) in numbered.into_iter().flatten().zip(written) {
                    spots.insert(rule, Spot { file, at, pattern });
                }
            }
        }
        Self { files, spots }
    }

    /// Where `rule` stands, if it is one of those.
    pub fn of(&self, rule: RuleId) -> Option<Place<'_>> {
        let spot = self.spots.get(&rule)?;
        let file = self.files.get(spot.file)?;
        Some(Place {
            path: &file.path,
            line: line_and_column(&file.text, spot.at).0,
            pattern: spot.pattern.as_deref(),
        })
    }
}

type Written = Vec<(usize, Option<Box<str>>)>;

fn domains(parsed: &Parsed<'_>) -> Written {
    let tables = parsed.file.domain.iter().map(Spanned::get_ref);
    let names = tables.flat_map(|table| table.suffix.iter().chain(&table.exact));
    names
        .map(|name| (name.span().start, Some(name.get_ref().as_str().into())))
        .collect()
}

fn hellos(parsed: &Parsed<'_>) -> Written {
    let tables = parsed.file.tls.iter();
    tables.map(|table| (table.span().start, None)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[app]\nid = 7\nname = 'acme'\ntitle = 'Acme'\ncategory = 'chat'\nowner = 'Acme'\n\
        [[address]]\nprefix = ['203.0.113.0/24']\n\
        [[domain]]\nname = 'web'\nsuffix = [\n  'acme.test',\n  'acme.*',\n]\nexact = ['x.test']\n\
        [[tls]]\nalpn = ['acme']\nsource = 'its documents'\n";

    #[test]
    fn every_rule_about_names_has_a_place() {
        let other = FILE.replace("acme", "other");
        let files = [
            SourceFile::new("chat/other.toml", other.replace("id = 7", "id = 8")),
            SourceFile::new("chat/acme.toml", FILE),
        ];
        let set = SignatureSet::compile(&files[1..]).unwrap();
        let places = Places::new(&files[1..], &set);
        let found: Vec<_> = set
            .rules
            .iter()
            .filter_map(|rule| places.of(rule.tag.rule))
            .map(|place| (place.path, place.line, place.pattern))
            .collect();
        let path = "chat/acme.toml";
        assert_eq!(
            found,
            [
                (path, 12, Some("acme.test")),
                (path, 13, Some("acme.*")),
                (path, 15, Some("x.test")),
                (path, 16, None),
            ]
        );
        let set = SignatureSet::compile_leniently(&files).0;
        let places = Places::new(&files, &set);
        let tag = set.by_name("www.other.co.uk").unwrap();
        assert_eq!(places.of(tag.rule).unwrap().path, "chat/other.toml");
    }
}
