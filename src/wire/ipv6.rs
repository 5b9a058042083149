//! The IPv6 header and its extension headers (RFC 8200; AH is RFC 4302).

use super::WireError;
use super::reader::Reader;

/// An IPv6 header and the captured bytes behind it, extension headers first.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    header: &'a [u8; 40],
    payload: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Octets of the header.
    pub const LEN: usize = 40;

    /// The packet at the start of `bytes`; what lies behind its payload length is left out.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        let Some((header, rest)) = bytes.split_first_chunk::<40>() else {
            return Err(WireError::Truncated);
        };
        if header[0] >> 4 != 6 {
            return Err(WireError::BadValue);
        }
        let payload = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
            0 => rest,
            len => rest.get(..len).unwrap_or(rest),
        };
        Ok(Self { header, payload })
    }

    /// Octets after this header. `None` for the zero of a jumbogram (RFC 2675), of segmentation
    /// offload, and of a packet with nothing behind its header.
    #[inline]
    pub const fn payload_len(&self) -> Option<usize> {
        match u16::from_be_bytes([self.header[4], self.header[5]]) {
            0 => None,
            len => Some(len as usize),
        }
    }

    /// The kind of the first header behind this one.
    #[inline]
    pub const fn next_header(&self) -> u8 {
        self.header[6]
    }

    /// Source address.
    #[inline]
    pub const fn source(&self) -> [u8; 16] {
        let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            address @ ..,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
        ] = *self.header;
        address
    }

    /// Destination address.
    #[inline]
    pub fn destination(&self) -> [u8; 16] {
        self.header.last_chunk().copied().unwrap_or_default()
    }

    /// The header.
    pub const fn fixed_header(&self) -> &'a [u8; 40] {
        self.header
    }

    /// What was captured behind the header; with a payload length of zero, all there is.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Kinds of extension headers, IANA protocol numbers.
pub mod kind {
    #![allow(missing_docs)]
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const AUTHENTICATION: u8 = 51;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION: u8 = 60;
    pub const SHIM6: u8 = 140;
}

/// Whether a header of this kind is an extension header that can be passed over.
///
/// Mobility and HIP headers cannot: nothing follows them, they are what the packet is about.
#[inline]
pub const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        kind::HOP_BY_HOP
            | kind::ROUTING
            | kind::FRAGMENT
            | kind::AUTHENTICATION
            | kind::DESTINATION
            | kind::SHIM6
    )
}

/// An extension header other than [`FragmentHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The kind of the header behind it.
    pub next_header: u8,
    /// Octets of this one.
    pub len: usize,
}

impl Extension {
    /// The header of kind `kind` at the start of `bytes`. It need not be captured whole.
    pub fn parse(kind: u8, bytes: &[u8]) -> Result<Self, WireError> {
        let Some([next_header, len]) = bytes.first_chunk() else {
            return Err(WireError::Truncated);
        };
        Ok(Self {
            next_header: *next_header,
            // AH counts 32-bit words less two, the others 64-bit words less one.
            len: match kind {
                kind::AUTHENTICATION => (usize::from(*len) + 2) * 4,
                _ => (usize::from(*len) + 1) * 8,
            },
        })
    }
}

/// The fragment header (RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// The kind of the first header of the fragmented part.
    pub next_header: u8,
    /// Where the fragment lies in that part, in octets.
    pub offset: usize,
    /// Whether fragments behind this one follow.
    pub more: bool,
    /// What fragments of one packet have in common.
    pub identification: u32,
}

impl FragmentHeader {
    /// Octets of the header.
    pub const LEN: usize = 8;

    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let [next_header, _reserved] = *reader.array()?;
            let offset = reader.be16()?;
            Some(Self {
                next_header,
                offset: usize::from(offset & 0xfff8),
                more: offset & 1 != 0,
                identification: reader.be32()?,
            })
        };
        read().ok_or(WireError::Truncated)
    }

    /// Whether the fragment is a whole packet by itself (RFC 6946).
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload_len: u16, captured: usize) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(payload_len.to_be_bytes());
        bytes.extend([17, 64]);
        bytes.extend([0x20; 16]);
        bytes.extend([0x30; 16]);
        bytes.extend(vec![7; captured]);
        bytes
    }

    #[test]
    fn reads_every_field() {
        let bytes = packet(3, 5);
        let ip = Ipv6::parse(&bytes).unwrap();
        assert_eq!((ip.payload_len(), ip.next_header()), (Some(3), 17));
        assert_eq!((ip.source(), ip.destination()), ([0x20; 16], [0x30; 16]));
        assert_eq!(ip.payload(), [7; 3], "padding is no payload");
        for end in 0..40 {
            assert_eq!(
                Ipv6::parse(bytes.get(..end).unwrap()).err(),
                Some(WireError::Truncated)
            );
        }
    }

    #[test]
    fn lying_and_absent_lengths() {
        assert_eq!(Ipv6::parse(&packet(900, 5)).unwrap().payload().len(), 5);
        let jumbo = packet(0, 5);
        let ip = Ipv6::parse(&jumbo).unwrap();
        assert_eq!((ip.payload_len(), ip.payload().len()), (None, 5));
        let mut other = packet(5, 5);
        other.splice(..1, [0x45]);
        assert_eq!(Ipv6::parse(&other).err(), Some(WireError::BadValue));
    }

    #[test]
    fn extension_headers_count_in_their_own_units() {
        let bytes = [6, 4, 0, 0];
        assert_eq!(Extension::parse(kind::HOP_BY_HOP, &bytes).unwrap().len, 40);
        assert_eq!(
            Extension::parse(kind::AUTHENTICATION, &bytes),
            Ok(Extension {
                next_header: 6,
                len: 24
            })
        );
        assert!(Extension::parse(kind::ROUTING, &[6]).is_err());
    }

    #[test]
    fn fragment_headers() {
        let bytes = [17, 0, 0x05, 0xa9, 1, 2, 3, 4];
        let header = FragmentHeader::parse(&bytes).unwrap();
        assert_eq!(
            header,
            FragmentHeader {
                next_header: 17,
                offset: 1448,
                more: true,
                identification: 0x0102_0304
            }
        );
        assert!(!header.is_atomic());
        assert!(
            FragmentHeader::parse(&[6, 0, 0, 6, 0, 0, 0, 0])
                .unwrap()
                .is_atomic()
        );
        assert!(FragmentHeader::parse(bytes.get(..7).unwrap()).is_err());
    }
}
