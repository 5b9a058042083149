//! Where another QUIC connection begins between the sockets of one before: a client's Initial with a
//! Destination Connection ID that nobody has used.
//!
//! Only the invariants (RFC 8999) and the packet types of the versions in use are read, in datagrams
//! that begin with a long header; nothing is decrypted.

use super::opening::Side;

/// A datagram with a client's Initial is at least this long (RFC 9000 section 14.1).
const LEAST_INITIAL: usize = 1200;

/// A client's first Destination Connection ID is at least this long (RFC 9000 section 7.2).
const LEAST_ID: usize = 8;

/// Connection IDs remembered of a flow.
const IDS: usize = 6;

/// What a datagram with a long header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    /// Retry or version negotiation: the client begins once more.
    Again,
}

/// The long header at the start of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: Kind,
    /// Digests of the connection IDs.
    destination: u32,
    source: u32,
    destination_len: usize,
}

impl Header {
    fn parse(datagram: &[u8]) -> Option<Self> {
        let (&[first, a, b, c, d, destination_len], rest) = datagram.split_first_chunk()?;
        let (destination, rest) = rest.split_at_checked(usize::from(destination_len))?;
        let (&source_len, rest) = rest.split_first()?;
        let source = rest.get(..usize::from(source_len))?;
        let kinds = [Kind::Initial, Kind::ZeroRtt, Kind::Handshake, Kind::Again];
        let kind = usize::from(first >> 4 & 3);
        let kind = match u32::from_be_bytes([a, b, c, d]) {
            0 => Kind::Again,
            // Version 2 numbers them otherwise (RFC 9369 section 3.2).
            0x6b33_43cf => *kinds.get((kind + 3) % 4)?,
            // Reserved to be refused (RFC 9000 section 15): a client's first.
            version if version & 0x0f0f_0f0f == 0x0a0a_0a0a => Kind::Initial,
            // Version 1, the drafts, and mvfst.
            1 | 0xff00_0016..=0xff00_0022 | 0xface_b000..=0xface_b00f => *kinds.get(kind)?,
            _ => return None,
        };
        Some(Self {
            kind,
            destination: digest(destination),
            source: digest(source),
            destination_len: destination.len(),
        })
    }
}

/// FNV-1a: two connections of one client whose IDs agree in it are taken for one.
fn digest(id: &[u8]) -> u32 {
    id.iter().fold(0x811c_9dc5, |sum, &octet| {
        (sum ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    })
}

/// Whether `payload` is of the size of a datagram with a client's Initial, and may begin with one.
#[inline]
pub(super) fn may_begin(payload: &[u8]) -> bool {
    payload.len() >= LEAST_INITIAL && payload.first().is_some_and(|first| first & 0xc0 == 0xc0)
}

/// What is known of the connection of a flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Connection {
    /// Digests of the IDs that the client's Initials may be sent to, the latest ones.
    ids: [u32; IDS],
    count: u8,
    /// The server has told its ID.
    is_answered: bool,
    /// The client has sent what follows the Initials.
    is_beyond: bool,
    /// The server made the client begin once more.
    begins_again: bool,
}

impl Connection {
    fn knows(&self, id: u32) -> bool {
        let known = IDS.min(usize::from(self.count));
        self.ids.iter().take(known).any(|&other| other == id)
    }

    fn add(&mut self, id: u32) {
        if self.knows(id) {
            return;
        }
        if let Some(place) = self.ids.get_mut(usize::from(self.count) % IDS) {
            *place = id;
        }
        // Beyond the room there is, the oldest goes.
        self.count = match self.count.checked_add(1) {
            Some(count) => count,
            None => u8::try_from(IDS).unwrap_or(u8::MAX),
        };
    }

    /// Whether `payload` of `side` begins another connection, of a flow that has its name.
    ///
    /// A client sends no Initials once it has sent anything of the Handshake (RFC 9001 section
    /// 4.9.1); before that they go to the ID it chose first, to the server's, or to those of a
    /// Retry. Where the server was not heard, that is not known.
    pub(super) fn is_left_by(&self, side: Side, payload: &[u8]) -> bool {
        if side != Side::Client || !may_begin(payload) {
            return false;
        }
        let Some(header) = Header::parse(payload) else {
            return false;
        };
        header.kind == Kind::Initial
            && header.destination_len >= LEAST_ID
            && !self.begins_again
            && (self.is_answered || self.is_beyond)
            && !self.knows(header.destination)
    }

    /// Takes a datagram of `side`, which may begin with a long header.
    pub(super) fn take(&mut self, side: Side, payload: &[u8]) {
        let is_short = |first: &u8| first & 0x80 == 0;
        if payload.first().is_none_or(is_short) {
            self.is_beyond |= side == Side::Client && !payload.is_empty();
            return;
        }
        let Some(header) = Header::parse(payload) else {
            return;
        };
        match (side, header.kind) {
            (Side::Client, Kind::Initial) => {
                self.add(header.destination);
                self.begins_again = false;
            }
            (Side::Client, Kind::Handshake) => self.is_beyond = true,
            (Side::Server, Kind::Again) => {
                self.begins_again = true;
                self.add(header.source);
            }
            (Side::Server, _) => {
                self.is_answered = true;
                self.add(header.source);
            }
            (Side::Client, _) => {}
        }
    }

    /// The connection that begins with this datagram, if it is a client's first.
    pub(super) fn begun_by(payload: &[u8]) -> Option<Self> {
        let header = Header::parse(payload).filter(|_| may_begin(payload))?;
        let is_first = header.kind == Kind::Initial && header.destination_len >= LEAST_ID;
        is_first.then(|| {
            let mut connection = Self::default();
            connection.add(header.destination);
            connection
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram with a long header, as long as a client's first.
    fn long(first: u8, version: u32, destination: &[u8], source: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        bytes.extend(version.to_be_bytes());
        for id in [destination, source] {
            bytes.push(u8::try_from(id.len()).unwrap());
            bytes.extend(id);
        }
        bytes.resize(LEAST_INITIAL, 0xee);
        bytes
    }

    const FIRST: &[u8] = b"first-id";
    const SERVER: &[u8] = b"server-id";
    const OTHER: &[u8] = b"other-id";

    /// Datagrams of the client (true) or the server; whether the last begins another connection.
    fn leaves(datagrams: &[(bool, Vec<u8>)]) -> bool {
        let ((_, last), before) = datagrams.split_last().unwrap();
        let mut connection = Connection::begun_by(&datagrams[0].1).unwrap();
        for (is_client, datagram) in before {
            let side = if *is_client {
                Side::Client
            } else {
                Side::Server
            };
            connection.take(side, datagram);
        }
        connection.is_left_by(Side::Client, last)
    }

    #[test]
    fn an_unknown_id_begins_another_connection() {
        let initial = |id: &[u8]| (true, long(0xc0, 1, id, b"c"));
        let answer = (false, long(0xc0, 1, b"c", SERVER));
        let short = (true, vec![0x40; 60]);
        type Case = (&'static str, Vec<(bool, Vec<u8>)>, bool);
        let cases: &[Case] = &[
            (
                "another",
                vec![initial(FIRST), answer.clone(), initial(OTHER)],
                true,
            ),
            (
                "the same",
                vec![initial(FIRST), answer.clone(), initial(FIRST)],
                false,
            ),
            (
                "the server's",
                vec![initial(FIRST), answer.clone(), initial(SERVER)],
                false,
            ),
            (
                "nobody answered",
                vec![initial(FIRST), initial(OTHER)],
                false,
            ),
            (
                "one direction",
                vec![initial(FIRST), short, initial(OTHER)],
                true,
            ),
            (
                "version 2",
                vec![
                    (true, long(0xd0, 0x6b33_43cf, FIRST, b"c")),
                    answer.clone(),
                    (true, long(0xd0, 0x6b33_43cf, OTHER, b"c")),
                ],
                true,
            ),
            (
                "no Initial in version 2",
                vec![
                    initial(FIRST),
                    answer.clone(),
                    (true, long(0xc0, 0x6b33_43cf, OTHER, b"c")),
                ],
                false,
            ),
            (
                "after Retry",
                vec![
                    initial(FIRST),
                    (false, long(0xf0, 1, b"c", SERVER)),
                    initial(OTHER),
                ],
                false,
            ),
            (
                "after version negotiation",
                vec![
                    initial(FIRST),
                    (false, long(0x80, 0, b"c", FIRST)),
                    initial(OTHER),
                ],
                false,
            ),
            (
                "a Handshake",
                vec![
                    initial(FIRST),
                    answer.clone(),
                    (true, long(0xe0, 1, OTHER, b"c")),
                ],
                false,
            ),
            (
                "too short an ID",
                vec![initial(FIRST), answer.clone(), initial(b"short")],
                false,
            ),
            (
                "no known version",
                vec![initial(FIRST), answer, (true, long(0xc0, 7, OTHER, b"c"))],
                false,
            ),
        ];
        for (name, datagrams, expected) in cases {
            assert_eq!(leaves(datagrams), *expected, "{name}");
        }
    }

    #[test]
    fn cut_and_short_datagrams_begin_nothing() {
        let whole = long(0xc0, 1, FIRST, b"c");
        for end in 0..LEAST_INITIAL {
            assert!(Connection::begun_by(&whole[..end]).is_none(), "{end}");
        }
        for first in 0..=u8::MAX {
            let mut other = whole.clone();
            other[0] = first;
            assert_eq!(Connection::begun_by(&other).is_some(), first & 0xf0 == 0xc0);
            other[5] = first;
            let _ = Connection::begun_by(&other);
        }
    }

    #[test]
    fn the_latest_ids_are_known() {
        let mut connection = Connection::default();
        for id in 0..1000_u32 {
            connection.add(id);
            assert!(connection.knows(id));
            assert!(id == 0 || connection.knows(id - 1));
        }
    }
}
