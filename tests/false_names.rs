//! Names that are not there: every rule over every capture in `pcaps/`.
//!
//! A rule that holds on a flow of another application, or of none, is in `tests/foreign-hits.tsv` with the
//! reason why that is no fault: stronger evidence has to say so, or the rule says no more than that a
//! protocol is spoken. `make false-names` looks at this and at what means nothing (`pipeline::noise_tests`);
//! `OTTOMETER_BLESS=1` writes the table anew, and keeps the reasons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::support;

const HEADER: &str = "rule\tcapture\tapp\tflows\twhy";

/// A rule that held on flows of a capture which are called something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    rule: String,
    capture: String,
    /// What the flows are; `-`: no application's.
    app: String,
}

#[test]
fn rules_hold_on_flows_of_their_own_application() {
    let path = support::root().join("tests/foreign-hits.tsv");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let mut reasons = BTreeMap::new();
    let mut counted = BTreeMap::new();
    for line in known.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [rule, capture, app, flows, why] = fields.as_slice() else {
            panic!("{}: {line}", path.display());
        };
        let hit = Hit {
            rule: (*rule).to_owned(),
            capture: (*capture).to_owned(),
            app: (*app).to_owned(),
        };
        counted.insert(hit.clone(), flows.parse::<usize>().unwrap());
        reasons.insert(hit, (*why).to_owned());
    }
    let hits = support::each_capture(|capture| {
        let name = capture.file_name().unwrap().to_str().unwrap();
        let text = support::succeed(["explain", capture.to_str().unwrap()]);
        let rules = text.split("\n\n").flat_map(foreign);
        let hits = rules.map(|(rule, app)| Hit {
            rule,
            capture: name.to_owned(),
            app,
        });
        hits.collect::<Vec<_>>()
    });
    let mut found = BTreeMap::<Hit, usize>::new();
    for hit in hits.into_iter().flatten() {
        *found.entry(hit).or_default() += 1;
    }
    if std::env::var_os("OTTOMETER_BLESS").is_some() {
        let mut table = format!("{HEADER}\n");
        for (hit, flows) in &found {
            let why = reasons.get(hit).map_or("", String::as_str);
            let Hit { rule, capture, app } = hit;
            writeln!(table, "{rule}\t{capture}\t{app}\t{flows}\t{why}").unwrap();
        }
        fs::write(&path, table).unwrap();
        return;
    }
    assert_eq!(
        found, counted,
        "other rules hold than tests/foreign-hits.tsv says: look at them with `ottometer explain`, then \
         write it anew with OTTOMETER_BLESS=1 and say why"
    );
    let unexplained: Vec<_> = reasons.iter().filter(|(_, why)| why.is_empty()).collect();
    assert!(unexplained.is_empty(), "nobody says why: {unexplained:#?}");
}

/// The rules that held on a flow as `explain` shows it and are of another application, with the one the
/// flow is of; each once.
fn foreign(flow: &str) -> Vec<(String, String)> {
    let verdict = flow
        .lines()
        .find_map(|line| line.trim().strip_prefix("verdict"));
    let verdict = verdict.unwrap_or_default().trim();
    let app = match verdict.split_once(" / ") {
        Some((app, _)) => app,
        None => "-",
    };
    let mut rules = Vec::new();
    for line in flow
        .lines()
        .filter(|line| line.trim().starts_with("packet "))
    {
        // packet 4    client, 478 bytes: wechat/http:short-link (payload-proof): wechat over mmtls
        let Some((before, named)) = line.rsplit_once("): ") else {
            continue;
        };
        let Some((of_rule, _)) = named.split_once(" over ") else {
            continue;
        };
        let Some((before, _evidence)) = before.rsplit_once(" (") else {
            continue;
        };
        let rule = before.split_once(": ").map_or(before, |(_, rule)| rule);
        if of_rule != "-" && of_rule != app {
            rules.push((rule.to_owned(), app.to_owned()));
        }
    }
    rules.sort();
    rules.dedup();
    rules
}
