//! The live run on real interfaces: namespaces joined by veth pairs, real programs, real captures.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support;
use crate::support::live::{Live, assert_closes, frames, lab, number, sum};
use crate::support::netns::send;

#[test]
fn what_was_sent_is_counted_or_dropped_by_stage() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let frames = frames("");
    let times = 20_000 / frames.len() + 1;
    for more in [
        &["--threads", "1"][..],
        &["--threads", "2"],
        &["--steer", "inner", "--workers", "2"],
        // A ring that cannot hold what comes.
        &["--threads", "1", "--ring-size", "1MiB"],
    ] {
        let live = Live::start(&receiver, "mirror0", more);
        let mut out = sender.sender("out0");
        for _ in 0..times {
            send(&mut out, frames.iter().map(Vec::as_slice));
        }
        let sent = (frames.len() * times) as u64;
        let (state, _) = live.stop();
        assert_closes(&state);
        let counted = number(&state, "/ledger/wire/packets");
        assert_eq!(sum(&state, "received"), sent, "{more:?} {state:#}");
        assert_eq!(
            counted + sum(&state, "dropped_ring"),
            sent,
            "{more:?} {state:#}"
        );
    }
}

/// What a record says of a flow, but for times and what they decide.
fn essence(record: &Value) -> (String, String) {
    let text = |field: &str| record[field].to_string();
    let key = ["src_ip", "src_port", "dest_ip", "dest_port", "proto"]
        .map(text)
        .join(" ");
    let names = [
        "app",
        "app_proto",
        "service",
        "evidence",
        "signature",
        "unknown",
        "server_name",
    ];
    let flow = &record["flow"];
    let sizes = [
        "pkts_toserver",
        "pkts_toclient",
        "bytes_toserver",
        "ip_bytes_toclient",
    ];
    let sizes = sizes.map(|field| flow[field].to_string()).join(" ");
    (key, format!("{} {sizes}", names.map(text).join(" ")))
}

fn essences<'a>(lines: impl Iterator<Item = &'a Value>) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, rest) in lines.map(essence) {
        all.entry(key).or_default().push(rest);
    }
    for rest in all.values_mut() {
        rest.sort();
    }
    all
}

fn records(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn below_overload_the_records_are_those_of_read() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let frames = frames("recorded-");
    // The same frames with the times they are sent at.
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("sent.pcap");
    let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).unwrap();
    let mut file = dead.savefile(&capture).unwrap();
    for (index, frame) in frames.iter().enumerate() {
        let (seconds, micros) = (index / 1000, index % 1000 * 1000);
        let header = pcap::PacketHeader {
            ts: libc::timeval {
                tv_sec: 1_800_000_000 + i64::try_from(seconds).unwrap(),
                tv_usec: i64::try_from(micros).unwrap(),
            },
            caplen: u32::try_from(frame.len()).unwrap(),
            len: u32::try_from(frame.len()).unwrap(),
        };
        file.write(&pcap::Packet {
            header: &header,
            data: frame,
        });
    }
    drop(file);
    let expected = support::flows(&capture, &[]);
    let expected = essences(expected.iter());
    for more in [
        &["--threads", "1"][..],
        &["--threads", "2"],
        &["--steer", "inner"],
    ] {
        let mut arguments = vec!["--flows", "flows.jsonl"];
        arguments.extend(more);
        let live = Live::start(&receiver, "mirror0", &arguments);
        let mut out = sender.sender("out0");
        for some in frames.chunks(50) {
            send(&mut out, some.iter().map(Vec::as_slice));
            thread::sleep(Duration::from_millis(5));
        }
        let (state, folder) = live.stop();
        assert_closes(&state);
        assert_eq!(sum(&state, "dropped_ring"), 0);
        let found = records(&folder.path().join("flows.jsonl"));
        let found = essences(found.iter());
        assert_eq!(found.len(), expected.len(), "{more:?}");
        for (key, rest) in &expected {
            assert_eq!(found.get(key), Some(rest), "{more:?} {key}");
        }
    }
}

#[test]
fn settings_are_read_again_or_refused_whole() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml");
    let write = |idle: &str| {
        let text = format!(
            "[flows]\nudp_idle = \"{idle}\"\ntcp_idle = \"{idle}\"\ntcp_closed = \"{idle}\"\n"
        );
        fs::write(&settings, text).unwrap();
    };
    write("1h");
    let live = Live::start_in(
        folder,
        &receiver,
        "mirror0",
        &["--config", "settings.toml", "--flows", "flows.jsonl"],
    );
    let mut out = sender.sender("out0");
    let all = frames("rtp");
    send(&mut out, all.iter().take(1).map(Vec::as_slice));
    fs::write(&settings, "[flows]\nudp_idel = \"1s\"\n").unwrap();
    live.signal(Signal::SIGHUP);
    live.wait_for("reload 1: settings refused");
    write("1s");
    live.signal(Signal::SIGHUP);
    live.wait_for("reload 2:");
    // A flow that begins now ends a second after its last frame.
    let other = frames("mqtt");
    send(&mut out, other.iter().map(Vec::as_slice));
    for _ in 0..1000 {
        if fs::read_to_string(live.path("flows.jsonl")).is_ok_and(|text| !text.is_empty()) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let ended = records(&live.path("flows.jsonl"));
    assert!(!ended.is_empty(), "nothing ended: {}", live.log());
    assert!(
        ended
            .iter()
            .all(|record| record["flow"]["reason"] != "end-of-input")
    );
    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(number(&state, "/reloads/refused"), 1);
}

#[test]
fn the_watch_goes_with_the_folder_of_signatures() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let point_to = |dir: &str| {
        let text = format!("[signatures]\ndir = \"{dir}\"\nwatch = true\n");
        fs::write(path.join("settings.toml"), text).unwrap();
    };
    let add = |dir: &str, id: u32| {
        let into = path.join(dir).join("messaging");
        fs::create_dir_all(&into).unwrap();
        let text = format!(
            "[app]\nid = {id}\nname = 'acme{id}'\ntitle = 'Acme'\ncategory = 'messaging'\n\
             owner = 'Acme'\n\n[[domain]]\nsuffix = ['acme{id}.test']\nservice = 'chat'\n\
             source = 'made up'\n"
        );
        fs::write(into.join(format!("acme{id}.toml")), text).unwrap();
    };
    add("here", 1);
    add("there", 1);
    point_to("here");
    let live = Live::start_in(folder, &receiver, "mirror0", &["--config", "settings.toml"]);
    point_to("there");
    live.wait_for("settings changed, signatures are as before");
    // Nobody but the watch can tell.
    add("there", 2);
    live.wait_for(" rules, set ");
    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(number(&state, "/reloads/refused"), 0, "{state:#}");
}
