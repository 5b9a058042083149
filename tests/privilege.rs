//! What is left of root's rights in a live run, seen from a process that gave them up
//! (`examples/privilege_probe.rs`), and what those are told who have no right to capture.
//!
//! Needs root to have something to give up; without it each test says that it was skipped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::skipped;

const NOBODY: u32 = 65_534;
const SIGABRT: i32 = 6;
const SIGSYS: i32 = 31;

/// Whether to go on; says so if not.
fn root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        skipped("needs root, to have something to give up");
    }
    is_root
}

/// The probe, where others than root can run it. A build of the test alone does not make it.
fn probe(folder: &TempDir) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/privilege_probe");
    assert!(
        built.exists(),
        "{} is not built: cargo build --example privilege_probe",
        built.display()
    );
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("probe");
    if !copy.exists() {
        // By another process: a file that this one has open for writing while another test
        // starts a program could not be run for a moment (ETXTBSY).
        let copied = Command::new("cp").arg(&built).arg(&copy).status().unwrap();
        assert!(copied.success());
    }
    copy
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(probe(folder))
        .args(arguments)
        .current_dir("/")
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(folder: &TempDir, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {:?}: {}{}",
        output.status,
        stdout(&output),
        stderr(&output)
    );
    stdout(&output)
}

/// A folder that `nobody` may write in.
fn theirs(folder: &TempDir) -> String {
    let path = folder.path().join("theirs");
    fs::create_dir_all(&path).unwrap();
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn line<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .split_whitespace()
        .collect()
}

#[test]
fn one_capability_is_left_and_threads_have_no_other() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    for what in ["status", "thread-status"] {
        let status = succeed(&folder, &["--user", "nobody", what]);
        for (name, expected) in [
            ("Uid", vec!["65534"; 4]),
            ("Gid", vec!["65534"; 4]),
            ("Groups", vec![]),
            ("CapInh", vec!["0000000000000000"]),
            ("CapPrm", vec!["0000000000002000"]),
            ("CapEff", vec!["0000000000002000"]),
            ("CapBnd", vec!["0000000000000000"]),
            ("CapAmb", vec!["0000000000000000"]),
            ("NoNewPrivs", vec!["1"]),
            ("Seccomp", vec!["2"]),
        ] {
            assert_eq!(line(&status, name), expected, "{what}: {name}");
        }
    }
    let limits = succeed(&folder, &["limits"]);
    assert!(
        limits.lines().any(|line| {
            line.starts_with("Max core file size")
                && line.split_whitespace().filter(|word| *word == "0").count() == 2
        }),
        "{limits}"
    );
}

#[test]
fn who_it_goes_on_as_can_be_said() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    for (user, uid, gid, capabilities) in [
        ("12345:54321", "12345", "54321", "0000000000002000"),
        ("12345", "12345", "12345", "0000000000002000"),
        // Meant so: at least without root's capabilities.
        ("root", "0", "0", "0000000000002000"),
    ] {
        let status = succeed(&folder, &["--user", user, "status"]);
        assert_eq!(line(&status, "Uid"), vec![uid; 4], "{user}");
        assert_eq!(line(&status, "Gid"), vec![gid; 4], "{user}");
        assert_eq!(line(&status, "CapEff"), [capabilities], "{user}");
        assert_eq!(line(&status, "CapPrm"), [capabilities], "{user}");
    }
    let output = run(&folder, &["--user", "no-such-user", "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no user 'no-such-user'"));
}

#[test]
fn what_was_given_up_is_gone() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let secret = secret.to_str().unwrap();

    // By the filter: ended on the spot.
    for what in [
        "spawn", "exec", "setuid", "mount", "chroot", "unshare", "ptrace",
    ] {
        let output = run(&folder, &[what]);
        assert_eq!(
            output.status.signal(),
            Some(SIGSYS),
            "{what}: {}",
            stderr(&output)
        );
    }
    // By an error, with the filter and, where users and capabilities suffice, without.
    for (arguments, expected) in [
        (&["kill"][..], "EPERM"),
        (&["local-socket"], "EAFNOSUPPORT"),
        (&["connect"], "os error 1)"),
        (&["core-limit"], "EPERM"),
        (&["dumpable"], "EPERM"),
        (&["read", secret], "os error 13)"),
        (&["write", "/etc/ottometer-was-here"], "os error 13)"),
        (&["--no-seccomp", "read", secret], "os error 13)"),
        (&["--no-seccomp", "setuid"], "EPERM"),
        (&["--no-seccomp", "mount"], "EPERM"),
        (&["--no-seccomp", "chroot"], "EPERM"),
        (&["--no-seccomp", "ptrace"], "EPERM"),
        (&["--no-seccomp", "core-limit"], "EPERM"),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    // It is the giving up that makes the difference: the filter can be left out.
    succeed(&folder, &["--no-seccomp", "spawn"]);
}

#[test]
fn a_live_run_goes_on_within_what_is_left() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let theirs = theirs(&folder);
    succeed(&folder, &["capture", "lo"]);
    succeed(&folder, &["--write", &theirs, "files", &theirs]);
    succeed(&folder, &["watch", &theirs]);
    succeed(&folder, &["signals"]);

    let output = run(&folder, &["panic"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["privilege_probe.rs:", "a number", "expect_number"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert_eq!(run(&folder, &["abort"]).status.signal(), Some(SIGABRT));
}

#[test]
fn metrics_are_served_within_what_is_left() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(probe(&folder))
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some(address) = line.strip_prefix("listening on ") else {
            continue;
        };
        let mut client = TcpStream::connect(address).unwrap();
        client
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("answered\n"), "{answer}");
        answered += 1;
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(answered, 2, "one listener from before, one from after");
    assert!(stderr(&output).contains("listening"), "no log line");
}

#[test]
fn a_terminal_is_drawn_on_within_what_is_left() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    // A terminal for it to have, by util-linux.
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{} terminal", probe(&folder).display()))
        .arg("/dev/null")
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        skipped("script is not installed");
        return;
    };
    let text = stdout(&output);
    assert!(
        output.status.success() && text.contains("terminal: done"),
        "{text}{}",
        stderr(&output)
    );
}

#[test]
fn what_has_to_stay_possible_is_tried_at_the_start() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let theirs = theirs(&folder);
    let ours = folder.path().join("root's");
    fs::create_dir(&ours).unwrap();
    fs::set_permissions(&ours, fs::Permissions::from_mode(0o700)).unwrap();
    let settings = ours.join("settings.toml");
    fs::write(&settings, "").unwrap();
    let (ours, settings) = (ours.to_str().unwrap(), settings.to_str().unwrap());

    succeed(
        &folder,
        &["--write", &theirs, "--read", "/etc/passwd", "nothing"],
    );
    for (option, path, expected) in [
        (
            "--write",
            ours,
            "is not writable for user 12345 (Permission denied",
        ),
        ("--write", ours, "chown 12345:54321 '"),
        (
            "--write",
            "/no/such/folder",
            "there is no folder /no/such/folder (No such file",
        ),
        (
            "--write",
            "/etc/passwd/records",
            "there is no folder /etc/passwd/records (Not a directory",
        ),
        ("--write", "/", "/ is not writable for user 12345 (Perm"),
        ("--write", "/", "choose a folder for records alone"),
        // The current folder.
        ("--write", "", "/ is not writable for user 12345 (Perm"),
        (
            "--write",
            "etc",
            "/etc is not writable for user 12345 (Perm",
        ),
        (
            "--write",
            "/usr/../etc",
            "choose a folder for records alone",
        ),
        ("--read", ours, "is not readable for user 12345"),
        // Its own mode would do, its folder's does not.
        ("--read", settings, "is not readable for user 12345"),
    ] {
        let output = run(&folder, &["--user", "12345:54321", option, path, "nothing"]);
        assert_eq!(output.status.code(), Some(1), "{option} {path}");
        let text = stderr(&output);
        assert!(text.contains(expected), "{option} {path}: {text}");
        let gives_away = text.contains("chown ");
        assert_eq!(gives_away, option == "--write" && path == ours, "{text}");
    }
}

#[test]
fn other_threads_would_keep_their_rights() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let output = run(&folder, &["thread"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there are 2 threads"));
}

#[test]
fn without_the_right_the_command_that_gives_it_is_named() {
    if !root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let program = probe(&folder);
    let as_nobody = |more: &[&str], what: &str| {
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args(more)
            .arg(&program)
            .arg(what)
            .current_dir("/")
            .output();
        output
            .inspect_err(|_| skipped("setpriv is not installed"))
            .ok()
    };
    let shown = program.display();

    if let Some(output) = as_nobody(&[], "check-capture") {
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        for expected in [
            format!("\n  sudo setcap cap_net_raw=ep {shown}\n"),
            format!("\n  sudo {shown} live -i 'my interface'\n"),
        ] {
            // A temporary folder that is mounted nosuid has the program copied first.
            assert!(
                text.contains(&expected) || text.contains("mounted nosuid"),
                "{text}"
            );
        }
    }
    for (more, expected) in [
        (&["--no-new-privs"][..], "no_new_privs"),
        (&["--bounding-set", "-net_raw"], "--cap-add NET_RAW"),
    ] {
        if let Some(output) = as_nobody(more, "check-capture") {
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{more:?}");
            assert!(text.contains(expected), "{more:?}: {text}");
        }
    }
    // A user without rights has nothing to give up but what everybody has, and does.
    if let Some(output) = as_nobody(&[], "status") {
        let status = stdout(&output);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(line(&status, "CapEff"), ["0000000000000000"]);
        assert_eq!(line(&status, "Seccomp"), ["2"]);
    }
    // As a systemd unit gives it.
    let ambient = ["--inh-caps", "+net_raw", "--ambient-caps", "+net_raw"];
    if let Some(output) = as_nobody(&ambient, "check-capture") {
        assert!(output.status.success(), "{}", stderr(&output));
    }
    if let Some(output) = as_nobody(&ambient, "status") {
        let status = stdout(&output);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(line(&status, "CapEff"), ["0000000000002000"]);
        for name in ["CapInh", "CapAmb"] {
            assert_eq!(line(&status, name), ["0000000000000000"], "{name}");
        }
    }
    // As the command named above gives it; not every file system can hold it.
    let given = Command::new("setcap")
        .arg("cap_net_raw=ep")
        .arg(&program)
        .output()
        .is_ok_and(|output| output.status.success());
    if !given {
        skipped("setcap has no effect on the folder of temporary files");
        return;
    }
    if let Some(output) = as_nobody(&[], "check-capture") {
        let text = stderr(&output);
        assert!(output.status.success() || text.contains("nosuid"), "{text}");
    }
}
