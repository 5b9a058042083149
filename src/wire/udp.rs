//! The UDP header (RFC 768). UDP-Lite (RFC 3828) has the same form, with a checksum coverage in
//! place of the length.

use super::WireError;

/// A UDP or UDP-Lite header.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; 8],
}

impl<'a> Udp<'a> {
    /// Octets of the header.
    pub const LEN: usize = 8;

    /// The header at the start of `bytes`.
    #[inline]
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.first_chunk() {
            Some(header) => Ok(Self { header }),
            None => Err(WireError::Truncated),
        }
    }

    /// Source port.
    #[inline]
    pub const fn source_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    #[inline]
    pub const fn destination_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Octets of the payload by the header's length. `None` where that is zero: a jumbogram
    /// (RFC 2675) or segmentation offload.
    #[inline]
    pub const fn payload_len(&self) -> Result<Option<usize>, WireError> {
        match u16::from_be_bytes([self.header[4], self.header[5]]) {
            0 => Ok(None),
            1..8 => Err(WireError::BadLength),
            len => Ok(Some(len as usize - Self::LEN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        let bytes = [0, 53, 0xc0, 0, 0, 12, 0, 0];
        let udp = Udp::parse(&bytes).unwrap();
        assert_eq!((udp.source_port(), udp.destination_port()), (53, 0xc000));
        for (len, expected) in [
            (12, Ok(Some(4))),
            (8, Ok(Some(0))),
            (0, Ok(None)),
            (7, Err(WireError::BadLength)),
        ] {
            let bytes = [0, 53, 0xc0, 0, 0, len, 0, 0];
            assert_eq!(Udp::parse(&bytes).unwrap().payload_len(), expected);
        }
        for end in 0..8 {
            assert!(Udp::parse(bytes.get(..end).unwrap()).is_err());
        }
    }
}
