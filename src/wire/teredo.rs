//! Teredo (RFC 4380 section 5.1.1): IPv6 in UDP, behind an authentication and an origin
//! indication that may be there.

use super::WireError;
use super::reader::Reader;

/// What stands before a Teredo packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teredo {
    /// Octets before the IPv6 header.
    pub len: usize,
}

impl Teredo {
    /// The port servers listen on.
    pub const PORT: u16 = 3544;

    /// The indications at the start of `bytes`, none being the usual case.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut indications = || {
            if let [0, 1, ..] = reader.rest() {
                reader.skip(2)?;
                let [id_len, value_len] = *reader.array()?;
                // Identifier, value, nonce, confirmation.
                reader.skip(usize::from(id_len) + usize::from(value_len) + 8 + 1)?;
            }
            if let [0, 0, ..] = reader.rest() {
                reader.skip(8)?;
            }
            Some(())
        };
        indications().ok_or(WireError::Truncated)?;
        match reader.rest().first() {
            Some(first) if first >> 4 == 6 => Ok(Self {
                len: bytes.len() - reader.left(),
            }),
            Some(_) => Err(WireError::BadValue),
            None => Err(WireError::Truncated),
        }
    }

    /// Whether a packet from or to `address` may be inside: of the Teredo prefix, or link-local as
    /// in router solicitations (RFC 4380 sections 2.6, 5.2.1).
    pub const fn is_likely_address(address: &[u8; 16]) -> bool {
        matches!(address, [0x20, 0x01, 0, 0, ..] | [0xfe, 0x80..=0xbf, ..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indications_in_every_mix() {
        let authentication = [0, 1, 2, 1, 7, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
        let origin = [0, 0, 1, 2, 3, 4, 5, 6];
        for (with_authentication, with_origin) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let mut bytes = Vec::new();
            if with_authentication {
                bytes.extend(authentication);
            }
            if with_origin {
                bytes.extend(origin);
            }
            let len = bytes.len();
            bytes.push(0x60);
            assert_eq!(Teredo::parse(&bytes), Ok(Teredo { len }));
            for end in 0..len {
                assert!(Teredo::parse(bytes.get(..end).unwrap()).is_err());
            }
        }
        assert_eq!(Teredo::parse(&[0x45]), Err(WireError::BadValue));
    }
}
