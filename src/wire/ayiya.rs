//! AYIYA (draft-massar-v6ops-ayiya section 3): packets of IP behind an identity and a signature.

use super::WireError;
use super::reader::Reader;

/// An AYIYA header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ayiya {
    /// The IP protocol number of what follows.
    pub next: u8,
    /// Octets of the header, identity and signature included.
    pub len: usize,
}

impl Ayiya {
    /// The port IANA assigned.
    pub const PORT: u16 = 5072;

    /// The header at the start of `bytes`, of a packet that is forwarded (operation 1).
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const FORWARD: u8 = 1;
        let mut reader = Reader::new(bytes);
        let [identity, signature, operation, next] = *reader.array().ok_or(WireError::Truncated)?;
        if operation & 0x0f != FORWARD {
            return Err(WireError::BadValue);
        }
        // Two to the power of the identity's length; words of the signature; before both, a time.
        let len = 8 + (1_usize << (identity >> 4)) + usize::from(signature >> 4) * 4;
        if bytes.len() < len {
            return Err(WireError::Truncated);
        }
        Ok(Self { next, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_and_signature_have_any_length() {
        for (first, second, len) in [(0x44, 0x52, 44), (0x24, 0x02, 12), (0x04, 0xf2, 69)] {
            let mut bytes = vec![first, second, 0x11, 41];
            bytes.resize(len, 7);
            assert_eq!(Ayiya::parse(&bytes), Ok(Ayiya { next: 41, len }));
            for end in 0..len {
                let cut = Ayiya::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated), "{end}");
            }
        }
        let heartbeat = [0x44, 0x52, 0x10, 59];
        assert_eq!(Ayiya::parse(&heartbeat), Err(WireError::BadValue));
        let longest = [0xf4, 0xf2, 0x11, 41];
        assert_eq!(Ayiya::parse(&longest), Err(WireError::Truncated));
    }
}
