//! Every shape of the summary.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::support;
use crate::support::packets::{datagrams, header};

#[test]
fn every_summary_has_whole_rows_and_the_same_sums() {
    const BY: [&str; 16] = [
        "app",
        "service",
        "category",
        "protocol",
        "evidence",
        "client",
        "subject",
        "network",
        "subject,app",
        "network,category,evidence",
        "app,service,protocol",
        "protocol,app,category",
        "client,protocol",
        "interface",
        "interface,app",
        "subject,interface",
    ];
    const NUMBERS: [&str; 4] = ["flows", "packets", "bytes", "ip_bytes"];
    let folder = tempfile::tempdir().unwrap();
    let many = folder.path().join("many.pcap");
    let mut capture = datagrams((0..40).map(|number| (1000 + number, 0)));
    let more = fs::read(support::root().join("pcaps/wechat-mmtls.pcap")).unwrap();
    capture.extend(&more[24..]);
    fs::write(&many, capture).unwrap();
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, header()).unwrap();
    // Many rows; none; and flows that find no place.
    let odd = support::root().join("pcaps/odd.pcap");
    const TOPS: [Option<&str>; 4] = [None, Some("3"), Some("1"), Some("1000")];
    for (capture, more, tops) in [
        (&many, &[][..], &TOPS[..]),
        (&odd, &[], &TOPS[..2]),
        (&odd, &["--max-flows", "2"], &TOPS[1..2]),
        (&empty, &[], &TOPS[1..2]),
    ] {
        let run = |by: &str, format: &str, top: Option<&str>| {
            let mut arguments = vec!["read", capture.to_str().unwrap()];
            arguments.extend(["--by", by, "--format", format]);
            arguments.extend(more);
            if let Some(top) = top {
                arguments.extend(["--top", top]);
            }
            support::succeed(arguments)
        };
        let whole = rows_of_json(&run("app", "json", None));
        let sum = |rows: &[BTreeMap<String, String>], name: &str| -> u64 {
            rows.iter()
                .map(|row| row[name].parse::<u64>().unwrap())
                .sum()
        };
        support::each(&BY, |&by| {
            for &top in tops {
                let what = format!("{} --by {by} --top {top:?}", capture.display());
                let json = rows_of_json(&run(by, "json", top));
                let text = run(by, "csv", top);
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let header = reader.headers().unwrap().clone();
                assert!(
                    header.iter().any(|name| name == "evidence"),
                    "{what}: {text}"
                );
                for of in ["client", "subject", "network", "interface"] {
                    let asked = by.split(',').any(|by| by == of);
                    assert_eq!(header.iter().any(|name| name == of), asked, "{what}");
                }
                let is_directed = by.contains("subject") || by.contains("network");
                let directions = if is_directed {
                    ["bytes_up", "bytes_down"]
                } else {
                    ["bytes_toserver", "bytes_toclient"]
                };
                let csv: Vec<BTreeMap<String, String>> = reader
                    .deserialize()
                    .map(|row| row.unwrap_or_else(|error| panic!("{what}: {error}: {text}")))
                    .collect();
                assert_eq!(csv.len(), json.len(), "{what}");
                for (csv, json) in csv.iter().zip(&json) {
                    for (name, value) in csv {
                        let other = json.get(name).map_or("", String::as_str);
                        assert_eq!(value, other, "{what}: {name}");
                    }
                }
                for name in NUMBERS {
                    // Who found no place is no flow of anybody.
                    assert_eq!(sum(&json, name), sum(&whole, name), "{what}: {name}");
                }
                let directed = directions.map(|name| sum(&json, name)).iter().sum::<u64>();
                assert_eq!(directed, sum(&json, "bytes"), "{what}");
                if by.contains("client") {
                    let toserver = "bytes_toserver";
                    assert_eq!(sum(&json, toserver), sum(&whole, toserver), "{what}");
                }
                let most = top.map_or(usize::MAX, |top| top.parse::<usize>().unwrap() + 1);
                assert!(json.len() <= most, "{what}");
                let table = run(by, "table", top);
                for row in &json {
                    assert!(table.contains(&row["name"]), "{what}: {table}");
                }
                assert!(table.contains("closes"), "{what}: {table}");
            }
        });
    }
}

/// What a row is, and what it is of, without taking its name apart.
#[test]
fn rows_say_what_they_are() {
    let capture = support::root().join("pcaps/odd.pcap");
    let run = |by: &str, top: &str| {
        let capture = capture.to_str().unwrap();
        let text = support::succeed([
            "read", capture, "--format", "json", "--by", by, "--top", top,
        ]);
        rows_of_json(&text)
    };
    // (what a row of the summary is, the kinds of its rows, the fields such a row has)
    type Kinds<'a> = (&'a str, &'a [(&'a str, &'a [&'a str])]);
    let kinds: &[Kinds<'_>] = &[
        ("app", &[("app", &["app"]), ("protocol", &["protocol"])]),
        ("service", &[("app", &["app"]), ("protocol", &["protocol"])]),
        (
            "category",
            &[("category", &["category"]), ("protocol", &[])],
        ),
        ("protocol", &[("protocol", &["protocol"])]),
        ("client", &[("app", &["app"]), ("protocol", &["protocol"])]),
    ];
    for &(by, kinds) in kinds {
        let rows = run(by, "1000");
        assert!(!rows.is_empty());
        for row in &rows {
            let kind = row["kind"].as_str();
            let own = kinds.iter().find(|(name, _)| *name == kind);
            let own = match kind {
                "unknown" => &["unknown"][..],
                _ => own.unwrap_or_else(|| panic!("{by}: {row:?}")).1,
            };
            for name in ["app", "protocol", "unknown", "rest"] {
                // A protocol that is not known has no reason.
                let expected = own.contains(&name) && row["name"] != "unknown";
                assert_eq!(row.contains_key(name), expected, "{by}: {name}: {row:?}");
            }
            if let Some(app) = row.get("app") {
                let name = row["name"].split('/').next().unwrap();
                assert_eq!(app, name, "{by}");
            }
        }
        let cut = run(by, "1");
        assert_eq!(cut.len(), 2, "{by}");
        assert_eq!(cut[1]["kind"], "rest", "{by}");
        assert_eq!(cut[1]["rest"], (rows.len() - 1).to_string(), "{by}");
        assert_eq!(cut[0], rows[0], "{by}");
    }
}

/// Every line of a table fits in its width; without one nothing is left out.
#[test]
fn tables_are_as_wide_as_the_terminal() {
    let captures = support::captures();
    let table = |by: &str, columns: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottometer"));
        command.args(["read", "--by", by]).args(&captures);
        match columns {
            Some(columns) => command.env("COLUMNS", columns),
            None => command.env_remove("COLUMNS"),
        };
        let output = command.output().unwrap();
        assert!(output.status.success(), "{by}");
        String::from_utf8(output.stdout).unwrap()
    };
    let header = |text: &str| text.lines().next().unwrap().to_owned();
    let clients = ["client", "client,service"];
    let names = ["app", "service", "category", "protocol"];
    for by in names.into_iter().chain(clients) {
        let whole = table(by, None);
        for name in ["bytes", "to server", "to client", "evidence"] {
            assert!(header(&whole).contains(name), "{by}: {whole}");
        }
        for columns in ["120", "80", "70", "60", "50"] {
            let text = table(by, Some(columns));
            assert!(header(&text).contains("bytes"), "{by} {columns}: {text}");
            let (rows, _) = text.split_once("ledger:").unwrap();
            for line in rows.lines() {
                let width = line.width();
                assert!(width <= columns.parse().unwrap(), "{by} {columns}: {line}");
            }
            let (whole, _) = whole.split_once("ledger:").unwrap();
            let lines = [rows, whole].map(|text| text.lines().count());
            // What is below the table may take three.
            assert!(
                lines[0] <= lines[1] + 2,
                "{by} {columns}: a row is one line"
            );
        }
    }
}

/// On a terminal it is the terminal that says how wide tables are.
#[test]
fn a_terminal_tells_its_width() {
    if !support::services::installed(&["script", "stty"]) {
        return;
    }
    let capture = support::root().join("pcaps/odd.pcap");
    for (columns, evidence) in [("72", false), ("200", true)] {
        let command = format!(
            "stty cols {columns} rows 24; exec '{}' read '{}' --by service 2> /dev/null",
            env!("CARGO_BIN_EXE_ottometer"),
            capture.display()
        );
        let output = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env_remove("COLUMNS")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (rows, _) = text.split_once("ledger:").unwrap();
        assert_eq!(rows.contains("evidence"), evidence, "{text}");
        let most = rows.lines().map(|line| line.trim_end().width()).max();
        assert!(most.unwrap() <= columns.parse().unwrap(), "{text}");
    }
}

/// The rows of a summary; of its ledger what is counted under a name or as unknown has their sum.
fn rows_of_json(text: &str) -> Vec<BTreeMap<String, String>> {
    let summary: Value = serde_json::from_str(text).unwrap();
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let rows = summary["rows"].as_array().unwrap().iter();
    let rows: Vec<BTreeMap<String, String>> = rows
        .map(|row| {
            let row = row.as_object().unwrap().iter();
            row.map(|(name, value)| (name.clone(), plain(value)))
                .collect()
        })
        .collect();
    let named =
        |name: &str| name == "applications" || name == "protocols" || name.starts_with("unknown");
    let counted = summary["ledger"]["counted"].as_object().unwrap().iter();
    let counted: u64 = counted
        .filter(|(name, _)| named(name))
        .map(|(_, volume)| volume["bytes"].as_u64().unwrap())
        .sum();
    let of_rows: u64 = rows
        .iter()
        .map(|row| row["bytes"].parse::<u64>().unwrap())
        .sum();
    assert_eq!(of_rows, counted);
    rows
}
