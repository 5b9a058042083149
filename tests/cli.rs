//! Arguments, exit codes, formats and damaged input.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support;

/// The smallest capture with an application in it.
fn sample() -> String {
    support::root()
        .join("pcaps/wechat-mmtls.pcap")
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for arguments in [
        &["read"][..],
        &["read", "x.pcap", "--by", "nonsense"],
        &["read", "x.pcap", "--workers", "0"],
        &["read", "x.pcap", "--interval", "0s"],
        &[
            "read",
            "x.pcap",
            "--interval",
            "1s",
            "--flows",
            "-",
            "--usage",
            "-",
        ],
        &["explain", "x.pcap", "--flow", "nonsense"],
        &["frobnicate"],
    ] {
        let output = support::ottometer(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_shows_examples() {
    let text = support::succeed(["--help"]);
    assert!(text.contains("ottometer read trace.pcap"), "{text}");
    assert!(support::succeed(["--version"]).starts_with("ottometer "));
}

#[test]
fn what_is_no_capture_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "these are notes, not packets").unwrap();
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, "").unwrap();
    let missing = folder.path().join("missing.pcap");
    for path in [path, empty, missing] {
        let output = support::ottometer(["read", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains(path.file_name().unwrap().to_str().unwrap()),
            "{text}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_cut_file_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(sample()).unwrap();
    let cut = folder.path().join("cut.pcap");
    fs::write(&cut, &whole[..whole.len() - 5]).unwrap();
    let cut = cut.to_str().unwrap();
    let output = support::ottometer(["read", cut, "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "a warning is no failure");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.contains("byte") && warning.contains("cut.pcap"),
        "{warning}"
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all: Value =
        serde_json::from_str(&support::succeed(["read", &sample(), "--format", "json"])).unwrap();
    let packets = |summary: &Value| summary["ledger"]["wire"]["packets"].as_u64().unwrap();
    assert_eq!(packets(&summary), packets(&all) - 1);
    let strict = support::ottometer(["read", cut, "--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    assert!(
        !strict.stdout.is_empty(),
        "the summary is printed all the same"
    );
}

#[test]
fn standard_input_and_compressed_files_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(sample()).unwrap();
    let expected = support::succeed(["read", &sample(), "--flows", "-", "--quiet"]);

    let gz = folder.path().join("x.gz");
    let mut encoder =
        flate2::write::GzEncoder::new(fs::File::create(&gz).unwrap(), flate2::Compression::fast());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap();
    let zst = folder.path().join("x.zst");
    fs::write(&zst, zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    for path in [gz, zst] {
        let got = support::succeed(["read", path.to_str().unwrap(), "--flows", "-", "--quiet"]);
        assert_eq!(got, expected, "{}", path.display());
    }

    let mut child = Command::new(env!("CARGO_BIN_EXE_ottometer"))
        .args(["read", "-", "--flows", "-", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_filter_leaves_frames_out_and_says_so() {
    let path = sample();
    let text = support::succeed(["read", &path, "--filter", "udp port 9", "--format", "json"]);
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["ledger"]["wire"]["packets"], 0);
    assert!(summary["ledger"]["filtered"]["packets"].as_u64().unwrap() > 0);
    let bad = support::ottometer(["read", &path, "--filter", "no such filter"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        String::from_utf8(bad.stderr)
            .unwrap()
            .contains("no such filter")
    );
}

#[test]
fn summaries_have_the_same_totals_in_every_shape() {
    let path = sample();
    let total = |by: &str| -> (u64, u64) {
        let text = support::succeed(["read", &path, "--format", "json", "--by", by]);
        let summary: Value = serde_json::from_str(&text).unwrap();
        let rows = summary["rows"].as_array().unwrap();
        let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum();
        (sum("bytes"), sum("packets"))
    };
    let app = total("app");
    assert!(app.0 > 0);
    for by in ["service", "category", "protocol", "client"] {
        assert_eq!(total(by), app, "{by}");
    }
    let table = support::succeed(["read", &path]);
    assert!(
        table.contains("wechat") && table.contains("closes"),
        "{table}"
    );
    let csv = support::succeed(["read", &path, "--format", "csv"]);
    assert!(
        csv.lines().next().unwrap().contains("bytes_toserver"),
        "{csv}"
    );
}

#[test]
fn flows_and_usage_go_to_files_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (flows, usage) = (file("flows.csv"), file("usage.csv"));
    support::succeed([
        "read",
        &sample(),
        "--flows",
        &flows,
        "--usage",
        &usage,
        "--interval",
        "1s",
        "--quiet",
    ]);
    let mut reader = csv::Reader::from_path(&flows).unwrap();
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let records = support::flows(sample().as_ref(), &[]);
    assert_eq!(rows.len(), records.len());
    for (row, record) in rows.iter().zip(&records) {
        assert_eq!(
            row[column("bytes_toserver")],
            record["flow"]["bytes_toserver"].to_string()
        );
        assert_eq!(
            row[column("app")],
            *record["app"].as_str().unwrap_or_default()
        );
    }
    let of_records: u64 = records
        .iter()
        .flat_map(|record| ["bytes_toserver", "bytes_toclient"].map(|name| &record["flow"][name]))
        .map(|bytes| bytes.as_u64().unwrap())
        .sum();
    let mut reader = csv::Reader::from_path(&usage).unwrap();
    let columns = reader.headers().unwrap().clone();
    let bytes = columns.iter().position(|column| column == "bytes").unwrap();
    let of_usage: u64 = reader
        .records()
        .map(|row| row.unwrap()[bytes].parse::<u64>().unwrap())
        .sum();
    assert_eq!(
        of_usage, of_records,
        "intervals hold every byte of the flows once"
    );
}

#[test]
fn explain_names_the_rule_that_decided() {
    let text = support::succeed(["explain", &sample(), "--app", "wechat"]);
    assert!(text.contains("decided    by wechat/"), "{text}");
    let none = support::ottometer(["explain", &sample(), "--flow", "192.0.2.77"]);
    assert_eq!(none.status.code(), Some(1));
}

#[test]
fn stats_are_printed_when_asked_for() {
    let text = support::succeed(["read", &sample(), "--stats", "--quiet"]);
    assert!(text.contains("packets until a flow settles"), "{text}");
    assert!(text.contains("for want of memory: 0 flows"), "{text}");
    assert!(text.contains("memory: at most "), "{text}");
}

/// Each opening is cut at its first packet; the volume is the same, and it is said.
#[test]
fn little_memory_costs_names_not_volume() {
    let capture = support::root().join("pcaps/odd.pcap");
    let capture = capture.to_str().unwrap();
    let roomy = support::succeed(["read", capture, "--stats"]);
    let tight = support::succeed(["read", capture, "--stats", "--opening-memory", "1"]);
    let on_the_wire = |text: &str| {
        let mut lines = text.lines().map(str::to_owned);
        lines.find(|line| line.starts_with("ledger:"))
    };
    assert!(on_the_wire(&roomy).is_some(), "{roomy}");
    assert_eq!(on_the_wire(&roomy), on_the_wire(&tight));
    assert!(
        tight.contains("closes: every byte is counted once"),
        "{tight}"
    );
    assert!(
        !tight.contains("openings ended early for want of memory: 0 flows"),
        "{tight}"
    );
}

#[test]
fn settings_files_are_checked_and_described() {
    let text = support::succeed(["config", "default"]);
    let kept = fs::read_to_string(support::root().join("ottometer.toml")).unwrap();
    assert_eq!(text, kept);
    let schema: Value = serde_json::from_str(&support::succeed(["config", "schema"])).unwrap();
    assert!(schema["properties"]["records"].is_object());

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ottometer.toml");
    fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    assert!(support::succeed(["config", "check", path]).contains("nothing wrong"));
    fs::write(path, "[flows]\ntcp_idle = 5\n").unwrap();
    let output = support::ottometer(["config", "check", path]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(&format!("{path}:2:12: flows.tcp_idle: ")),
        "{said}"
    );
}

/// What would run is what is checked: the signatures that the settings ask for, with the built-in ones.
#[test]
fn the_set_that_would_run_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let signatures = folder.path().join("mine");
    let file = signatures.join("messaging/mine.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let settings = folder.path().join("o.toml");
    let text = |only: &str| {
        let dir = signatures.display();
        format!(
            "[signatures]\ndir = \"{dir}\"\n[records]\nflows = \"f.jsonl\"\nonly = \"{only}\"\n"
        )
    };
    let app = |name: &str, domain: &str| {
        format!(
            "[app]\nid = 64999\nname = \"{name}\"\ntitle = \"Mine\"\ncategory = \"messaging\"\n\
             owner = \"Me\"\n[[domain]]\nsuffix = [\"{domain}\"]\n"
        )
    };
    let check = || {
        let output = support::ottometer(["config", "check", settings.to_str().unwrap()]);
        let said = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), said)
    };
    for (written, only, code, expected) in [
        (
            app("mine", "mine.example"),
            "app == mine",
            0,
            "nothing wrong",
        ),
        (
            app("mine", "mine.example"),
            "app == mien",
            1,
            "did you mean `mine`?",
        ),
        (app("yours", "mine.example"), "app == qq", 1, "mine.toml:3:"),
        (
            app("mine", "weixin.qq.com"),
            "app == qq",
            1,
            "weixin.qq.com",
        ),
    ] {
        fs::write(&file, written).unwrap();
        fs::write(&settings, text(only)).unwrap();
        let (found, said) = check();
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    let folder = signatures.to_str().unwrap();
    for (more, clashes) in [(&[][..], false), (&["--with-built-in"], true)] {
        let arguments: Vec<&str> = [&["signatures", "check", folder][..], more].concat();
        let output = support::ottometer(arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.contains("weixin.qq.com"), clashes, "{said}");
    }
}
