//! Records of a live run where they cannot be written: a disk that is full for a while or for ever,
//! a pipe that nobody empties, and one that nobody holds any more.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::live::{Live, assert_closes, clock, frames, lab, number};
use crate::support::netns::send;

/// A small disk, as long as the test runs.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let options = format!("size={size}");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        Self(path)
    }

    /// Leaves no room on it.
    fn fill(&self) {
        let _ = fs::write(self.0.join("filler"), vec![0; 1 << 20]);
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also when the program has still files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The records of a file, without what the run says of itself.
fn records(file: &Path) -> Vec<Value> {
    let all = lines(file).into_iter();
    all.filter(|record| record["event_type"] != "run").collect()
}

fn lines(file: &Path) -> Vec<Value> {
    fs::read_to_string(file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn bytes(usage: &[Value]) -> u64 {
    usage.iter().map(|record| number(record, "/bytes")).sum()
}

/// What has a name or a reason.
fn settled(state: &Value) -> u64 {
    let rows = state["rows"].as_array().unwrap();
    rows.iter().map(|row| number(row, "/bytes")).sum()
}

#[test]
fn usage_waits_for_room_on_the_disk() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    for csv in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::mount(folder.path().join("disk"), "1m");
        disk.fill();
        let name = if csv {
            "disk/usage.csv"
        } else {
            "disk/usage.jsonl"
        };
        let arguments = ["--usage", name, "--interval", "1s"];
        let live = Live::start_in(folder, &receiver, "mirror0", &arguments);
        let mut out = sender.sender("out0");
        for _ in 0..4 {
            let some = frames("http");
            send(&mut out, some.iter().map(Vec::as_slice));
            thread::sleep(Duration::from_millis(700));
        }
        live.wait_for("usage records cannot be written; they wait");
        disk.make_room();
        live.wait_for("records can be written again");
        let (state, folder) = live.stop();
        assert_closes(&state);
        assert_eq!(number(&state, "/usage_records_lost"), 0);
        let file = folder.path().join(name);
        if csv {
            let text = fs::read_to_string(&file).unwrap();
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let headers = reader.headers().unwrap().clone();
            let place = headers.iter().position(|name| name == "bytes").unwrap();
            let rows = reader
                .records()
                .map(|row| row.unwrap()[place].parse::<u64>().unwrap());
            assert_eq!(rows.sum::<u64>(), settled(&state));
            continue;
        }
        let usage = records(&file);
        assert_eq!(bytes(&usage), settled(&state));
        let last = number(usage.last().unwrap(), "/sequence");
        assert!(last > 0);
        for sequence in 0..=last {
            let mut of = usage.iter().filter(|record| record["sequence"] == sequence);
            let expected = number(of.clone().next().unwrap(), "/records");
            assert_eq!(of.by_ref().count() as u64, expected, "{sequence}");
        }
    }
}

#[test]
fn what_a_run_did_not_cover_is_said() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let arguments = [
        "--usage",
        "usage.jsonl",
        "--interval",
        "2s",
        "--udp-idle",
        "1s",
    ];
    let all = frames("wechat");
    let mut out = sender.sender("out0");
    let mut folder = tempfile::tempdir().unwrap();
    // Killed, stopped, stopped: each begins inside an interval of the one before, or after it.
    for end in ["kill", "stop", "stop"] {
        let live = Live::start_in(folder, &receiver, "mirror0", &arguments);
        let file = live.path("usage.jsonl");
        let intervals = || {
            let text = fs::read_to_string(&file).unwrap();
            text.matches("\"usage\"").count()
        };
        let before = intervals();
        let until = clock() + Duration::from_secs(30);
        while intervals() == before {
            send(&mut out, all.iter().map(Vec::as_slice));
            thread::sleep(Duration::from_millis(200));
            assert!(clock() < until, "{}", live.log());
        }
        send(&mut out, all.iter().map(Vec::as_slice));
        thread::sleep(Duration::from_millis(300));
        folder = match end {
            "kill" => live.kill(),
            _ => live.stop().1,
        };
    }
    let said = lines(&folder.path().join("usage.jsonl"));
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let runs = said.iter().filter(|record| record["event_type"] == "run");
    let runs: Vec<(String, String)> = runs
        .map(|run| (text(run, "run"), text(run, "state")))
        .collect();
    let states: Vec<&str> = runs.iter().map(|(_, state)| state.as_str()).collect();
    // The first has no end.
    assert_eq!(states, ["started", "started", "ended", "started", "ended"]);
    for (run, has_ended) in [(&runs[0].0, false), (&runs[1].0, true), (&runs[3].0, true)] {
        let of: Vec<&Value> = said
            .iter()
            .filter(|record| record["run"] == **run)
            .collect();
        let usage: Vec<&&Value> = of
            .iter()
            .filter(|record| record["event_type"] == "usage")
            .collect();
        let (first, last) = (usage[0], usage[usage.len() - 1]);
        let from = run.clone().max(text(first, "timestamp"));
        assert_eq!(text(first, "covered_from"), from);
        let is_whole = text(last, "covered_until") == text(last, "end");
        assert!(
            is_whole || has_ended,
            "what was cut off by a kill is not told"
        );
        for record in &usage {
            assert!(text(record, "covered_from") < text(record, "covered_until"));
        }
        if has_ended {
            let end = of.last().unwrap();
            let intervals = number(last, "/sequence") + 1;
            assert_eq!(number(end, "/intervals"), intervals);
            assert!(text(end, "timestamp") >= text(last, "covered_until"));
            let sum: u64 = usage.iter().map(|record| number(record, "/bytes")).sum();
            assert_eq!(number(end, "/captured_bytes"), sum);
        }
    }
}

#[test]
fn what_a_full_disk_does_not_take_is_counted() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let disks = ["flows", "usage"].map(|name| Disk::mount(folder.path().join(name), "64k"));
    let arguments = "--flows flows/flows.jsonl --usage usage/usage.jsonl --interval 1s \
                     --tcp-idle 1s --tcp-closed 1s --udp-idle 1s";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let live = Live::start_in(folder, &receiver, "mirror0", &arguments);
    let mut out = sender.sender("out0");
    for _ in 0..3 {
        let all = frames("");
        send(&mut out, all.iter().map(Vec::as_slice));
        thread::sleep(Duration::from_millis(1500));
    }
    let (state, log, folder) = live.stop_with_failure();
    assert_closes(&state);
    let flows = records(&folder.path().join("flows/flows.jsonl")).len() as u64;
    let lost = number(&state, "/records_lost");
    assert!(flows > 0 && lost > 0, "{flows} {lost}");
    assert_eq!(flows + lost, number(&state, "/flows"), "{log}");

    let usage = records(&folder.path().join("usage/usage.jsonl"));
    let lost = number(&state, "/usage_records_lost");
    assert!(lost > 0 && bytes(&usage) < settled(&state));
    assert!(
        log.contains(&format!("usage.jsonl: {lost} records were not written")),
        "{log}"
    );
    assert!(!log.contains("can be written again"), "{log}");
    drop(disks);
}

#[test]
fn a_pipe_that_nobody_empties_holds_up_nothing() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let arguments = "--flows - --usage usage.jsonl --interval 1s --tcp-idle 1s --tcp-closed 1s \
                     --udp-idle 1s";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut live = Live::start(&receiver, "mirror0", &arguments);
    let mut out = sender.sender("out0");
    let all = frames("");
    for _ in 0..3 {
        send(&mut out, all.iter().map(Vec::as_slice));
        thread::sleep(Duration::from_millis(1500));
    }
    // More flows than a pipe holds have ended, and the other file goes on.
    let before = fs::read_to_string(live.path("usage.jsonl")).unwrap().len();
    send(&mut out, all.iter().map(Vec::as_slice));
    let until = clock() + Duration::from_secs(20);
    while fs::read_to_string(live.path("usage.jsonl")).unwrap().len() == before {
        assert!(clock() < until, "{}", live.log());
        thread::sleep(Duration::from_millis(50));
    }
    live.signal(Signal::SIGTERM);
    let status = live.wait();
    assert_eq!(status.code(), Some(1), "{}", live.log());
    let log = live.log();
    assert!(
        log.contains("standard output, which takes nothing: "),
        "{log}"
    );
    // The summary is where standard output is not.
    let summary = log.split_once("\n{").unwrap().1;
    let end = summary.rfind("\n}").unwrap();
    let state: Value = serde_json::from_str(&format!("{{{}}}", &summary[..end])).unwrap();
    assert_closes(&state);
    assert_eq!(bytes(&records(&live.path("usage.jsonl"))), settled(&state));
    // What the pipe holds was written; that it was not read is no loss of ours.
    let mut text = String::new();
    let _ = live.stdout().read_to_string(&mut text);
    let written = text.lines().count() as u64;
    let lost = number(&state, "/records_lost");
    let flows = number(&state, "/flows");
    assert!(
        lost > 0 && written + lost >= flows,
        "{written} {lost} {flows}"
    );
}

#[test]
fn a_run_that_only_writes_records_ends_with_their_reader() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let arguments = ["--flows", "-", "--tcp-closed", "1s", "--udp-idle", "1s"];
    let mut live = Live::start(&receiver, "mirror0", &arguments);
    drop(live.stdout());
    let mut out = sender.sender("out0");
    let some = frames("dns");
    let until = clock() + Duration::from_secs(30);
    while !live.has_ended() {
        send(&mut out, some.iter().map(Vec::as_slice));
        thread::sleep(Duration::from_millis(200));
        assert!(clock() < until, "{}", live.log());
    }
    let status = live.wait();
    assert_eq!(status.code(), Some(1), "{}", live.log());
    assert!(live.log().contains("nobody reads the records any more"));
}
