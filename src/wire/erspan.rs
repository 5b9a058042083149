//! ERSPAN types II and III (draft-foschiano-erspan): a mirrored Ethernet frame behind GRE.
//!
//! Type I has no header: the frame follows GRE at once.

use super::WireError;
use super::reader::Reader;

/// An ERSPAN header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erspan {
    /// The mirror session, 10 bits.
    pub session: u16,
    /// Whether the mirrored frame starts with its Ethernet header (type III may carry others).
    pub is_ethernet: bool,
    /// Octets of the header.
    pub len: usize,
}

impl Erspan {
    /// The header at the start of `bytes`, of either type by its version.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let version = reader.be16().ok_or(WireError::Truncated)? >> 12;
        let session = reader.be16().ok_or(WireError::Truncated)? & 0x03ff;
        match version {
            1 => {
                reader.skip(4).ok_or(WireError::Truncated)?;
                Ok(Self {
                    session,
                    is_ethernet: true,
                    len: 8,
                })
            }
            2 => {
                // Timestamp and security group tag, then the frame type and the O bit.
                reader.skip(6).ok_or(WireError::Truncated)?;
                let kind = reader.be16().ok_or(WireError::Truncated)?;
                let has_platform = kind & 1 != 0;
                if has_platform {
                    reader.skip(8).ok_or(WireError::Truncated)?;
                }
                Ok(Self {
                    session,
                    is_ethernet: (kind >> 10) & 0x1f == 0,
                    len: if has_platform { 20 } else { 12 },
                })
            }
            _ => Err(WireError::BadValue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_types() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Erspan)] = &[
            (&[0x10, 5, 0x08, 0x07, 0, 0, 0, 1], Erspan { session: 7, is_ethernet: true, len: 8 }),
            (&[0x20, 5, 0, 0x08, 0, 0, 0, 1, 0, 0, 0x80, 0], Erspan { session: 8, is_ethernet: true, len: 12 }),
            (&[0x20, 5, 0, 0x08, 0, 0, 0, 1, 0, 0, 0x88, 1, 0, 0, 0, 0, 0, 0, 0, 0], Erspan { session: 8, is_ethernet: false, len: 20 }),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Erspan::parse(bytes), Ok(*expected));
            for end in 0..bytes.len() {
                let cut = Erspan::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated));
            }
        }
        assert!(Erspan::parse(&[0x30; 20]).is_err());
    }
}
