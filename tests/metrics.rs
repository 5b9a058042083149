//! Metrics and what reads them: `promtool`, a real Prometheus, the alert rules and `docs/metrics.md`. What
//! needs a program that is not installed is skipped with a word.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottometer::app::{AppId, Proto, Service};
use ottometer::classify::UnknownReason;
use ottometer::encode::prometheus::{Descriptor, Format, Kind};
use ottometer::flow::{Counters, PerSide};
use ottometer::serve::{Config, Server, Tls};
use ottometer::signature::SignatureSet;
use ottometer::time::Timestamp;
use ottometer::usage::{CellKey, Totals};
use ottometer::verdict::Evidence;
use ottometer::view::metrics::{Metrics, descriptors};
use ottometer::view::snapshot::{Snapshot, SourceReport};
use serde_json::Value;

use crate::support;

/// A run with something in every family.
pub(crate) fn snapshot() -> Snapshot {
    let set = Arc::new(SignatureSet::builtin());
    let counters = |bytes| Counters {
        packets: bytes / 100,
        bytes,
        ip_bytes: bytes - bytes / 20,
    };
    let totals = |client, server| Totals {
        sides: PerSide {
            client: counters(client),
            server: counters(server),
        },
        flows: 3,
    };
    let app = |app, service| CellKey {
        app: Some(AppId(app)),
        service,
        proto: Some(Proto::TLS),
        evidence: Some(Evidence::ServerName),
        ..CellKey::default()
    };
    let dns = CellKey {
        proto: Some(Proto::DNS),
        evidence: Some(Evidence::Payload),
        ..CellKey::default()
    };
    let unknown = CellKey {
        unknown: Some(UnknownReason::NoMatch),
        ..CellKey::default()
    };
    let cells = [
        (app(0, Some(Service::Chat)), totals(10_000, 40_000)),
        (app(1, None), totals(2_000, 90_000)),
        (dns, totals(1_000, 3_000)),
        (unknown, totals(500, 700)),
    ];
    let mut snapshot = Snapshot {
        sequence: 1,
        at: Timestamp::new(1_767_323_045, 678_901_234),
        started: Timestamp::new(1_767_320_000, 0),
        set,
        cells: Arc::new(cells.into_iter().collect()),
        flows: 12,
        flows_held: 7,
        flows_limit: 1_000_000,
        sources: vec![SourceReport {
            interface: "eth0".to_owned(),
            state: "up",
            received: 1_472,
            ..SourceReport::default()
        }],
        ..Snapshot::default()
    };
    for (key, totals) in &cells {
        snapshot.ledger.add_cell(key, totals);
        snapshot.ledger.wire.count(totals.packets(), totals.bytes());
    }
    for size in [60, 590, 1_500] {
        snapshot.stats.packet(size);
        snapshot
            .stats
            .settled(u64::from(size) / 60, u64::from(size));
        snapshot.stats.block(Duration::from_micros(size.into()));
    }
    snapshot
}

fn page(format: Format) -> String {
    let families = Metrics::new(100).whole(&snapshot());
    families.render(format).unwrap()
}

/// Runs a program on `input`; `None`, with a word, where it is not installed.
pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut child = spawn(program, arguments)?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    Some(said)
}

fn spawn(program: &str, arguments: &[&str]) -> Option<Child> {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(support::root().join("deploy"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match child {
        Ok(child) => Some(child),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            support::skipped(&format!("{program} is not installed"));
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

#[test]
fn promtool_finds_nothing_to_improve_in_the_page() {
    if let Some(said) = run("promtool", &["check", "metrics"], &page(Format::Text)) {
        assert_eq!(said, "");
    }
}

#[test]
fn promtool_passes_the_configuration_and_the_rules() {
    run("promtool", &["check", "config", "prometheus.yml"], "");
    run("promtool", &["check", "rules", "alerts.yml"], "");
    run("promtool", &["test", "rules", "alerts_test.yml"], "");
}

#[test]
fn every_alert_has_a_test() {
    let deploy = support::root().join("deploy");
    let tests = fs::read_to_string(deploy.join("alerts_test.yml")).unwrap();
    let alerts = fs::read_to_string(deploy.join("alerts.yml")).unwrap();
    let names: Vec<&str> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() > 10);
    for name in names {
        let test = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&test), "no test in which {name} fires");
    }
}

/// Every series name the page has, and the labels of its family.
fn exported() -> BTreeMap<String, &'static [&'static str]> {
    let endings = |row: &Descriptor| match row.kind {
        Kind::Histogram => &["_bucket", "_sum", "_count"] as &[&str],
        _ => &[""],
    };
    let names: BTreeMap<String, &'static [&'static str]> = descriptors()
        .flat_map(|row| {
            endings(row)
                .iter()
                .map(|ending| (format!("{}{ending}", row.name()), row.labels))
        })
        .collect();
    let page = page(Format::Text);
    for name in names.keys() {
        let begins = |line: &str| {
            line.strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        assert!(page.lines().any(begins), "{name} is not on the page");
    }
    names
}

/// Where `ottometer_...` stands in a text: the name and what follows it.
fn mentions(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("ottometer_").map(|(at, _)| {
        let rest = &text[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_lowercase() && c != '_')
            .unwrap_or(rest.len());
        rest.split_at(end)
    })
}

#[test]
fn rules_dashboard_and_documents_name_only_what_is_exported() {
    let exported = exported();
    let families: BTreeSet<String> = descriptors().map(Descriptor::name).collect();
    for file in [
        "deploy/alerts.yml",
        "deploy/alerts_test.yml",
        "deploy/prometheus.yml",
        "deploy/README.md",
        "deploy/grafana/ottometer.json",
        "docs/metrics.md",
    ] {
        let text = fs::read_to_string(support::root().join(file)).unwrap();
        let text = text.replace("\\\"", "\"");
        assert!(mentions(&text).count() > 0, "{file}");
        for (name, rest) in mentions(&text) {
            let labels = exported.get(name).copied();
            assert!(
                labels.is_some() || families.contains(name),
                "{file}: {name}"
            );
            let matchers = rest
                .strip_prefix('{')
                .and_then(|rest| rest.split('}').next());
            for matcher in matchers.into_iter().flat_map(|all| all.split(", ")) {
                let label = matcher.split(['=', '!']).next().unwrap().trim();
                let added = ["job", "instance", "le", ""];
                assert!(
                    added.contains(&label) || labels.unwrap().contains(&label),
                    "{file}: {name} has no label {label}"
                );
            }
        }
    }
}

/// The table of `docs/metrics.md`: a new family is a new row there.
#[test]
fn the_document_lists_every_family() {
    let path = support::root().join("docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    for row in descriptors() {
        let labels: Vec<String> = row
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let line = format!(
            "| `{}` | {} | {} | {} |",
            row.name(),
            row.kind.slug(),
            labels.join(" "),
            row.help
        );
        assert!(
            text.lines().any(|found| found == line),
            "docs/metrics.md lacks\n{line}"
        );
    }
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `ottometer_") || line.starts_with("| `process_"));
    assert_eq!(
        rows.count(),
        descriptors().count(),
        "rows of what is no more"
    );
    let reasons = UnknownReason::ALL.map(UnknownReason::slug);
    let drops = ottometer::decode::DropReason::ALL.map(ottometer::decode::DropReason::slug);
    let evidence = Evidence::ALL.map(Evidence::slug);
    for value in reasons.iter().chain(&drops).chain(&evidence) {
        assert!(
            text.contains(&format!("`{value}`")),
            "docs/metrics.md lacks `{value}`"
        );
    }
}

/// A server others could reach, with its own certificate and a token.
pub(crate) fn serve(folder: &Path) -> ottometer::serve::Handle {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let mut config = Config::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.tls = Some(Tls {
        certificate: write("cert.pem", &made.cert.pem()),
        key: write("key.pem", &made.signing_key.serialize_pem()),
    });
    config.token = Some(write("token", "a-token-for-tests-only\n"));
    Server::start(config, Arc::new(ArcSwap::from_pointee(snapshot()))).unwrap()
}

/// What a Prometheus is told to scrape that server.
pub(crate) fn scrapes(folder: &Path, server: &ottometer::serve::Handle) -> String {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    format!(
        "global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\n\
         scrape_configs:\n  - job_name: ottometer\n    scheme: https\n    \
         tls_config: {{ca_file: '{}', server_name: localhost}}\n    \
         authorization: {{credentials_file: '{}'}}\n    \
         static_configs: [{{targets: ['{}']}}]\n",
        path("cert.pem"),
        path("token"),
        server.address()
    )
}

/// A Prometheus with this configuration of what it scrapes, and its port. `None`, with a word, where
/// it is not installed.
pub(crate) fn prometheus(folder: &Path, scrapes: &str) -> Option<(Child, u16)> {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(path("prometheus.yml"), scrapes).unwrap();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let started = Command::new("prometheus")
        .arg(format!("--config.file={}", path("prometheus.yml")))
        .arg(format!("--storage.tsdb.path={}", path("tsdb")))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(fs::File::create(path("log")).unwrap())
        .spawn();
    match started {
        Ok(child) => Some((child, port)),
        Err(_) => {
            support::skipped("prometheus is not installed");
            None
        }
    }
}

/// What Prometheus answers to a query, in JSON; `None` while it does not. All but letters and digits may
/// be percent-encoded.
pub(crate) fn answer(port: u16, query: &str) -> Option<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split("\r\n\r\n").nth(1)?).ok()
}

/// The one value it answers.
fn query(port: u16, query: &str) -> Option<f64> {
    let body = answer(port, query)?;
    body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// Debian's Prometheus asks for OpenMetrics, over TLS and with the token.
#[test]
fn a_prometheus_scrapes_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let scrapes = scrapes(folder.path(), &server);
    let Some((mut prometheus, port)) = prometheus(folder.path(), &scrapes) else {
        return;
    };
    let mut up = None;
    for _ in 0..300 {
        up = query(port, "up");
        if up == Some(1.0) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // New series stand at 0 on the first page.
    let mut waited = 0;
    while query(port, "sum(ottometer_bytes_total)") == Some(0.0) && waited < 100 {
        waited += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    let rows = [
        ("sum(ottometer_bytes_total)", 146_000.0),
        (
            "sum(ottometer_bytes_total{direction=%22toclient%22,service=%22chat%22})",
            40_000.0,
        ),
        (
            "ottometer_unknown_bytes_total{reason=%22no-match%22}",
            1_200.0,
        ),
        (
            "ottometer_packet_size_bytes_bucket{le=~%221518(.0)?%22}",
            3.0,
        ),
        ("ottometer_build_info", 1.0),
    ];
    let answers = rows.map(|(text, _)| query(port, text));
    prometheus.kill().unwrap();
    prometheus.wait().unwrap();
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(up, Some(1.0), "{log}");
    for ((text, expected), answer) in rows.into_iter().zip(answers) {
        assert_eq!(answer, Some(expected), "{text}");
    }
}

/// Volume under names that come all the time, most of it in their first moment, found again by two
/// Prometheus servers of the default settings that scrape at their own pace.
#[test]
fn increase_finds_all_volume() {
    let latest = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
    let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(address);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    config.tls = Some(Tls {
        certificate: write("cert.pem", &made.cert.pem()),
        key: write("key.pem", &made.signing_key.serialize_pem()),
    });
    config.token = Some(write("token", "a-token-for-tests-only\n"));
    let server = Server::start(config, Arc::clone(&latest)).unwrap();
    // Told apart by their addresses.
    let servers = [("127.0.0.1", "500ms"), ("[::1]", "700ms")];
    let mut running = Vec::new();
    for (place, (host, interval)) in servers.into_iter().enumerate() {
        let folder = folder.path().join(place.to_string());
        fs::create_dir(&folder).unwrap();
        let scrapes = format!(
            "global: {{scrape_interval: {interval}, scrape_timeout: 400ms}}\n\
             scrape_configs:\n  - job_name: ottometer\n    scheme: https\n    \
             tls_config: {{insecure_skip_verify: true}}\n    \
             authorization: {{credentials: a-token-for-tests-only}}\n    \
             static_configs: [{{targets: ['{host}:{}']}}]\n",
            server.address().port()
        );
        let Some(started) = prometheus(&folder, &scrapes) else {
            return;
        };
        running.push(started);
    }
    let ask = |text: &str| {
        running
            .iter()
            .map(|&(_, port)| query(port, text))
            .collect::<Vec<_>>()
    };
    let wait_for = |text: &str, expected: f64| {
        let mut answers = Vec::new();
        for _ in 0..300 {
            answers = ask(text);
            if answers.iter().all(|&answer| answer == Some(expected)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{text}: {answers:?}, not {expected}");
    };
    wait_for("up", 1.0);
    let mut snapshot = snapshot();
    let mut cells = BTreeMap::new();
    let mut sent = 0;
    for second in 1..=20_u64 {
        // A name of its own every second; the later ones stay at what they began with.
        let key = CellKey {
            app: Some(AppId(second as u16 % 10)),
            service: [Some(Service::Chat), Some(Service::Video)][usize::from(second > 10)],
            evidence: Some(Evidence::ServerName),
            ..CellKey::default()
        };
        let bytes = second * 1_000_000;
        let totals = Totals {
            sides: PerSide {
                client: Counters {
                    packets: second,
                    bytes,
                    ip_bytes: bytes,
                },
                server: Counters {
                    packets: second,
                    bytes: 2 * bytes,
                    ip_bytes: 2 * bytes,
                },
            },
            flows: 1,
        };
        cells
            .entry(key)
            .or_insert_with(Totals::default)
            .add(&totals);
        sent += 3 * bytes;
        snapshot.sequence = second;
        snapshot.cells = Arc::new(cells.clone());
        latest.store(Arc::new(snapshot.clone()));
        std::thread::sleep(Duration::from_millis(900));
    }
    #[allow(clippy::cast_precision_loss)]
    let sent = sent as f64;
    // Snapshots go on.
    for second in 21..=26 {
        snapshot.sequence = second;
        latest.store(Arc::new(snapshot.clone()));
        std::thread::sleep(Duration::from_millis(900));
    }
    wait_for("sum(ottometer_bytes_total)", sent);
    wait_for("sum(ottometer_new_series_bytes)", 0.0);
    // Over a window as long as the run, up to a sample: nothing is to be guessed at its ends.
    let answers: Vec<Option<f64>> = running
        .iter()
        .map(|&(_, port)| {
            let last = query(port, "timestamp(up)")?;
            query(
                port,
                &format!("sum(increase(ottometer_bytes_total[5m]%20@%20{last:.3}))"),
            )
        })
        .collect();
    let first = ask("count(ottometer_bytes_total)");
    for (mut prometheus, _) in running {
        prometheus.kill().unwrap();
        prometheus.wait().unwrap();
    }
    for answer in answers {
        let found = answer.unwrap();
        assert!((found / sent - 1.0).abs() < 0.01, "{found} of {sent}");
    }
    assert_eq!(first, [Some(40.0), Some(40.0)]);
}
