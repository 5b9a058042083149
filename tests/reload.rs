//! `reload --dry-run`: whether a reload would be refused, and which names it would change.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes the flow records of captures to a file.
fn record(captures: &[&str], records: &Path) {
    let captures: Vec<_> = captures
        .iter()
        .map(|name| support::root().join("pcaps").join(name))
        .collect();
    let mut arguments = vec!["read", "--quiet", "--flows", text(records)];
    arguments.extend(captures.iter().map(|path| text(path)));
    support::succeed(arguments);
}

fn dry_run(more: &[&str]) -> Value {
    let arguments = ["reload", "--dry-run", "--json"].iter().chain(more);
    serde_json::from_str(&support::succeed(arguments)).unwrap()
}

/// A folder of signatures with one application that has this rule.
fn signatures(folder: &Path, rule: &str) {
    let category = folder.join("messaging");
    fs::create_dir_all(&category).unwrap();
    let app = "[app]\nid = 999999\nname = \"novelty\"\ntitle = \"Novelty\"\ncategory = \"messaging\"\n\
               owner = \"someone\"\n";
    fs::write(category.join("novelty.toml"), format!("{app}{rule}")).unwrap();
}

/// The set that named them changes no name, whatever they were named by.
#[test]
fn the_same_signatures_change_nothing() {
    support::each_capture(|capture| {
        let folder = tempfile::tempdir().unwrap();
        let records = folder.path().join("flows.jsonl");
        record(&[capture.to_str().unwrap()], &records);
        if fs::metadata(&records).unwrap().len() == 0 {
            return;
        }
        let report = dry_run(&["--last", "1000d", text(&records)]);
        let names = &report["names"];
        assert_eq!(
            names["changed"]["flows"],
            0,
            "{}: {names}",
            capture.display()
        );
        let sum = |what: &str| names[what]["bytes"].as_u64().unwrap();
        assert_eq!(sum("all"), sum("same") + sum("not_known"));
    });
}

#[test]
fn what_new_signatures_would_call_otherwise_is_told_with_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("flows.jsonl");
    record(&["cmcc-cloud.pcap", "wechat-mmtls.pcap"], &records);
    // Hosts below those that have rules, so that longer names can win.
    let lines = fs::read_to_string(&records).unwrap();
    let lines = lines.replace("\"server_name\":\"", "\"server_name\":\"x.");
    fs::write(&records, &lines).unwrap();
    let flows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let volume = |flow: &Value| {
        let bytes = |name: &str| flow["flow"][name].as_u64().unwrap();
        bytes("bytes_toserver") + bytes("bytes_toclient")
    };
    let named = |flow: &&Value| flow["app"] == "cmcc-cloud" && flow["evidence"] == "server-name";
    let hosts: Vec<String> = flows
        .iter()
        .filter(named)
        .map(|flow| flow["server_name"].to_string())
        .collect();
    let bytes: u64 = flows.iter().filter(named).map(volume).sum();
    assert!(!hosts.is_empty() && bytes > 0);

    let set = folder.path().join("signatures");
    let rule = format!("[[domain]]\nsuffix = [{}]\nservice = \"file\"\n", {
        let mut hosts = hosts.clone();
        hosts.sort();
        hosts.dedup();
        hosts.join(", ")
    });
    signatures(&set, &rule);
    let report = dry_run(&[
        "--signatures",
        text(&set),
        "--last",
        "1000d",
        text(&records),
    ]);
    let names = &report["names"];
    assert_eq!(names["changed"]["bytes"], bytes, "{names}");
    assert_eq!(names["changed"]["flows"], hosts.len());
    assert_eq!(names["rows"][0]["then"], "novelty/file", "{names}");
    assert_eq!(names["all"]["flows"], flows.len());
    assert_eq!(names["all"]["bytes"], flows.iter().map(volume).sum::<u64>());

    // For people.
    let told = support::succeed([
        "reload",
        "--dry-run",
        "--signatures",
        text(&set),
        "--last",
        "1000d",
        text(&records),
    ]);
    for part in [
        "nothing wrong",
        "change it",
        "cmcc-cloud",
        "novelty/file",
        "not known",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    // Of these signatures alone nothing else has a rule: what was named by bytes is not known.
    let report = dry_run(&[
        "--signatures",
        text(&set),
        "--signatures-replace",
        "--last",
        "1000d",
        text(&records),
    ]);
    assert!(
        report["names"]["not_known"]["flows"].as_u64().unwrap() > 0,
        "{report}"
    );
}

#[test]
fn records_are_found_by_the_settings_and_only_the_last_hour_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("flows.jsonl");
    record(&["cmcc-cloud.pcap"], &records);
    // As a rotated one that is compressed, of two hours earlier; and something else.
    let now = fs::read_to_string(&records).unwrap();
    let first: Value = serde_json::from_str(now.lines().next().unwrap()).unwrap();
    let day = &first["flow"]["end"].as_str().unwrap()[..10];
    let earlier = now.replace(day, "2001-01-01");
    let compressed = zstd::encode_all(earlier.as_bytes(), 1).unwrap();
    fs::write(
        folder.path().join("flows-20010101T000000Z.jsonl.zst"),
        compressed,
    )
    .unwrap();
    fs::write(folder.path().join("flows.txt"), "no record\n").unwrap();
    let config = folder.path().join("ottometer.toml");
    let write = |more: &str| {
        let text = format!(
            "[capture]\ninterfaces = [\"eth1\"]\n[records]\nflows = \"{}\"\n{more}",
            records.display()
        );
        fs::write(&config, text).unwrap();
    };
    write("");
    let count = now.lines().count() as u64;
    for (last, flows) in [("1h", count), ("10000d", 2 * count)] {
        let report = dry_run(&["--config", text(&config), "--last", last]);
        assert_eq!(report["names"]["all"]["flows"], flows, "{last}: {report}");
        assert_eq!(report["names"]["other_lines"], 0);
    }
    // Settings that changed, and when they are used.
    let before = folder.path().join("before.toml");
    fs::copy(&config, &before).unwrap();
    write("[flows]\nudp_idle = \"20s\"\nmax_flows = 1000\n");
    let report = dry_run(&["--config", text(&config), "--before", text(&before)]);
    let changed = serde_json::json!([
        { "name": "idle times and openings of flows", "waits": false },
        { "name": "sizes and scope of flows", "waits": true },
    ]);
    assert_eq!(report["settings"], changed, "{report}");
}

#[test]
fn what_would_be_refused_is_told_and_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("signatures");
    signatures(&set, "[[domain]]\nsufix = [\"a.example\"]\n");
    let config = folder.path().join("ottometer.toml");
    fs::write(&config, "[capture]\ninterface = [\"eth1\"]\n").unwrap();
    for (arguments, expected) in [
        (["--signatures", text(&set)], "novelty.toml:8"),
        (["--config", text(&config)], "ottometer.toml:2"),
    ] {
        let output = support::ottometer(["reload", "--dry-run"].iter().chain(&arguments));
        assert_eq!(output.status.code(), Some(1));
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.contains(expected), "{told}");
        assert!(told.contains("would be refused"), "{told}");
    }
    // A reload itself is asked for by a signal.
    let output = support::ottometer(["reload"]);
    assert_eq!(output.status.code(), Some(2));
    // Without records nothing is claimed about names.
    let told = support::succeed(["reload", "--dry-run"]);
    assert!(told.contains("names: not asked for"), "{told}");
}
