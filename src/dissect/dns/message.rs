//! DNS messages as RFC 1035 section 4 writes them: header, names, questions, records.
//!
//! Views over the whole message, since a compressed name (section 4.1.4) may point anywhere
//! before itself. Pointers only ever go towards the front and their number is bounded, so no
//! message can make a name long or endless. `super` decides what is DNS, `answers` what is learned.

use super::super::plain::MAX_NAME;
use crate::wire::reader::Reader;

/// Length of the header of a message.
pub const HEADER_LEN: usize = 12;

/// More pointers than any name needs that was compressed on purpose.
const MAX_POINTERS: u32 = 16;

/// A record type or the type of a question.
#[allow(missing_docs)]
pub(super) mod rr_type {
    pub(in super::super) const A: u16 = 1;
    pub(in super::super) const CNAME: u16 = 5;
    pub(in super::super) const AAAA: u16 = 28;
    pub(in super::super) const SVCB: u16 = 64;
    pub(in super::super) const HTTPS: u16 = 65;
}

/// The twelve bytes in front of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    flags: u16,
    /// Entries in the question section.
    pub(super) questions: u16,
    /// Entries in the answer section.
    pub(super) answers: u16,
    /// Entries in the authority section.
    pub(super) authorities: u16,
    /// Entries in the additional section.
    pub(super) additionals: u16,
}

impl Header {
    /// The header of `message`; `None` when that is shorter.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(message);
        let &[_, _, f0, f1, q0, q1, n0, n1, u0, u1, d0, d1] = reader.array::<HEADER_LEN>()?;
        Some(Self {
            flags: u16::from_be_bytes([f0, f1]),
            questions: u16::from_be_bytes([q0, q1]),
            answers: u16::from_be_bytes([n0, n1]),
            authorities: u16::from_be_bytes([u0, u1]),
            additionals: u16::from_be_bytes([d0, d1]),
        })
    }

    /// QR: this answers a query.
    pub(super) const fn is_response(self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// OPCODE.
    pub(super) const fn opcode(self) -> u8 {
        (self.flags >> 11) as u8 & 0x0f
    }

    /// Whether it is, in 48 bits, what a resolver's client asks with: nothing but recursion is
    /// desired, one question, no answer.
    pub(super) const fn begins_plainly(self) -> bool {
        self.flags == 0x0100 && self.questions == 1 && self.answers == 0
    }

    /// RCODE, without the bits of EDNS.
    pub(super) const fn rcode(self) -> u8 {
        self.flags as u8 & 0x0f
    }

    /// The one bit that is still reserved (RFC 6895 section 2.1).
    pub(super) const fn has_reserved_bit(self) -> bool {
        self.flags & 0x0040 != 0
    }

    /// Records in all sections after the questions.
    pub(super) fn records(self) -> u32 {
        u32::from(self.answers) + u32::from(self.authorities) + u32::from(self.additionals)
    }

    /// The fewest bytes the counted entries can take: a root name, type and class, and for
    /// records TTL and length.
    pub(super) fn least_len(self) -> usize {
        HEADER_LEN + usize::from(self.questions) * 5 + self.records() as usize * 11
    }
}

/// The labels of the name at one place of a message, pointers followed.
#[derive(Clone, Debug)]
pub(super) struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    /// Where the run of labels being read began: a pointer must go before it.
    floor: usize,
    pointers: u32,
    /// What a name of 255 octets has left.
    octets: usize,
    /// The end of the name in its own place: set by the first pointer or the root label.
    end: Option<usize>,
}

impl<'a> Labels<'a> {
    /// Reads the name that starts `at` bytes into `message`.
    pub(super) const fn new(message: &'a [u8], at: usize) -> Self {
        Self {
            message,
            at,
            floor: at,
            pointers: 0,
            octets: 255,
            end: None,
        }
    }

    /// The next label; empty for the root, which ends the name. `None` when the name is malformed.
    pub(super) fn next_label(&mut self) -> Option<&'a [u8]> {
        loop {
            let len = *self.message.get(self.at)?;
            let next = self.at + 1;
            match len >> 6 {
                0 => {
                    let end = next + usize::from(len);
                    let label = self.message.get(next..end)?;
                    self.octets = self.octets.checked_sub(1 + usize::from(len))?;
                    self.at = end;
                    if label.is_empty() {
                        self.end.get_or_insert(end);
                    }
                    return Some(label);
                }
                3 => {
                    self.end.get_or_insert(next + 1);
                    let target =
                        usize::from(len & 0x3f) << 8 | usize::from(*self.message.get(next)?);
                    self.pointers += 1;
                    if target >= self.floor || self.pointers > MAX_POINTERS {
                        return None;
                    }
                    (self.at, self.floor) = (target, target);
                }
                _ => return None,
            }
        }
    }
}

/// Where the name at `at` ends in its own place; the target of a pointer is not looked at.
pub(super) fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    let limit = at + 255;
    loop {
        let len = *message.get(at)?;
        match len >> 6 {
            0 if len == 0 => return Some(at + 1),
            0 => at += 1 + usize::from(len),
            3 => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
        if at >= limit {
            return None;
        }
    }
}

/// Whether the names at two places are the same, case aside; a malformed one equals nothing.
///
/// Each label compared takes one from `budget`; without any left nothing is the same. Names that
/// point to one another cost nothing.
pub(super) fn same_name(message: &[u8], a: usize, b: usize, budget: &mut u32) -> bool {
    let target = |at: usize| match message.get(at..at + 2) {
        Some(&[high, low]) if high >= 0xc0 => usize::from(high & 0x3f) << 8 | usize::from(low),
        _ => at,
    };
    // Nearly every owner is a pointer to where the name was written first.
    if target(a) == target(b) {
        return true;
    }
    let (mut a, mut b) = (Labels::new(message, a), Labels::new(message, b));
    while let Some(left) = budget.checked_sub(1) {
        *budget = left;
        match (a.next_label(), b.next_label()) {
            (Some([]), Some([])) => return true,
            (Some(x), Some(y)) if x.eq_ignore_ascii_case(y) => {}
            _ => return false,
        }
    }
    false
}

/// A name as text, in a buffer of its own: lower case, labels joined by dots, no trailing dot.
///
/// Labels may hold any octet. UTF-8 stays (RFC 6762 section 16); control characters, dots inside
/// a label and what is not UTF-8 become `?`, so a name never splits a record or fakes a label.
#[derive(Debug)]
pub(super) struct NameText {
    bytes: [u8; MAX_NAME],
    len: usize,
}

/// What an octet of a label becomes.
const fn fold(octet: u8) -> u8 {
    match octet {
        0..0x20 | b'.' | 0x7f => b'?',
        other => other.to_ascii_lowercase(),
    }
}

impl NameText {
    /// Room for a name. A caller lends it, so that 255 bytes are not moved about.
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; MAX_NAME],
            len: 0,
        }
    }

    /// Reads the name at `at`, and says where it ends in its own place.
    pub(super) fn read(&mut self, message: &[u8], at: usize) -> Option<usize> {
        let mut labels = Labels::new(message, at);
        let (mut len, mut seen) = (0, 0);
        self.len = 0;
        loop {
            let label = labels.next_label()?;
            if label.is_empty() {
                break;
            }
            if len > 0 {
                *self.bytes.get_mut(len)? = b'.';
                len += 1;
            }
            let room = self.bytes.get_mut(len..len + label.len())?;
            for (to, &from) in room.iter_mut().zip(label) {
                *to = fold(from);
                seen |= from;
            }
            len += label.len();
        }
        self.len = len;
        if seen >= 0x80 {
            self.replace_invalid();
        }
        labels.end
    }

    /// The text; the root is empty.
    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The text as facts carry it: the root is a dot.
    pub(super) fn to_boxed(&self) -> Box<str> {
        match self.as_str() {
            "" => ".".into(),
            name => name.into(),
        }
    }

    fn replace_invalid(&mut self) {
        let bytes = self.bytes.get_mut(..self.len).unwrap_or_default();
        if std::str::from_utf8(bytes).is_err() {
            bytes
                .iter_mut()
                .filter(|b| !b.is_ascii())
                .for_each(|b| *b = b'?');
        }
    }
}

/// One entry of the question section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Type asked for.
    pub(super) rr_type: u16,
    /// Class, with mDNS's unicast-response bit.
    pub(super) class: u16,
    /// Where the entry ends.
    pub(super) end: usize,
}

impl Question {
    /// The type and class after the name that ends at `at`.
    pub(super) fn read(message: &[u8], at: usize) -> Option<Self> {
        let &[t0, t1, c0, c1] = message.get(at..)?.first_chunk()?;
        Some(Self {
            rr_type: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            end: at + 4,
        })
    }
}

/// One resource record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its owner name starts.
    pub(super) owner: usize,
    /// TYPE.
    pub(super) rr_type: u16,
    /// CLASS; another meaning for OPT.
    pub(super) class: u16,
    /// TTL in seconds; another meaning for OPT.
    pub(super) ttl: u32,
    /// Where RDATA starts.
    pub(super) data: usize,
    /// Where RDATA and the record end.
    pub(super) end: usize,
}

impl Record {
    /// The record that starts at `at`.
    pub(super) fn read(message: &[u8], at: usize) -> Option<Self> {
        let fixed = skip_name(message, at)?;
        let &[t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] = message.get(fixed..)?.first_chunk()?;
        let data = fixed + 10;
        let end = data + usize::from(u16::from_be_bytes([d0, d1]));
        (end <= message.len()).then_some(Self {
            owner: at,
            rr_type: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([l0, l1, l2, l3]),
            data,
            end,
        })
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A header's worth of bytes, then `tail`.
    fn message(tail: &[u8]) -> Vec<u8> {
        [&[0; HEADER_LEN][..], tail].concat()
    }

    #[test]
    fn names_are_folded_and_bounded() {
        let long = [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat();
        let too_long = [&[63; 64][..], &[63; 64], &[63; 64], &[62; 63], &[0]].concat();
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"\x03WWW\x07ExAmple\x03com\0", Some("www.example.com")),
            (b"\0", Some("")),
            (b"\x05a.b\0c\x02de\0", Some("a?b?c.de")),
            (b"\x06\xe9\xa3\x9e\xe4\xbf\xa1\0", None),
            (b"\x02\xc3(\x01A\0", Some("?(.a")),
            (b"\x02a-\x03_tc\0", Some("a-._tc")),
            (b"\x03ww", None),
            (b"\x03www", None),
            (b"\x40a\0", None),
            (b"\x80a\0", None),
            (b"\xc0\x0c", None),
            (b"\x01a\xc0\x0e", None),
            (b"\xc0", None),
            (&too_long, None),
        ];
        for (bytes, want) in rows {
            let mut name = NameText::new();
            let end = name.read(&message(bytes), HEADER_LEN);
            let got = end.map(|_| name.as_str());
            if bytes[0] == 6 {
                assert_eq!(got, Some("飞信"));
            } else {
                assert_eq!(got, *want, "{bytes:02x?}");
            }
        }
        let mut name = NameText::new();
        let end = name.read(&message(&long), HEADER_LEN).unwrap();
        assert_eq!((name.as_str().len(), end), (253, HEADER_LEN + 255));
    }

    #[test]
    fn pointers_go_back_only() {
        // com at 12, example + pointer at 17, www + pointer at 27, a bare pointer at 33
        let bytes = message(b"\x03com\0\x07example\xc0\x0c\x03www\xc0\x11\xc0\x1b");
        let mut name = NameText::new();
        let end = name.read(&bytes, 33).unwrap();
        assert_eq!((name.as_str(), end), ("www.example.com", 35));
        assert!(same_name(&bytes, 27, 33, &mut 0), "one points to the other");
        assert!(!same_name(&bytes, 17, 33, &mut 99));
        assert_eq!(skip_name(&bytes, 27), Some(33));
        // A chain of pointers, each to the one before: bounded although it never loops.
        let mut chain = message(b"\0");
        for _ in 0..100 {
            let target = chain.len() as u16 - if chain.len() == 13 { 1 } else { 2 };
            chain.extend_from_slice(&(0xc000 | target).to_be_bytes());
        }
        assert!(name.read(&chain, 13 + 2 * 10).is_some());
        assert!(name.read(&chain, 13 + 2 * 90).is_none());
    }
}
