//! How records of an encoding stand one behind the other: all that a sink knows of them.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The header of an IPFIX message (RFC 7011, section 3.1): version, length, export time, sequence
/// number, observation domain.
pub(super) const MESSAGE_HEADER: usize = 16;
/// Its version.
pub(super) const MESSAGE_VERSION: [u8; 2] = [0, 10];
/// The first Set ID of data (RFC 7011, section 3.3.2).
const FIRST_DATA_SET: u16 = 256;
const SET_HEADER: usize = 4;

/// How records stand one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A record is a line of text with the line feed at its end, and no other in it.
    Lines {
        /// Blanks in front of the line feed are no part of a record: a sink may lay out lines with them.
        may_pad: bool,
    },
    /// A record is a message of IPFIX, which says its length and how many records came before it in the
    /// file or session (RFC 7011, section 3.1). Data sets hold one record each.
    Messages,
    /// A record is a text without an end of its own: a datagram (RFC 5426, section 3.1), or on a stream
    /// behind the count of its octets (RFC 6587, section 3.4.1). There are no files of them.
    Counted,
    /// Records cannot be told apart before their file has its end, which the encoder makes. There are only
    /// files of them.
    Whole,
}

impl Framing {
    /// Whether a file whose first four bytes (or fewer, if it has no more) are these may hold such
    /// records. Zeros are what a power loss may leave.
    pub fn may_begin(self, start: &[u8]) -> bool {
        if start.len() < 4 || start == [0; 4] {
            return true;
        }
        match self {
            Self::Lines { .. } => {
                let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
                // pcapng begins with line ends, which transfers as text damage.
                start != b"\n\r\r\n"
                    && (start.starts_with(b"\xef\xbb\xbf") || start.iter().all(is_text))
            }
            Self::Messages => start.starts_with(&MESSAGE_VERSION),
            Self::Counted => false,
            // "File Format" of Parquet's specification.
            Self::Whole => start == b"PAR1",
        }
    }

    /// Bytes up to the end of the last whole record in a file of `len` bytes, which a kill or a power
    /// loss may have left.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn whole(self, file: &mut (impl Read + Seek), len: u64) -> io::Result<u64> {
        match self {
            Self::Lines { .. } => whole_lines(file, len),
            Self::Messages => whole_messages(file, len),
            Self::Counted | Self::Whole => Ok(0),
        }
    }

    /// Whether what another run wrote can be added to: the head it wrote says what today's says. Where
    /// not, a run begins a new file.
    pub const fn goes_on(self) -> bool {
        matches!(self, Self::Lines { .. })
    }

    /// Whether records can be sent one by one.
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Whole)
    }

    /// Whether these bytes are one record.
    pub fn is_record(self, bytes: &[u8]) -> bool {
        match self {
            Self::Lines { .. } => bytes.last() == Some(&b'\n'),
            Self::Messages => message_len(bytes) == Some(bytes.len()),
            Self::Counted | Self::Whole => !bytes.is_empty(),
        }
    }

    /// The first record of `bytes`, which are whole records; all of them if they are not.
    pub fn first(self, bytes: &[u8]) -> &[u8] {
        let len = match self {
            Self::Lines { .. } => memchr::memchr(b'\n', bytes).map(|place| place + 1),
            Self::Messages => message_len(bytes),
            Self::Counted | Self::Whole => None,
        };
        len.and_then(|len| bytes.get(..len)).unwrap_or(bytes)
    }

    /// What of a record is alone in a datagram.
    pub fn body(self, record: &[u8]) -> &[u8] {
        match self {
            Self::Lines { .. } => record.strip_suffix(b"\n").unwrap_or(record),
            Self::Messages | Self::Counted | Self::Whole => record,
        }
    }

    /// Appends a record to what goes over a stream.
    pub fn on_stream(self, record: &[u8], out: &mut Vec<u8>) {
        if self == Self::Counted {
            out.extend_from_slice(format!("{} ", record.len()).as_bytes());
        }
        out.extend_from_slice(record);
    }

    /// One record of two, where records can be put together: a message with the sets of both.
    pub fn joined(self, first: &[u8], second: &[u8]) -> Option<Vec<u8>> {
        if self != Self::Messages {
            return None;
        }
        let mut joined = [first, second.get(MESSAGE_HEADER..)?].concat();
        let length = u16::try_from(joined.len()).ok()?.to_be_bytes();
        // The later of both export times.
        let time = first.get(4..8)?.max(second.get(4..8)?);
        joined.get_mut(2..4)?.copy_from_slice(&length);
        joined.get_mut(4..8)?.copy_from_slice(time);
        Some(joined)
    }

    /// Writes into a record what it says of those before it in its file or session, of which there
    /// were `before`. Gives how many there are with it.
    pub fn number(self, record: &mut [u8], before: u32) -> u32 {
        let Self::Messages = self else { return before };
        if let Some(place) = record.get_mut(8..12) {
            place.copy_from_slice(&before.to_be_bytes());
        }
        let mut count = before;
        let mut sets = record.get(MESSAGE_HEADER..).unwrap_or_default();
        while let &[id, id_low, length, length_low, ..] = sets {
            if u16::from_be_bytes([id, id_low]) >= FIRST_DATA_SET {
                count = count.wrapping_add(1);
            }
            let length = usize::from(u16::from_be_bytes([length, length_low]));
            sets = sets.get(length.max(SET_HEADER)..).unwrap_or_default();
        }
        count
    }
}

/// The length that the message at the start of `bytes` says, if there is one.
fn message_len(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..MESSAGE_HEADER)?;
    let &[version, version_low, length, length_low, ..] = header else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([length, length_low]));
    (MESSAGE_VERSION == [version, version_low] && length >= MESSAGE_HEADER).then_some(length)
}

fn whole_lines(file: &mut (impl Read + Seek), len: u64) -> io::Result<u64> {
    let mut block = vec![0; 1 << 16];
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = usize::try_from(end - start).unwrap_or(0);
        let Some(part) = block.get_mut(..part) else {
            break;
        };
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(place) = memchr::memrchr(b'\n', part) {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Nothing at a message's end says that it is one: they are walked from the first.
fn whole_messages(file: &mut (impl Read + Seek), len: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    let mut file = BufReader::with_capacity(1 << 16, file);
    let mut end = 0;
    while len - end >= MESSAGE_HEADER as u64 {
        let mut header = [0; MESSAGE_HEADER];
        file.read_exact(&mut header)?;
        let Some(length) = message_len(&header) else {
            break;
        };
        let next = end + length as u64;
        if next > len {
            break;
        }
        file.seek_relative(i64::try_from(length - MESSAGE_HEADER).unwrap_or(0))?;
        end = next;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const LINES: Framing = Framing::Lines { may_pad: true };

    fn message(sets: &[(u16, usize)]) -> Vec<u8> {
        let mut message = vec![0; MESSAGE_HEADER];
        for &(id, len) in sets {
            message.extend_from_slice(&id.to_be_bytes());
            message.extend_from_slice(&(len as u16 + 4).to_be_bytes());
            message.resize(message.len() + len, 7);
        }
        let len = (message.len() as u16).to_be_bytes();
        message[..2].copy_from_slice(&MESSAGE_VERSION);
        message[2..4].copy_from_slice(&len);
        message
    }

    #[test]
    fn what_is_not_whole_is_found() {
        let two = [message(&[(256, 9)]), message(&[(2, 30), (257, 0)])].concat();
        // (framing, bytes, how many are whole records)
        for (framing, bytes, expected) in [
            (LINES, b"".to_vec(), 0),
            (LINES, b"a".to_vec(), 0),
            (LINES, b"a\nb\nc".to_vec(), 4),
            (Framing::Messages, Vec::new(), 0),
            (Framing::Messages, two.clone(), two.len()),
            (Framing::Messages, two[..two.len() - 1].to_vec(), 29),
            (Framing::Messages, two[..29 + 7].to_vec(), 29),
            (Framing::Messages, [&two[..], &[0; 40]].concat(), two.len()),
            (Framing::Messages, vec![0; 4096], 0),
            (Framing::Messages, b"\0\x0a\0\x05".repeat(9), 0),
        ] {
            let len = bytes.len() as u64;
            let whole = framing.whole(&mut Cursor::new(&bytes), len).unwrap();
            assert_eq!(whole, expected as u64, "{framing:?} {bytes:?}");
        }
    }

    #[test]
    fn messages_are_numbered_by_the_records_before_them() {
        let mut count = u32::MAX - 1;
        for (sets, expected) in [
            (&[(2, 8)][..], u32::MAX - 1),
            (&[(3, 8), (256, 1)], u32::MAX),
            (&[(256, 4), (999, 0)], 1),
        ] {
            let mut message = message(sets);
            let before = count;
            count = Framing::Messages.number(&mut message, before);
            assert_eq!(count, expected);
            assert_eq!(message[8..12], before.to_be_bytes());
        }
    }

    #[test]
    fn what_goes_out() {
        let (one, two) = (message(&[(256, 3)]), message(&[(257, 5), (2, 1)]));
        let joined = Framing::Messages.joined(&one, &two).unwrap();
        assert_eq!(joined, message(&[(256, 3), (257, 5), (2, 1)]));
        assert_eq!(LINES.joined(b"a\n", b"b\n"), None);
        assert_eq!(Framing::Messages.joined(&one, &vec![0; 1 << 16]), None);
        for (framing, record, datagram, stream) in [
            (LINES, &b"abc\n"[..], &b"abc"[..], &b"abc\n"[..]),
            (
                Framing::Counted,
                b"<134>1 abc",
                b"<134>1 abc",
                b"10 <134>1 abc",
            ),
            (Framing::Messages, &one, &one, &one),
        ] {
            assert_eq!(framing.body(record), datagram);
            let mut out = Vec::new();
            framing.on_stream(record, &mut out);
            assert_eq!(out, stream);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Whatever a disk gives back: what is said to be whole is, and nothing goes on for ever.
        #[test]
        fn any_bytes(
            mut bytes in proptest::collection::vec(prop_oneof![Just(0), Just(10), any::<u8>()], 0..300),
            lines in any::<bool>(),
        ) {
            let framing = if lines { LINES } else { Framing::Messages };
            let len = bytes.len() as u64;
            let whole = framing.whole(&mut Cursor::new(&bytes), len).unwrap() as usize;
            let mut rest = &bytes[..whole];
            while !rest.is_empty() {
                let first = framing.first(rest);
                prop_assert!(framing.is_record(first));
                rest = &rest[first.len()..];
            }
            framing.number(&mut bytes, 3);
        }
    }
}
