//! Real programs for real traffic: nginx, tcpdump, Prometheus; a name server and a QUIC exchange.
//!
//! Whatever is started here ends with the value that stands for it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::crypto::ring::default_provider;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use quinn::rustls::{self, RootCertStore};
use quinn::{Endpoint, EndpointConfig, TokioRuntime};
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Name, Packet, Question, ResourceRecord, TYPE};

use super::netns::Namespace;

/// Whether these programs are here. What is missing is said.
pub(crate) fn installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|at| at.join(program).is_file());
    let mut all = true;
    for program in programs.iter().filter(|program| !has(program)) {
        super::skipped(&format!("{program} is not installed"));
        all = false;
    }
    all
}

/// A program that runs beside the test, ended with it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it in a namespace; `log` holds what it says.
    pub(crate) fn start(namespace: &Namespace, command: &mut Command, log: PathBuf) -> Self {
        let errors = fs::File::create(&log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors);
        let child = namespace.enter(|| command.spawn().unwrap());
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it is ready.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut(&Self) -> bool) {
        for _ in 0..3000 {
            if ready(self) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{status}: {}", self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("not ready: {}", self.log());
    }

    /// Asks it to end; what it said.
    pub(crate) fn stop(mut self, signal: Signal) -> String {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate that signs itself, for names and addresses.
pub(crate) struct Certificate {
    made: rcgen::CertifiedKey<rcgen::KeyPair>,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) fn new(folder: &Path, names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        fs::write(&cert, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { made, cert, key }
    }
}

/// nginx on ports 80 and 443 of all addresses of the namespace, with `page` under `/page`.
pub(crate) fn nginx(
    namespace: &Namespace,
    folder: &Path,
    certificate: &Certificate,
    page: &[u8],
) -> Daemon {
    let at = folder.display();
    let (cert, key) = (certificate.cert.display(), certificate.key.display());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {at}/{kind};\n"))
        .concat();
    let config = format!(
        "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n    access_log off;\n{temporary}    server {{\n        \
         listen 80;\n        listen 443 ssl http2;\n        \
         ssl_certificate {cert};\n        ssl_certificate_key {key};\n        \
         ssl_protocols TLSv1.2 TLSv1.3;\n        root {at}/www;\n    }}\n}}\n"
    );
    fs::create_dir(folder.join("www")).unwrap();
    fs::write(folder.join("www/page"), page).unwrap();
    let file = folder.join("nginx.conf");
    fs::write(&file, config).unwrap();
    let mut command = Command::new("nginx");
    command
        .arg("-e")
        .arg("stderr")
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(file);
    let mut nginx = Daemon::start(namespace, &mut command, folder.join("nginx.log"));
    nginx.wait_until(|_| connects(namespace, SocketAddr::from((Ipv4Addr::LOCALHOST, 443))));
    nginx
}

/// Whether something listens there.
pub(crate) fn connects(namespace: &Namespace, address: SocketAddr) -> bool {
    namespace.enter(|| TcpStream::connect(address).is_ok())
}

/// `tcpdump` on an interface, every frame whole, once it captures.
pub(crate) fn tcpdump(namespace: &Namespace, interface: &str, file: &Path) -> Daemon {
    let mut command = Command::new("tcpdump");
    command.args(["-i", interface, "-n", "-s", "262144", "-B", "65536"]);
    // Each frame is in the file at once: a test may wait for it.
    command.args(["-Z", "root", "-U", "-w"]).arg(file);
    let mut tcpdump = Daemon::start(namespace, &mut command, file.with_extension("log"));
    tcpdump.wait_until(|tcpdump| tcpdump.log().contains("listening on"));
    tcpdump
}

/// A name server with made-up addresses.
pub(crate) struct NameServer(Arc<AtomicBool>);

impl NameServer {
    pub(crate) fn start(
        namespace: &Namespace,
        address: Ipv4Addr,
        names: Vec<(&'static str, Ipv4Addr)>,
    ) -> Self {
        let socket = namespace.enter(|| UdpSocket::bind((address, 53)).unwrap());
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let query = Packet::parse(&buffer[..length]).unwrap();
                let mut reply = Packet::new_reply(query.id());
                for question in &query.questions {
                    let asked = question.qname.to_string();
                    reply.questions.push(question.clone());
                    for (name, address) in names.iter().filter(|(name, _)| *name == asked) {
                        let name = Name::new(name).unwrap();
                        let data = RData::A(A::from(*address));
                        reply
                            .answers
                            .push(ResourceRecord::new(name, CLASS::IN, 300, data));
                    }
                }
                let reply = reply.build_bytes_vec_compressed().unwrap();
                socket.send_to(&reply, from).unwrap();
            }
        });
        Self(stop)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks a name server: the address it gives, and the port asked from.
pub(crate) fn ask(namespace: &Namespace, server: Ipv4Addr, name: &str) -> (Ipv4Addr, u16) {
    let socket = namespace.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket.connect((server, 53)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut query = Packet::new_query(port);
    let asked = Name::new(name).unwrap();
    let question = Question::new(asked, TYPE::A.into(), CLASS::IN.into(), false);
    query.questions.push(question);
    socket.send(&query.build_bytes_vec().unwrap()).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    let reply = Packet::parse(&buffer[..length]).unwrap();
    assert_eq!(reply.id(), port);
    let Some(RData::A(address)) = reply.answers.first().map(|answer| &answer.rdata) else {
        panic!("no address for {name}: {reply:?}");
    };
    (Ipv4Addr::from(address.address), port)
}

/// Fetches `page` over QUIC with HTTP/3's ALPN from `server`, where it is served for this one
/// fetch. What is inside the stream is nobody's business but the two ends'.
pub(crate) fn quic_fetch(
    (client, server): (&Namespace, &Namespace),
    (address, host): (IpAddr, &str),
    certificate: &Certificate,
    page: &[u8],
) {
    let bind = |namespace: &Namespace, address: SocketAddr| {
        namespace.enter(|| UdpSocket::bind(address).unwrap())
    };
    let address = SocketAddr::from((address, 443));
    let listening = bind(server, address);
    let calling = bind(client, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let (to_serve, to_call) = quic_configs(certificate);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let endpoint = |socket, config| {
            let own = EndpointConfig::default();
            Endpoint::new(own, config, socket, Arc::new(TokioRuntime)).unwrap()
        };
        let listening = endpoint(listening, Some(to_serve));
        let calling = endpoint(calling, None);
        let serve = async {
            let connection = listening.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            receive.read_to_end(65_536).await.unwrap();
            send.write_all(page).await.unwrap();
            send.finish().unwrap();
            connection.closed().await;
        };
        let fetch = async {
            let connecting = calling.connect_with(to_call, address, host).unwrap();
            let connection = connecting.await.unwrap();
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            send.write_all(b"the page, please").await.unwrap();
            send.finish().unwrap();
            let got = receive.read_to_end(page.len()).await.unwrap();
            connection.close(0_u32.into(), b"");
            got
        };
        let ((), got) = tokio::join!(serve, fetch);
        assert_eq!(got.len(), page.len());
        tokio::join!(listening.wait_idle(), calling.wait_idle());
    });
}

fn quic_configs(certificate: &Certificate) -> (quinn::ServerConfig, quinn::ClientConfig) {
    let cert = CertificateDer::from(certificate.made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(certificate.made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h3".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h3".to_vec()];
    let server = QuicServerConfig::try_from(server).unwrap();
    let client = QuicClientConfig::try_from(client).unwrap();
    (
        quinn::ServerConfig::with_crypto(Arc::new(server)),
        quinn::ClientConfig::new(Arc::new(client)),
    )
}
