//! HPACK (RFC 7541): header blocks of HTTP/2, decoded from the start of a connection on.
//!
//! Fields, their sizes and the dynamic table are bounded; a block past a bound gives the fields
//! before it.

use std::collections::VecDeque;

use super::huffman;
use crate::wire::reader::Reader;

/// Fields read of one block.
const MAX_FIELDS: usize = 128;

/// Decoded bytes of one block: names and values may repeat a long entry with every octet.
const MAX_DECODED: usize = 64 << 10;

/// SETTINGS_HEADER_TABLE_SIZE as it is before the peer has said otherwise. A larger table can
/// be announced; it is not worth its memory for the fields of a first request.
const MAX_TABLE: usize = 4096;

/// What an entry costs beside its bytes (RFC 7541 section 4.1).
const ENTRY_OVERHEAD: usize = 32;

/// A field: name and value.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// Decodes the blocks of one direction, in order.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The newest entry first.
    entries: VecDeque<Field>,
    size: usize,
    limit: usize,
}

impl Decoder {
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            limit: MAX_TABLE,
        }
    }

    /// The fields of `block`, up to the first octet that is not sound.
    pub(super) fn decode(&mut self, block: &[u8]) -> Vec<Field> {
        let mut reader = Reader::new(block);
        let mut fields = Vec::new();
        let mut decoded = 0;
        while fields.len() < MAX_FIELDS && decoded < MAX_DECODED {
            let Some(representation) = self.next(&mut reader) else {
                break;
            };
            if let Some((name, value)) = representation {
                decoded += name.len() + value.len();
                fields.push((name, value));
            }
        }
        fields
    }

    /// The next representation (RFC 7541 section 6): a field, or only a change of the table.
    fn next(&mut self, reader: &mut Reader<'_>) -> Option<Option<Field>> {
        let first = reader.u8()?;
        if first & 0x80 != 0 {
            return Some(Some(self.indexed(integer(first, 7, reader)?)?));
        }
        if first & 0xe0 == 0x20 {
            self.limit = integer(first, 5, reader)?.min(MAX_TABLE);
            self.evict();
            return Some(None);
        }
        let (prefix, indexing) = if first & 0x40 != 0 {
            (6, true)
        } else {
            (4, false)
        };
        let name = match integer(first, prefix, reader)? {
            0 => string(reader)?,
            index => self.indexed(index)?.0,
        };
        let field = (name, string(reader)?);
        if indexing {
            self.size += entry_size(&field);
            self.entries.push_front(field.clone());
            self.evict();
        }
        Some(Some(field))
    }

    fn evict(&mut self) {
        while self.size > self.limit
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= entry_size(&oldest);
        }
    }

    /// The entry of an index over both tables (RFC 7541 section 2.3.3).
    fn indexed(&self, index: usize) -> Option<Field> {
        let place = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC_TABLE.get(place) {
            return Some((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        self.entries.get(place - STATIC_TABLE.len()).cloned()
    }
}

fn entry_size((name, value): &Field) -> usize {
    name.len() + value.len() + ENTRY_OVERHEAD
}

/// An integer that begins in the low `prefix` bits of `first` (RFC 7541 section 5.1). Four
/// octets more are all that any length in an opening can need.
fn integer(first: u8, prefix: u32, reader: &mut Reader<'_>) -> Option<usize> {
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & mask;
    if value < mask {
        return Some(value);
    }
    for shift in [0, 7, 14, 21] {
        let octet = reader.u8()?;
        value += usize::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string literal (RFC 7541 section 5.2).
fn string(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let first = reader.u8()?;
    let len = integer(first, 7, reader)?;
    let bytes = reader.take(len)?;
    if first & 0x80 == 0 {
        return Some(bytes.to_vec());
    }
    let mut decoded = Vec::with_capacity(bytes.len().saturating_mul(8) / 5);
    huffman::decode(bytes, &mut decoded)?;
    Some(decoded)
}

/// RFC 7541 appendix A.
#[rustfmt::skip]
const STATIC_TABLE: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""),
    ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""),
    ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""),
    ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""),
    ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""), ("retry-after", ""),
    ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""), ("transfer-encoding", ""),
    ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|it| it.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        pairs
            .iter()
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect()
    }

    #[test]
    fn integers_of_the_appendix() {
        // RFC 7541 appendix C.1.
        for (coded, prefix, expected) in [
            (&[0b0000_1010][..], 5, Some(10)),
            (&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, Some(1337)),
            (&[0b0010_1010], 8, Some(42)),
            (&[0x1f, 0x80], 5, None),
            (&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x00], 5, None),
        ] {
            assert_eq!(
                integer(coded[0], prefix, &mut Reader::new(&coded[1..])),
                expected
            );
        }
    }

    #[test]
    fn requests_of_the_appendix() {
        let expected = [
            fields(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
            ]),
            fields(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
                ("cache-control", "no-cache"),
            ]),
            fields(&[
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/index.html"),
                (":authority", "www.example.com"),
                ("custom-key", "custom-value"),
            ]),
        ];
        // RFC 7541 appendix C.3 without, and C.4 with Huffman coding; one connection each.
        for blocks in [
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
        ] {
            let mut decoder = Decoder::new();
            for (block, expected) in blocks.iter().zip(&expected) {
                assert_eq!(decoder.decode(&hex(block)), *expected);
            }
            assert_eq!(decoder.size, 164, "as the appendix says");
        }
    }

    #[test]
    fn responses_of_the_appendix_evict() {
        // RFC 7541 appendix C.6: a table of 256 octets.
        let mut decoder = Decoder::new();
        decoder.limit = 256;
        let blocks = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
             1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
        ];
        let first = decoder.decode(&hex(blocks[0]));
        assert_eq!(first[0], (b":status".to_vec(), b"302".to_vec()));
        assert_eq!(
            first[3],
            (b"location".to_vec(), b"https://www.example.com".to_vec())
        );
        let second = decoder.decode(&hex(blocks[1]));
        assert_eq!(second[0].1, b"307");
        assert_eq!(second[1..], first[1..]);
        assert_eq!(
            (decoder.size, decoder.entries.len()),
            (222, 4),
            "the oldest is gone"
        );
    }

    #[test]
    fn single_representations() {
        // RFC 7541 appendix C.2.1 to C.2.4, then a table size update and what is not sound.
        for (block, expected) in [
            (
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                fields(&[("custom-key", "custom-header")]),
            ),
            (
                "040c 2f73 616d 706c 652f 7061 7468",
                fields(&[(":path", "/sample/path")]),
            ),
            (
                "1008 7061 7373 776f 7264 0673 6563 7265 74",
                fields(&[("password", "secret")]),
            ),
            ("82", fields(&[(":method", "GET")])),
            ("3fe1 1f82", fields(&[(":method", "GET")])),
            ("8280 83", fields(&[(":method", "GET")])),
            ("82be", fields(&[(":method", "GET")])),
            ("82 0485", fields(&[(":method", "GET")])),
        ] {
            assert_eq!(Decoder::new().decode(&hex(block)), expected, "{block}");
        }
    }

    #[test]
    fn a_bomb_is_bounded() {
        let mut block = vec![0x40, 0x01, b'x', 0x7f, 0xa1, 0x1e];
        block.extend([b'v'; 4000]);
        block.extend([0xbe; 12_000]);
        let fields = Decoder::new().decode(&block);
        let bytes: usize = fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        assert!(fields.len() > 1 && bytes < MAX_DECODED + 5000, "{bytes}");
        assert_eq!(Decoder::new().decode(&[0x82; 1000]).len(), MAX_FIELDS);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(block in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = Decoder::new();
            decoder.decode(&block);
            assert!(decoder.size <= MAX_TABLE);
            decoder.decode(&block);
        }
    }
}
