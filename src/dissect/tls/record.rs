//! The record layer of TLS (RFC 8446 section 5.1, RFC 5246 section 6.2.1): where records begin
//! in a stream, and the handshake bytes they carry before encryption starts.

use std::borrow::Cow;

use memchr::memchr_iter;

use crate::flow::Stream;
use crate::wire::reader::Reader;

/// RFC 5246 section 6.2.3: a record is no longer than this.
const MAX_RECORD: usize = (1 << 14) + 2048;

/// The alert level `fatal`.
const FATAL: u8 = 2;

/// The type of a record, as IANA assigns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentType(u8);

impl ContentType {
    pub(super) const CHANGE_CIPHER_SPEC: Self = Self(20);
    pub(super) const ALERT: Self = Self(21);
    pub(super) const HANDSHAKE: Self = Self(22);
    pub(super) const APPLICATION_DATA: Self = Self(23);
    pub(super) const HEARTBEAT: Self = Self(24);
}

/// One record, or as much of the last one as there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) kind: ContentType,
    pub(super) body: &'a [u8],
    whole: bool,
}

impl Record<'_> {
    fn is_clear_alert(&self) -> bool {
        self.kind == ContentType::ALERT && self.body.len() <= 2
    }
}

/// The records of a byte stream, up to the first bytes that are none.
#[derive(Clone, Debug)]
pub(super) struct Records<'a> {
    rest: Reader<'a>,
}

impl<'a> Records<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: Reader::new(bytes),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let mut ahead = self.rest;
        let (kind, len) = header(ahead.array()?)?;
        let whole = ahead.left() >= len;
        let body = ahead.take(len.min(ahead.left()))?;
        self.rest = ahead;
        Some(Record { kind, body, whole })
    }
}

/// The type and length of a record with this header; `None` when it is none.
fn header(&[kind, major, minor, high, low]: &[u8; 5]) -> Option<(ContentType, usize)> {
    let kind = ContentType(kind);
    let len = usize::from(u16::from_be_bytes([high, low]));
    let len_fits = match kind {
        ContentType::CHANGE_CIPHER_SPEC => len == 1,
        // In the clear a level and a description, else with at least 16 octets of MAC or tag.
        ContentType::ALERT => len == 2 || (16..=512).contains(&len),
        ContentType::HANDSHAKE | ContentType::APPLICATION_DATA => (1..=MAX_RECORD).contains(&len),
        // RFC 6520 section 4: type, length, and 16 octets of padding.
        ContentType::HEARTBEAT => (19..=MAX_RECORD).contains(&len),
        _ => false,
    };
    (major == 3 && minor <= 4 && len_fits).then_some((kind, len))
}

/// Whether `bytes` begin like a record; decides at the first octet that does not fit.
fn may_begin_record(bytes: &[u8]) -> bool {
    match *bytes {
        [] => true,
        [kind] => matches!(kind, 20..=24),
        [kind, major] => matches!(kind, 20..=24) && major == 3,
        [kind, major, minor, ..] => matches!(kind, 20..=24) && major == 3 && minor <= 4,
    }
}

/// How far a stream is records.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain<'a> {
    /// The stream from the first record on.
    bytes: &'a [u8],
    /// Sound headers, each where the record before it ends.
    pub(super) headers: usize,
    /// The last record is whole and nothing follows it.
    pub(super) exact: bool,
    /// After the last record comes what is none.
    pub(super) broken: bool,
    /// A ChangeCipherSpec or application data was seen: what follows is encrypted.
    pub(super) encrypted: bool,
    /// An alert that ends the handshake was seen: a fatal one, or one that is encrypted.
    pub(super) closing: bool,
}

impl<'a> Chain<'a> {
    /// The records at the start of `bytes`.
    fn at_start(bytes: &'a [u8]) -> Self {
        let mut chain = Self {
            bytes,
            ..Self::default()
        };
        let mut records = Records::new(bytes);
        for record in records.by_ref() {
            chain.headers += 1;
            chain.exact = record.whole;
            match record.kind {
                ContentType::CHANGE_CIPHER_SPEC | ContentType::APPLICATION_DATA => {
                    chain.encrypted = true;
                }
                ContentType::ALERT => {
                    chain.closing |=
                        !record.is_clear_alert() || record.body.first() == Some(&FATAL);
                }
                _ => {}
            }
        }
        let rest = records.rest.rest();
        chain.exact &= rest.is_empty();
        chain.broken = if rest.len() < 5 {
            !may_begin_record(rest)
        } else {
            true
        };
        chain
    }

    /// The records of `stream`. In one whose start was not seen they may begin anywhere.
    pub(super) fn of(stream: Stream<'a>) -> Self {
        let chain = Self::at_start(stream.bytes);
        if !stream.mid_stream || !chain.broken {
            return chain;
        }
        // Two headers that chain are 50 bits of agreement: enough to be looked for at every
        // offset. The type, which texts do not have in them, keeps the search cheap.
        memchr_iter(ContentType::APPLICATION_DATA.0, stream.bytes)
            .filter_map(|start| stream.bytes.get(start..))
            .find(|bytes| chains(bytes))
            .map_or(chain, Self::at_start)
    }

    /// The handshake bytes from the first record on, up to the first that may be encrypted.
    /// An alert in the clear may stand before them: `unrecognized_name` as a warning does.
    pub(super) fn handshake(&self) -> Cow<'a, [u8]> {
        let mut bodies = Records::new(self.bytes)
            .take_while(|record| record.kind == ContentType::HANDSHAKE || record.is_clear_alert())
            .filter(|record| record.kind == ContentType::HANDSHAKE)
            .map(|record| record.body);
        let first = bodies.next().unwrap_or_default();
        let Some(second) = bodies.next() else {
            return Cow::Borrowed(first);
        };
        let mut joined = Vec::with_capacity(self.bytes.len());
        joined.extend_from_slice(first);
        joined.extend_from_slice(second);
        bodies.for_each(|body| joined.extend_from_slice(body));
        Cow::Owned(joined)
    }
}

/// Whether `bytes` begin with a whole record and the sound header of another.
fn chains(bytes: &[u8]) -> bool {
    let next = || {
        let (_, len) = header(bytes.first_chunk()?)?;
        header(bytes.get(5 + len..)?.first_chunk()?)
    };
    next().is_some()
}

/// A handshake message, or as much of it as there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    pub(super) body: &'a [u8],
    pub(super) whole: bool,
}

/// The messages in handshake bytes (RFC 8446 section 4).
pub(super) fn messages(handshake: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut reader = Reader::new(handshake);
    std::iter::from_fn(move || {
        let kind = reader.u8()?;
        let len = reader.be24()? as usize;
        let whole = reader.left() >= len;
        let body = reader.take(len.min(reader.left()))?;
        Some(Message { kind, body, whole })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[kind, 3, 3][..], &len, body].concat()
    }

    fn chain(bytes: &[u8], mid_stream: bool) -> Chain<'_> {
        Chain::of(Stream {
            bytes,
            mid_stream,
            ..Stream::default()
        })
    }

    #[test]
    fn headers_are_checked() {
        for (header_bytes, expected) in [
            ([20, 3, 3, 0, 1], true),
            ([20, 3, 3, 0, 2], false),
            ([21, 3, 3, 0, 2], true),
            ([21, 3, 3, 0, 26], true),
            ([21, 3, 3, 0, 3], false),
            ([22, 3, 0, 0, 1], true),
            ([22, 3, 4, 0x48, 0x00], true),
            ([22, 3, 1, 0x48, 0x01], false),
            ([23, 3, 5, 0, 1], false),
            ([23, 2, 3, 0, 1], false),
            ([23, 0xf1, 3, 0, 1], false),
            ([23, 3, 3, 0, 0], false),
            ([24, 3, 3, 0, 19], true),
            ([24, 3, 3, 0, 18], false),
            ([25, 3, 3, 0, 19], false),
            ([19, 3, 3, 0, 19], false),
        ] {
            assert_eq!(
                header(&header_bytes).is_some(),
                expected,
                "{header_bytes:?}"
            );
        }
    }

    #[test]
    fn chains_end_where_records_end() {
        let two = [record(22, &[1; 40]), record(23, &[2; 30])].concat();
        for len in 0..=two.len() {
            let chain = chain(&two[..len], false);
            let expected = usize::from(len >= 5) + usize::from(len >= 50);
            assert_eq!(chain.headers, expected, "{len}");
            assert_eq!(chain.exact, len == 45 || len == 80, "{len}");
            assert!(!chain.broken, "{len}");
            assert_eq!(chain.encrypted, len >= 50, "{len}");
        }
        let broken = [two.clone(), b"HTTP/".to_vec()].concat();
        assert!(chain(&broken, false).broken);
        assert!(chain(b"\x16\x04", false).broken, "told by two octets");
        assert!(!chain(b"\x16\x03", false).broken);
    }

    #[test]
    fn handshake_bytes_are_joined_over_records() {
        let bytes = [
            record(22, &[1, 0, 0, 6, 9, 9]),
            record(22, &[8; 4]),
            record(20, &[1]),
            record(22, &[7; 9]),
        ]
        .concat();
        let chain = chain(&bytes, false);
        assert_eq!(&*chain.handshake(), [1, 0, 0, 6, 9, 9, 8, 8, 8, 8]);
        let handshake = chain.handshake();
        let message = messages(&handshake).next().unwrap();
        assert!(message.whole && message.body.len() == 6);
        assert!(!messages(&handshake[..9]).next().unwrap().whole);
    }

    #[test]
    fn a_warning_may_stand_before_the_handshake() {
        let hello = record(22, &[2, 0, 0, 2, 3, 3]);
        for (level, closing) in [(1, false), (2, true)] {
            let bytes = [record(21, &[level, 112]), hello.clone()].concat();
            let chain = chain(&bytes, false);
            assert_eq!(chain.closing, closing);
            assert_eq!(chain.handshake().len(), 6);
        }
    }

    #[test]
    fn records_are_found_in_the_middle_of_a_stream() {
        let noise = [0x17, 0x03, 0x17, 0x03, 0x03, 0x00, 0x08, 0x00, 0x55];
        let bytes = [&noise[..], &record(23, &[2; 30]), &record(23, &[2; 3000])].concat();
        assert_eq!(chain(&bytes, true).headers, 2);
        assert_eq!(chain(&bytes, false).headers, 0);
        assert_eq!(
            chain(&bytes[..9 + 35 + 4], true).headers,
            0,
            "the second header is not whole"
        );
        assert_eq!(chain(&bytes[..9 + 35 + 5], true).headers, 2);
        let hostile: Vec<u8> = [0x17, 0x03].repeat(8192);
        assert_eq!(chain(&hostile, true).headers, 0);
    }
}
