//! Packets of several protocols over Frame Relay (RFC 2427, and Cisco's own way) and over ATM
//! (RFC 2684).

use super::WireError;
use super::ethernet::EtherType;
use super::reader::Reader;

/// What a header leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An IP packet; its version says which.
    Ip,
    /// A packet of this type.
    Type(EtherType),
    /// An Ethernet frame.
    Ethernet,
    /// A PPP frame.
    Ppp,
    /// Something else.
    Other,
}

/// A header and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiprotocol {
    /// Octets of the header.
    pub len: usize,
    /// What is behind it.
    pub next: Next,
}

/// Network layer protocol identifiers (ISO/IEC TR 9577).
const SNAP: u8 = 0x80;
const IPV6: u8 = 0x8e;
const IPV4: u8 = 0xcc;
const PPP: u8 = 0xcf;

/// An unnumbered information frame (ISO/IEC 13239).
const UNNUMBERED: u8 = 0x03;

impl Multiprotocol {
    /// The Frame Relay header at the start of `bytes`: an address of two to four octets, then a
    /// control octet and a protocol identifier, or an EtherType.
    pub fn parse_frame_relay(bytes: &[u8]) -> Result<Self, WireError> {
        const LAST: u8 = 0x01;
        let mut reader = Reader::new(bytes);
        for place in 0..4 {
            let octet = reader.u8().ok_or(WireError::Truncated)?;
            match (octet & LAST != 0, place) {
                (true, 0) | (false, 3) => return Err(WireError::BadValue),
                (true, _) => break,
                (false, _) => {}
            }
        }
        let mut read = || {
            let first = reader.u8()?;
            if first != UNNUMBERED {
                let ether_type = EtherType(u16::from_be_bytes([first, reader.u8()?]));
                return Some(if ether_type.is_length() {
                    Next::Other
                } else {
                    Next::Type(ether_type)
                });
            }
            let protocol = match reader.u8()? {
                // Padding to an even length (RFC 2427 section 3).
                0 => reader.u8()?,
                protocol => protocol,
            };
            by_protocol(protocol, &mut reader)
        };
        let next = read().ok_or(WireError::Truncated)?;
        Ok(Self {
            len: bytes.len() - reader.left(),
            next,
        })
    }

    /// The header at the start of what an ATM adaptation layer 5 frame carries: LLC, or nothing
    /// where a connection carries one protocol only.
    pub fn parse_atm(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let next = match bytes {
            [0xaa, 0xaa, UNNUMBERED, ..] => {
                let found = reader
                    .skip(3)
                    .and_then(|()| by_organisation(&mut reader, 2));
                found.ok_or(WireError::Truncated)?
            }
            [0xfe, 0xfe, UNNUMBERED, ..] => {
                let found = reader.skip(3).and_then(|()| reader.u8());
                let found = found.and_then(|protocol| by_protocol(protocol, &mut reader));
                found.ok_or(WireError::Truncated)?
            }
            [] | [0xaa] | [0xaa, 0xaa] | [0xfe] | [0xfe, 0xfe] | [0] => {
                return Err(WireError::Truncated);
            }
            // A bridged frame behind padding (RFC 2684 section 6.2).
            [0, 0, ..] => {
                reader.skip(2);
                Next::Ethernet
            }
            [0x40..=0x4f | 0x60..=0x6f, ..] => Next::Ip,
            // PPP (RFC 2364): IPv4, IPv6, link control.
            [0, 0x21 | 0x57, ..] | [0xc0, 0x21, ..] | [0xff, UNNUMBERED, ..] => Next::Ppp,
            _ => Next::Other,
        };
        Ok(Self {
            len: bytes.len() - reader.left(),
            next,
        })
    }
}

fn by_protocol(protocol: u8, reader: &mut Reader<'_>) -> Option<Next> {
    match protocol {
        IPV4 | IPV6 => Some(Next::Ip),
        PPP => Some(Next::Ppp),
        SNAP => by_organisation(reader, 0),
        _ => Some(Next::Other),
    }
}

/// An organisation and what it calls a protocol. `padding`: octets before a bridged frame.
fn by_organisation(reader: &mut Reader<'_>, padding: usize) -> Option<Next> {
    let (organisation, protocol) = (reader.be24()?, reader.be16()?);
    Some(match (organisation, protocol) {
        (0, ether_type) => Next::Type(EtherType(ether_type)),
        // IEEE 802.1: bridged IEEE 802.3, with check sequence and without.
        (0x0080c2, 1 | 7) => {
            reader.skip(padding)?;
            Next::Ethernet
        }
        _ => Next::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a [u8], Option<(usize, Next)>);

    fn check(rows: &[Row<'_>], parse: fn(&[u8]) -> Result<Multiprotocol, WireError>) {
        for (bytes, expected) in rows {
            let got = parse(bytes);
            let got = got.map(|header| (header.len, header.next)).ok();
            assert_eq!(got, *expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn over_frame_relay() {
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            (&[0x18, 0x41, 3, 0xcc, 0x45], Some((4, Next::Ip))),
            (&[0x18, 0x41, 3, 0x8e, 0x60], Some((4, Next::Ip))),
            (&[0x18, 0x40, 0x40, 0x41, 3, 0xcc, 0x45], Some((6, Next::Ip))),
            (&[0x18, 0x41, 3, 0xcf, 0, 0x21], Some((4, Next::Ppp))),
            (&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], Some((10, Next::Type(EtherType::IPV4)))),
            (&[0x18, 0x41, 3, 0x80, 0, 0x80, 0xc2, 0, 7], Some((9, Next::Ethernet))),
            (&[0x18, 0x41, 3, 0x80, 0, 0x80, 0xc2, 0, 14], Some((9, Next::Other))),
            (&[0x18, 0x41, 3, 0x81, 9], Some((4, Next::Other))),
            (&[0x18, 0x41, 8, 0, 0x45], Some((4, Next::Type(EtherType::IPV4)))),
            (&[0x18, 0x41, 1, 0, 0x45], Some((4, Next::Other))),
            (&[0x18, 0x41, 3, 0x80, 0, 0x80, 0xc2, 0], None),
            (&[0x18, 0x41, 3], None),
            (&[0x18, 0x41], None),
            (&[0x18], None),
            (&[0x19, 0x41, 3, 0xcc], None),
            (&[0x18, 0x40, 0x40, 0x40, 3, 0xcc], None),
        ];
        check(rows, Multiprotocol::parse_frame_relay);
    }

    #[test]
    fn over_atm() {
        #[rustfmt::skip]
        let rows: &[Row<'_>] = &[
            (&[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd, 0x60], Some((8, Next::Type(EtherType::IPV6)))),
            (&[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7, 0, 0, 2], Some((10, Next::Ethernet))),
            (&[0xfe, 0xfe, 3, 0xcc, 0x45], Some((4, Next::Ip))),
            (&[0xfe, 0xfe, 3, 0xcf, 0, 0x21], Some((4, Next::Ppp))),
            (&[0x45, 0, 0, 40], Some((0, Next::Ip))),
            (&[0x60, 0, 0, 0], Some((0, Next::Ip))),
            (&[0, 0, 2, 0], Some((2, Next::Ethernet))),
            (&[0, 0x21, 0x45], Some((0, Next::Ppp))),
            (&[0xc0, 0x21, 1], Some((0, Next::Ppp))),
            (&[0x42, 0x42, 3], Some((0, Next::Ip))),
            (&[0xf0, 0xf0, 3], Some((0, Next::Other))),
            (&[0xaa, 0xaa, 3, 0, 0, 0, 8], None),
            (&[0xfe, 0xfe, 3], None),
            (&[], None),
        ];
        check(rows, Multiprotocol::parse_atm);
    }
}
