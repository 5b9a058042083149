//! HTTP, proxies, and protocols on ports that are not theirs.

use ottometer::dissect::quic::build;

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::{client_hello, server_hello, vector};

pub const CAPTURES: &[Capture] = &[
    (
        "http",
        "HTTP: a name, a range, WebSocket, CONNECT, HTTP/2 in the clear",
        http,
    ),
    (
        "proxies",
        "SOCKS 4a and 5 to a name, TLS behind them",
        proxies,
    ),
    (
        "odd-ports",
        "Protocols on the ports of others: HTTP on OICQ's, SSH on HTTPS's, TLS on SIP's, BitTorrent on HTTP's",
        odd_ports,
    ),
];

/// An HTTP/1.1 request.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    message(
        &format!("{method} {path} HTTP/1.1"),
        headers,
        body,
        method != "GET",
    )
}

/// An HTTP/1.1 response.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    message(&format!("HTTP/1.1 {status}"), headers, body, true)
}

fn message(line: &str, headers: &[(&str, &str)], body: &[u8], length: bool) -> Vec<u8> {
    let mut text = format!("{line}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if length {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    join([(text + "\r\n").as_bytes(), body])
}

fn http(trace: &mut Trace) {
    let agent = ("User-Agent", "Mozilla/5.0");
    trace
        .tcp("10.51.0.5:45000", "192.0.2.30:80")
        .open()
        .client(request(
            "GET",
            "/watch?v=1",
            &[("Host", "www.youtube.com"), agent],
            b"",
        ))
        .server(answer(
            "301 Moved Permanently",
            &[("Location", "https://www.youtube.com/")],
            b"",
        ))
        .close()
        .is("http", "youtube", "-");
    trace
        .tcp("10.51.0.5:45001", "192.0.2.31:8080")
        .open()
        .client(request(
            "GET",
            "/",
            &[("Host", "www.example.com"), agent],
            b"",
        ))
        .server(answer(
            "200 OK",
            &[("Content-Type", "text/html")],
            b"<html></html>",
        ))
        .close()
        .is("http", "-", "-");
    let upgrade = [
        ("Host", "ws.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    let switched = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    // Without a body there is no length: 101 has none.
    let switched = switched.iter().fold(
        "HTTP/1.1 101 Switching Protocols\r\n".to_owned(),
        |text, (name, value)| text + name + ": " + value + "\r\n",
    ) + "\r\n";
    trace
        .tcp("10.51.0.5:45002", "192.0.2.32:80")
        .open()
        .client(request("GET", "/chat", &upgrade, b""))
        .server(switched)
        .client([
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ])
        .server([0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
        .close()
        .is("websocket", "-", "-");
    // RFC 9113 section 3.4: preface, SETTINGS, then HEADERS with :method GET, :path /, :scheme http
    // and :authority of the static table.
    let block = join([&[0x82, 0x84, 0x86, 0x41, 0x0f][..], b"www.example.com"]);
    let headers = join([&vector(3, &block)[..3], &[1, 5, 0, 0, 0, 1], &block]);
    let first = join([
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],
        &headers,
    ]);
    trace
        .tcp("10.51.0.5:45003", "192.0.2.33:80")
        .open()
        .client(first)
        .server([0, 0, 0, 4, 0, 0, 0, 0, 0])
        .server([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88])
        .close()
        .is("http2", "-", "-");
    // What goes through a proxy names its server in CONNECT.
    let hello = client_hello(trace, Some("web.whatsapp.com"), &["h2"]);
    let reply = server_hello(trace);
    trace
        .tcp("10.51.0.5:45004", "192.0.2.34:3128")
        .open()
        .client("CONNECT web.whatsapp.com:443 HTTP/1.1\r\nHost: web.whatsapp.com:443\r\n\r\n")
        .server("HTTP/1.1 200 Connection established\r\n\r\n")
        .client(hello)
        .server(reply)
        .close()
        .is("http", "whatsapp", "chat");
}

fn proxies(trace: &mut Trace) {
    let hello = client_hello(trace, Some("web.whatsapp.com"), &["h2"]);
    let reply = server_hello(trace);
    // RFC 1928: methods, the choice; CONNECT to a name, granted.
    let name = vector(1, b"web.whatsapp.com");
    trace
        .tcp("10.55.0.5:49000", "192.0.2.70:1080")
        .open()
        .client([5, 1, 0])
        .server([5, 0])
        .client(join([&[5, 1, 0, 3][..], &name, &[0x01, 0xbb]]))
        .server([5, 0, 0, 1, 192, 0, 2, 70, 0x04, 0x38])
        .client(&hello)
        .server(&reply)
        .close()
        .is("socks5", "whatsapp", "chat");
    // SOCKS 4a: an address that is none, the user, the name.
    trace
        .tcp("10.55.0.5:49001", "192.0.2.70:1080")
        .open()
        .client(b"\x04\x01\x01\xbb\0\0\0\x01user\0web.whatsapp.com\0")
        .server([0, 0x5a, 0, 0, 0, 0, 0, 0])
        .client(&hello)
        .server(&reply)
        .close()
        .is("socks4", "whatsapp", "chat");
}

fn odd_ports(trace: &mut Trace) {
    let headers = [("Host", "www.example.com"), ("User-Agent", "Mozilla/5.0")];
    trace
        .tcp("10.56.0.5:49100", "192.0.2.71:8000")
        .open()
        .client(request("GET", "/", &headers, b""))
        .server(answer("200 OK", &[], b"hello"))
        .close()
        .is("http", "-", "-");
    trace
        .tcp("10.56.0.5:49101", "192.0.2.71:443")
        .open()
        .server("SSH-2.0-Example_1.0\r\n")
        .client("SSH-2.0-Example_1.0\r\n")
        .close()
        .is("ssh", "-", "-");
    let (hello, reply) = (
        client_hello(trace, Some("pbx.example.com"), &[]),
        server_hello(trace),
    );
    trace
        .tcp("10.56.0.5:49102", "192.0.2.71:5061")
        .open()
        .client(hello)
        .server(reply)
        .close()
        .is("tls", "-", "-");
    let first = join([&b"\x13BitTorrent protocol"[..], &[0; 8], &trace.noise(40)]);
    trace
        .tcp("10.56.0.5:49103", "192.0.2.71:80")
        .open()
        .client(&first)
        .server(&first)
        .close()
        .is("bittorrent", "bittorrent", "file");
    // QUIC elsewhere, DNS on OICQ's port.
    let hello = build::client_hello("www.example.com", &["h3"], 0);
    let id = trace.noise(8);
    let mut udp = trace.udp("10.56.0.5:49104", "192.0.2.71:8000");
    for packet in build::initial_packets(1, &id, b"", &hello) {
        udp = udp.client(packet);
    }
    udp.is("quic", "-", "-");
    // Noise where mmtls, SIP, and Telegram's transport would be.
    for (port, server) in [
        (49105, "192.0.2.71:8080"),
        (49106, "192.0.2.71:443"),
        (49107, "192.0.2.71:5222"),
    ] {
        let (up, down) = (trace.noise(217), trace.noise(161));
        trace
            .tcp(&format!("10.56.0.5:{port}"), server)
            .open()
            .client(up)
            .server(down)
            .close()
            .is("-", "-", "-");
    }
    for (port, server) in [
        (49108, "192.0.2.71:8000"),
        (49109, "192.0.2.71:443"),
        (49110, "192.0.2.71:3478"),
    ] {
        let (up, down) = (trace.noise(92), trace.noise(75));
        trace
            .udp(&format!("10.56.0.5:{port}"), server)
            .client(up)
            .server(down)
            .is("-", "-", "-");
    }
}
