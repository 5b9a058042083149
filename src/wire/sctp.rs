//! The SCTP common header (RFC 9260 section 3.1); chunks follow it.

use super::WireError;

/// The common header.
#[derive(Clone, Copy, Debug)]
pub struct Sctp<'a> {
    header: &'a [u8; 12],
}

impl<'a> Sctp<'a> {
    /// Octets of the common header.
    pub const LEN: usize = 12;

    /// The header at the start of `bytes`.
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.first_chunk() {
            Some(header) => Ok(Self { header }),
            None => Err(WireError::Truncated),
        }
    }

    /// Source port.
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// The verification tag of the association.
    pub const fn verification_tag(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        let bytes = [0x0b, 0x59, 0x0b, 0x5a, 1, 2, 3, 4, 0, 0, 0, 0];
        let sctp = Sctp::parse(&bytes).unwrap();
        assert_eq!((sctp.source_port(), sctp.destination_port()), (2905, 2906));
        assert_eq!(sctp.verification_tag(), 0x0102_0304);
        for end in 0..12 {
            assert!(Sctp::parse(bytes.get(..end).unwrap()).is_err());
        }
    }
}
