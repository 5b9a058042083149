//! What wireless drivers put before an IEEE 802.11 frame: radiotap, Prism, AVS and PPI headers.
//!
//! Layouts: <https://www.radiotap.org>, <https://www.tcpdump.org/linktypes.html> (119, 163, 192).

use super::WireError;
use super::reader::Reader;

/// A radiotap header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Radiotap {
    /// Octets before the frame.
    pub len: usize,
    /// Whether the frame's payload is aligned to four octets after its MAC header.
    pub padded: bool,
}

impl Radiotap {
    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let [version, _pad] = *reader.array().ok_or(WireError::Truncated)?;
        let len = usize::from(reader.le16().ok_or(WireError::Truncated)?);
        if version != 0 {
            return Err(WireError::BadValue);
        }
        if len < 8 {
            return Err(WireError::BadLength);
        }
        let header = bytes.get(..len).ok_or(WireError::Truncated)?;
        Ok(Self {
            len,
            padded: Self::flags(header).unwrap_or(0) & 0x20 != 0,
        })
    }

    /// The flags field, second of the fields there may be.
    fn flags(header: &[u8]) -> Option<u8> {
        const MORE_PRESENT: u32 = 1 << 31;
        let mut reader = Reader::new(header);
        reader.skip(4)?;
        let present = reader.le32()?;
        let mut word = present;
        while word & MORE_PRESENT != 0 {
            word = reader.le32()?;
        }
        if present & 1 != 0 {
            // The timer is aligned to 8 octets from the start of the header.
            let at = header.len() - reader.left();
            reader.skip(at.next_multiple_of(8) - at + 8)?;
        }
        if present & 2 == 0 {
            return None;
        }
        reader.u8()
    }
}

/// A Prism header, or the AVS header that replaced it under the same link type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prism {
    /// Octets before the frame.
    pub len: usize,
}

impl Prism {
    /// The header at the start of `bytes`, Prism or AVS by its first word.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(head) = bytes.first_chunk::<8>() else {
            return Err(WireError::Truncated);
        };
        let [a, b, c, d, length @ ..] = *head;
        let is_avs = u32::from_be_bytes([a, b, c, d]) & 0xffff_f000 == 0x8021_1000;
        // AVS is in network order, Prism in that of the capturing machine.
        let (big, little) = (u32::from_be_bytes(length), u32::from_le_bytes(length));
        let len = if is_avs { big } else { big.min(little) };
        match usize::try_from(len) {
            Ok(len) if (8..=4096).contains(&len) => Ok(Self { len }),
            _ => Err(WireError::BadLength),
        }
    }
}

/// A per-packet information header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ppi {
    /// Octets before the frame.
    pub len: usize,
    /// The link type of the frame.
    pub link: u32,
}

impl Ppi {
    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let [version, _flags] = *reader.array().ok_or(WireError::Truncated)?;
        let len = usize::from(reader.le16().ok_or(WireError::Truncated)?);
        let link = reader.le32().ok_or(WireError::Truncated)?;
        if version != 0 {
            return Err(WireError::BadValue);
        }
        if len < 8 {
            return Err(WireError::BadLength);
        }
        Ok(Self { len, link })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radiotap_flags_are_found_behind_the_timer() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Result<Radiotap, WireError>)] = &[
            (&[0, 0, 8, 0, 0, 0, 0, 0], Ok(Radiotap { len: 8, padded: false })),
            (&[0, 0, 9, 0, 2, 0, 0, 0, 0x30], Ok(Radiotap { len: 9, padded: true })),
            (&[0, 0, 17, 0, 3, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0x20], Ok(Radiotap { len: 17, padded: true })),
            // A second word of present bits, then padding before the timer.
            (&[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 9, 9, 9, 9, 1, 1, 1, 1, 1, 1, 1, 1, 0x20], Ok(Radiotap { len: 25, padded: true })),
            // The flags lie outside the header.
            (&[0, 0, 8, 0, 2, 0, 0, 0, 0x20], Ok(Radiotap { len: 8, padded: false })),
            // Present words without end.
            (&[0, 0, 12, 0, 0, 0, 0, 0x80, 0, 0, 0, 0x80], Ok(Radiotap { len: 12, padded: false })),
            (&[1, 0, 8, 0, 0, 0, 0, 0], Err(WireError::BadValue)),
            (&[0, 0, 7, 0, 0, 0, 0, 0], Err(WireError::BadLength)),
            (&[0, 0, 9, 0, 0, 0, 0, 0], Err(WireError::Truncated)),
            (&[0, 0, 8], Err(WireError::Truncated)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Radiotap::parse(bytes), *expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn prism_in_both_orders_and_avs() {
        let rows: [([u8; 8], Result<Prism, WireError>); 5] = [
            ([0x44, 0, 0, 0, 144, 0, 0, 0], Ok(Prism { len: 144 })),
            ([0, 0, 0, 0x44, 0, 0, 0, 144], Ok(Prism { len: 144 })),
            ([0x80, 0x21, 0x10, 1, 0, 0, 0, 64], Ok(Prism { len: 64 })),
            (
                [0x80, 0x21, 0x10, 1, 64, 0, 0, 0],
                Err(WireError::BadLength),
            ),
            ([0x44, 0, 0, 0, 0, 0, 0, 0], Err(WireError::BadLength)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Prism::parse(&bytes), expected, "{bytes:02x?}");
        }
        assert_eq!(Prism::parse(&[0x44, 0, 0]), Err(WireError::Truncated));
    }

    #[test]
    fn ppi_names_the_link_below() {
        assert_eq!(
            Ppi::parse(&[0, 0, 32, 0, 105, 0, 0, 0]),
            Ok(Ppi { len: 32, link: 105 })
        );
        assert!(Ppi::parse(&[0, 0, 7, 0, 105, 0, 0, 0]).is_err());
        assert!(Ppi::parse(&[2, 0, 8, 0, 105, 0, 0, 0]).is_err());
        assert!(Ppi::parse(&[0, 0, 8, 0, 105, 0, 0]).is_err());
    }
}
