//! The TCP header (RFC 9293 section 3.1).

use super::WireError;

/// The fixed part of a TCP header; its options may have been cut from the capture.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    header: &'a [u8; 20],
}

impl<'a> Tcp<'a> {
    /// Octets of a header without options.
    pub const LEN: usize = 20;

    /// The header at the start of `bytes`.
    #[inline]
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.first_chunk::<20>() {
            Some(header) if header[12] >> 4 >= 5 => Ok(Self { header }),
            Some(_) => Err(WireError::BadLength),
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

    /// Number of the first octet of the payload, or of the SYN.
    #[inline]
    pub const fn sequence(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Number of the octet expected next.
    #[inline]
    pub const fn acknowledgement(&self) -> u32 {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Octets of the header by its data offset, options included: 20 to 60.
    #[inline]
    pub const fn header_len(&self) -> usize {
        (self.header[12] >> 4) as usize * 4
    }

    /// Whether the control bits can be a sender's: some are set, no connection begins and ends at
    /// once, and the bits in reserve are zero (RFC 9293 section 3.1).
    pub const fn has_possible_flags(&self) -> bool {
        const FIN: u8 = 0x01;
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        const RESERVED: u8 = 0x0e;
        let flags = self.header[13];
        let begins = flags & SYN != 0;
        let ends = flags & (FIN | RST) != 0;
        self.header[12] & RESERVED == 0 && !(begins && ends) && flags & (SYN | RST | ACK) != 0
    }

    /// The control bits, FIN lowest.
    #[inline]
    pub const fn flags(&self) -> u8 {
        self.header[13]
    }

    /// Octets that the sender is ready to take, before the scale of RFC 7323.
    #[inline]
    pub const fn window(&self) -> u16 {
        u16::from_be_bytes([self.header[14], self.header[15]])
    }
}

/// No window is scaled by more (RFC 7323 section 2.3).
pub const MAX_SCALE: u8 = 14;

/// The window scale among the `options` of a SYN segment (RFC 7323 section 2.2).
pub fn window_scale(options: &[u8]) -> Option<u8> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    let mut rest = options;
    loop {
        rest = match *rest {
            [WINDOW_SCALE, 3, scale, ..] => return Some(scale.min(MAX_SCALE)),
            [] | [END, ..] => return None,
            [NO_OPERATION, ref rest @ ..] => rest,
            // An option is at least its kind and its length.
            [_, length, ..] if length >= 2 => rest.get(usize::from(length)..)?,
            [..] => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        let mut bytes = [
            0x01, 0xbb, 0xc0, 0x00, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 0x18, 0xfa, 0xf0, 0, 0, 0, 0,
        ];
        let tcp = Tcp::parse(&bytes).unwrap();
        assert_eq!((tcp.source_port(), tcp.destination_port()), (443, 0xc000));
        assert_eq!(tcp.sequence(), 0x0102_0304);
        assert_eq!(tcp.acknowledgement(), 0x0506_0708);
        assert_eq!((tcp.header_len(), tcp.flags()), (32, 0x18));
        assert_eq!(tcp.window(), 0xfaf0);
        for end in 0..20 {
            assert!(Tcp::parse(bytes.get(..end).unwrap()).is_err(), "{end}");
        }
        bytes[12] = 0x40;
        assert_eq!(Tcp::parse(&bytes).err(), Some(WireError::BadLength));
    }
    #[test]
    fn finds_the_window_scale() {
        for (options, scale) in [
            (&[][..], None),
            (&[3, 3, 7], Some(7)),
            (&[2, 4, 5, 0xb4, 1, 3, 3, 0], Some(0)),
            (&[3, 3, 200], Some(14)),
            // Cut, ended before, and lengths that lie.
            (&[3, 3], None),
            (&[3], None),
            (&[0, 3, 3, 7], None),
            (&[3, 4, 7, 7], None),
            (&[2, 0, 3, 3, 7], None),
            (&[2, 1, 3, 3, 7], None),
            (&[2, 200, 3, 3, 7], None),
        ] {
            assert_eq!(window_scale(options), scale, "{options:?}");
        }
    }
}
