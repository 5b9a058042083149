//! Through real sockets: plain, TLS, token, refusals, clients that dawdle or crowd.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use super::*;
use crate::view::snapshot::SourceReport;

const TOKEN: &str = "a-token-for-tests-only";

type Latest = Arc<ArcSwap<Snapshot>>;

fn latest(sequence: u64, states: &[&'static str]) -> Latest {
    Arc::new(ArcSwap::from_pointee(snapshot(sequence, states)))
}

fn snapshot(sequence: u64, states: &[&'static str]) -> Snapshot {
    let source = |(thread, &state): (usize, &&'static str)| SourceReport {
        interface: "eth7".to_owned(),
        thread,
        state,
        ..SourceReport::default()
    };
    let mut snapshot = Snapshot {
        sequence,
        sources: states.iter().enumerate().map(source).collect(),
        ..Snapshot::default()
    };
    snapshot.ledger.wire.count(sequence, sequence * 100);
    snapshot
}

fn local() -> Config {
    Config::new(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Sends a request and reads all that comes back.
fn exchange(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    exchange(&mut connect(address), &request)
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// Writes a certificate for `localhost` and its key; returns the certificate.
fn certificate(folder: &Path) -> (Tls, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    fs::write(&tls.certificate, made.cert.pem()).unwrap();
    fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    (tls, made.cert.der().clone())
}

fn token_file(folder: &Path) -> PathBuf {
    let path = folder.join("token");
    fs::write(&path, format!("{TOKEN}\n")).unwrap();
    path
}

/// An HTTPS exchange by a client that trusts only `root`.
fn ask_tls(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    headers: &str,
) -> io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = connect(address);
    let mut stream = Stream::new(&mut client, &mut socket);
    stream.write_all(
        format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn answers_what_is_asked() {
    let server = Server::start(local(), latest(1, &["up", "up"])).unwrap();
    let address = server.address();
    assert_ne!(address.port(), 0);
    let open = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let rows = [
        ("GET", "/", "", 200, "/metrics"),
        (
            "GET",
            "/metrics",
            "",
            200,
            "ottometer_wire_bytes_total 100\n",
        ),
        (
            "GET",
            "/metrics?x=1",
            "",
            200,
            "ottometer_wire_bytes_total 100\n",
        ),
        ("GET", "/metrics", open, 200, "# EOF\n"),
        ("GET", "/healthz", "", 200, "ok\n"),
        ("GET", "/readyz", "", 200, "ready\n"),
        ("GET", "/metrics/", "", 404, ""),
        ("GET", "/../etc/passwd", "", 404, ""),
        ("POST", "/metrics", "Content-Length: 0\r\n", 405, ""),
        ("PUT", "/", "Content-Length: 0\r\n", 405, ""),
        ("DELETE", "/healthz", "", 405, ""),
        ("OPTIONS", "/readyz", "", 405, ""),
    ];
    for (method, path, headers, expected, text) in rows {
        let answer = ask(address, method, path, headers);
        assert_eq!(status(&answer), expected, "{method} {path}: {answer}");
        assert!(body(&answer).contains(text), "{method} {path}: {answer}");
        let allow = answer.to_ascii_lowercase().contains("allow: get,head");
        assert_eq!(allow, expected == 405, "{answer}");
    }
    let answer = ask(address, "GET", "/metrics", open);
    assert!(answer.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let answer = ask(address, "GET", "/metrics", "");
    assert!(answer.contains("text/plain; version=0.0.4; charset=utf-8"));
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::start(local(), latest(1, &["up"])).unwrap();
    let get = ask(server.address(), "GET", "/metrics", "");
    let head = ask(server.address(), "HEAD", "/metrics", "");
    assert_eq!((status(&head), body(&head)), (200, ""));
    let length = format!("content-length: {}\r\n", body(&get).len());
    assert!(head.contains(&length), "{head}");
}

#[test]
fn follows_the_latest_snapshot() {
    let latest = latest(1, &["up"]);
    let server = Server::start(local(), latest.clone()).unwrap();
    for sequence in [2, 3] {
        latest.store(Arc::new(snapshot(sequence, &["up"])));
        let answer = ask(server.address(), "GET", "/metrics", "");
        let line = format!("ottometer_wire_packets_total {sequence}\n");
        assert!(answer.contains(&line), "{answer}");
    }
}

#[test]
fn says_why_it_is_not_ready() {
    let rows: [(u64, &[&'static str], u16, &str); 6] = [
        (0, &["up"], 503, "first snapshot"),
        (1, &[], 503, "no interface is open"),
        (
            1,
            &["up", "gone"],
            503,
            "interface eth7 is gone since 1970-",
        ),
        (1, &["down"], 503, "interface eth7 is down"),
        (1, &["gone", "gone"], 503, "is gone"),
        (1, &["up", "up"], 200, "ready"),
    ];
    for (sequence, states, expected, text) in rows {
        let server = Server::start(local(), latest(sequence, states)).unwrap();
        let answer = ask(server.address(), "GET", "/readyz", "");
        assert_eq!(status(&answer), expected, "{answer}");
        assert_eq!(body(&answer).lines().count(), 1, "{answer}");
        assert!(body(&answer).contains(text), "{answer}");
    }
}

#[test]
fn is_unhealthy_while_snapshots_do_not_come() {
    let latest = latest(1, &["up"]);
    let mut config = local();
    config.limits.stalled = Duration::from_secs(1);
    let server = Server::start(config, latest.clone()).unwrap();
    let healthz = || status(&ask(server.address(), "GET", "/healthz", ""));
    assert_eq!(healthz(), 200);
    let mut waited = 0;
    while healthz() == 200 {
        waited += 1;
        assert!(waited < 100, "never unhealthy");
        std::thread::sleep(Duration::from_millis(50));
    }
    let answer = ask(server.address(), "GET", "/healthz", "");
    assert!(body(&answer).contains("no new snapshot for 1s"), "{answer}");
    let mut sequence = 1;
    while healthz() != 200 {
        sequence += 1;
        assert!(sequence < 100, "never healthy again");
        latest.store(Arc::new(snapshot(sequence, &["up"])));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_token_guards_the_metrics_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = local();
    config.token = Some(token_file(folder.path()));
    let server = Server::start(config, latest(1, &["up"])).unwrap();
    let rows = [
        ("/metrics", String::new(), 401),
        (
            "/metrics",
            format!("Authorization: Bearer {TOKEN}\r\n"),
            200,
        ),
        (
            "/metrics",
            format!("authorization: bearer {TOKEN}\r\n"),
            200,
        ),
        (
            "/metrics",
            format!("Authorization: Bearer {TOKEN}x\r\n"),
            401,
        ),
        (
            "/metrics",
            format!("Authorization: Bearer {}\r\n", &TOKEN[1..]),
            401,
        ),
        ("/metrics", format!("Authorization: Basic {TOKEN}\r\n"), 401),
        ("/metrics", format!("Authorization: {TOKEN}\r\n"), 401),
        ("/metrics", "Authorization: Bearer\r\n".to_owned(), 401),
        ("/metrics", "Authorization: Bearer \r\n".to_owned(), 401),
        ("/metrics", "Authorization: \r\n".to_owned(), 401),
        (&format!("/metrics?token={TOKEN}"), String::new(), 401),
        ("/healthz", String::new(), 200),
        ("/readyz", String::new(), 200),
        ("/", String::new(), 200),
    ];
    for (path, headers, expected) in rows {
        let answer = ask(server.address(), "GET", path, &headers);
        assert_eq!(status(&answer), expected, "{path} {headers}");
        let challenged = answer.contains("www-authenticate: Bearer realm=\"ottometer\"");
        assert_eq!(challenged, expected == 401, "{answer}");
        let metrics = answer.contains("ottometer_wire_bytes_total");
        assert_eq!(metrics, expected == 200 && path.starts_with("/metrics"));
    }
}

#[test]
fn serves_https_and_takes_a_new_certificate_and_token() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, old) = certificate(folder.path());
    let mut config = Config::new(SocketAddr::from(([0, 0, 0, 0], 0)));
    config.tls = Some(tls.clone());
    config.token = Some(token_file(folder.path()));
    let server = Server::start(config, latest(1, &["up"])).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(status(&ask_tls(address, &old, &bearer).unwrap()), 200);
    assert_eq!(status(&ask_tls(address, &old, "").unwrap()), 401);

    let (_, new) = certificate(folder.path());
    assert!(
        ask_tls(address, &new, &bearer).is_err(),
        "still the old one"
    );
    server.reload().unwrap();
    assert_eq!(status(&ask_tls(address, &new, &bearer).unwrap()), 200);
    assert!(ask_tls(address, &old, &bearer).is_err());

    // A reload that fails changes nothing, not even the part of it that would do.
    fs::write(folder.path().join("token"), "another-token-for-tests").unwrap();
    fs::write(&tls.key, "no key").unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains("key.pem: not a PEM private key"), "{error}");
    assert_eq!(status(&ask_tls(address, &new, &bearer).unwrap()), 200);
}

#[test]
fn plain_requests_to_an_https_port_get_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = local();
    config.tls = Some(certificate(folder.path()).0);
    let server = Server::start(config, latest(1, &["up"])).unwrap();
    let mut stream = connect(server.address());
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, then the end or a reset.
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.len() < 32, "{answer:?}");
}

#[test]
fn refuses_what_is_open_and_says_what_is_missing() {
    let tls = Some(Tls {
        certificate: "c".into(),
        key: "k".into(),
    });
    let token = Some(PathBuf::from("t"));
    let certificate = "a certificate and its key (--tls-cert FILE --tls-key FILE)";
    let bearer = "a bearer token (--token-file FILE)";
    let both = format!("{certificate} and {bearer}");
    let rows = [
        ("0.0.0.0:9100", None, None, Some(both.as_str())),
        ("[::]:9100", None, None, Some(&both)),
        ("192.0.2.1:9100", tls.clone(), None, Some(bearer)),
        ("192.0.2.1:9100", None, token.clone(), Some(certificate)),
        ("[::ffff:192.0.2.1]:9100", None, None, Some(&both)),
        ("192.0.2.1:9100", tls, token, None),
        ("127.0.0.1:9100", None, None, None),
        ("127.8.8.8:9100", None, None, None),
        ("[::1]:9100", None, None, None),
        ("[::ffff:127.0.0.1]:9100", None, None, None),
    ];
    for (listen, tls, token, missing) in rows {
        let mut config = Config::new(listen.parse().unwrap());
        (config.tls, config.token) = (tls, token);
        let refusal = config.check().err().map(|error| error.to_string());
        let expected = missing.map(|missing| {
            format!(
                "others can reach {listen}, which needs {missing}; \
                 --listen 127.0.0.1:9100 needs none of it"
            )
        });
        assert_eq!(refusal, expected, "{listen}");
    }
}

#[test]
fn start_fails_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (good, _) = certificate(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (foreign, _) = certificate(other.path());
    let tls = |certificate: &Path, key: &Path| {
        let mut config = local();
        config.tls = Some(Tls {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        });
        config
    };
    let token = |path: PathBuf| {
        let mut config = local();
        config.token = Some(path);
        config
    };
    let taken = Server::start(local(), latest(1, &[])).unwrap();
    let rows = [
        (Config::new(taken.address()), "cannot listen on 127.0.0.1:"),
        (
            Config::new(SocketAddr::from(([0, 0, 0, 0], 0))),
            "others can reach",
        ),
        (token(folder.path().join("none")), "cannot read"),
        (
            token(file("short", "abc")),
            "short: a token needs at least 16",
        ),
        (
            token(file("lines", "0123456789\n0123456789")),
            "lines: a token is one line",
        ),
        (
            token(file("long", &"x".repeat(2 << 20))),
            "long: larger than",
        ),
        (tls(&folder.path().join("none"), &good.key), "cannot read"),
        (tls(&good.key, &good.key), "holds no certificate"),
        (
            tls(&file("junk", "junk"), &good.key),
            "junk: holds no certificate",
        ),
        (
            tls(&good.certificate, &good.certificate),
            "not a PEM private key",
        ),
        (
            tls(&good.certificate, &foreign.key),
            "does not fit the certificate",
        ),
    ];
    for (config, text) in rows {
        let error = Server::start(config, latest(1, &[]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(text), "{text}: {error}");
    }
}

#[test]
fn sees_which_files_everyone_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = token_file(folder.path());
    for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            secrets::world_readable(&path).unwrap(),
            expected,
            "{mode:o}"
        );
    }
}

#[test]
fn secrets_are_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = local();
    config.token = Some(token_file(folder.path()));
    let printed = format!("{:?}", Secrets::load(&config).unwrap());
    assert!(!printed.contains(TOKEN), "{printed}");
}

/// Whether the other side has closed: the end or a reset, but no time-out.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn slow_clients_are_dropped_in_time_and_hold_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    for tls in [None, Some(certificate(folder.path()).0)] {
        let mut config = local();
        config.tls = tls;
        config.limits.header = Duration::from_secs(1);
        let plain = config.tls.is_none();
        let server = Server::start(config, latest(1, &["up"])).unwrap();
        let mut silent = connect(server.address());
        let mut half = connect(server.address());
        half.write_all(b"GET /metrics HT").unwrap();
        if plain {
            assert_eq!(status(&ask(server.address(), "GET", "/metrics", "")), 200);
        }
        assert!(is_closed(&mut silent));
        assert!(is_closed(&mut half));
    }
}

#[test]
fn a_client_that_does_not_read_is_dropped_in_time() {
    let mut config = local();
    config.limits.connection = Duration::from_millis(500);
    let latest = latest(1, &["up"]);
    // Larger than what the sockets hold between them.
    let mut large = snapshot(2, &["up"]);
    large.sources = (0..60_000)
        .map(|thread| SourceReport {
            interface: "e".repeat(100),
            thread,
            state: "up",
            ..SourceReport::default()
        })
        .collect();
    latest.store(Arc::new(large));
    let server = Server::start(config, latest).unwrap();
    let mut stream = connect(server.address());
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let length = text.split("content-length: ").nth(1).unwrap();
    let length: usize = length.split('\r').next().unwrap().parse().unwrap();
    assert!(answer.len() < length, "all {length} bytes came");
    assert_eq!(status(&ask(server.address(), "GET", "/healthz", "")), 200);
}

#[test]
fn a_crowd_pushes_out_its_oldest() {
    let mut config = local();
    config.limits.connections = 8;
    let server = Server::start(config, latest(1, &["up"])).unwrap();
    let mut crowd: Vec<TcpStream> = (0..40).map(|_| connect(server.address())).collect();
    for _ in 0..20 {
        assert_eq!(status(&ask(server.address(), "GET", "/metrics", "")), 200);
    }
    for stream in &mut crowd[..32] {
        assert!(is_closed(stream));
    }
}

#[test]
fn many_ask_at_once() {
    let mut config = local();
    config.limits.connections = 256;
    let server = Server::start(config, latest(1, &["up"])).unwrap();
    let address = server.address();
    let clients: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                (0..20).all(|_| status(&ask(address, "GET", "/metrics", "")) == 200)
            })
        })
        .collect();
    assert!(clients.into_iter().all(|client| client.join().unwrap()));
}

#[test]
fn nonsense_gets_an_error_or_nothing() {
    let server = Server::start(local(), latest(1, &["up"])).unwrap();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    for request in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\0\x05\r\n\r\n",
        &long,
        &many,
    ] {
        let mut stream = connect(server.address());
        // It may be closed before all is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || (400..500).contains(&status(&answer)),
            "{answer}"
        );
    }
    assert_eq!(status(&ask(server.address(), "GET", "/healthz", "")), 200);
}

#[test]
fn one_thread_and_it_ends_with_the_handle() {
    let threads = || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("tokio")).count()
    };
    let server = Server::start(local(), latest(1, &["up"])).unwrap();
    let address = server.address();
    let _dawdler = connect(address);
    assert_eq!(status(&ask(address, "GET", "/metrics", "")), 200);
    assert_eq!(threads(), 0, "no pool of threads beside our own");
    drop(server);
    let again = TcpStream::connect(address);
    assert!(again.is_err(), "still listening");
}
