//! How a live run starts and ends: signals at any moment, and what it refuses to start with.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support;
use crate::support::live::{Live, assert_closes, frames, lab};
use crate::support::netns::{Namespace, send};
use crate::support::services::{Certificate, installed};

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

/// Runs it with these arguments; its exit code and what it said of what was wrong.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = support::ottometer(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn keys_without_effect_and_too_many_threads_are_refused() {
    for (more, expected) in [
        (
            &["--token-file", "x"][..],
            "metrics.token_file: has no effect without metrics.listen (--listen ADDR:PORT)",
        ),
        (
            &["--tls-cert", "x", "--tls-key", "y"],
            "metrics.tls_key: has no effect without metrics.listen",
        ),
        (
            &["--threads", "99"],
            "capture.threads: 99 threads for each interface are 99 over all, at most 32",
        ),
        (
            &["-i", "nosuch1", "--threads", "17"],
            "capture.threads: 17 threads for each interface are 34 over all, at most 32",
        ),
    ] {
        let mut arguments = vec!["live", "-i", "nosuch0"];
        arguments.extend(more);
        let (code, said) = refused(&arguments);
        assert_eq!(code, 2, "{more:?}: {said}");
        assert!(said.contains(expected), "{more:?}: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.toml");
    let path = settings.to_str().unwrap();
    for (text, expected) in [
        (
            "[metrics]\ntoken_file = 'x'\n",
            ":2:1: metrics.token_file: has no",
        ),
        ("[capture]\nthreads = 99\n", ":2:1: capture.threads: 99 "),
    ] {
        fs::write(&settings, text).unwrap();
        let (code, said) = refused(&["live", "-i", "nosuch0", "--config", path]);
        assert_eq!(code, 2, "{text}: {said}");
        assert!(said.contains(expected), "{text}: {said}");
        assert_eq!(refused(&["config", "check", path]).0, 1, "{text}");
    }
}

#[test]
fn what_the_system_says_is_said_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(&["live", "-i", "lo", "--user", "root", "--listen", &address]);
    // Without the right to capture it does not come so far.
    if said.contains("cannot listen on") {
        assert_eq!(code, 1);
        assert_eq!(said.matches("in use").count(), 1, "{said}");
    } else {
        support::skipped("has no right to capture; run as root");
    }
    let (code, said) = refused(&["read", "/nonexistent.pcap"]);
    assert_eq!(
        (code, said.matches("No such file").count()),
        (1, 1),
        "{said}"
    );
}

#[test]
fn rules_in_the_wrong_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let wrong = folder.path().join("acmesoft.toml");
    let expected = format!("{}: expected CATEGORY/NAME.toml: ", wrong.display());
    let text = "[app]\nid = 4000000000\nname = 'acmesoft'\ntitle = 'Acme'\n\
                category = 'messaging'\nowner = 'Acme'\n";
    let capture = &support::captures()[0];
    let capture = capture.to_str().unwrap();
    let read = ["read", capture, "--signatures", dir];

    // None at all: with the built-in ones that may be meant.
    let (code, said) = refused(&read);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("warning: no CATEGORY/NAME.toml in it"),
        "{said}"
    );

    fs::create_dir(folder.path().join("messaging")).unwrap();
    fs::write(folder.path().join("messaging/acmesoft.toml"), text).unwrap();
    fs::write(folder.path().join("README.md"), "Rules").unwrap();
    let (code, said) = refused(&read);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(refused(&["signatures", "check", dir]).0, 0);

    fs::write(&wrong, text).unwrap();
    let (code, said) = refused(&read);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&expected), "{said}");
    let output = support::ottometer(["signatures", "check", dir]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&expected), "{said}");
    assert!(said.ends_with("1 files: 1 errors, 0 warnings\n"), "{said}");
}

#[test]
fn a_reload_tells_of_rules_in_the_wrong_place_and_of_none() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    let live = Live::start_in(folder, &receiver, "mirror0", &["--signatures", "rules"]);
    live.wait_for("WARN rules: no CATEGORY/NAME.toml in it");
    fs::write(rules.join("acmesoft.toml"), "").unwrap();
    live.signal(Signal::SIGHUP);
    live.wait_for("reload 1: signatures refused");
    live.wait_for("rules/acmesoft.toml: expected CATEGORY/NAME.toml");
    let (state, _) = live.stop();
    assert_closes(&state);
}

/// As root, who goes on as somebody else that may not write there.
#[test]
fn nobody_is_told_to_give_the_root_away() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    for (flows, expected) in [
        (
            "/nonexist/x.jsonl",
            "there is no folder /nonexist (No such file",
        ),
        ("x.jsonl", "/ is not writable for user 65534 "),
    ] {
        let output = receiver.enter(|| {
            Command::new(env!("CARGO_BIN_EXE_ottometer"))
                .args(["live", "-i", "mirror0", "--user", "65534", "--flows", flows])
                .current_dir("/")
                .output()
                .unwrap()
        });
        let said = String::from_utf8_lossy(&output.stderr).replace("user nobody", "user 65534");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{flows}: {said}");
        assert!(!said.contains("chown"), "{flows}: {said}");
    }
}

/// What the user that goes on may not read was read before, and a reload leaves it in use.
#[test]
fn keys_that_only_root_can_read_stay_in_use() {
    let Some((_sender, receiver)) = lab() else {
        return;
    };
    if !installed(&["curl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new(folder.path(), ["localhost".to_owned()]);
    let token = folder.path().join("token");
    fs::write(&token, "a-token-for-tests-only\n").unwrap();
    for path in [&certificate.key, &token] {
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }
    let [cert, key, token] =
        [&certificate.cert, &certificate.key, &token].map(|path| path.to_str().unwrap());
    // A port that is root's, too.
    let listen = ["--listen", "127.0.0.1:443", "--token-file", token];
    let tls = ["--tls-cert", cert, "--tls-key", key];
    let more = [&listen[..], &tls, &["--user", "65534"]].concat();
    let settings = tempfile::tempdir().unwrap();
    let live = Live::start_as_told(settings, &receiver, "mirror0", &more);
    assert!(live.log().contains("(65534:"), "{}", live.log());
    let status = |cert: &str, token: &str| {
        let output = receiver.enter(|| {
            Command::new("curl")
                .args(["--silent", "--noproxy", "*", "--max-time", "30"])
                .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
                .args(["--cacert", cert, "--header"])
                .arg(format!("Authorization: Bearer {token}"))
                .arg("https://localhost/metrics")
                .output()
                .unwrap()
        });
        String::from_utf8(output.stdout).unwrap()
    };
    let old = folder.path().join("old.pem");
    fs::copy(cert, &old).unwrap();
    let old = old.to_str().unwrap();
    assert_eq!(status(old, "a-token-for-tests-only"), "200");

    Certificate::new(folder.path(), ["localhost".to_owned()]);
    fs::write(token, "another-token-for-tests\n").unwrap();
    live.signal(Signal::SIGHUP);
    live.wait_for("reload 1: nothing changed");
    let log = live.log();
    for path in [key, token] {
        let said = format!("reload 1: cannot read {path}: Permission denied");
        assert!(log.contains(&said), "{log}");
    }
    assert_eq!(status(old, "a-token-for-tests-only"), "200");
    assert_eq!(status(old, "another-token-for-tests"), "401");
    let (state, _) = live.stop();
    assert_closes(&state);
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
        support::skipped("systemd-analyze is not installed");
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
