//! `ottometer live` in a lab of two network namespaces.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::captures;
use super::netns::Namespace;

/// The time, for what a test waits for.
#[expect(
    clippy::disallowed_methods,
    reason = "the programs of a test run in real time"
)]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// A live run, ended with the test.
pub(crate) struct Live {
    child: Child,
    folder: tempfile::TempDir,
}

impl Live {
    /// Starts `ottometer live` on `interface` and waits until it captures.
    pub(crate) fn start(namespace: &Namespace, interface: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, namespace, interface, more)
    }

    pub(crate) fn start_in(
        folder: tempfile::TempDir,
        namespace: &Namespace,
        interface: &str,
        more: &[&str],
    ) -> Self {
        let mut live = Self::spawn_in(folder, namespace, interface, more);
        live.wait_until_it_captures();
        live
    }

    /// Starts it as the user that `more` names, if it does, and waits until it captures.
    pub(crate) fn start_as_told(
        folder: tempfile::TempDir,
        namespace: &Namespace,
        interface: &str,
        more: &[&str],
    ) -> Self {
        let mut live = Self::spawn(folder, namespace, interface, more);
        live.wait_until_it_captures();
        live
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn_in(
        folder: tempfile::TempDir,
        namespace: &Namespace,
        interface: &str,
        more: &[&str],
    ) -> Self {
        // The folders of the test belong to the user who runs it.
        let more = [&["--user", "root"], more].concat();
        Self::spawn(folder, namespace, interface, &more)
    }

    /// Starts it outside of any lab, from what `arguments` name, and waits until it captures.
    pub(crate) fn start_here(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The folders of the test belong to the user who runs it.
        let user: &[&str] = match nix::unistd::geteuid().is_root() {
            true => &["--user", "root"],
            false => &[],
        };
        let child = Self::command(&folder, &[user, arguments].concat());
        let mut live = Self { child, folder };
        live.wait_until_it_captures();
        live
    }

    fn spawn(
        folder: tempfile::TempDir,
        namespace: &Namespace,
        interface: &str,
        more: &[&str],
    ) -> Self {
        let arguments = [&["-i", interface], more].concat();
        let child = namespace.enter(|| Self::command(&folder, &arguments));
        Self { child, folder }
    }

    fn command(folder: &tempfile::TempDir, arguments: &[&str]) -> Child {
        let errors = fs::File::create(folder.path().join("stderr")).unwrap();
        Command::new(env!("CARGO_BIN_EXE_ottometer"))
            .args(["live", "--format", "json"])
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap()
    }

    pub(crate) fn wait_until_it_captures(&mut self) {
        let until = clock() + Duration::from_secs(60);
        while !self.log().contains("capturing") {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{status}: {}", self.log());
            }
            assert!(clock() < until, "{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits until the log says so.
    pub(crate) fn wait_for(&self, text: &str) {
        let until = clock() + Duration::from_secs(30);
        while !self.log().contains(text) {
            assert!(clock() < until, "no '{text}' in {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Bytes of memory it has.
    pub(crate) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .unwrap()
            << 10
    }

    /// Kills it where it stands; its folder as it is then.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{}", self.log());
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// Waits until it has ended by itself, or by what it was sent.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = clock() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(clock() < until, "it goes on: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The reading end of its standard output.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Ends it, which fails: what it says at its end, and its log.
    pub(crate) fn stop_with_failure(mut self) -> (Value, String, tempfile::TempDir) {
        self.signal(Signal::SIGTERM);
        let text = self.said();
        let status = self.wait();
        assert_eq!(status.code(), Some(1), "{}", self.log());
        let log = self.log();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (serde_json::from_str(&text).unwrap(), log, folder)
    }

    /// What it wrote to standard output, once it has ended.
    pub(crate) fn said(&mut self) -> String {
        let mut text = String::new();
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        text
    }

    /// Ends it; what it says at its end.
    pub(crate) fn stop(mut self) -> (Value, tempfile::TempDir) {
        self.signal(Signal::SIGTERM);
        let text = self.said();
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
pub(crate) fn lab() -> Option<(Namespace, Namespace)> {
    let (sender, receiver) = (Namespace::new()?, Namespace::new()?);
    sender.veth("out0", &receiver, "mirror0");
    for (namespace, interface) in [(&sender, "out0"), (&receiver, "mirror0")] {
        namespace.ip(&format!("link set {interface} mtu 65535"));
    }
    Some((sender, receiver))
}

/// The frames of the Ethernet captures whose names begin so.
pub(crate) fn frames(beginning: &str) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for file in captures() {
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

pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no {pointer} in {value:#}"))
}

/// The sum of one field over all capture threads.
pub(crate) fn sum(state: &Value, field: &str) -> u64 {
    let sources = state["sources"].as_array().unwrap();
    sources
        .iter()
        .map(|source| number(source, &format!("/{field}")))
        .sum()
}

pub(crate) fn assert_closes(state: &Value) {
    assert_eq!(state["ledger"]["closes"], true, "{state:#}");
}
