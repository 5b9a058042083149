//! Names by behaviour: a model that is trained on named flows names those that show no more than a hello.
#![cfg(feature = "behaviour")]

use std::fs;
use std::path::Path;

use etherparse::PacketBuilder;
use serde_json::Value;

use crate::support;
use crate::support::packets::header;

/// What the server sends first and second, by application.
const SHAPES: [(&str, &str, [usize; 2]); 2] = [
    ("youtube", "www.youtube.com", [1200, 1000]),
    ("wechat", "szlong.weixin.qq.com", [300, 500]),
];

/// A capture, to which flows are added one after the other.
struct Capture {
    bytes: Vec<u8>,
    micros: u64,
}

impl Capture {
    fn new() -> Self {
        Self {
            bytes: header(),
            micros: 1_800_000_000_000_000,
        }
    }

    fn frame(&mut self, frame: &[u8]) {
        self.micros += 1500;
        let length = u32::try_from(frame.len()).unwrap();
        let seconds = u32::try_from(self.micros / 1_000_000).unwrap();
        for word in [seconds, (self.micros % 1_000_000) as u32, length, length] {
            self.bytes.extend(word.to_le_bytes());
        }
        self.bytes.extend(frame);
    }

    /// A connection of this client: its hello with this name, if there is one, and what follows.
    fn flow(&mut self, client: u8, port: u16, host: Option<&str>, [first, second]: [usize; 2]) {
        let noise = usize::from(port) * 7919 % 60;
        let server = [192, 0, 2, 7];
        let (mut up, mut down) = (1000_u32, 5000_u32);
        let mut send = |capture: &mut Self, to_server: bool, flags: &str, payload: &[u8]| {
            let (from, to) = match to_server {
                true => ([10, 0, 0, client], server),
                false => (server, [10, 0, 0, client]),
            };
            let (source, destination) = if to_server { (port, 443) } else { (443, port) };
            let (mine, theirs) = if to_server { (up, down) } else { (down, up) };
            let mut builder = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv4(from, to, 60)
                .tcp(source, destination, mine, 60_000);
            if flags.contains('S') {
                builder = builder.syn();
            }
            if flags.contains('A') {
                builder = builder.ack(theirs);
            }
            if flags.contains('F') {
                builder = builder.fin();
            }
            let mut frame = Vec::new();
            builder.write(&mut frame, payload).unwrap();
            capture.frame(&frame);
            let moved = u32::try_from(payload.len()).unwrap()
                + u32::from(flags.contains('S') || flags.contains('F'));
            if to_server {
                up += moved;
            } else {
                down += moved;
            }
        };
        send(self, true, "S", &[]);
        send(self, false, "SA", &[]);
        send(self, true, "A", &[]);
        send(self, true, "A", &client_hello(host));
        let mut answer = server_hello();
        answer.extend(data(first + noise));
        send(self, false, "A", &answer);
        for (to_server, length) in [
            (true, 64),
            (true, 180 + noise),
            (false, second),
            (false, first),
            (true, 40),
            (false, second + noise),
            (false, 900),
            (true, 31),
        ] {
            send(self, to_server, "A", &data(length));
        }
        send(self, true, "FA", &[]);
        send(self, false, "FA", &[]);
        send(self, true, "A", &[]);
    }
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3][..], &length, body].concat()
}

fn data(length: usize) -> Vec<u8> {
    record(23, &vec![0xa7; length])
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    record(22, &[&[kind][..], &length[1..], body].concat())
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&kind.to_be_bytes()[..], &length, body].concat()
}

fn client_hello(host: Option<&str>) -> Vec<u8> {
    let mut extensions = Vec::new();
    if let Some(host) = host {
        let length = u16::try_from(host.len()).unwrap();
        let mut name = (length + 3).to_be_bytes().to_vec();
        name.push(0);
        name.extend(length.to_be_bytes());
        name.extend(host.as_bytes());
        extensions.extend(extension(0, &name));
    }
    extensions.extend(extension(10, &[0, 2, 0, 29]));
    extensions.extend(extension(13, &[0, 2, 4, 3]));
    extensions.extend(extension(16, &[0, 3, 2, b'h', b'2']));
    extensions.extend(extension(43, &[2, 3, 4]));
    let mut body = vec![3, 3];
    body.extend([0x5c; 32]);
    body.push(0);
    body.extend([0, 4, 0x13, 1, 0x13, 2, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    handshake(1, &body)
}

fn server_hello() -> Vec<u8> {
    let extensions = extension(43, &[3, 4]);
    let mut body = vec![3, 3];
    body.extend([0x3e; 32]);
    body.extend([0, 0x13, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    handshake(2, &body)
}

fn write(folder: &Path, name: &str, capture: &Capture) -> String {
    let path = folder.join(name);
    fs::write(&path, &capture.bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What a site has named: two applications, and hosts that nobody knows.
fn site(folder: &Path) -> String {
    let mut capture = Capture::new();
    for number in 0..300_u16 {
        let client = (number % 30) as u8 + 1;
        let port = 20_000 + number;
        match number % 3 {
            2 => {
                let odd = usize::from(number) * 31 % 800;
                capture.flow(
                    client,
                    port,
                    Some("www.nobody.example"),
                    [600 + odd, 60 + odd / 3],
                );
            }
            app => {
                let (_, host, shape) = SHAPES[usize::from(app)];
                capture.flow(client, port, Some(host), shape);
            }
        }
    }
    write(folder, "site.pcap", &capture)
}

#[test]
fn flows_without_a_name_are_named_by_what_they_do() {
    let folder = tempfile::tempdir().unwrap();
    let site = site(folder.path());
    let model = folder.path().join("site.model");
    let model = model.to_str().unwrap();
    let text = support::succeed(["learn", &site, "--train", model, "--format", "json"]);
    let trained: Value = serde_json::from_str(&text).unwrap();
    for (app, ..) in SHAPES {
        let rows = trained["applications"].as_array().unwrap();
        let row = rows.iter().find(|row| row["app"] == app).unwrap();
        assert!(row["threshold"].as_f64().is_some(), "{text}");
        let count = |what: &str| row[what].as_f64().unwrap();
        assert!(
            count("right") / (count("right") + count("wrong")) >= 0.99,
            "{text}"
        );
    }
    // The same flows, the same model.
    let bytes = fs::read(model).unwrap();
    support::succeed(["learn", &site, "--train", model, "--workers", "3"]);
    assert!(bytes == fs::read(model).unwrap());

    let mut today = Capture::new();
    for (number, (_, _, shape)) in (0..).zip(SHAPES) {
        today.flow(200, 40_000 + number, None, shape);
    }
    today.flow(200, 40_100, None, [5, 5]);
    today.flow(200, 40_101, Some("www.youtube.com"), SHAPES[1].2);
    let today = write(folder.path(), "today.pcap", &today);
    let without = support::flows(Path::new(&today), &[]);
    assert!(without.iter().all(|flow| flow["app_proto"] == "tls"));
    assert_eq!(
        without
            .iter()
            .filter(|flow| flow.get("app").is_some())
            .count(),
        1
    );
    let named = support::flows(Path::new(&today), &["--behaviour", model]);
    let of = |port: u64| named.iter().find(|flow| flow["src_port"] == port).unwrap();
    for (port, (app, ..)) in (40_000..).zip(SHAPES) {
        let flow = of(port);
        assert_eq!(flow["app"], app, "{flow}");
        assert_eq!(flow["evidence"], "behaviour", "{flow}");
        assert_eq!(flow["signature"], "behaviour", "{flow}");
        assert!(flow.get("first_lengths").is_none(), "{flow}");
    }
    assert!(of(40_100).get("app").is_none(), "{}", of(40_100));
    // A name that was seen goes before what the flow is like.
    assert_eq!(of(40_101)["evidence"], "server-name");
    let told = support::flows(
        Path::new(&today),
        &["--behaviour", model, "--first-packets"],
    );
    assert!(told.iter().all(|flow| flow["first_lengths"].is_array()));
    let threads = support::flows(Path::new(&today), &["--behaviour", model, "--workers", "3"]);
    assert_eq!(threads, named);
    // It goes before the address of a network, which is asked where it keeps silent.
    fs::create_dir_all(folder.path().join("own/cloud")).unwrap();
    let own = "[app]\nid = 4294960001\nname = \"own-host\"\ntitle = \"Own host\"\ncategory = \"cloud\"\n\
               owner = \"none\"\n[[address]]\nprefix = [\"192.0.2.0/24\"]\nsource = \"RFC 5737\"\n";
    fs::write(folder.path().join("own/cloud/own-host.toml"), own).unwrap();
    let own = folder.path().join("own");
    let own = ["--signatures", own.to_str().unwrap(), "--behaviour", model];
    let of_network = support::flows(Path::new(&today), &own);
    let evidence = |port: u64| {
        let flow = of_network.iter().find(|flow| flow["src_port"] == port);
        let flow = flow.unwrap();
        (flow["app"].clone(), flow["evidence"].clone())
    };
    for (port, (app, ..)) in (40_000..).zip(SHAPES) {
        assert_eq!(evidence(port), (app.into(), "behaviour".into()));
    }
    assert_eq!(evidence(40_100), ("own-host".into(), "address".into()));
    assert_eq!(evidence(40_101).1, "server-name");
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut capture = Capture::new();
    capture.flow(1, 20_000, None, [100, 100]);
    let file = write(folder.path(), "one.pcap", &capture);
    let model = folder.path().join("bad.model");
    for (bytes, said) in [
        (&b"nothing"[..], "no model"),
        (b"\x89OTBHV\r\n\x09\x00", "version 9"),
        (b"\x89OTBHV\r\n\x01\x00", "is cut"),
    ] {
        fs::write(&model, bytes).unwrap();
        let output = support::ottometer(["read", &file, "--behaviour", model.to_str().unwrap()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(said) && stderr.contains("bad.model"),
            "{stderr}"
        );
    }
    let few = support::ottometer(["learn", &file, "--train", model.to_str().unwrap()]);
    let stderr = String::from_utf8_lossy(&few.stderr);
    assert!(
        !few.status.success() && stderr.contains("at least 100"),
        "{stderr}"
    );
}
