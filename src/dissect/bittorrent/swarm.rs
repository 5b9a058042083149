//! Where BitTorrent says that peers are: answers of trackers over HTTP (BEP 3, 7, 23) and UDP
//! (BEP 15), of the DHT to `get_peers` (BEP 5, 32); and where a client says that it is itself: announces
//! to all of these, and local service discovery (BEP 14).
//!
//! Stateless and total: each message is read by itself. Of trackers over UDP only the first request
//! proves itself; the others are worth what is known of the two ends.

use std::net::{IpAddr, SocketAddr};

use memchr::memmem;

use super::TRACKER_CONNECT;
use crate::wire::reader::Reader;

/// Peers read of one message; trackers are asked for fifty, some give two hundred.
const MAX_PEERS: usize = 256;

/// How much of a request is searched for its query, and of an answer for the end of its header.
const MAX_HEAD: usize = 1024;

/// An announce over UDP without options (BEP 15).
const ANNOUNCE_LEN: usize = 98;

/// What comes before peers in the answer of a tracker over UDP: action, transaction, interval, counts.
const ANSWER_HEAD: usize = 20;

/// A message of those that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tracker over UDP is asked for a connection.
    TrackerConnect,
    /// Perhaps an announce over UDP, if it goes to a tracker.
    TrackerAnnounce,
    /// Perhaps the answer to one, if it comes from a tracker.
    TrackerAnswer,
    /// The DHT's answer with peers.
    DhtPeers,
    /// An announce to the DHT.
    DhtAnnounce,
    /// An announce over HTTP.
    HttpAnnounce,
    /// A tracker's answer over HTTP.
    HttpAnswer,
    /// Local service discovery.
    Search,
}

impl Kind {
    /// What the datagram `payload` is. Cheap for all that is none of them.
    #[inline]
    pub fn of_datagram(payload: &[u8]) -> Option<Self> {
        match payload {
            [b'd', b'1' | b'2', b':', ..] => of_dht(payload),
            [0, 0, 0, 1, ..] if payload.len() > ANSWER_HEAD => Some(Self::TrackerAnswer),
            [0, 0, 4, 0x17, ..] if payload.starts_with(TRACKER_CONNECT) => {
                Some(Self::TrackerConnect)
            }
            [_, _, _, _, _, _, _, _, 0, 0, 0, 1, ..] if payload.len() >= ANNOUNCE_LEN => {
                Some(Self::TrackerAnnounce)
            }
            [b'B', b'T', b'-', ..] if payload.starts_with(b"BT-SEARCH * HTTP/1.") => {
                Some(Self::Search)
            }
            _ => None,
        }
    }

    /// What the segment `payload` begins with. Cheap for all that is none of them.
    #[inline]
    pub fn of_segment(payload: &[u8]) -> Option<Self> {
        match payload {
            [b'G', b'E', b'T', b' ', b'/', ..] => {
                // Most requests have no query.
                let query = memchr::memchr2(b'?', b'\n', head(payload))?;
                let line = payload.get(query..)?.strip_prefix(b"?")?;
                let end = memchr::memchr(b' ', line)?;
                memmem::find(line.get(..end)?, b"info_hash=").map(|_| Self::HttpAnnounce)
            }
            // Few answers are so short that they end in the segment in which they begin, as a
            // dictionary ends.
            [b'H', b'T', b'T', b'P', b'/', b'1', .., b'e'] => {
                body(payload).map(|_| Self::HttpAnswer)
            }
            // The body in a segment of its own.
            [b'd', b'1'..=b'9', .., b'e'] => is_answer(payload).then_some(Self::HttpAnswer),
            _ => None,
        }
    }

    /// Calls `each` for every peer that `payload`, which is one of these, tells its receiver of. `is_v6`:
    /// it was sent over IPv6.
    pub fn peers(self, payload: &[u8], is_v6: bool, each: &mut dyn FnMut(SocketAddr)) {
        let mut left = MAX_PEERS;
        let mut each = |peer: SocketAddr| {
            // Trackers that are asked for nothing good give the ports of others' services.
            if left > 0 && peer.port() >= 1024 && !peer.ip().is_unspecified() {
                left -= 1;
                each(peer);
            }
        };
        match self {
            Self::TrackerAnswer => {
                let peers = payload.get(ANSWER_HEAD..).unwrap_or_default();
                compact(peers, is_v6, &mut each);
            }
            Self::DhtPeers => values(payload, &mut each),
            Self::HttpAnswer => {
                let body = match payload {
                    [b'd', ..] => Some(payload),
                    _ => body(payload),
                };
                answer(body.unwrap_or_default(), &mut each);
            }
            _ => {}
        }
    }

    /// The port at which the sender of `payload`, which is one of these and was sent from the port
    /// `from`, says that it waits for peers.
    pub fn listens(self, payload: &[u8], from: u16) -> Option<u16> {
        let port = match self {
            Self::TrackerAnnounce => {
                let mut reader = Reader::new(payload.get(ANNOUNCE_LEN - 2..)?);
                reader.be16()?
            }
            Self::DhtAnnounce if memmem::find(payload, b"12:implied_porti1e").is_some() => from,
            Self::DhtAnnounce => number(after(payload, b"4:porti")?)?,
            Self::HttpAnnounce => {
                let line = head(payload).split(|&byte| byte == b'\n').next()?;
                let mut query = line.split(|byte| matches!(byte, b'?' | b'&' | b' '));
                number(query.find_map(|part| part.strip_prefix(b"port="))?)?
            }
            Self::Search => number(after(head(payload), b"\r\nPort: ")?)?,
            _ => return None,
        };
        (port >= 1024).then_some(port)
    }
}

fn of_dht(payload: &[u8]) -> Option<Kind> {
    if !payload.ends_with(b"e") {
        return None;
    }
    let begins = |front: &[u8]| payload.starts_with(front);
    if (begins(b"d1:rd2:id20:") || begins(b"d2:ip"))
        && memmem::find(payload, b"6:valuesl").is_some()
    {
        return Some(Kind::DhtPeers);
    }
    let announces = begins(b"d1:ad") && memmem::find(payload, b"1:q13:announce_peer").is_some();
    announces.then_some(Kind::DhtAnnounce)
}

fn head(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_HEAD).unwrap_or(payload)
}

/// The body of the answer of HTTP in `payload`, if it is a tracker's.
fn body(payload: &[u8]) -> Option<&[u8]> {
    let end = memmem::find(head(payload), b"\r\n\r\nd")?;
    payload.get(end + 4..).filter(|body| is_answer(body))
}

/// Whether `body` is a dictionary as trackers answer with, which has peers.
fn is_answer(body: &[u8]) -> bool {
    const KEYS: [&[u8]; 6] = [
        b"8:complete",
        b"10:downloaded",
        b"11:external ip",
        b"8:interval",
        b"12:min interval",
        b"5:peers",
    ];
    let begins = |key: &&[u8]| body.get(1..).is_some_and(|rest| rest.starts_with(key));
    KEYS.iter().any(begins) && memmem::find(body, b"5:peers").is_some()
}

/// `d8:intervali1800e5:peers12:` and six octets for each, or `5:peersl` and a dictionary for each;
/// `6:peers618:` and eighteen octets for each.
fn answer(body: &[u8], each: &mut dyn FnMut(SocketAddr)) {
    match after(body, b"5:peers") {
        Some([b'l', list @ ..]) => {
            let mut rest = list;
            for _ in 0..MAX_PEERS {
                let Some(peer) = after(rest, b"2:ip") else {
                    break;
                };
                rest = peer;
                let ip = text(peer).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
                let port = after(peer, b"4:porti").and_then(number);
                if let (Some(ip), Some(port)) = (ip, port) {
                    each(SocketAddr::new(ip, port));
                }
            }
        }
        Some(peers) => compact(text(peers).unwrap_or_default(), false, each),
        None => {}
    }
    if let Some(peers) = after(body, b"6:peers6").and_then(text) {
        compact(peers, true, each);
    }
}

/// `6:valuesl6:......18:..................e`
fn values(payload: &[u8], each: &mut dyn FnMut(SocketAddr)) {
    let Some(mut rest) = after(payload, b"6:valuesl") else {
        return;
    };
    while let Some(value) = text(rest) {
        compact(value, value.len() == 18, each);
        let digits = if value.len() < 10 { 1 } else { 2 };
        let Some(next) = rest.get(digits + 1 + value.len()..) else {
            return;
        };
        rest = next;
    }
}

/// Addresses and ports one behind the other.
fn compact(bytes: &[u8], is_v6: bool, each: &mut dyn FnMut(SocketAddr)) {
    let mut reader = Reader::new(bytes);
    loop {
        let ip = match is_v6 {
            true => reader.array::<16>().map(|&octets| IpAddr::from(octets)),
            false => reader.array::<4>().map(|&octets| IpAddr::from(octets)),
        };
        let (Some(ip), Some(port)) = (ip, reader.be16()) else {
            return;
        };
        each(SocketAddr::new(ip, port));
    }
}

/// What follows `key`.
fn after<'a>(bytes: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    bytes.get(memmem::find(bytes, key)? + key.len()..)
}

/// A bencoded string: its length, a colon, the string; cut where the message is. Lengths above 9999
/// are none.
fn text(bytes: &[u8]) -> Option<&[u8]> {
    let digits = bytes
        .iter()
        .take(4)
        .take_while(|b| b.is_ascii_digit())
        .count();
    let (len, rest) = bytes.split_at_checked(digits)?;
    let len: usize = std::str::from_utf8(len).ok()?.parse().ok()?;
    let rest = rest.strip_prefix(b":")?;
    rest.get(..len).or(Some(rest))
}

/// A decimal number of a port at the front of `bytes`.
fn number(bytes: &[u8]) -> Option<u16> {
    let digits = bytes
        .iter()
        .take(6)
        .take_while(|b| b.is_ascii_digit())
        .count();
    std::str::from_utf8(bytes.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(kind: Option<Kind>, payload: &[u8]) -> Option<(Kind, Vec<String>, Option<u16>)> {
        let kind = kind?;
        let mut peers = Vec::new();
        kind.peers(payload, false, &mut |peer| peers.push(peer.to_string()));
        Some((kind, peers, kind.listens(payload, 7000)))
    }

    fn announce() -> Vec<u8> {
        let mut bytes = vec![7; 8];
        bytes.extend([0, 0, 0, 1]);
        bytes.resize(ANNOUNCE_LEN - 2, 5);
        bytes.extend(6881_u16.to_be_bytes());
        bytes
    }

    #[test]
    fn messages_are_read() {
        use Kind::{
            DhtAnnounce, DhtPeers, HttpAnnounce, HttpAnswer, Search, TrackerAnnounce,
            TrackerAnswer, TrackerConnect,
        };
        let announce = announce();
        let answer = [
            &[0, 0, 0, 1, 9, 9, 9, 9, 0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1][..],
            &[192, 0, 2, 1, 0x1a, 0xe1, 192, 0, 2, 2, 0, 80, 192, 0, 2],
        ]
        .concat();
        let dht = b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaa5:token2:xx6:valuesl6:\xc0\0\x02\x01\x1a\xe1\
            18:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe2ee1:t2:aa1:y1:re";
        let request = |port: &str| {
            format!(
                "GET /announce?info_hash=%5a&peer_id=x&{port} HTTP/1.1\r\nHost: t.example\r\n\r\n"
            )
        };
        // Over TCP; message; kind, peers, own port.
        type Row<'a> = (bool, &'a [u8], Option<(Kind, &'a [&'a str], Option<u16>)>);
        let rows: &[Row<'_>] = &[
            (
                false,
                b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0abcd",
                Some((TrackerConnect, &[], None)),
            ),
            (false, &announce, Some((TrackerAnnounce, &[], Some(6881)))),
            (false, announce.get(..97).unwrap(), None),
            (false, &answer, Some((TrackerAnswer, &["192.0.2.1:6881"], None))),
            (
                false,
                dht,
                Some((DhtPeers, &["192.0.2.1:6881", "[2001:db8::1]:6882"], None)),
            ),
            (false, b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t2:aa1:y1:re", None),
            (
                false,
                b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa9:info_hash20:bbbbbbbbbbbbbbbbbbbb4:porti6881e\
                  5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe",
                Some((DhtAnnounce, &[], Some(6881))),
            ),
            (
                false,
                b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa12:implied_porti1e4:porti6881ee1:q13:announce_peer1:y1:qe",
                Some((DhtAnnounce, &[], Some(7000))),
            ),
            (
                false,
                b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\r\n",
                Some((Search, &[], Some(6881))),
            ),
            (
                true,
                &request("port=51413").into_bytes(),
                Some((HttpAnnounce, &[], Some(51_413))),
            ),
            (true, &request("x=1").into_bytes(), Some((HttpAnnounce, &[], None))),
            (true, b"GET /?port=51413 HTTP/1.1\r\n\r\n", None),
            (
                true,
                b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800e5:peers12:\xc0\0\x02\x01\x1a\xe1\xc0\0\x02\x02\x1a\xe1e",
                Some((HttpAnswer, &["192.0.2.1:6881", "192.0.2.2:6881"], None)),
            ),
            (
                true,
                b"d8:completei1e5:peersld2:ip9:192.0.2.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881eeee",
                Some((HttpAnswer, &["192.0.2.1:6881"], None)),
            ),
            (
                true,
                b"d8:intervali1800e5:peers0:6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe2e",
                Some((HttpAnswer, &["[2001:db8::1]:6882"], None)),
            ),
            (true, b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800ee", None),
            (true, b"HTTP/1.1 200 OK\r\n\r\ndoctype 5:peers", None),
            (true, b"", None),
        ];
        for (number, &(is_tcp, payload, expected)) in rows.iter().enumerate() {
            let kind = match is_tcp {
                true => Kind::of_segment(payload),
                false => Kind::of_datagram(payload),
            };
            let got = read(kind, payload);
            let got = got.as_ref().map(|(kind, peers, port)| {
                (
                    *kind,
                    peers.iter().map(String::as_str).collect::<Vec<_>>(),
                    *port,
                )
            });
            let expected = expected.map(|(kind, peers, port)| (kind, peers.to_vec(), port));
            assert_eq!(got, expected, "row {number}");
        }
        let mut found = Vec::new();
        let v6 = [&[0; ANSWER_HEAD][..], &[0x20; 18]].concat();
        TrackerAnswer.peers(&v6, true, &mut |peer| found.push(peer.port()));
        assert_eq!(found, [0x2020]);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let fronts = [
                &b"d1:rd2:id20:6:valuesl"[..],
                b"d8:interval5:peersl2:ip",
                b"d8:interval5:peers",
                b"d1:ad1:q13:announce_peer4:porti",
                b"GET /info_hash=&port=",
                b"",
            ];
            for front in fronts {
                let bytes = [front, &bytes, b"\ne"].concat();
                for kind in [Kind::of_datagram(&bytes), Kind::of_segment(&bytes)].into_iter().flatten() {
                    let mut count = 0;
                    kind.peers(&bytes, false, &mut |_| count += 1);
                    prop_assert!(count <= MAX_PEERS);
                    kind.listens(&bytes, 1);
                }
            }
        }
    }
}
