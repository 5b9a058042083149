//! Files of Parquet, read by the programs that people read them with.
#![cfg(feature = "parquet")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support;
use crate::support::live::{Live, frames, lab};
use crate::support::netns;

/// One line of JSON for each row, as pyarrow reads it, but for times; and one of sums by DuckDB.
const READER: &str = r#"
import json, sys
import duckdb, pyarrow.parquet
file = sys.argv[1]
table = pyarrow.parquet.read_table(file)
times = [field.name for field in table.schema if str(field.type).startswith("timestamp")]
for row in table.drop_columns(times).to_pylist():
    print(json.dumps({name: value for name, value in row.items() if value is not None}))
sums = f"select sum({sys.argv[2]}), min(epoch_ns(timestamp)), count(*) from '{file}'"
print(json.dumps([int(value) for value in duckdb.sql(sums).fetchall()[0]]))
"#;

/// The rows of a file and their sum, earliest time and number; `None` where nothing can read it.
fn read(file: &Path, sum: &str) -> Option<(Vec<Value>, [u64; 3])> {
    let python = support::root().join("target/python/bin/python3");
    let output = Command::new(python)
        .args(["-c", READER, file.to_str().unwrap(), sum])
        .output();
    let Ok(output) = output else {
        support::skipped("there is no target/python (make setup-tests)");
        return None;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("ModuleNotFoundError") {
        support::skipped("target/python has no duckdb or pyarrow (make setup-tests)");
        return None;
    }
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sums = lines.pop().unwrap();
    Some((lines, serde_json::from_value(sums).unwrap()))
}

/// A record without its times, members of objects by their own names.
fn flat(record: &Value) -> Value {
    let mut all = serde_json::Map::new();
    for (name, value) in record.as_object().unwrap() {
        match value {
            Value::Object(members) => all.extend(members.clone()),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    for time in [
        "timestamp",
        "start",
        "end",
        "run",
        "covered_from",
        "covered_until",
        "part_start",
    ] {
        all.remove(time);
    }
    all.into()
}

fn records(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn duckdb_and_pyarrow_read_what_json_says() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["wechat-mmtls", "http", "discord-voice", "tls", "vlan"];
    let captures = support::captures().into_iter().filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        names.iter().any(|one| name.starts_with(one)) && name.ends_with(".pcap")
    });
    let captures: Vec<String> = captures
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    for (kind, sum) in [
        ("flows", "ip_bytes_toserver + ip_bytes_toclient"),
        ("usage", "ip_bytes"),
    ] {
        let file = folder.path().join(format!("{kind}.parquet"));
        let (out, json) = (format!("{kind}={}", file.display()), format!("{kind}=-"));
        let arguments = [
            "read",
            "--interval",
            "1s",
            "--quiet",
            "--out",
            &out,
            "--out",
            &json,
        ];
        let arguments = arguments.map(ToOwned::to_owned);
        let expected = records(&support::succeed(
            arguments.into_iter().chain(captures.clone()),
        ));
        let Some((rows, [bytes, first, count])) = read(&file, sum) else {
            return;
        };
        assert_eq!(rows, expected.iter().map(flat).collect::<Vec<_>>());
        assert_eq!(count, expected.len() as u64);
        let octets = |record: &Value, name: &str| {
            let member = record.get(name).or_else(|| record["flow"].get(name));
            member.and_then(Value::as_u64).unwrap()
        };
        let all = expected
            .iter()
            .flat_map(|record| sum.split(" + ").map(|name| octets(record, name)));
        assert_eq!(bytes, all.sum::<u64>());
        let times = expected
            .iter()
            .map(|record| record["timestamp"].as_str().unwrap());
        let said = humantime::parse_rfc3339(times.min().unwrap()).unwrap();
        let nanoseconds = said
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        assert_eq!(u128::from(first), nanoseconds);
    }
}

#[test]
fn a_live_run_completes_files_by_time_and_at_its_end() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let arguments = [
        "--out",
        "flows=flows.parquet",
        "--flows",
        "flows.jsonl",
        "--rotate-every",
        "2s",
        "--compress",
        "none",
        "--udp-idle",
        "200ms",
        "--tcp-closed",
        "200ms",
        "--tcp-idle",
        "1s",
        "--half-open-idle",
        "200ms",
    ];
    let live = Live::start(&receiver, "mirror0", &arguments);
    let mut out = sender.sender("out0");
    for _ in 0..3 {
        let some = frames("http");
        netns::send(&mut out, some.iter().map(Vec::as_slice));
        std::thread::sleep(std::time::Duration::from_millis(2500));
    }
    let (_, folder) = live.stop();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    let of = |ending: &'static str| {
        names
            .iter()
            .filter(move |path| path.extension().is_some_and(|one| one == ending))
    };
    assert!(of("parquet").count() >= 2, "{names:?}");
    assert_eq!(of("part").count(), 0, "{names:?}");
    let expected = of("jsonl").flat_map(|path| records(&std::fs::read_to_string(path).unwrap()));
    // Rotated files come after the one that is written, by name.
    let mut expected: Vec<Value> = expected.map(|record| flat(&record)).collect();
    let mut rows = Vec::new();
    for path in of("parquet") {
        let Some((more, _)) = read(path, "ip_bytes_toserver") else {
            return;
        };
        rows.extend(more);
    }
    let by_id = |record: &Value| record["flow_id"].as_u64();
    rows.sort_by_key(by_id);
    expected.sort_by_key(by_id);
    assert_eq!(rows, expected);
}
