//! Packet headers of QUIC (RFC 8999 invariants, RFC 9000 section 17.2, RFC 9369 section 3.2):
//! a datagram is cut into the packets coalesced in it.
//!
//! Only what is not protected is read; `crypto` takes the protection off Initial packets. The
//! headers of gQUIC up to Q049 are another file's.

use super::version::{PacketType, Version, is_reserved, version};
use crate::wire::reader::Reader;

/// The longest connection ID of the versions known (RFC 9000 section 17.2).
const MAX_CONNECTION_ID: u8 = 20;

/// The shortest packet that header protection can be taken off: a packet number of four bytes
/// and a sample of sixteen (RFC 9001 section 5.4.2).
const MIN_LENGTH: usize = 4 + 16;

/// The authentication tag at the end of a Retry packet (RFC 9001 section 5.8).
const RETRY_TAG_LEN: usize = 16;

/// A datagram that carries a client's Initial is at least this long (RFC 9000 section 14.1).
pub(super) const MIN_INITIAL_DATAGRAM: usize = 1200;

/// No more packets than this are taken from one datagram.
const MAX_COALESCED: u8 = 16;

/// The header form bit: a long header.
const LONG: u8 = 0x80;
/// The fixed bit, also called the QUIC bit (RFC 9287).
const FIXED: u8 = 0x40;

/// One packet of a datagram.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    /// A long header of a version in the table.
    Long(Long<'a>),
    /// A long header of another version: only the invariants are read, and all that follows.
    Foreign(u32),
    /// The server's list of versions (RFC 9000 section 17.2.1).
    VersionNegotiation(VersionNegotiation<'a>),
    /// A short header: 1-RTT, and all that follows.
    Short,
}

/// A packet with a long header of a known version.
#[derive(Debug)]
pub(super) struct Long<'a> {
    /// The number in the header.
    pub(super) number: u32,
    /// What is known of it.
    pub(super) version: &'static Version,
    /// Which packet it is.
    pub(super) kind: PacketType,
    /// The fixed bit is set, as it is unless both ends agreed to RFC 9287.
    pub(super) fixed: bool,
    /// Destination Connection ID.
    pub(super) dcid: &'a [u8],
    /// The whole packet from its first byte, without those coalesced after it.
    pub(super) bytes: &'a [u8],
    /// Where the packet number is in `bytes`; meaningless in a Retry packet.
    pub(super) number_offset: usize,
    /// How long the packet is by its length field.
    whole_len: usize,
    /// The datagram ends before the packet does: capturing cut it.
    pub(super) cut: bool,
}

/// The versions a server offers instead of the one it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionNegotiation<'a> {
    versions: &'a [[u8; 4]],
}

impl VersionNegotiation<'_> {
    /// Whether the list alone shows that this is QUIC. Zeros and a small number are common in
    /// other protocols, so version 1 does not count unless it is in company.
    pub(super) fn is_certain(self) -> bool {
        let mut numbers = self.versions.iter().map(|&it| u32::from_be_bytes(it));
        numbers.clone().all(|number| number != 0)
            && numbers.any(|it| it != 1 && version(it).is_some())
    }
}

/// Whether `datagram` begins with a long header.
pub(super) fn is_long(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & LONG != 0)
}

/// Whether `datagram` may begin a QUIC connection: the version of its long header is in the
/// table, reserved, or zero.
pub(super) fn may_begin(datagram: &[u8]) -> bool {
    let Some((&[first, a, b, c, d], _)) = datagram.split_first_chunk() else {
        return false;
    };
    let number = u32::from_be_bytes([a, b, c, d]);
    first & LONG != 0 && (number == 0 || version(number).is_some())
}

/// Whether `datagram` is of the size of a client's first and has a reserved version, which the
/// server has to answer with those it speaks (RFC 9000 section 6).
pub(super) fn invites_negotiation(datagram: &[u8]) -> bool {
    let number = datagram.get(1..).and_then(<[u8]>::first_chunk);
    datagram.len() >= MIN_INITIAL_DATAGRAM
        && number.is_some_and(|&number| is_reserved(u32::from_be_bytes(number)))
}

/// The packets coalesced in a datagram (RFC 9000 section 12.2).
#[derive(Debug)]
pub(super) struct Packets<'a> {
    rest: &'a [u8],
    left: u8,
    sound: bool,
    /// Destination Connection ID of the first packet with a long header.
    dcid: Option<&'a [u8]>,
}

impl<'a> Packets<'a> {
    /// The packets of `datagram`.
    pub(super) const fn new(datagram: &'a [u8]) -> Self {
        Self {
            rest: datagram,
            left: MAX_COALESCED,
            sound: true,
            dcid: None,
        }
    }

    /// Whether the packets given so far, by their length fields, left nothing that is no packet.
    pub(super) const fn is_sound(&self) -> bool {
        self.sound
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let &first = self.rest.first()?;
        let rest = std::mem::take(&mut self.rest);
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        if first & LONG == 0 {
            // Some stacks pad the datagram rather than the packet.
            let padding = self.left + 1 < MAX_COALESCED && rest.iter().all(|&byte| byte == 0);
            self.sound &= padding || first & FIXED != 0;
            return (first & FIXED != 0).then_some(Packet::Short);
        }
        let Some((packet, rest)) = long(rest) else {
            self.sound = false;
            return None;
        };
        if let Packet::Long(packet) = &packet
            && *self.dcid.get_or_insert(packet.dcid) != packet.dcid
        {
            // RFC 9000 section 12.2: no sender does this, and a receiver ignores it. Deriving keys
            // for each would make one datagram as costly as dozens.
            self.sound = false;
            return None;
        }
        self.rest = rest;
        Some(packet)
    }
}

/// The packet with a long header that `bytes` begins with, and what follows it.
fn long(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let mut reader = Reader::new(bytes);
    reader.skip(1)?;
    let number = reader.be32()?;
    let dcid = connection_id(&mut reader)?;
    connection_id(&mut reader)?;
    if number == 0 {
        let (versions, odd) = reader.rest().as_chunks();
        let packet = VersionNegotiation { versions };
        return (odd.is_empty() && !versions.is_empty())
            .then_some((Packet::VersionNegotiation(packet), &[]));
    }
    let foreign = Some((Packet::Foreign(number), <&[u8]>::default()));
    let Some(version) = version(number) else {
        return foreign;
    };
    let packet = versioned(bytes, number, version, reader, dcid);
    if is_reserved(number) {
        // No one says that its header is that of version 1.
        return packet
            .filter(|(packet, _)| packet.kind == PacketType::Initial)
            .map(|(packet, rest)| (Packet::Long(packet), rest))
            .or(foreign);
    }
    packet.map(|(packet, rest)| (Packet::Long(packet), rest))
}

/// The packet that `bytes` begins with, and what follows it. `reader` is after its connection
/// IDs.
fn versioned<'a>(
    bytes: &'a [u8],
    number: u32,
    version: &'static Version,
    mut reader: Reader<'a>,
    dcid: &'a [u8],
) -> Option<(Long<'a>, &'a [u8])> {
    let &first = bytes.first()?;
    let [type_0, type_1, type_2, type_3] = *version.types;
    let kind = match first >> 4 & 3 {
        0 => type_0,
        1 => type_1,
        2 => type_2,
        _ => type_3,
    };
    let mut packet = Long {
        number,
        version,
        kind,
        fixed: first & FIXED != 0,
        dcid,
        bytes,
        number_offset: 0,
        whole_len: bytes.len(),
        cut: false,
    };
    if kind == PacketType::Retry {
        return (reader.left() > RETRY_TAG_LEN).then_some((packet, &[]));
    }
    if kind == PacketType::Initial {
        let token = variable(&mut reader)?;
        reader.skip(usize::try_from(token).ok()?)?;
    }
    let length = usize::try_from(variable(&mut reader)?).ok()?;
    if length < MIN_LENGTH {
        return None;
    }
    packet.number_offset = bytes.len() - reader.left();
    packet.whole_len = packet.number_offset.checked_add(length)?;
    let (bytes, rest) = bytes
        .split_at_checked(packet.whole_len)
        .unwrap_or((bytes, &[]));
    packet.bytes = bytes;
    packet.cut = bytes.len() < packet.whole_len;
    Some((packet, rest))
}

impl Long<'_> {
    /// Whether the header alone is as good as no other bytes have it: its length field agrees
    /// with the datagram (a Retry packet has none), or, when capturing cut the packet, with the
    /// size that datagrams with Initial packets have.
    pub(super) fn is_certain(&self) -> bool {
        let length_fits = !self.cut || (MIN_INITIAL_DATAGRAM..=1500).contains(&self.whole_len);
        self.fixed && self.kind != PacketType::Retry && length_fits && !is_reserved(self.number)
    }
}

/// A connection ID with its length before it.
pub(super) fn connection_id<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = reader.u8().filter(|&len| len <= MAX_CONNECTION_ID)?;
    reader.take(len.into())
}

/// A variable-length integer (RFC 9000 section 16).
pub(super) fn variable(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let low = u64::from(first & 0x3f);
    Some(match first >> 6 {
        0 => low,
        1 => low << 8 | u64::from(reader.u8()?),
        2 => low << 24 | u64::from(reader.be24()?),
        _ => low << 56 | u64::from(reader.be24()?) << 32 | u64::from(reader.be32()?),
    })
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn kinds(datagram: &[u8]) -> (String, bool) {
        let mut packets = Packets::new(datagram);
        let mut kinds = Vec::new();
        for packet in &mut packets {
            kinds.push(match packet {
                Packet::Long(long) => format!("{:?}{}", long.kind, if long.cut { "!" } else { "" }),
                Packet::Foreign(number) => format!("{number:x}"),
                Packet::VersionNegotiation(list) => format!("negotiation {}", list.is_certain()),
                Packet::Short => "Short".into(),
            });
        }
        (kinds.join(" "), packets.is_sound())
    }

    /// A long header with the type bits `kind`, no token, and `length` bytes after it.
    fn packet(first: u8, number: u32, token: Option<&[u8]>, length: u8) -> Vec<u8> {
        let mut bytes = vec![first];
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&[2, 0xd1, 0xd2, 1, 0x51]);
        if let Some(token) = token {
            bytes.push(u8::try_from(token.len()).unwrap());
            bytes.extend_from_slice(token);
        }
        bytes.extend_from_slice(&[0x40, length]);
        bytes.extend(std::iter::repeat_n(0xee, length.into()));
        bytes
    }

    #[test]
    fn datagrams_are_cut_into_packets() {
        let initial = packet(0xc0, 1, Some(b"tok"), 50);
        let handshake = packet(0xe0, 1, None, 30);
        let join = |parts: &[&[u8]]| parts.concat();
        let mut other_dcid = initial.clone();
        other_dcid[6] ^= 1;
        for (datagram, expected, sound) in [
            (initial.clone(), "Initial", true),
            (join(&[&initial, &handshake]), "Initial Handshake", true),
            (
                join(&[&initial, &handshake, &[0x41, 9, 9]]),
                "Initial Handshake Short",
                true,
            ),
            (join(&[&initial, &other_dcid]), "Initial", false),
            (join(&[&initial, &[0; 40]]), "Initial", true),
            (join(&[&initial, &[0x3f; 40]]), "Initial", false),
            (join(&[&initial, &initial[..30]]), "Initial Initial!", true),
            (packet(0xd0, 1, None, 20), "ZeroRtt", true),
            (packet(0xd0, 0x6b33_43cf, Some(b""), 20), "Initial", true),
            (packet(0xf0, 0x6b33_43cf, None, 20), "Handshake", true),
            (packet(0xc0, 0xff02_0000, Some(b""), 20), "Initial", true),
            (packet(0xc0, 1, Some(b""), 19), "", false),
            (packet(0xc0, 0x1a2a_3a4a, Some(b""), 20), "Initial", true),
            (packet(0xd0, 0x1a2a_3a4a, Some(b""), 20), "1a2a3a4a", true),
            (packet(0xc0, 0x1a2a_3a4a, Some(b""), 2), "1a2a3a4a", true),
            (packet(0xc0, 2, Some(b""), 20), "2", true),
            (vec![0x40; 30], "Short", true),
            (vec![0; 30], "", false),
        ] {
            assert_eq!(
                kinds(&datagram),
                (expected.to_owned(), sound),
                "{datagram:02x?}"
            );
        }
    }

    #[test]
    fn retry_of_rfc_9001_and_9369() {
        for hex in [
            b"\xff\x00\x00\x00\x01\x00\x08\xf0\x67\xa5\x50\x2a\x42\x62\xb5token\x04\xa2\x65\xba\x2e\xff\x4d\x82\x90\x58\xfb\x3f\x0f\x24\x96\xba",
            b"\xcf\x6b\x33\x43\xcf\x00\x08\xf0\x67\xa5\x50\x2a\x42\x62\xb5token\xc8\x64\x6c\xe8\xbf\xe3\x39\x52\xd9\x55\x54\x36\x65\xdc\xc7\xb6",
        ] {
            assert_eq!(kinds(hex), ("Retry".to_owned(), true));
            assert_eq!(kinds(&hex[..31]), (String::new(), false), "no room for a token");
        }
    }

    #[test]
    fn version_negotiation_needs_a_telling_list() {
        let list = |versions: &[u32]| {
            let mut bytes = vec![0x80, 0, 0, 0, 0, 1, 7, 1, 8];
            bytes.extend(versions.iter().flat_map(|it| it.to_be_bytes()));
            bytes
        };
        for (versions, expected) in [
            (&[1, 0x6b33_43cf][..], "negotiation true"),
            (&[0x5a6a_7a8a, 1], "negotiation true"),
            (&[1], "negotiation false"),
            (&[7, 9], "negotiation false"),
            (&[0, 0x6b33_43cf], "negotiation false"),
            (&[], ""),
        ] {
            assert_eq!(kinds(&list(versions)).0, expected, "{versions:x?}");
        }
        assert_eq!(kinds(&[&list(&[1])[..], &[1]].concat()).0, "");
    }

    #[test]
    fn integers_of_rfc_9000_appendix_a() {
        for (bytes, value) in [
            (&[0x25][..], Some(37)),
            (&[0x40, 0x25], Some(37)),
            (&[0x7b, 0xbd], Some(15_293)),
            (&[0x9d, 0x7f, 0x3e, 0x7d], Some(494_878_333)),
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                Some(151_288_809_941_952_652),
            ),
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8], None),
            (&[], None),
        ] {
            assert_eq!(variable(&mut Reader::new(bytes)), value, "{bytes:02x?}");
        }
    }
}
