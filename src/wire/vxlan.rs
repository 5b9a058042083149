//! VXLAN (RFC 7348), its generic protocol extension and its group policy extension
//! (draft-ietf-nvo3-vxlan-gpe, draft-smith-vxlan-group-policy).

use super::WireError;

/// The header's eight octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// The network identifier, 24 bits.
    pub vni: u32,
    /// What follows.
    pub next: Next,
}

/// What a VXLAN header is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An Ethernet frame: always, without the generic protocol extension.
    Ethernet,
    /// An IPv4 packet.
    Ipv4,
    /// An IPv6 packet.
    Ipv6,
    /// An MPLS label stack.
    Mpls,
    /// Anything else.
    Other(u8),
}

impl Vxlan {
    /// Octets of the header.
    pub const LEN: usize = 8;
    /// The port IANA assigned, and the one Linux used before.
    pub const PORTS: [u16; 2] = [4789, 8472];
    /// The port of the generic protocol extension.
    pub const GPE_PORT: u16 = 4790;

    /// The header at the start of `bytes`: its identifier must be valid (the I bit), the octets
    /// that no extension uses zero.
    pub const fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const VALID: u8 = 0x08;
        const GENERIC: u8 = 0x04;
        const GROUP_POLICY: u8 = 0x80;
        let Some(&[flags, b, c, d, vni_0, vni_1, vni_2, reserved]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        let next = match flags & !0x03 {
            VALID if b | c | d == 0 => Next::Ethernet,
            // Policy bits and a group.
            flags if flags == VALID | GROUP_POLICY => Next::Ethernet,
            flags if flags == VALID | GENERIC && b | c == 0 => match d {
                1 => Next::Ipv4,
                2 => Next::Ipv6,
                3 => Next::Ethernet,
                5 => Next::Mpls,
                other => Next::Other(other),
            },
            _ => return Err(WireError::BadValue),
        };
        if reserved != 0 {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            vni: u32::from_be_bytes([0, vni_0, vni_1, vni_2]),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_extensions() {
        let rows: [([u8; 8], Option<Next>); 8] = [
            ([8, 0, 0, 0, 0, 1, 2, 0], Some(Next::Ethernet)),
            ([0x88, 0x40, 0, 9, 0, 1, 2, 0], Some(Next::Ethernet)),
            ([0x0c, 0, 0, 1, 0, 1, 2, 0], Some(Next::Ipv4)),
            ([0x0c, 0, 0, 3, 0, 1, 2, 0], Some(Next::Ethernet)),
            ([0x0c, 0, 0, 9, 0, 1, 2, 0], Some(Next::Other(9))),
            ([0, 0, 0, 0, 0, 1, 2, 0], None),
            ([8, 0, 0, 1, 0, 1, 2, 0], None),
            ([8, 0, 0, 0, 0, 1, 2, 1], None),
        ];
        for (bytes, next) in rows {
            let expected = next.map(|next| Vxlan { vni: 0x102, next });
            assert_eq!(Vxlan::parse(&bytes).ok(), expected, "{bytes:02x?}");
        }
        assert_eq!(Vxlan::parse(&[8; 7]), Err(WireError::Truncated));
    }
}
