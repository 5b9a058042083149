//! `--only`: the records that leave, and that nothing else changes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support;

fn capture() -> String {
    let path = support::root().join("pcaps/wechat-mmtls.pcap");
    path.to_str().unwrap().to_owned()
}

fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Flow records, usage records, and the summary, of a run with these arguments.
fn read(more: &[&str]) -> (Vec<Value>, Vec<Value>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let [flows, usage] = ["flows.jsonl", "usage.jsonl"].map(|name| folder.path().join(name));
    let capture = capture();
    let odd = support::root().join("pcaps/odd.pcap");
    let mut arguments = vec!["read", &*capture, odd.to_str().unwrap(), "--format", "json"];
    arguments.extend(["--flows", flows.to_str().unwrap()]);
    arguments.extend(["--usage", usage.to_str().unwrap(), "--interval", "1s"]);
    arguments.extend(more);
    let summary = serde_json::from_str(&support::succeed(arguments)).unwrap();
    (records(&flows), records(&usage), summary)
}

#[test]
fn what_does_not_hold_is_not_written_and_counted() {
    let (flows, usage, summary) = read(&[]);
    for (condition, holds) in [
        (
            "app == wechat",
            (|record| record["app"] == "wechat") as fn(&Value) -> bool,
        ),
        ("app_proto in [ICMP, 'dns'] or unknown == no-*", |record| {
            record["app_proto"] == "icmp" || record["unknown"] == "no-match"
        }),
        ("category != messaging", |record| {
            record["category"] != "messaging"
        }),
    ] {
        let (some_flows, some_usage, mut some_summary) = read(&["--only", condition]);
        let expected: Vec<&Value> = flows.iter().filter(|record| holds(record)).collect();
        assert!(
            !expected.is_empty() && expected.len() < flows.len(),
            "{condition}"
        );
        assert_eq!(
            some_flows.iter().collect::<Vec<_>>(),
            expected,
            "{condition}"
        );

        let without = |record: &Value| {
            let mut record = record.clone();
            let object = record.as_object_mut().unwrap();
            object.remove("records");
            object.remove("sequence");
            record
        };
        let expected: Vec<Value> = usage
            .iter()
            .filter(|record| holds(record))
            .map(without)
            .collect();
        let got: Vec<Value> = some_usage.iter().map(without).collect();
        assert_eq!(got, expected, "{condition}");
        // Who counts them has all.
        let mut intervals = BTreeMap::<u64, Vec<u64>>::new();
        for record in &some_usage {
            let sequence = record["sequence"].as_u64().unwrap();
            intervals
                .entry(sequence)
                .or_default()
                .push(record["records"].as_u64().unwrap());
        }
        for (place, (sequence, records)) in (0..).zip(intervals) {
            assert_eq!(sequence, place, "{condition}");
            assert!(
                records.iter().all(|&all| all == records.len() as u64),
                "{condition}"
            );
        }

        let kept = some_summary
            .as_object_mut()
            .unwrap()
            .remove("records_kept_back")
            .unwrap();
        assert_eq!(kept["flows"], flows.len() - some_flows.len(), "{condition}");
        assert_eq!(kept["usage"], usage.len() - some_usage.len(), "{condition}");
        assert_eq!(some_summary, summary, "{condition}");
    }
}

#[test]
fn frames_are_of_flows_whose_records_leave() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.pcap");
    let out = out.to_str().unwrap();
    let capture = capture();
    let arguments = [
        "read",
        &*capture,
        "--write-pcap",
        out,
        "--only",
        "app == wechat",
        "-q",
    ];
    support::succeed(arguments.to_vec());
    let flows = support::succeed(vec!["read", out, "--flows", "-", "-q"]);
    assert!(flows.lines().count() > 0);
    for line in flows.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["app"], "wechat");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("o.toml");
    let text = "[records]\nusage = \"u.jsonl\"\nonly = \"app == qq and byte > 1\"\n";
    fs::write(&settings, text).unwrap();
    let capture = capture();
    let read = |more: &[&'static str]| -> Vec<String> {
        let all = ["read", &*capture].into_iter().chain(more.iter().copied());
        all.map(str::to_owned).collect()
    };
    let check = ["config", "check", settings.to_str().unwrap()].map(str::to_owned);
    for (arguments, code, expected) in [
        (
            read(&["--flows", "-", "--only", "ap == qq"]),
            2,
            "error: --only:1:1: flow records have no field `ap`; did you mean `app`?",
        ),
        (
            read(&["--flows", "-", "--only", "app == qq and bytes > 1"]),
            2,
            "error: --only:1:15: flow records have no field `bytes`: it is one of usage records",
        ),
        (
            read(&["--flows", "-", "--only", "app == wechta"]),
            1,
            "--only: no application or protocol is called `wechta`; did you mean `wechat`?",
        ),
        (
            read(&["--only", "app == wechat"]),
            2,
            "error: --only has no effect without --flows, --usage, --out or --write-pcap",
        ),
        (
            check.to_vec(),
            1,
            "o.toml:3:23: records.only: usage records have no field `byte`; did you mean `bytes`?",
        ),
    ] {
        let output = support::ottometer(&arguments);
        let said =
            String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
