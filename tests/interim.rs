//! Records of flows that go on: each flow has one each half an hour, the same with any number of
//! workers, and nothing else changes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::support;

fn capture() -> PathBuf {
    support::root().join("pcaps/long-flows.pcap")
}

/// The records of each flow, by the client's port.
fn by_flow(records: &[Value]) -> BTreeMap<u64, Vec<&Value>> {
    let mut flows: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
    for record in records {
        let port = record["src_port"].as_u64().unwrap();
        flows.entry(port).or_default().push(record);
    }
    flows
}

#[test]
fn any_number_of_workers_tells_the_same_parts() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["jsonl", "csv", "ipfix"] {
        let written = |workers: &str| {
            let path = folder.path().join(format!("{workers}.{ending}"));
            let flows = path.to_str().unwrap();
            let capture = capture();
            let arguments = ["read", capture.to_str().unwrap(), "--flows", flows];
            let more = ["--by", "subject", "--quiet", "--workers", workers];
            support::succeed(arguments.into_iter().chain(more));
            std::fs::read(path).unwrap()
        };
        let one = written("1");
        assert!(one.len() > 1000, "{ending}");
        for workers in ["2", "4"] {
            assert!(written(workers) == one, "{ending} with {workers} workers");
        }
    }
}

#[test]
fn parts_add_up_to_their_flow() {
    let records = support::flows(&capture(), &["--by", "subject"]);
    let flows = by_flow(&records);
    let numbers = flows.iter().map(|(&port, parts)| (port, parts.len()));
    // A record at the first packet after half an hour, and one at the end.
    let expected = [(45_001, 4), (45_002, 2), (45_003, 4), (45_004, 4)];
    assert_eq!(numbers.collect::<Vec<_>>(), expected);
    for parts in flows.values() {
        let mut sums = BTreeMap::new();
        let mut start = parts[0]["flow"]["start"].clone();
        for (number, record) in (1..).zip(parts) {
            let is_last = number == parts.len();
            let flow = &record["flow"];
            assert_eq!(record["part"], number);
            assert_eq!(flow["part_start"], start);
            start.clone_from(&flow["end"]);
            assert_eq!(record["subject"], record["src_ip"]);
            let ended = &record["ended"];
            match is_last {
                true => assert_eq!(*ended, flow["reason"]),
                false => assert_eq!(
                    (ended, flow.get("reason")),
                    (&"active-timeout".into(), None)
                ),
            }
            for name in ["pkts", "bytes", "ip_bytes"] {
                for side in ["toserver", "toclient"] {
                    let part = flow[format!("part_{name}_{side}")].as_u64().unwrap();
                    let sum = sums.entry((name, side)).or_insert(0);
                    *sum += part;
                    assert_eq!(flow[format!("{name}_{side}")], *sum);
                }
            }
        }
    }
    // Each says what is known of the flow by then.
    let said = |port: u64, name: &str| {
        let parts = flows[&port].iter();
        let said = parts.map(|record| record[name].as_str().unwrap_or("-").to_owned());
        said.collect::<Vec<_>>()
    };
    assert_eq!(said(45_001, "server_name"), ["web.whatsapp.com"; 4]);
    let unsettled = ["unsettled", "unsettled", "unsettled", "no-match"];
    assert_eq!(said(45_003, "unknown"), unsettled);
    assert_eq!(said(45_004, "unknown"), ["no-match"; 4]);
    // Nothing came after its first record.
    let silent = &flows[&45_002][1];
    assert_eq!(silent["ended"], "idle");
    assert_eq!(silent["flow"]["part_pkts_toserver"], 0);
    assert_eq!(silent["flow"]["part_start"], silent["flow"]["end"]);
}

/// What is counted hangs not on records, and the last record of a flow is the one that it would have
/// alone, but for its part.
#[test]
fn nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let run = |timeout: &str| {
        let usage = folder.path().join(format!("{timeout}.jsonl"));
        let capture = capture();
        let summary = support::succeed([
            "read",
            capture.to_str().unwrap(),
            "--format",
            "json",
            "--interval",
            "5m",
            "--usage",
            usage.to_str().unwrap(),
            "--by",
            "subject,app",
            "--active-timeout",
            timeout,
        ]);
        (summary, std::fs::read_to_string(usage).unwrap())
    };
    assert_eq!(run("10m"), run("0s"));
    let without_part = |record: &Value| {
        let mut record = record.clone();
        let all = record.as_object_mut().unwrap();
        all.remove("part");
        let flow: &mut Map<String, Value> = all["flow"].as_object_mut().unwrap();
        flow.retain(|name, _| !name.starts_with("part_"));
        record
    };
    let parts = support::flows(&capture(), &["--active-timeout", "10m"]);
    let alone = support::flows(&capture(), &["--active-timeout", "0s"]);
    let (parts, alone) = (by_flow(&parts), by_flow(&alone));
    assert_eq!(parts.len(), alone.len());
    for (parts, alone) in parts.values().zip(alone.values()) {
        let [alone] = alone.as_slice() else {
            panic!("{alone:?}")
        };
        assert!(parts.len() > 1);
        assert_eq!(without_part(parts.last().unwrap()), without_part(alone));
        assert_eq!(
            (&alone["part"], &alone["flow"]["part_start"]),
            (&1.into(), &alone["flow"]["start"])
        );
    }
}

#[test]
fn conditions_are_on_each_record() {
    for (only, expected) in [
        ("ended == active-timeout", 10),
        ("app == whatsapp and part > 1", 3),
        ("part_pkts_toserver == 0", 1),
        ("unknown == unsettled", 3),
    ] {
        let taken = support::flows(&capture(), &["--only", only]);
        assert_eq!(taken.len(), expected, "{only}");
    }
}

#[test]
fn a_timeout_is_none_or_a_second_at_least() {
    let capture = capture();
    let output = support::ottometer([
        "read",
        capture.to_str().unwrap(),
        "--active-timeout",
        "200ms",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--active-timeout: must be at least 1s"),
        "{said}"
    );
}
