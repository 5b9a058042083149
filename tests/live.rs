//! The live run on real interfaces: namespaces joined by veth pairs, real programs, real captures.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::netns::{Namespace, send};
use crate::support::{self, root};

/// A live run, ended with the test.
struct Live {
    child: Child,
    folder: tempfile::TempDir,
}

impl Live {
    /// Starts `ottometer live` on `interface` and waits until it captures.
    fn start(namespace: &Namespace, interface: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, namespace, interface, more)
    }

    fn start_in(
        folder: tempfile::TempDir,
        namespace: &Namespace,
        interface: &str,
        more: &[&str],
    ) -> Self {
        let errors = folder.path().join("stderr");
        let child = namespace.enter(|| {
            Command::new(env!("CARGO_BIN_EXE_ottometer"))
                .args(["live", "-i", interface, "--format", "json"])
                // The folders of the test belong to the user who runs it.
                .args(["--user", "root"])
                .args(more)
                .current_dir(folder.path())
                .stdout(Stdio::piped())
                .stderr(fs::File::create(&errors).unwrap())
                .spawn()
                .unwrap()
        });
        let mut live = Self { child, folder };
        let until = Instant::now() + Duration::from_secs(60);
        while !live.log().contains("capturing") {
            if let Some(status) = live.child.try_wait().unwrap() {
                panic!("{status}: {}", live.log());
            }
            assert!(Instant::now() < until, "{}", live.log());
            thread::sleep(Duration::from_millis(20));
        }
        live
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits until the log says so.
    fn wait_for(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.log().contains(text) {
            assert!(Instant::now() < until, "no '{text}' in {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it; what it says at its end.
    fn stop(mut self) -> (Value, tempfile::TempDir) {
        self.signal(Signal::SIGTERM);
        let mut text = String::new();
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (serde_json::from_str(&text).unwrap(), folder)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two namespaces joined by `veth`: who sends, and who is mirrored to.
fn lab() -> Option<(Namespace, Namespace)> {
    let (sender, receiver) = (Namespace::new()?, Namespace::new()?);
    sender.veth("out0", &receiver, "mirror0");
    for (namespace, interface) in [(&sender, "out0"), (&receiver, "mirror0")] {
        namespace.ip(&format!("link set {interface} mtu 65535"));
    }
    Some((sender, receiver))
}

/// The frames of the Ethernet captures whose names begin so.
fn frames(beginning: &str) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for file in support::captures() {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.starts_with(beginning) || !name.ends_with(".pcap") {
            continue;
        }
        let mut capture = pcap::Capture::from_file(&file).unwrap();
        if capture.get_datalink() != pcap::Linktype::ETHERNET {
            continue;
        }
        while let Ok(packet) = capture.next_packet() {
            // A frame the capture cut cannot be sent as it was.
            if packet.header.len == packet.header.caplen && packet.header.len >= 14 {
                frames.push(packet.data.to_vec());
            }
        }
    }
    assert!(!frames.is_empty());
    frames
}

fn number(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// The sum of one field over all capture threads.
fn sum(state: &Value, field: &str) -> u64 {
    let sources = state["sources"].as_array().unwrap();
    sources
        .iter()
        .map(|source| number(source, &format!("/{field}")))
        .sum()
}

fn assert_closes(state: &Value) {
    assert_eq!(state["ledger"]["closes"], true, "{state:#}");
}

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
fn reloads_lose_nothing() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let set = |app: &str| {
        format!(
            "[app]\nid = 1\nname = 'acme'\ntitle = 'Acme'\ncategory = 'messaging'\nowner = 'Acme'\n\n\
             [[domain]]\nsuffix = ['{app}.test']\nservice = 'chat'\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let signatures = folder.path().join("signatures/messaging");
    fs::create_dir_all(&signatures).unwrap();
    let file = signatures.join("acme.toml");
    fs::write(&file, set("a")).unwrap();
    let live = Live::start_in(
        folder,
        &receiver,
        "mirror0",
        &["--signatures", "signatures", "--signatures-replace"],
    );
    let frames = frames("");
    let mut out = sender.sender("out0");
    let reloads = 200;
    let mut sent = 0;
    for round in 0..reloads {
        let text = if round % 2 == 0 { set("b") } else { set("a") };
        // As an editor does: never half a file.
        let new = signatures.join("acme.new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
        live.signal(Signal::SIGHUP);
        send(&mut out, frames.iter().map(Vec::as_slice));
        sent += frames.len() as u64;
        live.wait_for(&format!("reload {}:", round + 1));
    }
    fs::write(&file, "[app]\nid = 'one'\n").unwrap();
    live.signal(Signal::SIGHUP);
    live.wait_for("refused");
    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(number(&state, "/ledger/wire/packets"), sent);
    assert_eq!(number(&state, "/reloads/accepted"), reloads);
    assert_eq!(number(&state, "/reloads/refused"), 1);
}
