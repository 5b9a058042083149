//! `ottometer score`: what is right of the names, on captures as they are and made harder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support;

const COLUMNS: &str =
    "capture\tproto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tapp_proto\tapp\tservice\tbytes";

/// The known results of `captures` as a truth.
fn truth(folder: &Path, captures: &[&str]) -> String {
    let mut table = format!("{COLUMNS}\n");
    for capture in captures {
        let stem = capture.split(".pcap").next().unwrap();
        let path = support::root()
            .join("pcaps")
            .join(format!("{stem}.expected"));
        for line in fs::read_to_string(path).unwrap().lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [flow @ .., _evidence, _packets, bytes] = fields.as_slice() else {
                panic!("{line}");
            };
            writeln!(table, "{capture}\t{}\t{bytes}", flow.join("\t")).unwrap();
        }
    }
    let path = folder.join("truth.tsv");
    fs::write(&path, table).unwrap();
    path.to_str().unwrap().to_owned()
}

fn score(truth: &str, files: &[String], more: &[&str]) -> Value {
    let mut arguments = vec!["score", "--truth", truth, "--format", "json"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    serde_json::from_str(&support::succeed(arguments)).unwrap()
}

fn path(capture: &str) -> String {
    let path = support::root().join("pcaps").join(capture);
    path.to_str().unwrap().to_owned()
}

fn flows(score: &Value, group: &str, outcome: &str) -> u64 {
    score["groups"][group][outcome]["flows"]
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn what_is_known_of_our_captures_is_what_is_said_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let captures = support::captures();
    let names: Vec<&str> = captures
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    let truth = truth(folder.path(), &names);
    let files: Vec<String> = names.iter().map(|name| path(name)).collect();
    let all = score(&truth, &files, &[]);
    let plain = &all["scores"][0];
    for group in ["application", "protocol"] {
        assert_eq!(flows(plain, group, "missed"), 0, "{plain}");
        assert_eq!(flows(plain, group, "wrong"), 0, "{plain}");
        assert!(flows(plain, group, "right") > 100, "{plain}");
    }
    assert_eq!(plain["unseen"], 0);
    assert_eq!(plain["confusion"].as_array().unwrap().len(), 0);
    let services = plain["services"].as_object().unwrap();
    assert!(services.len() > 20);
    for (name, it) in services {
        assert_eq!(it["found"], it["labelled"], "{name}");
        assert_eq!(it["right"], it["answered"], "{name}");
    }
    let again = score(&truth, &files, &["--workers", "3"]);
    assert_eq!(all, again);
}

#[test]
fn what_is_wrong_is_told_by_name_and_by_flow() {
    let folder = tempfile::tempdir().unwrap();
    let truth = truth(folder.path(), &["wechat-mmtls.pcap"]);
    let table = fs::read_to_string(&truth).unwrap();
    // Of one flow it is another application's, of one nobody knows; the others may be this or that.
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    assert!(lines.len() >= 4, "{table}");
    lines[1] = lines[1].replace("\twechat\t", "\tline\t");
    lines[2] = lines[2].replace("\twechat\t", "\t-\t");
    for line in &mut lines[3..] {
        *line = line.replace("\twechat\t", "\ttencent|wechat\t");
    }
    fs::write(&truth, lines.join("\n")).unwrap();
    let report = folder.path().join("report.tsv");
    let all = score(
        &truth,
        &[path("wechat-mmtls.pcap")],
        &["--report", report.to_str().unwrap()],
    );
    let plain = &all["scores"][0];
    assert_eq!(flows(plain, "application", "wrong"), 1);
    assert_eq!(flows(plain, "protocol", "right"), 1);
    let (line, wechat) = (&plain["apps"]["line"], &plain["apps"]["wechat"]);
    assert_eq!(line["labelled"]["flows"], 1);
    assert_eq!(line["found"]["flows"], 0);
    assert_eq!(
        wechat["answered"]["flows"].as_u64().unwrap(),
        wechat["right"]["flows"].as_u64().unwrap() + 1
    );
    let confusion = &plain["confusion"][0];
    assert_eq!(
        (&confusion["truth"], &confusion["answer"]),
        (&"line".into(), &"wechat".into())
    );
    let report = fs::read_to_string(&report).unwrap();
    let rows: Vec<&str> = report.lines().collect();
    assert_eq!(rows.len(), lines.len(), "{report}");
    assert!(
        rows[0].starts_with("input\tcapture\tproto\tip_a\t"),
        "{report}"
    );
    assert!(
        rows[1].contains("\tline\t") && rows[1].contains("\twrong\t"),
        "{report}"
    );

    let arguments = ["score", "--truth", &truth, &path("wechat-mmtls.pcap")];
    let text = support::succeed(arguments);
    for part in [
        "application",
        "precision",
        "recall",
        "settled within 6 packets",
        "without a name",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let csv = support::succeed(arguments.into_iter().chain(["--format", "csv"]));
    assert!(csv.contains("plain,confusion,line,wechat,1,"), "{csv}");
}

#[test]
fn records_are_a_truth_of_the_stream_they_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let flows = folder.path().join("flows.csv");
    let flows = flows.to_str().unwrap();
    let captures = [path("bittorrent.pcap"), path("wechat-mmtls.pcap")];
    let mut arguments = vec!["read", "--flows", flows, "--quiet"];
    arguments.extend(captures.iter().map(String::as_str));
    support::succeed(arguments);
    let all = score(flows, &captures, &[]);
    let plain = &all["scores"][0];
    assert_eq!(
        flows_of(plain, "right"),
        plain["all"]["flows"].as_u64().unwrap()
    );
}

fn flows_of(score: &Value, outcome: &str) -> u64 {
    ["application", "protocol"]
        .iter()
        .map(|group| flows(score, group, outcome))
        .sum()
}

/// Captures with hellos of TLS and QUIC, requests of HTTP, calls and proprietary protocols.
const HARDER: &[&str] = &[
    "quic-initial.pcap",
    "wechat-tls.pcap",
    "wechat-mmtls.pcap",
    "bittorrent.pcap",
];

#[test]
fn harder_captures_have_the_same_flows() {
    let folder = tempfile::tempdir().unwrap();
    let truth = truth(folder.path(), HARDER);
    let files: Vec<String> = HARDER.iter().map(|name| path(name)).collect();
    let written = folder.path().join("harder");
    let all = score(
        &truth,
        &files,
        &["--harder", "all", "--write", written.to_str().unwrap()],
    );
    let scores: BTreeMap<&str, &Value> = all["scores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|score| (score["input"].as_str().unwrap(), score))
        .collect();
    let plain = scores["plain"];
    assert_eq!(flows(plain, "application", "missed"), 0, "{plain}");
    // What neither takes anything away nor hides it changes nothing.
    for input in ["gtp-u", "qinq", "cut-hellos", "duplicates"] {
        assert_eq!(scores[input]["groups"], plain["groups"], "{input}");
        assert_eq!(scores[input]["unseen"], 0, "{input}");
    }
    assert_eq!(scores.len(), 14);
    for (input, score) in &scores {
        assert_eq!(flows(score, "application", "wrong"), 0, "{input}: {score}");
    }

    let of = |input: &str, name: &str| {
        let name = format!("{input}/{}.pcapng", name.trim_end_matches(".pcap"));
        support::flows(&written.join(name), &[])
    };
    for flow in of("gtp-u", "wechat-tls.pcap") {
        assert_eq!(flow["tunnel"], "gtp-u", "{flow}");
    }
    for flow in of("qinq", "wechat-tls.pcap") {
        assert_eq!(flow["vlan"], serde_json::json!([100, 200]), "{flow}");
    }
    let packets = |flows: &[Value], side: &str| -> u64 {
        let counter = |flow: &Value| flow["flow"][format!("pkts_{side}")].as_u64().unwrap();
        flows.iter().map(counter).sum()
    };
    let both = |flows: &[Value]| packets(flows, "toserver") + packets(flows, "toclient");
    for name in HARDER {
        let plain = support::flows(Path::new(&path(name)), &[]);
        assert!(both(&of("cut-hellos", name)) >= both(&plain), "{name}");
        assert!(both(&of("no-start", name)) < both(&plain), "{name}");
        let one_sided = of("one-direction", name);
        for flow in &one_sided {
            let flow = std::slice::from_ref(flow);
            assert!(
                packets(flow, "toserver") == 0 || packets(flow, "toclient") == 0,
                "{flow:?}"
            );
        }
    }
    let more: u64 = ["quic-initial.pcap", "wechat-tls.pcap"]
        .iter()
        .map(|name| {
            both(&of("cut-hellos", name)) - both(&support::flows(Path::new(&path(name)), &[]))
        })
        .sum();
    assert!(more > 3, "hellos came over more packets: {more}");

    // The same number, the same captures; another, others.
    for (seed, is_same) in [("1", true), ("2", false)] {
        let again = folder.path().join(seed);
        let arguments = [
            "--harder",
            "loss-5",
            "--seed",
            seed,
            "--write",
            again.to_str().unwrap(),
        ];
        score(&truth, &files, &arguments);
        let same = HARDER.iter().all(|name| {
            let name = format!("loss-5/{}.pcapng", name.trim_end_matches(".pcap"));
            fs::read(written.join(&name)).unwrap() == fs::read(again.join(&name)).unwrap()
        });
        assert_eq!(same, is_same, "seed {seed}");
    }
    // Nothing is written over.
    let refused = support::ottometer([
        "score",
        "--truth",
        &truth,
        &files[0],
        "--harder",
        "loss-5",
        "--write",
        written.to_str().unwrap(),
    ]);
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn a_table_that_is_no_truth_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("truth.tsv");
    let flow = "proto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tapp\tstrength\n";
    for (text, said) in [
        (
            "proto\tsrc_ip\n",
            "truth.tsv:1: the first line must name the columns, and has no `dest_ip`",
        ),
        (
            &format!("{flow}TPC\t10.0.0.1\t1\t10.0.0.2\t2\tline\t-\n"),
            "truth.tsv:2: `TPC` is no transport protocol",
        ),
        (
            &format!("{flow}TCP\t10.0.0.1\t1\t10.0.0.2\t99999\tline\t-\n"),
            "truth.tsv:2: `99999` is no port",
        ),
        (
            &format!("{flow}TCP\t10.0.0.1\t1\t10.0.0.2\t2\tline\tlikely\n"),
            "truth.tsv:2: `likely` is no strength",
        ),
        (
            "capture\tproto\tsrc_ip\tdest_ip\nother.pcap\tTCP\t10.0.0.1\t10.0.0.2\n",
            "has labels of none of these captures",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = support::ottometer([
            "score",
            "--truth",
            file.to_str().unwrap(),
            &path("wechat-mmtls.pcap"),
        ]);
        assert!(!output.status.success(), "{text}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
}
