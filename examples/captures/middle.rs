//! Connections of which the beginning is missing or spoilt, and what another connection spoke of.

use pnet::packet::tcp::TcpFlags;

use crate::Capture;
use crate::net::{From, Trace, join};
use crate::secure::{client_hello_tls12, server_hello, vector};
use crate::web::request;

pub const CAPTURES: &[Capture] = &[
    (
        "middle-databases",
        "Connections to databases and to storage, older than the capture",
        databases,
    ),
    (
        "middle-brokers",
        "Connections to brokers, older than the capture, some of which begin inside a message",
        brokers,
    ),
    (
        "junk-before",
        "A few bytes of junk before TLS and HTTP, or a segment in their place",
        junk,
    ),
    (
        "ftp-data",
        "FTP's data connections: PORT, EPRT, PASV behind address translation, EPSV over IPv6",
        ftp_data,
    ),
    (
        "without-opening",
        "DCE/RPC without bind, MMS in COTP, memcached over UDP",
        without_opening,
    ),
    (
        "middle-quic",
        "QUIC of which only short headers were captured, and a session of another protocol in their place",
        quic,
    ),
];

fn tds(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16 + 8).to_be_bytes();
    join([&[kind, 1][..], &len, &[0, 0, 1, 0], body])
}

fn mysql(number: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_le_bytes();
    join([&len[..3], &[number], body])
}

fn postgres(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 4).to_be_bytes();
    join([&[kind][..], &len, body])
}

fn databases(trace: &mut Trace) {
    let row = join([
        &postgres(b'D', b"\0\x01\0\0\0\x0242")[..],
        &postgres(b'C', b"SELECT 1\0"),
        &postgres(b'Z', b"I"),
    ]);
    trace
        .tcp("10.90.0.1:40001", "192.0.2.90:5432")
        .client(postgres(b'Q', b"SELECT answer FROM life\0"))
        .server(&row)
        .is("postgres", "-", "-");
    // The server is heard first, and inside a row.
    trace
        .tcp("10.90.0.1:40002", "192.0.2.90:15432")
        .server(&row[7..])
        .client(postgres(b'Q', b"COMMIT\0"))
        .server(join([
            &postgres(b'C', b"COMMIT\0")[..],
            &postgres(b'Z', b"I"),
        ]))
        .is("postgres", "-", "-");
    let columns = join([
        &mysql(1, &[1])[..],
        &mysql(
            2,
            b"\x03def\0\0\0\x011\0\x0c\x3f\0\x01\0\0\0\x08\x81\0\0\0\0",
        ),
        &mysql(3, b"\x011"),
        &mysql(4, b"\xfe\0\0\x02\0"),
    ]);
    trace
        .tcp("10.90.0.1:40003", "192.0.2.91:13306")
        .client(mysql(0, b"\x03SELECT 1"))
        .server(columns)
        .is("mysql", "-", "-");
    let headers = join([
        &[22, 0, 0, 0, 18, 0, 0, 0, 2, 0][..],
        &[0; 8],
        &[1, 0, 0, 0],
        b"s\0e\0l\0e\0c\0t\0 \x001\0",
    ]);
    let done = [0xfd, 0x10, 0, 0xc1, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    trace
        .tcp("10.90.0.1:40004", "192.0.2.92:11433")
        .client(tds(1, &headers))
        .server(tds(4, &done))
        .is("mssql-tds", "-", "-");
    trace
        .tcp("10.90.0.1:40005", "192.0.2.93:11521")
        .client([0, 16, 0, 0, 6, 0, 0, 0, 0, 0, 3, 0x5e, 1, 2, 3, 4])
        .server([0, 13, 0, 0, 6, 0, 0, 0, 0, 0, 8, 1, 5])
        .is("oracle", "-", "-");
    let ping = |number: u8, answered: u8| {
        let document = b"\x13\0\0\0\x10ping\0\x01\0\0\0\0\0\0\0\0";
        let document = &document[..0x13];
        let len = (21 + document.len() as u32).to_le_bytes();
        join([
            &len[..],
            &[
                number, 0, 0, 0, answered, 0, 0, 0, 0xdd, 7, 0, 0, 0, 0, 0, 0, 0,
            ],
            document,
        ])
    };
    trace
        .tcp("10.90.0.1:40006", "192.0.2.94:27017")
        .client(ping(1, 0))
        .server(ping(2, 1))
        .is("mongodb", "-", "-");
    let query = b"\0\0\0\x08SELECT 1\0\x01\0";
    trace
        .tcp("10.90.0.1:40007", "192.0.2.95:19042")
        .client(join([
            &[4, 0, 0, 5, 7, 0, 0, 0, query.len() as u8][..],
            query,
        ]))
        .server(b"\x84\0\0\x05\x08\0\0\0\x04\0\0\0\x01")
        .is("cassandra", "-", "-");
    let read = join([
        &[1, 0xc1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        &[0, 0, 0, 5, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 3],
        &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ]);
    trace
        .tcp("10.90.0.1:40008", "192.0.2.96:13260")
        .client(read)
        .is("iscsi", "-", "-");
}

fn brokers(trace: &mut Trace) {
    trace
        .tcp("10.91.0.1:41001", "192.0.2.101:19092")
        .client(b"\0\0\0\x15\0\x03\0\x09\0\0\0\x07\0\x07rdkafka\0\0\0\0")
        .server(b"\0\0\0\x08\0\0\0\x07\0\0\0\0")
        .is("kafka", "-", "-");
    let publish = join([
        &b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x28\0\0\0\0\x03log\0\xce"[..],
        b"\x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\0\xce",
        b"\x03\0\x01\0\0\0\x05hello\xce",
    ]);
    trace
        .tcp("10.91.0.1:41002", "192.0.2.102:5672")
        .client(publish)
        .is("amqp", "-", "-");
    trace
        .tcp("10.91.0.1:41003", "192.0.2.103:6380")
        .client("*2\r\n$9\r\nSUBSCRIBE\r\n$3\r\nFoo\r\n")
        .server("*3\r\n$9\r\nsubscribe\r\n$3\r\nFoo\r\n:1\r\n")
        .is("redis", "-", "-");
    // The server's answers alone.
    trace
        .tcp("10.91.0.1:41004", "192.0.2.103:6379")
        .server("lo there\r\n")
        .server("$5\r\nhello\r\n")
        .is("redis", "-", "-");
    trace
        .tcp("10.91.0.1:41005", "192.0.2.104:4333")
        .server("MSG news.today 1 5\r\nhello\r\n")
        .is("nats", "-", "-");
    // CONNACK of MQTT 5, cut behind its first byte.
    let properties = join([&[0x22, 0, 10, 0x12][..], &vector(2, b"auto-1B43E800")]);
    let connack = join([&[0, 0][..], &vector(1, &properties)]);
    trace
        .tcp("10.91.0.1:41006", "192.0.2.105:2883")
        .server([0x20])
        .server(vector(1, &connack))
        .is("mqtt", "-", "-");
    trace
        .tcp("10.91.0.1:41007", "192.0.2.106:445")
        .client([0x5a; 40])
        .client(join([
            &[0, 0, 0, 0x40][..],
            b"\xfeSMB\x40\0\x01\0\0\0\0\0\x05\0\x01\0",
            &[0; 48],
        ]))
        .is("smb", "-", "-");
}

fn junk(trace: &mut Trace) {
    let hello = client_hello_tls12(trace, Some("mp.weixin.qq.com"), &[]);
    let reply = server_hello(trace);
    // The first segment did not arrive where the second did: both have the same number.
    let mut tcp = trace.tcp("10.92.0.1:42001", "192.0.2.110:443").open();
    tcp.segment(From::Client, 0, TcpFlags::PSH | TcpFlags::ACK, &[b'x'; 20]);
    tcp.client(&hello)
        .server(&reply)
        .close()
        .is("tls", "wechat", "web");
    // A segment of its own, and bytes of the same segment.
    trace
        .tcp("10.92.0.1:42002", "192.0.2.110:443")
        .open()
        .client([0])
        .client(&hello)
        .server(&reply)
        .close()
        .is("tls", "wechat", "web");
    trace
        .tcp("10.92.0.1:42003", "192.0.2.110:443")
        .open()
        .client(join([&[0, 0, 0, 7][..], &hello]))
        .server(&reply)
        .close()
        .is("tls", "wechat", "web");
    let get = request("GET", "/a.js", &[("Host", "mp.weixin.qq.com")], b"");
    trace
        .tcp("10.92.0.1:42004", "192.0.2.111:80")
        .open()
        .client(join([&b"\r\n\r\n\r\n\r\n"[..], &get]))
        .close()
        .is("http", "wechat", "web");
    // More than a few bytes are no junk.
    trace
        .tcp("10.92.0.1:42005", "192.0.2.119:8443")
        .open()
        .client([0x5a; 300])
        .client(&get)
        .close()
        .is("-", "-", "-");
}

fn ftp_data(trace: &mut Trace) {
    let banner = "220 FTP ready\r\n";
    trace
        .tcp("10.93.0.1:43001", "192.0.2.120:21")
        .open()
        .server(banner)
        .client("USER bob\r\n")
        .server("331 Password\r\n")
        .client("PORT 10,93,0,1,174,127\r\n")
        .server("200 ok\r\n")
        .client("NLST\r\n")
        .is("ftp", "-", "-");
    trace
        .tcp("192.0.2.120:20", "10.93.0.1:44671")
        .open()
        .client("a.txt\r\n")
        .close()
        .is("ftp-data", "-", "-");
    // Another host that comes to the same port has not been spoken of.
    trace
        .tcp("192.0.2.129:20", "10.93.0.1:44671")
        .open()
        .client("a.txt\r\n")
        .close()
        .is("-", "-", "-");
    // The server names the address it has inside.
    trace
        .tcp("10.93.0.2:43002", "192.0.2.121:21")
        .open()
        .server(banner)
        .client("USER bob\r\n")
        .server("331 Password\r\n")
        .client("PASV\r\n")
        .server("227 Entering Passive Mode (192,168,0,9,195,80).\r\n")
        .is("ftp", "-", "-");
    // What a file looks like is not what is spoken.
    trace
        .tcp("10.93.0.2:43003", "192.0.2.121:50000")
        .open()
        .server("GET / HTTP/1.1\r\nHost: mp.weixin.qq.com\r\n\r\n")
        .close()
        .is("ftp-data", "-", "-");
    trace
        .tcp("[2001:db8::93]:43004", "[2001:db8::21]:2121")
        .open()
        .server(banner)
        .client("USER bob\r\n")
        .server("331 Password\r\n")
        .client("EPSV\r\n")
        .server("229 Entering Extended Passive Mode (|||50001|)\r\n")
        .client("EPRT |2|2001:db8::93|50002|\r\n")
        .is("ftp", "-", "-");
    trace
        .tcp("[2001:db8::93]:43005", "[2001:db8::21]:50001")
        .open()
        .client([0, 1, 2, 3])
        .close()
        .is("ftp-data", "-", "-");
    trace
        .tcp("[2001:db8::21]:20", "[2001:db8::93]:50002")
        .open()
        .client([0, 1, 2, 3])
        .close()
        .is("ftp-data", "-", "-");
}

fn without_opening(trace: &mut Trace) {
    // DCE 1.1 RPC, chapter 12: version 5.0, request, first and last fragment, little-endian.
    let request = join([
        &[5, 0, 0, 3, 0x10, 0, 0, 0, 32, 0, 0, 0, 9, 0, 0, 0][..],
        &[8, 0, 0, 0, 0, 0, 15, 0],
        &[1, 2, 3, 4, 5, 6, 7, 8],
    ]);
    trace
        .tcp("10.94.0.1:44001", "192.0.2.130:49155")
        .client(request)
        .is("dcerpc", "-", "-");
    // TPKT, COTP's data, session's give tokens and data transfer, presentation's user data, MMS.
    let mms = [
        3, 0, 0, 38, 2, 0xf0, 0x80, 1, 0, 1, 0, 0x61, 25, 0x30, 23, 2, 1, 3, 0xa0, 18, 0xa0, 16, 2,
        1, 7, 0xa4, 11, 0xa1, 9, 0xa0, 7, 0x30, 5, 0xa0, 3, 0x80, 1, 0x5a,
    ];
    trace
        .tcp("10.94.0.1:44002", "192.0.2.131:102")
        .client(mms)
        .is("iec61850", "-", "-");
    trace
        .udp("10.94.0.1:44003", "192.0.2.132:11211")
        .client(b"\x12\x34\0\0\0\x01\0\0get key\r\n")
        .server(b"\x12\x34\0\0\0\x01\0\0VALUE key 0 1\r\na\r\nEND\r\n")
        .is("memcached", "-", "-");
    trace
        .udp("10.94.0.1:44004", "192.0.2.132:11212")
        .client(join([
            &[
                0x12, 0x35, 0, 0, 0, 1, 0, 0, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3,
            ][..],
            &[0; 12],
            b"key",
        ]))
        .is("memcached", "-", "-");
}

/// A 1-RTT packet (RFC 9000 section 17.3.1) as header protection leaves it.
fn short(trace: &mut Trace, id: &[u8], len: usize) -> Vec<u8> {
    let first = 0x40 | trace.number() as u8 & 0x3f;
    join([&[first][..], id, &trace.noise(len)])
}

fn quic(trace: &mut Trace) {
    // The client has no ID, as browsers do.
    let mut talk = Vec::new();
    for _ in 0..6 {
        talk.push((
            short(trace, b"\x84\xd5\x3b\x0c\xf1\x2a\x9e\x67", 28),
            short(trace, b"", 1200),
        ));
    }
    let mut udp = trace.udp("10.95.0.1:45001", "192.0.2.140:443");
    for (asked, answered) in &talk {
        udp = udp.client(asked).server(answered);
    }
    udp.is("quic", "-", "-");
    // The server is heard first, on no known port: the end whose packets carry an ID is the client.
    talk.clear();
    let id = trace.noise(20);
    for _ in 0..10 {
        talk.push((short(trace, &id, 40), short(trace, b"", 300)));
    }
    let mut udp = trace.udp("10.95.0.1:45002", "192.0.2.141:24433");
    for (asked, answered) in &talk {
        udp = udp.server(answered).client(asked);
    }
    udp.is("quic", "-", "-");
    // The server alone, to a client without an ID.
    let answers: Vec<_> = (0..20).map(|_| short(trace, b"", 600)).collect();
    let mut udp = trace.udp("10.95.0.1:45003", "192.0.2.140:443");
    for answered in &answers {
        udp = udp.server(answered);
    }
    udp.is("quic", "-", "-");
    // A type, a session, a counter, and something encrypted.
    let messages: Vec<_> = (0..12_u32)
        .map(|number| {
            let data = trace.noise(80);
            join([
                &[0x48 + (number % 3) as u8][..],
                b"\x84\xd5\x3b\x0c",
                &number.to_be_bytes(),
                &data,
            ])
        })
        .collect();
    let mut udp = trace.udp("10.95.0.1:45004", "192.0.2.142:443");
    for message in &messages {
        udp = udp.client(message);
    }
    udp.is("-", "-", "-");
}
