//! Promises 1 and 4: every byte is counted once, and the same capture gives the same answer, byte
//! for byte, with any number of workers.

use std::path::Path;

use pcap::Capture;
use serde_json::Value;

use crate::support;

#[test]
fn any_number_of_workers_gives_the_same_records() {
    for capture in support::captures() {
        let run = |workers: &str, by: &str| {
            let path = capture.to_str().unwrap();
            support::succeed([
                "read",
                path,
                "--by",
                by,
                "--flows",
                "-",
                "--usage",
                "/dev/stderr",
                "--interval",
                "1s",
                "--quiet",
                "--workers",
                workers,
            ])
        };
        for (by, more) in [("app", &["2", "3", "4"][..]), ("subject", &["2", "4"])] {
            let one = run("1", by);
            for workers in more {
                assert_eq!(
                    one,
                    run(workers, by),
                    "{} by {by} with {workers} workers",
                    capture.display()
                );
            }
        }
    }
}

#[test]
fn the_ledger_closes_with_the_totals_of_libpcap() {
    for capture in support::captures() {
        for workers in ["1", "2", "4"] {
            let path = capture.to_str().unwrap();
            let text = support::succeed(["read", path, "--format", "json", "--workers", workers]);
            let summary: Value = serde_json::from_str(&text).unwrap();
            let ledger = &summary["ledger"];
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
            if let Some((packets, bytes)) = libpcap_totals(&capture)
                && ledger["lying_lengths"] == 0
            {
                assert_eq!(wire["packets"].as_u64(), Some(packets), "{path}");
                assert_eq!(wire["bytes"].as_u64(), Some(bytes), "{path}");
            }
        }
    }
}

/// Flow records carry every byte that is not dropped: what they sum up to is in the ledger.
#[test]
fn flow_records_sum_up_to_the_ledger() {
    for capture in support::captures() {
        let records: u64 = support::flows(&capture, &[])
            .iter()
            .map(|flow| {
                let counter = |name: &str| flow["flow"][name].as_u64().unwrap();
                counter("part_bytes_toserver") + counter("part_bytes_toclient")
            })
            .sum();
        let path = capture.to_str().unwrap();
        let summary: Value =
            serde_json::from_str(&support::succeed(["read", path, "--format", "json"])).unwrap();
        let counted = summary["ledger"]["counted"].as_object().unwrap();
        let of_flows: u64 = counted
            .iter()
            .filter(|(name, _)| {
                ["applications", "protocols"].contains(&name.as_str())
                    || name.starts_with("unknown{")
            })
            .map(|(_, volume)| volume["bytes"].as_u64().unwrap())
            .sum();
        assert_eq!(records, of_flows, "{path}");
    }
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
