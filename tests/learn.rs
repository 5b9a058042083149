//! `ottometer learn`: what has no name, by what it has in common, and drafts that name it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support;
use crate::support::packets::{header, message};

/// Captures of all kinds, of which some flows have no application.
fn captures() -> Vec<String> {
    let paths = support::captures();
    paths
        .iter()
        .map(|path| path.to_str().unwrap().to_owned())
        .collect()
}

fn learn(files: &[String], more: &[&str]) -> String {
    let mut arguments = vec!["learn"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    support::succeed(arguments)
}

#[test]
fn clusters_add_up_to_what_has_no_application() {
    let files = captures();
    let all = ["--top", "100000", "--format", "json"];
    let text = learn(&files, &all);
    let learned: Value = serde_json::from_str(&text).unwrap();
    let clusters = learned["clusters"].as_array().unwrap();
    assert!(clusters.len() > 20, "{}", clusters.len());
    for what in ["flows", "bytes"] {
        let sum: u64 = clusters.iter().map(|one| one[what].as_u64().unwrap()).sum();
        assert_eq!(learned["unnamed"][what], sum, "{what}");
    }
    let mut arguments = vec!["read", "--format", "json"];
    arguments.extend(files.iter().map(String::as_str));
    let summary: Value = serde_json::from_str(&support::succeed(arguments)).unwrap();
    assert_eq!(learned["all"]["flows"], summary["flows"]);
    let sizes: Vec<u64> = clusters
        .iter()
        .map(|one| one["bytes"].as_u64().unwrap())
        .collect();
    assert!(sizes.is_sorted_by(|one, next| one >= next));
    // The same with any number of workers, and less of it.
    assert_eq!(
        learn(&files, &[&all[..], &["--workers", "3"]].concat()),
        text
    );
    let few: Value = serde_json::from_str(&learn(
        &files,
        &["--top", "3", "--min-flows", "2", "--format", "json"],
    ))
    .unwrap();
    let few = few["clusters"].as_array().unwrap();
    assert_eq!(few.len(), 3);
    assert!(few.iter().all(|one| one["flows"].as_u64().unwrap() >= 2));
    let table = learn(&files, &["--top", "3"]);
    assert!(
        table.contains("more)") && table.contains("have no application"),
        "{table}"
    );
    let rows = learn(&files, &["--format", "csv", "--top", "100000"]);
    let mut reader = csv::Reader::from_reader(rows.as_bytes());
    assert_eq!(reader.records().map(Result::unwrap).count(), clusters.len());
}

#[test]
fn drafts_are_accepted_as_they_are_and_name_the_flows() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let drafts = drafts.to_str().unwrap();
    let files = captures();
    let text = learn(
        &files,
        &["--top", "100000", "--write", drafts, "--format", "json"],
    );
    let learned: Value = serde_json::from_str(&text).unwrap();
    let drafted: Vec<&Value> = learned["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one.get("draft").is_some())
        .collect();
    assert!(drafted.len() > 20, "{}", drafted.len());
    let kinds: Vec<&str> = drafted
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    for kind in ["host", "bytes", "port"] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    support::succeed(["signatures", "check", drafts, "--with-built-in"]);
    let tested = support::succeed(["signatures", "test", drafts]);
    assert!(!tested.contains("FAILED"), "{tested}");
    let mut arguments = vec!["read", "--format", "json", "--signatures", drafts];
    arguments.extend(files.iter().map(String::as_str));
    let after: Value = serde_json::from_str(&support::succeed(arguments)).unwrap();
    let rows = after["rows"].as_array().unwrap();
    let host = drafted.iter().find(|one| one["kind"] == "host").unwrap();
    let file = Path::new(host["draft"]["file"].as_str().unwrap());
    let slug = file.file_stem().unwrap().to_str().unwrap();
    let row = rows.iter().find(|row| row["app"] == slug).unwrap();
    assert!(row["flows"].as_u64() >= host["flows"].as_u64(), "{row}");
    // What is there stays, whatever was made of it.
    let path = Path::new(drafts).join(file);
    fs::write(&path, "# mine\n").unwrap();
    let again = support::ottometer(["learn", &files[0], "--write", drafts].map(str::to_owned));
    assert!(!again.status.success() || fs::read_to_string(&path).unwrap() == "# mine\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n");
}

#[test]
fn bytes_that_flows_have_in_common_are_a_rule() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("odd.pcap");
    let mut frames = header();
    for second in 0..4_u8 {
        let body = vec![second; 3 + usize::from(second)];
        let mut payload = b"\xb7\x4f\x03\x99".to_vec();
        payload.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        payload.extend(body);
        // An hour apart, they are flows of their own.
        frames.extend(message(true, u32::from(second) * 3600, &payload));
    }
    fs::write(&capture, frames).unwrap();
    let file = capture.to_str().unwrap().to_owned();
    let text = learn(&[file], &["--format", "json"]);
    let learned: Value = serde_json::from_str(&text).unwrap();
    let clusters = learned["clusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 1, "{text}");
    let cluster = &clusters[0];
    assert_eq!(
        (&cluster["kind"], &cluster["flows"]),
        (&"bytes".into(), &4.into())
    );
    assert_eq!(cluster["client_bytes"], "b7 4f 03 99 00");
    let draft = cluster["draft"]["text"].as_str().unwrap();
    for part in ["hex = \"b7 4f 03 99\"", "be16(4) + 6 == len"] {
        assert!(draft.contains(part), "{draft}");
    }
}

#[test]
fn the_first_packets_are_told_where_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("odd.pcap");
    let mut frames = header();
    let sent: Vec<(bool, u32, usize)> = (0..40_u32)
        .map(|place| (place % 3 != 1, place, 20 + place as usize))
        .collect();
    for &(to_server, second, length) in &sent {
        frames.extend(message(to_server, second, &vec![0xb7; length]));
    }
    fs::write(&capture, frames).unwrap();
    let names = ["first_directions", "first_lengths", "first_times"];
    for flow in support::flows(&capture, &[]) {
        assert!(names.iter().all(|name| flow.get(name).is_none()), "{flow}");
    }
    let flows = support::flows(&capture, &["--first-packets"]);
    let [flow] = flows.as_slice() else {
        panic!("{flows:?}");
    };
    let sent = sent.get(..30).unwrap();
    let directions: String = sent
        .iter()
        .map(|&(to_server, ..)| if to_server { 'c' } else { 's' })
        .collect();
    assert_eq!(flow["first_directions"], directions);
    let lengths: Vec<usize> = sent.iter().map(|&(_, _, length)| length).collect();
    assert_eq!(flow["first_lengths"], Value::from(lengths));
    let times: Vec<u32> = sent
        .iter()
        .map(|&(_, second, _)| second * 1_000_000)
        .collect();
    assert_eq!(flow["first_times"], Value::from(times));
    // In CSV too, and in no output that is not asked for flows.
    let file = capture.to_str().unwrap();
    let csv = folder.path().join("flows.csv");
    let csv = csv.to_str().unwrap();
    support::succeed(["read", file, "--flows", csv, "--first-packets", "--quiet"]);
    let rows = fs::read_to_string(csv).unwrap();
    assert!(
        rows.contains(&directions) && rows.contains("20.21.22."),
        "{rows}"
    );
    let wrong = support::ottometer(["read", file, "--first-packets"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn first_packets_fit_their_flows() {
    let mut arguments = vec!["read", "--flows", "-", "--quiet", "--first-packets"];
    let files = captures();
    arguments.extend(files.iter().map(String::as_str));
    let text = support::succeed(arguments.iter());
    arguments.extend(["--workers", "3"]);
    assert_eq!(support::succeed(arguments.iter()), text);
    let mut told = 0;
    for line in text.lines() {
        let flow: Value = serde_json::from_str(line).unwrap();
        let Some(directions) = flow.get("first_directions") else {
            // Nothing but headers.
            continue;
        };
        told += 1;
        let directions = directions.as_str().unwrap();
        let lengths = flow["first_lengths"].as_array().unwrap();
        let times = flow["first_times"].as_array().unwrap();
        assert_eq!(
            (directions.len(), times.len()),
            (lengths.len(), lengths.len())
        );
        for (letter, side) in [('c', "toserver"), ('s', "toclient")] {
            let places = directions.chars().zip(lengths);
            let of_side = places.filter(|&(one, _)| one == letter);
            let sum: u64 = of_side
                .clone()
                .map(|(_, length)| length.as_u64().unwrap())
                .sum();
            let of = &flow["flow"];
            let ip = of[format!("ip_bytes_{side}")].as_u64().unwrap();
            let packets = of[format!("pkts_{side}")].as_u64().unwrap();
            assert!(sum <= ip, "{flow}");
            assert!(of_side.count() as u64 <= packets, "{flow}");
        }
    }
    assert!(told > 500, "{told}");
}
