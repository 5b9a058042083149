//! MPLS label stack entries (RFC 3032) and what they may carry.
//!
//! A label stack does not say what it carries; the first nibble after it is the usual guess
//! (RFC 4385 keeps 4 and 6 for IP and gives pseudowires a control word that starts with 0).

use super::WireError;

/// One entry of a label stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelStackEntry(u32);

impl LabelStackEntry {
    /// Octets of an entry.
    pub const LEN: usize = 4;

    /// The entry at the start of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        bytes
            .first_chunk()
            .map(|octets| Self(u32::from_be_bytes(*octets)))
            .ok_or(WireError::Truncated)
    }

    /// The label, 20 bits.
    pub const fn label(self) -> u32 {
        self.0 >> 12
    }

    /// Whether it is the bottom of the stack.
    pub const fn is_bottom(self) -> bool {
        self.0 & 0x100 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_entry() {
        let entry = LabelStackEntry::parse(&[0x00, 0x01, 0x2f, 0x40]).unwrap();
        assert_eq!((entry.label(), entry.is_bottom()), (0x12, true));
        assert!(
            !LabelStackEntry::parse(&[0, 1, 0x2e, 0x40])
                .unwrap()
                .is_bottom()
        );
        assert!(LabelStackEntry::parse(&[0, 1, 0x2e]).is_err());
    }
}
