//! Protocols inside others: behind proxies, behind requests for TLS, in frames of WebSocket.

use crate::Capture;
use crate::net::{Tcp, Trace, join};
use crate::secure::{client_hello, server_hello, vector};
use crate::web::{answer, request};

pub const CAPTURES: &[Capture] = &[
    (
        "wrapped",
        "PROXY protocol 1 and 2, SOCKS 4 and 5, CONNECT, WebSocket: TLS, HTTP, SSH and MQTT inside, also in one another",
        wrapped,
    ),
    (
        "upgraded",
        "What becomes TLS: PostgreSQL, MySQL, TDS, IMAP, POP3, XMPP, LDAP, FTP, IRC, NNTP, ManageSieve, RDP",
        upgraded,
    ),
];

/// Whether the client sends it, and what it is.
type Line<'a> = (bool, &'a [u8]);

const NAME: &str = "www.youtube.com";

/// The PROXY protocol's header, version 1: whose connection it is.
const PROXY: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n";

/// The same in version 2, to port 80, with TLVs of no meaning (NOOP).
const PROXY_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11\xc0\0\x02\x01\xc6\x33\x64\x01\x9c\x40\0\x50\
    \x04\0\x02\0\0";

/// SOCKS 5 (RFC 1928): a request for 198.51.100.1, and that it is granted.
const SOCKS: [u8; 10] = [5, 1, 0, 1, 198, 51, 100, 1, 0, 80];
const GRANTED: [u8; 10] = [5, 0, 0, 1, 192, 0, 2, 90, 0x9c, 0x40];

fn wrapped(trace: &mut Trace) {
    let get = request("GET", "/watch?v=1", &[("Host", NAME)], b"");
    let got = answer("200 OK", &[("Content-Type", "text/html")], b"<html></html>");
    let (hello, reply) = (
        client_hello(trace, Some(NAME), &["h2"]),
        server_hello(trace),
    );
    open(trace, "10.57.0.5:50000", "192.0.2.90:8443")
        .client(PROXY)
        .client(&hello)
        .server(&reply)
        .close()
        .is("haproxy", "youtube", "-");
    // Header and request in one segment.
    open(trace, "10.57.0.5:50001", "192.0.2.90:8080")
        .client(join([PROXY_2, &get]))
        .server(&got)
        .close()
        .is("haproxy", "youtube", "-");
    open(trace, "10.57.0.5:50002", "192.0.2.91:1080")
        .client([5, 1, 0])
        .server([5, 0])
        .client(SOCKS)
        .server(GRANTED)
        .client(&get)
        .server(&got)
        .close()
        .is("socks5", "youtube", "-");
    // RFC 1929: a user and a password. The server speaks first.
    open(trace, "10.57.0.5:50003", "192.0.2.91:1080")
        .client([5, 2, 0, 2])
        .server([5, 2])
        .client(join([&[1][..], &vector(1, b"me"), &vector(1, b"secret")]))
        .server([1, 0])
        .client(SOCKS)
        .server(GRANTED)
        .server("SSH-2.0-Example_1.0\r\n")
        .client("SSH-2.0-Example_1.0\r\n")
        .close()
        .is("socks5", "-", "-");
    open(trace, "10.57.0.5:50004", "192.0.2.91:1080")
        .client(b"\x04\x01\x01\xbb\xc6\x33\x64\x01me\0")
        .server([0, 0x5a, 0, 0, 0, 0, 0, 0])
        .client(&hello)
        .server(&reply)
        .close()
        .is("socks4", "youtube", "-");
    // The proxy asks who it is.
    open(trace, "10.57.0.5:50005", "192.0.2.92:3128")
        .client("CONNECT 198.51.100.1:443 HTTP/1.1\r\nHost: 198.51.100.1:443\r\n\r\n")
        .server(answer("407 Proxy Authentication Required", &[], b"who?"))
        .client(
            "CONNECT 198.51.100.1:443 HTTP/1.1\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n",
        )
        .server("HTTP/1.1 200 Connection established\r\n\r\n")
        .client(&hello)
        .server(&reply)
        .close()
        .is("http", "youtube", "-");
    // SOCKS behind PROXY, and HTTP through it; three octets of the client a segment.
    let sent = join([PROXY.as_bytes(), &[5, 1, 0]]);
    let tcp = sent.chunks(3).fold(
        open(trace, "10.57.0.5:50006", "192.0.2.93:1080"),
        Tcp::client,
    );
    tcp.server([5, 0])
        .client(SOCKS)
        .server(GRANTED)
        .client(&get)
        .server(&got)
        .close()
        .is("haproxy", "youtube", "-");
    let upgrade = [
        ("Host", "broker.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Protocol", "mqtt"),
    ];
    let connect = join([
        &[0x10, 20][..],
        &vector(2, b"MQTT"),
        &[4, 2, 0, 60],
        &vector(2, b"sensor-7"),
    ]);
    // RFC 6455 section 5.3: what a client sends is masked.
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let masked = connect.iter().zip(mask.iter().cycle());
    let masked: Vec<u8> = masked.map(|(octet, mask)| octet ^ mask).collect();
    open(trace, "10.57.0.5:50007", "192.0.2.94:8083")
        .client(join([PROXY_2, &request("GET", "/mqtt", &upgrade, b"")]))
        .server(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Protocol: mqtt\r\n\r\n",
        )
        .client(join([&[0x82, 0x80 | 22][..], &mask, &masked]))
        .server([0x82, 4, 0x20, 2, 0, 0])
        .close()
        .is("haproxy", "-", "-");
}

fn open<'a>(trace: &'a mut Trace, client: &str, server: &str) -> Tcp<'a> {
    trace.tcp(client, server).open()
}

fn upgraded(trace: &mut Trace) {
    let (hello, reply) = (client_hello(trace, Some(NAME), &[]), server_hello(trace));
    // SSLRequest, and `S` for an answer.
    open(trace, "10.58.0.5:51000", "192.0.2.100:5432")
        .client([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
        .server("S")
        .client(&hello)
        .server(&reply)
        .close()
        .is("postgres", "youtube", "-");
    open(trace, "10.58.0.5:51001", "192.0.2.100:3306")
        .server(mysql_greeting())
        .client(join([
            &b"\x20\0\0\x01\x05\xae\x03\0\0\0\0\x01\xff"[..],
            &[0; 23],
        ]))
        .client(&hello)
        .server(&reply)
        .close()
        .is("mysql", "youtube", "-");
    tds(trace, &hello, &reply);
    let text = |trace: &mut Trace, port: u16, proto: &str, lines: &[Line<'_>]| {
        let client = format!("10.58.0.5:5{port:04}");
        let tcp = open(trace, &client, &format!("192.0.2.101:{port}"));
        let tcp = lines
            .iter()
            .fold(tcp, |tcp, (from_client, line)| match from_client {
                true => tcp.client(line),
                false => tcp.server(line),
            });
        tcp.client(&hello)
            .server(&reply)
            .close()
            .is(proto, "youtube", "-");
    };
    let stream = "<stream:stream to='example.com' version='1.0' xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams'>";
    let (client, server) = (true, false);
    let conversations: &[(u16, &str, &[Line<'_>])] = &[
        (
            143,
            "imap",
            &[
                (server, b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
                (client, b"a1 STARTTLS\r\n"),
                (server, b"a1 OK Begin TLS\r\n"),
            ],
        ),
        (
            110,
            "pop3",
            &[
                (server, b"+OK POP3 server ready\r\n"),
                (client, b"CAPA\r\n"),
                (server, b"+OK\r\nSTLS\r\n.\r\n"),
                (client, b"STLS\r\n"),
                (server, b"+OK Begin TLS\r\n"),
            ],
        ),
        (
            5222,
            "xmpp",
            &[
                (client, stream.as_bytes()),
                (server, stream.as_bytes()),
                (client, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                (server, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            ],
        ),
        (
            389,
            "ldap",
            &[
                (
                    client,
                    b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037",
                ),
                (
                    server,
                    b"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0",
                ),
            ],
        ),
        (
            21,
            "ftp",
            &[
                (server, b"220 FTP server ready\r\n"),
                (client, b"AUTH TLS\r\n"),
                (server, b"234 Proceed\r\n"),
            ],
        ),
        (
            6667,
            "irc",
            &[
                (server, b":irc.example NOTICE * :*** Looking up your hostname\r\n"),
                (client, b"STARTTLS\r\n"),
                (server, b":irc.example 670 * :STARTTLS successful\r\n"),
            ],
        ),
        (
            119,
            "nntp",
            &[
                (server, b"200 news.example ready\r\n"),
                (client, b"STARTTLS\r\n"),
                (server, b"382 Continue\r\n"),
            ],
        ),
        (
            4190,
            "sieve",
            &[
                (
                    server,
                    b"\"IMPLEMENTATION\" \"Example\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n",
                ),
                (client, b"STARTTLS\r\n"),
                (server, b"OK\r\n"),
            ],
        ),
        (
            3389,
            "rdp",
            &[
                (
                    client,
                    b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x01\0\0\0",
                ),
                (
                    server,
                    b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x01\0\0\0",
                ),
            ],
        ),
    ];
    for (port, proto, lines) in conversations {
        text(trace, *port, proto, lines);
    }
}

/// Protocol::HandshakeV10 of MySQL 8.
fn mysql_greeting() -> Vec<u8> {
    let body = join([
        &b"\x0a8.0.36\0\x08\0\0\0"[..],
        b"abcdefgh\0",
        b"\xff\xff\xff\x02\0\xff\xdf\x15",
        &[0; 10],
        b"ijklmnopqrst\0",
        b"caching_sha2_password\0",
    ]);
    join([&[body.len() as u8, 0, 0, 0][..], &body])
}

/// [MS-TDS] sections 2.2.6.5 and 3.2.5.1: PRELOGIN, then the handshake in packets of that type.
fn tds(trace: &mut Trace, hello: &[u8], reply: &[u8]) {
    let packet = |kind: u8, data: &[u8]| {
        let len = (data.len() as u16 + 8).to_be_bytes();
        join([&[kind, 1, len[0], len[1], 0, 0, 1, 0][..], data])
    };
    let options = b"\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\x07\xd0\0\0\0";
    open(trace, "10.58.0.5:51002", "192.0.2.100:1433")
        .client(packet(0x12, options))
        .server(packet(0x04, options))
        .client(packet(0x12, hello))
        .server(packet(0x12, reply))
        .close()
        .is("mssql-tds", "youtube", "-");
}
