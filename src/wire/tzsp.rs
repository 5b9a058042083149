//! TZSP, the TaZmen Sniffer Protocol: frames that a wireless sensor or router sends on.
//!
//! <https://en.wikipedia.org/wiki/TZSP>; the numbers of what it carries are its own.

use super::WireError;
use super::reader::Reader;

/// A TZSP header, its tagged fields included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tzsp {
    /// What follows.
    pub encapsulated: Encapsulated,
    /// Octets of the header.
    pub len: usize,
}

/// What a TZSP header is followed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulated {
    /// An Ethernet frame.
    Ethernet,
    /// An IEEE 802.11 frame.
    Ieee80211,
    /// An IEEE 802.11 frame behind a Prism header.
    Prism,
    /// An IEEE 802.11 frame behind an AVS header.
    Avs,
    /// Anything else.
    Other(u16),
}

impl Tzsp {
    /// The port sensors send to.
    pub const PORT: u16 = 37008;

    /// The header at the start of `bytes`: version 1, a packet that was received or sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let [version, kind] = *reader.array().ok_or(WireError::Truncated)?;
        if version != 1 || kind > 1 {
            return Err(WireError::BadValue);
        }
        let encapsulated = match reader.be16().ok_or(WireError::Truncated)? {
            1 => Encapsulated::Ethernet,
            18 => Encapsulated::Ieee80211,
            119 => Encapsulated::Prism,
            127 => Encapsulated::Avs,
            other => Encapsulated::Other(other),
        };
        Self::tags(&mut reader).ok_or(WireError::Truncated)?;
        Ok(Self {
            encapsulated,
            len: bytes.len() - reader.left(),
        })
    }

    /// Passes over the tagged fields, up to the end tag.
    fn tags(reader: &mut Reader<'_>) -> Option<()> {
        const PADDING: u8 = 0;
        const END: u8 = 1;
        loop {
            match reader.u8()? {
                END => return Some(()),
                PADDING => {}
                _ => {
                    let len = reader.u8()?;
                    reader.skip(usize::from(len))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_over_its_tags() {
        let bytes = [1, 0, 0, 18, 10, 1, 0xd0, 0, 0, 0x29, 2, 1, 1, 1, 0xaa];
        assert_eq!(
            Tzsp::parse(&bytes),
            Ok(Tzsp {
                encapsulated: Encapsulated::Ieee80211,
                len: 14
            })
        );
        for end in 0..14 {
            let cut = Tzsp::parse(bytes.get(..end).unwrap());
            assert_eq!(cut, Err(WireError::Truncated), "{end}");
        }
        assert!(Tzsp::parse(&[2, 0, 0, 1, 1]).is_err());
        assert!(Tzsp::parse(&[1, 5, 0, 1, 1]).is_err(), "port opener");
    }
}
