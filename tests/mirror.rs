//! A mirror that shows traffic twice, by half, cut or in several captures: what is told, what is
//! counted, and that captures are merged as `mergecap` does it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use serde_json::Value;

use crate::support;

fn pcap(name: &str) -> String {
    let path = support::root().join("pcaps").join(name);
    path.with_extension("pcap").to_str().unwrap().to_owned()
}

fn summary(files: &[String], more: &[&str]) -> Value {
    let mut arguments = vec!["read", "--format", "json"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    serde_json::from_str(&support::succeed(arguments)).unwrap()
}

fn records(files: &[String], more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["read", "--flows", "-", "--quiet"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    let text = support::succeed(arguments);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_wrong_with_a_mirror_is_told_and_what_to_do() {
    // (captures, fault, looked at, found, said)
    let rows: &[(&[&str], &str, u64, u64, &str)] = &[
        (
            &["mirror-twice"],
            "duplicate",
            384,
            192,
            "use --deduplicate",
        ),
        (
            &["mirror-there"],
            "one-sided",
            24,
            24,
            "mirror both directions",
        ),
        (
            &["mirror-back"],
            "one-sided",
            24,
            24,
            "mirror both directions",
        ),
        (&["mirror-cut"], "cut", 24, 24, "longer snap length"),
        (
            &["mirror-answers"],
            "dns-unasked",
            120,
            114,
            "use --dns-unsolicited",
        ),
        (
            &["mirror-there", "mirror-back"],
            "split",
            24,
            24,
            "give all of them to one run",
        ),
    ];
    for &(names, fault, checked, found, said) in rows {
        let files: Vec<String> = names.iter().map(|name| pcap(name)).collect();
        for workers in ["1", "2", "4"] {
            let summary = summary(&files, &["--workers", workers]);
            let mirror = &summary["mirror"];
            let counted = &mirror["checks"][fault];
            assert_eq!(counted["checked"], checked, "{names:?} {mirror}");
            assert_eq!(counted["found"], found, "{names:?} {mirror}");
            let warnings = mirror["warnings"].as_array().unwrap();
            assert_eq!(warnings.len(), 1, "{names:?} {mirror}");
            assert!(warnings[0].as_str().unwrap().contains(said), "{mirror}");
        }
        let mut read = vec!["read".to_owned()];
        read.extend(files);
        let table = support::succeed(&read);
        assert!(
            table.contains("\nmirror: ") && table.contains(said),
            "{table}"
        );
        // Where there is no summary for people, it is a warning.
        for more in [["--quiet", "--format=table"], ["--format", "csv"]] {
            let output = support::ottometer(read.iter().map(String::as_str).chain(more));
            let warned = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && warned.contains(said), "{warned}");
            assert!(!String::from_utf8(output.stdout).unwrap().contains(said));
        }
    }
}

/// Answers that are believed are no fault.
#[test]
fn who_lets_answers_teach_is_not_told_of_questions() {
    let summary = summary(&[pcap("mirror-answers")], &["--dns-unsolicited"]);
    let counted = &summary["mirror"]["checks"]["dns-unasked"];
    assert_eq!([&counted["checked"], &counted["found"]], [120, 0]);
}

#[test]
fn ordinary_captures_say_nothing() {
    support::each_capture(|capture| {
        let stem = capture.file_stem().unwrap().to_str().unwrap();
        if stem.starts_with("mirror-") {
            return;
        }
        let summary = summary(&[capture.to_str().unwrap().to_owned()], &[]);
        let warnings = &summary["mirror"]["warnings"];
        assert_eq!(
            warnings.as_array().unwrap().len(),
            0,
            "{}: {warnings}",
            capture.display()
        );
    });
}

#[test]
fn second_copies_are_left_out_and_the_ledger_closes() {
    let twice = [pcap("mirror-twice")];
    let halves = [pcap("mirror-there"), pcap("mirror-back")];
    for workers in ["1", "2", "4"] {
        let deduplicate = ["--deduplicate", "--workers", workers];
        let once = summary(&twice, &deduplicate);
        let ledger = &once["ledger"];
        assert_eq!(ledger["closes"], true);
        assert_eq!(ledger["wire"]["packets"], 384);
        let duplicate = &ledger["counted"]["duplicate"];
        // Each of the copies has a tag of four octets more.
        let wire = ledger["wire"]["bytes"].as_u64().unwrap();
        assert_eq!(duplicate["packets"], 192);
        assert_eq!(duplicate["bytes"], wire / 2 + 2 * 192);
        assert_eq!(once["mirror"]["warnings"].as_array().unwrap().len(), 0);
        // What is left is what a good mirror shows; frames keep their numbers.
        let good = summary(&halves, &["--workers", workers]);
        assert_eq!(once["rows"], good["rows"]);
        let numbers: Vec<u64> = records(&twice, &deduplicate)
            .iter()
            .map(|line| {
                let record: Value = serde_json::from_str(line).unwrap();
                record["flow_id"].as_u64().unwrap()
            })
            .collect();
        let expected: Vec<u64> = (0..24).map(|flow| 16 * flow + 1).collect();
        assert_eq!(numbers, expected);
        // Two captures of one place are as good as a mirror of two ports.
        let again = [
            pcap("mirror-there"),
            pcap("mirror-back"),
            pcap("mirror-there"),
        ];
        let again = summary(&again, &deduplicate);
        assert_eq!(again["rows"], good["rows"]);
        assert_eq!(again["ledger"]["counted"]["duplicate"]["packets"], 120);
    }
    // After the window it is something else.
    let narrow = summary(&twice, &["--deduplicate", "--duplicate-window", "39us"]);
    assert_eq!(narrow["ledger"]["counted"]["duplicate"], Value::Null);
    let output = support::ottometer(["read", &twice[0], "--duplicate-window", "2s"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Whatever is left out, all is counted.
#[test]
fn the_ledger_closes_with_duplicates_left_out() {
    support::each_capture(|capture| {
        let file = capture.to_str().unwrap().to_owned();
        let all = summary(&[file.clone(), file], &["--deduplicate"]);
        let ledger = &all["ledger"];
        assert_eq!(ledger["closes"], true, "{}", capture.display());
        let lines = ledger["counted"].as_object().unwrap();
        let sum = |name: &str| -> u64 {
            let counts = lines.values().map(|line| line[name].as_u64().unwrap());
            counts.sum()
        };
        assert_eq!(ledger["wire"]["packets"], sum("packets"));
        assert_eq!(ledger["wire"]["bytes"], sum("bytes"));
    });
}

#[test]
fn files_that_overlap_are_read_as_mergecap_merges_them() {
    let folder = tempfile::tempdir().unwrap();
    let merged = folder.path().join("merged.pcap");
    let files = [pcap("mirror-back"), pcap("mirror-there")];
    let mergecap = Command::new("mergecap")
        .args(["-F", "pcap", "-w", merged.to_str().unwrap()])
        .args(&files)
        .output();
    if mergecap.is_err() {
        return support::skipped("mergecap is not installed");
    }
    let expected = records(&[merged.to_str().unwrap().to_owned()], &[]);
    assert_eq!(expected.len(), 24);
    for workers in ["1", "2", "4"] {
        assert_eq!(
            records(&files, &["--workers", workers]),
            expected,
            "{workers}"
        );
    }
}

/// The header of a little-endian pcap file and its records; `None` where times do not rise, so that
/// the order of its frames is not theirs alone.
fn rising(path: &Path) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let bytes = fs::read(path).unwrap();
    let (header, mut rest) = bytes.split_at_checked(24)?;
    if header[..4] != 0xa1b2_c3d4_u32.to_le_bytes() {
        return None;
    }
    let word = |bytes: &[u8], at: usize| {
        Some(u32::from_le_bytes(
            bytes.get(at..at + 4)?.try_into().unwrap(),
        ))
    };
    let (mut records, mut last) = (Vec::new(), None);
    while !rest.is_empty() {
        let at = Some((word(rest, 0)?, word(rest, 4)?));
        if at <= last {
            return None;
        }
        last = at;
        let (record, more) = rest.split_at_checked(16 + word(rest, 8)? as usize)?;
        records.push(record.to_vec());
        rest = more;
    }
    Some((header.to_vec(), records))
}

/// The captures whose times rise.
fn captures() -> Vec<PathBuf> {
    let captures = support::captures().into_iter();
    captures
        .filter(|capture| rising(capture).is_some())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// However the frames of a capture are spread over files, they give the same records.
    #[test]
    fn any_split_of_a_capture_gives_its_records(
        capture in proptest::sample::select(captures()),
        places in proptest::collection::vec(0..5_usize, 1..200),
        workers in 1..4_usize,
    ) {
        let (header, frames) = rising(&capture).unwrap();
        let mut parts = vec![header; 5];
        for (frame, place) in frames.iter().zip(places.iter().cycle()) {
            parts[*place].extend(frame);
        }
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<String> = parts.iter().enumerate().map(|(part, bytes)| {
            let path = folder.path().join(format!("{part}.pcap"));
            fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        }).collect();
        let sorted = |mut records: Vec<String>| { records.sort(); records };
        let whole = records(&[capture.to_str().unwrap().to_owned()], &[]);
        let split = records(&files, &["--workers", &workers.to_string()]);
        prop_assert_eq!(sorted(split), sorted(whole));
    }
}
