//! WeChat, QQ and their nearest neighbours. The formats are those that public clients of them
//! write; each builder says which.

use crate::Capture;
use crate::dns;
use crate::net::{Trace, join};
use crate::secure::{client_hello, server_hello, tls_data};
use crate::web::{answer, request};

pub const CAPTURES: &[Capture] = &[
    (
        "wechat-mmtls",
        "WeChat: long link (full and resumed), short link, a long link picked up in the middle",
        wechat_mmtls,
    ),
    (
        "wechat-longlink",
        "WeChat before 2016: 16-byte headers, keepalive",
        wechat_longlink,
    ),
    (
        "wechat-voice",
        "WeChat voice of older clients over UDP",
        wechat_voice,
    ),
    ("wechat-tls", "WeChat: a name in TLS", wechat_tls),
    (
        "mmtls-neighbour",
        "Neighbour of WeChat: records with mmtls's version whose lengths do not agree, TLS on its ports",
        mmtls_neighbour,
    ),
    (
        "bilibili-danmaku",
        "Neighbour of WeChat before 2016: Bilibili's live comments share the 16-byte header",
        bilibili,
    ),
    ("qq-oicq", "QQ: OICQ over UDP 8000 and over TCP", qq_oicq),
    ("qq-msf", "QQ on phones: SSO frames over TCP", qq_msf),
    (
        "qq-neighbours",
        "Neighbours of QQ: RADIUS (also 02 and a length) and DNS over TCP (length, then two octets)",
        qq_neighbours,
    ),
];

/// An mmtls record: type, version, length.
fn mmtls(kind: u8, minor: u8, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u16).to_be_bytes();
    join([&[kind, 0xf1, minor][..], &len, content])
}

/// A handshake message of mmtls: its length, type, version turned round, then `rest`.
fn mmtls_handshake(kind: u8, rest: &[u8]) -> Vec<u8> {
    let len = (rest.len() as u32 + 3).to_be_bytes();
    join([&len[..], &[kind, 0x03, 0xf1], rest])
}

fn wechat_mmtls(trace: &mut Trace) {
    // Full handshake: one suite, c0 2b; random, time, extensions fill the record of 0xd4 octets.
    let hello = mmtls_handshake(1, &join([&[0x01, 0xc0, 0x2b][..], &trace.noise(0xd0 - 6)]));
    let answer_hello = mmtls_handshake(2, &join([&[0xc0, 0x2b][..], &trace.noise(108)]));
    let (up, down) = (trace.noise(96), trace.noise(640));
    let (finished, more) = (trace.noise(23), trace.noise(210));
    trace
        .tcp("10.11.0.5:50211", "203.0.113.10:8080")
        .open()
        .client(mmtls(0x16, 3, &hello))
        .server(join([
            &mmtls(0x16, 3, &answer_hello)[..],
            &mmtls(0x16, 3, &finished),
        ]))
        .client(mmtls(0x17, 3, &up))
        .server(mmtls(0x17, 3, &down))
        .server(mmtls(0x17, 3, &more))
        .close()
        .is("mmtls", "wechat", "chat");

    // Resumed with a pre-shared key: two suites, c0 2b and 00 a8, then early data.
    let hello = mmtls_handshake(
        1,
        &join([&[0x02, 0xc0, 0x2b, 0x00, 0xa8][..], &trace.noise(0x161 - 8)]),
    );
    let (early, down) = (trace.noise(61), trace.noise(512));
    trace
        .tcp("10.11.0.5:50212", "203.0.113.10:443")
        .open()
        .client(join([&mmtls(0x16, 3, &hello)[..], &mmtls(0x19, 3, &early)]))
        .server(mmtls(0x17, 3, &down))
        .is("mmtls", "wechat", "chat");

    // Short link: the same records in HTTP, to an address that HTTP-DNS gave.
    let records = join([
        &mmtls(0x19, 3, &trace.noise(155))[..],
        &mmtls(0x17, 3, &trace.noise(86)),
    ]);
    let reply = join([
        &mmtls(0x16, 3, &trace.noise(91))[..],
        &mmtls(0x17, 3, &trace.noise(402)),
    ]);
    let headers = [
        ("Accept", "*/*"),
        ("Cache-Control", "no-cache"),
        ("Connection", "Keep-Alive"),
        ("Content-Type", "application/octet-stream"),
        ("Host", "203.0.113.11"),
        ("Upgrade", "mmtls"),
        ("User-Agent", "MicroMessenger Client"),
    ];
    trace
        .tcp("10.11.0.5:50213", "203.0.113.11:80")
        .open()
        .client(request("POST", "/mmtls/28ab31f0", &headers, &records))
        .server(answer("200 OK", &[("Upgrade", "mmtls")], &reply))
        .close()
        .is("mmtls", "wechat", "chat");

    // The newer version, data only: the connection is older than the capture.
    let (a, b, c) = (trace.noise(77), trace.noise(300), trace.noise(41));
    trace
        .tcp("10.11.0.6:41877", "203.0.113.12:443")
        .client(mmtls(0x17, 4, &a))
        .server(mmtls(0x17, 4, &b))
        .client(mmtls(0x17, 4, &c))
        .is("mmtls", "wechat", "chat");
}

/// Length of all, of the header (16), version, command, sequence.
fn long_link(version: u16, command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    join([
        &(16 + body.len() as u32).to_be_bytes()[..],
        &16_u16.to_be_bytes(),
        &version.to_be_bytes(),
        &command.to_be_bytes(),
        &sequence.to_be_bytes(),
        body,
    ])
}

fn wechat_longlink(trace: &mut Trace) {
    let (up, down) = (trace.noise(240), trace.noise(180));
    // An answer carries the request's command and 1,000,000,000.
    trace
        .tcp("10.11.0.7:39000", "203.0.113.14:8080")
        .open()
        .client(long_link(1, 205, 1, &up))
        .server(long_link(1, 1_000_000_205, 1, &down))
        .client(long_link(1, 6, 0xffff_ffff, &[]))
        .server(long_link(1, 1_000_000_006, 0xffff_ffff, &[]))
        .close()
        .is("wechat-longlink", "wechat", "chat");
    // Only keepalives are seen.
    trace
        .tcp("10.11.0.8:39100", "203.0.113.14:80")
        .open()
        .client(long_link(1, 6, 0xffff_ffff, &[]))
        .server(long_link(1, 1_000_000_006, 0xffff_ffff, &[]))
        .is("wechat-longlink", "wechat", "chat");
}

fn bilibili(trace: &mut Trace) {
    let room = br#"{"uid":0,"roomid":1024,"protover":2,"platform":"web"}"#;
    let comment = br#"{"cmd":"DANMU_MSG","info":[[0,1,25,16777215],"hello"]}"#;
    trace
        .tcp("10.11.0.9:47000", "203.0.113.30:2243")
        .open()
        .client(long_link(1, 7, 1, room))
        .server(long_link(1, 8, 1, br#"{"code":0}"#))
        .client(long_link(1, 2, 1, &[]))
        .server(long_link(1, 3, 1, &[0, 0, 4, 0]))
        .server(long_link(0, 5, 0, comment))
        .is("bilibili-danmu", "bilibili", "chat");
    // On a port of WeChat's, heartbeats only.
    trace
        .tcp("10.11.0.9:47001", "203.0.113.30:443")
        .open()
        .client(long_link(1, 2, 1, &[]))
        .server(long_link(1, 3, 1, &[0, 0, 4, 0]))
        .client(long_link(1, 2, 1, &[]))
        .server(long_link(1, 3, 1, &[0, 0, 4, 1]))
        .is("bilibili-danmu", "bilibili", "chat");
}

fn wechat_voice(trace: &mut Trace) {
    let start = |kind: [u8; 2], noise: Vec<u8>| join([&kind[..], &noise]);
    let up = start([0xa1, 0x08], trace.noise(90));
    let down = start([0xa1, 0x08], trace.noise(73));
    trace
        .udp("10.11.0.5:36100", "203.0.113.15:8000")
        .client(&up)
        .server(&down)
        .client(&up)
        .is("wechat-voip", "wechat", "voice");
    let up = join([&[0xd1, 0x0a, 0x1d, 0x0a][..], &trace.noise(28)]);
    let down = join([&[0xd1, 0x0a, 0x29, 0x0a][..], &trace.noise(40)]);
    trace
        .udp("10.11.0.5:36101", "203.0.113.15:443")
        .client(&up)
        .server(&down)
        .client(&up)
        .is("wechat-voip", "wechat", "voice");
}

fn wechat_tls(trace: &mut Trace) {
    for (port, name, service) in [
        (50300, "mp.weixin.qq.com", "web"),
        (50301, "hkshort.weixin.qq.com", "chat"),
        (50302, "wx.qlogo.cn", "file"),
    ] {
        let (server, down) = (server_hello(trace), tls_data(trace, 700));
        let hello = client_hello(trace, Some(name), &["h2", "http/1.1"]);
        trace
            .tcp(&format!("10.11.0.5:{port}"), "203.0.113.16:443")
            .open()
            .client(hello)
            .server(server)
            .server(down)
            .close()
            .is("tls", "wechat", service);
    }
}

/// An OICQ packet: 02, version, command, sequence, account, content, 03.
fn oicq(command: u16, sequence: u16, account: u32, content: &[u8]) -> Vec<u8> {
    join([
        &[0x02, 0x35, 0x39][..],
        &command.to_be_bytes(),
        &sequence.to_be_bytes(),
        &account.to_be_bytes(),
        content,
        &[0x03],
    ])
}

fn qq_oicq(trace: &mut Trace) {
    let account = 10_086_421;
    let content: Vec<Vec<u8>> = [88, 104, 61, 45, 72].map(|len| trace.noise(len)).into();
    trace
        .udp("10.12.0.5:4000", "203.0.113.40:8000")
        .client(oicq(0x0825, 0x1201, account, &content[0]))
        .server(oicq(0x0825, 0x1201, account, &content[1]))
        .client(oicq(0x0058, 0x1202, account, &content[2]))
        .server(oicq(0x0058, 0x1202, account, &content[3]))
        .is("oicq", "qq", "chat");
    // Not on its port: a request and its answer agree.
    trace
        .udp("10.12.0.5:4001", "203.0.113.40:443")
        .client(oicq(0x0825, 0x1301, account, &content[4]))
        .server(oicq(0x0825, 0x1301, account, &content[3]))
        .is("oicq", "qq", "chat");
    let framed = |packet: Vec<u8>| join([&(packet.len() as u16 + 2).to_be_bytes()[..], &packet]);
    trace
        .tcp("10.12.0.5:4100", "203.0.113.41:443")
        .open()
        .client(framed(oicq(0x0825, 0x2201, account, &content[0])))
        .server(framed(oicq(0x0825, 0x2201, account, &content[1])))
        .close()
        .is("oicq", "qq", "chat");
}

/// An SSO frame: length of all, version, kind of encryption, `ticket` (with its length for version
/// 10, a sequence number for 11), zero, the account in digits with its length, sealed body.
fn sso(version: u32, sealed: u8, ticket: &[u8], account: &str, body: &[u8]) -> Vec<u8> {
    let mut frame = version.to_be_bytes().to_vec();
    frame.push(sealed);
    if version == 10 {
        frame.extend((ticket.len() as u32 + 4).to_be_bytes());
    }
    frame.extend(ticket);
    frame.push(0);
    frame.extend((account.len() as u32 + 4).to_be_bytes());
    frame.extend(account.as_bytes());
    frame.extend(body);
    join([&(frame.len() as u32 + 4).to_be_bytes()[..], &frame])
}

fn qq_msf(trace: &mut Trace) {
    let (ticket, up, down) = (trace.noise(64), trace.noise(312), trace.noise(176));
    trace
        .tcp("10.12.0.6:40120", "203.0.113.42:8080")
        .open()
        .client(sso(10, 2, &[], "10086421", &up))
        .server(sso(10, 2, &[], "10086421", &down))
        .close()
        .is("oicq", "qq", "chat");
    trace
        .tcp("10.12.0.6:40121", "203.0.113.42:14000")
        .open()
        .client(sso(10, 1, &ticket, "10086421", &up))
        .server(sso(11, 1, &[0, 0, 0x12, 0x34], "10086421", &down))
        .is("oicq", "qq", "chat");
    // By name, on the port of another protocol.
    let hello = client_hello(trace, Some("msfwifi.3g.qq.com"), &[]);
    let (server, data) = (server_hello(trace), tls_data(trace, 300));
    trace
        .tcp("10.12.0.6:40122", "203.0.113.42:443")
        .open()
        .client(hello)
        .server(server)
        .client(data)
        .is("tls", "qq", "chat");
}

fn qq_neighbours(trace: &mut Trace) {
    // RFC 2865: code, identifier, length, authenticator, attributes. Access-Accept is 02.
    let radius = |code: u8, authenticator: Vec<u8>, attributes: &[u8]| {
        let len = (20 + attributes.len() as u16).to_be_bytes();
        join([&[code, 0x11][..], &len, &authenticator, attributes])
    };
    let asked = radius(1, trace.noise(16), b"\x01\x07alice\x04\x06\x0a\x0c\x00\x07");
    let accepted = radius(2, trace.noise(16), b"\x06\x06\x00\x00\x00\x02");
    trace
        .udp("10.12.0.7:49152", "203.0.113.43:1812")
        .client(asked)
        .server(accepted)
        .is("radius", "-", "-");
    let question = dns::query(0x0200, "www.example.com", 1);
    let reply = dns::answer(0x0200, "www.example.com", &["192.0.2.80"], 60);
    let framed = |message: Vec<u8>| join([&(message.len() as u16).to_be_bytes()[..], &message]);
    trace
        .tcp("10.12.0.7:49153", "203.0.113.43:53")
        .open()
        .client(framed(question))
        .server(framed(reply))
        .close()
        .is("dns", "-", "-");
}

fn mmtls_neighbour(trace: &mut Trace) {
    // The message's length is not its record's, and no record follows where one ends.
    let hello = join([
        &[0, 0, 1, 0, 0x01, 0x03, 0xf1, 0x01, 0xc0, 0x2b][..],
        &trace.noise(150),
    ]);
    let down = trace.noise(300);
    trace
        .tcp("10.11.0.11:50400", "203.0.113.17:443")
        .open()
        .client(mmtls(0x16, 3, &hello))
        .server(down)
        .close()
        .is("-", "-", "-");
    // One record's header, then noise, both ways.
    let (up, down) = (trace.noise(400), trace.noise(300));
    trace
        .tcp("10.11.0.11:50401", "203.0.113.17:443")
        .open()
        .client(join([&[0x17, 0xf1, 0x03, 0x00, 0x20][..], &up]))
        .server(join([&[0x17, 0xf1, 0x03, 0x00, 0x30][..], &down]))
        .close()
        .is("-", "-", "-");
    let (hello, reply) = (
        client_hello(trace, Some("www.example.com"), &["h2"]),
        server_hello(trace),
    );
    trace
        .tcp("10.11.0.11:50402", "203.0.113.17:8080")
        .open()
        .client(hello)
        .server(reply)
        .close()
        .is("tls", "-", "-");
}
