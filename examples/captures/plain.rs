//! Plain protocols: mail, MQTT, SSH and what keeps a network running.

use crate::Capture;
use crate::dns;
use crate::net::{Trace, join};
use crate::secure::{client_hello_tls12, server_hello, vector};

pub const CAPTURES: &[Capture] = &[
    ("mail", "SMTP with STARTTLS, IMAP, POP3", mail),
    ("mqtt", "MQTT 3.1.1 and 5", mqtt),
    (
        "infrastructure",
        "SSH, FTP, NTP, DHCP, SNMP, SSDP, multicast DNS",
        infrastructure,
    ),
];

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
            &dns::header(0, 0, [1, 0, 0, 0])[..],
            &dns::encoded("_http._tcp.local"),
            &[0, 12, 0, 1],
        ]))
        .is("mdns", "-", "-");
}
