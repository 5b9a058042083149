//! The part that ICMP (RFC 792) and ICMPv6 (RFC 4443 section 2.1) messages have in common.

use super::WireError;

/// Type, code and checksum of a message.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    header: &'a [u8; 4],
}

impl<'a> Icmp<'a> {
    /// Octets before the message body.
    pub const LEN: usize = 4;

    /// The header at the start of `bytes`.
    pub const fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        match bytes.first_chunk() {
            Some(header) => Ok(Self { header }),
            None => Err(WireError::Truncated),
        }
    }

    /// The type of message.
    pub const fn message_type(&self) -> u8 {
        self.header[0]
    }

    /// What kind of that type.
    pub const fn code(&self) -> u8 {
        self.header[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_field() {
        let icmp = Icmp::parse(&[3, 4, 0, 0, 9]).unwrap();
        assert_eq!((icmp.message_type(), icmp.code()), (3, 4));
        assert!(Icmp::parse(&[3, 4, 0]).is_err());
    }
}
