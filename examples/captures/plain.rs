//! Plain protocols: DNS and what it teaches, HTTP, mail, MQTT, SSH and others.

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::{client_hello, client_hello_tls12, server_hello, tls_data, vector};

pub const CAPTURES: &[Capture] = &[
    (
        "dns-learned",
        "A DNS answer names a flow without a name; an address that two applications share names none",
        dns_learned,
    ),
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
    ("mail", "SMTP with STARTTLS, IMAP, POP3", mail),
    ("mqtt", "MQTT 3.1.1 and 5", mqtt),
    (
        "infrastructure",
        "SSH, FTP, NTP, DHCP, SNMP, SSDP, multicast DNS",
        infrastructure,
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

fn dns_name(name: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = name
        .split('.')
        .flat_map(|label| vector(1, label.as_bytes()))
        .collect();
    bytes.push(0);
    bytes
}

fn dns_header(identifier: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    [identifier, flags]
        .iter()
        .chain(&counts)
        .flat_map(|field| field.to_be_bytes())
        .collect()
}

/// A query of one name (RFC 1035 section 4).
pub fn dns_query(identifier: u16, name: &str, kind: u16) -> Vec<u8> {
    join([
        &dns_header(identifier, 0x0100, [1, 0, 0, 0])[..],
        &dns_name(name),
        &kind.to_be_bytes(),
        &[0, 1],
    ])
}

/// A response with addresses, A or AAAA as the first one is.
pub fn dns_reply(identifier: u16, name: &str, addresses: &[&str], ttl: u32) -> Vec<u8> {
    let octets: Vec<Vec<u8>> = addresses
        .iter()
        .map(|text| match text.parse().unwrap() {
            std::net::IpAddr::V4(address) => address.octets().to_vec(),
            std::net::IpAddr::V6(address) => address.octets().to_vec(),
        })
        .collect();
    let kind: u16 = if octets[0].len() == 4 { 1 } else { 28 };
    let mut bytes = dns_header(identifier, 0x8180, [1, octets.len() as u16, 0, 0]);
    bytes.extend(dns_name(name));
    bytes.extend(join([&kind.to_be_bytes()[..], &[0, 1]]));
    for address in octets {
        // A pointer to the question's name
        bytes.extend([0xc0, 0x0c]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend(vector(2, &address));
    }
    bytes
}

/// One question over UDP, and its answer.
fn resolve(
    trace: &mut Trace,
    client: &str,
    server: &str,
    name: &str,
    addresses: &[&str],
    ttl: u32,
) {
    let identifier = trace.number() as u16;
    let reply = dns_reply(identifier, name, addresses, ttl);
    let kind = if addresses[0].contains(':') { 28 } else { 1 };
    trace
        .udp(client, server)
        .client(dns_query(identifier, name, kind))
        .server(reply)
        .is("dns", "-", "-");
}

/// TLS without a name: its application is not in it.
fn nameless(trace: &mut Trace, client: &str, server: &str, meant: [&str; 2]) {
    let hello = client_hello_tls12(trace, None, &[]);
    let (reply, down) = (server_hello(trace), tls_data(trace, 400));
    trace
        .tcp(client, server)
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", meant[0], meant[1]);
}

fn dns_learned(trace: &mut Trace) {
    let resolver = "192.0.2.53:53";
    resolve(
        trace,
        "10.50.0.5:40001",
        resolver,
        "chat.signal.org",
        &["192.0.2.10"],
        60,
    );
    nameless(
        trace,
        "10.50.0.5:50001",
        "192.0.2.10:443",
        ["signal", "chat"],
    );
    // Two applications lead to one address: neither may be named by it.
    resolve(
        trace,
        "10.50.0.5:40002",
        resolver,
        "www.libon.com",
        &["192.0.2.20"],
        60,
    );
    resolve(
        trace,
        "10.50.0.5:40003",
        resolver,
        "mp.weixin.qq.com",
        &["192.0.2.20"],
        60,
    );
    nameless(trace, "10.50.0.5:50002", "192.0.2.20:443", ["-", "-"]);
    // A name in the flow itself is stronger than any address.
    let hello = client_hello(trace, Some("mp.weixin.qq.com"), &["h2"]);
    let reply = server_hello(trace);
    trace
        .tcp("10.50.0.5:50003", "192.0.2.20:443")
        .open()
        .client(hello)
        .server(reply)
        .close()
        .is("tls", "wechat", "web");
    // An alias: the name that was asked for counts, not the host it leads to.
    let identifier = trace.number() as u16;
    let mut reply = dns_header(identifier, 0x8180, [1, 2, 0, 0]);
    let alias = dns_name("edge.cdn.example.net");
    reply.extend(join([&dns_name("help.libon.com")[..], &[0, 1, 0, 1]]));
    reply.extend(join([
        &[0xc0, 0x0c, 0, 5, 0, 1, 0, 0, 0, 60][..],
        &vector(2, &alias),
    ]));
    reply.extend(join([
        &alias[..],
        &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 12],
    ]));
    trace
        .udp("10.50.0.8:40006", "192.0.2.53:53")
        .client(dns_query(identifier, "help.libon.com", 1))
        .server(reply)
        .is("dns", "-", "-");
    nameless(trace, "10.50.0.8:50007", "192.0.2.12:443", ["libon", "-"]);
    // Somebody else asked: this client did not.
    nameless(trace, "10.50.0.6:50004", "192.0.2.10:443", ["-", "-"]);
    let resolver = "[2001:db8:1::53]:53";
    resolve(
        trace,
        "[2001:db8::50]:40004",
        resolver,
        "legy-jp.line-apps.com",
        &["2001:db8:1::10"],
        60,
    );
    nameless(
        trace,
        "[2001:db8::50]:50005",
        "[2001:db8:1::10]:443",
        ["line", "chat"],
    );
    // The answer's time has passed.
    resolve(
        trace,
        "10.50.0.7:40005",
        "192.0.2.53:53",
        "chat.signal.org",
        &["192.0.2.11"],
        5,
    );
    trace.wait(40_000);
    nameless(trace, "10.50.0.7:50006", "192.0.2.11:443", ["-", "-"]);
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

fn mail(trace: &mut Trace) {
    trace
        .tcp("10.52.0.5:46000", "192.0.2.40:25")
        .open()
        .server("220 mail.example.com ESMTP\r\n")
        .client("EHLO client.example.com\r\n")
        .server("250-mail.example.com\r\n250-STARTTLS\r\n250 SIZE 10240000\r\n")
        .client("MAIL FROM:<alice@example.com>\r\n")
        .server("250 2.1.0 Ok\r\n")
        .client("QUIT\r\n")
        .server("221 2.0.0 Bye\r\n")
        .close()
        .is("smtp", "-", "-");
    let hello = client_hello_tls12(trace, Some("mail.example.com"), &[]);
    let reply = server_hello(trace);
    trace
        .tcp("10.52.0.5:46001", "192.0.2.40:587")
        .open()
        .server("220 mail.example.com ESMTP\r\n")
        .client("EHLO client.example.com\r\n")
        .server("250-mail.example.com\r\n250 STARTTLS\r\n")
        .client("STARTTLS\r\n")
        .server("220 2.0.0 Ready to start TLS\r\n")
        .client(hello)
        .server(reply)
        .close()
        .is("smtp", "-", "-");
    trace
        .tcp("10.52.0.5:46002", "192.0.2.41:143")
        .open()
        .server("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
        .client("a001 LOGIN alice secret\r\n")
        .server("a001 OK LOGIN completed\r\n")
        .client("a002 SELECT INBOX\r\n")
        .server("* 3 EXISTS\r\n* 0 RECENT\r\na002 OK [READ-WRITE] SELECT completed\r\n")
        .close()
        .is("imap", "-", "-");
    trace
        .tcp("10.52.0.5:46003", "192.0.2.42:110")
        .open()
        .server("+OK POP3 server ready\r\n")
        .client("USER alice\r\n")
        .server("+OK\r\n")
        .client("PASS secret\r\n")
        .server("+OK 2 messages\r\n")
        .close()
        .is("pop3", "-", "-");
}

fn mqtt(trace: &mut Trace) {
    // CONNECT: protocol name, level, flags, keep alive, client identifier; then PUBLISH.
    let connect = |level: u8, properties: &[u8]| {
        let body = join([
            &vector(2, b"MQTT")[..],
            &[level, 2, 0, 60],
            properties,
            &vector(2, b"sensor-7"),
        ]);
        join([&[0x10][..], &vector(1, &body)])
    };
    let publish = |properties: &[u8]| {
        let body = join([&vector(2, b"room/temperature")[..], properties, b"21.5"]);
        join([&[0x30][..], &vector(1, &body)])
    };
    trace
        .tcp("10.53.0.5:47000", "192.0.2.50:1883")
        .open()
        .client(connect(4, &[]))
        .server([0x20, 2, 0, 0])
        .client(publish(&[]))
        .close()
        .is("mqtt", "-", "-");
    trace
        .tcp("10.53.0.5:47001", "192.0.2.50:1884")
        .open()
        .client(connect(5, &[0]))
        .server([0x20, 3, 0, 0, 0])
        .client(publish(&[0]))
        .close()
        .is("mqtt", "-", "-");
}

fn infrastructure(trace: &mut Trace) {
    let names = [
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "aes128-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ];
    let lists: Vec<u8> = names
        .iter()
        .flat_map(|name| join([&(name.len() as u32).to_be_bytes()[..], name.as_bytes()]))
        .collect();
    let payload = join([&[20][..], &trace.noise(16), &lists, &[0; 5]]);
    // RFC 4253 section 6: padded to a multiple of eight, at least four octets.
    let padding = 8 - (payload.len() + 5) % 8 + if (payload.len() + 5) % 8 > 4 { 8 } else { 0 };
    let len = (payload.len() + 1 + padding) as u32;
    let kex = join([
        &len.to_be_bytes()[..],
        &[padding as u8],
        &payload,
        &vec![0; padding],
    ]);
    trace
        .tcp("10.54.0.5:48000", "192.0.2.60:22")
        .open()
        .server("SSH-2.0-Example_1.0\r\n")
        .client("SSH-2.0-Example_1.0\r\n")
        .client(&kex)
        .server(&kex)
        .close()
        .is("ssh", "-", "-");
    trace
        .tcp("10.54.0.5:48001", "192.0.2.60:21")
        .open()
        .server("220 FTP server ready\r\n")
        .client("USER anonymous\r\n")
        .server("331 Password required\r\n")
        .client("PASS guest@\r\n")
        .server("230 Logged in\r\n")
        .close()
        .is("ftp", "-", "-");
    let mut ntp = vec![0x23, 0, 6, 0xec];
    ntp.resize(40, 0);
    ntp.extend(trace.noise(8));
    let mut reply = vec![0x24, 2, 6, 0xec, 0, 0, 0x10, 0, 0, 0, 0x08, 0, 192, 0, 2, 1];
    reply.extend([0xed, 1, 2, 3, 0, 0, 0, 0]);
    reply.extend(&ntp[40..48]);
    reply.extend([0xed, 1, 2, 3, 0x40, 0, 0, 0, 0xed, 1, 2, 3, 0x40, 0, 1, 0]);
    trace
        .udp("10.54.0.5:48002", "192.0.2.61:123")
        .client(ntp)
        .server(reply)
        .is("ntp", "-", "-");
    // RFC 2131: DHCPDISCOVER, from no address to all.
    let mut discover = vec![1, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26];
    discover.resize(28, 0);
    discover.extend([2, 0, 0, 0, 0, 1]);
    discover.resize(236, 0);
    discover.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 3, 1, 3, 6, 255]);
    discover.resize(300, 0);
    trace
        .udp("0.0.0.0:68", "255.255.255.255:67")
        .client(discover)
        .is("dhcp", "-", "-");
    // RFC 1157: get sysDescr.0 in community public.
    let snmp = [
        0x30, 0x26, 0x02, 0x01, 0x01, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x19,
        0x02, 0x01, 0x2a, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x0e, 0x30, 0x0c, 0x06, 0x08,
        0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x01, 0x00, 0x05, 0x00,
    ];
    trace
        .udp("10.54.0.5:48003", "192.0.2.62:161")
        .client(snmp)
        .is("snmp", "-", "-");
    trace
        .udp("10.54.0.5:48004", "239.255.255.250:1900")
        .client("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n")
        .is("ssdp", "-", "-");
    trace
        .udp("10.54.0.5:5353", "224.0.0.251:5353")
        .client(join([
            &dns_header(0, 0, [1, 0, 0, 0])[..],
            &dns_name("_http._tcp.local"),
            &[0, 12, 0, 1],
        ]))
        .is("mdns", "-", "-");
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
    let hello = ottometer::dissect::quic::build::client_hello("www.example.com", &["h3"], 0);
    let id = trace.noise(8);
    let mut udp = trace.udp("10.56.0.5:49104", "192.0.2.71:8000");
    for packet in ottometer::dissect::quic::build::initial_packets(1, &id, b"", &hello) {
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
