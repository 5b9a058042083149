//! What Linux netfilter puts before a packet that it logs.
//!
//! <https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html>

use super::WireError;
use super::reader::Reader;

/// A logged packet: a header, then attributes, one of which is the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nflog {
    /// The address family, a Linux number.
    pub family: u8,
    /// Octets before the packet.
    pub len: usize,
    /// Octets of the packet; `None` where the bytes end without one.
    pub payload_len: Option<usize>,
}

impl Nflog {
    /// The address family of IPv4.
    pub const INET: u8 = 2;
    /// The address family of IPv6.
    pub const INET6: u8 = 10;

    /// The header at the start of `bytes`: version 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        /// There are 20 kinds, each at most once.
        const MAX_ATTRIBUTES: usize = 64;
        const PAYLOAD: u16 = 9;
        let mut reader = Reader::new(bytes);
        let [family, version, _, _] = *reader.array().ok_or(WireError::Truncated)?;
        if version != 0 {
            return Err(WireError::BadValue);
        }
        for _ in 0..MAX_ATTRIBUTES {
            if reader.is_empty() {
                let len = bytes.len();
                return Ok(Self {
                    family,
                    len,
                    payload_len: None,
                });
            }
            let octets = *reader.array::<4>().ok_or(WireError::Truncated)?;
            let (len, kind) = Self::attribute(octets);
            let value_len = usize::from(len).checked_sub(4);
            let value_len = value_len.ok_or(WireError::BadLength)?;
            if kind == PAYLOAD {
                return Ok(Self {
                    family,
                    len: bytes.len() - reader.left(),
                    payload_len: Some(value_len),
                });
            }
            // The last one may lack its padding.
            let padded = value_len.next_multiple_of(4);
            let there = reader.left();
            match reader.skip(padded.min(there)) {
                Some(()) if value_len <= there => {}
                _ => return Err(WireError::Truncated),
            }
        }
        Err(WireError::BadLength)
    }

    /// Length and kind, in the byte order of the machine that wrote them. Kinds are small, so one
    /// of the two octets is zero.
    const fn attribute([a, b, c, d]: [u8; 4]) -> (u16, u16) {
        if c == 0 && d != 0 {
            (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        } else {
            (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_among_attributes_of_both_orders() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Result<_, WireError>)] = &[
            (&[2, 0, 0, 0, 24, 0, 9, 0, 0x45], Ok((2, 8, Some(20)))),
            (&[10, 0, 0, 5, 0, 8, 0, 1, 0x86, 0xdd, 3, 0, 0, 44, 0, 9], Ok((10, 16, Some(40)))),
            // A prefix of five octets with its padding.
            (&[2, 0, 0, 0, 9, 0, 10, 0, b'd', b'r', b'o', b'p', 0, 0, 0, 0, 24, 0, 9, 0], Ok((2, 20, Some(20)))),
            (&[2, 0, 0, 0, 4, 0, 9, 0], Ok((2, 8, Some(0)))),
            (&[2, 0, 0, 0, 8, 0, 2, 0, 0, 0, 0, 1], Ok((2, 12, None))),
            (&[2, 0, 0, 0, 9, 0, 10, 0, 1, 2, 3, 4, 5], Ok((2, 13, None))),
            (&[2, 0, 0, 0], Ok((2, 4, None))),
            (&[2, 1, 0, 0, 24, 0, 9, 0], Err(WireError::BadValue)),
            (&[2, 0, 0, 0, 3, 0, 9, 0], Err(WireError::BadLength)),
            (&[2, 0, 0, 0, 0, 0, 0, 0], Err(WireError::BadLength)),
            (&[2, 0, 0, 0, 24, 0, 1, 0, 1, 2], Err(WireError::Truncated)),
            (&[2, 0, 0, 0, 24, 0, 9], Err(WireError::Truncated)),
            (&[2, 0, 0], Err(WireError::Truncated)),
        ];
        for (bytes, expected) in rows {
            let got = Nflog::parse(bytes);
            let got = got.map(|log| (log.family, log.len, log.payload_len));
            assert_eq!(got, *expected, "{bytes:02x?}");
        }
        let endless = [&[2, 0, 0, 0][..], &[4, 0, 2, 0].repeat(1000)].concat();
        assert_eq!(Nflog::parse(&endless), Err(WireError::BadLength));
    }
}
