//! What capture libraries put where a link has no header of its own: Linux "cooked" captures,
//! versions 1 and 2, and the address family of BSD loopback devices.
//!
//! Layouts: <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>,
//! <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html> and
//! <https://www.tcpdump.org/linktypes/LINKTYPE_NULL.html>.

use super::WireError;
use super::reader::Reader;

/// A Linux cooked header of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooked {
    /// The kind of device, a Linux `ARPHRD_` value.
    pub hardware: u16,
    /// An EtherType, or a Linux number below 0x600 for frames that have none.
    pub protocol: u16,
}

impl Cooked {
    /// Octets of a version 1 header.
    pub const V1_LEN: usize = 16;
    /// Octets of a version 2 header.
    pub const V2_LEN: usize = 20;

    /// `ARPHRD_IEEE80211`
    pub const IEEE80211: u16 = 801;
    /// `ARPHRD_IEEE80211_PRISM`
    pub const IEEE80211_PRISM: u16 = 802;
    /// `ARPHRD_IEEE80211_RADIOTAP`
    pub const IEEE80211_RADIOTAP: u16 = 803;
    /// `ETH_P_802_2`: an LLC header follows.
    pub const LLC: u16 = 0x0004;

    /// The version 1 header at the start of `bytes`.
    pub fn parse_v1(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(header) = bytes.first_chunk::<{ Self::V1_LEN }>() else {
            return Err(WireError::Truncated);
        };
        Ok(Self {
            hardware: u16::from_be_bytes([header[2], header[3]]),
            protocol: u16::from_be_bytes([header[14], header[15]]),
        })
    }

    /// The version 2 header at the start of `bytes`.
    pub fn parse_v2(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(header) = bytes.first_chunk::<{ Self::V2_LEN }>() else {
            return Err(WireError::Truncated);
        };
        Ok(Self {
            hardware: u16::from_be_bytes([header[8], header[9]]),
            protocol: u16::from_be_bytes([header[0], header[1]]),
        })
    }
}

/// The family a loopback frame starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
    /// Anything else.
    Other(u32),
}

impl Family {
    /// Octets of the header.
    pub const LEN: usize = 4;

    /// The family at the start of `bytes`, in the byte order of whatever machine wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let family = Reader::new(bytes).be32().ok_or(WireError::Truncated)?;
        // Families are small numbers: a set upper half means the other byte order.
        let family = if family > 0xffff {
            family.swap_bytes()
        } else {
            family
        };
        Ok(Self::of(family))
    }

    /// What the number means on any system.
    pub const fn of(number: u32) -> Self {
        match number {
            2 => Self::Inet,
            // Linux, Windows, NetBSD and OpenBSD, FreeBSD, Darwin each have their own number.
            10 | 23 | 24 | 28 | 30 => Self::Inet6,
            other => Self::Other(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cooked_headers_of_both_versions() {
        let v1 = [0, 4, 3, 4, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x86, 0xdd];
        let v2 = [8, 0, 0, 0, 0, 0, 0, 9, 0, 1, 4, 6, 1, 2, 3, 4, 5, 6, 0, 0];
        assert_eq!(
            Cooked::parse_v1(&v1),
            Ok(Cooked {
                hardware: 0x0304,
                protocol: 0x86dd
            })
        );
        assert_eq!(
            Cooked::parse_v2(&v2),
            Ok(Cooked {
                hardware: 1,
                protocol: 0x0800
            })
        );
        assert!(Cooked::parse_v1(v1.get(..15).unwrap()).is_err());
        assert!(Cooked::parse_v2(v2.get(..19).unwrap()).is_err());
    }

    #[test]
    fn families_in_both_orders() {
        for (number, family) in [
            (2u32, Family::Inet),
            (10, Family::Inet6),
            (23, Family::Inet6),
            (24, Family::Inet6),
            (28, Family::Inet6),
            (30, Family::Inet6),
            (7, Family::Other(7)),
        ] {
            assert_eq!(Family::parse(&number.to_be_bytes()), Ok(family));
            assert_eq!(Family::parse(&number.to_le_bytes()), Ok(family));
        }
        assert_eq!(Family::parse(&[2, 0, 0]), Err(WireError::Truncated));
    }
}
