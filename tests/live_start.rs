//! How a live run starts and ends: signals at any moment, and what it refuses to start with.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support;
use crate::support::live::{Live, assert_closes, frames, lab};
use crate::support::netns::{Namespace, send};

/// Longer than two signals are taken for one.
const LATER: Duration = Duration::from_millis(800);

/// A run that cannot go on with its start before it is let: its settings come from a pipe.
struct HeldUp {
    live: Live,
    settings: File,
}

impl HeldUp {
    fn start(namespace: &Namespace, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let mut arguments = vec!["--config", "settings.toml"];
        arguments.extend(more);
        let live = Live::spawn_in(folder, namespace, "mirror0", &arguments);
        // Opens once the other end reads.
        let settings = OpenOptions::new().write(true).open(&path).unwrap();
        // What is read when it is asked to read again.
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        Self { live, settings }
    }

    /// Lets it go on.
    fn release(self) -> Live {
        drop(self.settings);
        self.live
    }
}

#[test]
fn signals_during_the_start_are_kept() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    let held = HeldUp::start(&receiver, &[]);
    held.live.signal(Signal::SIGHUP);
    thread::sleep(Duration::from_millis(100));
    let mut live = held.release();
    live.wait_until_it_captures();
    live.wait_for("reload 1: nothing changed");
    let (state, _) = live.stop();
    assert_closes(&state);

    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let held = HeldUp::start(&receiver, &["--flows", "flows.jsonl"]);
        held.live.signal(signal);
        thread::sleep(Duration::from_millis(100));
        let mut live = held.release();
        let said = live.said();
        let status = live.wait();
        assert!(status.success(), "{signal}: {status}: {}", live.log());
        assert_closes(&serde_json::from_str(&said).unwrap());
        assert!(live.path("flows.jsonl").exists(), "{signal}");
    }
}

#[test]
fn a_second_signal_ends_a_start_that_hangs() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    for (first, second, code) in [
        (Signal::SIGTERM, Signal::SIGTERM, 143),
        (Signal::SIGINT, Signal::SIGINT, 130),
        (Signal::SIGTERM, Signal::SIGINT, 130),
    ] {
        let mut held = HeldUp::start(&receiver, &[]);
        held.live.signal(first);
        thread::sleep(LATER);
        assert!(!held.live.has_ended(), "one {first} is waited with");
        held.live.signal(second);
        assert_eq!(held.live.wait().code(), Some(code), "{first}, {second}");
    }
}

#[test]
fn a_second_signal_ends_an_end_that_hangs() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    // Nobody reads the records, of which there are more than a pipe holds.
    let mut live = Live::start(&receiver, "mirror0", &["--flows", "-"]);
    let frames = frames("");
    let mut out = sender.sender("out0");
    send(&mut out, frames.iter().map(Vec::as_slice));
    thread::sleep(LATER);
    // As timeout(1) does it: that is one wish.
    live.signal(Signal::SIGTERM);
    live.signal(Signal::SIGTERM);
    thread::sleep(LATER * 2);
    assert!(!live.has_ended(), "{}", live.log());
    live.signal(Signal::SIGINT);
    assert_eq!(live.wait().code(), Some(130), "{}", live.log());
    assert_ne!(live.said(), "", "what was written is there");
}

#[test]
fn two_signals_at_a_time_are_one() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    let mut live = Live::start(&receiver, "mirror0", &[]);
    live.signal(Signal::SIGTERM);
    live.signal(Signal::SIGINT);
    let said = live.said();
    let status = live.wait();
    assert!(status.success(), "{status}: {}", live.log());
    assert_closes(&serde_json::from_str(&said).unwrap());
}

/// A reload that hangs keeps nobody from ending the run.
#[test]
fn a_second_signal_ends_a_reload_that_hangs() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    fs::write(&path, "").unwrap();
    let mut live = Live::start_in(folder, &receiver, "mirror0", &["--config", "settings.toml"]);
    fs::remove_file(&path).unwrap();
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    live.signal(Signal::SIGHUP);
    // Opens once it reads there; it waits for what is never written.
    let mut settings = OpenOptions::new().write(true).open(&path).unwrap();
    settings.write_all(b"# ").unwrap();
    live.signal(Signal::SIGTERM);
    thread::sleep(LATER);
    assert!(!live.has_ended(), "{}", live.log());
    live.signal(Signal::SIGTERM);
    assert_eq!(live.wait().code(), Some(143), "{}", live.log());
}

#[test]
fn the_systemd_unit_is_in_order() {
    let unit = support::root().join("deploy/ottometer.service");
    let text = fs::read_to_string(&unit).unwrap();
    // A reload may come before the program's first instruction; systemd takes that for a good end.
    assert!(text.contains("\nRestartForceExitStatus=SIGHUP\n"));
    assert!(text.contains("\nSuccessExitStatus=130 143\n"));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("ottometer.service");
    let program = env!("CARGO_BIN_EXE_ottometer");
    fs::write(&copy, text.replace("/usr/local/bin/ottometer", program)).unwrap();
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&copy)
        .output();
    let Ok(output) = output else {
        support::skipped("needs systemd-analyze(1)");
        return;
    };
    // It has to say something of other units of the machine as well.
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("ottometer.service"))
        .collect();
    assert_eq!(ours, [""; 0], "{said}");
}
