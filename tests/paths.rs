//! What can be named to be read: folders, patterns, compressed files; and what is no capture.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use serde_json::Value;

use crate::support;

/// The smallest capture with an application in it.
fn sample() -> Vec<u8> {
    fs::read(support::root().join("pcaps/wechat-mmtls.pcap")).unwrap()
}

fn packets(output: &Output) -> u64 {
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    summary["ledger"]["wire"]["packets"].as_u64().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn read(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ottometer"))
        .args(["read", "--format", "json"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// The same capture, as each of the tools packs it.
fn packed(bytes: &[u8]) -> [(&'static str, Vec<u8>); 5] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 9);
    xz.write_all(bytes).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(bytes).unwrap();
    let blocks = FrameInfo::new().block_size(BlockSize::Max64KB);
    let mut lz4 = FrameEncoder::with_frame_info(blocks, Vec::new());
    lz4.write_all(bytes).unwrap();
    [
        ("gz", gzip.finish().unwrap()),
        ("zst", zstd::encode_all(bytes, 1).unwrap()),
        ("xz", xz.finish().unwrap()),
        ("bz2", bzip2.finish().unwrap()),
        ("lz4", lz4.finish().unwrap()),
    ]
}

#[test]
fn every_compression_gives_the_same_flows() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = sample();
    let plain = folder.path().join("plain.pcap");
    fs::write(&plain, &bytes).unwrap();
    let expected = support::flows(&plain, &[]);
    for (ending, packed) in packed(&bytes) {
        let path = folder.path().join(format!("x.pcap.{ending}"));
        fs::write(&path, &packed).unwrap();
        assert_eq!(support::flows(&path, &[]), expected, "{ending}");
        // Through a pipe, a piece at a time, with a pause: what it is shows only by its bytes.
        let mut child = Command::new(env!("CARGO_BIN_EXE_ottometer"))
            .args(["read", "-", "--flows", "-", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let (one, two) = packed.split_at(packed.len() / 2);
        pipe.write_all(one).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(400));
        pipe.write_all(two).unwrap();
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), expected.len(), "{ending}");
    }
    // Longer than a block of any of them, and cut: what is there is read, and it is said.
    let mut long = bytes.clone();
    for _ in 0..300 {
        long.extend(&bytes[24..]);
    }
    for (ending, packed) in packed(&long) {
        let path = folder.path().join(format!("cut.pcap.{ending}"));
        fs::write(&path, &packed[..packed.len() - 6]).unwrap();
        let path = path.to_str().unwrap();
        let cut = read(folder.path(), &[path]);
        assert_eq!(cut.status.code(), Some(0), "{ending}: {}", said(&cut));
        assert!(packets(&cut) > 0, "{ending}");
        let text = said(&cut);
        assert!(text.contains("damaged at byte"), "{ending}: {text}");
        let cut = read(folder.path(), &[path, "--strict"]);
        assert_eq!(cut.status.code(), Some(1), "{ending}");
    }
}

#[test]
fn a_folder_stands_for_its_captures() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = sample();
    fs::create_dir_all(at("day/old")).unwrap();
    fs::write(at("day/b.pcap"), &bytes).unwrap();
    // As tcpdump names what it rotates.
    fs::write(at("day/a.pcap1"), &bytes).unwrap();
    fs::write(at("day/c.pcap.xz"), &packed(&bytes)[2].1).unwrap();
    fs::write(at("day/notes.txt"), "these are notes").unwrap();
    fs::write(at("day/old/d.pcap"), &bytes).unwrap();
    let one = packets(&read(folder.path(), &["day/b.pcap"]));
    let all = read(folder.path(), &["day"]);
    assert_eq!(packets(&all), 3 * one);
    let text = said(&all);
    for part in ["day/notes.txt (not a capture)", "day/old (a folder)"] {
        assert!(text.contains(part), "{text}");
    }
    // (what is named, how many captures that is)
    for (names, captures) in [
        (&["day", "day/old/d.pcap"][..], 4),
        (&["day/*.pcap"], 1),
        (&["day/*.pcap*"], 3),
        (&["day/[ab].*"], 2),
        (&["d*"], 3),
    ] {
        assert_eq!(
            packets(&read(folder.path(), names)),
            captures * one,
            "{names:?}"
        );
    }
    // Frames are written as well, though the input is read three times, and into that folder.
    let written = read(folder.path(), &["day", "--write-pcap", "day/out.pcap"]);
    assert!(written.status.success(), "{}", said(&written));
    assert_eq!(packets(&read(folder.path(), &["day/out.pcap"])), 3 * one);
    // Nothing there.
    fs::create_dir(at("none")).unwrap();
    for name in ["none", "no*such"] {
        let output = read(folder.path(), &[name]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(said(&output).contains(name), "{}", said(&output));
    }
    let output = read(folder.path(), &["day", "--flows", "day/b.pcap"]);
    assert_eq!(
        output.status.code(),
        Some(2),
        "no capture of a folder is written over"
    );
}

#[test]
fn a_bad_file_among_many_is_told_and_passed_by() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = sample();
    fs::write(at("a.pcap"), &bytes).unwrap();
    fs::write(at("b.pcap"), &bytes).unwrap();
    fs::write(at("notes.txt"), "these are notes").unwrap();
    fs::write(at("cut.pcap"), &bytes[..10]).unwrap();
    let one = packets(&read(folder.path(), &["a.pcap"]));
    for bad in ["notes.txt", "cut.pcap", "missing.pcap"] {
        let output = read(folder.path(), &["a.pcap", bad, "b.pcap"]);
        assert_eq!(output.status.code(), Some(0), "{bad}: {}", said(&output));
        assert_eq!(packets(&output), 2 * one, "{bad}");
        let text = said(&output);
        assert!(text.contains("passed by") && text.contains(bad), "{text}");
        let strict = read(folder.path(), &["a.pcap", bad, "b.pcap", "--strict"]);
        assert_eq!(strict.status.code(), Some(1), "{bad}");
        assert!(said(&strict).contains(bad), "{}", said(&strict));
        // Alone there is nothing to go on with.
        assert_eq!(read(folder.path(), &[bad]).status.code(), Some(1), "{bad}");
    }
    let none = read(folder.path(), &["notes.txt", "cut.pcap"]);
    assert_eq!(none.status.code(), Some(1));
    let filter = read(
        folder.path(),
        &["a.pcap", "b.pcap", "--filter", "no such filter"],
    );
    assert_eq!(filter.status.code(), Some(1), "that is no file's fault");
}
