//! The live run among real services: nginx and curl, a name server, QUIC, and Prometheus.
//!
//! Names of real applications, at addresses that are made up: no packet leaves the namespaces.

#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::metrics;
use crate::support::live::{Live, assert_closes, clock, frames, lab, number, sum};
use crate::support::netns::{Namespace, send};
use crate::support::services::{
    Certificate, Daemon, NameServer, ask, connects, installed, nginx, quic_fetch, tcpdump,
};
use crate::support::{root, succeed};

const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 53);

/// How a page is fetched.
enum How {
    /// By curl: scheme, more arguments, the HTTP version it must have spoken.
    Curl(&'static str, &'static [&'static str], &'static str),
    /// The same over TLS, to the address: there is no name in the ClientHello.
    Nameless(&'static [&'static str]),
    /// By quinn.
    Quic,
}

/// A page of an application, and what is to be said of the flow.
struct Visit {
    host: &'static str,
    app: &'static str,
    proto: &'static str,
    evidence: &'static str,
    how: How,
}

const TLS12: &[&str] = &["--http1.1", "--tlsv1.2", "--tls-max", "1.2"];
const TLS13: &[&str] = &["--http1.1", "--tlsv1.3"];
const TLS12_H2: &[&str] = &["--http2", "--tlsv1.2", "--tls-max", "1.2"];
const TLS13_H2: &[&str] = &["--http2", "--tlsv1.3"];

const fn visit(
    host: &'static str,
    (app, proto, evidence): (&'static str, &'static str, &'static str),
    how: How,
) -> Visit {
    Visit {
        host,
        app,
        proto,
        evidence,
        how,
    }
}

#[rustfmt::skip]
const VISITS: [Visit; 8] = [
    visit("www.youtube.com", ("youtube", "http", "server-name"), How::Curl("http", &["--http1.1"], "1.1")),
    visit("web.whatsapp.com", ("whatsapp", "tls", "server-name"), How::Curl("https", TLS12, "1.1")),
    visit("open.spotify.com", ("spotify", "tls", "server-name"), How::Curl("https", TLS13, "1.1")),
    visit("www.instagram.com", ("instagram", "tls", "server-name"), How::Curl("https", TLS12_H2, "2")),
    visit("discord.com", ("discord", "tls", "server-name"), How::Curl("https", TLS13_H2, "2")),
    visit("chat.signal.org", ("signal", "tls", "dns"), How::Nameless(TLS13_H2)),
    visit("www.tiktok.com", ("tiktok", "quic", "server-name"), How::Quic),
    visit("www.netflix.com", ("netflix", "quic", "server-name"), How::Quic),
];

/// Where a host is. Each has an address of its own: one that several share names none.
fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 1, u8::try_from(index).unwrap() + 1)
}

/// A client and a server who know each other: nothing is said but what the test says.
fn neighbours() -> Option<(Namespace, Namespace)> {
    let (client, server) = (Namespace::new()?, Namespace::new()?);
    client.veth("c0", &server, "s0");
    for (namespace, own, ip, peer) in [
        (&client, "c0", "10.9.0.1", 2),
        (&server, "s0", "10.9.0.53", 1),
    ] {
        namespace.ip(&format!(
            "link set dev {own} address 02:00:00:00:00:0{}",
            3 - peer
        ));
        namespace.ip(&format!("addr add {ip}/16 dev {own}"));
        let mut known: Vec<Ipv4Addr> = vec![Ipv4Addr::new(10, 9, 0, 1)];
        if peer == 2 {
            known = (0..VISITS.len())
                .map(address)
                .chain([NAME_SERVER])
                .collect();
        }
        for address in known {
            namespace.ip(&format!(
                "neigh replace {address} lladdr 02:00:00:00:00:0{peer} dev {own} nud permanent"
            ));
        }
    }
    for index in 0..VISITS.len() {
        server.ip(&format!("addr add {}/16 dev s0", address(index)));
    }
    Some((client, server))
}

/// What curl needs for one visit.
fn curl(client: &Namespace, visit: &Visit, address: Ipv4Addr, cert: &Path, page: usize) {
    let (scheme, host, more, version) = match visit.how {
        How::Curl(scheme, more, version) => (scheme, visit.host.to_owned(), more, version),
        How::Nameless(more) => ("https", address.to_string(), more, "2"),
        How::Quic => unreachable!("curl is not asked for QUIC"),
    };
    let port = if scheme == "http" { 80 } else { 443 };
    let output = client.enter(|| {
        Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
            .args(["--max-time", "30", "--output", "/dev/null"])
            .args(["--write-out", "%{http_version} %{size_download}"])
            .args(["--resolve", &format!("{host}:{port}:{address}")])
            .arg("--cacert")
            .arg(cert)
            .args(more)
            .arg(format!("{scheme}://{host}/page"))
            .output()
            .unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{host}: {errors}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, format!("{version} {page}"), "{host}");
}

/// Frames and bytes that an interface sent and received.
fn counters(namespace: &Namespace, interface: &str) -> (u64, u64) {
    let output = namespace.enter(|| {
        let mut ip = Command::new("ip");
        ip.args(["-j", "-s", "link", "show", "dev", interface])
            .output()
            .unwrap()
    });
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let both = |unit: &str| {
        let of = |way: &str| number(&said, &format!("/0/stats64/{way}/{unit}"));
        of("rx") + of("tx")
    };
    (both("packets"), both("bytes"))
}

/// Protocol, client and server.
type Ends = (String, SocketAddr, SocketAddr);

/// Frames and bytes to the server, then to the client.
type Volume = [(u64, u64); 2];

/// What is in a capture, counted without the program's own decoder.
fn counted(file: &Path) -> (BTreeMap<Ends, Volume>, (u64, u64)) {
    let mut flows: BTreeMap<Ends, Volume> = BTreeMap::new();
    let (mut frames, mut bytes) = (0, 0);
    let mut capture = pcap::Capture::from_file(file).unwrap();
    while let Ok(packet) = capture.next_packet() {
        frames += 1;
        bytes += u64::from(packet.header.len);
        let sliced = SlicedPacket::from_ethernet(packet.data).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
            panic!("no IPv4: {sliced:?}");
        };
        let (proto, from, to) = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => ("TCP", tcp.source_port(), tcp.destination_port()),
            Some(TransportSlice::Udp(udp)) => ("UDP", udp.source_port(), udp.destination_port()),
            other => panic!("neither TCP nor UDP: {other:?}"),
        };
        let from = SocketAddr::from((ip.header().source_addr(), from));
        let to = SocketAddr::from((ip.header().destination_addr(), to));
        // The client has the port nobody knows.
        let to_server = to.port() < from.port();
        let (client, server) = if to_server { (from, to) } else { (to, from) };
        let volume = flows.entry((proto.to_owned(), client, server)).or_default();
        let side = &mut volume[usize::from(!to_server)];
        side.0 += 1;
        side.1 += u64::from(packet.header.len);
    }
    (flows, (frames, bytes))
}

fn ends(record: &Value) -> Ends {
    let end = |side: &str| {
        let ip: IpAddr = record[format!("{side}_ip")]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let port = number(record, &format!("/{side}_port"));
        SocketAddr::from((ip, u16::try_from(port).unwrap()))
    };
    (
        record["proto"].as_str().unwrap().to_owned(),
        end("src"),
        end("dest"),
    )
}

fn volume(record: &Value) -> Volume {
    ["toserver", "toclient"].map(|side| {
        let of = |unit: &str| number(record, &format!("/flow/{unit}_{side}"));
        (of("pkts"), of("bytes"))
    })
}

#[test]
fn real_programs_get_their_names_and_every_byte_is_counted() {
    let Some((client, server)) = neighbours() else {
        return;
    };
    if !installed(&["nginx", "curl", "tcpdump"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hosts = VISITS.iter().map(|visit| visit.host.to_owned());
    let addresses = (0..VISITS.len()).map(|index| address(index).to_string());
    let certificate = Certificate::new(folder.path(), hosts.chain(addresses));
    let page: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    let _nginx = nginx(&server, folder.path(), &certificate, &page);
    let names = VISITS.iter().enumerate();
    let names = names
        .map(|(index, visit)| (visit.host, address(index)))
        .collect();
    let _names = NameServer::start(&server, NAME_SERVER, names);

    // Both ends are watched, and by tcpdump as well.
    let file = folder.path().join("s0.pcap");
    let watched = [(&server, "s0", "2"), (&client, "c0", "1")];
    let before = watched.map(|(namespace, interface, _)| counters(namespace, interface));
    let tcpdump = tcpdump(&server, "s0", &file);
    let lives = watched.map(|(namespace, interface, threads)| {
        let more = ["--flows", "flows.jsonl", "--threads", threads];
        Live::start(namespace, interface, &more)
    });
    let mut asked_from = Vec::new();
    for (index, visit) in VISITS.iter().enumerate() {
        let (found, port) = ask(&client, NAME_SERVER, visit.host);
        assert_eq!(found, address(index));
        asked_from.push(port);
        if matches!(visit.how, How::Quic) {
            let to = (IpAddr::from(found), visit.host);
            quic_fetch((&client, &server), to, &certificate, &page);
        } else {
            curl(&client, visit, found, &certificate.cert, page.len());
        }
    }
    // The last of a connection may be under way still, on a busy machine for long.
    let count = || watched.map(|(namespace, interface, _)| counters(namespace, interface));
    let mut after = count();
    loop {
        thread::sleep(Duration::from_millis(500));
        let now = count();
        if now == std::mem::replace(&mut after, now) {
            break;
        }
    }
    // Told to end, tcpdump leaves in its ring what it has not come to.
    let passed = after[0].0 - before[0].0;
    let until = clock() + Duration::from_secs(20);
    while counted(&file).1.0 < passed && clock() < until {
        thread::sleep(Duration::from_millis(100));
    }
    let ended = lives.map(Live::stop);
    let said = tcpdump.stop(Signal::SIGINT);
    assert!(said.contains("\n0 packets dropped by kernel"), "{said}");

    let (expected, whole) = counted(&file);
    assert_eq!(expected.len(), 2 * VISITS.len(), "{expected:#?}");
    for (index, (state, folder)) in ended.iter().enumerate() {
        let interface = watched[index].1;
        assert_closes(state);
        assert_eq!(sum(state, "dropped_ring"), 0, "{interface} {state:#}");
        let wire = ["packets", "bytes"].map(|unit| number(state, &format!("/ledger/wire/{unit}")));
        assert_eq!((wire[0], wire[1]), whole, "{interface} {state:#}");
        let grown = (
            after[index].0 - before[index].0,
            after[index].1 - before[index].1,
        );
        assert_eq!((wire[0], wire[1]), grown, "{interface}'s own counters");
        let text = fs::read_to_string(folder.path().join("flows.jsonl")).unwrap();
        let records: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        check_records(&records, &expected, &asked_from);
        check_summary(state, &expected);
    }
}

/// Each flow has its name, and as many bytes as tcpdump saw.
fn check_records(records: &[Value], expected: &BTreeMap<Ends, Volume>, asked_from: &[u16]) {
    assert_eq!(records.len(), expected.len(), "{records:#?}");
    for record in records {
        assert_eq!(
            Some(&volume(record)),
            expected.get(&ends(record)),
            "{record:#}"
        );
    }
    let of = |server: SocketAddr, client: Option<u16>| {
        let mut found = records.iter().filter(|record| {
            let (_, src, dest) = ends(record);
            dest == server && client.is_none_or(|port| port == src.port())
        });
        let one = found
            .next()
            .unwrap_or_else(|| panic!("no flow to {server}: {records:#?}"));
        assert!(found.next().is_none(), "two flows to {server}");
        one
    };
    for (index, visit) in VISITS.iter().enumerate() {
        let query = of(SocketAddr::from((NAME_SERVER, 53)), Some(asked_from[index]));
        assert_eq!(query["app"], Value::Null, "{query:#}");
        assert_eq!(query["app_proto"], "dns", "{query:#}");
        assert_eq!(query["evidence"], "payload", "{query:#}");
        assert_eq!(query["query_name"], visit.host, "{query:#}");

        let port = if visit.proto == "http" { 80 } else { 443 };
        let flow = of(SocketAddr::from((address(index), port)), None);
        assert_eq!(flow["app"], visit.app, "{flow:#}");
        assert_eq!(flow["app_proto"], visit.proto, "{flow:#}");
        assert_eq!(flow["evidence"], visit.evidence, "{flow:#}");
        let named = !matches!(visit.how, How::Nameless(_));
        let name = named.then_some(visit.host);
        assert_eq!(flow["server_name"].as_str(), name, "{flow:#}");
    }
}

/// The final count has a row for each application, with its bytes.
fn check_summary(state: &Value, expected: &BTreeMap<Ends, Volume>) {
    let mut meant: BTreeMap<&str, Volume> = BTreeMap::new();
    for ((_, _, server), volume) in expected {
        let visit = VISITS
            .iter()
            .enumerate()
            .find(|(index, _)| server.ip() == address(*index));
        let sum = meant
            .entry(visit.map_or("(dns)", |(_, visit)| visit.app))
            .or_default();
        for (sum, side) in sum.iter_mut().zip(volume) {
            sum.0 += side.0;
            sum.1 += side.1;
        }
    }
    let rows = state["rows"].as_array().unwrap();
    assert_eq!(rows.len(), meant.len(), "{state:#}");
    for row in rows {
        let [up, down] = meant[row["name"].as_str().unwrap()];
        assert_eq!(number(row, "/packets"), up.0 + down.0, "{row:#}");
        assert_eq!(number(row, "/bytes_toserver"), up.1, "{row:#}");
        assert_eq!(number(row, "/bytes_toclient"), down.1, "{row:#}");
    }
}

/// A Prometheus with `deploy/prometheus.yml`, as an operator would adapt it.
struct Prometheus<'a> {
    namespace: &'a Namespace,
    address: SocketAddr,
    daemon: Daemon,
}

impl<'a> Prometheus<'a> {
    fn start(namespace: &'a Namespace, folder: &Path, config: &str) -> Self {
        let file = folder.join("prometheus.yml");
        fs::write(&file, config).unwrap();
        fs::copy(root().join("deploy/alerts.yml"), folder.join("alerts.yml")).unwrap();
        let address = namespace.enter(|| {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            free.local_addr().unwrap()
        });
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            folder.join("tsdb").display()
        ));
        command.arg(format!("--web.listen-address={address}"));
        let mut daemon = Daemon::start(namespace, &mut command, folder.join("prometheus.log"));
        daemon.wait_until(|_| connects(namespace, address));
        Self {
            namespace,
            address,
            daemon,
        }
    }

    fn get(&self, path: &str) -> Option<Value> {
        let answer = get(self.namespace, self.address, path);
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// What a query says, by one label; a series without it is at the empty one.
    fn query(&self, query: &str, label: &str) -> BTreeMap<String, u64> {
        let mut encoded = String::new();
        for byte in query.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                encoded.push(byte.into());
            } else {
                encoded += &format!("%{byte:02X}");
            }
        }
        let answer = self
            .get(&format!("/api/v1/query?query={encoded}"))
            .unwrap_or_default();
        let results = answer["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let results = results.iter().map(|result| {
            let name = result["metric"][label]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let value: f64 = result["value"][1].as_str().unwrap().parse().unwrap();
            (name, value as u64)
        });
        results.collect()
    }

    /// Waits until a query says so.
    fn wait_for(&self, query: &str, label: &str, expected: &BTreeMap<String, u64>) {
        let until = Instant::now() + Duration::from_secs(90);
        loop {
            let found = self.query(query, label);
            if found == *expected {
                return;
            }
            assert!(
                Instant::now() < until,
                "{query}: {found:#?}\nnot {expected:#?}\n{}",
                self.daemon.log()
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The answer to a GET, with its head.
pub(crate) fn get(namespace: &Namespace, address: SocketAddr, path: &str) -> String {
    let mut answer = String::new();
    let mut stream = namespace.enter(|| TcpStream::connect(address).unwrap());
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Where the metrics of a run are.
pub(crate) fn served(live: &Live) -> SocketAddr {
    let log = live.log();
    let rest = log.split("metrics are served address=").nth(1);
    let rest = rest.unwrap_or_else(|| panic!("no address in {log}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// `deploy/prometheus.yml` for another target, looked at each second.
fn adapted(target: SocketAddr) -> String {
    let text = fs::read_to_string(root().join("deploy/prometheus.yml")).unwrap();
    text.replace("15s", "1s")
        .replace("[\"127.0.0.1:9469\"]", &format!("[\"{target}\"]"))
}

/// The same with the lines for TLS and a token in the place of those for loopback.
fn adapted_for_tls(target: SocketAddr, certificate: &Path, token: &Path) -> String {
    let text = adapted(target);
    let (text, commented) = text.split_at(text.find("    # scheme: https").unwrap());
    let plain = format!("    static_configs:\n      - targets: [\"{target}\"]\n");
    assert!(text.contains(&plain), "{text}");
    let mut text = text.replace(&plain, "");
    for line in commented.lines() {
        text += &line.replacen("# ", "", 1);
        text.push('\n');
    }
    for (from, to) in [
        (
            "/etc/prometheus/ottometer-ca.pem",
            certificate.to_str().unwrap(),
        ),
        ("/etc/prometheus/ottometer-token", token.to_str().unwrap()),
        ("192.0.2.7:9469", &target.to_string()),
    ] {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    text
}

/// Frames as a capture file, at the pace `paced` has.
fn capture_of(frames: &[Vec<u8>], folder: &Path) -> PathBuf {
    let path = folder.join("sent.pcap");
    let dead = pcap::Capture::dead(pcap::Linktype::ETHERNET).unwrap();
    let mut file = dead.savefile(&path).unwrap();
    for (index, frame) in frames.iter().enumerate() {
        let length = u32::try_from(frame.len()).unwrap();
        let micros = i64::try_from(index).unwrap() * 100;
        let header = pcap::PacketHeader {
            ts: libc::timeval {
                tv_sec: 1_800_000_000 + micros / 1_000_000,
                tv_usec: micros % 1_000_000,
            },
            caplen: length,
            len: length,
        };
        file.write(&pcap::Packet {
            header: &header,
            data: frame,
        });
    }
    path
}

/// Sends frames slowly enough for any machine.
fn paced(namespace: &Namespace, interface: &str, frames: &[Vec<u8>]) {
    let mut out = namespace.sender(interface);
    for some in frames.chunks(50) {
        send(&mut out, some.iter().map(Vec::as_slice));
        thread::sleep(Duration::from_millis(5));
    }
}

/// What the metrics must say of a capture: bytes by application, bytes by reason of unknown flows
/// and of frames without a flow. It is what `read` says.
fn expected(capture: &Path) -> [BTreeMap<String, u64>; 3] {
    let [mut apps, mut unknown, mut no_flow] = [const { BTreeMap::new() }; 3];
    let text = succeed(["read", capture.to_str().unwrap(), "--format", "json"]);
    let state: Value = serde_json::from_str(&text).unwrap();
    for row in state["rows"].as_array().unwrap() {
        let (name, bytes) = (row["name"].as_str().unwrap(), number(row, "/bytes"));
        if let Some(reason) = name.strip_prefix("unknown (") {
            unknown.insert(reason.trim_end_matches(')').to_owned(), bytes);
        } else if name.starts_with('(') {
            *apps.entry(String::new()).or_default() += bytes;
        } else {
            apps.insert(name.to_owned(), bytes);
        }
    }
    for (name, volume) in state["ledger"]["counted"].as_object().unwrap() {
        let flows = ["applications", "protocols", "unsettled"];
        if !flows.contains(&name.as_str()) && !name.starts_with("unknown{") {
            no_flow.insert(name.clone(), number(volume, "/bytes"));
        }
    }
    [apps, unknown, no_flow]
}

#[test]
fn prometheus_has_the_bytes_that_were_sent() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    if !installed(&["prometheus", "promtool"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let frames = frames("");
    let [apps, unknown, no_flow] = expected(&capture_of(&frames, folder.path()));
    assert!(apps.len() > 20 && unknown.len() > 1 && no_flow.len() > 1);
    // Flows that say too little get no name before they end.
    let ends = ["--tcp-idle", "5s", "--tcp-closed", "5s", "--udp-idle", "5s"];
    let arguments = [&["--listen", "127.0.0.1:0"], &ends[..]].concat();
    let live = Live::start(&receiver, "mirror0", &arguments);
    let prometheus = Prometheus::start(&receiver, folder.path(), &adapted(served(&live)));
    paced(&sender, "out0", &frames);

    let by_app = "sum by (app) (ottometer_bytes_total)";
    prometheus.wait_for(by_app, "app", &apps);
    let by_reason = "sum by (reason) (ottometer_unknown_bytes_total) > 0";
    prometheus.wait_for(by_reason, "reason", &unknown);
    let by_reason = "sum by (reason) (ottometer_no_flow_bytes_total) > 0";
    prometheus.wait_for(by_reason, "reason", &no_flow);
    prometheus.wait_for("ottometer_unsettled_bytes", "", &one(0));
    let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
    prometheus.wait_for("ottometer_wire_bytes_total", "", &one(bytes));
    // The sum the documentation promises.
    let closes = [
        "ottometer_bytes_total",
        "ottometer_unknown_bytes_total",
        "ottometer_unsettled_bytes",
        "ottometer_no_flow_bytes_total",
    ];
    let closes = closes.map(|name| format!("sum({name})")).join(" + ");
    prometheus.wait_for(&closes, "", &one(bytes));
    prometheus.wait_for(
        "ottometer_wire_packets_total",
        "",
        &one(frames.len() as u64),
    );
    prometheus.wait_for("up", "job", &BTreeMap::from([("ottometer".to_owned(), 1)]));
    check_rules(&prometheus);

    let page = get(&receiver, served(&live), "/metrics");
    let (head, page) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{head}");
    let said = metrics::run("promtool", &["check", "metrics"], page);
    assert_eq!(said.as_deref(), Some(""));
    drop(prometheus);

    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(number(&state, "/ledger/wire/bytes"), bytes);
}

/// A single series without a label.
fn one(value: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(String::new(), value)])
}

/// Every alert rule is evaluated on the run's own series.
fn check_rules(prometheus: &Prometheus<'_>) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = prometheus.get("/api/v1/rules").unwrap_or_default();
        let groups = answer["data"]["groups"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let rules = groups
            .iter()
            .filter_map(|group| group["rules"].as_array())
            .flatten();
        let health: Vec<&Value> = rules.map(|rule| &rule["health"]).collect();
        assert!(!health.iter().any(|health| *health == "err"), "{answer:#}");
        if health.len() > 10 && health.iter().all(|health| *health == "ok") {
            return;
        }
        assert!(Instant::now() < until, "{answer:#}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn beyond_loopback_prometheus_comes_with_tls_and_a_token() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    if !installed(&["prometheus", "curl"]) {
        return;
    }
    // Prometheus is elsewhere, and what it asks does not come over the mirror.
    sender.veth("manage0", &receiver, "manage1");
    sender.ip("addr add 10.7.0.1/24 dev manage0");
    receiver.ip("addr add 10.7.0.2/24 dev manage1");
    let folder = tempfile::tempdir().unwrap();
    let host = "probe.example.net";
    let certificate = Certificate::new(folder.path(), [host.to_owned()]);
    let token = folder.path().join("token");
    fs::write(&token, "a-token-for-tests-only\n").unwrap();
    let [cert, key, token] =
        [&certificate.cert, &certificate.key, &token].map(|path| path.to_str().unwrap());
    let listen = [
        "--listen",
        "10.7.0.2:0",
        "--tls-cert",
        cert,
        "--tls-key",
        key,
    ];
    let arguments = [&listen[..], &["--token-file", token]].concat();
    let live = Live::start(&receiver, "mirror0", &arguments);
    let address = served(&live);

    let status = |more: &[&str]| {
        let output = sender.enter(|| {
            Command::new("curl")
                .args(["--silent", "--noproxy", "*", "--max-time", "30"])
                .args(["--output", "/dev/null", "--write-out", "%{http_code}"])
                .args([
                    "--resolve",
                    &format!("{host}:{}:{}", address.port(), address.ip()),
                ])
                .args(more)
                .arg(format!("https://{host}:{}/metrics", address.port()))
                .output()
                .unwrap()
        });
        String::from_utf8(output.stdout).unwrap()
    };
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let right = bearer("a-token-for-tests-only");
    let rows: [(&[&str], &str); 4] = [
        (&["--cacert", cert, "--header", &right], "200"),
        (&["--cacert", cert], "401"),
        (&["--cacert", cert, "--header", &bearer("another")], "401"),
        // Who does not know the certificate says nothing.
        (&["--header", &right], "000"),
    ];
    for (more, expected) in rows {
        assert_eq!(status(more), expected, "{more:?}");
    }

    let config = adapted_for_tls(address, Path::new(cert), Path::new(token));
    let prometheus = Prometheus::start(&sender, folder.path(), &config);
    let frames = frames("recorded-");
    paced(&sender, "out0", &frames);
    let bytes = frames.iter().map(|frame| frame.len() as u64).sum();
    prometheus.wait_for("ottometer_wire_bytes_total", "", &one(bytes));
    prometheus.wait_for("up", "job", &BTreeMap::from([("ottometer".to_owned(), 1)]));
    drop(prometheus);
    let (state, _) = live.stop();
    assert_closes(&state);
    assert_eq!(number(&state, "/ledger/wire/bytes"), bytes);
}
