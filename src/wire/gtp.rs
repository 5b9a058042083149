//! GTP-U version 1 (3GPP TS 29.281 section 5) and version 0 (3GPP TS 09.60 section 6): the messages
//! that carry a user's packet.

use super::WireError;
use super::reader::Reader;

/// The type of message that carries a user's packet.
const G_PDU: u8 = 0xff;

/// The header of a G-PDU message, extension headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GtpU {
    /// The tunnel endpoint identifier of the receiver; in version 0 the flow label.
    pub teid: u32,
    /// Octets of the header.
    pub len: usize,
    /// Octets of the user's packet by the length field.
    pub payload_len: usize,
}

impl GtpU {
    /// The port of the user plane.
    pub const PORT: u16 = 2152;
    /// The port of version 0, of both planes.
    pub const PORT_V0: u16 = 3386;

    /// The header at the start of `bytes`: version 1, protocol type GTP, message type G-PDU. The
    /// spare bit is not evaluated.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const EXTENSION: u8 = 0x04;
        const ANY_OPTIONAL: u8 = 0x07;
        let mut reader = Reader::new(bytes);
        let [flags, message] = *reader.array().ok_or(WireError::Truncated)?;
        if flags & 0xf0 != 0x30 || message != G_PDU {
            return Err(WireError::BadValue);
        }
        let length = usize::from(reader.be16().ok_or(WireError::Truncated)?);
        let teid = reader.be32().ok_or(WireError::Truncated)?;
        // Length counts what is behind these eight octets.
        let mandatory = bytes.len() - reader.left();
        if flags & ANY_OPTIONAL != 0 {
            reader.skip(3).ok_or(WireError::Truncated)?;
            let mut next = reader.u8().ok_or(WireError::Truncated)?;
            if flags & EXTENSION == 0 {
                next = 0;
            }
            while next != 0 {
                let words = usize::from(reader.u8().ok_or(WireError::Truncated)?);
                let content = (words * 4).checked_sub(2).ok_or(WireError::BadLength)?;
                reader.skip(content).ok_or(WireError::Truncated)?;
                next = reader.u8().ok_or(WireError::Truncated)?;
            }
        }
        let len = bytes.len() - reader.left();
        Ok(Self {
            teid,
            len,
            payload_len: length
                .checked_sub(len - mandatory)
                .ok_or(WireError::BadLength)?,
        })
    }

    /// The header of 20 octets at the start of `bytes`: version 0, protocol type GTP. Its spare bits
    /// and octets are not evaluated.
    pub fn parse_v0(bytes: &[u8]) -> Result<Self, WireError> {
        const LEN: usize = 20;
        let header: &[u8; LEN] = bytes.first_chunk().ok_or(WireError::Truncated)?;
        let &[
            flags,
            message,
            len_high,
            len_low,
            _,
            _,
            label_high,
            label_low,
            ..,
        ] = header;
        if flags & 0xf0 != 0x10 || message != G_PDU {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            teid: u32::from(u16::from_be_bytes([label_high, label_low])),
            len: LEN,
            payload_len: usize::from(u16::from_be_bytes([len_high, len_low])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_fields_and_extension_headers() {
        #[rustfmt::skip]
        let rows: &[(&[u8], usize)] = &[
            (&[0x30, 0xff, 0, 20, 0, 0, 0, 9], 20),
            (&[0x38, 0xff, 0, 20, 0, 0, 0, 9], 20),
            (&[0x31, 0xff, 0, 24, 0, 0, 0, 9, 0, 0, 5, 0], 20),
            (&[0x3f, 0xff, 0, 28, 0, 0, 0, 9, 0, 1, 5, 0x85, 1, 0x10, 9, 0], 20),
            (&[0x32, 0xff, 0, 24, 0, 0, 0, 9, 0, 1, 0, 0], 20),
            // The next type counts only with the E bit.
            (&[0x32, 0xff, 0, 24, 0, 0, 0, 9, 0, 1, 0, 0x85], 20),
            (&[0x34, 0xff, 0, 28, 0, 0, 0, 9, 0, 0, 0, 0x85, 1, 0x10, 9, 0], 20),
            (&[0x34, 0xff, 0, 36, 0, 0, 0, 9, 0, 0, 0, 0x85, 1, 0x10, 9, 0xc0, 2, 1, 2, 3, 4, 5, 6, 0], 20),
        ];
        for (bytes, payload_len) in rows {
            assert_eq!(
                GtpU::parse(bytes),
                Ok(GtpU {
                    teid: 9,
                    len: bytes.len(),
                    payload_len: *payload_len
                })
            );
            for end in 0..bytes.len() {
                let cut = GtpU::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated), "{bytes:02x?} {end}");
            }
        }
    }

    #[test]
    fn not_a_users_packet() {
        #[rustfmt::skip]
        let rows: &[(&[u8], WireError)] = &[
            (&[0x30, 0x01, 0, 20, 0, 0, 0, 9], WireError::BadValue), // echo request
            (&[0x48, 0xff, 0, 20, 0, 0, 0, 9], WireError::BadValue), // version 2
            (&[0x20, 0xff, 0, 20, 0, 0, 0, 9], WireError::BadValue), // GTP'
            (&[0x32, 0xff, 0, 3, 0, 0, 0, 9, 0, 1, 0, 0], WireError::BadLength),
            (&[0x34, 0xff, 0, 28, 0, 0, 0, 9, 0, 0, 0, 0x85, 0, 0x10, 9, 0], WireError::BadLength),
        ];
        for (bytes, error) in rows {
            assert_eq!(GtpU::parse(bytes), Err(*error), "{bytes:02x?}");
        }
    }

    #[test]
    fn version_0() {
        let header = [
            0x1e, 0xff, 0, 20, 0, 1, 0, 9, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        let expected = Ok(GtpU {
            teid: 9,
            len: 20,
            payload_len: 20,
        });
        assert_eq!(GtpU::parse_v0(&header), expected);
        for end in 0..header.len() {
            let cut = GtpU::parse_v0(header.get(..end).unwrap());
            assert_eq!(cut, Err(WireError::Truncated), "{end}");
        }
        for (at, value, is_bad) in [
            (0, 0x11, false),
            (0, 0x0e, true),
            (0, 0x3e, true),
            (1, 1, true),
        ] {
            let mut other = header;
            *other.get_mut(at).unwrap() = value;
            let got = GtpU::parse_v0(&other);
            assert_eq!(got == Err(WireError::BadValue), is_bad, "{at} {value}");
        }
    }
}
