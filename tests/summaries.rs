//! Every shape of the summary.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::support;
use crate::support::packets::{datagrams, header};

#[test]
fn every_summary_has_whole_rows_and_the_same_sums() {
    const BY: [&str; 5] = ["app", "service", "category", "protocol", "client"];
    const NUMBERS: [&str; 6] = [
        "flows",
        "packets",
        "bytes",
        "bytes_toserver",
        "bytes_toclient",
        "ip_bytes",
    ];
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
        for by in BY {
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
                assert_eq!(header.iter().any(|name| name == "client"), by == "client");
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
                let most = top.map_or(usize::MAX, |top| top.parse::<usize>().unwrap() + 1);
                assert!(json.len() <= most, "{what}");
                let table = run(by, "table", top);
                for row in &json {
                    assert!(table.contains(&row["name"]), "{what}: {table}");
                }
                assert!(table.contains("closes"), "{what}: {table}");
            }
        }
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
