//! InfiniBand packets (InfiniBand Architecture Specification, volume 1, chapters 7 to 9), as far as
//! they lead to the encapsulation header of IP over InfiniBand (RFC 4391 section 6).

use super::WireError;
use super::ethernet::EtherType;
use super::reader::Reader;

/// A header, and the type of the packet behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipoib {
    /// Octets up to the packet.
    pub len: usize,
    /// What it is; `None` where no encapsulation header is to be expected.
    pub ether_type: Option<EtherType>,
}

/// Type and reserved octets.
const ENCAPSULATION: usize = 4;

impl Ipoib {
    /// Octets that capture devices keep before the encapsulation header: those of a global route
    /// header (its place alone, where there was none), or of the address of a Linux interface
    /// (RFC 4391 section 9.1.1), or nothing.
    const BEFORE: [usize; 3] = [40, 20, 0];

    /// The encapsulation header of a frame that an interface for IP over InfiniBand gave.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let is_likely = |before: &usize| {
            matches!(
                bytes.get(*before..).unwrap_or_default(),
                [0x08, 0x00, _, _, 0x40..=0x4f, ..] | [0x86, 0xdd, _, _, 0x60..=0x6f, ..]
            )
        };
        let before = Self::BEFORE.into_iter().find(is_likely);
        Self::behind(bytes, before.unwrap_or(Self::BEFORE[0]))
    }

    fn behind(bytes: &[u8], before: usize) -> Result<Self, WireError> {
        let rest = bytes.get(before..).ok_or(WireError::Truncated)?;
        let mut reader = Reader::new(rest);
        let mut read = || Some((reader.be16()?, reader.be16()?));
        let (ether_type, _reserved) = read().ok_or(WireError::Truncated)?;
        Ok(Self {
            len: before + ENCAPSULATION,
            ether_type: Some(EtherType(ether_type)),
        })
    }

    /// The packet at the start of `bytes` from its local route header on.
    pub fn parse_packet(bytes: &[u8]) -> Result<Self, WireError> {
        const LOCAL_ROUTE: usize = 8;
        const GLOBAL_ROUTE: usize = 40;
        const BASE_TRANSPORT: usize = 12;
        const DATAGRAM: usize = 8;
        /// Unreliable datagram: send only, the same with immediate data.
        const SEND: u8 = 0x64;
        const SEND_IMMEDIATE: u8 = 0x65;
        let Some(&[_, first, ..]) = bytes.first_chunk::<LOCAL_ROUTE>() else {
            return Err(WireError::Truncated);
        };
        let transport = match first & 0x03 {
            2 => LOCAL_ROUTE,
            3 => LOCAL_ROUTE + GLOBAL_ROUTE,
            _ => {
                return Ok(Self {
                    len: LOCAL_ROUTE,
                    ether_type: None,
                });
            }
        };
        let payload = match *bytes.get(transport).ok_or(WireError::Truncated)? {
            SEND => transport + BASE_TRANSPORT + DATAGRAM,
            SEND_IMMEDIATE => transport + BASE_TRANSPORT + DATAGRAM + 4,
            _ => {
                return Ok(Self {
                    len: transport,
                    ether_type: None,
                });
            }
        };
        Self::behind(bytes, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encapsulation_with_and_without_an_address() {
        let ok = |len, ether_type| Ok(Ipoib { len, ether_type });
        for before in [40, 20, 0] {
            let bytes = [&vec![7; before][..], &[0x86, 0xdd, 0, 0, 0x60]].concat();
            assert_eq!(Ipoib::parse(&bytes), ok(before + 4, Some(EtherType::IPV6)));
        }
        let other = [&[7; 40][..], &[8, 6, 0, 0, 0]].concat();
        assert_eq!(Ipoib::parse(&other), ok(44, Some(EtherType::ARP)));
        assert_eq!(
            Ipoib::parse(other.get(..43).unwrap()),
            Err(WireError::Truncated)
        );
        assert_eq!(Ipoib::parse(&[]), Err(WireError::Truncated));
    }

    #[test]
    fn packets_from_their_local_route() {
        let packet = |next: u8, global: usize, opcode: u8| {
            let mut bytes = vec![0, next, 0, 1, 0, 20, 0, 2];
            bytes.extend(vec![0x60; global]);
            bytes.push(opcode);
            bytes.extend([0; 19]);
            bytes.extend([8, 0, 0, 0]);
            bytes
        };
        let ok = |len, ether_type| Ok(Ipoib { len, ether_type });
        let local = packet(2, 0, 0x64);
        let ipv4 = Some(EtherType::IPV4);
        assert_eq!(Ipoib::parse_packet(&local), ok(32, ipv4));
        assert_eq!(Ipoib::parse_packet(&packet(3, 40, 0x64)), ok(72, ipv4));
        assert_eq!(Ipoib::parse_packet(&packet(2, 0, 0x04)), ok(8, None));
        assert_eq!(Ipoib::parse_packet(&packet(0, 0, 0x64)), ok(8, None));
        for end in 0..local.len() {
            let cut = Ipoib::parse_packet(local.get(..end).unwrap());
            assert_eq!(cut, Err(WireError::Truncated), "{end}");
        }
    }
}
