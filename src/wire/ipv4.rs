//! The IPv4 header (RFC 791).

use super::WireError;

/// An IPv4 header and the captured bytes of its payload.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a [u8; 20],
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Octets of a header without options.
    pub const LEN: usize = 20;

    /// The packet at the start of `bytes`; what lies behind its total length is left out.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let Some((header, rest)) = bytes.split_first_chunk::<20>() else {
            return Err(WireError::Truncated);
        };
        if header[0] >> 4 != 4 {
            return Err(WireError::BadValue);
        }
        let options_len = match usize::from(header[0] & 0x0f).checked_sub(5) {
            Some(words) => words * 4,
            None => return Err(WireError::BadLength),
        };
        let Some((options, rest)) = rest.split_at_checked(options_len) else {
            return Err(WireError::Truncated);
        };
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let payload = match total_len.checked_sub(Self::LEN + options_len) {
            Some(len) => rest.get(..len).unwrap_or(rest),
            None if total_len == 0 => rest,
            None => return Err(WireError::BadLength),
        };
        Ok(Self {
            header,
            options,
            payload,
        })
    }

    /// Octets of the header, options included.
    #[inline]
    pub const fn header_len(&self) -> usize {
        Self::LEN + self.options.len()
    }

    /// Octets of header and payload. `None` for the zero that network cards with segmentation
    /// offload leave there.
    #[inline]
    pub const fn total_len(&self) -> Option<usize> {
        match u16::from_be_bytes([self.header[2], self.header[3]]) {
            0 => None,
            len => Some(len as usize),
        }
    }

    /// What fragments of one datagram have in common.
    #[inline]
    pub const fn identification(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    /// Whether it is a part of a datagram only.
    #[inline]
    pub const fn is_fragment(&self) -> bool {
        u16::from_be_bytes([self.header[6], self.header[7]]) & 0x3fff != 0
    }

    /// Whether fragments behind this one follow.
    pub const fn more_fragments(&self) -> bool {
        self.header[6] & 0x20 != 0
    }

    /// Where the payload lies in its datagram, in octets.
    pub const fn fragment_offset(&self) -> usize {
        (u16::from_be_bytes([self.header[6], self.header[7]]) & 0x1fff) as usize * 8
    }

    /// The protocol of the payload.
    #[inline]
    pub const fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// Source address.
    #[inline]
    pub const fn source(&self) -> [u8; 4] {
        let [.., a, b, c, d, _, _, _, _] = *self.header;
        [a, b, c, d]
    }

    /// Destination address.
    #[inline]
    pub const fn destination(&self) -> [u8; 4] {
        let [.., a, b, c, d] = *self.header;
        [a, b, c, d]
    }

    /// The header without options.
    pub const fn fixed_header(&self) -> &'a [u8; 20] {
        self.header
    }

    /// The options, with padding.
    pub const fn options(&self) -> &'a [u8] {
        self.options
    }

    /// Whether the header checksum is wrong. Zero is none: network cards that are to fill it in
    /// leave it so in what the host itself captures.
    #[cold]
    pub fn is_damaged(&self) -> bool {
        self.has_checksum() && !self.adds_up()
    }

    /// Whether the header checksum is there and right.
    pub fn has_right_checksum(&self) -> bool {
        self.has_checksum() && self.adds_up()
    }

    /// Whether the header has a checksum.
    #[inline]
    pub const fn has_checksum(&self) -> bool {
        u16::from_be_bytes([self.header[10], self.header[11]]) != 0
    }

    /// Whether the sum over the header's words is what the checksum makes it (RFC 1071).
    fn adds_up(&self) -> bool {
        let words = |octets: &[u8]| -> u32 {
            let (words, _) = octets.as_chunks::<2>();
            words
                .iter()
                .map(|&word| u32::from(u16::from_be_bytes(word)))
                .sum()
        };
        let sum = words(self.header) + words(self.options);
        let folded = (sum & 0xffff) + (sum >> 16);
        (folded & 0xffff) + (folded >> 16) == 0xffff
    }

    /// What was captured of the payload.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 24 octets of header, 4 of payload, 3 of padding.
    const PACKET: [u8; 31] = [
        0x46, 0, 0, 28, 0x12, 0x34, 0x20, 0x02, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x94, 4, 0,
        0, 1, 2, 3, 4, 0xee, 0xee, 0xee,
    ];

    #[test]
    fn reads_every_field() {
        let ip = Ipv4::parse(&PACKET).unwrap();
        assert_eq!((ip.header_len(), ip.total_len()), (24, Some(28)));
        assert_eq!((ip.identification(), ip.protocol()), (0x1234, 17));
        assert!(ip.is_fragment() && ip.more_fragments());
        assert_eq!(ip.fragment_offset(), 16);
        assert_eq!(ip.source(), [10, 0, 0, 1]);
        assert_eq!(ip.destination(), [10, 0, 0, 2]);
        assert_eq!(ip.options(), [0x94, 4, 0, 0]);
        assert_eq!(ip.payload(), [1, 2, 3, 4], "padding is no payload");
    }

    #[test]
    fn exists_from_its_whole_header_on() {
        for end in 0..PACKET.len() {
            let got = Ipv4::parse(PACKET.get(..end).unwrap());
            if end < 24 {
                assert_eq!(got.err(), Some(WireError::Truncated), "{end}");
            } else {
                assert_eq!(got.unwrap().payload().len(), (end - 24).min(4), "{end}");
            }
        }
    }

    #[test]
    fn lying_lengths() {
        // (first octet, total length) -> payload or error
        let rows: [(u8, u16, Result<usize, WireError>); 7] = [
            (0x46, 0, Ok(7)),
            (0x46, 24, Ok(0)),
            (0x46, 23, Err(WireError::BadLength)),
            (0x46, 9000, Ok(7)),
            (0x44, 28, Err(WireError::BadLength)),
            (0x4f, 60, Err(WireError::Truncated)),
            (0x66, 28, Err(WireError::BadValue)),
        ];
        for (first, total, expected) in rows {
            let mut packet = PACKET;
            packet[0] = first;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            let got = Ipv4::parse(&packet).map(|ip| ip.payload().len());
            assert_eq!(got, expected, "{first:02x} {total}");
        }
    }
    #[test]
    fn header_checksums() {
        let right = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8,
            0, 0xc7,
        ];
        // (octet changed, its value) -> damaged
        let rows = [
            (11, 0x61, false),
            (11, 0x62, true),
            (8, 0x3f, true),
            (3, 0xff, true),
        ];
        for (at, value, expected) in rows {
            let mut header = right;
            *header.get_mut(at).unwrap() = value;
            let ip = Ipv4::parse(&header).unwrap();
            assert_eq!(ip.is_damaged(), expected, "{at}");
            assert_eq!(ip.has_right_checksum(), !expected, "{at}");
        }
        let mut unset = right;
        unset[10..12].fill(0);
        let ip = Ipv4::parse(&unset).unwrap();
        assert!(
            !ip.is_damaged() && !ip.has_right_checksum(),
            "to be filled in"
        );
    }
}
