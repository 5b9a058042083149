//! What macOS puts before the frames of its packet tap.
//!
//! Apple's `bsd/net/pktap.h`; <https://www.tcpdump.org/linktypes.html> (258).

use super::WireError;
use super::reader::Reader;

/// A packet tap header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pktap {
    /// Octets of the header.
    pub len: usize,
    /// The type of what follows, a `DLT_` value; `None` where no frame does.
    pub link: Option<u32>,
}

impl Pktap {
    /// Octets of the shortest header there has been.
    const MIN_LEN: usize = 108;

    /// The header at the start of `bytes`, in the byte order of the machine that wrote it.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const FRAME: u32 = 1;
        let mut reader = Reader::new(bytes);
        let mut read = || Some([reader.le32()?, reader.le32()?, reader.le32()?]);
        let words = read().ok_or(WireError::Truncated)?;
        // Lengths are small: a set upper half means the other byte order.
        let is_swapped = words[0] > 0xffff;
        let [len, next, link] = words.map(|word| if is_swapped { word.swap_bytes() } else { word });
        match usize::try_from(len) {
            Ok(len) if (Self::MIN_LEN..=1024).contains(&len) => Ok(Self {
                len,
                link: (next == FRAME).then_some(link),
            }),
            _ => Err(WireError::BadLength),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_follows_in_both_orders() {
        let header = |words: [u32; 3], bytes: fn(u32) -> [u8; 4]| words.map(bytes).concat();
        let (le, be) = (u32::to_le_bytes, u32::to_be_bytes);
        let ok = |len, link| Ok(Pktap { len, link });
        for (bytes, expected) in [
            (header([108, 1, 1], le), ok(108, Some(1))),
            (header([156, 1, 0], be), ok(156, Some(0))),
            (header([108, 0, 1], le), ok(108, None)),
            (header([107, 1, 1], le), Err(WireError::BadLength)),
            (header([1025, 1, 1], le), Err(WireError::BadLength)),
            (header([0, 1, 1], le), Err(WireError::BadLength)),
        ] {
            assert_eq!(Pktap::parse(&bytes), expected, "{bytes:02x?}");
            let cut = bytes.get(..11).unwrap();
            assert_eq!(Pktap::parse(cut), Err(WireError::Truncated));
        }
    }
}
