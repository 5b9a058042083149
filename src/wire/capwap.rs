//! The CAPWAP header of the data channel (RFC 5415 section 4.3).

use super::WireError;

/// A CAPWAP header before a whole frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capwap {
    /// Octets of the header, radio address and wireless information included.
    pub len: usize,
    /// The radio of the access point.
    pub radio: u8,
    /// Whether the frame is in its wireless form (IEEE 802.11), else Ethernet.
    pub is_native: bool,
}

impl Capwap {
    /// The port of the data channel.
    pub const PORT: u16 = 5247;

    /// The header at the start of `bytes`: version 0, not encrypted, no fragment, no keep-alive.
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const IEEE802_11: u32 = 1;
        const NATIVE: u32 = 0x100;
        const FRAGMENT: u32 = 0x080;
        const KEEP_ALIVE: u32 = 0x008;
        let Some(&[a, b, c, d, _, _, offset_high, offset_low]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        // Preamble 8 bits, header length 5, radio 5, binding 5, flags 9.
        let word = u32::from_be_bytes([a, b, c, d]);
        let len = (word >> 19 & 0x1f) as usize * 4;
        let binding = word >> 9 & 0x1f;
        let is_native = word & NATIVE != 0;
        let offset = u16::from_be_bytes([offset_high, offset_low]) >> 3;
        if word >> 24 != 0 || word & (FRAGMENT | KEEP_ALIVE) != 0 || offset != 0 {
            return Err(WireError::BadValue);
        }
        if is_native && binding != IEEE802_11 {
            return Err(WireError::BadValue);
        }
        if len < 8 {
            return Err(WireError::BadLength);
        }
        Ok(Self {
            len,
            radio: (word >> 14 & 0x1f) as u8,
            is_native,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Header length in words, radio, binding, flags.
    fn header(words: u32, radio: u32, binding: u32, flags: u32) -> Vec<u8> {
        let word = words << 19 | radio << 14 | binding << 9 | flags;
        let mut bytes = word.to_be_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn whole_frames_in_clear_only() {
        let rows = [
            (header(4, 3, 1, 0x100), Some((16, true))),
            (header(2, 3, 1, 0), Some((8, false))),
            (header(2, 3, 2, 0x100), None), // native frames of another radio technology
            (header(2, 3, 1, 0x080), None), // fragment
            (header(2, 3, 1, 0x008), None), // keep-alive
            (header(1, 3, 1, 0), None),
        ];
        for (bytes, expected) in rows {
            let got = Capwap::parse(&bytes).ok();
            assert_eq!(got.map(|view| (view.len, view.is_native)), expected);
            assert!(got.is_none_or(|view| view.radio == 3));
            assert!(Capwap::parse(bytes.get(..7).unwrap()).is_err());
        }
        let mut encrypted = header(2, 3, 1, 0);
        encrypted.splice(..1, [1]);
        assert!(Capwap::parse(&encrypted).is_err());
    }
}
