//! Records over TLS to a server that asks who sends them (RFC 7011, section 11.3; RFC 5425, section
//! 4.2): OpenSSL's own.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support;
use crate::support::live::clock;

/// Certificates of a server and of clients, in a folder.
struct Papers(tempfile::TempDir);

impl Papers {
    fn new() -> Self {
        let papers = Self(tempfile::tempdir().unwrap());
        for (authority, holders) in [("ca", &["server", "client"][..]), ("other", &["stranger"])] {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(DnType::CommonName, authority);
            let key = KeyPair::generate().unwrap();
            let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
            fs::write(papers.path(authority, "pem"), issuer.pem()).unwrap();
            for holder in holders {
                let key = KeyPair::generate().unwrap();
                let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
                let certificate = params.signed_by(&key, &issuer).unwrap();
                fs::write(papers.path(holder, "pem"), certificate.pem()).unwrap();
                fs::write(papers.path(holder, "key"), key.serialize_pem()).unwrap();
            }
        }
        papers
    }

    fn path(&self, name: &str, kind: &str) -> PathBuf {
        self.0.path().join(format!("{name}.{kind}"))
    }
}

/// `openssl s_server`, which takes one connection after the other.
struct OpenSsl {
    child: Child,
    port: u16,
}

impl OpenSsl {
    /// `None`, with a message, where there is no such program.
    fn start(papers: &Papers, version: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let child = Command::new("openssl")
            .args(["s_server", "-quiet", version, "-verify_return_error"])
            .args(["-accept", &port.to_string(), "-Verify", "2"])
            .arg("-CAfile")
            .arg(papers.path("ca", "pem"))
            .arg("-cert")
            .arg(papers.path("server", "pem"))
            .arg("-key")
            .arg(papers.path("server", "key"))
            // It ends with its input.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            support::skipped("openssl is not installed");
            return None;
        };
        let until = clock() + Duration::from_secs(10);
        let listens = || {
            ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|path| {
                let text = fs::read_to_string(path).unwrap_or_default();
                text.contains(&format!(":{port:04X} 0")) && text.contains(" 0A ")
            })
        };
        while !listens() {
            assert!(clock() < until, "openssl does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Some(Self { child, port })
    }

    /// What has come, once it has ended.
    fn received(mut self) -> Vec<u8> {
        self.child.kill().unwrap();
        let mut bytes = Vec::new();
        let stdout = self.child.stdout.as_mut().unwrap();
        stdout.read_to_end(&mut bytes).unwrap();
        bytes
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_it() {
    let capture = support::root().join("pcaps/wechat-mmtls.pcap");
    let capture = capture.to_str().unwrap();
    let papers = Papers::new();
    let ca = papers.path("ca", "pem");
    let shown = |name: &str| {
        let [certificate, key] = ["pem", "key"].map(|kind| papers.path(name, kind));
        format!("&cert={}&key={}", certificate.display(), key.display())
    };
    let send = |port: u16, encoding: &str, more: &str| {
        let url = format!(
            "flows={encoding}+tls://localhost:{port}?ca={}{more}",
            ca.display()
        );
        support::ottometer(["read", capture, "--out", &url, "--quiet"])
    };
    for version in ["-tls1_2", "-tls1_3"] {
        for (encoding, ending) in [("json", "jsonl"), ("ipfix", "ipfix")] {
            let file = papers.path("expected", ending);
            let out = format!("flows={}", file.display());
            support::succeed(["read", capture, "--out", &out, "--quiet"]);
            let Some(server) = OpenSsl::start(&papers, version) else {
                return;
            };
            // Those who show nothing, or what the server does not trust, are told so, and nothing is
            // sent into the void.
            for more in [String::new(), shown("stranger")] {
                let output = send(server.port, encoding, &more);
                let text = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{version} {more}: {text}");
                assert!(text.contains("no connection to localhost"), "{text}");
                assert!(text.contains("alert"), "{version} {more}: {text}");
            }
            let output = send(server.port, encoding, &shown("client"));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version}: {text}");
            let expected = fs::read(&file).unwrap();
            // What is on its way to the server's standard output.
            thread::sleep(Duration::from_secs(1));
            assert!(
                server.received() == expected,
                "{version}: the {encoding} received is not that written"
            );
        }
    }
}

#[test]
fn a_certificate_and_a_key_that_do_not_go_together_are_refused() {
    let papers = Papers::new();
    let path = |name: &str, kind: &str| papers.path(name, kind).display().to_string();
    let (certificate, key) = (path("client", "pem"), path("client", "key"));
    let strange = path("stranger", "key");
    for (more, code, said) in [
        (format!("cert={certificate}"), 2, "cert needs key=FILE"),
        (format!("key={key}"), 2, "key needs cert=FILE"),
        (format!("cert={key}&key={key}"), 1, "holds no certificate"),
        (
            format!("cert={certificate}&key={certificate}"),
            1,
            "not a PEM private key",
        ),
        (
            format!("cert={certificate}&key={strange}"),
            1,
            "does not fit the certificate",
        ),
        (
            format!("cert={certificate}&key=/no/such.key"),
            1,
            "/no/such.key: No such file",
        ),
    ] {
        let url = format!("flows=ipfix+tls://localhost?{more}");
        let capture = support::root().join("pcaps/wechat-mmtls.pcap");
        let output = support::ottometer(["read", capture.to_str().unwrap(), "--out", &url]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{more}: {text}");
        assert!(text.contains(said), "{more}: {text}");
    }
    // They are read, so nothing is written over them.
    let url = format!("flows=ipfix+tls://localhost?cert={certificate}&key={key}");
    let capture = support::root().join("pcaps/wechat-mmtls.pcap");
    let onto = format!("flows={key}.jsonl");
    std::os::unix::fs::symlink(&key, Path::new(&format!("{key}.jsonl"))).unwrap();
    let output = support::ottometer([
        "read",
        capture.to_str().unwrap(),
        "--out",
        &url,
        "--out",
        &onto,
    ]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("which is read"), "{text}");
}
