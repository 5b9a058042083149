//! What switches put between the addresses of an Ethernet frame and the type of what it carries:
//! tags that have an EtherType of their own, the type that was there before behind them.
//!
//! VN-Tag is Cisco's forerunner of the E-TAG of IEEE 802.1BR; HSR is IEC 62439-3. Cisco MetaData
//! (draft-smith-kandula-sxp), TTag and FabricPath, Arista's header and Broadcom's and Marvell's
//! tags are laid out in Wireshark (`packet-cisco-metadata.c`, `packet-cisco-fp-mim.c`,
//! `packet-avsp.c`) and in Linux (`net/dsa/tag_brcm.c`, `tag_dsa.c`); TRILL is RFC 6325.

use super::WireError;
use super::ethernet::EtherType;
use super::reader::Reader;

/// A tag, its own EtherType before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchTag {
    /// Octets after the tag's EtherType.
    pub len: usize,
    /// What follows these.
    pub next: Next,
}

/// What stands behind a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The type of the frame, and what it carries.
    Type,
    /// A frame with addresses of its own.
    Frame,
    /// What a type that stood before the tag's other fields says.
    Body(EtherType),
}

impl SwitchTag {
    /// The tag of this type at the start of `bytes`. `None` for a type that is no tag's.
    pub fn parse(ether_type: EtherType, bytes: &[u8]) -> Option<Result<Self, WireError>> {
        Some(match ether_type {
            EtherType::VN_TAG | EtherType::HSR | EtherType::BROADCOM => Ok(Self::typed(4)),
            EtherType::E_TAG | EtherType::TTAG | EtherType::EDSA => Ok(Self::typed(6)),
            EtherType::FABRIC_PATH => Ok(Self::before_frame(2)),
            EtherType::METADATA => Self::metadata(bytes),
            EtherType::ARISTA => Self::arista(bytes),
            EtherType::TRILL => Self::trill(bytes),
            _ => return None,
        })
    }

    const fn typed(len: usize) -> Self {
        Self {
            len,
            next: Next::Type,
        }
    }

    const fn before_frame(len: usize) -> Self {
        Self {
            len,
            next: Next::Frame,
        }
    }

    /// Version, length in words, options. In GRE the type of what follows comes first.
    fn metadata(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(&[version, words, next_version, next_words]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        if version == 1 && words > 0 {
            return Ok(Self::typed(2 + 4 * usize::from(words)));
        }
        if next_version != 1 {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            len: 4 + 4 * usize::from(next_words),
            next: Next::Body(EtherType(u16::from_be_bytes([version, words]))),
        })
    }

    /// Subtype, version, and by these a time stamp or the place of a tap.
    fn arista(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut read = || Some((reader.be16()?, reader.be16()?));
        let (subtype, version) = read().ok_or(WireError::Truncated)?;
        Ok(match (subtype, version & 0xff) {
            // The upper octet says which time: TAI or UTC.
            (1, 0x10 | 0x11) => Self::typed(4 + 8),
            (1, 0x20 | 0x21) => Self::typed(4 + 6),
            (7, 1) => Self::before_frame(4 + 8),
            (8, 1) => Self::before_frame(4 + 4),
            (9, 0x11) => Self::before_frame(4 + 16),
            _ => return Err(WireError::BadValue),
        })
    }

    /// Section 3 of RFC 6325: version 0, length of the options in words, hops, two nicknames.
    fn trill(bytes: &[u8]) -> Result<Self, WireError> {
        let first = Reader::new(bytes).be16().ok_or(WireError::Truncated)?;
        if first >> 14 != 0 {
            return Err(WireError::BadValue);
        }
        Ok(Self::before_frame(6 + 4 * usize::from(first >> 6 & 0x1f)))
    }
}

/// The tag that Marvell's switches put where a VLAN tag would be, in place of it.
///
/// Linux, `net/dsa/tag_dsa.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsa {
    /// The identifier of the VLAN tag it replaces, where there was one.
    pub vlan: Option<u16>,
}

impl Dsa {
    /// Octets of the tag.
    pub const LEN: usize = 4;

    /// The tag at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const TAGGED: u8 = 0x20;
        let Some(&[first, _, high, low]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        let is_tagged = first & TAGGED != 0;
        Ok(Self {
            vlan: is_tagged.then_some(u16::from_be_bytes([high, low]) & 0x0fff),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_each_tag_is() {
        let typed = |len| Ok(SwitchTag::typed(len));
        let frame = |len| Ok(SwitchTag::before_frame(len));
        let body = |len, next| {
            Ok(SwitchTag {
                len,
                next: Next::Body(next),
            })
        };
        #[rustfmt::skip]
        let rows: &[(u16, &[u8], Result<SwitchTag, WireError>)] = &[
            (0x8926, &[], typed(4)),
            (0x892f, &[], typed(4)),
            (0x8874, &[], typed(4)),
            (0x893f, &[], typed(6)),
            (0x8988, &[], typed(6)),
            (0xdada, &[], typed(6)),
            (0x8903, &[], frame(2)),
            (0x8909, &[1, 1, 0, 1], typed(6)),
            (0x8909, &[1, 3, 0, 1], typed(14)),
            (0x8909, &[1, 255, 0, 1], typed(1022)),
            (0x8909, &[8, 0, 1, 1], body(8, EtherType::IPV4)),
            (0x8909, &[2, 1, 0, 1], Err(WireError::BadValue)),
            (0x8909, &[1, 0, 0, 1], Err(WireError::BadValue)),
            (0x8909, &[1, 1, 0], Err(WireError::Truncated)),
            (0xd28b, &[0, 1, 0, 0x10], typed(12)),
            (0xd28b, &[0, 1, 1, 0x11], typed(12)),
            (0xd28b, &[0, 1, 1, 0x20], typed(10)),
            (0xd28b, &[0, 7, 0, 1], frame(12)),
            (0xd28b, &[0, 8, 0, 1], frame(8)),
            (0xd28b, &[0, 9, 1, 0x11], frame(20)),
            (0xd28b, &[0xca, 0xfe, 0, 1], Err(WireError::BadValue)),
            (0xd28b, &[0, 1, 0], Err(WireError::Truncated)),
            (0x22f3, &[0, 0x3f], frame(6)),
            (0x22f3, &[0x3f, 0xff], frame(6 + 124)),
            (0x22f3, &[0x40, 0], Err(WireError::BadValue)),
            (0x22f3, &[0], Err(WireError::Truncated)),
        ];
        for (ether_type, bytes, expected) in rows {
            let got = SwitchTag::parse(EtherType(*ether_type), bytes);
            assert_eq!(got, Some(*expected), "{ether_type:04x} {bytes:02x?}");
        }
        assert_eq!(SwitchTag::parse(EtherType::ARP, &[0; 60]), None);
    }

    #[test]
    fn a_vlan_tag_that_was_replaced() {
        let vlan = |bytes: &[u8]| Dsa::parse(bytes).map(|tag| tag.vlan);
        assert_eq!(vlan(&[0xe0, 8, 0x60, 7]), Ok(Some(7)));
        assert_eq!(vlan(&[0xc0, 8, 0, 1]), Ok(None));
        assert_eq!(vlan(&[0xc0, 8, 0]), Err(WireError::Truncated));
    }
}
