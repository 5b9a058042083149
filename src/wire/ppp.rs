//! PPP (RFC 1661, in HDLC-like framing RFC 1662), the PPPoE session header (RFC 2516) and Cisco
//! HDLC, whose frames share a link type with PPP.

use super::WireError;
use super::ethernet::EtherType;
use super::reader::Reader;

/// A PPP protocol number.
///
/// <https://www.iana.org/assignments/ppp-numbers>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u16);

#[allow(missing_docs)]
impl Protocol {
    pub const IPV4: Self = Self(0x0021);
    pub const IPV6: Self = Self(0x0057);
    pub const MPLS: Self = Self(0x0281);
    pub const MPLS_MULTICAST: Self = Self(0x0283);
}

/// A PPP frame without its flags and check sequence.
#[derive(Clone, Copy, Debug)]
pub struct Ppp<'a> {
    /// What it carries.
    pub protocol: Protocol,
    /// Octets before the payload: 1 to 4.
    pub header_len: usize,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Ppp<'a> {
    /// The frame at the start of `bytes`: address and control may be left out, the protocol field
    /// may be compressed to one octet (RFC 1661 sections 6.5 and 6.6).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes));
        let first = reader.u8().ok_or(WireError::Truncated)?;
        if first == 0xff && reader.is_empty() {
            return Err(WireError::Truncated);
        }
        // An odd octet is the last of the protocol field (RFC 1661 section 2).
        let protocol = if first & 1 == 1 {
            u16::from(first)
        } else {
            let second = reader.u8().ok_or(WireError::Truncated)?;
            u16::from_be_bytes([first, second])
        };
        Ok(Self {
            protocol: Protocol(protocol),
            header_len: bytes.len() - reader.left(),
            payload: reader.rest(),
        })
    }
}

/// The header of a PPPoE session frame.
#[derive(Clone, Copy, Debug)]
pub struct PppoeSession {
    /// The session, unique for a pair of addresses.
    pub id: u16,
    /// Octets of PPP after the header.
    pub payload_len: usize,
}

impl PppoeSession {
    /// Octets of the header.
    pub const LEN: usize = 6;

    /// The header at the start of `bytes`; a code other than session data is a bad value.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let Some([version_type, code, id @ .., len_high, len_low]) = bytes.first_chunk::<6>()
        else {
            return Err(WireError::Truncated);
        };
        if *version_type != 0x11 || *code != 0 {
            return Err(WireError::BadValue);
        }
        Ok(Self {
            id: u16::from_be_bytes(*id),
            payload_len: usize::from(u16::from_be_bytes([*len_high, *len_low])),
        })
    }
}

/// A Cisco HDLC header.
#[derive(Clone, Copy, Debug)]
pub struct CiscoHdlc {
    /// What follows the four octets.
    pub ether_type: EtherType,
}

impl CiscoHdlc {
    /// Octets of the header.
    pub const LEN: usize = 4;

    /// The header at the start of `bytes`: unicast 0x0f or multicast 0x8f, control 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        match bytes.first_chunk() {
            Some([0x0f | 0x8f, 0, high, low]) => Ok(Self {
                ether_type: EtherType(u16::from_be_bytes([*high, *low])),
            }),
            Some(_) => Err(WireError::BadValue),
            None => Err(WireError::Truncated),
        }
    }

    /// Whether a frame of a PPP link is Cisco HDLC, by its address.
    pub fn is_likely(bytes: &[u8]) -> bool {
        matches!(bytes, [0x0f | 0x8f, 0, ..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ppp_in_every_compression() {
        #[rustfmt::skip]
        let rows: [(&[u8], _); 9] = [
            (&[0xff, 0x03, 0x00, 0x21, 9], Some((0x21, 4))),
            (&[0xff, 0x03, 0x21, 9], Some((0x21, 3))),
            (&[0x00, 0x57, 9], Some((0x57, 2))),
            (&[0x57, 9], Some((0x57, 1))),
            (&[0xc0, 0x21, 9], Some((0xc021, 2))),
            (&[0xff, 0x03, 0xc0], None),
            (&[0xff, 0x03], None),
            (&[0xff], None),
            (&[], None),
        ];
        for (bytes, expected) in rows {
            let got = Ppp::parse(bytes);
            assert_eq!(
                got.map(|ppp| (ppp.protocol.0, ppp.header_len)).ok(),
                expected,
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn pppoe_sessions_only() {
        let header = PppoeSession::parse(&[0x11, 0, 0x12, 0x34, 0, 22, 0]).unwrap();
        assert_eq!((header.id, header.payload_len), (0x1234, 22));
        assert!(PppoeSession::parse(&[0x11, 9, 0, 0, 0, 0]).is_err());
        assert!(PppoeSession::parse(&[0x21, 0, 0, 0, 0, 0]).is_err());
        assert!(PppoeSession::parse(&[0x11, 0, 0x12, 0x34, 0]).is_err());
    }

    #[test]
    fn cisco_hdlc_is_told_by_its_address() {
        let frame = [0x8f, 0, 0x86, 0xdd];
        assert!(CiscoHdlc::is_likely(&frame));
        assert_eq!(
            CiscoHdlc::parse(&frame).unwrap().ether_type,
            EtherType::IPV6
        );
        assert!(CiscoHdlc::parse(&[0xff, 0x03, 0, 0x21]).is_err());
        assert!(CiscoHdlc::parse(&[0x0f, 0, 8]).is_err());
    }
}
