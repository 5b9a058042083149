//! Promises 1 and 4: every byte is counted once, and the same capture gives the same answer, byte
//! for byte, with any number of workers.

use std::fs;
use std::path::Path;

use pcap::Capture;
use serde_json::Value;

use crate::support;

/// What a run says of a capture.
#[derive(PartialEq)]
struct Told {
    flows: String,
    usage: String,
    rows: Value,
    ledger: Value,
}

fn run(capture: &Path, workers: &str, by: &str) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let (flows, usage) = (folder.path().join("flows"), folder.path().join("usage"));
    let files = [capture, &flows, &usage].map(|path| path.to_str().unwrap());
    let [capture, flows, usage] = files;
    let text = support::succeed([
        "read",
        capture,
        "--by",
        by,
        "--flows",
        flows,
        "--usage",
        usage,
        "--interval",
        "1s",
        "--format",
        "json",
        "--workers",
        workers,
    ]);
    let mut summary: Value = serde_json::from_str(&text).unwrap();
    Told {
        flows: fs::read_to_string(flows).unwrap(),
        usage: fs::read_to_string(usage).unwrap(),
        rows: summary["rows"].take(),
        ledger: summary["ledger"].take(),
    }
}

#[test]
fn any_number_of_workers_tells_the_same_and_the_ledger_closes() {
    support::each_capture(|capture| {
        let path = capture.display();
        for (by, more) in [("app", &["2", "3", "4"][..]), ("subject", &["2", "4"])] {
            let one = run(capture, "1", by);
            ledger_closes(&one.ledger, capture);
            flows_sum_up(&one.flows, &one.ledger, capture);
            for workers in more {
                let told = run(capture, workers, by);
                assert!(told.flows == one.flows, "{path}: flows, {workers} workers");
                let what = format!("{path} by {by} with {workers} workers");
                assert_eq!(told.usage, one.usage, "{what}");
                assert_eq!(told.rows, one.rows, "{what}");
                assert_eq!(told.ledger, one.ledger, "{what}");
            }
        }
    });
}

/// With the totals of libpcap.
fn ledger_closes(ledger: &Value, capture: &Path) {
    let path = capture.display();
    assert_eq!(ledger["closes"], true, "{path}");
    let wire = &ledger["wire"];
    let counted = |name: &str| -> u64 {
        let lines = ledger["counted"].as_object().unwrap();
        lines
            .values()
            .map(|line| line[name].as_u64().unwrap())
            .sum()
    };
    assert_eq!(wire["bytes"].as_u64(), Some(counted("bytes")), "{path}");
    assert_eq!(wire["packets"].as_u64(), Some(counted("packets")), "{path}");
    if let Some((packets, bytes)) = libpcap_totals(capture)
        && ledger["lying_lengths"] == 0
    {
        assert_eq!(wire["packets"].as_u64(), Some(packets), "{path}");
        assert_eq!(wire["bytes"].as_u64(), Some(bytes), "{path}");
    }
}

/// Flow records carry every byte that is not dropped: what they sum up to is in the ledger.
fn flows_sum_up(flows: &str, ledger: &Value, capture: &Path) {
    let records: u64 = flows
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            let counter = |name: &str| record["flow"][name].as_u64().unwrap();
            counter("part_bytes_toserver") + counter("part_bytes_toclient")
        })
        .sum();
    let counted = ledger["counted"].as_object().unwrap();
    let of_flows: u64 = counted
        .iter()
        .filter(|(name, _)| {
            ["applications", "protocols"].contains(&name.as_str()) || name.starts_with("unknown{")
        })
        .map(|(_, volume)| volume["bytes"].as_u64().unwrap())
        .sum();
    assert_eq!(records, of_flows, "{}", capture.display());
}

/// Packets and original bytes as libpcap reads them; `None` for what it does not read (compressed,
/// or several link types in one file).
fn libpcap_totals(path: &Path) -> Option<(u64, u64)> {
    let mut capture = Capture::from_file(path).ok()?;
    let (mut packets, mut bytes) = (0, 0);
    loop {
        match capture.next_packet() {
            Ok(packet) => {
                packets += 1;
                bytes += u64::from(packet.header.len);
            }
            Err(pcap::Error::NoMorePackets) => return Some((packets, bytes)),
            Err(_) => return None,
        }
    }
}
