//! The network service header (RFC 8300), between a tunnel or Ethernet and what it carries.

use super::WireError;
use super::ethernet::EtherType;
use super::reader::Reader;

/// A network service header, its context included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nsh {
    /// What follows, by the numbers of section 11.2.5.
    pub next: u8,
    /// The service path, 24 bits.
    pub path: u32,
    /// Octets of the header.
    pub len: usize,
}

impl Nsh {
    /// The header at the start of `bytes`: version 0. Unassigned bits are ignored (section 2.2).
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const BASE: usize = 8;
        const FIXED_CONTEXT: (u8, usize) = (1, 24);
        let mut reader = Reader::new(bytes);
        let mut read = || Some((reader.be16()?, reader.u8()?, reader.u8()?, reader.be24()?));
        let (first, context, next, path) = read().ok_or(WireError::Truncated)?;
        if first >> 14 != 0 {
            return Err(WireError::BadValue);
        }
        // Length in words, after version, flags and the time to live.
        let len = usize::from(first & 0x3f) * 4;
        let (kind, whole) = FIXED_CONTEXT;
        if len < BASE || (context & 0x0f == kind && len != whole) {
            return Err(WireError::BadLength);
        }
        if bytes.len() < len {
            return Err(WireError::Truncated);
        }
        Ok(Self { next, path, len })
    }

    /// The type of what follows; `None` for what has none.
    pub const fn ether_type(&self) -> Option<EtherType> {
        Some(match self.next {
            1 => EtherType::IPV4,
            2 => EtherType::IPV6,
            3 => EtherType::BRIDGED,
            4 => EtherType::NSH,
            5 => EtherType::MPLS,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_context() {
        let fixed = [&[0x0f, 0xc6, 1, 3, 0, 1, 2, 0xff][..], &[7; 16]].concat();
        let variable = [0x0f, 0xc3, 2, 1, 0, 1, 2, 0xff, 9, 9, 9, 9].to_vec();
        let none = [0x0f, 0xc2, 2, 2, 0, 1, 2, 0xff].to_vec();
        // Unassigned bits and the one of maintenance frames.
        let ignored = [0x3f, 0xc2, 0xf2, 5, 0, 1, 2, 0xff].to_vec();
        for (bytes, ether_type) in [
            (fixed, EtherType::BRIDGED),
            (variable, EtherType::IPV4),
            (none, EtherType::IPV6),
            (ignored, EtherType::MPLS),
        ] {
            let header = Nsh::parse(&bytes).unwrap();
            assert_eq!((header.path, header.len), (0x102, bytes.len()));
            assert_eq!(header.ether_type(), Some(ether_type));
            for end in 0..bytes.len() {
                let cut = Nsh::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated), "{bytes:02x?} {end}");
            }
        }
    }

    #[test]
    fn impossible_headers() {
        #[rustfmt::skip]
        let rows = [
            ([0x4f, 0xc2, 2, 1, 0, 1, 2, 0xff], WireError::BadValue),  // version 1
            ([0x0f, 0xc1, 2, 1, 0, 1, 2, 0xff], WireError::BadLength), // one word
            ([0x0f, 0xc2, 1, 1, 0, 1, 2, 0xff], WireError::BadLength), // no room for its context
            ([0x0f, 0xc3, 2, 1, 0, 1, 2, 0xff], WireError::Truncated),
        ];
        for (bytes, error) in rows {
            assert_eq!(Nsh::parse(&bytes), Err(error), "{bytes:02x?}");
        }
        let other = Nsh::parse(&[0x0f, 0xc2, 2, 0xfe, 0, 1, 2, 0xff]).unwrap();
        assert_eq!(other.ether_type(), None);
    }
}
