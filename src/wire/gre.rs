//! Generic routing encapsulation: version 0 (RFC 2784, RFC 2890; source routes of RFC 1701) and
//! version 1 as PPTP uses it (RFC 2637 section 4.1), and MikroTik for Ethernet over IP.

use super::WireError;
use super::ethernet::EtherType;
use super::reader::Reader;

/// A GRE header and the captured bytes of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gre<'a> {
    /// What the payload is.
    pub protocol: EtherType,
    /// Version 0: the key. Version 1: the call identifier of the receiver, or MikroTik's tunnel.
    pub key: Option<u32>,
    /// Whether a sequence number is there; ERSPAN type II has one, type I has none.
    pub has_sequence: bool,
    /// Version 1: octets of the payload by the header.
    pub payload_len: Option<usize>,
    /// Whether it is the enhanced header of PPTP.
    pub is_pptp: bool,
    /// Octets of the header.
    pub header_len: usize,
    /// What was captured of the payload.
    pub payload: &'a [u8],
}

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;

impl<'a> Gre<'a> {
    /// The header at the start of `bytes`.
    ///
    /// Bits 6 to 12 are ignored (RFC 2784 section 2.3). Those before are RFC 1701's, which is read
    /// here: they say that source routes are strict, and how often packets may still be
    /// encapsulated.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let flags = reader.be16().ok_or(WireError::Truncated)?;
        let protocol = EtherType(reader.be16().ok_or(WireError::Truncated)?);
        let fields = match flags & 0x0007 {
            0 => Self::version_0(flags, &mut reader)?,
            1 if flags & (CHECKSUM | ROUTING | KEY) == KEY && protocol == EtherType::PPP => {
                Self::version_1(flags, &mut reader).ok_or(WireError::Truncated)?
            }
            1 if flags == KEY | 1 && protocol == EtherType::MIKROTIK => {
                Self::mikrotik(&mut reader).ok_or(WireError::Truncated)?
            }
            _ => return Err(WireError::BadValue),
        };
        let (key, payload_len) = fields;
        Ok(Self {
            protocol,
            key,
            has_sequence: flags & SEQUENCE != 0,
            payload_len,
            is_pptp: flags & 0x0007 == 1 && protocol == EtherType::PPP,
            header_len: bytes.len() - reader.left(),
            payload: reader.rest(),
        })
    }

    fn version_0(
        flags: u16,
        reader: &mut Reader<'a>,
    ) -> Result<(Option<u32>, Option<usize>), WireError> {
        let mut key = None;
        let mut fields = || {
            if flags & (CHECKSUM | ROUTING) != 0 {
                reader.skip(4)?;
            }
            if flags & KEY != 0 {
                key = Some(reader.be32()?);
            }
            if flags & SEQUENCE != 0 {
                reader.skip(4)?;
            }
            Some(())
        };
        fields().ok_or(WireError::Truncated)?;
        if flags & ROUTING != 0 {
            Self::source_route(reader)?;
        }
        Ok((key, None))
    }

    /// Source route entries, up to the one of family and length zero.
    fn source_route(reader: &mut Reader<'a>) -> Result<(), WireError> {
        loop {
            let family = reader.be16().ok_or(WireError::Truncated)?;
            let [_offset, len] = *reader.array().ok_or(WireError::Truncated)?;
            match (family, len) {
                (0, 0) => return Ok(()),
                // An empty entry that is not the last one would not move on.
                (_, 0) => return Err(WireError::BadLength),
                _ => reader.skip(usize::from(len)).ok_or(WireError::Truncated)?,
            }
        }
    }

    fn version_1(flags: u16, reader: &mut Reader<'a>) -> Option<(Option<u32>, Option<usize>)> {
        let payload_len = reader.be16()?;
        let call = reader.be16()?;
        if flags & SEQUENCE != 0 {
            reader.skip(4)?;
        }
        if flags & ACKNOWLEDGEMENT != 0 {
            reader.skip(4)?;
        }
        Some((Some(u32::from(call)), Some(usize::from(payload_len))))
    }

    /// As public descriptions of EoIP have it: the length of the frame, then the tunnel's
    /// identifier, least significant octet first.
    fn mikrotik(reader: &mut Reader<'a>) -> Option<(Option<u32>, Option<usize>)> {
        let payload_len = reader.be16()?;
        let tunnel = reader.le16()?;
        Some((Some(u32::from(tunnel)), Some(usize::from(payload_len))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optional_field_moves_the_payload() {
        // (header, key, payload length)
        #[rustfmt::skip]
        let rows: &[(&[u8], Option<u32>, Option<usize>)] = &[
            (&[0x00, 0, 8, 0], None, None),
            (&[0x80, 0, 8, 0, 1, 1, 0, 0], None, None),
            (&[0x20, 0, 0x65, 0x58, 0, 0, 1, 2], Some(0x102), None),
            (&[0x30, 0, 8, 0, 0, 0, 1, 2, 9, 9, 9, 9], Some(0x102), None),
            (&[0xb0, 0, 8, 0, 1, 1, 0, 0, 0, 0, 1, 2, 9, 9, 9, 9], Some(0x102), None),
            // One source route of four octets, then the end.
            (&[0x40, 0, 8, 0, 1, 1, 0, 0, 8, 0, 0, 4, 10, 0, 0, 1, 0, 0, 0, 0], None, None),
            (&[0x20, 0x01, 0x88, 0x0b, 0, 5, 0, 7], Some(7), Some(5)),
            (&[0x30, 0x81, 0x88, 0x0b, 0, 5, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2], Some(7), Some(5)),
            (&[0x20, 0x01, 0x64, 0x00, 0, 5, 7, 0], Some(7), Some(5)),
            // Bits in reserve, recursion control, strict source routes.
            (&[0x0f, 0xf8, 8, 0], None, None),
            (&[0x2f, 0x79, 0x88, 0x0b, 0, 5, 0, 7], Some(7), Some(5)),
        ];
        for (header, key, payload_len) in rows {
            let mut bytes = header.to_vec();
            bytes.extend([0xee; 5]);
            let gre = Gre::parse(&bytes).unwrap();
            assert_eq!(gre.header_len, header.len(), "{header:02x?}");
            assert_eq!((gre.key, gre.payload_len), (*key, *payload_len));
            assert_eq!(gre.payload, [0xee; 5]);
            for end in 0..header.len() {
                let cut = Gre::parse(bytes.get(..end).unwrap());
                assert_eq!(cut.err(), Some(WireError::Truncated), "{header:02x?} {end}");
            }
        }
    }

    #[test]
    fn impossible_headers() {
        for header in [
            [0x00, 0x02, 8, 0, 0, 0, 0, 0],
            [0x30, 0x01, 0x64, 0, 0, 5, 7, 0],
            [0xa0, 0x01, 0x88, 0x0b, 0, 5, 0, 7],
            [0x20, 0x01, 8, 0, 0, 5, 0, 7],
            [0x00, 0x01, 0x88, 0x0b, 0, 5, 0, 7],
        ] {
            assert_eq!(
                Gre::parse(&header).err(),
                Some(WireError::BadValue),
                "{header:02x?}"
            );
        }
        let route = [0x40, 0, 8, 0, 1, 1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Gre::parse(&route).err(), Some(WireError::BadLength));
    }
}
