//! Conversations in wrappers, through the [`Classifier`]: what is inside is read as if it came first.

use super::*;
use crate::dissect::tls::tests::{client_hello_record, server_hello_record};
use crate::flow::samples::{Host, acknowledging, ended, tcp, udp};
use crate::flow::{Config, FlowTable};
use crate::signature::SourceFile;

const CLIENT: Host = (1, 50_000);
const PROXY: Host = (2, 7777);

/// The name in `client_hello_record` is `www.example.com`.
const FILE: &str = "
[app]
id = 1
name = 'acme'
title = 'Acme'
category = 'web'
owner = 'Acme'

[[domain]]
suffix = ['example.com']

[[payload]]
name = 'proof'
transport = 'tcp'
evidence = 'payload-proof'
at = [{ offset = 0, text = 'ACME-PROOF' }]
source = 'a test'

[[payload]]
name = 'later'
transport = 'tcp'
message = 'any'
evidence = 'payload-proof'
at = [{ offset = 0, text = 'ACME-LATER' }]
source = 'a test'
";

const OTHER_FILE: &str = "
[app]
id = 2
name = 'other'
title = 'Other'
category = 'web'
owner = 'Other'

[[domain]]
suffix = ['other.test']
";

type Message = (Side, Vec<u8>);
type Script = Vec<Message>;

fn client(bytes: impl AsRef<[u8]>) -> Message {
    (Side::Client, bytes.as_ref().to_vec())
}

fn server(bytes: impl AsRef<[u8]>) -> Message {
    (Side::Server, bytes.as_ref().to_vec())
}

/// What a flow is: application, what is spoken, what inside, the server's name; `-` for nothing.
type Seen = [String; 4];

fn seen(names: [&str; 4]) -> Seen {
    names.map(str::to_owned)
}

struct Run {
    classifier: Classifier,
    config: Config,
}

impl Run {
    fn new() -> Self {
        let files = [
            SourceFile::new("signatures/web/acme.toml", FILE),
            SourceFile::new("signatures/web/other.toml", OTHER_FILE),
        ];
        let set = SignatureSet::compile(&files).unwrap_or_else(|found| panic!("{found:?}"));
        Self {
            classifier: Classifier::new(Arc::new(set), false),
            config: Config {
                opening_packets: u16::MAX,
                ..Config::default()
            },
        }
    }

    /// Shows a connection in segments of at most `cut` octets.
    fn segments(&mut self, script: &[Message], cut: usize) -> Seen {
        let mut packets = vec![
            tcp(1, CLIENT, PROXY, (2, 999), b""),
            acknowledging(tcp(1, PROXY, CLIENT, (0x12, 1999), b""), 1000),
        ];
        let mut next = [1000, 2000];
        for (side, message) in script {
            for part in message.chunks(cut) {
                let (from, to, place) = match side {
                    Side::Client => (CLIENT, PROXY, 0),
                    Side::Server => (PROXY, CLIENT, 1),
                };
                packets.push(tcp(1, from, to, (16, next[place]), part));
                next[place] += u32::try_from(part.len()).unwrap();
            }
        }
        self.packets(&packets)
    }

    fn packets(&mut self, packets: &[Packet<'_>]) -> Seen {
        let mut table: FlowTable<Classification> = FlowTable::new(self.config.clone());
        let mut flow = None;
        for packet in packets {
            let located = table.locate(packet);
            let touch = table.touch(packet, &located).unwrap();
            ended(&mut table);
            let side = touch.side;
            let entry = table.flow(touch).unwrap();
            if !entry.class.is_settled() {
                self.classifier.on_packet(entry, packet, side, &self.config);
            }
            flow = Some((packet.at, located));
        }
        let (at, located) = flow.unwrap();
        let last = packets.last().unwrap();
        let touch = table.touch(last, &located).unwrap();
        ended(&mut table);
        let flow = table.flow(touch).unwrap();
        if !flow.class.is_settled() {
            self.classifier.finish(flow, at);
        }
        let Verdict::Settled { named, .. } = flow.class.verdict else {
            panic!("a finished flow has settled");
        };
        let catalog = self.classifier.set().catalog();
        let proto = |proto: Option<Proto>| proto.map_or("-", |proto| catalog.protocol_name(proto));
        let facts = flow.class.facts.as_deref();
        let name = facts.and_then(|facts| facts.server_name.as_deref());
        seen([
            named.app.map_or("-", |app| catalog.app_name(app)),
            proto(named.proto),
            proto(named.inner),
            name.unwrap_or("-"),
        ])
    }
}

fn hex(text: &str) -> Vec<u8> {
    let octets = text.split_whitespace();
    octets
        .map(|octet| u8::from_str_radix(octet, 16).unwrap())
        .collect()
}

fn tls() -> Script {
    vec![
        client(client_hello_record()),
        server(server_hello_record(0x0304)),
    ]
}

fn http() -> Script {
    vec![
        client("GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n"),
        server("HTTP/1.1 200 OK\r\n\r\n"),
    ]
}

/// A server that speaks first.
fn ssh() -> Script {
    vec![
        server("SSH-2.0-OpenSSH_9.2\r\n"),
        client("SSH-2.0-PuTTY\r\n"),
    ]
}

/// Wrappers that anything may be inside of: the name records give, and what comes before.
fn any_inside() -> Vec<(&'static str, &'static str, Script)> {
    let binary =
        "0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c c0 00 02 01 c6 33 64 01 9c 40 01 bb";
    let to_address = hex("05 01 00 01 c6 33 64 01 01 bb");
    let granted = hex("05 00 00 01 00 00 00 00 00 00");
    vec![
        (
            "PROXY, text",
            "haproxy",
            vec![client("PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n")],
        ),
        ("PROXY, binary", "haproxy", vec![client(hex(binary))]),
        (
            "SOCKS 4",
            "socks4",
            vec![
                client(hex("04 01 01 bb c6 33 64 01 6d 65 00")),
                server(hex("00 5a 00 00 00 00 00 00")),
            ],
        ),
        (
            "SOCKS 4a",
            "socks4",
            vec![
                client(hex("04 01 01 bb 00 00 00 01 00 61 2e 62 00")),
                server(hex("00 5a 00 00 00 00 00 00")),
            ],
        ),
        (
            "SOCKS 5",
            "socks5",
            vec![
                client(hex("05 01 00")),
                server(hex("05 00")),
                client(&to_address),
                server(&granted),
            ],
        ),
        (
            "SOCKS 5 with login",
            "socks5",
            vec![
                client(hex("05 02 00 02")),
                server(hex("05 02")),
                client(hex("01 01 75 02 70 77")),
                server(hex("01 00")),
                client(hex("05 01 00 03 03 61 2e 62 01 bb")),
                server(&granted),
            ],
        ),
        (
            "CONNECT",
            "http",
            vec![
                client("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n"),
                server("HTTP/1.1 200 Connection established\r\n\r\n"),
            ],
        ),
        (
            "CONNECT with a password",
            "http",
            vec![
                client("CONNECT a.b:443 HTTP/1.1\r\n\r\n"),
                server("HTTP/1.1 407 x\r\nContent-Length: 4\r\n\r\nwho?"),
                client("CONNECT a.b:443 HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\n\r\n"),
                server("HTTP/1.1 200 OK\r\n\r\n"),
            ],
        ),
    ]
}

/// Those that become TLS.
fn tls_inside() -> Vec<(&'static str, &'static str, Script)> {
    let lines = |lines: &[(Side, &str)]| -> Script {
        lines
            .iter()
            .map(|(side, line)| (*side, format!("{line}\r\n").into_bytes()))
            .collect()
    };
    let (c, s) = (Side::Client, Side::Server);
    let stream = "<stream:stream to='a.b' version='1.0' xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams'>";
    let mut greeting = hex("4a 00 00 00 0a 38 2e 30 2e 33 36 00 08 00 00 00");
    greeting.extend([0x41; 8]);
    greeting.extend(hex("00 ff ff ff 02 00 ff df 15"));
    greeting.extend([0; 10]);
    greeting.extend([0x42; 12]);
    greeting.extend(b"\0caching_sha2_password\0");
    let mut request = hex("20 00 00 01 05 ae 03 00 00 00 00 01 ff");
    request.extend([0; 23]);
    vec![
        (
            "PostgreSQL",
            "postgres",
            vec![client(hex("00 00 00 08 04 d2 16 2f")), server("S")],
        ),
        (
            "PostgreSQL, asked twice",
            "postgres",
            vec![
                client(hex("00 00 00 08 04 d2 16 30")),
                server("N"),
                client(hex("00 00 00 08 04 d2 16 2f")),
                server("S"),
            ],
        ),
        ("MySQL", "mysql", vec![server(greeting), client(request)]),
        (
            "SMTP",
            "smtp",
            lines(&[
                (s, "220 mx.other.test ESMTP"),
                (c, "EHLO me"),
                (s, "250-mx.other.test\r\n250 STARTTLS"),
                (c, "STARTTLS"),
                (s, "220 go"),
            ]),
        ),
        (
            "IMAP",
            "imap",
            lines(&[
                (s, "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready"),
                (c, "a STARTTLS"),
                (s, "a OK go"),
            ]),
        ),
        (
            "POP3",
            "pop3",
            lines(&[(s, "+OK POP3 ready"), (c, "STLS"), (s, "+OK go")]),
        ),
        (
            "FTP",
            "ftp",
            lines(&[(s, "220 FTP ready"), (c, "AUTH TLS"), (s, "234 go")]),
        ),
        (
            "NNTP",
            "nntp",
            lines(&[(s, "200 news ready"), (c, "STARTTLS"), (s, "382 go")]),
        ),
        (
            "IRC",
            "irc",
            lines(&[
                (c, "CAP LS 302"),
                (s, ":irc.test CAP * LS :tls"),
                (c, "STARTTLS"),
                (s, ":irc.test 670 * :go"),
            ]),
        ),
        (
            "ManageSieve",
            "sieve",
            lines(&[
                (s, "\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK"),
                (c, "STARTTLS"),
                (s, "OK"),
            ]),
        ),
        (
            "XMPP",
            "xmpp",
            lines(&[
                (c, stream),
                (s, stream),
                (c, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                (s, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ])
            .into_iter()
            .map(|(side, text)| (side, text.trim_ascii().to_vec()))
            .collect(),
        ),
        (
            "LDAP",
            "ldap",
            vec![
                client(
                    [
                        hex("30 1d 02 01 01 77 18 80 16"),
                        b"1.3.6.1.4.1.1466.20037".to_vec(),
                    ]
                    .concat(),
                ),
                server(hex("30 0c 02 01 01 78 07 0a 01 00 04 00 04 00")),
            ],
        ),
        (
            "RDP",
            "rdp",
            vec![
                client(hex(
                    "03 00 00 13 0e e0 00 00 00 00 00 01 00 08 00 0b 00 00 00",
                )),
                server(hex(
                    "03 00 00 13 0e d0 00 00 12 34 00 02 00 08 00 01 00 00 00",
                )),
            ],
        ),
    ]
}

fn joined(parts: &[Script]) -> Script {
    parts.concat()
}

#[test]
fn what_is_inside_is_read_as_if_it_came_first() {
    let mut run = Run::new();
    for (what, outer, wrapper) in any_inside() {
        for (inner, app, inside) in [("tls", "acme", tls()), ("http", "acme", http())] {
            let script = joined(&[wrapper.clone(), inside]);
            for cut in [usize::MAX, 7, 1] {
                let got = run.segments(&script, cut);
                let wanted = seen([app, outer, inner, "www.example.com"]);
                assert_eq!(got, wanted, "{inner} in {what}, cut by {cut}");
            }
        }
        for cut in [usize::MAX, 7, 1] {
            let got = run.segments(&joined(&[wrapper.clone(), ssh()]), cut);
            assert_eq!(got[1..3], [outer, "ssh"], "SSH in {what}, cut by {cut}");
        }
    }
}

#[test]
fn protocols_become_tls() {
    let mut run = Run::new();
    for (what, outer, wrapper) in tls_inside() {
        let script = joined(&[wrapper.clone(), tls()]);
        for cut in [usize::MAX, 7, 1] {
            let got = run.segments(&script, cut);
            let wanted = seen(["acme", outer, "tls", "www.example.com"]);
            assert_eq!(got, wanted, "{what}, cut by {cut}");
        }
        let got = run.segments(&wrapper, usize::MAX);
        assert_eq!(got[1..3], [outer, "-"], "{what}, and nothing after");
    }
}

/// One half of a connection is all that a mirror of one direction shows.
#[test]
fn the_client_alone_tells() {
    let mut run = Run::new();
    // Their answers, or greetings, say what they are.
    let not = [
        "SOCKS 4",
        "SOCKS 4a",
        "CONNECT with a password",
        "PostgreSQL, asked twice",
    ];
    let wrappers = any_inside().into_iter().chain(tls_inside());
    for (what, outer, wrapper) in wrappers.filter(|(what, ..)| !not.contains(what)) {
        if ["smtp", "imap", "pop3", "ftp", "nntp", "sieve"].contains(&outer) {
            continue;
        }
        let whole = joined(&[wrapper, tls()]);
        let half: Script = whole
            .into_iter()
            .filter(|(side, _)| *side == Side::Client)
            .collect();
        let wanted = seen(["acme", outer, "tls", "www.example.com"]);
        assert_eq!(run.segments(&half, usize::MAX), wanted, "{what}");
    }
}

#[test]
fn tds_packs_its_handshake() {
    let mut run = Run::new();
    let packed = |bytes: Vec<u8>| {
        let len = u16::try_from(bytes.len() + 8).unwrap().to_be_bytes();
        [&[0x12, 1, len[0], len[1], 0, 0, 0, 0][..], &bytes].concat()
    };
    let options = |kind: &str, encryption: &str| {
        hex(&format!(
            "{kind} 01 00 1a 00 00 01 00 00 00 0b 00 06 01 00 11 00 01 ff 10 00 07 d0 00 00 {encryption}"
        ))
    };
    let mut script = vec![client(options("12", "00")), server(options("04", "01"))];
    let plain = run.segments(&script, usize::MAX);
    assert_eq!(plain[1..3], ["mssql-tds", "-"]);
    script.extend([
        client(packed(client_hello_record())),
        server(packed(server_hello_record(0x0304))),
    ]);
    for cut in [usize::MAX, 7, 1] {
        let wanted = seen(["acme", "mssql-tds", "tls", "www.example.com"]);
        assert_eq!(run.segments(&script, cut), wanted, "cut by {cut}");
    }
}

/// A frame of WebSocket from the client, masked.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x82, 0x80 | u8::try_from(bytes.len()).unwrap()];
    frame.extend(mask);
    frame.extend(bytes.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    frame
}

fn websocket(subprotocol: &str) -> Script {
    let field = format!("Sec-WebSocket-Protocol: {subprotocol}\r\n");
    vec![
        client(format!(
            "GET / HTTP/1.1\r\nHost: broker.other.test\r\nUpgrade: websocket\r\n{field}\r\n"
        )),
        server(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n{field}\r\n"
        )),
    ]
}

fn mqtt_connect() -> Vec<u8> {
    hex("10 10 00 04 4d 51 54 54 04 02 00 3c 00 04 61 62 63 64")
}

#[test]
fn frames_of_websocket_are_opened() {
    let mut run = Run::new();
    let named = |inner| seen(["other", "websocket", inner, "broker.other.test"]);
    let mqtt = joined(&[websocket("x"), vec![client(frame(&mqtt_connect()))]]);
    for cut in [usize::MAX, 7, 1] {
        assert_eq!(run.segments(&mqtt, cut), named("mqtt"), "cut by {cut}");
    }
    let deflated = vec![client(hex("c2 80 01 02 03 04"))];
    for (subprotocol, inside, inner) in [
        ("mqtt", vec![], "mqtt"),
        ("v12.stomp", deflated.clone(), "stomp"),
        ("chat", deflated, "-"),
        ("chat", vec![client(frame(b"{\"a\":1}"))], "-"),
    ] {
        let script = joined(&[websocket(subprotocol), inside]);
        assert_eq!(run.segments(&script, 1000), named(inner), "{subprotocol}");
    }
    let refused = vec![
        client("GET / HTTP/1.1\r\nHost: a.other.test\r\nUpgrade: websocket\r\n\r\n"),
        server("HTTP/1.1 200 OK\r\n\r\n"),
    ];
    let got = run.segments(&refused, usize::MAX);
    assert_eq!(got, seen(["other", "http", "-", "a.other.test"]));
}

#[test]
fn wrappers_may_be_in_one_another() {
    let mut run = Run::new();
    let of = |wanted: &str| {
        let mut all = any_inside().into_iter();
        all.find(|(what, ..)| *what == wanted).unwrap().2
    };
    let proxy = || of("PROXY, text");
    let mqtt = joined(&[websocket("mqtt"), vec![client(frame(&mqtt_connect()))]]);
    let smtp = tls_inside().into_iter().find(|(what, ..)| *what == "SMTP");
    for (what, parts, wanted) in [
        (
            "SMTP behind PROXY",
            vec![proxy(), smtp.unwrap().2, tls()],
            ["acme", "haproxy", "tls", "www.example.com"],
        ),
        (
            "WebSocket behind PROXY",
            vec![of("PROXY, binary"), mqtt],
            ["other", "haproxy", "mqtt", "broker.other.test"],
        ),
        (
            "CONNECT in SOCKS behind PROXY",
            vec![proxy(), of("SOCKS 5"), of("CONNECT"), tls()],
            ["acme", "haproxy", "tls", "www.example.com"],
        ),
        (
            "nothing in SOCKS behind PROXY",
            vec![proxy(), of("SOCKS 5 with login")],
            ["-", "haproxy", "socks5", "a.b"],
        ),
        (
            "too deep",
            vec![proxy(), proxy(), proxy(), proxy(), tls()],
            ["-", "haproxy", "haproxy", "-"],
        ),
    ] {
        for cut in [usize::MAX, 7, 1] {
            let got = run.segments(&joined(&parts), cut);
            assert_eq!(got, seen(wanted), "{what}, cut by {cut}");
        }
    }
}

#[test]
fn the_inside_knows_better_whose_it_is() {
    let mut run = Run::new();
    let connect = |host: &str, status: &str| {
        vec![
            client(format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n")),
            server(format!("HTTP/1.1 {status}\r\n\r\n")),
        ]
    };
    let unread = vec![client(b"\xf1\x9ejunk"), server(b"\xf2\x9ejunk")];
    let foreign = client("GET / HTTP/1.1\r\nHost: www.unheard-of.test\r\n\r\n");
    for (what, parts, wanted) in [
        (
            "another name",
            vec![connect("www.other.test", "200 OK"), tls()],
            ["acme", "http", "tls", "www.example.com"],
        ),
        (
            "a name no rule knows",
            vec![connect("www.other.test", "200 OK"), vec![foreign]],
            ["-", "http", "http", "www.unheard-of.test"],
        ),
        (
            "nothing that can be read",
            vec![connect("www.other.test", "200 OK"), unread],
            ["other", "http", "-", "www.other.test"],
        ),
        (
            "nothing",
            vec![connect("www.other.test", "200 OK")],
            ["other", "http", "-", "www.other.test"],
        ),
        (
            "refused",
            vec![connect("www.other.test", "403 no")],
            ["other", "http", "-", "www.other.test"],
        ),
        (
            "a proof",
            vec![
                connect("www.other.test", "200 OK"),
                vec![client("ACME-PROOF and more")],
            ],
            ["acme", "http", "-", "www.other.test"],
        ),
    ] {
        let got = run.segments(&joined(&parts), usize::MAX);
        assert_eq!(got, seen(wanted), "{what}");
    }
}

/// What had come before the wrapper was known is shown message by message.
#[test]
fn messages_found_at_once_are_read_one_by_one() {
    let mut run = Run::new();
    let (proxy, rest) = (
        "PROXY UNKNOWN\r\n",
        [&b"\xf1\x9ejunk"[..], b"ACME-LATER", b"\xf1\x9ejunk"],
    );
    let mut script = vec![client(proxy)];
    script.extend(rest.map(client));
    assert_eq!(run.segments(&script, usize::MAX)[0], "acme");
    // The header's end comes last: its last octet, and so all that follows, was late.
    let mut packets = vec![tcp(1, CLIENT, PROXY, (2, 999), b"")];
    let header = proxy.as_bytes();
    packets.push(tcp(1, CLIENT, PROXY, (16, 1000), &header[..14]));
    let mut next = 1015;
    for part in rest {
        packets.push(tcp(1, CLIENT, PROXY, (16, next), part));
        next += u32::try_from(part.len()).unwrap();
    }
    packets.push(tcp(1, CLIENT, PROXY, (16, 1014), &header[14..]));
    assert_eq!(run.packets(&packets)[0], "acme");
}

#[test]
fn datagrams_may_have_headers() {
    let mut run = Run::new();
    let mut query =
        hex("0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 12 00 0c c0 00 02 01 c6 33 64 01 9c 40 00 35");
    query.extend(hex(
        "12 34 01 00 00 01 00 00 00 00 00 00 01 61 04 74 65 73 74 00 00 01 00 01",
    ));
    let got = run.packets(&[udp(1, CLIENT, (2, 53), &query)]);
    assert_eq!(got[1..3], ["haproxy", "dns"]);
}
