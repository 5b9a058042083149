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

/// What has ended is to be written within this, on a machine that has other things to do as well.
const SOON: Duration = Duration::from_secs(1);

/// Long enough for anything that happens at all.
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
    fs::write(at("other.pcap"), &bytes).unwrap();
    fs::write(at("text.txt"), "ours\n").unwrap();
    let mut nanoseconds = bytes.clone();
    nanoseconds[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    fs::write(at("nanoseconds"), nanoseconds).unwrap();
    fs::write(at("packed.zst"), zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    let mut gzip = GzEncoder::new(File::create(at("packed.gz")).unwrap(), Compression::fast());
    gzip.write_all(&bytes).unwrap();
    gzip.finish().unwrap();
    fs::write(at("next"), [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0]).unwrap();
    symlink("keep.pcap", at("link")).unwrap();
    symlink("text.txt", at("text.link")).unwrap();
    symlink("new", at("dangling")).unwrap();
    fs::hard_link(at("keep.pcap"), at("hard")).unwrap();
    fs::create_dir_all(at("rules/chat")).unwrap();
    fs::write(at("rules/chat/ours.toml"), "name = \"ours\"\n").unwrap();
    fs::write(at("settings.toml"), "[records]\nusage = \"other.pcap\"\n").unwrap();
    let before = contents(folder.path());

    // What is asked for, and what the error names.
    let read = &["read", "keep.pcap"][..];
    for (arguments, named) in [
        (&["--flows", "keep.pcap"][..], &["--flows", "keep.pcap"][..]),
        (&["--flows", "./keep.pcap"], &["./keep.pcap", "keep.pcap"]),
        (&["--flows", "link"], &["--flows link", "keep.pcap"]),
        (&["--flows", "hard"], &["--flows hard", "keep.pcap"]),
        (&["--flows", "other.pcap"], &["other.pcap", "capture"]),
        (&["--flows", "nanoseconds"], &["nanoseconds", "capture"]),
        (&["--flows", "packed.zst"], &["packed.zst", "capture"]),
        (&["--flows", "packed.gz"], &["packed.gz", "capture"]),
        (&["--flows", "next"], &["next", "capture"]),
        (
            &["--interval", "1s", "--usage", "keep.pcap"],
            &["--usage", "keep.pcap"],
        ),
        (
            &["--write-pcap", "hard"],
            &["--write-pcap hard", "keep.pcap"],
        ),
        (
            &["--write-pcap", "packed.gz", "--unknown"],
            &["--write-pcap packed.gz", "capture"],
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
                "text.txt",
                "--flows",
                "text.link",
            ],
            &["--flows text.link", "--usage text.txt"],
        ),
        (
            &["--interval", "1s", "--usage", "/dev/stdout", "--flows", "-"],
            &["--flows -", "--usage /dev/stdout"],
        ),
        (
            &["--signatures", "rules", "--flows", "rules/chat/ours.toml"],
            &["--flows", "rules/chat/ours.toml"],
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
            &["read", "other.pcap"],
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
        (
            &["--flows", "keep.pcap"][..],
            &["--flows keep.pcap", "capture"][..],
        ),
        (&["--usage", "packed.gz"], &["--usage packed.gz", "capture"]),
        (
            &["--config", "settings.toml"],
            &["--usage other.pcap", "capture"],
        ),
        (
            &["--config", "settings.toml", "--usage", "./settings.toml"],
            &["--usage ./settings.toml", "settings.toml"],
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

/// A capture of one UDP datagram for each port and second given, with its file header.
fn datagrams(packets: impl IntoIterator<Item = (u16, u32)>) -> Vec<u8> {
    let mut capture = header();
    for (port, second) in packets {
        capture.extend(datagram(port, second));
    }
    capture
}

fn header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65535, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A record with one datagram from this port and 40,000.
fn datagram(port: u16, second: u32) -> Vec<u8> {
    let payload = b"\x07nothing that anybody knows";
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0]);
    frame.extend(length(28));
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    frame.extend((40_000 + port).to_be_bytes());
    frame.extend(1999_u16.to_be_bytes());
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(payload);
    let len = u32::try_from(frame.len()).unwrap();
    let mut record: Vec<u8> = [1_700_000_000 + second, 0, len, len]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    record.extend(frame);
    record
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
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        };
        let rest: Vec<String> = self.lines.iter().collect();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (status.code(), rest.join("\n"), errors)
    }
}

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
                    if record.is_some() || began.elapsed() > PATIENCE {
                        break record.unwrap();
                    }
                };
                let took = began.elapsed();
                assert!(took < SOON, "{took:?}, {packing}, trickles: {trickles}");
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
    let began = Instant::now();
    let record = run.record(PATIENCE).unwrap();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
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
    thread::sleep(Duration::from_millis(500));
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
        // Until it listens; before that the signal ends it at once.
        thread::sleep(Duration::from_millis(1500));
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
    thread::sleep(Duration::from_millis(1500));
    kill(id, Signal::SIGINT).unwrap();
    thread::sleep(Duration::from_millis(1000));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits for its reader"
    );
    kill(id, Signal::SIGINT).unwrap();
    let began = Instant::now();
    let status = child.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(status.code(), Some(130));
}

#[test]
fn every_summary_has_whole_rows_and_the_same_sums() {
    const BY: [&str; 5] = ["app", "service", "category", "protocol", "client"];
    const NUMBERS: [&str; 6] = [
        "flows",
        "packets",
        "bytes",
        "bytes_toserver",
        "bytes_toclient",
        "ip_bytes",
    ];
    let folder = tempfile::tempdir().unwrap();
    let many = folder.path().join("many.pcap");
    let mut capture = datagrams((0..40).map(|number| (1000 + number, 0)));
    capture.extend(&sample()[24..]);
    fs::write(&many, capture).unwrap();
    let empty = folder.path().join("empty.pcap");
    fs::write(&empty, header()).unwrap();
    // Many rows; none; and flows that find no place.
    let odd = support::root().join("pcaps/odd.pcap");
    const TOPS: [Option<&str>; 4] = [None, Some("3"), Some("1"), Some("1000")];
    for (capture, more, tops) in [
        (&many, &[][..], &TOPS[..]),
        (&odd, &[], &TOPS[..2]),
        (&odd, &["--max-flows", "2"], &TOPS[1..2]),
        (&empty, &[], &TOPS[1..2]),
    ] {
        let run = |by: &str, format: &str, top: Option<&str>| {
            let mut arguments = vec!["read", capture.to_str().unwrap()];
            arguments.extend(["--by", by, "--format", format]);
            arguments.extend(more);
            if let Some(top) = top {
                arguments.extend(["--top", top]);
            }
            support::succeed(arguments)
        };
        let whole = rows_of_json(&run("app", "json", None));
        let sum = |rows: &[BTreeMap<String, String>], name: &str| -> u64 {
            rows.iter()
                .map(|row| row[name].parse::<u64>().unwrap())
                .sum()
        };
        for by in BY {
            for &top in tops {
                let what = format!("{} --by {by} --top {top:?}", capture.display());
                let json = rows_of_json(&run(by, "json", top));
                let text = run(by, "csv", top);
                let mut reader = csv::Reader::from_reader(text.as_bytes());
                let header = reader.headers().unwrap().clone();
                assert!(
                    header.iter().any(|name| name == "evidence"),
                    "{what}: {text}"
                );
                assert_eq!(header.iter().any(|name| name == "client"), by == "client");
                let csv: Vec<BTreeMap<String, String>> = reader
                    .deserialize()
                    .map(|row| row.unwrap_or_else(|error| panic!("{what}: {error}: {text}")))
                    .collect();
                assert_eq!(csv.len(), json.len(), "{what}");
                for (csv, json) in csv.iter().zip(&json) {
                    for (name, value) in csv {
                        let other = json.get(name).map_or("", String::as_str);
                        assert_eq!(value, other, "{what}: {name}");
                    }
                }
                for name in NUMBERS {
                    // Who found no place is no flow of anybody.
                    assert_eq!(sum(&json, name), sum(&whole, name), "{what}: {name}");
                }
                let most = top.map_or(usize::MAX, |top| top.parse::<usize>().unwrap() + 1);
                assert!(json.len() <= most, "{what}");
                let table = run(by, "table", top);
                for row in &json {
                    assert!(table.contains(&row["name"]), "{what}: {table}");
                }
                assert!(table.contains("closes"), "{what}: {table}");
            }
        }
    }
}

/// The rows of a summary; of its ledger what is counted under a name or as unknown has their sum.
fn rows_of_json(text: &str) -> Vec<BTreeMap<String, String>> {
    let summary: Value = serde_json::from_str(text).unwrap();
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let rows = summary["rows"].as_array().unwrap().iter();
    let rows: Vec<BTreeMap<String, String>> = rows
        .map(|row| {
            let row = row.as_object().unwrap().iter();
            row.map(|(name, value)| (name.clone(), plain(value)))
                .collect()
        })
        .collect();
    let named =
        |name: &str| name == "applications" || name == "protocols" || name.starts_with("unknown");
    let counted = summary["ledger"]["counted"].as_object().unwrap().iter();
    let counted: u64 = counted
        .filter(|(name, _)| named(name))
        .map(|(_, volume)| volume["bytes"].as_u64().unwrap())
        .sum();
    let of_rows: u64 = rows
        .iter()
        .map(|row| row["bytes"].parse::<u64>().unwrap())
        .sum();
    assert_eq!(of_rows, counted);
    rows
}

/// The flows of a capture by what does not depend on where in it they stand.
fn flows_of(capture: &Path) -> Vec<Value> {
    let mut flows = support::flows(capture, &[]);
    for flow in &mut flows {
        let flow = flow.as_object_mut().unwrap();
        flow.remove("flow_id");
        // How it is known may hang on other flows.
        for name in [
            "app",
            "app_id",
            "service",
            "category",
            "evidence",
            "signature",
            "unknown",
        ] {
            flow.remove(name);
        }
        flow.remove("settled_at_packet");
        flow["flow"].as_object_mut().unwrap().remove("reason");
    }
    flows.sort_by_key(ToString::to_string);
    flows
}

fn frames_of(flow: &Value) -> u64 {
    ["pkts_toserver", "pkts_toclient"]
        .map(|name| flow["flow"][name].as_u64().unwrap())
        .iter()
        .sum()
}

/// How many frames a capture has, by us and, where it is installed, by `capinfos`.
fn count_frames(capture: &Path) -> u64 {
    let path = capture.to_str().unwrap();
    let text = support::succeed(["read", path, "--format", "json", "--strict"]);
    let summary: Value = serde_json::from_str(&text).unwrap();
    let count = summary["ledger"]["wire"]["packets"].as_u64().unwrap();
    match Command::new("capinfos").args(["-Tmrc", path]).output() {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            let theirs = text.trim().rsplit(',').next().unwrap().to_owned();
            assert_eq!(theirs, count.to_string(), "capinfos of {path}");
        }
        Err(_) => support::skipped("capinfos is not installed: counts are not compared with it"),
    }
    count
}

#[test]
fn the_frames_of_flows_are_written_as_they_were_captured() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, selection) in [
        // Tags and tunnels, fragments in and out of order, flows of many kinds.
        ("tunnels", &[][..]),
        ("fragments", &[]),
        ("fragments", &["--flow", ":53"]),
        ("odd", &["--unknown"]),
        ("dns-learned", &["--app", "dns"]),
        ("dns-learned", &["--app", "tls", "--unknown"]),
        ("dns-learned", &["--app", "tls", "--flow", "192.0.2.99"]),
    ] {
        let capture = support::root().join(format!("pcaps/{name}.pcap"));
        let asked = |flow: &&Value| match selection {
            [] => true,
            ["--flow", ":53"] => flow["dest_port"] == 53 || flow["src_port"] == 53,
            ["--unknown"] => flow.get("unknown").is_some(),
            ["--app", "dns"] => flow["app_proto"] == "dns",
            ["--app", "tls", "--unknown"] => {
                flow["app_proto"] == "tls" || flow.get("unknown").is_some()
            }
            _ => false,
        };
        let all = support::flows(&capture, &[]);
        let expected: u64 = all.iter().filter(asked).map(frames_of).sum();
        let mut written = Vec::new();
        for (out, workers) in [("one.pcap", "1"), ("three.pcap", "3"), ("one.pcapng", "1")] {
            let out = at(out);
            let mut arguments = vec!["read", capture.to_str().unwrap(), "--workers", workers];
            arguments.extend(["--write-pcap", out.to_str().unwrap()]);
            arguments.extend(selection);
            let output = support::ottometer(&arguments);
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{arguments:?}: {text}");
            let flows = all.iter().filter(asked).count();
            let line = format!("{expected} frames of {flows} flows written");
            assert!(text.contains(&line), "{line}: {text}");
            assert_eq!(count_frames(&out), expected, "{arguments:?}");
            if selection.is_empty() {
                assert_eq!(flows_of(&out), flows_of(&capture), "{arguments:?}");
            }
            written.push(fs::read(&out).unwrap());
            fs::remove_file(&out).unwrap();
        }
        assert!(written[0] == written[1], "{name}: any number of workers");
    }
}

#[test]
fn frames_are_written_where_that_is_possible() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ethernet = datagrams([(1000, 0)]);
    let mut raw = ethernet.clone();
    raw[20] = 101;
    // Without the Ethernet header.
    raw.drain(24 + 16..24 + 16 + 14);
    for place in [32, 36] {
        raw[place] -= 14;
    }
    fs::write(at("ethernet.pcap"), &ethernet).unwrap();
    fs::write(at("raw.pcap"), &raw).unwrap();
    let (ethernet, raw) = (at("ethernet.pcap"), at("raw.pcap"));
    let read = |arguments: &[&str]| {
        let output = support::ottometer([&["read"], arguments].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    // Two link types are told in time, and nothing half is left behind.
    let (code, text) = read(&[&ethernet, &raw, "--write-pcap", &at("both.pcap")]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(".pcapng") && text.contains("1 and 101"),
        "{text}"
    );
    assert!(!Path::new(&at("both.pcap")).exists());
    let (code, text) = read(&[&ethernet, &raw, "--write-pcap", &at("both.pcapng")]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(count_frames(Path::new(&at("both.pcapng"))), 2);
    // Nothing fits: a capture without frames.
    let (code, text) = read(&[&ethernet, "--app", "dns", "--write-pcap", &at("none.pcap")]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(count_frames(Path::new(&at("none.pcap"))), 0);

    for (arguments, code, part) in [
        (&["-", "--write-pcap", "x.pcap"][..], 2, "standard input"),
        (
            &[&ethernet, "--write-pcap", "x.pcap.gz"],
            2,
            "not compressed",
        ),
        (
            &[&ethernet, "--write-pcap", &raw],
            2,
            "raw.pcap is a capture",
        ),
        (&[&ethernet, "--write-pcap", &ethernet], 2, "is read"),
        (&[&ethernet, "--unknown"], 2, "--write-pcap"),
        (
            &[
                &ethernet,
                "--app",
                "no-such-name",
                "--write-pcap",
                &at("y.pcap"),
            ],
            1,
            "no-such-name",
        ),
    ] {
        let (got, text) = read(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    assert!(!Path::new(&at("y.pcap")).exists());
}

/// A record with this payload, over UDP between the ports 45,000 and 1,999.
fn message(to_server: bool, second: u32, payload: &[u8]) -> Vec<u8> {
    let mut record = datagram(5000, second);
    let head = 16 + 14 + 20 + 8;
    record.truncate(head);
    record.extend(payload);
    let len = u32::try_from(record.len() - 16).unwrap();
    record[8..12].copy_from_slice(&len.to_le_bytes());
    record[12..16].copy_from_slice(&len.to_le_bytes());
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
    record[16 + 14 + 2..][..2].copy_from_slice(&length(28));
    record[16 + 14 + 20 + 4..][..2].copy_from_slice(&length(8));
    if !to_server {
        let ip = &mut record[16 + 14..];
        let (source, destination) = (ip[12..16].to_vec(), ip[16..20].to_vec());
        ip[12..16].copy_from_slice(&destination);
        ip[16..20].copy_from_slice(&source);
        let (source, destination) = (ip[20..22].to_vec(), ip[22..24].to_vec());
        ip[20..22].copy_from_slice(&destination);
        ip[22..24].copy_from_slice(&source);
    }
    record
}

#[test]
fn explain_shows_what_has_no_name_and_drafts_a_rule() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Messages with a number, a length and a text that a terminal would obey.
    let mut capture = header();
    for (second, to_server, text) in [
        (0, true, &b"\x1b[2Jhello"[..]),
        (0, false, b"\x1b[31mred\x07"),
        (1, true, b"and a longer text"),
        (2, true, b"bye"),
    ] {
        let mut payload = b"\xb7\x4f\x03".to_vec();
        payload.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        payload.extend(text);
        capture.extend(message(to_server, second, &payload));
    }
    // A big message, of which the first bytes are shown.
    capture.extend(message(false, 3, &[0xe9; 1200]));
    fs::write(at("odd.pcap"), capture).unwrap();
    let odd = at("odd.pcap");
    let odd = odd.to_str().unwrap();

    let text = support::succeed(["explain", odd, "--app", "unknown"]);
    assert!(
        text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')),
        "nothing is left for a terminal to obey: {text:?}"
    );
    for part in [
        "messages   c 14, s 14, c 22, c 8, s 1200",
        "client     44 bytes inspected, entropy ",
        "server     1,214 bytes inspected, entropy ",
        "  00000000  b7 4f 03 00 09 1b 5b 32  4a 68 65 6c 6c 6f b7 4f  |.O....[2Jhello.O|",
        "  000000f0 ",
        "... 958 more",
        "DRAFT",
        "at = [{ offset = 0, hex = \"b7 4f 03\" }]",
        "where = [\"be16(3) + 5 == len\"]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("00000100"), "{text}");
    let more = support::succeed(["explain", odd, "--bytes", "512"]);
    assert!(
        more.contains("  000001f0 ") && !more.contains("00000200"),
        "{more}"
    );

    // The draft is a file of signatures, and names the flow.
    let draft: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("# DRAFT"))
        .take_while(|line| !line.trim().is_empty() || line.starts_with("  "))
        .collect();
    fs::create_dir_all(at("rules/protocol")).unwrap();
    fs::write(at("rules/protocol/draft.toml"), draft.join("\n")).unwrap();
    let rules = at("rules");
    let rules = rules.to_str().unwrap();
    let checked = support::succeed(["signatures", "check", rules, "--deny-warnings"]);
    let tested = support::succeed(["signatures", "test", rules]);
    assert!(!tested.contains("FAILED"), "{checked}{tested}");
    let flows = support::flows(Path::new(odd), &["--signatures", rules]);
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0]["app_proto"], "draft");

    // What has a name is shown when it is asked for.
    let named = support::root().join("pcaps/wechat-mmtls.pcap");
    let named = named.to_str().unwrap();
    let brief = support::succeed(["explain", named, "--app", "wechat"]);
    assert!(!brief.contains("00000000"), "{brief}");
    let all = support::succeed(["explain", named, "--app", "wechat", "--all"]);
    assert!(all.contains("00000000") && all.contains("DRAFT"), "{all}");
    let wrong = support::ottometer(["explain", odd, "--bytes", "4097"]);
    assert_eq!(wrong.status.code(), Some(2));
}
