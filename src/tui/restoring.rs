//! The terminal is left as it was found, however the view ends: on a real one, which `script`
//! (util-linux) lends. Without that program the test says so and passes.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::{Quit, View};
use crate::skips::skipped;
use crate::view::samples;

const ENDING: &str = "OTTOMETER_TEST_ENDING";

#[test]
#[ignore = "the test below runs it, on a terminal of its own"]
fn a_view_that_ends() {
    let ending = std::env::var(ENDING).unwrap();
    let latest = Arc::new(arc_swap::ArcSwap::from_pointee(samples::usual(5)));
    let asked = std::cell::Cell::new(0);
    let thread = (ending == "thread").then(|| {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            panic!("another thread's last words");
        })
    });
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        View::run(&latest, || {
            asked.set(asked.get() + 1);
            assert!(
                ending != "panic" || asked.get() < 3,
                "the view's last words"
            );
            // Long enough for the others to end first.
            asked.get() > if ending == "stop" { 3 } else { 100 }
        })
    }));
    match (ending.as_str(), outcome) {
        ("quit", Ok(Ok(Quit::Asked)))
        | ("stop", Ok(Ok(Quit::Stopped)))
        | ("thread", Ok(Ok(Quit::Panicked)))
        | ("panic", Err(_)) => println!("ENDED AS IT SHOULD"),
        (_, outcome) => println!("ended otherwise: {outcome:?}"),
    }
    if let Some(thread) = thread {
        assert!(thread.join().is_err());
    }
    // A panic after the view is none of its business.
    assert!(catch_unwind(|| panic!("words after the view")).is_err());
}

#[test]
fn the_terminal_is_left_as_it_was() {
    if Command::new("script").arg("--version").output().is_err() {
        skipped("script is not installed");
        return;
    }
    let program = std::env::current_exe().unwrap();
    for (ending, words) in [
        ("quit", ""),
        ("stop", ""),
        ("thread", "another thread's last words"),
        ("panic", "the view's last words"),
    ] {
        let command = format!(
            "stty cols 80 rows 24; echo BEFORE $(stty -g); \
             '{}' --exact tui::restoring::a_view_that_ends --ignored --nocapture; \
             echo AFTER $(stty -g)",
            program.display()
        );
        let mut child = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env(ENDING, ending)
            .envs([
                ("TERM", "xterm"),
                ("LC_ALL", "C.UTF-8"),
                ("RUST_BACKTRACE", "0"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut keyboard = child.stdin.take().unwrap();
        if ending == "quit" {
            std::thread::sleep(Duration::from_millis(300));
            keyboard.write_all(b"q").unwrap();
        }
        let output = child.wait_with_output().unwrap();
        drop(keyboard);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let settings = |word: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(word));
            found.map(|settings| settings.trim().to_owned())
        };
        assert!(settings("BEFORE ").is_some(), "{ending}: {text:?}");
        assert_eq!(
            settings("BEFORE "),
            settings("AFTER "),
            "{ending}: {text:?}"
        );
        assert!(text.contains("ENDED AS IT SHOULD"), "{ending}: {text:?}");
        // Onto the alternate screen once, back once with the cursor shown, and only then words.
        let (screen, rest) = text.split_once("\u{1b}[?1049l").unwrap();
        assert!(
            screen.contains("\u{1b}[?1049h") && screen.contains("youtube"),
            "{screen:?}"
        );
        assert!(rest.starts_with("\u{1b}[?25h"), "{ending}: {rest:?}");
        assert!(
            !rest.contains("\u{1b}[?1049l") && !rest.contains("youtube"),
            "{rest:?}"
        );
        assert!(
            rest.contains(words) && !screen.contains("last words"),
            "{ending}: {text:?}"
        );
        assert!(rest.contains("words after the view"), "{ending}: {rest:?}");
    }
}
