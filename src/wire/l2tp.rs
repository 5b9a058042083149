//! L2TP data messages: version 2 (RFC 2661 section 3.1), and version 3 over UDP (RFC 3931
//! section 4.1.2), whose session header names no payload.

use super::WireError;
use super::reader::Reader;

/// The header of a data message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L2tp {
    /// Version 2: PPP follows.
    V2 {
        /// The tunnel, by the receiver's number.
        tunnel: u16,
        /// The session in it, by the receiver's number.
        session: u16,
        /// Octets of the header.
        len: usize,
        /// Octets of header and payload, where the header says.
        total_len: Option<usize>,
    },
    /// Version 3: what follows (a cookie of 0, 4 or 8 octets, a sublayer, the payload) was agreed
    /// on by the control connection.
    V3 {
        /// The session, by the receiver's number.
        session: u32,
        /// Octets of the header up to the session.
        len: usize,
    },
}

impl L2tp {
    /// The port of both versions over UDP.
    pub const PORT: u16 = 1701;

    /// The header at the start of `bytes`. Control messages are a bad value; reserved bits are
    /// ignored (RFC 2661 section 3.1, RFC 3931 section 4.1.2.1).
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const CONTROL: u16 = 0x8000;
        let mut reader = Reader::new(bytes);
        let flags = reader.be16().ok_or(WireError::Truncated)?;
        match (flags & CONTROL != 0, flags & 0x000f) {
            (false, 2) => Self::v2(bytes, flags, &mut reader).ok_or(WireError::Truncated)?,
            (false, 3) => {
                reader.skip(2).ok_or(WireError::Truncated)?;
                Self::v3(reader.be32(), bytes.len() - reader.left())
            }
            _ => Err(WireError::BadValue),
        }
    }

    /// The header at the start of `bytes`, of version 3 directly over IP (RFC 3931 section 4.1.1).
    pub fn parse_over_ip(bytes: &[u8]) -> Result<Self, WireError> {
        Self::v3(Reader::new(bytes).be32(), 4)
    }

    fn v2(bytes: &[u8], flags: u16, reader: &mut Reader<'_>) -> Option<Result<Self, WireError>> {
        const LENGTH: u16 = 0x4000;
        const SEQUENCE: u16 = 0x0800;
        const OFFSET: u16 = 0x0200;
        let total_len = if flags & LENGTH != 0 {
            Some(usize::from(reader.be16()?))
        } else {
            None
        };
        let tunnel = reader.be16()?;
        let session = reader.be16()?;
        if flags & SEQUENCE != 0 {
            reader.skip(4)?;
        }
        if flags & OFFSET != 0 {
            let padding = reader.be16()?;
            reader.skip(usize::from(padding))?;
        }
        let len = bytes.len() - reader.left();
        if total_len.is_some_and(|total| total < len) {
            return Some(Err(WireError::BadLength));
        }
        Some(Ok(Self::V2 {
            tunnel,
            session,
            len,
            total_len,
        }))
    }

    /// Session zero is the control connection.
    fn v3(session: Option<u32>, len: usize) -> Result<Self, WireError> {
        match session {
            None => Err(WireError::Truncated),
            Some(0) => Err(WireError::BadValue),
            Some(session) => Ok(Self::V3 { session, len }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_with_every_optional_field() {
        #[rustfmt::skip]
        let rows: &[(&[u8], usize, Option<usize>)] = &[
            (&[0x00, 0x02, 0, 7, 0, 9], 6, None),
            (&[0x34, 0xf2, 0, 7, 0, 9], 6, None),
            (&[0x40, 0x02, 0, 30, 0, 7, 0, 9], 8, Some(30)),
            (&[0x48, 0x02, 0, 30, 0, 7, 0, 9, 0, 1, 0, 2], 12, Some(30)),
            (&[0x02, 0x02, 0, 7, 0, 9, 0, 2, 0, 0], 10, None),
        ];
        for (bytes, len, total_len) in rows {
            assert_eq!(
                L2tp::parse(bytes),
                Ok(L2tp::V2 {
                    tunnel: 7,
                    session: 9,
                    len: *len,
                    total_len: *total_len
                })
            );
            for end in 0..bytes.len() {
                let cut = L2tp::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated), "{bytes:02x?} {end}");
            }
        }
    }

    #[test]
    fn version_3_and_control() {
        let bytes = [0, 3, 0, 0, 0, 0, 0, 5];
        assert_eq!(L2tp::parse(&bytes), Ok(L2tp::V3 { session: 5, len: 8 }));
        assert_eq!(
            L2tp::parse_over_ip(&[0, 0, 0, 5, 1]),
            Ok(L2tp::V3 { session: 5, len: 4 })
        );
        assert_eq!(
            L2tp::parse(&[0x7f, 0xf3, 9, 9, 0, 0, 0, 5]),
            Ok(L2tp::V3 { session: 5, len: 8 }),
            "bits in reserve"
        );
        for control in [
            [0xc8, 2, 0, 12, 0, 0, 0, 0],
            [0xc8, 3, 0, 12, 0, 0, 0, 0],
            [0, 3, 0, 0, 0, 0, 0, 0],
            [0x40, 2, 0, 7, 0, 0, 0, 0],
        ] {
            assert!(L2tp::parse(&control).is_err(), "{control:02x?}");
        }
        assert!(L2tp::parse_over_ip(&[0; 4]).is_err());
    }
}
