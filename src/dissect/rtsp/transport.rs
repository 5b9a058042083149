//! Where RTSP says that a stream will flow: the Transport header of SETUP and of its answer
//! (RFC 2326 section 12.39, RFC 7826 section 18.54).

use std::net::{IpAddr, SocketAddr};

use super::super::dialogue;
use super::{VERSION, header_value};
use crate::app::Proto;

/// How much of a segment is searched.
const MAX_SEARCHED: usize = 1024;

/// Alternatives read of one header: clients offer some.
const MAX_TRANSPORTS: usize = 8;

const SETUP: &[u8] = b"SETUP ";

/// A socket of one end of the connection that gets or sends a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// It is the sender's of the message; else the other end's.
    pub of_sender: bool,
    /// Its address; `None`: that of the end.
    pub address: Option<IpAddr>,
    /// Its port.
    pub port: u16,
    /// What is spoken there.
    pub proto: Proto,
}

/// Whether `payload` may begin with a message that names channels. Cheap.
#[inline]
pub fn may_set_up(payload: &[u8]) -> bool {
    match payload {
        [b'S', ..] => payload.starts_with(SETUP),
        [b'R', ..] => {
            payload.starts_with(VERSION) && matches!(payload.get(7..10), Some([b'0', b' ', b'2']))
        }
        _ => false,
    }
}

/// Calls `each` for every channel that the message at the front of `payload` names.
pub fn channels(payload: &[u8], each: &mut dyn FnMut(Channel)) {
    if !may_set_up(payload) {
        return;
    }
    let searched = payload.get(..MAX_SEARCHED).unwrap_or(payload);
    let Some(value) = header_value(searched, "Transport") else {
        return;
    };
    let is_answer = payload.starts_with(VERSION);
    for transport in value.split(|&byte| byte == b',').take(MAX_TRANSPORTS) {
        one(transport, is_answer, each);
    }
}

/// The host that a SETUP at the front of `payload` asks for.
pub fn host(payload: &[u8]) -> Option<Box<str>> {
    let (line, _) = dialogue::split_line(payload.strip_prefix(SETUP)?)?;
    dialogue::host_of_uri(dialogue::word(line))
}

/// `RTP/AVP;unicast;client_port=4588-4589;server_port=6256-6257;source=192.0.2.1`
fn one(transport: &[u8], is_answer: bool, each: &mut dyn FnMut(Channel)) {
    let mut parts = transport
        .split(|&byte| byte == b';')
        .map(<[u8]>::trim_ascii);
    let Some(profile) = parts.next() else { return };
    // `RTP/AVP/TCP` goes through the connection itself.
    if !profile.starts_with(b"RTP/") || profile.ends_with(b"/TCP") {
        return;
    }
    let value = |name: &[u8]| {
        let mut parts = parts.clone();
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix(b"="))
    };
    let address = |name| parsed::<IpAddr>(value(name)?);
    let mut emit = |of_sender: bool, address: Option<IpAddr>, place: usize, port: u16| {
        // No client listens on the ports of services.
        if port >= 1024 {
            each(Channel {
                of_sender,
                address,
                port,
                proto: match place {
                    0 => Proto::RTP,
                    _ => Proto::RTCP,
                },
            });
        }
    };
    for (name, end, of_client) in [
        (&b"client_port"[..], &b"destination"[..], true),
        (b"server_port", b"source", false),
    ] {
        for (place, port) in value(name).into_iter().flat_map(ports).enumerate() {
            emit(of_client != is_answer, address(end), place, port);
        }
    }
    // RFC 7826: both ports of an end with their addresses, in quotes.
    for (name, of_client) in [(&b"dest_addr"[..], true), (b"src_addr", false)] {
        let sockets = value(name)
            .into_iter()
            .flat_map(|value| value.split(|&byte| byte == b'/'));
        for (place, socket) in sockets.take(2).enumerate() {
            let socket = socket
                .strip_prefix(b"\"")
                .and_then(|it| it.strip_suffix(b"\""));
            let Some(socket) = socket else { continue };
            let (ip, port) = match (socket.strip_prefix(b":"), parsed::<SocketAddr>(socket)) {
                (Some(port), _) => (None, parsed(port)),
                (None, Some(socket)) => (Some(socket.ip()), Some(socket.port())),
                _ => continue,
            };
            emit(of_client != is_answer, ip, place, port.unwrap_or(0));
        }
    }
}

/// `4588-4589`: of RTP, and of RTCP.
fn ports(value: &[u8]) -> impl Iterator<Item = u16> {
    value.split(|&byte| byte == b'-').take(2).map_while(parsed)
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text.get(..64).unwrap_or(text))
        .ok()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(message: &str) -> Vec<String> {
        let mut found = Vec::new();
        channels(message.as_bytes(), &mut |channel| {
            let end = if channel.of_sender { "own" } else { "other" };
            let address = channel
                .address
                .map_or_else(String::new, |it| format!(" {it}"));
            let proto = if channel.proto == Proto::RTP {
                "rtp"
            } else {
                "rtcp"
            };
            found.push(format!("{end}{address} {} {proto}", channel.port));
        });
        found
    }

    #[test]
    fn channels_are_read() {
        let setup = |transport: &str| {
            format!(
                "SETUP rtsp://cam.example.com/a RTSP/1.0\r\nCSeq: 3\r\ntransport: {transport}\r\n\r\n"
            )
        };
        let answer = |transport: &str| {
            format!("RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport:{transport}\r\nSession: 1\r\n\r\n")
        };
        let rows: &[(String, &[&str])] = &[
            (
                setup("RTP/AVP;unicast;client_port=4588-4589"),
                &["own 4588 rtp", "own 4589 rtcp"],
            ),
            (
                setup("RTP/SAVP/UDP;unicast;client_port=4588, RTP/AVP/TCP;interleaved=0-1"),
                &["own 4588 rtp"],
            ),
            (
                answer(
                    "RTP/AVP;unicast;client_port=4588-4589;server_port=6256-6257;source=192.0.2.1",
                ),
                &[
                    "other 4588 rtp",
                    "other 4589 rtcp",
                    "own 192.0.2.1 6256 rtp",
                    "own 192.0.2.1 6257 rtcp",
                ],
            ),
            (
                answer(
                    "RTP/AVP/UDP;unicast;dest_addr=\":8000\"/\":8001\";src_addr=\"192.0.2.5:9000\"",
                ),
                &[
                    "other 8000 rtp",
                    "other 8001 rtcp",
                    "own 192.0.2.5 9000 rtp",
                ],
            ),
            (setup("RTP/AVP/TCP;interleaved=0-1"), &[]),
            (setup("x-real-rdt/udp;client_port=6970"), &[]),
            (setup("RTP/AVP;unicast;client_port=80-81"), &[]),
            (setup("RTP/AVP;unicast;client_port=70000"), &[]),
            (setup("RTP/AVP;unicast;client_port"), &[]),
            (
                "RTSP/1.0 404 Not Found\r\nTransport: RTP/AVP;client_port=4588\r\n\r\n".into(),
                &[],
            ),
            (
                "PLAY rtsp://a/ RTSP/1.0\r\nTransport: RTP/AVP;client_port=4588\r\n\r\n".into(),
                &[],
            ),
        ];
        for (message, expected) in rows {
            assert_eq!(shown(message), *expected, "{message}");
        }
        assert_eq!(
            host(setup("x").as_bytes()).as_deref(),
            Some("cam.example.com")
        );
        assert_eq!(host(b"SETUP rtsp://192.0.2.1/ RTSP/1.0\r\n"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for front in [&b"SETUP rtsp://a/ RTSP/1.0\r\nTransport: RTP/AVP;client_port="[..], b"RTSP/1.0 200 OK\r\nTransport: RTP/", b""] {
                let bytes = [front, &bytes, b"\r\n\r\n"].concat();
                channels(&bytes, &mut |_| {});
                host(&bytes);
            }
        }
    }
}
