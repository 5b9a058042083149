//! Records to other hosts: received by a reader of the test's own, and by the collectors that people use.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support;
use crate::support::live::{Live, clock, frames, lab};
use crate::support::netns;

/// Long enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// The capture whose flows are sent.
fn capture() -> String {
    let path = support::root().join("pcaps/wechat-mmtls.pcap");
    path.to_str().unwrap().to_owned()
}

/// What flow records say: bytes of IP of each application, and how many there are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Volume {
    applications: BTreeMap<String, u64>,
    records: usize,
}

impl Volume {
    fn add(&mut self, app: &str, bytes: u64) {
        *self.applications.entry(app.to_owned()).or_default() += bytes;
        self.records += 1;
    }

    fn of_json<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut volume = Self::default();
        for line in lines {
            let record: Value = serde_json::from_str(line).unwrap();
            let flow = &record["flow"];
            let bytes = ["ip_bytes_toserver", "ip_bytes_toclient"].map(|side| flow[side].as_u64());
            let bytes = bytes.into_iter().map(Option::unwrap).sum();
            volume.add(record["app"].as_str().unwrap_or_default(), bytes);
        }
        volume
    }

    /// As `read` says it.
    fn expected(capture: &str) -> Self {
        let text = support::succeed(["read", capture, "--flows", "-", "--quiet"]);
        let volume = Self::of_json(text.lines());
        assert!(volume.applications.contains_key("wechat"), "{volume:?}");
        volume
    }
}

/// A reader of IPFIX that knows RFC 7011 and as much of RFC 5103 and RFC 6759 as it needs.
#[derive(Default)]
struct Collector {
    /// Elements (enterprise, number) and lengths.
    templates: BTreeMap<u16, Vec<(u32, u16, u16)>>,
    /// Those of options.
    options: BTreeMap<u16, Vec<(u32, u16, u16)>>,
    names: BTreeMap<Vec<u8>, String>,
    volume: Volume,
    sequence: u32,
    /// Times that templates were told.
    told: usize,
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count);
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8], count: usize) -> u64 {
    let bytes = take(bytes, count).iter();
    bytes.fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

impl Collector {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut header = bytes;
            assert_eq!(number(&mut header, 2), 10, "version");
            let length = number(&mut header, 2) as usize;
            let mut message = &take(&mut bytes, length)[8..];
            assert_eq!(
                number(&mut message, 4),
                u64::from(self.sequence),
                "sequence"
            );
            assert!(number(&mut message, 4) > 0, "domain");
            while !message.is_empty() {
                let id = number(&mut message, 2) as u16;
                let length = number(&mut message, 2) as usize;
                let mut set = take(&mut message, length - 4);
                while !set.is_empty() {
                    match id {
                        2 | 3 => self.template(id == 3, &mut set),
                        id => self.record(id, &mut set),
                    }
                }
            }
        }
    }

    fn template(&mut self, is_options: bool, set: &mut &[u8]) {
        self.told += 1;
        let id = number(set, 2) as u16;
        let count = number(set, 2);
        if is_options {
            assert_eq!(number(set, 2), 1, "one field of scope");
        }
        let fields = (0..count).map(|_| {
            let element = number(set, 2) as u16;
            let length = number(set, 2) as u16;
            let has_enterprise = element & 0x8000 > 0;
            let enterprise = has_enterprise.then(|| number(set, 4) as u32);
            (enterprise.unwrap_or_default(), element & 0x7fff, length)
        });
        let fields = fields.collect();
        let all = if is_options {
            &mut self.options
        } else {
            &mut self.templates
        };
        all.insert(id, fields);
    }

    fn record(&mut self, id: u16, set: &mut &[u8]) {
        self.sequence += 1;
        let is_options = self.options.contains_key(&id);
        let fields = self.options.get(&id).or_else(|| self.templates.get(&id));
        let fields = fields.expect("a template comes before its records");
        let mut record = BTreeMap::new();
        for &(enterprise, element, length) in fields {
            let length = match length {
                u16::MAX => match number(set, 1) {
                    255 => number(set, 2),
                    length => length,
                },
                length => length.into(),
            };
            record.insert((enterprise, element), take(set, length as usize).to_vec());
        }
        if is_options {
            // The category has a record of its own.
            let Some(name) = record.get(&(0, 96)) else {
                assert!(record.contains_key(&(0, 372)));
                return;
            };
            let name = String::from_utf8(name.clone()).unwrap();
            let name = name.trim_end_matches('\0').to_owned();
            assert!(record[&(0, 94)][0] > 0, "a description");
            self.names.insert(record[&(0, 95)].clone(), name);
            return;
        }
        let octets = |enterprise| number(&mut record[&(enterprise, 1)].as_slice(), 8);
        let bytes = octets(0) + octets(29_305);
        let app = record.get(&(0, 95)).map(|id| self.names[id].as_str());
        assert_eq!(app.unwrap_or_default().as_bytes(), record[&(0, 96)]);
        self.volume.add(app.unwrap_or_default(), bytes);
    }
}

/// All datagrams that come to `socket`, until there are none for a while after the first.
fn datagrams(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut block = vec![0; 1 << 16];
    loop {
        let wait = if all.is_empty() {
            PATIENCE
        } else {
            Duration::from_millis(500)
        };
        socket.set_read_timeout(Some(wait)).unwrap();
        match socket.recv(&mut block) {
            Ok(length) => all.push(block[..length].to_vec()),
            Err(_) => return all,
        }
    }
}

/// Takes one connection and reads it to its end.
fn accepted(listener: TcpListener) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    })
}

/// The octet-counted messages of RFC 6587.
fn counted(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|&byte| byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..blank])
            .unwrap()
            .parse()
            .unwrap();
        let message = &bytes[blank + 1..][..length];
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = &bytes[blank + 1 + length..];
    }
    messages
}

/// The records in messages of RFC 5424.
fn syslog_volume(messages: &[String], priority: u8) -> Volume {
    let records = messages.iter().map(|message| {
        let header = message
            .strip_prefix(&format!("<{priority}>1 "))
            .expect(message);
        let fields: Vec<&str> = header.splitn(7, ' ').collect();
        assert!(
            fields[0].ends_with('Z') && fields[0].len() == 27,
            "{message}"
        );
        assert_eq!(fields[2], "ottometer");
        assert_eq!((fields[4], fields[5]), ("flow", "-"));
        fields[6]
    });
    Volume::of_json(records)
}

#[test]
fn ipfix_over_udp_and_tcp_says_what_was_counted() {
    let capture = capture();
    let expected = Volume::expected(&capture);

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let out = format!("flows=ipfix+udp://{}", socket.local_addr().unwrap());
    let receiver = thread::spawn(move || datagrams(&socket));
    support::succeed(["read", &capture, "--out", &out, "--quiet"]);
    let mut collector = Collector::default();
    for datagram in receiver.join().unwrap() {
        assert!(datagram.len() <= 1232, "{} bytes", datagram.len());
        collector.read(&datagram);
    }
    assert_eq!(collector.volume, expected);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let out = format!("flows=ipfix+tcp://{}", listener.local_addr().unwrap());
    let receiver = accepted(listener);
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("flows.ipfix");
    let both = ["--flows", file.to_str().unwrap()];
    let read = ["read", &capture, "--out", &out, "--quiet"];
    support::succeed(read.into_iter().chain(both));
    let bytes = receiver.join().unwrap();
    let mut collector = Collector::default();
    collector.read(&bytes);
    assert_eq!(collector.volume, expected);
    assert!(
        fs::read(file).unwrap() == bytes,
        "a file is a session as well"
    );
}

#[test]
fn syslog_over_udp_tcp_and_tls() {
    let capture = capture();
    let expected = Volume::expected(&capture);

    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let out = format!("flows=syslog+udp://{}", socket.local_addr().unwrap());
    let receiver = thread::spawn(move || datagrams(&socket));
    support::succeed(["read", &capture, "--out", &out, "--quiet"]);
    let messages = receiver.join().unwrap().into_iter();
    let messages: Vec<String> = messages
        .map(|one| String::from_utf8(one).unwrap())
        .collect();
    assert_eq!(syslog_volume(&messages, 134), expected);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let out = format!("flows=syslog+tcp://{at}?facility=daemon");
    let receiver = accepted(listener);
    support::succeed(["read", &capture, "--out", &out, "--quiet"]);
    let messages = counted(&receiver.join().unwrap());
    assert_eq!(syslog_volume(&messages, 3 * 8 + 6), expected);

    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&ca, signed.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = tokio_rustls::rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = thread::spawn(move || {
        let config = Arc::new(config);
        let mut all = Vec::new();
        // The first is refused by who calls.
        for _ in 0..2 {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = listener.accept().unwrap().0;
            let mut stream = StreamOwned::new(session, stream);
            let _ = stream.read_to_end(&mut all);
        }
        all
    });
    let url = format!("flows=syslog+tls://localhost:{port}");
    let refused = support::ottometer(["read", &capture, "--out", &url, "--quiet"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("certificate"), "{text}");
    let trusted = format!("{url}?ca={}", ca.display());
    support::succeed(["read", &capture, "--out", &trusted, "--quiet"]);
    let messages = counted(&receiver.join().unwrap());
    assert_eq!(syslog_volume(&messages, 134), expected);
}

#[test]
fn what_cannot_be_reached_or_is_not_known_is_refused() {
    let capture = capture();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for (out, code, said) in [
        (
            format!("flows=ipfix+tcp://{closed}"),
            1,
            "no connection to 127.0.0.1",
        ),
        (
            "flows=ipfix+udp://no.such.host.invalid".to_owned(),
            1,
            "is not found",
        ),
        (
            "flows=ipfx+udp://localhost".to_owned(),
            2,
            "did you mean `ipfix+udp`?",
        ),
        (
            "flows=syslog+udp://localhost?facilty=user".to_owned(),
            2,
            "did you mean `facility`?",
        ),
        (
            "flows=syslog+tls://localhost?ca=/no/such.pem".to_owned(),
            1,
            "/no/such.pem",
        ),
    ] {
        let output = support::ottometer(["read", &capture, "--out", &out, "--quiet"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{out}: {text}");
        assert!(text.contains(said), "{out}: {text}");
    }
}

/// What comes until nothing has come for a while.
fn until_quiet(stream: &mut TcpStream) -> Vec<u8> {
    let quiet = Duration::from_millis(2500);
    stream.set_read_timeout(Some(quiet)).unwrap();
    let (mut all, mut block) = (Vec::new(), vec![0; 1 << 16]);
    while let Ok(length @ 1..) = stream.read(&mut block) {
        all.extend_from_slice(&block[..length]);
    }
    all
}

#[test]
fn a_live_run_outlives_its_collectors() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    receiver.ip("link set lo up");
    let listener = receiver.enter(|| TcpListener::bind("127.0.0.1:4739").unwrap());
    let closed = "flows=ipfix+udp://127.0.0.1:9";
    let arguments = [
        "--out",
        "flows=ipfix+tcp://127.0.0.1:4739",
        "--out",
        "usage=syslog+tcp://127.0.0.1:6514",
        "--out",
        closed,
        "--flows",
        "flows.jsonl",
        "--interval",
        "1s",
        "--udp-idle",
        "200ms",
        "--tcp-closed",
        "200ms",
        "--tcp-idle",
        "1s",
        "--half-open-idle",
        "200ms",
    ];
    let live = Live::start(&receiver, "mirror0", &arguments);
    let mut out = sender.sender("out0");
    let mut send = || {
        let some = frames("http");
        netns::send(&mut out, some.iter().map(Vec::as_slice));
    };
    // The first connection is closed by who listens, the second is read to the end.
    send();
    let mut first = Collector::default();
    let mut stream = listener.accept().unwrap().0;
    first.read(&until_quiet(&mut stream));
    assert!(first.told > 0);
    drop(stream);
    send();
    let second = accepted(listener);
    // Nobody has listened to the usage until now.
    live.wait_for("usage records cannot be written; they wait");
    let usage = receiver.enter(|| TcpListener::bind("127.0.0.1:6514").unwrap());
    let usage = accepted(usage);
    live.wait_for("records can be written again");
    thread::sleep(Duration::from_millis(1500));
    send();
    thread::sleep(Duration::from_millis(2500));
    let (said, log, folder) = live.stop_with_failure();
    let lost = said["records_lost"].as_u64().unwrap();
    assert!(lost > 0, "nobody is at {closed}: {said:#}");
    assert!(log.contains("ipfix+udp://127.0.0.1:9"), "{log}");

    let mut collector = Collector::default();
    collector.read(&second.join().unwrap());
    assert!(collector.told > 0, "a session of its own");
    let text = fs::read_to_string(folder.path().join("flows.jsonl")).unwrap();
    let expected = Volume::of_json(text.lines());
    let got = first.volume.records + collector.volume.records;
    assert_eq!(got, expected.records, "{log}");

    let messages = counted(&usage.join().unwrap());
    let records = messages.iter().map(|message| {
        let record = message.splitn(8, ' ').last().unwrap();
        serde_json::from_str::<Value>(record).unwrap()
    });
    let mut intervals: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    // The run itself is said beside them.
    for record in records.filter(|record| record["event_type"] == "usage") {
        let of = intervals
            .entry(record["sequence"].as_u64().unwrap())
            .or_default();
        *of = (of.0 + 1, record["records"].as_u64().unwrap());
    }
    assert!(
        intervals.values().all(|(got, said)| got == said),
        "{intervals:?}"
    );
    assert!(
        intervals.keys().copied().eq(0..intervals.len() as u64),
        "{intervals:?}"
    );
}

/// A collector that a test started, ended with it.
struct Daemon(Child);

impl Daemon {
    /// Starts a program that listens on a UDP port of its own; `None` where there is no such program.
    fn start(program: &str, arguments: impl FnOnce(u16) -> Vec<String>) -> Option<(Self, u16)> {
        let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let child = Command::new(program)
            .args(arguments(port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            support::skipped(&format!("{program} is not installed"));
            return None;
        };
        let listens = || fs::read_to_string("/proc/net/udp").unwrap();
        wait_until(program, || listens().contains(&format!(":{port:04X} ")));
        Some((Self(child), port))
    }

    /// Asks it to end, which writes what it has.
    fn end(mut self) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        kill(id, Signal::SIGINT).unwrap();
        let until = clock() + Duration::from_secs(5);
        while self.0.try_wait().unwrap().is_none() && clock() < until {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = clock() + PATIENCE;
    while !is_so() {
        assert!(clock() < until, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Captures with several applications, one flow for each pair of sockets; one with flows that have several
/// records.
fn captures() -> Vec<String> {
    let names = [
        "wechat-mmtls",
        "apple-push",
        "discord-voice",
        "http",
        "long-flows",
    ];
    let path = |name| support::root().join(format!("pcaps/{name}.pcap"));
    names
        .map(|name| path(name).to_str().unwrap().to_owned())
        .into()
}

/// Of each pair of sockets: its application, and the bytes of both directions.
type Sockets = BTreeMap<(String, String, String), (String, [u64; 2])>;

fn sockets() -> Sockets {
    let read = ["read", "--flows", "-", "--quiet"].map(ToOwned::to_owned);
    let text = support::succeed(read.into_iter().chain(captures()));
    let mut sockets = Sockets::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let port = record["src_port"].to_string();
        let flow = &record["flow"];
        let key = (text("src_ip"), port, text("dest_ip"));
        let one = sockets.entry(key).or_insert_with(|| (text("app"), [0, 0]));
        for (sum, side) in one
            .1
            .iter_mut()
            .zip(["part_ip_bytes_toserver", "part_ip_bytes_toclient"])
        {
            *sum += flow[side].as_u64().unwrap();
        }
    }
    sockets
}

/// Bytes of each application, as a collector has them of pairs of sockets.
fn by_application(
    sockets: &Sockets,
    rows: impl Iterator<Item = ((String, String, String), u64)>,
) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (key, bytes) in rows {
        let (app, _) = sockets.get(&key).unwrap_or_else(|| panic!("{key:?}"));
        *all.entry(app.clone()).or_default() += bytes;
    }
    all
}

fn send_to(port: u16) {
    let out = format!("flows=ipfix+udp://127.0.0.1:{port}");
    let read = ["read", "--out", &out, "--quiet"].map(ToOwned::to_owned);
    support::succeed(read.into_iter().chain(captures()));
}

#[test]
fn nfdump_has_the_bytes_of_each_application() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let started = Daemon::start("nfcapd", |port| {
        let port = port.to_string();
        ["-p", &port, "-b", "127.0.0.1", "-w", at, "-t", "2"]
            .map(ToOwned::to_owned)
            .into()
    });
    let Some((daemon, port)) = started else {
        return;
    };
    let sockets = sockets();
    send_to(port);
    thread::sleep(Duration::from_secs(1));
    daemon.end();
    let output = Command::new("nfdump")
        .args(["-R", at, "-o", "csv"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let column = |name: &str| names.iter().position(|one| one == name).unwrap();
    let [source, port, server, sent, got] = ["sa", "sp", "da", "ibyt", "obyt"].map(column);
    let start = column("ts");
    // A summary stands behind the rows.
    let rows = reader.records().map(Result::unwrap);
    let rows: Vec<csv::StringRecord> = rows.filter(|row| row.len() == names.len()).collect();
    assert!(
        rows.iter().all(|row| row[start].starts_with("2026-01-02 ")),
        "{text}"
    );
    let rows = rows.iter().map(|row| {
        let key = [source, port, server].map(|place| row[place].trim().to_owned());
        let bytes = [sent, got].map(|place| row[place].trim().parse::<u64>().unwrap());
        (key.into(), bytes.iter().sum())
    });
    let expected = sockets
        .iter()
        .map(|(key, (_, bytes))| (key.clone(), bytes.iter().sum()));
    assert_eq!(
        by_application(&sockets, rows),
        by_application(&sockets, expected)
    );
}

#[test]
fn pmacct_has_the_bytes_of_each_application() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flows.csv");
    let settings = folder.path().join("nfacctd.conf");
    let started = Daemon::start("nfacctd", |port| {
        let text = format!(
            "daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nplugins: print\n\
             aggregate: src_host, src_port, dst_host\nprint_refresh_time: 2\nprint_output: csv\n\
             print_output_file: {}\nprint_output_file_append: true\n",
            file.display()
        );
        fs::write(&settings, text).unwrap();
        vec!["-f".to_owned(), settings.to_str().unwrap().to_owned()]
    });
    let Some((daemon, port)) = started else {
        return;
    };
    let sockets = sockets();
    send_to(port);
    let rows = || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let rows = text.lines().filter(|line| !line.starts_with("SRC_IP"));
        let rows = rows.map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let key = (fields[0], fields[2], fields[1]);
            let key = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
            (key, fields[4].parse::<u64>().unwrap())
        });
        rows.collect::<Vec<_>>()
    };
    wait_until("nfacctd writes what it has", || !rows().is_empty());
    daemon.end();
    // It knows nothing of what the server sent (RFC 5103).
    let expected = sockets
        .iter()
        .map(|(key, (_, bytes))| (key.clone(), bytes[0]));
    let got = by_application(&sockets, rows().into_iter());
    assert_eq!(got, by_application(&sockets, expected));
}
