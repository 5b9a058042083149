//! GENEVE (RFC 8926).

use super::WireError;
use super::ethernet::EtherType;

/// A GENEVE header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geneve {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// What follows; [`EtherType::BRIDGED`] for Ethernet.
    pub protocol: EtherType,
    /// Octets of the header, options included.
    pub len: usize,
}

impl Geneve {
    /// The port IANA assigned.
    pub const PORT: u16 = 6081;

    /// The header at the start of `bytes`: version 0, a data packet. Reserved bits are ignored
    /// (section 3.4).
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const CONTROL: u8 = 0x80;
        let Some(&[first, flags, high, low, vni_0, vni_1, vni_2, _]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        if first & 0xc0 != 0 || flags & CONTROL != 0 {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            vni: u32::from_be_bytes([0, vni_0, vni_1, vni_2]),
            protocol: EtherType(u16::from_be_bytes([high, low])),
            len: 8 + (first & 0x3f) as usize * 4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_count_in_words() {
        let header = [0x02, 0x40, 0x65, 0x58, 0, 1, 2, 0];
        assert_eq!(
            Geneve::parse(&header),
            Ok(Geneve {
                vni: 0x102,
                protocol: EtherType::BRIDGED,
                len: 16
            })
        );
        for (at, value) in [(0, 0x42), (1, 0x80)] {
            let mut bad = header;
            *bad.get_mut(at).unwrap() = value;
            assert_eq!(Geneve::parse(&bad), Err(WireError::BadValue));
        }
        for (at, value) in [(1, 0x7f), (7, 0xff)] {
            let mut odd = header;
            *odd.get_mut(at).unwrap() = value;
            assert_eq!(Geneve::parse(&odd), Geneve::parse(&header), "in reserve");
        }
        assert_eq!(Geneve::parse(&header[..7]), Err(WireError::Truncated));
    }
}
