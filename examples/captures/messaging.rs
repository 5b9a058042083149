//! Messaging systems outside China and their nearest neighbours.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};

use crate::Capture;
use crate::net::{Trace, join};
use crate::secure::{client_hello, client_hello_tls12, server_hello, tls_data, tls_flow, vector};

pub const CAPTURES: &[Capture] = &[
    (
        "kik-tls",
        "Kik: TLS to talk1110an.kik.com on port 5223, and its stream in the clear",
        kik,
    ),
    (
        "apple-push",
        "Neighbour of Kik: Apple's push service, TLS on port 5223 to 17.0.0.0/8",
        apple_push,
    ),
    (
        "tls-5223",
        "Neighbour of both: TLS on port 5223 without a name, and XMPP",
        tls_5223,
    ),
    (
        "xmpp-plain",
        "Neighbour of Wo Liao: XMPP of another domain",
        xmpp_plain,
    ),
    (
        "line-call",
        "LINE: call control, media to LINE's own network, LEGY by name",
        line_call,
    ),
    (
        "line-neighbour",
        "Neighbour of LINE: datagrams that begin with b6 or d9 and are not LINE's",
        line_neighbour,
    ),
    (
        "telegram-obfuscated",
        "Telegram: the obfuscated transport (built with AES-CTR), intermediate, abridged",
        telegram,
    ),
    (
        "whatsapp-noise",
        "WhatsApp: Noise behind WA and behind routing information",
        whatsapp,
    ),
    ("kakaotalk-loco", "KakaoTalk: LOCO handshake", kakaotalk),
    (
        "discord-voice",
        "Discord: discovery of the own address, then RTP",
        discord,
    ),
    (
        "viber-call",
        "Viber: chat frames that hold their length, a call's first exchange",
        viber,
    ),
    (
        "zoom-sfu",
        "Zoom: handshake with a media server; audio joined in the middle",
        zoom,
    ),
    (
        "threema-chat",
        "Threema: handshake known by lengths and entropy",
        threema,
    ),
];

fn kik(trace: &mut Trace) {
    let hello = client_hello(trace, Some("talk1110an.kik.com"), &[]);
    let (reply, up, down) = (
        server_hello(trace),
        tls_data(trace, 350),
        tls_data(trace, 420),
    );
    trace
        .tcp("10.20.0.5:38000", "198.51.100.30:5223")
        .open()
        .client(hello)
        .server(reply)
        .client(up)
        .server(down)
        .close()
        .is("tls", "kik", "chat");
    trace
        .tcp("10.20.0.5:38001", "198.51.100.30:5223")
        .open()
        .client("<k anon=\"\">")
        .server("<k ok=\"1\" ts=\"1767323045000\">")
        .close()
        .is("kik", "kik", "chat");
    tls_flow(
        trace,
        "10.20.0.5:38002",
        "198.51.100.31:443",
        "platform.kik.com",
        ["kik", "file"],
    );
}

fn apple_push(trace: &mut Trace) {
    let hello = client_hello(
        trace,
        Some("1-courier.push.apple.com"),
        &["apns-security-v3"],
    );
    let (reply, down) = (server_hello(trace), tls_data(trace, 420));
    trace
        .tcp("10.20.0.6:38100", "17.57.144.10:5223")
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", "apple-push", "push");
    // Without a name: the operator's network and port.
    let hello = client_hello_tls12(trace, None, &[]);
    let (reply, down) = (server_hello(trace), tls_data(trace, 200));
    trace
        .tcp("10.20.0.6:38101", "17.57.144.11:5223")
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", "apple-push", "push");
}

const XMPP_STREAM: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='jabber.example.com' version='1.0'>";
const XMPP_REPLY: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='jabber.example.com' id='s1' version='1.0'><stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>";

fn tls_5223(trace: &mut Trace) {
    let hello = client_hello_tls12(trace, None, &[]);
    let (reply, down) = (server_hello(trace), tls_data(trace, 200));
    trace
        .tcp("10.20.0.7:38200", "198.51.100.32:5223")
        .open()
        .client(hello)
        .server(reply)
        .server(down)
        .close()
        .is("tls", "-", "-");
    trace
        .tcp("10.20.0.7:38201", "198.51.100.32:5223")
        .open()
        .client(XMPP_STREAM)
        .server(XMPP_REPLY)
        .close()
        .is("xmpp", "-", "-");
}

fn xmpp_plain(trace: &mut Trace) {
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>";
    trace
        .tcp("10.15.0.7:38300", "198.51.100.33:5222")
        .open()
        .client(XMPP_STREAM)
        .server(XMPP_REPLY)
        .client(auth)
        .server("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        .close()
        .is("xmpp", "-", "-");
    // RFC 6120 section 5: TLS begins inside; its ClientHello names the server again.
    let hello = client_hello(trace, Some("jabber.example.com"), &["xmpp-client"]);
    let reply = server_hello(trace);
    trace
        .tcp("10.15.0.7:38301", "198.51.100.33:5222")
        .open()
        .client(XMPP_STREAM)
        .server(XMPP_REPLY.replace(
            "<mechanisms",
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms",
        ))
        .client("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .server("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .client(hello)
        .server(reply)
        .close()
        .is("xmpp", "-", "-");
}

/// `b6`, kind, length of what follows, then that.
fn line_control(trace: &mut Trace, kind: u8, len: u16) -> Vec<u8> {
    let body = trace.noise(usize::from(len));
    join([&[0xb6, kind][..], &len.to_be_bytes(), &body])
}

fn line_call(trace: &mut Trace) {
    let messages: Vec<Vec<u8>> = [(0x18, 0x6a), (0x12, 0x68), (0x09, 0x0c), (0x07, 4)]
        .map(|(kind, len)| line_control(trace, kind, len))
        .into();
    trace
        .udp("10.21.0.5:39000", "198.51.100.40:11000")
        .client(&messages[0])
        .server(&messages[1])
        .client(&messages[2])
        .server(&messages[3])
        .is("line-call", "line", "voice");
    let media: Vec<Vec<u8>> = (0..6_u8)
        .map(|n| join([&[0xd9, 0, 0, n, 0x06, 0x02][..], &trace.noise(300)]))
        .collect();
    let mut udp = trace.udp("10.21.0.5:39001", "147.92.169.90:11001");
    for pair in media.chunks(2) {
        udp = udp.client(&pair[0]).server(&pair[1]);
    }
    udp.is("line-call", "line", "video");
    tls_flow(
        trace,
        "10.21.0.5:39002",
        "198.51.100.41:443",
        "legy-jp.line-apps.com",
        ["line", "chat"],
    );
    tls_flow(
        trace,
        "10.21.0.5:39003",
        "198.51.100.41:443",
        "obs.line-apps.com",
        ["line", "file"],
    );
    tls_flow(
        trace,
        "10.21.0.5:39004",
        "198.51.100.41:443",
        "gd2.line.naver.jp",
        ["line", "chat"],
    );
}

fn line_neighbour(trace: &mut Trace) {
    // The length counts the header: not LINE's.
    let other = |trace: &mut Trace| join([&[0xb6, 0x09, 0x00, 0x10][..], &trace.noise(12)]);
    let (up, down) = (other(trace), other(trace));
    trace
        .udp("10.21.0.6:39100", "198.51.100.42:11000")
        .client(up)
        .server(down)
        .is("-", "-", "-");
    // Media's first bytes, elsewhere than in LINE's network.
    let media = |trace: &mut Trace| join([&[0xd9, 0, 0, 1, 0x06, 0x02][..], &trace.noise(300)]);
    let (up, down) = (media(trace), media(trace));
    trace
        .udp("10.21.0.6:39101", "198.51.100.42:11001")
        .client(up)
        .server(down)
        .is("-", "-", "-");
    tls_flow(
        trace,
        "10.21.0.6:39102",
        "198.51.100.43:443",
        "www.naver.com",
        ["naver", "-"],
    );
}

/// core.telegram.org/mtproto/mtproto-transports#transport-obfuscation: 64 octets of which 8..40 are
/// the key and 40..56 the counter; sealed, octets 56..64 hold the transport's tag and the centre.
fn obfuscated(trace: &mut Trace, tag: [u8; 4], packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut front = trace.noise(64);
    front[56..60].copy_from_slice(&tag);
    front[60..62].copy_from_slice(&2_i16.to_le_bytes());
    let mut cipher = Ctr128BE::<Aes256>::new_from_slices(&front[8..40], &front[40..56]).unwrap();
    let mut sealed = front.clone();
    cipher.apply_keystream(&mut sealed);
    front[56..].copy_from_slice(&sealed[56..]);
    let mut messages = vec![front];
    for packet in packets {
        let mut packet = packet.clone();
        cipher.apply_keystream(&mut packet);
        messages.push(packet);
    }
    messages
}

/// An encrypted message of MTProto: key's number, message key, whole blocks.
fn mtproto(trace: &mut Trace, blocks: usize) -> Vec<u8> {
    trace.noise(24 + 16 * blocks)
}

fn telegram(trace: &mut Trace) {
    // To addresses that are not the operator's: only decrypting shows it.
    for (port, tag) in [(37000, 0xee), (37001, 0xdd), (37002, 0xef)] {
        let message = mtproto(trace, 12);
        let framed = match tag {
            0xef => join([&[(message.len() / 4) as u8][..], &message]),
            _ => join([&(message.len() as u32).to_le_bytes()[..], &message]),
        };
        let sent = obfuscated(trace, [tag; 4], &[framed]);
        let down = trace.noise(220);
        let client = format!("10.22.0.5:{port}");
        let mut tcp = trace.tcp(&client, "198.51.100.50:443").open();
        for message in sent {
            tcp = tcp.client(message);
        }
        tcp.server(down).close().is("mtproto", "telegram", "chat");
    }
    // Intermediate, in the clear: req_pq_multi under no key.
    let request = join([
        &[0; 8][..],
        &0x6957_7225_0000_0000_u64.to_le_bytes(),
        &20_u32.to_le_bytes(),
        &[0xf1, 0x8e, 0x7e, 0xbe],
        &trace.noise(16),
    ]);
    let framed = join([
        &[0xee; 4][..],
        &(request.len() as u32).to_le_bytes(),
        &request,
    ]);
    let down = join([&100_u32.to_le_bytes()[..], &[0; 8], &trace.noise(92)]);
    trace
        .tcp("10.22.0.5:37003", "198.51.100.50:443")
        .open()
        .client(framed)
        .server(down)
        .close()
        .is("mtproto", "telegram", "chat");
    // Abridged.
    let message = mtproto(trace, 6);
    let framed = join([&[0xef, (message.len() / 4) as u8][..], &message]);
    let down = join([&[0x1e][..], &trace.noise(120)]);
    trace
        .tcp("10.22.0.5:37004", "149.154.167.51:80")
        .open()
        .client(framed)
        .server(down)
        .close()
        .is("mtproto", "telegram", "chat");
}

fn whatsapp(trace: &mut Trace) {
    // HandshakeMessage.clientHello (2) { ephemeral (1): 32 octets }, in a frame of three octets' length.
    let hello =
        |trace: &mut Trace| vector(3, &join([&[0x12, 0x22, 0x0a, 0x20][..], &trace.noise(32)]));
    // HandshakeMessage.serverHello (3) { ephemeral, static, payload }.
    let reply = |trace: &mut Trace| {
        let inner = join([
            &[0x0a, 0x20][..],
            &trace.noise(32),
            &[0x12, 0x30],
            &trace.noise(48),
            &[0x1a, 0x50],
            &trace.noise(80),
        ]);
        vector(3, &join([&[0x1a, 0xa6, 0x01][..], &inner]))
    };
    let (first, answer) = (hello(trace), reply(trace));
    let (up, down) = (vector(3, &trace.noise(300)), vector(3, &trace.noise(220)));
    trace
        .tcp("10.23.0.5:36000", "198.51.100.60:5222")
        .open()
        .client(join([&b"WA\x06\x03"[..], &first]))
        .server(&answer)
        .client(up)
        .server(down)
        .close()
        .is("whatsapp-noise", "whatsapp", "chat");
    // Routing information first, and the prologue in pieces.
    let (first, answer) = (hello(trace), reply(trace));
    trace
        .tcp("10.23.0.5:36001", "198.51.100.60:443")
        .open()
        .client(b"ED")
        .client(b"\0\x01")
        .client(b"\0\0\x04\x08\x08\x08\x02")
        .client(b"WA\x06\x03")
        .client(first)
        .server(answer)
        .close()
        .is("whatsapp-noise", "whatsapp", "chat");
}

fn kakaotalk(trace: &mut Trace) {
    // Size of the key, kind of key, kind of cipher, the sealed key; then a sealed packet.
    let packet = trace.noise(180);
    let framed = join([&(packet.len() as u32).to_le_bytes()[..], &packet]);
    let first = join([
        &[0, 1, 0, 0, 0x0e, 0, 0, 0, 2, 0, 0, 0][..],
        &trace.noise(256),
        &framed,
    ]);
    let down = join([&140_u32.to_le_bytes()[..], &trace.noise(140)]);
    trace
        .tcp("10.24.0.5:35000", "198.51.100.70:995")
        .open()
        .client(first)
        .server(down)
        .close()
        .is("loco", "kakaotalk", "chat");
}

fn discord(trace: &mut Trace) {
    let ssrc = 0x0003_cfa8_u32.to_be_bytes();
    let ask = join([&[0, 1, 0, 0x46][..], &ssrc, &[0; 66]]);
    let mut answer = join([&[0, 2, 0, 0x46][..], &ssrc, b"198.51.100.7"]);
    answer.resize(72, 0);
    answer.extend(50_100_u16.to_be_bytes());
    let media: Vec<Vec<u8>> = (0..6)
        .map(|n| crate::calls::rtp(trace, 120, 100 + n, 960 * u32::from(n), 0x0003_cfa8, 80))
        .collect();
    let mut udp = trace
        .udp("10.25.0.5:50100", "198.51.100.71:50004")
        .client(ask)
        .server(answer);
    for packet in media {
        udp = udp.client(packet);
    }
    udp.is("discord-voice", "discord", "voice");
}

fn threema(trace: &mut Trace) {
    let parts: Vec<Vec<u8>> = [48, 80, 191, 32].map(|len| trace.noise(len)).into();
    trace
        .tcp("10.26.0.5:34000", "198.51.100.72:5222")
        .open()
        .client(&parts[0])
        .server(&parts[1])
        .client(&parts[2])
        .server(&parts[3])
        .is("threema", "threema", "chat");
}

fn viber(trace: &mut Trace) {
    // The frame's length, little-endian, counts itself.
    let mut frame = |len: usize| {
        let mut bytes = join([&(len as u16).to_le_bytes()[..], &trace.noise(len - 2)]);
        bytes[6..8].copy_from_slice(&[0xfc, 0xff]);
        bytes[9] = 0x80;
        bytes
    };
    let (up, down) = (frame(96), frame(180));
    trace
        .tcp("10.29.0.5:36500", "198.51.100.73:4244")
        .open()
        .client(up)
        .server(down)
        .close()
        .is("viber", "viber", "chat");
    let ping = join([&trace.noise(2)[..], &[0x03, 0x00], &trace.noise(8)]);
    let pong = join([&trace.noise(2)[..], &[0x04, 0x00], &trace.noise(8)]);
    trace
        .udp("10.29.0.5:36501", "198.51.100.73:7985")
        .client(ping)
        .server(pong)
        .is("viber", "viber", "voice");
}

fn zoom(trace: &mut Trace) {
    let ask = join([&[1, 0, 3][..], &trace.noise(100)]);
    let grant = join([&[2, 0, 3][..], &trace.noise(100)]);
    // Eight octets to the media server, kind of media 15, RTP nineteen octets after it begins.
    let audio: Vec<Vec<u8>> = (0..5)
        .map(|n| {
            let media = crate::calls::rtp(trace, 112, n, 640 * u32::from(n), 0x0100_0401, 90);
            join([&[5][..], &trace.noise(7), &[15], &trace.noise(18), &media])
        })
        .collect();
    // What a handshake opens is not known yet.
    trace
        .udp("10.29.0.6:36502", "198.51.100.74:8801")
        .client(ask)
        .server(grant)
        .is("zoom", "zoom", "-");
    // Joined in the middle.
    let mut udp = trace.udp("10.29.0.6:36503", "198.51.100.74:8801");
    for packet in audio {
        udp = udp.client(packet);
    }
    udp.is("zoom", "zoom", "voice");
}
