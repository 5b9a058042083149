//! The security tag of IEEE 802.1AE (MACsec).

use super::WireError;

/// A security tag, its EtherType before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecTag {
    /// Octets after the EtherType: with the identifier of the secure channel, where there is one.
    pub len: usize,
    /// Whether what follows is as the user sent it: neither encrypted nor changed (clause 9.5).
    pub is_clear: bool,
    /// Octets up to the integrity check value, where padding may follow that: fewer than 48.
    pub short_len: Option<usize>,
}

impl SecTag {
    /// Octets of the integrity check value of the standard's cipher suites (clause 14).
    pub const CHECK_LEN: usize = 16;

    /// The tag at the start of `bytes`: version 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        const VERSION: u8 = 0x80;
        const CHANNEL: u8 = 0x20;
        const ENCRYPTED_OR_CHANGED: u8 = 0x0c;
        let Some(&[control, short_len, ..]) = bytes.first_chunk::<6>() else {
            return Err(WireError::Truncated);
        };
        if control & VERSION != 0 {
            return Err(WireError::BadValue);
        }
        let short_len = usize::from(short_len & 0x3f);
        Ok(Self {
            len: if control & CHANNEL == 0 { 6 } else { 14 },
            is_clear: control & ENCRYPTED_OR_CHANGED == 0,
            short_len: (1..48).contains(&short_len).then_some(short_len),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_a_channel() {
        // (control, short length) -> (octets, clear, short length)
        #[rustfmt::skip]
        let rows = [
            (0x00, 0, Ok((6, true, None))),
            (0x43, 30, Ok((6, true, Some(30)))),
            (0x20, 47, Ok((14, true, Some(47)))),
            (0x20, 48, Ok((14, true, None))),
            (0x2c, 0, Ok((14, false, None))),
            (0x08, 0, Ok((6, false, None))),
            (0x04, 0, Ok((6, false, None))),
            (0x80, 0, Err(WireError::BadValue)),
        ];
        for (control, short, expected) in rows {
            let bytes = [control, short, 0, 0, 0, 1];
            let got = SecTag::parse(&bytes).map(|tag| (tag.len, tag.is_clear, tag.short_len));
            assert_eq!(got, expected, "{control:02x} {short}");
            assert_eq!(SecTag::parse(&bytes[..5]), Err(WireError::Truncated));
        }
    }
}
