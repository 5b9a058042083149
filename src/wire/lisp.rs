//! The data header of LISP (RFC 9300 section 5.3) and its generic protocol extension (RFC 9305).

use super::WireError;
use super::ethernet::EtherType;

/// The eight octets before the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lisp {
    /// The instance, 24 bits, where the header has one.
    pub instance: Option<u32>,
    /// What follows, where the header says; else a packet of IP.
    pub next: Option<u8>,
}

impl Lisp {
    /// Octets of the header.
    pub const LEN: usize = 8;
    /// The port of packets of IP.
    pub const PORT: u16 = 4341;
    /// The port of Ethernet frames (draft-smith-lisp-layer2), which is also VXLAN's old one.
    pub const LAYER_2_PORT: u16 = 8472;

    /// The header at the start of `bytes`. What is encrypted (RFC 8061) is a bad value, as is a map
    /// version (V) where a nonce is (N).
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const NONCE: u8 = 0x80;
        const MAP_VERSION: u8 = 0x10;
        const INSTANCE: u8 = 0x08;
        const NEXT: u8 = 0x04;
        const KEY: u8 = 0x03;
        let Some(&[flags, _, _, next, a, b, c, _]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        if flags & KEY != 0 || flags & (NONCE | MAP_VERSION) == NONCE | MAP_VERSION {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            instance: if flags & INSTANCE == 0 {
                None
            } else {
                Some(u32::from_be_bytes([0, a, b, c]))
            },
            next: if flags & NEXT == 0 { None } else { Some(next) },
        })
    }

    /// The type of what [`Self::next`] says; `None` where it says nothing that is known.
    pub fn ether_type(&self) -> Option<EtherType> {
        Some(match self.next? {
            1 => EtherType::IPV4,
            2 => EtherType::IPV6,
            3 => EtherType::BRIDGED,
            4 => EtherType::NSH,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_which_fields_there_are() {
        #[rustfmt::skip]
        let rows = [
            ([0x00, 0, 0, 0, 0, 0, 0, 0], Ok((None, None))),
            ([0xc0, 1, 2, 3, 0, 0, 0, 1], Ok((None, None))),
            ([0x08, 0, 0, 0, 0, 1, 2, 1], Ok((Some(0x102), None))),
            ([0x0c, 0, 0, 3, 0, 1, 2, 0], Ok((Some(0x102), Some(EtherType::BRIDGED)))),
            ([0x04, 0, 0, 9, 0, 0, 0, 0], Ok((None, None))),
            ([0x50, 0, 0, 0, 0, 0, 0, 0], Ok((None, None))),
            ([0x90, 0, 0, 0, 0, 0, 0, 0], Err(WireError::BadValue)),
            ([0x01, 0, 0, 0, 0, 0, 0, 0], Err(WireError::BadValue)),
        ];
        for (bytes, expected) in rows {
            let got = Lisp::parse(&bytes).map(|header| (header.instance, header.ether_type()));
            assert_eq!(got, expected, "{bytes:02x?}");
            for end in 0..8 {
                let cut = Lisp::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated));
            }
        }
    }
}
