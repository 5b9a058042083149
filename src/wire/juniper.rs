//! What Juniper routers put before the frames that they capture themselves.
//!
//! tcpdump, `print-juniper.c`.

use super::WireError;
use super::reader::Reader;

/// A Juniper header, its extensions included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Juniper {
    /// Octets of the header.
    pub len: usize,
    /// Whether the frame's own link layer follows; else an IP packet.
    pub has_link_layer: bool,
}

impl Juniper {
    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const MAGIC: u32 = 0x004d_4743;
        const NO_LINK_LAYER: u8 = 0x02;
        const EXTENDED: u8 = 0x80;
        /// A word before a packet that has lost its link layer.
        const WORD: usize = 4;
        let mut reader = Reader::new(bytes);
        let mut read = || Some((reader.be24()?, reader.u8()?));
        let (magic, flags) = read().ok_or(WireError::Truncated)?;
        if magic != MAGIC {
            return Err(WireError::BadValue);
        }
        if flags & EXTENDED != 0 {
            let len = reader.be16().ok_or(WireError::Truncated)?;
            reader.skip(len.into()).ok_or(WireError::Truncated)?;
        }
        let len = bytes.len() - reader.left();
        let has_link_layer = flags & NO_LINK_LAYER == 0;
        Ok(Self {
            len: len + if has_link_layer { 0 } else { WORD },
            has_link_layer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_extensions() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Result<_, WireError>)] = &[
            (b"MGC\x01", Ok((4, true))),
            (b"MGC\x03", Ok((8, false))),
            (b"MGC\x80\0\x06\x03\x01\x0e\x04\x01\x0e\x02", Ok((12, true))),
            (b"MGC\x82\0\0", Ok((10, false))),
            (b"MGC\x80\0\x06\x03", Err(WireError::Truncated)),
            (b"MGC\x80\0", Err(WireError::Truncated)),
            (b"MGC", Err(WireError::Truncated)),
            (b"MGD\x01", Err(WireError::BadValue)),
        ];
        for (bytes, expected) in rows {
            let got = Juniper::parse(bytes);
            let got = got.map(|header| (header.len, header.has_link_layer));
            assert_eq!(got, *expected, "{bytes:02x?}");
        }
    }
}
