//! What a run writes: nothing over a capture or an input, everything in time, and all of it when it
//! is ended by a signal.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support;
use crate::support::packets::{datagram, datagrams, header};

/// Long enough for anything that happens at all, on a machine that has other things to do as well.
const PATIENCE: Duration = Duration::from_secs(60);

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ottometer"))
}

fn sample() -> Vec<u8> {
    fs::read(support::root().join("pcaps/wechat-mmtls.pcap")).unwrap()
}

/// A folder's files and what is in them, links followed.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).ok()))
        .collect()
}

#[test]
fn no_output_is_written_over_an_input_or_a_capture() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bytes = sample();
    fs::write(at("keep.pcap"), &bytes).unwrap();
    fs::write(at("other"), &bytes).unwrap();
    fs::write(at("text"), "ours\n").unwrap();
    let mut nanoseconds = bytes.clone();
    nanoseconds[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    fs::write(at("nanoseconds"), nanoseconds).unwrap();
    fs::write(at("packed-zst"), zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    let mut gzip = GzEncoder::new(File::create(at("packed-gz")).unwrap(), Compression::fast());
    gzip.write_all(&bytes).unwrap();
    gzip.finish().unwrap();
    fs::write(at("next"), [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0]).unwrap();
    symlink("keep.pcap", at("link")).unwrap();
    symlink("text", at("text-link")).unwrap();
    symlink("new", at("dangling")).unwrap();
    fs::hard_link(at("keep.pcap"), at("hard")).unwrap();
    fs::create_dir_all(at("rules/chat")).unwrap();
    fs::write(at("rules/chat/ours.toml"), "name = \"ours\"\n").unwrap();
    symlink("rules/chat/ours.toml", at("rules-link")).unwrap();
    symlink("settings.toml", at("settings")).unwrap();
    fs::write(
        at("settings.toml"),
        "[records]\nusage = \"other\"\nout = [\"flows=new\"]\n",
    )
    .unwrap();
    let before = contents(folder.path());

    // What is asked for, and what the error names.
    let read = &["read", "keep.pcap"][..];
    for (arguments, named) in [
        // No ending of a file of records, whatever is in it.
        (&["--flows", "keep.pcap"][..], &["--flows", "keep.pcap"][..]),
        (&["--flows", "rules/chat/ours.toml"], &["expected .jsonl"]),
        (&["--flows", "x.parqet"], &["--flows: x.parqet", "expected"]),
        (&["--out", "flows=x.cvs"], &["--out", "did you mean `.csv`"]),
        (&["--out", "flow=x.csv"], &["--out", "did you mean `flows`"]),
        (
            &["--out", "flows=./new", "--flows", "new"],
            &["--flows new", "--out flows=./new"],
        ),
        (
            &["--out", "flows=./hard"],
            &["--out flows=./hard", "keep.pcap"],
        ),
        (&["--flows", "link"], &["--flows link", "keep.pcap"]),
        (&["--flows", "hard"], &["--flows hard", "keep.pcap"]),
        (&["--flows", "other"], &["other", "capture"]),
        (&["--flows", "nanoseconds"], &["nanoseconds", "capture"]),
        (&["--flows", "packed-zst"], &["packed-zst", "capture"]),
        (&["--flows", "packed-gz"], &["packed-gz", "capture"]),
        (&["--flows", "next"], &["next", "capture"]),
        (
            &["--interval", "1s", "--usage", "link"],
            &["--usage link", "keep.pcap"],
        ),
        (
            &["--write-pcap", "hard"],
            &["--write-pcap hard", "keep.pcap"],
        ),
        (
            &["--write-pcap", "packed-gz", "--unknown"],
            &["--write-pcap packed-gz", "capture"],
        ),
        (
            &["--write-pcap", "new", "--flows", "./new"],
            &["--write-pcap new", "--flows ./new"],
        ),
        (
            &["--interval", "1s", "--usage", "hard", "--flows", "new"],
            &["--usage hard", "keep.pcap"],
        ),
        (
            &["--interval", "1s", "--usage", "new", "--flows", "./new"],
            &["--flows ./new", "--usage new"],
        ),
        (
            &["--interval", "1s", "--usage", "dangling", "--flows", "new"],
            &["--flows new", "--usage dangling"],
        ),
        (
            &[
                "--interval",
                "1s",
                "--usage",
                "text",
                "--flows",
                "text-link",
            ],
            &["--flows text-link", "--usage text"],
        ),
        (
            &["--interval", "1s", "--usage", "/dev/stdout", "--flows", "-"],
            &["--flows -", "--usage /dev/stdout"],
        ),
        (
            &["--signatures", "rules", "--flows", "rules-link"],
            &["--flows rules-link", "rules/chat/ours.toml"],
        ),
    ] {
        let output = program()
            .current_dir(folder.path())
            .args(read.iter().chain(arguments))
            .output()
            .unwrap();
        refused(&output, named);
        assert_eq!(contents(folder.path()), before, "{arguments:?}");
    }

    // Files that a shell has opened.
    let appended = || OpenOptions::new().append(true).open(at("hard")).unwrap();
    let keep = || File::open(at("keep.pcap")).unwrap();
    for (arguments, stdin, stdout, named) in [
        (
            &["read", "-", "--flows", "link"][..],
            Stdio::from(keep()),
            Stdio::piped(),
            &["--flows link", "standard input"][..],
        ),
        (
            &["read", "keep.pcap", "--flows", "-"],
            Stdio::null(),
            Stdio::from(appended()),
            &["--flows -", "keep.pcap"],
        ),
        (
            &["read", "-"],
            Stdio::from(keep()),
            Stdio::from(appended()),
            &["standard output", "standard input"],
        ),
        (
            &["read", "other"],
            Stdio::null(),
            Stdio::from(appended()),
            &["standard output", "capture"],
        ),
        (
            &["explain", "keep.pcap"],
            Stdio::null(),
            Stdio::from(appended()),
            &["standard output", "keep.pcap"],
        ),
    ] {
        let child = program()
            .current_dir(folder.path())
            .args(arguments)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        refused(&child.wait_with_output().unwrap(), named);
        assert_eq!(contents(folder.path()), before, "{arguments:?}");
    }

    // A live run is refused before it asks for an interface or for rights.
    for (arguments, named) in [
        (&["--flows", "link"][..], &["--flows link", "capture"][..]),
        (&["--usage", "packed-gz"], &["--usage packed-gz", "capture"]),
        (
            &["--config", "settings.toml"],
            &["--usage other", "capture"],
        ),
        (&["--out", "usage=link"], &["--out usage=link", "capture"]),
        (
            &["--usage", "keep.pcap"],
            &["records.usage: keep.pcap", "expected"],
        ),
        (
            &["--config", "settings.toml", "--usage", "./settings"],
            &["--usage ./settings", "settings.toml"],
        ),
    ] {
        let output = program()
            .current_dir(folder.path())
            .args(["live", "-i", "none"].iter().chain(arguments))
            .output()
            .unwrap();
        refused(&output, named);
        assert_eq!(contents(folder.path()), before, "{arguments:?}");
    }
}

fn refused(output: &Output, named: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{named:?}: {text}");
    for name in named {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_no_capture_is_written_over_and_devices_are_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.jsonl");
    fs::write(&path, "from before\n".repeat(1000)).unwrap();
    let capture = support::root().join("pcaps/wechat-mmtls.pcap");
    let capture = capture.to_str().unwrap();
    support::succeed(["read", capture, "--flows", path.to_str().unwrap()]);
    let expected = support::succeed(["read", capture, "--flows", "-", "--quiet"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    support::succeed([
        "read",
        capture,
        "--interval",
        "1s",
        "--flows",
        "/dev/null",
        "--usage",
        "/dev/null",
    ]);
    // Under another name it is standard output all the same: the summary goes elsewhere.
    let got = support::succeed(["read", capture, "--flows", "/dev/stdout"]);
    assert_eq!(got, expected);
}

/// The program with a pipe into it, and its lines as they come.
struct Run {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Run {
    fn start(arguments: &[&str]) -> Self {
        let mut child = program()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines() {
                let _ = out.send(line.unwrap());
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
        }
    }

    /// Waits until it is told of signals: one before that would end it at once.
    fn wait_until_it_listens(&self) {
        wait_until("it listens", || listens(self.child.id()));
    }

    fn write(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// The next line as JSON, if it comes in time.
    fn record(&self, within: Duration) -> Option<Value> {
        let line = self.lines.recv_timeout(within).ok()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// Exit code, standard output that was not taken and standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        wait_until("it ends", || self.child.try_wait().unwrap().is_some());
        let status = self.child.wait().unwrap();
        let rest: Vec<String> = self.lines.iter().collect();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (status.code(), rest.join("\n"), errors)
    }
}

/// Whether the process has the thread that takes a first signal, and ends when a second one would count.
fn listens(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let mut names = threads.map(|thread| fs::read(thread.unwrap().path().join("comm")));
    names.any(|name| name.is_ok_and(|name| name == b"signals\n"))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not yet: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The input stays open, and in time of capture nothing comes after what ends the flow: its record waits
/// for neither.
#[test]
fn what_has_ended_is_written_while_more_may_come() {
    // Once slowly, once a trickle without a pause, once compressed; a flow ends 60 s after its last
    // datagram, when a frame shows that time has passed.
    for packing in ["plain", "gzip", "zstd"] {
        for trickles in [false, true] {
            let workers = if trickles { "3" } else { "1" };
            let mut arguments = vec!["read", "-", "--flows", "-", "--quiet"];
            arguments.extend(["--workers", workers]);
            let mut run = Run::start(&arguments);
            let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            let mut write = |run: &mut Run, bytes: &[u8]| {
                let packed = match packing {
                    "gzip" => {
                        gzip.write_all(bytes).unwrap();
                        gzip.flush().unwrap();
                        std::mem::take(gzip.get_mut())
                    }
                    "zstd" => {
                        zstd.write_all(bytes).unwrap();
                        zstd.flush().unwrap();
                        std::mem::take(zstd.get_mut())
                    }
                    _ => bytes.to_vec(),
                };
                run.write(&packed);
            };
            write(&mut run, &header());
            write(&mut run, &datagram(1000, 0));
            for step in 1..4_u16 {
                let second = u32::from(step) * 100;
                write(&mut run, &datagram(1000 + step, second));
                let began = Instant::now();
                let record = loop {
                    if trickles {
                        // Half a record at a time.
                        let next = datagram(5000, second);
                        let (head, tail) = next.split_at(20);
                        write(&mut run, head);
                        thread::sleep(Duration::from_millis(10));
                        write(&mut run, tail);
                    }
                    let record = run.record(Duration::from_millis(40));
                    if let Some(record) = record {
                        break record;
                    }
                    assert!(
                        began.elapsed() < PATIENCE,
                        "{packing}, trickles: {trickles}"
                    );
                };
                assert_eq!(record["dest_port"], 1999);
                if !trickles {
                    assert_eq!(record["src_port"], 41_000 + step - 1);
                } else {
                    // The trickle's own flow ends as well, with the step after it.
                    while run.record(Duration::from_millis(10)).is_some() {}
                }
            }
            drop(run.input.take());
            assert_eq!(run.end().0, Some(0));
        }
    }
}

#[test]
fn usage_is_written_while_more_may_come() {
    let mut run = Run::start(&["read", "-", "--usage", "-", "--interval", "10s", "--quiet"]);
    // The first flow ends at 60 s, the time its bytes get their name; 100 s closes that interval.
    run.write(&datagrams([(1000, 0), (1001, 61), (1001, 100)]));
    let record = run.record(PATIENCE).unwrap();
    assert_eq!(record["event_type"], "usage");
    drop(run.input.take());
    assert_eq!(run.end().0, Some(0));
}

#[test]
fn a_slow_pipe_gives_the_records_of_the_file() {
    let capture = sample();
    let mut run = Run::start(&["read", "-", "--flows", "-", "--quiet"]);
    for piece in capture.chunks(capture.len() / 3 + 1) {
        run.write(piece);
        thread::sleep(Duration::from_millis(300));
    }
    drop(run.input.take());
    let (code, text, _) = run.end();
    assert_eq!(code, Some(0));
    let path = support::root().join("pcaps/wechat-mmtls.pcap");
    let file = support::succeed(["read", path.to_str().unwrap(), "--flows", "-", "--quiet"]);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&text), sorted(&file));
}

#[test]
fn standard_output_takes_every_encoding_that_is_a_stream() {
    let path = support::root().join("pcaps/wechat-mmtls.pcap");
    let read = |out: &str| {
        let path = path.to_str().unwrap();
        let mut command = program();
        command.args(["read", path, "--quiet", "--out", out]);
        command.output().unwrap()
    };
    let lines = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
    let json = read("flows=-").stdout;
    assert_eq!(read("flows=json:-").stdout, json);
    // A line of column names, and one for each flow.
    let csv = read("flows=csv:-").stdout;
    assert!(csv.starts_with(b"timestamp,event_type,flow_id,"));
    assert_eq!(lines(&csv), lines(&json) + 1);
    // The version of a message.
    assert!(read("flows=ipfix:-").stdout.starts_with(&[0, 10]));
    // The count of the octets of the first, behind which it stands.
    let syslog = read("flows=syslog:-").stdout;
    let place = syslog.iter().position(|&byte| byte == b' ').unwrap();
    assert!(syslog[place + 1..].starts_with(b"<134>1 "));
    // Nothing of that is a file.
    assert!(!Path::new("csv:-").exists());

    for (out, named) in [
        (
            "flows=cvs:-",
            &["no encoding `cvs`", "did you mean `csv:-`"][..],
        ),
        #[cfg(feature = "parquet")]
        (
            "flows=parquet:-",
            &["Parquet is written into files only", "csv:-"],
        ),
    ] {
        let output = read(out);
        refused(&output, named);
    }
}

#[test]
fn the_first_signal_is_the_end_of_the_input() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // In the middle of a record: what is not whole is not counted, and no damage.
        let mut run = Run::start(&["read", "-", "--flows", "-", "--strict"]);
        let mut capture = datagrams([(1000, 0), (1001, 100)]);
        capture.extend(&datagram(1002, 101)[..30]);
        run.write(&capture);
        assert!(run.record(PATIENCE).is_some());
        run.signal(signal);
        let (code, records, text) = run.end();
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(
            records.lines().count(),
            1,
            "the flow that had not ended: {records}"
        );
        assert!(text.contains("2 flows, 2 packets"), "{text}");
        assert!(text.contains("closes"), "{text}");
        assert!(text.contains("ended by a signal"), "{text}");
        assert!(!text.contains("damaged"), "{text}");
    }
    // What was on its way is taken in.
    let mut run = Run::start(&["read", "-"]);
    run.write(&datagrams([(1000, 0)]));
    run.wait_until_it_listens();
    run.write(&datagram(1001, 1));
    run.signal(Signal::SIGINT);
    let (code, text, _) = run.end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 flows, 2 packets"), "{text}");

    let mut run = Run::start(&["explain", "-"]);
    run.write(&datagrams([(1000, 0), (1001, 100)]));
    assert!(run.lines.recv_timeout(PATIENCE).is_ok());
    run.signal(Signal::SIGINT);
    let (code, text, errors) = run.end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(text.contains("10.0.0.1:41001"), "{text}");
}

#[test]
fn a_signal_ends_an_input_that_has_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in ["-", fifo.to_str().unwrap()] {
        let run = Run::start(&["read", path, "--format", "json"]);
        run.wait_until_it_listens();
        run.signal(Signal::SIGINT);
        let (code, text, errors) = run.end();
        assert_eq!(code, Some(0), "{path}: {errors}");
        let summary: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(summary["flows"], 0);
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    // Nobody reads what it writes: it cannot end in order.
    let mut child = program()
        .args(["read", "-", "--flows", "-", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let packets = (0..3000_u32).map(|number| (1 + number as u16, number / 100));
    let mut input = child.stdin.take().unwrap();
    input.write_all(&datagrams(packets)).unwrap();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
    wait_until("it listens", || listens(child.id()));
    kill(id, Signal::SIGINT).unwrap();
    wait_until("another signal counts", || !listens(child.id()));
    thread::sleep(Duration::from_millis(500));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits for its reader"
    );
    kill(id, Signal::SIGINT).unwrap();
    // Still nobody reads.
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
