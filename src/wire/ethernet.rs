//! Ethernet II and IEEE 802.3 frames, and the LLC/SNAP header of the latter (RFC 1042).

use super::WireError;

/// What a frame carries, as IEEE and IANA number it.
///
/// <https://www.iana.org/assignments/ieee-802-numbers>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

#[allow(missing_docs)]
impl EtherType {
    pub const IPV4: Self = Self(0x0800);
    pub const ARP: Self = Self(0x0806);
    /// Transparent Ethernet bridging, in GRE and GENEVE (RFC 1701, RFC 8926).
    pub const BRIDGED: Self = Self(0x6558);
    /// MikroTik's Ethernet over IP, in GRE.
    pub const MIKROTIK: Self = Self(0x6400);
    pub const VLAN: Self = Self(0x8100);
    pub const IPV6: Self = Self(0x86dd);
    pub const PPP: Self = Self(0x880b);
    pub const MPLS: Self = Self(0x8847);
    pub const MPLS_MULTICAST: Self = Self(0x8848);
    pub const PPPOE_DISCOVERY: Self = Self(0x8863);
    pub const PPPOE_SESSION: Self = Self(0x8864);
    pub const SERVICE_VLAN: Self = Self(0x88a8);
    /// The provider backbone service tag of IEEE 802.1ah.
    pub const BACKBONE: Self = Self(0x88e7);
    pub const QINQ_OLD: Self = Self(0x9100);
    /// Further types of outer VLAN tags from before IEEE 802.1ad, by vendor or as configured.
    pub const QINQ_8200: Self = Self(0x8200);
    pub const QINQ_9200: Self = Self(0x9200);
    pub const QINQ_9300: Self = Self(0x9300);
    /// Cisco MetaData: security group tags.
    pub const METADATA: Self = Self(0x8909);
    /// Cisco FabricPath.
    pub const FABRIC_PATH: Self = Self(0x8903);
    /// Cisco's forerunner of [`Self::E_TAG`].
    pub const VN_TAG: Self = Self(0x8926);
    /// Bridge port extension (IEEE 802.1BR).
    pub const E_TAG: Self = Self(0x893f);
    /// Cisco's time stamps.
    pub const TTAG: Self = Self(0x8988);
    /// High-availability seamless redundancy (IEC 62439-3).
    pub const HSR: Self = Self(0x892f);
    /// RFC 6325.
    pub const TRILL: Self = Self(0x22f3);
    /// MACsec (IEEE 802.1AE).
    pub const MACSEC: Self = Self(0x88e5);
    /// Arista's time stamps and tap headers.
    pub const ARISTA: Self = Self(0xd28b);
    /// Marvell's switch tags, by the default that Linux programs.
    pub const EDSA: Self = Self(0xdada);
    /// Broadcom's switch tags of the older form.
    pub const BROADCOM: Self = Self(0x8874);
    /// The network service header (RFC 8300).
    pub const NSH: Self = Self(0x894f);

    /// Whether it is the type of a VLAN tag.
    #[inline]
    pub const fn is_vlan_tag(self) -> bool {
        matches!(
            self,
            Self::VLAN
                | Self::SERVICE_VLAN
                | Self::QINQ_OLD
                | Self::QINQ_8200
                | Self::QINQ_9200
                | Self::QINQ_9300
        )
    }

    /// Whether the field is an IEEE 802.3 length (IEEE 802.3 clause 3.2.6).
    #[inline]
    pub const fn is_length(self) -> bool {
        self.0 <= 1500
    }
}

/// The addresses and type of a frame, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Ethernet<'a> {
    header: &'a [u8; 14],
    payload: &'a [u8],
}

impl<'a> Ethernet<'a> {
    /// Two addresses and a type.
    pub const LEN: usize = 14;

    /// The frame at the start of `bytes`.
    #[inline]
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.split_first_chunk() {
            Some((header, payload)) => Ok(Self { header, payload }),
            None => Err(WireError::Truncated),
        }
    }

    /// The type, or in IEEE 802.3 frames the length.
    #[inline]
    pub const fn ether_type(&self) -> EtherType {
        EtherType(u16::from_be_bytes([self.header[12], self.header[13]]))
    }

    /// The address it goes to.
    pub const fn destination(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = *self.header;
        [a, b, c, d, e, f]
    }

    /// The address it comes from.
    pub const fn source(&self) -> [u8; 6] {
        let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *self.header;
        [a, b, c, d, e, f]
    }

    /// What follows the header, with padding and check sequence where captured.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// The logical link control header (IEEE 802.2), as far as it leads to an [`EtherType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Llc {
    /// LLC and SNAP of an encapsulated Ethernet frame, 8 octets (RFC 1042).
    Snap(EtherType),
    /// IP on its own service access point, 3 octets.
    Ip,
    /// Spanning tree, IS-IS, IPX, another organisation's SNAP, ...
    Other,
}

impl Llc {
    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let Some(([dsap, ssap, control], rest)) = bytes.split_first_chunk() else {
            return Err(WireError::Truncated);
        };
        match (dsap, ssap, control) {
            (0xaa, 0xaa, 0x03) => match rest.split_first_chunk() {
                // 00-00-f8 is the bridge tunnel of IEEE 802.1H, same meaning.
                Some(([0, 0, 0 | 0xf8, high, low], _)) => {
                    Ok(Self::Snap(EtherType(u16::from_be_bytes([*high, *low]))))
                }
                Some(_) => Ok(Self::Other),
                None => Err(WireError::Truncated),
            },
            (0x06, 0x06, 0x03) => Ok(Self::Ip),
            _ => Ok(Self::Other),
        }
    }

    /// Octets of the header.
    pub const fn header_len(self) -> usize {
        match self {
            Self::Snap(_) => 8,
            Self::Ip | Self::Other => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_needs_fourteen_octets() {
        let bytes: Vec<u8> = (0..20).collect();
        for end in 0..14 {
            assert_eq!(
                Ethernet::parse(bytes.get(..end).unwrap()).err(),
                Some(WireError::Truncated)
            );
        }
        let view = Ethernet::parse(&bytes).unwrap();
        assert_eq!(view.destination(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(view.source(), [6, 7, 8, 9, 10, 11]);
        assert_eq!(view.ether_type(), EtherType(0x0c0d));
        assert_eq!(view.payload(), [14, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn llc_leads_to_a_type() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Result<Llc, WireError>)] = &[
            (&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], Ok(Llc::Snap(EtherType::IPV4))),
            (&[0xaa, 0xaa, 3, 0, 0, 0xf8, 0x86, 0xdd], Ok(Llc::Snap(EtherType::IPV6))),
            (&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], Ok(Llc::Other)),
            (&[0xaa, 0xaa, 3, 0, 0, 0, 8], Err(WireError::Truncated)),
            (&[0x42, 0x42, 3], Ok(Llc::Other)),
            (&[6, 6, 3, 0x45], Ok(Llc::Ip)),
            (&[0xaa, 0xaa], Err(WireError::Truncated)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Llc::parse(bytes), *expected, "{bytes:02x?}");
        }
    }
}
