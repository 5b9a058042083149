//! The Basic Encoding Rules (X.690), as far as `snmp`, `ldap` and `kerberos` need them: definite
//! lengths, tag numbers below 31.

use crate::wire::reader::Reader;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// Reads an identifier and a length; the content may be cut.
pub(super) fn header(reader: &mut Reader<'_>) -> Option<(u8, usize)> {
    let tag = reader.u8()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let first = reader.u8()?;
    let len = match first {
        0..=0x7f => u32::from(first),
        0x81 => u32::from(reader.u8()?),
        0x82 => u32::from(reader.be16()?),
        0x83 => reader.be24()?,
        0x84 => reader.be32()?,
        _ => return None,
    };
    Some((tag, len as usize))
}

/// Reads a whole element.
pub(super) fn element<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let (tag, len) = header(reader)?;
    Some((tag, reader.take(len)?))
}

/// Reads a whole element that must have `tag`.
pub(super) fn content<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    element(reader)
        .filter(|&(found, _)| found == tag)
        .map(|(_, content)| content)
}

/// Reads a non-negative integer of at most four octets.
pub(super) fn unsigned(reader: &mut Reader<'_>, tag: u8) -> Option<u32> {
    let content = content(reader, tag)?;
    if !(1..=5).contains(&content.len()) || content.first()? & 0x80 != 0 {
        return None;
    }
    content.iter().try_fold(0_u32, |value, &octet| {
        Some(value.checked_mul(256)? | u32::from(octet))
    })
}

#[cfg(test)]
mod tests {
    use super::super::trial::hex;
    use super::*;

    #[test]
    fn headers_have_short_and_long_lengths() {
        for (text, read) in [
            ("30 05", Some((0x30, 5))),
            ("30 81 80", Some((0x30, 0x80))),
            ("30 82 01 00", Some((0x30, 0x100))),
            ("63 84 00 00 00 2d", Some((0x63, 45))),
            ("30 80", None),
            ("30 85 00 00 00 00 01", None),
            ("3f 21 00", None),
            ("30 82 01", None),
            ("30", None),
        ] {
            let bytes = hex(text);
            assert_eq!(header(&mut Reader::new(&bytes)), read, "{text}");
        }
    }

    #[test]
    fn integers_are_bounded() {
        for (text, read) in [
            ("02 01 7f", Some(127)),
            ("02 04 7f ff ff ff", Some(0x7fff_ffff)),
            ("02 05 00 ff ff ff ff", Some(0xffff_ffff)),
            ("02 05 01 ff ff ff ff", None),
            ("02 01 80", None),
            ("02 00", None),
            ("04 01 01", None),
            ("02 02 01", None),
        ] {
            let bytes = hex(text);
            assert_eq!(unsigned(&mut Reader::new(&bytes), INTEGER), read, "{text}");
        }
    }
}
