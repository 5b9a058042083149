//! Every capture in `pcaps/` has its expected flows beside it, in `NAME.expected`.
//!
//! `OTTOMETER_BLESS=1 cargo test golden` writes what the program says now: read the difference
//! before it is committed. Where a capture was built, `NAME.intent` says what its builder meant,
//! and the program must agree with that as well.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support;

const COLUMNS: &str = "proto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tapp_proto\tapp\tservice\tevidence\tpackets\tbytes";

#[test]
fn captures_give_the_expected_flows() {
    let bless = std::env::var_os("OTTOMETER_BLESS").is_some();
    let checked = support::each_capture(|capture| {
        let got = table(capture);
        let mut wrong = Vec::new();
        let mut say = |what: &str, difference: String| {
            wrong.push(format!("{} {what}:\n{difference}", capture.display()));
        };
        let path = beside(capture, "expected");
        if bless {
            fs::write(&path, &got).unwrap();
        } else {
            let expected = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if got != expected {
                say("is not as expected", difference(&expected, &got));
            }
        }
        let intent = fs::read_to_string(beside(capture, "intent")).ok();
        if let Some(Err(difference)) = intent.as_deref().map(|intent| is_meant(intent, &got)) {
            say("is not what its builder meant", difference);
        }
        (intent.is_some(), wrong)
    });
    assert!(
        checked.iter().any(|(has_intent, _)| *has_intent),
        "no capture has an intent beside it"
    );
    let wrong: Vec<String> = checked.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a builder meant, the program finds: the first eight columns.
fn is_meant(intent: &str, got: &str) -> Result<(), String> {
    let is_row =
        |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("proto\t");
    let flows = |text: &str| {
        let lines = text.lines().filter(is_row);
        let mut flows: Vec<String> = lines.map(|line| columns(line, 8)).collect();
        flows.sort();
        flows
    };
    let (meant, found) = (flows(intent), flows(got));
    if found == meant {
        return Ok(());
    }
    Err(difference(&meant.join("\n"), &found.join("\n")))
}

/// `pcaps/NAME.expected` for `pcaps/NAME.pcapng.gz`.
fn beside(capture: &Path, ending: &str) -> PathBuf {
    let name = capture.file_name().unwrap().to_str().unwrap();
    let stem = name.split_once(".pcap").unwrap().0;
    capture.with_file_name(format!("{stem}.{ending}"))
}

fn table(capture: &Path) -> String {
    let mut text = format!("{COLUMNS}\n");
    // The last record of a flow tells all of it.
    let flows = support::flows(capture, &[]);
    for flow in flows
        .iter()
        .filter(|flow| flow["ended"] != "active-timeout")
    {
        let field = |name: &str| match &flow[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let both = |name: &str| {
            let counter = |side| flow["flow"][format!("{name}_{side}")].as_u64().unwrap();
            counter("toserver") + counter("toclient")
        };
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            field("proto"),
            field("src_ip"),
            field("src_port"),
            field("dest_ip"),
            field("dest_port"),
            field("app_proto"),
            field("app"),
            field("service"),
            field("evidence"),
            both("pkts"),
            both("bytes"),
        );
    }
    text
}

fn columns(line: &str, count: usize) -> String {
    line.split('\t').take(count).collect::<Vec<_>>().join("\t")
}

fn difference(expected: &str, got: &str) -> String {
    let mut text = String::new();
    for line in expected
        .lines()
        .filter(|line| !got.lines().any(|other| other == *line))
    {
        let _ = writeln!(text, "  - {line}");
    }
    for line in got
        .lines()
        .filter(|line| !expected.lines().any(|other| other == *line))
    {
        let _ = writeln!(text, "  + {line}");
    }
    if text.is_empty() {
        text.push_str("  the same lines in another order or number\n");
    }
    text
}
