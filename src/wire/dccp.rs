//! The DCCP generic header (RFC 4340 section 5.1).

use super::WireError;

/// The generic header.
#[derive(Clone, Copy, Debug)]
pub struct Dccp<'a> {
    header: &'a [u8; 12],
}

impl<'a> Dccp<'a> {
    /// Octets of the generic header with short sequence numbers.
    pub const LEN: usize = 12;

    /// The header at the start of `bytes`.
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.first_chunk::<12>() {
            Some(header) if header[4] >= 3 => Ok(Self { header }),
            Some(_) => Err(WireError::BadLength),
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

    /// Octets before the application data, options included.
    pub const fn header_len(&self) -> usize {
        self.header[4] as usize * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        let mut bytes = [0x13, 0x88, 0, 9, 4, 0, 0, 0, 0, 0, 0, 1];
        let dccp = Dccp::parse(&bytes).unwrap();
        assert_eq!((dccp.source_port(), dccp.destination_port()), (5000, 9));
        assert_eq!(dccp.header_len(), 16);
        for end in 0..12 {
            assert!(Dccp::parse(bytes.get(..end).unwrap()).is_err());
        }
        bytes[4] = 2;
        assert_eq!(Dccp::parse(&bytes).err(), Some(WireError::BadLength));
    }
}
