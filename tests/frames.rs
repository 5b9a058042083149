//! What is shown and written of flows: their frames, and what those without a name have sent.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support;
use crate::support::packets::{datagrams, header, message};

/// The flows of a capture by what does not depend on where in it they stand.
fn flows_of(capture: &Path) -> Vec<Value> {
    let mut flows = support::flows(capture, &[]);
    for flow in &mut flows {
        let flow = flow.as_object_mut().unwrap();
        flow.remove("flow_id");
        // How it is known may hang on other flows.
        for name in [
            "app",
            "app_id",
            "service",
            "category",
            "evidence",
            "signature",
            "unknown",
        ] {
            flow.remove(name);
        }
        flow.remove("settled_at_packet");
        flow["flow"].as_object_mut().unwrap().remove("reason");
    }
    flows.sort_by_key(ToString::to_string);
    flows
}

fn frames_of(flow: &Value) -> u64 {
    ["pkts_toserver", "pkts_toclient"]
        .map(|name| flow["flow"][name].as_u64().unwrap())
        .iter()
        .sum()
}

/// How many frames a capture has, by us and, where it is installed, by `capinfos`.
fn count_frames(capture: &Path) -> u64 {
    let path = capture.to_str().unwrap();
    let text = support::succeed(["read", path, "--format", "json", "--strict"]);
    let summary: Value = serde_json::from_str(&text).unwrap();
    let count = summary["ledger"]["wire"]["packets"].as_u64().unwrap();
    match Command::new("capinfos").args(["-Tmrc", path]).output() {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            let theirs = text.trim().rsplit(',').next().unwrap().to_owned();
            assert_eq!(theirs, count.to_string(), "capinfos of {path}");
        }
        Err(_) => support::skipped("capinfos is not installed"),
    }
    count
}

#[test]
fn the_frames_of_flows_are_written_as_they_were_captured() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, selection) in [
        // Tags and tunnels, fragments in and out of order, flows of many kinds.
        ("tunnels", &[][..]),
        ("fragments", &[]),
        ("fragments", &["--flow", ":53"]),
        ("odd", &["--unknown"]),
        ("dns-learned", &["--app", "dns"]),
        ("dns-learned", &["--app", "tls", "--unknown"]),
        ("dns-learned", &["--app", "tls", "--flow", "192.0.2.99"]),
    ] {
        let capture = support::root().join(format!("pcaps/{name}.pcap"));
        let asked = |flow: &&Value| match selection {
            [] => true,
            ["--flow", ":53"] => flow["dest_port"] == 53 || flow["src_port"] == 53,
            ["--unknown"] => flow.get("unknown").is_some(),
            ["--app", "dns"] => flow["app_proto"] == "dns",
            ["--app", "tls", "--unknown"] => {
                flow["app_proto"] == "tls" || flow.get("unknown").is_some()
            }
            _ => false,
        };
        let all = support::flows(&capture, &[]);
        let expected: u64 = all.iter().filter(asked).map(frames_of).sum();
        let mut written = Vec::new();
        for (out, workers) in [("one.pcap", "1"), ("three.pcap", "3"), ("one.pcapng", "1")] {
            let out = at(out);
            let mut arguments = vec!["read", capture.to_str().unwrap(), "--workers", workers];
            arguments.extend(["--write-pcap", out.to_str().unwrap()]);
            arguments.extend(selection);
            let output = support::ottometer(&arguments);
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{arguments:?}: {text}");
            let flows = all.iter().filter(asked).count();
            let line = format!("{expected} frames of {flows} flows written");
            assert!(text.contains(&line), "{line}: {text}");
            assert_eq!(count_frames(&out), expected, "{arguments:?}");
            if selection.is_empty() {
                assert_eq!(flows_of(&out), flows_of(&capture), "{arguments:?}");
            }
            written.push(fs::read(&out).unwrap());
            fs::remove_file(&out).unwrap();
        }
        assert!(written[0] == written[1], "{name}: any number of workers");
    }
}

#[test]
fn frames_are_written_where_that_is_possible() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ethernet = datagrams([(1000, 0)]);
    let mut raw = ethernet.clone();
    raw[20] = 101;
    // Without the Ethernet header.
    raw.drain(24 + 16..24 + 16 + 14);
    for place in [32, 36] {
        raw[place] -= 14;
    }
    fs::write(at("ethernet.pcap"), &ethernet).unwrap();
    fs::write(at("raw.pcap"), &raw).unwrap();
    let (ethernet, raw) = (at("ethernet.pcap"), at("raw.pcap"));
    let read = |arguments: &[&str]| {
        let output = support::ottometer([&["read"], arguments].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    // Two link types are told in time, and nothing half is left behind.
    let (code, text) = read(&[&ethernet, &raw, "--write-pcap", &at("both.pcap")]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(".pcapng") && text.contains("1 and 101"),
        "{text}"
    );
    assert!(!Path::new(&at("both.pcap")).exists());
    let (code, text) = read(&[&ethernet, &raw, "--write-pcap", &at("both.pcapng")]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(count_frames(Path::new(&at("both.pcapng"))), 2);
    // Nothing fits: a capture without frames.
    let (code, text) = read(&[&ethernet, "--app", "dns", "--write-pcap", &at("none.pcap")]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(count_frames(Path::new(&at("none.pcap"))), 0);

    for (arguments, code, part) in [
        (&["-", "--write-pcap", "x.pcap"][..], 2, "standard input"),
        (
            &[&ethernet, "--write-pcap", "x.pcap.gz"],
            2,
            "not compressed",
        ),
        (
            &[&ethernet, "--write-pcap", &raw],
            2,
            "raw.pcap is a capture",
        ),
        (&[&ethernet, "--write-pcap", &ethernet], 2, "is read"),
        (&[&ethernet, "--unknown"], 2, "--write-pcap"),
        (
            &[
                &ethernet,
                "--app",
                "no-such-name",
                "--write-pcap",
                &at("y.pcap"),
            ],
            1,
            "no-such-name",
        ),
    ] {
        let (got, text) = read(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    assert!(!Path::new(&at("y.pcap")).exists());
}

#[test]
fn explain_shows_what_has_no_name_and_drafts_a_rule() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Messages with a number, a length and a text that a terminal would obey.
    let mut capture = header();
    for (second, to_server, text) in [
        (0, true, &b"\x1b[2Jhello"[..]),
        (0, false, b"\x1b[31mred\x07"),
        (1, true, b"and a longer text"),
        (2, true, b"bye"),
    ] {
        let mut payload = b"\xb7\x4f\x03".to_vec();
        payload.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        payload.extend(text);
        capture.extend(message(to_server, second, &payload));
    }
    // A big message, of which the first bytes are shown.
    capture.extend(message(false, 3, &[0xe9; 1200]));
    fs::write(at("odd.pcap"), capture).unwrap();
    let odd = at("odd.pcap");
    let odd = odd.to_str().unwrap();

    let text = support::succeed(["explain", odd, "--app", "unknown"]);
    assert!(
        text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')),
        "nothing is left for a terminal to obey: {text:?}"
    );
    for part in [
        "messages   c 14, s 14, c 22, c 8, s 1200",
        "client     44 bytes inspected, entropy ",
        "server     1,214 bytes inspected, entropy ",
        "  00000000  b7 4f 03 00 09 1b 5b 32  4a 68 65 6c 6c 6f b7 4f  |.O....[2Jhello.O|",
        "  000000f0 ",
        "... 958 more",
        "DRAFT",
        "at = [{ offset = 0, hex = \"b7 4f 03\" }]",
        "where = [\"be16(3) + 5 == len\"]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("00000100"), "{text}");
    let more = support::succeed(["explain", odd, "--bytes", "512"]);
    assert!(
        more.contains("  000001f0 ") && !more.contains("00000200"),
        "{more}"
    );

    // The draft is a file of signatures, and names the flow.
    let draft: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("# DRAFT"))
        .take_while(|line| !line.trim().is_empty() || line.starts_with("  "))
        .collect();
    fs::create_dir_all(at("rules/protocol")).unwrap();
    fs::write(at("rules/protocol/draft.toml"), draft.join("\n")).unwrap();
    let rules = at("rules");
    let rules = rules.to_str().unwrap();
    let checked = support::succeed(["signatures", "check", rules, "--deny-warnings"]);
    let tested = support::succeed(["signatures", "test", rules]);
    assert!(!tested.contains("FAILED"), "{checked}{tested}");
    let flows = support::flows(Path::new(odd), &["--signatures", rules]);
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0]["app_proto"], "draft");

    // What has a name is shown when it is asked for.
    let named = support::root().join("pcaps/wechat-mmtls.pcap");
    let named = named.to_str().unwrap();
    let brief = support::succeed(["explain", named, "--app", "wechat"]);
    assert!(!brief.contains("00000000"), "{brief}");
    let all = support::succeed(["explain", named, "--app", "wechat", "--all"]);
    assert!(all.contains("00000000") && all.contains("DRAFT"), "{all}");
    let wrong = support::ottometer(["explain", odd, "--bytes", "4097"]);
    assert_eq!(wrong.status.code(), Some(2));
}
