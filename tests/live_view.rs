//! The view of a live run on a terminal, which `script` (util-linux) lends.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support;
use crate::support::live::clock;
use crate::support::netns::Namespace;

/// Whether the process is there and has not ended.
fn runs(process: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The state stands behind the name.
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with('Z')
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = clock() + Duration::from_secs(60);
    while !done() {
        assert!(clock() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Nobody reads what the terminal shows, as behind a connection that hangs.
#[test]
fn a_terminal_that_takes_nothing_does_not_hold_up_the_end() {
    if !support::services::installed(&["script", "yes"]) {
        return;
    }
    let Some(namespace) = Namespace::new() else {
        return;
    };
    // (whether the terminal is full before the view begins)
    for full in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let fill = if full { "timeout 1 yes;" } else { "" };
        let command = format!(
            "stty cols 80 rows 24; {fill} echo $$ > process; \
             exec '{}' live -i lo --tui --user root --flows flows.jsonl 2> log",
            env!("CARGO_BIN_EXE_ottometer")
        );
        let mut terminal = namespace.enter(|| {
            Command::new("script")
                .args(["-qec", &command, "/dev/null"])
                .current_dir(folder.path())
                .env("TERM", "xterm")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        until("it captures", || log().contains("capturing"));
        let process = fs::read_to_string(folder.path().join("process")).unwrap();
        let process: i32 = process.trim().parse().unwrap();
        thread::sleep(Duration::from_secs(2));
        assert!(runs(process), "{}", log());
        kill(Pid::from_raw(process), Signal::SIGTERM).unwrap();
        let end = clock() + Duration::from_secs(60);
        while runs(process) && clock() < end {
            thread::sleep(Duration::from_millis(20));
        }
        let ended = !runs(process);
        if !ended {
            kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
        }
        // Nobody has read until here.
        drop(terminal.stdout.take());
        terminal.kill().unwrap();
        terminal.wait().unwrap();
        assert!(ended, "{}", log());
    }
}
