//! Generic UDP encapsulation (draft-ietf-intarea-gue), versions 0 and 1.

use super::WireError;

/// What a datagram of GUE starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gue {
    /// Version 0: a header, then what an IP protocol number names.
    V0 {
        /// That number.
        protocol: u8,
        /// Octets of the header, optional fields included.
        len: usize,
    },
    /// Version 1: an IP packet, whose version begins with the same bits.
    V1,
}

impl Gue {
    /// The port IANA assigned.
    pub const PORT: u16 = 6080;

    /// The header at the start of `bytes`. Control messages are a bad value.
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const CONTROL: u8 = 0x20;
        let Some(&[first, protocol, _, _]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        match first >> 6 {
            0 if first & CONTROL == 0 => Ok(Self::V0 {
                protocol,
                len: 4 + (first & 0x1f) as usize * 4,
            }),
            1 => Ok(Self::V1),
            _ => Err(WireError::BadValue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions() {
        let rows = [
            (
                [0x00, 4, 0, 0],
                Ok(Gue::V0 {
                    protocol: 4,
                    len: 4,
                }),
            ),
            (
                [0x02, 41, 0xff, 1],
                Ok(Gue::V0 {
                    protocol: 41,
                    len: 12,
                }),
            ),
            ([0x45, 0, 0, 30], Ok(Gue::V1)),
            ([0x60, 0, 0, 0], Ok(Gue::V1)),
            ([0x20, 4, 0, 0], Err(WireError::BadValue)),
            ([0x80, 4, 0, 0], Err(WireError::BadValue)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Gue::parse(&bytes), expected, "{bytes:02x?}");
            for end in 0..4 {
                let cut = Gue::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated));
            }
        }
    }
}
