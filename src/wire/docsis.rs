//! The MAC header of cable networks (DOCSIS MAC and Upper Layer Protocols Interface, section 6.2).

use super::WireError;
use super::reader::Reader;

/// A DOCSIS header, extended header and check sequence included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Docsis {
    /// Octets of the header.
    pub len: usize,
    /// Octets behind it.
    pub payload_len: usize,
    /// What is there.
    pub next: Next,
}

/// What a DOCSIS frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// An Ethernet frame with its check sequence.
    Ethernet,
    /// Further DOCSIS frames, one after the other.
    Concatenated,
    /// Management, requests, ATM cells, parts of frames.
    Other,
}

impl Docsis {
    /// The header at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const EXTENDED: u8 = 0x01;
        const CONCATENATION: u8 = 0x1c;
        /// Frame control, its parameter, a length, a check sequence.
        const LEN: usize = 6;
        let mut reader = Reader::new(bytes);
        let mut read = || Some((reader.u8()?, reader.u8()?, reader.be16()?));
        let (control, parameter, len) = read().ok_or(WireError::Truncated)?;
        let (len, is_concatenated) = (usize::from(len), control >> 1 & 0x1f == CONCATENATION);
        let extended = if control & EXTENDED == 0 || is_concatenated {
            0
        } else {
            usize::from(parameter)
        };
        Ok(Self {
            len: LEN + extended,
            payload_len: len.checked_sub(extended).ok_or(WireError::BadLength)?,
            next: match control >> 6 {
                // Packets, and those for channels that older modems leave alone.
                0 | 2 => Next::Ethernet,
                3 if is_concatenated => Next::Concatenated,
                _ => Next::Other,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_each_kind() {
        #[rustfmt::skip]
        let rows: &[(&[u8], Result<_, WireError>)] = &[
            (&[0x00, 0, 0, 64, 1, 2], Ok((6, 64, Next::Ethernet))),
            (&[0x01, 4, 0, 68, 1, 2], Ok((10, 64, Next::Ethernet))),
            (&[0x80, 0, 0, 64, 1, 2], Ok((6, 64, Next::Ethernet))),
            (&[0xf8, 2, 1, 0, 1, 2], Ok((6, 256, Next::Concatenated))),
            (&[0xc2, 0, 0, 40, 1, 2], Ok((6, 40, Next::Other))),
            (&[0x40, 0, 0, 53, 1, 2], Ok((6, 53, Next::Other))),
            (&[0x01, 4, 0, 3, 1, 2], Err(WireError::BadLength)),
            (&[0x00, 0, 0], Err(WireError::Truncated)),
        ];
        for (bytes, expected) in rows {
            let got = Docsis::parse(bytes);
            let got = got.map(|header| (header.len, header.payload_len, header.next));
            assert_eq!(got, *expected, "{bytes:02x?}");
        }
    }
}
