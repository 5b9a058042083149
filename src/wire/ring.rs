//! Frames of rings: FDDI (ISO/IEC 9314-2) and token ring (IEEE 802.5), as far as they carry LLC.

use super::WireError;

/// A frame before its LLC header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFrame {
    /// Octets before the LLC header.
    pub len: usize,
    /// Whether one follows: else it is a frame of the ring's own management.
    pub is_llc: bool,
}

impl RingFrame {
    /// The FDDI header at the start of `bytes`: frame control, two addresses.
    pub fn parse_fddi(bytes: &[u8]) -> Result<Self, WireError> {
        let control = *bytes.first().ok_or(WireError::Truncated)?;
        Ok(Self {
            len: 13,
            is_llc: control & 0x30 == 0x10,
        })
    }

    /// The token ring header at the start of `bytes`: access and frame control, two addresses, and
    /// the route where the sender gives one.
    pub fn parse_token_ring(bytes: &[u8]) -> Result<Self, WireError> {
        const LEN: usize = 14;
        const HAS_ROUTE: u8 = 0x80;
        let Some(&[_, control, _, _, _, _, _, _, source, ..]) = bytes.first_chunk::<LEN>() else {
            return Err(WireError::Truncated);
        };
        let route = if source & HAS_ROUTE == 0 {
            0
        } else {
            let first = bytes.get(LEN).ok_or(WireError::Truncated)?;
            match usize::from(first & 0x1f) {
                len if len >= 2 && len % 2 == 0 => len,
                _ => return Err(WireError::BadLength),
            }
        };
        Ok(Self {
            len: LEN + route,
            is_llc: control & 0xc0 == 0x40,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fddi() {
        let parse = |bytes: &[u8]| RingFrame::parse_fddi(bytes).map(|frame| frame.is_llc);
        assert_eq!(parse(&[0x50]), Ok(true));
        assert_eq!(parse(&[0xd7]), Ok(true));
        assert_eq!(parse(&[0x41]), Ok(false), "station management");
        assert_eq!(parse(&[0xc2]), Ok(false), "claim");
        assert_eq!(parse(&[]), Err(WireError::Truncated));
    }

    #[test]
    fn token_ring_with_and_without_a_route() {
        let frame = |control, source, route: &[u8]| {
            let mut bytes = vec![0x10, control, 2, 2, 2, 2, 2, 2, source, 4, 4, 4, 4, 4];
            bytes.extend(route);
            RingFrame::parse_token_ring(&bytes).map(|frame| (frame.len, frame.is_llc))
        };
        assert_eq!(frame(0x40, 2, &[]), Ok((14, true)));
        assert_eq!(
            frame(0x40, 0x82, &[0xc8, 0x30, 1, 2, 3, 4, 5, 0]),
            Ok((22, true))
        );
        assert_eq!(frame(0x00, 2, &[]), Ok((14, false)));
        assert_eq!(frame(0x40, 0x82, &[]), Err(WireError::Truncated));
        for odd in [0, 1, 7] {
            assert_eq!(frame(0x40, 0x82, &[odd]), Err(WireError::BadLength));
        }
        assert!(RingFrame::parse_token_ring(&[0x10; 13]).is_err());
    }
}
