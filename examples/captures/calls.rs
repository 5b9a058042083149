//! Voice and video: SIP (RFC 3261), STUN (RFC 8489), RTP and RTCP (RFC 3550).

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::dtls_hello;

pub const CAPTURES: &[Capture] = &[
    (
        "libon-sip",
        "Libon: SIP to voip.lifeisbetteron.com, a call and its media",
        libon,
    ),
    (
        "sip-plain",
        "Neighbour of Libon: SIP of another domain, a call and its media",
        sip_plain,
    ),
    (
        "stun-call",
        "WhatsApp: STUN with attributes of its own, then media from the same socket to another peer",
        stun_call,
    ),
    (
        "signal-turn",
        "Signal: TURN with its realm, ChannelData, then the peer it asked for, directly",
        signal_turn,
    ),
    (
        "stun-plain",
        "Neighbour of calls: STUN, DTLS and SRTP of no known application",
        stun_plain,
    ),
    ("rtp", "RTP and RTCP without signalling", rtp_alone),
    (
        "facebook-turn",
        "Messenger: TURN with Facebook's realm",
        facebook_turn,
    ),
    (
        "rtsp-media",
        "RTSP: streams and reports at the ports that SETUP and its answer name, too short to show themselves",
        rtsp_media,
    ),
    (
        "call-sessions",
        "Signal: a check with the credentials of its session between other sockets, another client of its relay",
        call_sessions,
    ),
    (
        "call-relays",
        "WhatsApp and Messenger: relays of Meta's network that show nothing, after a call that does, and without",
        call_relays,
    ),
    (
        "call-signalling",
        "Discord: media to a rented server after TLS to its voice gateway; neighbours without signalling, or too late",
        call_signalling,
    ),
];

/// An RTP packet of version 2 with `len` octets of media.
pub fn rtp(
    trace: &mut Trace,
    kind: u8,
    sequence: u16,
    at: u32,
    source: u32,
    len: usize,
) -> Vec<u8> {
    join([
        &[0x80, kind][..],
        &sequence.to_be_bytes(),
        &at.to_be_bytes(),
        &source.to_be_bytes(),
        &trace.noise(len),
    ])
}

/// A sender report and the source's name: a compound packet (RFC 3550 section 6.1).
fn rtcp(source: u32) -> Vec<u8> {
    join([
        &[0x80, 200, 0, 6][..],
        &source.to_be_bytes(),
        &[
            0xed, 0x01, 0x02, 0x03, 0x80, 0, 0, 0, 0, 0, 0, 160, 0, 0, 0, 9, 0, 0, 0x05, 0xa0,
        ],
        &[0x81, 202, 0, 3],
        &source.to_be_bytes(),
        // CNAME, five octets, end of the list
        &[1, 5],
        b"a@b.c",
        &[0],
    ])
}

/// Two directions of G.711 or the like, `count` packets each.
fn talk(trace: &mut Trace, client: &str, server: &str, kind: u8, count: u16, meant: [&str; 3]) {
    let packets: Vec<[Vec<u8>; 2]> = (0..count)
        .map(|n| {
            [0x1111_0001, 0x2222_0002]
                .map(|source| rtp(trace, kind, 4000 + n, 160 * u32::from(n), source, 160))
        })
        .collect();
    let mut udp = trace.udp(client, server);
    for [up, down] in packets {
        udp = udp.client(up).server(down);
    }
    udp.is(meant[0], meant[1], meant[2]);
}

/// One side of a call in SIP.
struct Call<'a> {
    domain: &'a str,
    agent: &'a str,
    client: &'a str,
    media: (&'a str, u16),
    over_tcp: bool,
}

impl Call<'_> {
    fn request(&self, method: &str, sequence: u32, body: &str) -> String {
        let Self {
            domain,
            agent,
            client,
            ..
        } = self;
        let (target, to) = match method {
            "REGISTER" => (format!("sip:{domain}"), format!("<sip:alice@{domain}>")),
            _ => (format!("sip:bob@{domain}"), format!("<sip:bob@{domain}>")),
        };
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let length = body.len();
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {client}:5060;branch=z9hG4bK{sequence}\r\nMax-Forwards: 70\r\nFrom: <sip:alice@{domain}>;tag=1928301774\r\nTo: {to}\r\nCall-ID: a84b4c76e66710@{client}\r\nCSeq: {sequence} {method}\r\nContact: <sip:alice@{client}:5060>\r\nUser-Agent: {agent}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    fn answer(&self, method: &str, sequence: u32, body: &str) -> String {
        let Self { domain, client, .. } = self;
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        let length = body.len();
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {client}:5060;branch=z9hG4bK{sequence}\r\nFrom: <sip:alice@{domain}>;tag=1928301774\r\nTo: <sip:bob@{domain}>;tag=a6c85cf\r\nCall-ID: a84b4c76e66710@{client}\r\nCSeq: {sequence} {method}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// Registers, and sets up a call whose media goes where the SDP says.
    fn run(&self, trace: &mut Trace, server: &str, meant: [&str; 3]) {
        let sdp = |address: &str, port: u16| {
            format!(
                "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
            )
        };
        let (address, port) = self.media;
        let client = format!("{}:5060", self.client);
        let messages = [
            self.request("REGISTER", 1, ""),
            self.answer("REGISTER", 1, ""),
            self.request("INVITE", 2, &sdp(self.client, 16384)),
            self.answer("INVITE", 2, &sdp(address, port)),
            self.request("ACK", 2, ""),
        ];
        let [register, registered, invite, accepted, ack] = &messages;
        if self.over_tcp {
            trace
                .tcp(&client, server)
                .open()
                .client(register)
                .server(registered)
                .client(invite)
                .server(accepted)
                .client(ack)
                .is(meant[0], meant[1], meant[2]);
        } else {
            trace
                .udp(&client, server)
                .client(register)
                .server(registered)
                .client(invite)
                .server(accepted)
                .client(ack)
                .is(meant[0], meant[1], meant[2]);
        }
        let media = format!("{address}:{port}");
        let meant = ["rtp", meant[1], meant[2]];
        talk(
            trace,
            &format!("{}:16384", self.client),
            &media,
            0,
            6,
            meant,
        );
    }
}

fn libon(trace: &mut Trace) {
    let call = Call {
        domain: "voip.lifeisbetteron.com",
        agent: "Libon/3.0",
        client: "10.27.0.5",
        media: ("198.51.100.81", 20000),
        over_tcp: false,
    };
    call.run(trace, "198.51.100.80:5060", ["sip", "libon", "voice"]);
    let call = Call {
        client: "10.27.0.9",
        media: ("198.51.100.81", 20002),
        over_tcp: true,
        ..call
    };
    call.run(trace, "198.51.100.80:5060", ["sip", "libon", "voice"]);
    let name = "www.libon.com";
    crate::secure::tls_flow(
        trace,
        "10.27.0.5:33000",
        "198.51.100.82:443",
        name,
        ["libon", "-"],
    );
}

fn sip_plain(trace: &mut Trace) {
    let call = Call {
        domain: "pbx.example.com",
        agent: "Softphone/1.0",
        client: "10.27.0.6",
        media: ("198.51.100.84", 20000),
        over_tcp: false,
    };
    call.run(trace, "198.51.100.83:5060", ["sip", "-", "-"]);
}

const COOKIE: u32 = 0x2112_a442;

/// A STUN message: attributes are padded to four octets.
pub fn stun(trace: &mut Trace, kind: u16, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    join([
        &kind.to_be_bytes()[..],
        &(body.len() as u16).to_be_bytes(),
        &COOKIE.to_be_bytes(),
        &trace.noise(12),
        &body,
    ])
}

/// XOR-MAPPED-ADDRESS and the like (RFC 8489 section 14.2), IPv4.
fn xor_address(port: u16, address: [u8; 4]) -> Vec<u8> {
    let port = port ^ (COOKIE >> 16) as u16;
    let address = u32::from_be_bytes(address) ^ COOKIE;
    join([&[0, 1][..], &port.to_be_bytes(), &address.to_be_bytes()])
}

const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const REALM: u16 = 0x0014;

fn stun_call(trace: &mut Trace) {
    // Allocate with a token of the relay's, as WhatsApp's clients ask.
    let token = trace.noise(76);
    let ask = stun(
        trace,
        0x0003,
        &[(0x4000, token), (0x4001, vec![0, 0, 0, 1])],
    );
    let mapped = xor_address(41_000, [198, 51, 100, 7]);
    let grant = stun(
        trace,
        0x0103,
        &[(XOR_MAPPED_ADDRESS, mapped), (0x4002, vec![0; 4])],
    );
    let ping = stun(trace, 0x0801, &[(0x4003, vec![0, 0, 0, 2])]);
    trace
        .udp("10.23.0.6:41000", "198.51.100.61:3478")
        .client(&ask)
        .server(&grant)
        .client(&ping)
        .is("turn", "whatsapp", "voice");
    // The same socket sends media straight to the other phone: the call's.
    let meant = ["rtp", "whatsapp", "voice"];
    talk(
        trace,
        "10.23.0.6:41000",
        "203.0.113.99:52000",
        120,
        5,
        meant,
    );
    // Another socket of the same phone: nobody's.
    talk(
        trace,
        "10.23.0.6:42000",
        "203.0.113.99:52000",
        120,
        5,
        ["rtp", "-", "-"],
    );
}

fn stun_plain(trace: &mut Trace) {
    let ask = stun(trace, 0x0001, &[]);
    let mapped = xor_address(43_000, [198, 51, 100, 8]);
    let answer = stun(trace, 0x0101, &[(XOR_MAPPED_ADDRESS, mapped)]);
    trace
        .udp("10.27.0.7:43000", "198.51.100.85:3478")
        .client(&ask)
        .server(&answer)
        .is("stun", "-", "-");
    // ICE, DTLS, SRTP on one port (RFC 7983): what is spoken is what ICE opened the way for.
    let check = stun(
        trace,
        0x0001,
        &[
            (0x0006, b"ab12:cd34".to_vec()),
            (0x0024, vec![0x6e, 0, 1, 0xff]),
        ],
    );
    let mapped = xor_address(43_001, [198, 51, 100, 8]);
    let answer = stun(trace, 0x0101, &[(XOR_MAPPED_ADDRESS, mapped)]);
    let hello = dtls_hello(trace, &[], 0);
    let media: Vec<Vec<u8>> = (0..5)
        .map(|n| rtp(trace, 111, n, 960 * u32::from(n), 0x3333_0003, 90))
        .collect();
    let mut udp = trace
        .udp("10.27.0.7:43001", "198.51.100.86:50000")
        .client(check)
        .server(answer)
        .client(hello);
    for packet in media {
        udp = udp.client(packet);
    }
    udp.is("dtls", "-", "-");
}

fn rtp_alone(trace: &mut Trace) {
    talk(
        trace,
        "10.27.0.8:20000",
        "198.51.100.87:30000",
        8,
        6,
        ["rtp", "-", "-"],
    );
    let (up, down) = (rtcp(0x1111_0001), rtcp(0x2222_0002));
    trace
        .udp("10.27.0.8:20001", "198.51.100.87:30001")
        .client(&up)
        .server(&down)
        .client(&up)
        .is("rtcp", "-", "-");
    // One direction, with a loss and two packets out of order.
    let packets: Vec<Vec<u8>> = [0, 1, 3, 2, 5, 6]
        .map(|n| {
            rtp(
                trace,
                96,
                65_533_u16.wrapping_add(n),
                3000 * u32::from(n),
                0x4444_0004,
                600,
            )
        })
        .into();
    let mut udp = trace.udp("[2001:db8::27]:20002", "[2001:db8:1::87]:30002");
    for packet in packets {
        udp = udp.client(packet);
    }
    udp.is("rtp", "-", "-");
}

fn facebook_turn(trace: &mut Trace) {
    let ask = stun(trace, 0x0003, &[(0x0019, vec![17, 0, 0, 0])]);
    let realm = b"turner.facebook".to_vec();
    let refuse = stun(
        trace,
        0x0113,
        &[
            (0x0009, b"\0\0\x04\x01Unauthorized".to_vec()),
            (REALM, realm),
            (0x0015, b"5a5a5a5a".to_vec()),
        ],
    );
    trace
        .udp("10.28.0.5:44000", "198.51.100.88:3478")
        .client(ask)
        .server(refuse)
        .is("turn", "messenger", "voice");
}

const USERNAME: u16 = 0x0006;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const CHANNEL_NUMBER: u16 = 0x000c;

/// RFC 8656 with long-term credentials: refused once for its realm, then granted.
fn signal_turn(trace: &mut Trace) {
    let realm = (REALM, b"turn.signal.org".to_vec());
    let user = (USERNAME, b"1767326645:5a".to_vec());
    let transport = (0x0019, vec![17, 0, 0, 0]);
    let peer = (XOR_PEER_ADDRESS, xor_address(52_100, [203, 0, 113, 98]));
    let messages = [
        stun(trace, 0x0003, std::slice::from_ref(&transport)),
        stun(
            trace,
            0x0113,
            &[
                (0x0009, b"\0\0\x04\x01Unauthorized".to_vec()),
                realm.clone(),
            ],
        ),
        stun(trace, 0x0003, &[transport, user.clone(), realm.clone()]),
        stun(
            trace,
            0x0103,
            &[
                (0x0016, xor_address(50_000, [198, 51, 100, 89])),
                (XOR_MAPPED_ADDRESS, xor_address(44_100, [198, 51, 100, 7])),
                (0x000d, vec![0, 0, 2, 0x58]),
            ],
        ),
        stun(
            trace,
            0x0009,
            &[(CHANNEL_NUMBER, vec![0x40, 0, 0, 0]), peer, user, realm],
        ),
        stun(trace, 0x0109, &[]),
    ];
    let media: Vec<Vec<u8>> = (0..4)
        .map(|n| {
            let packet = rtp(trace, 111, n, 960 * u32::from(n), 0x5555_0005, 88);
            join([
                &[0x40, 0][..],
                &(packet.len() as u16).to_be_bytes(),
                &packet,
            ])
        })
        .collect();
    let mut udp = trace.udp("10.28.0.6:44100", "198.51.100.89:3478");
    for pair in messages.chunks(2) {
        udp = udp.client(&pair[0]).server(&pair[1]);
    }
    for packet in media {
        udp = udp.client(packet);
    }
    udp.is("turn", "signal", "voice");
    // The peer answers without the relay, from the address that was asked for.
    let meant = ["rtp", "signal", "voice"];
    talk(
        trace,
        "10.28.0.6:44101",
        "203.0.113.98:52100",
        111,
        5,
        meant,
    );
}

/// One packet each way: too few to be recognised by themselves.
fn murmur(trace: &mut Trace, client: &str, server: &str, meant: [&str; 3]) {
    let (up, down) = (trace.noise(64), trace.noise(72));
    trace
        .udp(client, server)
        .client(up)
        .server(down)
        .is(meant[0], meant[1], meant[2]);
}

/// RFC 2326 section 14.1.
fn rtsp_media(trace: &mut Trace) {
    let (client, server) = ("10.27.0.10", "198.51.100.90");
    let line = "SETUP rtsp://198.51.100.90/stream/1 RTSP/1.0\r\nCSeq: 2\r\n";
    let ports = "Transport: RTP/AVP;unicast;client_port=4588-4589";
    let ask = format!("{line}{ports}\r\n\r\n");
    let answer = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 2\r\nSession: 12345678\r\n{ports};server_port=6256-6257\r\n\r\n"
    );
    trace
        .tcp(&format!("{client}:50010"), &format!("{server}:554"))
        .open()
        .client(ask)
        .server(answer)
        .is("rtsp", "-", "-");
    let place = |ip: &str, port: u16| format!("{ip}:{port}");
    murmur(
        trace,
        &place(client, 4588),
        &place(server, 6256),
        ["rtp", "-", "-"],
    );
    murmur(
        trace,
        &place(client, 4589),
        &place(server, 6257),
        ["rtcp", "-", "-"],
    );
    // Of another end.
    murmur(
        trace,
        &place(client, 4588),
        "203.0.113.90:6256",
        ["-", "-", "-"],
    );
}

/// RFC 8445: checks of one session between several pairs of sockets.
fn call_sessions(trace: &mut Trace) {
    let realm = (REALM, b"turn.signal.org".to_vec());
    let names = |text: &[u8]| (USERNAME, text.to_vec());
    let check = stun(trace, 0x0001, &[names(b"hR3x:pQ7y")]);
    let peer = (XOR_PEER_ADDRESS, xor_address(52_300, [203, 0, 113, 97]));
    let denied = stun(
        trace,
        0x0113,
        &[
            (0x0009, b"\0\0\x04\x01Unauthorized".to_vec()),
            realm.clone(),
        ],
    );
    let ask = stun(trace, 0x0003, &[(0x0019, vec![17, 0, 0, 0])]);
    // A check through the relay: in the data of an indication.
    let send = stun(trace, 0x0016, &[peer, (0x0013, check)]);
    trace
        .udp("10.28.0.7:44200", "198.51.100.91:3478")
        .client(ask)
        .server(denied)
        .client(send)
        .is("turn", "signal", "voice");
    // The same session over another interface of the client, to another address of the peer.
    let check = stun(trace, 0x0001, &[names(b"pQ7y:hR3x")]);
    let mapped = xor_address(44_201, [198, 51, 100, 7]);
    let answer = stun(trace, 0x0101, &[(XOR_MAPPED_ADDRESS, mapped.clone())]);
    trace
        .udp("10.29.0.7:44201", "203.0.113.96:52301")
        .client(check)
        .server(answer)
        .is("stun", "signal", "voice");
    // Another session: nobody's.
    let check = stun(trace, 0x0001, &[names(b"pQ7y:zzzz")]);
    let answer = stun(trace, 0x0101, &[(XOR_MAPPED_ADDRESS, mapped)]);
    trace
        .udp("10.29.0.8:44202", "203.0.113.95:52302")
        .client(check)
        .server(answer)
        .is("stun", "-", "-");
    // Another client of the relay, in the middle of its call.
    let mut data = Vec::new();
    for n in 0..4 {
        let packet = rtp(trace, 111, n, 960 * u32::from(n), 0x5555_0006, 88);
        let len = (packet.len() as u16).to_be_bytes();
        data.push(join([&[0x40, 1][..], &len, &packet]));
    }
    let mut udp = trace.udp("10.28.0.8:44300", "198.51.100.91:3478");
    for packet in data {
        udp = udp.client(packet);
    }
    udp.is("turn", "signal", "voice");
}

/// Two applications of one owner share its relays: what a client showed before tells them apart.
fn call_relays(trace: &mut Trace) {
    let plain = |trace: &mut Trace, client: &str, meant: [&str; 3]| {
        let ask = stun(trace, 0x0001, &[]);
        let mapped = xor_address(45_000, [198, 51, 100, 7]);
        let answer = stun(trace, 0x0101, &[(XOR_MAPPED_ADDRESS, mapped)]);
        trace
            .udp(client, "157.240.30.20:3478")
            .client(ask)
            .server(answer)
            .is(meant[0], meant[1], meant[2]);
    };
    let token = (0x4000, trace.noise(76));
    let ping = stun(trace, 0x0003, &[token, (0x4001, vec![0, 0, 0, 1])]);
    trace
        .udp("10.23.0.7:41100", "198.51.100.62:3478")
        .client(ping)
        .is("turn", "whatsapp", "voice");
    let denied = stun(trace, 0x0113, &[(REALM, b"turner.facebook".to_vec())]);
    let ask = stun(trace, 0x0003, &[(0x0019, vec![17, 0, 0, 0])]);
    trace
        .udp("10.23.0.8:41100", "198.51.100.63:3478")
        .client(ask)
        .server(denied)
        .is("turn", "messenger", "voice");
    plain(trace, "10.23.0.7:41101", ["stun", "whatsapp", "voice"]);
    plain(trace, "10.23.0.8:41101", ["stun", "messenger", "voice"]);
    // Nothing was shown: whose network it is.
    plain(trace, "10.23.0.9:41101", ["stun", "meta", "-"]);
    // Both were: the same.
    let token = (0x4000, trace.noise(76));
    let ping = stun(trace, 0x0003, &[token, (0x4001, vec![0, 0, 0, 1])]);
    trace
        .udp("10.23.0.10:41101", "198.51.100.62:3478")
        .client(ping)
        .is("turn", "whatsapp", "voice");
    let denied = stun(trace, 0x0113, &[(REALM, b"turner.facebook".to_vec())]);
    let ask = stun(trace, 0x0003, &[(0x0019, vec![17, 0, 0, 0])]);
    trace
        .udp("10.23.0.10:41102", "198.51.100.63:3478")
        .client(ask)
        .server(denied)
        .is("turn", "messenger", "voice");
    plain(trace, "10.23.0.10:41103", ["stun", "meta", "-"]);
    // Long after.
    trace.wait(130_000);
    plain(trace, "10.23.0.8:41104", ["stun", "meta", "-"]);
}

fn call_signalling(trace: &mut Trace) {
    let media = ["rtp", "discord", "voice"];
    let nobodys = ["rtp", "-", "-"];
    let gateway = "rotterdam1234.discord.media";
    let server = "203.0.113.94:50010";
    talk(trace, "10.24.0.5:51000", server, 120, 5, nobodys);
    crate::secure::tls_flow(
        trace,
        "10.24.0.5:51001",
        "198.51.100.64:443",
        gateway,
        ["discord", "voice"],
    );
    talk(trace, "10.24.0.5:51002", server, 120, 5, media);
    // Another client, another port; a minute later.
    talk(trace, "10.24.0.6:51002", server, 120, 5, nobodys);
    talk(
        trace,
        "10.24.0.5:51003",
        "203.0.113.94:20010",
        120,
        5,
        nobodys,
    );
    trace.wait(60_000);
    talk(trace, "10.24.0.5:51004", server, 120, 5, nobodys);
}
