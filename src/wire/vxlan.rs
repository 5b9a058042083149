//! VXLAN (RFC 7348), its generic protocol extension and its group policy extension
//! (draft-ietf-nvo3-vxlan-gpe, draft-smith-vxlan-group-policy).

use super::WireError;

use super::ethernet::EtherType;

/// The header's eight octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// What follows by the generic protocol extension, if this is one: else an Ethernet frame does.
    pub next: Option<u8>,
}

impl Vxlan {
    /// Octets of the header.
    pub const LEN: usize = 8;
    /// The port IANA assigned, and the one Linux used before.
    pub const PORTS: [u16; 2] = [4789, 8472];
    /// The port of the generic protocol extension.
    pub const GPE_PORT: u16 = 4790;

    /// The header at the start of `bytes`: its identifier must be valid (the I bit). All other bits
    /// are ignored (RFC 7348 section 5), that of the generic protocol extension aside, which may
    /// as well be one of them.
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const VALID: u8 = 0x08;
        const GENERIC: u8 = 0x04;
        let Some(&[flags, _, _, next, vni_0, vni_1, vni_2, _]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        if flags & VALID == 0 {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            vni: u32::from_be_bytes([0, vni_0, vni_1, vni_2]),
            next: if flags & GENERIC == 0 {
                None
            } else {
                Some(next)
            },
        })
    }

    /// The type of what [`Self::next`] says; `None` where it says nothing that is known.
    pub fn ether_type(&self) -> Option<EtherType> {
        Some(match self.next? {
            1 => EtherType::IPV4,
            2 => EtherType::IPV6,
            3 => EtherType::BRIDGED,
            4 => EtherType::NSH,
            5 => EtherType::MPLS,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_extensions() {
        let rows: [([u8; 8], Option<Option<EtherType>>); 9] = [
            ([8, 0, 0, 0, 0, 1, 2, 0], Some(None)),
            ([0x88, 0x40, 0, 9, 0, 1, 2, 0], Some(None)),
            ([0x0c, 0, 0, 1, 0, 1, 2, 0], Some(Some(EtherType::IPV4))),
            ([0x0c, 0, 0, 3, 0, 1, 2, 0], Some(Some(EtherType::BRIDGED))),
            ([0x0c, 0, 0, 9, 0, 1, 2, 0], Some(None)),
            ([0x0d, 0, 0, 4, 0, 1, 2, 0], Some(Some(EtherType::NSH))),
            ([0xfb, 0xff, 0xff, 0xff, 0, 1, 2, 0xff], Some(None)),
            ([0, 0, 0, 0, 0, 1, 2, 0], None),
            ([0xf7, 0, 0, 1, 0, 1, 2, 0], None),
        ];
        for (bytes, expected) in rows {
            let got = Vxlan::parse(&bytes).ok();
            assert_eq!(
                got.map(|header| header.ether_type()),
                expected,
                "{bytes:02x?}"
            );
            assert!(got.is_none_or(|header| header.vni == 0x102));
            for end in 0..8 {
                let cut = Vxlan::parse(bytes.get(..end).unwrap());
                assert_eq!(cut, Err(WireError::Truncated));
            }
        }
    }
}
