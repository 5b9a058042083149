//! The preamble of Ethernet, where a capture device keeps it (IEEE 802.3 clause 3.2.1, and clause
//! 99.3 for frames that others may interrupt).

use super::WireError;

/// A preamble, and the octet that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// Octets up to the first address.
    pub len: usize,
    /// Whether a frame starts here: else one that was interrupted goes on.
    pub starts_frame: bool,
}

impl Preamble {
    /// The preamble at the start of `bytes`. A device may have lost some of it, or all but its end.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const MAX_LEN: usize = 15;
        let filled = bytes
            .iter()
            .take(MAX_LEN)
            .take_while(|&&octet| octet == 0x55);
        let filled = filled.count();
        let starts_frame = match bytes.get(filled) {
            // A frame, an express frame; the first part of each of four frames in turn.
            Some(0xd5 | 0xe6 | 0x4c | 0x7f | 0xb3) => true,
            Some(0x61 | 0x52 | 0x9e | 0x2a) => false,
            Some(_) => return Err(WireError::BadValue),
            None => return Err(WireError::Truncated),
        };
        Ok(Self {
            len: filled + 1,
            starts_frame,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_where_the_frame_starts() {
        let row = |filled: usize, end: &[u8]| {
            let bytes = [&vec![0x55; filled][..], end].concat();
            Preamble::parse(&bytes).map(|preamble| (preamble.len, preamble.starts_frame))
        };
        assert_eq!(row(7, &[0xd5, 2]), Ok((8, true)));
        assert_eq!(row(5, &[0xd5, 2]), Ok((6, true)));
        assert_eq!(row(7, &[0xe6, 2]), Ok((8, true)));
        assert_eq!(row(6, &[0x61, 2]), Ok((7, false)));
        assert_eq!(row(7, &[0xaa, 2]), Err(WireError::BadValue));
        assert_eq!(row(40, &[0xd5]), Err(WireError::BadValue));
        assert_eq!(row(7, &[]), Err(WireError::Truncated));
    }
}
