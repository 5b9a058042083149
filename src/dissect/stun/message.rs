//! STUN messages (RFC 8489 section 5, RFC 3489 section 11.1) and what frames them: TURN channels
//! (RFC 8656 section 12.4) and Microsoft's multiplexing (\[MS-TURN\] section 2.2.3).

use std::net::{IpAddr, SocketAddr};

use crate::wire::reader::Reader;

/// Bytes in front of the attributes.
pub(super) const HEADER_LEN: usize = 20;

/// The magic cookie (RFC 8489 section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// The value of attribute 0x000f in drafts of TURN and in \[MS-TURN\] section 2.2.2.
const DRAFT_COOKIE: [u8; 4] = [0x72, 0xc6, 0x4b, 0xc6];

/// Attribute types whose values are read.
#[allow(missing_docs)]
pub(super) mod attribute {
    pub(in super::super) const USERNAME: u16 = 0x0006;
    pub(in super::super) const DRAFT_COOKIE: u16 = 0x000f;
    pub(in super::super) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(in super::super) const DATA: u16 = 0x0013;
    pub(in super::super) const REALM: u16 = 0x0014;
    pub(in super::super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(in super::super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(in super::super) const ALTERNATE_DOMAIN: u16 = 0x8003;
    /// XOR-MAPPED-ADDRESS before it had a number of its own.
    pub(in super::super) const XOR_MAPPED_ADDRESS_DRAFT: u16 = 0x8020;
    pub(in super::super) const SOFTWARE: u16 = 0x8022;
    pub(in super::super) const ORIGIN: u16 = 0x802f;
}

/// What shows that bytes are a STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The magic cookie.
    Cookie,
    /// No cookie, but attributes of RFC 3489 or of TURN's drafts to the exact end.
    Attributes,
    /// No cookie and no attribute: a header whose length is zero.
    HeaderOnly,
}

/// One message, borrowed from its datagram or stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// Message type: method and class.
    pub(super) kind: u16,
    /// Cookie (or what stands in its place) and transaction identifier.
    pub(super) transaction: &'a [u8; 16],
    /// The attributes, as far as they were captured.
    pub(super) body: &'a [u8],
    /// How sure this is STUN.
    pub(super) proof: Proof,
}

impl<'a> Message<'a> {
    /// The message a datagram is. With the cookie it may be cut or be followed by other bytes.
    pub(super) fn in_datagram(datagram: &'a [u8]) -> Option<Self> {
        let (kind, len, transaction, rest) = Self::header(datagram)?;
        let exact = rest.len() == len;
        // WhatsApp does not pad attributes; a length like that must be exact.
        if transaction.starts_with(&COOKIE) && (exact || len.is_multiple_of(4)) {
            return Some(Self {
                kind,
                transaction,
                body: rest.get(..len).unwrap_or(rest),
                proof: Proof::Cookie,
            });
        }
        if !exact || !len.is_multiple_of(4) || !is_classic_kind(kind) {
            return None;
        }
        let message = Self {
            kind,
            transaction,
            body: rest,
            proof: if rest.is_empty() {
                Proof::HeaderOnly
            } else {
                Proof::Attributes
            },
        };
        // Without attributes only requests of RFC 3489 and errors make sense.
        let sound = match message.proof {
            Proof::HeaderOnly => matches!(kind, 0x0001 | 0x0002),
            _ => message.is_classic_body(),
        };
        sound.then_some(message)
    }

    /// The message at the front of a stream, with cookie and whole, and how long it is.
    pub(super) fn in_stream(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (kind, len, transaction, rest) = Self::header(bytes)?;
        let body = rest.get(..len).filter(|_| len.is_multiple_of(4))?;
        transaction.starts_with(&COOKIE).then_some((
            Self {
                kind,
                transaction,
                body,
                proof: Proof::Cookie,
            },
            HEADER_LEN + len,
        ))
    }

    fn header(bytes: &'a [u8]) -> Option<(u16, usize, &'a [u8; 16], &'a [u8])> {
        let mut reader = Reader::new(bytes);
        let kind = reader.be16().filter(|kind| kind & 0xc000 == 0)?;
        let len = reader.be16()?;
        Some((kind, usize::from(len), reader.array()?, reader.rest()))
    }

    /// Whether this answers a request: success or error response.
    pub(super) const fn is_response(&self) -> bool {
        self.kind & 0x0100 != 0
    }

    /// The method without the class bits (RFC 8489 section 5).
    pub(super) const fn method(&self) -> u16 {
        self.kind & 0x000f | (self.kind & 0x00e0) >> 1 | (self.kind & 0x3e00) >> 2
    }

    /// Whether the method is one of TURN's: allocate, refresh, send, data, create permission,
    /// channel bind, and those of RFC 6062.
    pub(super) const fn is_turn(&self) -> bool {
        matches!(self.method(), 0x003 | 0x004 | 0x006..=0x00c)
    }

    /// The attributes up to the first that does not fit: type and value without padding.
    ///
    /// Padded to four octets, unless the length of the message shows that they are not.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut reader = Reader::new(self.body);
        let padding = if self.body.len().is_multiple_of(4) {
            3
        } else {
            0
        };
        std::iter::from_fn(move || {
            let kind = reader.be16()?;
            let len = usize::from(reader.be16()?);
            let value = reader.take(len)?;
            // Where the last one is not padded nothing is left to pass over.
            let _ = reader.skip(len.wrapping_neg() & padding);
            Some((kind, value))
        })
    }

    /// The address in a XOR-…-ADDRESS attribute of this message (RFC 8489 section 14.2).
    pub(super) fn xor_address(&self, value: &[u8]) -> Option<SocketAddr> {
        let mut reader = Reader::new(value);
        let family = reader.be16()? & 0x00ff;
        let port = reader.be16()? ^ 0x2112;
        let ip: IpAddr = match family {
            1 => {
                let mut octets = *reader.array::<4>()?;
                octets
                    .iter_mut()
                    .zip(self.transaction)
                    .for_each(|(o, mask)| *o ^= mask);
                octets.into()
            }
            2 => {
                let mut octets = *reader.array::<16>()?;
                octets
                    .iter_mut()
                    .zip(self.transaction)
                    .for_each(|(o, mask)| *o ^= mask);
                octets.into()
            }
            _ => return None,
        };
        reader.is_empty().then_some(SocketAddr::new(ip, port))
    }

    /// Whether every attribute is one of RFC 3489's (or of those that came before the cookie),
    /// with a value it can have, and they fill the body.
    fn is_classic_body(&self) -> bool {
        let mut len = 0;
        for (kind, value) in self.attributes() {
            let known = match kind {
                // Addresses: family, port, four or sixteen octets.
                0x0001 | 0x0002 | 0x0004 | 0x0005 | 0x000b | 0x0011 | 0x0012 | 0x8020 | 0x8023 => {
                    matches!((value.get(1), value.len()), (Some(1), 8) | (Some(2), 20))
                }
                0x0003 => value.len() == 4,
                0x0006 | 0x0007 | 0x0013..=0x0015 | 0x0020 => true,
                0x0008 => value.len() == 20,
                // ERROR-CODE: class 3 to 6, number under 100; UNKNOWN-ATTRIBUTES.
                0x0009 => matches!(value, [0, 0, 1..=6, 0..=99, ..]),
                0x000a => value.len().is_multiple_of(2),
                0x000d | 0x0010 => value.len() == 4,
                attribute::DRAFT_COOKIE => value == DRAFT_COOKIE,
                0x8000..=0x80ff => true,
                _ => false,
            };
            if !known {
                return false;
            }
            len += 4 + value.len().next_multiple_of(4);
        }
        len == self.body.len()
    }
}

/// Binding and shared secret (RFC 3489), and the messages of TURN's drafts that \[MS-TURN\]
/// section 2.2.1 still uses.
const fn is_classic_kind(kind: u16) -> bool {
    matches!(
        kind,
        0x0001
            | 0x0101
            | 0x0111
            | 0x0002
            | 0x0102
            | 0x0112
            | 0x0003
            | 0x0103
            | 0x0113
            | 0x0004
            | 0x0104
            | 0x0114
            | 0x0115
            | 0x0006
            | 0x0106
            | 0x0116
    )
}

/// The channel number of a TURN ChannelData message that is the whole datagram.
///
/// RFC 5766 allowed numbers to 0x7fff; over UDP padding is optional (RFC 8656 section 12.5).
pub(super) fn channel(datagram: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(datagram);
    let number = reader
        .be16()
        .filter(|number| (0x4000..0x8000).contains(number))?;
    let len = usize::from(reader.be16()?);
    let whole = reader.left() == len || reader.left() == len.next_multiple_of(4);
    (len > 0 && whole).then_some(number)
}

/// What Microsoft's multiplexed TURN carries: `ff 10`, length, eight octets of session.
pub(super) fn multiplexed(datagram: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(datagram);
    if reader.be16()? != 0xff10 {
        return None;
    }
    let len = usize::from(reader.be16()?);
    let exact = reader.left() == len;
    reader.skip(8)?;
    exact.then_some(reader.rest())
}
