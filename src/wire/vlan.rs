//! The VLAN tag of IEEE 802.1Q, and the service tag of 802.1ad, which has the same form.

use super::WireError;
use super::ethernet::EtherType;

/// The four octets after a tag protocol identifier, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'a> {
    header: &'a [u8; 4],
    payload: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Tag control information and the next type.
    pub const LEN: usize = 4;

    /// The tag at the start of `bytes`.
    #[inline]
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.split_first_chunk() {
            Some((header, payload)) => Ok(Self { header, payload }),
            None => Err(WireError::Truncated),
        }
    }

    /// The VLAN identifier; zero in a frame that has only a priority.
    #[inline]
    pub const fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]]) & 0x0fff
    }

    /// The type, or length, of what follows.
    #[inline]
    pub const fn ether_type(&self) -> EtherType {
        EtherType(u16::from_be_bytes([self.header[2], self.header[3]]))
    }

    /// What follows.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_priority_is_no_part_of_the_identifier() {
        let tag = Tag::parse(&[0xef, 0xff, 0x86, 0xdd, 1]).unwrap();
        assert_eq!((tag.id(), tag.ether_type()), (0xfff, EtherType::IPV6));
        assert_eq!(tag.payload(), [1]);
        assert!(Tag::parse(&[0, 7, 8]).is_err());
    }
}
