//! The header of PPP multilink fragments (RFC 1990 section 3), those of a class (RFC 2686) included.

use super::WireError;
use super::ppp::Protocol;

/// The header of a fragment that is a whole packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multilink;

impl Multilink {
    /// The number of PPP's protocol field.
    pub const PROTOCOL: Protocol = Protocol(0x003d);

    /// Octets of the header with a long and a short sequence number: which of them is used was
    /// agreed on when the link was set up.
    pub const LENGTHS: [usize; 2] = [4, 2];

    /// The header at the start of `bytes`: both the beginning and the end of a packet.
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const BEGINNING_AND_END: u8 = 0xc0;
        match bytes.first_chunk() {
            Some(&[flags, _]) if flags & BEGINNING_AND_END == BEGINNING_AND_END => Ok(Self),
            Some(_) => Err(WireError::BadValue),
            None => Err(WireError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_packets_only() {
        for (bytes, expected) in [
            ([0xc0, 0], Ok(Multilink)),
            ([0xff, 7], Ok(Multilink)),
            ([0x80, 0], Err(WireError::BadValue)),
            ([0x40, 0], Err(WireError::BadValue)),
            ([0x00, 0], Err(WireError::BadValue)),
        ] {
            assert_eq!(Multilink::parse(&bytes), expected, "{bytes:02x?}");
            assert_eq!(Multilink::parse(&bytes[..1]), Err(WireError::Truncated));
        }
    }
}
