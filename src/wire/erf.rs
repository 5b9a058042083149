//! Records of Endace's cards, which pcap files may hold whole.
//!
//! <https://www.endace.com/erf-extensible-record-format-types.pdf>

use super::WireError;
use super::reader::Reader;

/// A record's header, extension headers and padding before the frame included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erf {
    /// Octets of the header.
    pub len: usize,
    /// Octets of the frame on the wire.
    pub wire_len: usize,
    /// What follows.
    pub next: Next,
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An Ethernet frame.
    Ethernet,
    /// PPP or Cisco HDLC.
    Hdlc,
    /// An IP packet.
    Ip,
    /// Something else.
    Other,
}

impl Erf {
    /// The record at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const EXTENDED: u8 = 0x80;
        const MAX_EXTENSIONS: usize = 16;
        /// Offset and a reserved octet before an Ethernet frame.
        const PADDING: usize = 2;
        let mut reader = Reader::new(bytes);
        let mut read = || {
            reader.skip(8)?;
            let kind = reader.u8()?;
            reader.skip(5)?;
            Some((kind, reader.be16()?))
        };
        let (kind, wire_len) = read().ok_or(WireError::Truncated)?;
        let mut has_more = kind & EXTENDED != 0;
        for _ in 0..MAX_EXTENSIONS {
            if !has_more {
                break;
            }
            let [first, ..] = reader.array::<8>().ok_or(WireError::Truncated)?;
            has_more = first & EXTENDED != 0;
        }
        if has_more {
            return Err(WireError::BadLength);
        }
        let len = bytes.len() - reader.left();
        let (next, padding) = match kind & !EXTENDED {
            // Packets over SONET, plain, coloured, steered.
            1 | 10 | 15 | 17 => (Next::Hdlc, 0),
            2 | 11 | 16 | 20 => (Next::Ethernet, PADDING),
            22 | 23 => (Next::Ip, 0),
            _ => (Next::Other, 0),
        };
        Ok(Self {
            len: len + padding,
            wire_len: wire_len.into(),
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_each_kind() {
        let record = |kind: u8, extensions: &[u8]| {
            let mut bytes = vec![0, 1, 2, 3, 4, 5, 6, 7, kind, 4, 0, 80, 0, 0, 0, 60];
            bytes.extend(extensions);
            Erf::parse(&bytes).map(|erf| (erf.len, erf.wire_len, erf.next))
        };
        let extension = [0x05, 0, 0, 0, 0, 0, 0, 0];
        let more = [0x85, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(record(2, &[]), Ok((18, 60, Next::Ethernet)));
        assert_eq!(record(0x82, &extension), Ok((26, 60, Next::Ethernet)));
        let two = [more, extension].concat();
        assert_eq!(record(0x81, &two), Ok((32, 60, Next::Hdlc)));
        assert_eq!(record(22, &[]), Ok((16, 60, Next::Ip)));
        assert_eq!(record(5, &[]), Ok((16, 60, Next::Other)));
        assert_eq!(record(0x82, &more), Err(WireError::Truncated));
        assert_eq!(record(0x82, &more.repeat(40)), Err(WireError::BadLength));
        assert_eq!(Erf::parse(&[0; 15]), Err(WireError::Truncated));
    }
}
