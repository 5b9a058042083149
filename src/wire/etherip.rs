//! Ethernet in IP (RFC 3378), and the form with a tunnel identifier that MikroTik uses over IPv6.

use super::WireError;

/// The two octets before the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtherIp {
    /// Bits that RFC 3378 keeps in reserve, and MikroTik the tunnel's identifier in.
    pub id: u16,
}

impl EtherIp {
    /// Octets of the header.
    pub const LEN: usize = 2;

    /// The header at the start of `bytes`: version 3, also in the other nibble, where early
    /// implementations of BSD systems put it.
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        match bytes.first_chunk() {
            Some(&[first, second]) if first >> 4 == 3 => Ok(Self {
                id: u16::from_be_bytes([first & 0x0f, second]),
            }),
            Some([0x03, 0]) => Ok(Self { id: 0 }),
            Some(_) => Err(WireError::BadValue),
            None => Err(WireError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let rows = [
            ([0x30, 0], Ok(0)),
            ([0x31, 7], Ok(0x107)),
            ([0x03, 0], Ok(0)),
            ([0x03, 1], Err(WireError::BadValue)),
            ([0x20, 0], Err(WireError::BadValue)),
        ];
        for (bytes, expected) in rows {
            let got = EtherIp::parse(&bytes).map(|header| header.id);
            assert_eq!(got, expected, "{bytes:02x?}");
        }
        for cut in [&[][..], &[0x30]] {
            assert_eq!(EtherIp::parse(cut), Err(WireError::Truncated));
        }
    }
}
