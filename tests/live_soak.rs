//! What a live run must stand for weeks, in short: reloads under traffic, kills at any moment, a
//! flood of new flows. `scripts/soak.sh` runs it at full size and prints the figures.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use etherparse::PacketBuilder;
use nix::sys::signal::Signal;
use pcap::{Active, Capture};
use serde_json::Value;

use crate::live_services::{get, served};
use crate::support::live::{Live, assert_closes, clock, frames, lab, number, sum};
use crate::support::netns::{Namespace, send};

/// How often, or how long: full size is for `scripts/soak.sh`.
fn size(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text}")),
        Err(_) => default,
    }
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn port(&mut self) -> u16 {
        1024 + u16::try_from(self.below(60_000)).unwrap()
    }

    fn address(&mut self, network: u8) -> Ipv4Addr {
        let [.., a, b, c] = self.next().to_be_bytes();
        Ipv4Addr::new(network, a, b, c)
    }

    fn letters(&mut self, count: u64) -> String {
        (0..count)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }
}

type End = (Ipv4Addr, u16);

/// Flags of a segment that are set besides ACK, or SYN alone.
#[derive(Clone, Copy, PartialEq)]
enum Segment {
    Syn,
    SynAck,
    Data,
    Fin,
    Rst,
}

fn tcp(from: End, to: End, kind: Segment, sequence: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let step = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .tcp(from.1, to.1, sequence, 65_535);
    let step = match kind {
        Segment::Syn => step.syn(),
        Segment::SynAck => step.syn().ack(ack),
        Segment::Data => step.psh().ack(ack),
        Segment::Fin => step.fin().ack(ack),
        Segment::Rst => step.rst().ack(ack),
    };
    let mut frame = Vec::with_capacity(step.size(payload.len()));
    step.write(&mut frame, payload).unwrap();
    frame
}

fn udp(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    let step = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .udp(from.1, to.1);
    let mut frame = Vec::with_capacity(step.size(payload.len()));
    step.write(&mut frame, payload).unwrap();
    frame
}

fn request(host: &str) -> Vec<u8> {
    format!("GET /{host} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: soak\r\n\r\n").into_bytes()
}

const RESPONSE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Names that take turns for `flip.test`, a set each.
const TURNS: u64 = 64;

/// The name for `flip.test` in that round's set.
fn flip(round: u64) -> String {
    format!("flip{}", round % TURNS)
}

/// Makes the set of that round of the one before. All have one name for `always.test`.
fn write_set(signatures: &Path, round: u64) {
    let folder = signatures.join("messaging");
    fs::create_dir_all(&folder).unwrap();
    let set = |name: &str, id: u64, host: &str| {
        format!(
            "[app]\nid = {id}\nname = '{name}'\ntitle = '{name}'\ncategory = 'messaging'\n\
             owner = 'Acme'\n\n[[domain]]\nsuffix = ['{host}']\nservice = 'chat'\n"
        )
    };
    if let Some(before) = round.checked_sub(1) {
        fs::remove_file(folder.join(format!("{}.toml", flip(before)))).unwrap();
    }
    let id = 2 + round % TURNS;
    for (name, id, host) in [
        ("acmesoft", 1, "always.test"),
        (&flip(round), id, "flip.test"),
    ] {
        fs::write(folder.join(format!("{name}.toml")), set(name, id, host)).unwrap();
    }
}

/// Names a flow may have that is sent when that round's set is in force or a later one, which the
/// thread that gets to it late may have already: not those of the rounds before.
fn flips_from(round: u64) -> Vec<String> {
    (round..round + TURNS * 3 / 4).map(flip).collect()
}

/// What is known of a flow that was sent.
#[derive(Debug, Default)]
struct Sent {
    /// The application may be any of these; none of them means that it has none.
    names: Vec<String>,
    to_server: (u64, u64),
    to_client: (u64, u64),
}

/// A connection that is sent piece by piece.
struct Connection {
    client: End,
    server: End,
}

/// Sends connections and keeps account of them.
struct Client<'a> {
    out: &'a mut Capture<Active>,
    sent: HashMap<(String, u64), Sent>,
    packets: u64,
    next: u32,
}

impl Client<'_> {
    fn open(&mut self) -> Connection {
        self.next += 1;
        let [_, a, b, c] = (self.next / 50_000).to_be_bytes();
        let port = u16::try_from(1024 + self.next % 50_000).unwrap();
        let connection = Connection {
            client: (Ipv4Addr::new(100, 64 + a, b, c + 1), port),
            server: (Ipv4Addr::new(198, 51, 100, 1), 80),
        };
        self.put(&connection, true, Segment::Syn, 0, 0, b"");
        self.put(&connection, false, Segment::SynAck, 0, 1, b"");
        self.put(&connection, true, Segment::Data, 1, 1, b"");
        connection
    }

    /// The request, of which one of `names` must be known, and the answer to it.
    fn ask(&mut self, connection: &Connection, host: &str, names: &[String]) -> (u32, u32) {
        let request = request(host);
        self.put(connection, true, Segment::Data, 1, 1, &request);
        let ack = 1 + u32::try_from(request.len()).unwrap();
        self.put(connection, false, Segment::Data, 1, ack, RESPONSE);
        self.entry(connection).names = names.to_vec();
        (ack, 1 + u32::try_from(RESPONSE.len()).unwrap())
    }

    fn close(&mut self, connection: &Connection, (sequence, ack): (u32, u32)) {
        self.put(connection, true, Segment::Fin, sequence, ack, b"");
        self.put(connection, false, Segment::Fin, ack, sequence + 1, b"");
        self.put(connection, true, Segment::Data, sequence + 1, ack + 1, b"");
    }

    /// A whole connection.
    fn talk(&mut self, host: &str, names: &[String]) {
        let connection = self.open();
        let end = self.ask(&connection, host, names);
        self.close(&connection, end);
    }

    fn entry(&mut self, connection: &Connection) -> &mut Sent {
        let (address, port) = connection.client;
        self.sent
            .entry((address.to_string(), port.into()))
            .or_default()
    }

    fn put(
        &mut self,
        connection: &Connection,
        from_client: bool,
        kind: Segment,
        sequence: u32,
        ack: u32,
        payload: &[u8],
    ) {
        let Connection { client, server } = *connection;
        let (from, to) = if from_client {
            (client, server)
        } else {
            (server, client)
        };
        let frame = tcp(from, to, kind, sequence, ack, payload);
        let sent = self.entry(connection);
        let side = if from_client {
            &mut sent.to_server
        } else {
            &mut sent.to_client
        };
        side.0 += 1;
        side.1 += frame.len() as u64;
        self.raw([frame.as_slice()]);
    }

    fn raw<'a>(&mut self, frames: impl IntoIterator<Item = &'a [u8]>) {
        let mut count = 0;
        send(self.out, frames.into_iter().inspect(|_| count += 1));
        self.packets += count;
    }
}

/// Every frame is counted, and counted under the right name: that of the set in force when it
/// came. A connection opened before a reload and used after it has the name of the new set.
#[test]
fn reloads_lose_nothing() {
    let reloads = size("OTTOMETER_SOAK_RELOADS", 100) / 2;
    for threads in ["1", "2"] {
        let Some((sender, receiver)) = lab() else {
            return;
        };
        let mut out = sender.sender("out0");
        let folder = tempfile::tempdir().unwrap();
        let signatures = folder.path().join("signatures");
        write_set(&signatures, 0);
        let arguments = format!(
            "--signatures signatures --signatures-replace --threads {threads} --flows flows.jsonl"
        );
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let live = Live::start_in(folder, &receiver, "mirror0", &arguments);

        let corpus = frames("");
        let mut others = corpus.iter().map(Vec::as_slice).cycle();
        let mut client = Client {
            out: &mut out,
            sent: HashMap::new(),
            packets: 0,
            next: 0,
        };
        let acmesoft = ["acmesoft".to_owned()];
        let long = client.open();
        let (mut sequence, ack) = client.ask(&long, "always.test", &acmesoft);
        let mut pending = client.open();
        for round in 0..=reloads {
            let now = flips_from(round);
            // All of this comes after the program has said that it has the set.
            let end = client.ask(&pending, "flip.test", &now);
            client.close(&pending, end);
            client.talk("www.flip.test", &now);
            client.talk("always.test", &acmesoft);
            client.talk("other.test", &[]);
            if round == reloads {
                break;
            }
            pending = client.open();
            write_set(&signatures, round + 1);
            live.signal(Signal::SIGHUP);
            // And this while it reads and replaces.
            for _ in 0..10 {
                client.talk("flip.test", &now);
                client.talk("always.test", &acmesoft);
                client.put(&long, true, Segment::Data, sequence, ack, b"+");
                sequence += 1;
                client.raw(others.by_ref().take(20));
            }
            live.wait_for(&format!("reload {}:", round + 1));
        }
        fs::write(
            signatures.join("messaging/acmesoft.toml"),
            "[app]\nid = 'one'\n",
        )
        .unwrap();
        live.signal(Signal::SIGHUP);
        live.wait_for("refused");

        let Client { sent, packets, .. } = client;
        let (state, folder) = live.stop();
        assert_closes(&state);
        assert_eq!(number(&state, "/ledger/wire/packets"), packets);
        assert_eq!(sum(&state, "dropped_ring"), 0);
        assert_eq!(number(&state, "/reloads/accepted"), reloads);
        assert_eq!(number(&state, "/reloads/refused"), 1);
        assert_eq!(number(&state, "/records_lost"), 0);
        let unseen = check_flows(&folder.path().join("flows.jsonl"), sent, &state);
        eprintln!(
            "soak: reloads={reloads} threads={threads} packets={packets} \
             not_looked_at_for_overload={unseen}"
        );
    }
}

/// Every flow that was sent is there once, with its name and its volume, and the summary says what
/// the records do. Gives the number of flows nobody looked at.
fn check_flows(file: &Path, mut sent: HashMap<(String, u64), Sent>, state: &Value) -> u64 {
    let mut unseen = 0;
    let mut apps: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let app = record["app"].as_str();
        let flow = |field: &str| number(&record, &format!("/flow/{field}"));
        let to_server = (flow("pkts_toserver"), flow("bytes_toserver"));
        let to_client = (flow("pkts_toclient"), flow("bytes_toclient"));
        if let Some(app) = app {
            let total = apps.entry(app.to_owned()).or_default();
            total.0 += to_server.0 + to_client.0;
            total.1 += to_server.1 + to_client.1;
        }
        let port = record["src_port"].as_u64().unwrap_or(0);
        let key = (record["src_ip"].as_str().unwrap().to_owned(), port);
        let Some(expected) = sent.remove(&key) else {
            assert_eq!(app, None, "{record:#}");
            continue;
        };
        assert_eq!(to_server, expected.to_server, "{record:#}");
        assert_eq!(to_client, expected.to_client, "{record:#}");
        if record["unknown"] == "overload" {
            unseen += 1;
            continue;
        }
        let fits = match app {
            Some(app) => expected.names.iter().any(|name| name == app),
            None => expected.names.is_empty(),
        };
        assert!(fits, "{:?} {record:#}", expected.names);
        if let Some(app) = app {
            // The rule is of the application's own file, whichever set is in force by now.
            let signature = record["signature"].as_str().unwrap();
            assert_eq!(signature.split('/').next(), Some(app), "{record:#}");
        }
    }
    assert!(sent.is_empty(), "without a record: {sent:#?}");
    let rows = state["rows"].as_array().unwrap();
    for (app, total) in &apps {
        let row = rows.iter().find(|row| row["name"] == app.as_str());
        let row = row.unwrap_or_else(|| panic!("no {app} in {state:#}"));
        assert_eq!(
            (number(row, "/packets"), number(row, "/bytes")),
            *total,
            "{app}"
        );
    }
    let last = flip(number(state, "/reloads/accepted"));
    assert!(
        apps.contains_key("acmesoft") && apps.contains_key(&last),
        "{apps:?}"
    );
    unseen
}

/// What was found in record files.
#[derive(Debug, Default)]
struct Found {
    files: u64,
    compressed: u64,
    /// Compressed files that were not finished.
    unfinished: u64,
    lines: u64,
}

impl Found {
    /// Looks at all record files of a folder, as a kill left them.
    fn examine(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "stderr" || path.is_dir() {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let (record_file, bytes) = if let Some(of) = name.strip_suffix(".zst.tmp") {
                // The file it is made from must be there still.
                assert!(path.with_file_name(of).exists(), "{name}");
                self.unfinished += 1;
                continue;
            } else if let Some(of) = name.strip_suffix(".zst") {
                let plain = zstd::decode_all(bytes.as_slice());
                let plain = plain.unwrap_or_else(|error| panic!("{name}: {error}"));
                if let Ok(original) = fs::read(path.with_file_name(of)) {
                    assert_eq!(original, plain, "{name}");
                }
                self.compressed += 1;
                (of, plain)
            } else {
                (name, bytes)
            };
            self.files += 1;
            let text = String::from_utf8(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                text.is_empty() || text.ends_with('\n'),
                "{name} ends with half a line"
            );
            self.lines += if record_file.ends_with(".jsonl") {
                json_lines(&text, name)
            } else if record_file.ends_with(".csv") && name.starts_with("usage") {
                csv_lines(&text, name)
            } else {
                panic!("what is {name}?")
            };
        }
    }
}

fn json_lines(text: &str, name: &str) -> u64 {
    let mut lines = 0;
    for line in text.lines() {
        let record: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        if name.starts_with("flows") {
            assert_eq!(record["event_type"], "flow", "{name}: {line}");
            number(&record, "/flow/pkts_toserver");
        } else if record["event_type"] == "run" {
            number(&record, "/interval");
        } else {
            assert_eq!(record["event_type"], "usage", "{name}: {line}");
            number(&record, "/bytes");
        }
        lines += 1;
    }
    lines
}

fn csv_lines(text: &str, name: &str) -> u64 {
    // The reader refuses rows of another length than the first.
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let mut lines = 0;
    for row in reader.records() {
        let row = row.unwrap_or_else(|error| panic!("{name}: {error}"));
        for (column, value) in header.iter().zip(&row) {
            if [
                "sequence", "records", "packets", "bytes", "ip_bytes", "flows",
            ]
            .contains(&column)
            {
                assert!(value.parse::<u64>().is_ok(), "{name}: {column} of {row:?}");
            }
        }
        lines += 1;
    }
    // A record is a line, and none is blank.
    let physical = text.lines().count() as u64;
    assert_eq!(
        physical,
        if text.is_empty() { 0 } else { lines + 1 },
        "{name}"
    );
    lines
}

/// Killed anywhere, what is in the record files is whole lines, before anything mends them.
#[test]
fn kills_break_no_line() {
    let kills = size("OTTOMETER_SOAK_KILLS", 20);
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let mut folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("signatures"), 0);
    let arguments: Vec<&str> = "--signatures signatures --signatures-replace --flows flows.jsonl \
         --usage usage.jsonl --interval 1s --rotate-size 64KiB --keep 20 --compress zstd \
         --tcp-idle 2s --tcp-closed 1s --udp-idle 1s --ring-size 8MiB"
        .split_whitespace()
        .collect();
    let mut found = Found::default();
    let over = AtomicBool::new(false);
    let mut numbers = Numbers(200);
    let mut while_writing = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut out = sender.sender("out0");
            traffic(&mut out, &over);
        });
        // The traffic ends with the test, also with one that fails.
        let _ends = Raise(&over);
        for round in 0..kills {
            let mut live = Live::spawn_in(folder, &receiver, "mirror0", &arguments);
            if numbers.below(5) == 0 {
                // While it begins: files are opened and what was left undone is done.
                thread::sleep(Duration::from_micros(numbers.below(400_000)));
            } else {
                live.wait_until_it_captures();
                if numbers.below(3) == 0 {
                    thread::sleep(Duration::from_micros(numbers.below(2_500_000)));
                } else {
                    // While it writes: records come many at a time, once a second.
                    let file = live.path("flows.jsonl");
                    let length = || fs::metadata(&file).map_or(0, |metadata| metadata.len());
                    let before = length();
                    let until = clock() + Duration::from_secs(5);
                    while length() == before && clock() < until {
                        thread::yield_now();
                    }
                    while_writing += 1;
                    let wait = clock() + Duration::from_micros(numbers.below(20_000));
                    while clock() < wait {
                        std::hint::spin_loop();
                    }
                }
            }
            let log = live.log();
            for word in ["cut off", "differ", "ERROR", "panicked"] {
                assert!(!log.contains(word), "kill {round}: {log}");
            }
            folder = live.kill();
            found.examine(folder.path());
        }
        // And it still works.
        let live = Live::start_in(folder, &receiver, "mirror0", &arguments);
        thread::sleep(Duration::from_millis(200));
        let log = live.log();
        assert!(!log.contains("cut off"), "{log}");
        over.store(true, Ordering::Relaxed);
        let (state, folder) = live.stop();
        assert_closes(&state);
        found.examine(folder.path());
    });
    assert!(found.lines > 0 && found.compressed > 0, "{found:?}");
    eprintln!(
        "soak: kills={kills} while_writing={while_writing} files_checked={} lines_checked={} \
         compressed={} unfinished={}",
        found.files, found.lines, found.compressed, found.unfinished
    );
}

/// Set when it goes.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Short connections with names of many lengths, and all kinds of frames, until it is over.
fn traffic(out: &mut Capture<Active>, over: &AtomicBool) {
    let mut numbers = Numbers(1);
    let corpus = frames("");
    let mut others = corpus.iter().map(Vec::as_slice).cycle();
    while !over.load(Ordering::Relaxed) {
        for _ in 0..40 {
            let client = (numbers.address(10), numbers.port());
            let server = (numbers.address(11), 80);
            let letters = 1 + numbers.below(60);
            let label = numbers.letters(letters);
            let host = match numbers.below(4) {
                0 => "always.test".to_owned(),
                1 => format!("{label}.flip.test"),
                2 => format!("{label}.{label}.{label}.other.test"),
                _ => format!("{label}.test"),
            };
            let request = request(&host);
            for frame in [
                tcp(client, server, Segment::Syn, 0, 0, b""),
                tcp(server, client, Segment::SynAck, 0, 1, b""),
                tcp(client, server, Segment::Data, 1, 1, &request),
                tcp(server, client, Segment::Rst, 1, 1, b""),
            ] {
                send(out, [frame.as_slice()]);
            }
        }
        send(out, others.by_ref().take(20));
        thread::sleep(Duration::from_millis(10));
    }
}

/// Flows held at most in the flood.
const FLOOD_FLOWS: u64 = 20_000;

/// What the resident memory may differ by: the allocator's leftovers, and in the flood records that wait
/// for a disk, or a processor, that others keep busy.
const SLACK: u64 = 32 << 20;

/// Rounds of the flood, at least.
const ROUNDS: usize = 4;

/// The first two packets of a flow nobody has seen: of a kind that has its name with them, or of
/// any kind.
fn new_flow(numbers: &mut Numbers, any: bool) -> [Vec<u8>; 2] {
    let (client, server) = ((numbers.address(10), numbers.port()), numbers.address(11));
    let name = numbers.letters(12);
    let payload = match numbers.below(if any { 4 } else { 2 }) {
        0 => request(&format!("{name}.whatsapp.net")),
        1 => {
            let server = (server, 53);
            let answer = numbers.address(12);
            let (question, answer) = dns(&format!("{name}.whatsapp.net"), answer);
            return [udp(client, server, &question), udp(server, client, &answer)];
        }
        2 => format!("SSH-2.0-{name}\r\n").into_bytes(),
        _ => numbers.letters(40).into_bytes(),
    };
    let server = (server, numbers.port());
    [
        tcp(client, server, Segment::Syn, 0, 0, b""),
        tcp(client, server, Segment::Data, 1, 1, &payload),
    ]
}

/// A question for an address and its answer (RFC 1035, section 4).
fn dns(name: &str, address: Ipv4Addr) -> (Vec<u8>, Vec<u8>) {
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let mut answer = question.clone();
    answer[2] = 0x81;
    answer[3] = 0x80;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend(address.octets());
    (question, answer)
}

/// The sum of a metric's series.
fn value(page: &str, name: &str) -> u64 {
    let lines = page.lines().filter_map(|line| line.strip_prefix(name));
    let series = lines.filter(|rest| rest.starts_with(['{', ' ']));
    let values = series.map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    values.sum::<f64>() as u64
}

/// Waits until all that was sent is counted, every flow has ended, and no record is written any more.
fn wait_for_rest(live: &Live, namespace: &Namespace, packets: u64) {
    let written = || {
        let files = fs::read_dir(live.path(".")).unwrap();
        let files = files.map(|file| file.unwrap().metadata());
        files
            .map(|file| file.map_or(0, |file| file.len()))
            .sum::<u64>()
    };
    let until = clock() + Duration::from_secs(120);
    let mut before = None;
    loop {
        let page = get(namespace, served(live), "/metrics");
        let counted = value(&page, "ottometer_wire_packets_total")
            + value(&page, "ottometer_dropped_packets_total");
        let held = value(&page, "ottometer_flow_table_flows");
        let now = (counted, held, written());
        if counted == packets && held == 0 && before == Some(now) {
            return;
        }
        assert!(clock() < until, "{now:?} of {packets}: {}", live.log());
        before = Some(now);
        thread::sleep(Duration::from_millis(250));
    }
}

/// Memory is flat while nothing but new flows comes, in rounds of four turns: of any kind, so that
/// the table is full of those that have no name yet; two of those that can be evicted; and all
/// that as fast as it can be sent, so that some is shed or lost; then slowly, so that all is
/// looked at. After each round it is at rest, where nothing waits that a busy machine has not come to.
#[test]
fn a_flood_of_new_flows_takes_no_more_memory() {
    let length = Duration::from_secs(size("OTTOMETER_SOAK_SECONDS", 10));
    let Some((sender, receiver)) = lab() else {
        return;
    };
    // The ring is resident once it has been gone through, and what DNS taught once its memory is full: small
    // ones soon are.
    let arguments = format!(
        "--max-flows {FLOOD_FLOWS} --tcp-idle 1s --udp-idle 1s --half-open-idle 2s --usage usage.csv \
         --interval 1s --flows flows.jsonl --rotate-size 16MiB --keep 2 --ring-size 8MiB \
         --dns-memory 1MiB --listen 127.0.0.1:0"
    );
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let live = Live::start(&receiver, "mirror0", &arguments);
    let log = live.log();
    let figure = log
        .split("memory: at most ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let at_most = figure
        .unwrap()
        .parse::<ottometer::config::Size>()
        .unwrap()
        .0;
    let at_start = live.resident();

    let mut out = sender.sender("out0");
    let mut numbers = Numbers(600);
    let (mut samples, mut rests) = (Vec::new(), Vec::new());
    let (mut sent, begin) = (0, clock());
    let turn_length = (length / 16).min(Duration::from_secs(1));
    let mut next = Duration::ZERO;
    // A slow machine takes longer: the table must have been filled many times over.
    while begin.elapsed() < length
        || sent < 20 * FLOOD_FLOWS
        || samples.len() < 40
        || rests.len() < ROUNDS
    {
        for turn in 0..4 {
            let (any, slowly) = (turn == 0 || turn == 3, turn == 3);
            let end = clock() + turn_length;
            while clock() < end {
                for _ in 0..if slowly { 50 } else { 500 } {
                    let frames = new_flow(&mut numbers, any);
                    send(&mut out, frames.iter().map(Vec::as_slice));
                    sent += 1;
                }
                if slowly {
                    thread::sleep(Duration::from_millis(10));
                }
                if begin.elapsed() >= next {
                    next = begin.elapsed() + Duration::from_millis(100);
                    samples.push(live.resident());
                }
            }
        }
        wait_for_rest(&live, &receiver, 2 * sent);
        rests.push(live.resident());
    }
    let seconds = begin.elapsed().as_secs();
    let (state, _) = live.stop();
    assert_closes(&state);
    let wire = number(&state, "/ledger/wire/packets");
    let received = sum(&state, "received");
    assert_eq!(received, 2 * sent, "{state:#}");
    assert_eq!(wire + sum(&state, "dropped_ring"), received, "{state:#}");

    // The first quarter fills what there is to fill.
    let steady = &samples[samples.len() / 4..];
    let third = steady.len() / 3;
    let peak = |part: &[u64]| part.iter().copied().max().unwrap();
    let (first, last) = (
        peak(&steady[..third]),
        peak(&steady[steady.len() - third..]),
    );
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    eprintln!(
        "soak: flood_seconds={seconds} flows_sent={sent} frames_counted={wire} \
         dropped_ring={} flows_seen={} records_lost={} rss_mib: start={} first_third={} \
         last_third={} peak={} at_most={} at_rest={:?}",
        sum(&state, "dropped_ring"),
        number(&state, "/flows"),
        number(&state, "/records_lost"),
        mebibytes(at_start),
        mebibytes(first),
        mebibytes(last),
        mebibytes(peak(&samples)),
        mebibytes(at_most),
        rests.iter().copied().map(mebibytes).collect::<Vec<_>>(),
    );
    assert!(
        peak(&samples) <= at_most,
        "{:?} of {at_most}",
        peak(&samples)
    );
    let (early, late) = rests.split_at(rests.len() / 2);
    assert!(
        peak(late) <= peak(early) + SLACK,
        "it grew while at rest: {rests:?}"
    );
    // What waits for a processor is as much as the machine was busy: only long runs have seen the most.
    assert!(
        seconds < 60 || last <= first + SLACK,
        "it grew from {first} to {last}: {samples:?}"
    );
}
