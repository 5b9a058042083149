//! gQUIC, Google's QUIC before the IETF's: Q024 to Q049.
//!
//! Its first packets are in the clear but for a hash: a public header (Q046 and later: a long
//! header), twelve bytes of hash, frames. Stream 1 carries QUIC Crypto: the client's CHLO with
//! the name it asks for, the server's REJ. Described in the "QUIC Wire Layout Specification" and
//! "QUIC Crypto" documents of the Chromium project; numbers in frames were little-endian until
//! Q039. Q050 has IETF headers and encryption (`crypto`), and the CHLO of this file inside.

use super::frames::{google_ack, google_number_len, skip_padding};
use super::header::variable;
use crate::dissect::Facts;
use crate::dissect::host::{host_name, text};
use crate::wire::reader::Reader;

/// Public flags, up to Q043.
const VERSION: u8 = 0x01;
const RESET: u8 = 0x02;
/// A nonce follows the connection ID, in packets of servers; until Q033 a bit of the length of
/// the connection ID.
const NONCE: u8 = 0x04;
const CONNECTION_ID: u8 = 0x08;
/// Multipath and a bit that is reserved: never set.
const UNUSED: u8 = 0xc0;

const HASH_LEN: usize = 12;
const NONCE_LEN: usize = 32;
const CONNECTION_ID_LEN: usize = 8;

/// The stream of the handshake.
const CRYPTO_STREAM: u64 = 1;

/// A packet with a handshake message has a few.
const MAX_FRAMES: u8 = 32;

/// No real message has more tags.
const MAX_TAGS: u16 = 128;

/// What a datagram of gQUIC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datagram<'a> {
    /// Names its version, as all that the client sends until the server has answered.
    Versioned {
        /// The version as four characters.
        number: u32,
        /// Frames, unless they are encrypted.
        frames: Frames<'a>,
    },
    /// The server's list of versions.
    VersionNegotiation,
    /// The server knows nothing of this connection.
    PublicReset,
    /// The server's answer to a CHLO it does not accept yet.
    Rejection,
}

impl<'a> Datagram<'a> {
    /// What `datagram` is, if it shows that it is gQUIC.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let flags = reader.u8()?;
        if flags & 0x80 != 0 {
            return long(flags, reader);
        }
        if flags & UNUSED != 0 || flags & CONNECTION_ID == 0 {
            return None;
        }
        reader.skip(CONNECTION_ID_LEN)?;
        if flags & RESET != 0 {
            return reader
                .rest()
                .starts_with(b"PRST")
                .then_some(Self::PublicReset);
        }
        if flags & VERSION == 0 {
            return is_rejection(flags, reader).then_some(Self::Rejection);
        }
        let number = reader.be32()?;
        let version = version(number)?;
        let (listed, odd) = reader.rest().as_chunks();
        let in_list = |&it: &[u8; 4]| matches!(it, [b'Q' | b'T', b'0', _, _] | [0xff, 0, 0, _]);
        if odd.is_empty() && listed.iter().all(in_list) {
            return Some(Self::VersionNegotiation);
        }
        let number_len = google_number_len(flags >> 4);
        reader.skip(number_len + HASH_LEN)?;
        if version < 34 {
            // Private flags: entropy and FEC.
            reader.skip(1)?;
        }
        let frames = Frames {
            reader,
            big_endian: version >= 39,
            number_len,
            left: MAX_FRAMES,
        };
        Some(Self::Versioned { number, frames })
    }
}

impl PartialEq for Frames<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.reader.rest() == other.reader.rest()
    }
}

impl Eq for Frames<'_> {}

/// Whether `datagram` has the long header of Q044 to Q049.
pub(super) fn is_long(datagram: &[u8]) -> bool {
    let Some((&[first, version @ ..], _)) = datagram.split_first_chunk::<5>() else {
        return false;
    };
    first & 0x80 != 0 && self::version(u32::from_be_bytes(version)).is_some_and(|it| it >= 44)
}

/// The number in "Q0dd", of those this file reads.
fn version(number: u32) -> Option<u8> {
    match number.to_be_bytes() {
        [b'Q', b'0', tens @ b'0'..=b'4', ones @ b'0'..=b'9'] => {
            Some((tens - b'0') * 10 + (ones - b'0'))
        }
        _ => None,
    }
}

/// The rest of a datagram with a long header, which begins with `first`.
fn long(first: u8, mut reader: Reader<'_>) -> Option<Datagram<'_>> {
    let number = reader.be32()?;
    let version = version(number).filter(|&version| version >= 44)?;
    let mut number_len = 4;
    if version >= 46 {
        number_len = usize::from(first & 3) + 1;
    }
    if version < 49 {
        let lengths = reader.u8()?;
        for nibble in [lengths >> 4, lengths & 0xf] {
            reader.skip(if nibble == 0 {
                0
            } else {
                usize::from(nibble) + 3
            })?;
        }
    } else {
        for _ in 0..2 {
            let len = reader.u8().filter(|&len| len <= 20)?;
            reader.skip(len.into())?;
        }
        let token = usize::try_from(variable(&mut reader)?).ok()?;
        reader.skip(token)?;
        variable(&mut reader)?;
    }
    reader.skip(number_len + HASH_LEN)?;
    let frames = Frames {
        reader,
        big_endian: true,
        number_len,
        left: MAX_FRAMES,
    };
    Some(Datagram::Versioned { number, frames })
}

/// Whether a packet without a version is a server's REJ: which version it is of decides where
/// its frames begin, so all places are tried.
fn is_rejection(flags: u8, reader: Reader<'_>) -> bool {
    let number_len = google_number_len(flags >> 4);
    let nonces = if flags & NONCE != 0 {
        &[0, NONCE_LEN][..]
    } else {
        &[0]
    };
    nonces.iter().any(|nonce| {
        [0, 1].iter().any(|private| {
            let mut reader = reader;
            let skipped = reader.skip(nonce + number_len + HASH_LEN + private);
            let frames = |big_endian| Frames {
                reader,
                big_endian,
                number_len,
                left: MAX_FRAMES,
            };
            skipped.is_some()
                && frames(true)
                    .chain(frames(false))
                    .any(|(_, data)| data.starts_with(b"REJ\0") || data.starts_with(b"SREJ"))
        })
    })
}

/// What the STREAM frames of a packet add to the handshake: offset and bytes.
///
/// Ends at a frame that is not known, as every frame of an encrypted packet is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames<'a> {
    reader: Reader<'a>,
    big_endian: bool,
    /// How long the packet's number is: STOP_WAITING repeats it.
    number_len: usize,
    /// No more frames than this are read: nothing proves these bytes.
    left: u8,
}

impl Frames<'_> {
    fn number(&mut self, len: usize) -> Option<u64> {
        let bytes = self.reader.take(len)?;
        let join = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Some(if self.big_endian {
            bytes.iter().fold(0, join)
        } else {
            bytes.iter().rev().fold(0, join)
        })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            skip_padding(&mut self.reader);
            match self.reader.u8()? {
                // PING
                0x07 => {}
                // WINDOW_UPDATE, BLOCKED, STOP_WAITING
                0x04 => self.reader.skip(4 + 8)?,
                0x05 => self.reader.skip(4)?,
                0x06 => self.reader.skip(self.number_len)?,
                kind @ 0x40..=0x7f => google_ack(&mut self.reader, kind)?,
                // STREAM: 1fdooossB
                kind @ 0x80.. => {
                    let stream = self.number(usize::from(kind & 3) + 1)?;
                    let offset = match usize::from(kind >> 2 & 7) {
                        0 => 0,
                        bits => self.number(bits + 1)?,
                    };
                    let len = match kind & 0x20 {
                        0 => self.reader.left(),
                        _ => usize::try_from(self.number(2)?).ok()?,
                    };
                    // The end of a packet that was cut is missing.
                    let data = self.reader.take(len.min(self.reader.left()))?;
                    if stream == CRYPTO_STREAM {
                        return Some((offset, data));
                    }
                }
                _ => return None,
            }
        }
        None
    }
}

/// The tags and values of a QUIC Crypto message.
struct Message<'a> {
    tags: &'a [[u8; 8]],
    values: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads `bytes`, which may be cut after the tags.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.strip_prefix(b"CHLO")?);
        let count = reader.le16().filter(|&count| count <= MAX_TAGS)?;
        reader.skip(2)?;
        let (tags, _) = reader.take(usize::from(count) * 8)?.as_chunks();
        Some(Self {
            tags,
            values: reader.rest(),
        })
    }

    /// Tags with where their values begin and end.
    fn bounds(&self) -> impl Iterator<Item = ([u8; 4], usize, usize)> {
        let mut start = 0;
        self.tags
            .iter()
            .map(move |&[t0, t1, t2, t3, e0, e1, e2, e3]| {
                let end = u32::from_le_bytes([e0, e1, e2, e3]) as usize;
                ([t0, t1, t2, t3], std::mem::replace(&mut start, end), end)
            })
    }

    fn value(&self, wanted: &[u8; 4]) -> Option<&'a [u8]> {
        let (_, start, end) = self.bounds().find(|(tag, ..)| tag == wanted)?;
        self.values.get(start..end)
    }

    fn is_whole(&self) -> bool {
        self.bounds().all(|(_, _, end)| end <= self.values.len())
    }
}

/// Whether `bytes` can be the beginning of a CHLO.
pub(super) fn may_be_chlo(bytes: &[u8]) -> bool {
    bytes.iter().zip(b"CHLO").all(|(byte, tag)| byte == tag)
}

/// Reads a CHLO; `false` when it is not whole, unless no more will come (`ended`) and its tags
/// are there.
pub(super) fn read_chlo(bytes: &[u8], ended: bool, facts: &mut Facts) -> bool {
    let Some(message) = Message::parse(bytes).filter(|it| ended || it.is_whole()) else {
        return false;
    };
    if let Some(name) = message.value(b"SNI\0").and_then(host_name) {
        facts.server_name = Some(name);
    }
    if let Some(agent) = message.value(b"UAID").and_then(|it| text(it, 512)) {
        facts.quic.get_or_insert_default().user_agent = Some(agent);
    }
    true
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn q(version: &[u8; 4]) -> u32 {
        u32::from_be_bytes(*version)
    }

    /// A packet of `version` with `frames`, of a client.
    fn public(flags: u8, version: &[u8; 4], frames: &[u8]) -> Vec<u8> {
        let number = &b"\x01\0\0\0\0\0"[..google_number_len(flags >> 4)];
        [
            &[flags][..],
            b"CIDCIDCI",
            version,
            number,
            b"hash of it..",
            frames,
        ]
        .concat()
    }

    #[test]
    fn versions_have_their_frames() {
        let big = b"\xa0\x01\x00\x02hi";
        let little = b"\xa0\x01\x02\x00hi";
        let private = b"\0\xa0\x01\x02\x00hi";
        for (datagram, version) in [
            (public(0x09, b"Q043", big), b"Q043"),
            (public(0x19, b"Q039", big), b"Q039"),
            (public(0x29, b"Q038", little), b"Q038"),
            (public(0x3d, b"Q033", private), b"Q033"),
            (public(0x0d, b"Q025", private), b"Q025"),
            (
                [b"\xc3Q046\x50CIDCIDCI\0\0\0\x01hash of it..", &big[..]].concat(),
                b"Q046",
            ),
            (
                [b"\xc0Q046\x50CIDCIDCI\x01hash of it..", &big[..]].concat(),
                b"Q046",
            ),
            (
                [b"\xffQ044\x50CIDCIDCI\0\0\0\x01hash of it..", &big[..]].concat(),
                b"Q044",
            ),
            (
                [
                    b"\xc0Q049\x08CIDCIDCI\0\0\x40\x20\x01hash of it..",
                    &big[..],
                ]
                .concat(),
                b"Q049",
            ),
        ] {
            let Some(Datagram::Versioned { number, frames }) = Datagram::parse(&datagram) else {
                panic!("{version:?} is not read");
            };
            assert_eq!(number, q(version));
            assert_eq!(frames.collect::<Vec<_>>(), [(0, &b"hi"[..])], "{version:?}");
            for end in 0..datagram.len() {
                let _ = Datagram::parse(&datagram[..end]).map(|it| match it {
                    Datagram::Versioned { frames, .. } => frames.count(),
                    _ => 0,
                });
            }
        }
    }

    #[test]
    fn frames_before_the_handshake_are_passed() {
        for (frames, expected) in [
            // ACK, STOP_WAITING, STREAM with an offset of two bytes and no length
            (
                &b"\x40\x01\0\0\x01\0\x06\x00\x84\x01\x01\x00rest"[..],
                vec![(256, &b"rest"[..])],
            ),
            (
                b"\x07\x04ssssoooooooo\x05ssss\xa0\x01\0\x01x",
                vec![(0, b"x")],
            ),
            // another stream
            (b"\xa0\x05\0\x01x\xa0\x01\0\x01y", vec![(0, b"y")]),
            (b"\xa0\x01\xff\xffcut", vec![(0, b"cut")]),
            (b"\x20\xa0\x01\0\x01x", vec![]),
        ] {
            let datagram = public(0x09, b"Q043", frames);
            let Some(Datagram::Versioned { frames, .. }) = Datagram::parse(&datagram) else {
                panic!("not read");
            };
            assert_eq!(frames.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_only_servers_send() {
        for (datagram, expected) in [
            (&b"\x09CIDCIDCIQ035Q039T050\xff\0\0\x1d"[..], Some(Datagram::VersionNegotiation)),
            (b"\x0aCIDCIDCIPRST\0\0", Some(Datagram::PublicReset)),
            (b"\x0aCIDCIDCIXXXX\0\0", None),
            (b"\x08CIDCIDCI\x01hash of it..\xa0\x01\0\x04REJ\0", Some(Datagram::Rejection)),
            (
                b"\x0cCIDCIDCI0123456789abcdef0123456789abcdef\x01hash of it..\x40\x01\0\0\x01\0\xa0\x01\x04\0REJ\0",
                Some(Datagram::Rejection),
            ),
            (b"\x08CIDCIDCI\x01hash of it..\xa0\x01\0\x04what", None),
            (b"\x48CIDCIDCIQ043Q046", None),
            (b"\x01Q043", None),
        ] {
            assert_eq!(Datagram::parse(datagram), expected, "{datagram:02x?}");
        }
    }

    #[test]
    fn chlo_gives_name_and_agent() {
        let chlo: &[u8] =
            b"CHLO\x03\0\0\0PAD\0\x04\0\0\0SNI\0\x12\0\0\0UAID\x1a\0\0\0----WWW.Example.ukChrome/1";
        let mut facts = Facts::default();
        assert!(read_chlo(chlo, false, &mut facts));
        assert_eq!(facts.server_name.as_deref(), Some("www.example.uk"));
        assert_eq!(
            facts.quic.as_ref().unwrap().user_agent.as_deref(),
            Some("Chrome/1")
        );
        for end in 0..chlo.len() {
            assert!(may_be_chlo(&chlo[..end]));
            let mut facts = Facts::default();
            assert!(!read_chlo(&chlo[..end], false, &mut facts));
            assert_eq!(
                facts,
                Facts::default(),
                "nothing is told before it is whole"
            );
            let read = read_chlo(&chlo[..end], true, &mut facts);
            assert_eq!(
                read,
                end >= 32,
                "the tags are enough when no more will come"
            );
            assert_eq!(facts.server_name.is_some(), end >= 50);
        }
        let mut lying = chlo.to_vec();
        lying[12..16].copy_from_slice(&[0xff; 4]);
        assert!(!read_chlo(&lying, false, &mut Facts::default()));
        lying[4..6].copy_from_slice(&[0xff; 2]);
        assert!(!read_chlo(&lying, true, &mut Facts::default()));
    }
}
