//! What the packet filter of OpenBSD and its relatives puts before a packet that it logs.
//!
//! <https://www.tcpdump.org/linktypes/LINKTYPE_PFLOG.html>

use super::WireError;
use super::cooked::Family;

/// A packet filter log header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pflog {
    /// Octets before the packet.
    pub len: usize,
    /// Its address family.
    pub family: Family,
}

impl Pflog {
    /// The header at the start of `bytes`: its length says where it ends, padding follows up to a
    /// multiple of four.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        /// Up to the name of the interface and the numbers of the rule, which all have.
        const MIN_LEN: usize = 44;
        let Some(&[len, family]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        let len = usize::from(len);
        if len < MIN_LEN {
            return Err(WireError::BadLength);
        }
        Ok(Self {
            len: len.next_multiple_of(4),
            family: Family::of(family.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_padded() {
        let ok = |len, family| Ok(Pflog { len, family });
        for (bytes, expected) in [
            (&[61, 2, 1][..], ok(64, Family::Inet)),
            (&[48, 30], ok(48, Family::Inet6)),
            (&[100, 24], ok(100, Family::Inet6)),
            (&[255, 7], ok(256, Family::Other(7))),
            (&[43, 2], Err(WireError::BadLength)),
            (&[0, 2], Err(WireError::BadLength)),
            (&[61], Err(WireError::Truncated)),
        ] {
            assert_eq!(Pflog::parse(bytes), expected, "{bytes:?}");
        }
    }
}
