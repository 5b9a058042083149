//! Running the program, and the captures it is run on.

pub(crate) mod imports;
pub(crate) mod live;
pub(crate) mod netns;
pub(crate) mod packets;
pub(crate) mod services;
mod skips;

use std::ffi::OsStr;
use std::iter;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

pub(crate) use skips::skipped;

/// Runs `ottometer` with these arguments.
pub(crate) fn ottometer<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottometer"))
        .args(arguments)
        // Whoever runs the tests may have exported how wide his terminal is.
        .env_remove("COLUMNS")
        .output()
        .unwrap()
}

/// Runs it, expects success, gives standard output.
pub(crate) fn succeed<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> String {
    let output = ottometer(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The flow records of a capture.
pub(crate) fn flows(capture: &Path, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["read", capture.to_str().unwrap(), "--flows", "-", "--quiet"];
    arguments.extend(more);
    succeed(arguments)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The project's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Does this with every capture of `pcaps/`, several at once: what came of each, in their order.
pub(crate) fn each_capture<R: Send>(work: impl Fn(&Path) -> R + Sync) -> Vec<R> {
    each(&captures(), |capture| work(capture))
}

/// Does this with each of them, several at once: what came of each, in their order.
pub(crate) fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work_through = || {
        let places = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let mine = places.map_while(|place| Some((place, work(all.get(place)?))));
        mine.collect::<Vec<_>>()
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut done = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work_through)).collect();
        let parts = running.into_iter().map(|one| match one.join() {
            Ok(part) => part,
            Err(panic) => resume_unwind(panic),
        });
        parts.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|&(place, _)| place);
    done.into_iter().map(|(_, made)| made).collect()
}

/// All captures in `pcaps/`, by name.
pub(crate) fn captures() -> Vec<PathBuf> {
    let mut captures: Vec<PathBuf> = std::fs::read_dir(root().join("pcaps"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            [
                ".pcap",
                ".pcapng",
                ".pcap.gz",
                ".pcap.zst",
                ".pcapng.gz",
                ".pcapng.zst",
            ]
            .iter()
            .any(|ending| name.ends_with(ending))
        })
        .collect();
    captures.sort();
    assert!(!captures.is_empty(), "pcaps/ holds no capture");
    captures
}
