//! The opening of a flow: the first bytes each side sent, in order, for dissectors to read.

use std::net::IpAddr;
use std::ops::{Index, IndexMut, Not};

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who began: sent the SYN, the request, the first packet.
    Client,
    /// Who answers.
    Server,
}

impl Not for Side {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// One value for each [`Side`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerSide<T> {
    /// The client's.
    pub client: T,
    /// The server's.
    pub server: T,
}

impl<T> Index<Side> for PerSide<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}

impl<T> IndexMut<Side> for PerSide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// The transport protocols an opening may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A byte stream: message ends say only how segments were cut.
    Tcp,
    /// Datagrams: message ends are theirs.
    Udp,
    /// Anything else (SCTP, ICMP, ESP by number): payloads of IP packets.
    Other(u8),
}

/// What one side has sent so far: bytes without gaps, and where each message ended.
///
/// For TCP the messages are segments in sequence order, freed of overlaps and retransmissions;
/// for all else they are payloads in the order of arrival. Empty messages are not kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream<'a> {
    /// All messages, one after the other.
    pub bytes: &'a [u8],
    /// The end of each message in `bytes`, rising.
    pub ends: &'a [u32],
    /// TCP: the first byte was not seen (capture began in the middle, or packets were lost).
    pub mid_stream: bool,
    /// No more will come: a gap that is not filled, the limit is reached, or FIN/RST.
    pub ended: bool,
}

impl<'a> Stream<'a> {
    /// The messages in order.
    pub fn messages(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + Clone {
        let (bytes, ends) = (self.bytes, self.ends);
        MessageBounds {
            ends,
            front: 0,
            back: ends.len(),
        }
        .map(move |(start, end)| bytes.get(start as usize..end as usize).unwrap_or_default())
    }

    /// The first message; empty when there is none.
    pub fn first(self) -> &'a [u8] {
        self.ends
            .first()
            .and_then(|&end| self.bytes.get(..end as usize))
            .unwrap_or_default()
    }

    /// The last message; empty when there is none.
    pub fn last(self) -> &'a [u8] {
        self.messages().next_back().unwrap_or_default()
    }

    /// Where the last message begins.
    pub fn last_start(self) -> usize {
        let before = self.ends.len().checked_sub(2);
        before
            .and_then(|index| self.ends.get(index))
            .map_or(0, |&end| end as usize)
    }

    /// What there is from `start` on, whose messages end at `ends`.
    fn since(self, start: usize, ends: &'a [u32]) -> Self {
        Self {
            bytes: self.bytes.get(start..).unwrap_or_default(),
            ends,
            ..self
        }
    }

    /// Writes where the messages end, seen from `start`.
    fn ends_since(self, start: usize, ends: &mut Vec<u32>) {
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        ends.clear();
        ends.extend(
            self.ends
                .iter()
                .filter_map(|end| end.checked_sub(start).filter(|&end| end > 0)),
        );
    }

    /// How many messages there are.
    pub const fn count(self) -> usize {
        self.ends.len()
    }

    /// Whether nothing was sent.
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }
}

#[derive(Clone)]
struct MessageBounds<'a> {
    ends: &'a [u32],
    front: usize,
    back: usize,
}

impl MessageBounds<'_> {
    fn bound(&self, index: usize) -> Option<(u32, u32)> {
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        Some((start, *self.ends.get(index)?))
    }
}

impl Iterator for MessageBounds<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.front += 1;
        self.bound(self.front - 1)
    }
}

impl DoubleEndedIterator for MessageBounds<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back -= 1;
        self.bound(self.back)
    }
}

/// What dissectors and payload rules see of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// What carries it.
    pub transport: Transport,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The server's address.
    pub server_ip: IpAddr,
    /// The client's port; zero where there are none.
    pub client_port: u16,
    /// The server's port; zero where there are none.
    pub server_port: u16,
    /// What the client sent.
    pub client: Stream<'a>,
    /// What the server sent.
    pub server: Stream<'a>,
    /// Whose stream grew last.
    pub latest: Side,
}

impl<'a> Opening<'a> {
    /// The stream of `side`.
    pub const fn stream(&self, side: Side) -> Stream<'a> {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    /// The message that came last.
    pub fn newest(&self) -> &'a [u8] {
        self.stream(self.latest).last()
    }

    /// The same with the sides exchanged: who opened a connection that was joined in its middle is
    /// not known.
    pub const fn turned(self) -> Self {
        Self {
            client_ip: self.server_ip,
            server_ip: self.client_ip,
            client_port: self.server_port,
            server_port: self.client_port,
            client: self.server,
            server: self.client,
            latest: match self.latest {
                Side::Client => Side::Server,
                Side::Server => Side::Client,
            },
            ..self
        }
    }

    /// What each side has sent from these offsets on; `ends` has room for where messages end.
    pub fn since(&self, start: PerSide<usize>, ends: &'a mut PerSide<Vec<u32>>) -> Self {
        for side in [Side::Client, Side::Server] {
            self.stream(side).ends_since(start[side], &mut ends[side]);
        }
        let ends = &*ends;
        Self {
            client: self.client.since(start.client, &ends.client),
            server: self.server.since(start.server, &ends.server),
            ..*self
        }
    }

    /// Whether either end uses `port`.
    pub const fn has_port(&self, port: u16) -> bool {
        self.client_port == port || self.server_port == port
    }
}

/// An opening built from literal messages, for tests and fuzz targets of what reads openings.
#[derive(Clone, Debug)]
pub struct Script {
    transport: Transport,
    ports: (u16, u16),
    server_ip: IpAddr,
    bytes: PerSide<Vec<u8>>,
    ends: PerSide<Vec<u32>>,
    latest: Side,
}

impl Script {
    /// An opening over `transport` from `client_port` to `server_port` in which nothing was sent.
    pub fn new(transport: Transport, client_port: u16, server_port: u16) -> Self {
        Self {
            transport,
            ports: (client_port, server_port),
            server_ip: IpAddr::from([203, 0, 113, 9]),
            bytes: PerSide::default(),
            ends: PerSide::default(),
            latest: Side::Client,
        }
    }

    /// A TCP opening towards `server_port`.
    pub fn tcp(server_port: u16) -> Self {
        Self::new(Transport::Tcp, 50_000, server_port)
    }

    /// A UDP opening towards `server_port`.
    pub fn udp(server_port: u16) -> Self {
        Self::new(Transport::Udp, 50_000, server_port)
    }

    /// Moves the server to `address`; it is at 203.0.113.9 else.
    pub const fn server_ip(mut self, address: IpAddr) -> Self {
        self.server_ip = address;
        self
    }

    /// Adds a message of the client.
    pub fn client(self, message: &[u8]) -> Self {
        self.message(Side::Client, message)
    }

    /// Adds a message of the server.
    pub fn server(self, message: &[u8]) -> Self {
        self.message(Side::Server, message)
    }

    /// Adds a message of `side`.
    pub fn message(mut self, side: Side, message: &[u8]) -> Self {
        self.bytes[side].extend_from_slice(message);
        self.ends[side].push(u32::try_from(self.bytes[side].len()).unwrap_or(u32::MAX));
        self.latest = side;
        self
    }

    /// The opening.
    pub fn opening(&self) -> Opening<'_> {
        let stream = |side| Stream {
            bytes: &self.bytes[side],
            ends: &self.ends[side],
            mid_stream: false,
            ended: false,
        };
        Opening {
            transport: self.transport,
            client_ip: IpAddr::from([10, 0, 0, 1]),
            server_ip: self.server_ip,
            client_port: self.ports.0,
            server_port: self.ports.1,
            client: stream(Side::Client),
            server: stream(Side::Server),
            latest: self.latest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_ends() {
        let script = Script::tcp(80).client(b"ab").server(b"xyz").client(b"c");
        let opening = script.opening();
        assert_eq!(opening.client.bytes, b"abc");
        assert_eq!(
            opening.client.messages().collect::<Vec<_>>(),
            [&b"ab"[..], b"c"]
        );
        assert_eq!(
            opening.client.messages().rev().collect::<Vec<_>>(),
            [&b"c"[..], b"ab"]
        );
        assert_eq!(
            (opening.client.first(), opening.newest()),
            (&b"ab"[..], &b"c"[..])
        );
        assert_eq!(opening.server.last(), b"xyz");
        assert_eq!(Stream::default().first(), b"");
    }

    #[test]
    fn a_stream_can_be_read_from_a_later_place() {
        let script = Script::tcp(80).client(b"ab").server(b"xyz").client(b"cd");
        let opening = script.opening();
        let starts = [opening.client.last_start(), opening.server.last_start()];
        assert_eq!(starts, [2, 0]);
        let cases: &[(usize, &[&[u8]])] = &[
            (0, &[b"ab", b"cd"]),
            (1, &[b"b", b"cd"]),
            (2, &[b"cd"]),
            (3, &[b"d"]),
            (4, &[]),
            (9, &[]),
        ];
        for &(start, messages) in cases {
            let mut ends = PerSide::default();
            let later = opening.since(
                PerSide {
                    client: start,
                    server: 0,
                },
                &mut ends,
            );
            assert_eq!(
                later.client.messages().collect::<Vec<_>>(),
                messages,
                "{start}"
            );
            assert_eq!(later.server.bytes, b"xyz");
        }
        let turned = opening.turned();
        assert_eq!(
            (turned.client.bytes, turned.latest),
            (&b"xyz"[..], Side::Server)
        );
        assert_eq!((turned.client_port, turned.server_port), (80, 50_000));
    }
}
