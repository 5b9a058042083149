//! Running the program, and the captures it is run on.

pub(crate) mod imports;
pub(crate) mod live;
pub(crate) mod netns;
pub(crate) mod packets;
pub(crate) mod services;
mod skips;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
