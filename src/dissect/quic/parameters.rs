//! QUIC transport parameters in a ClientHello (RFC 9000 section 18, RFC 9001 section 8.2): the
//! one that names the client.

use super::header::variable;
use crate::dissect::host::text;
use crate::wire::reader::Reader;

/// The TLS extension `quic_transport_parameters`, and its number in the drafts.
const EXTENSIONS: [u16; 2] = [0x0039, 0xffa5];

/// `user_agent`, as Chromium sent it with gQUIC over TLS and early HTTP/3.
const USER_AGENT: u64 = 0x3129;

/// The user agent in `hello`, a whole ClientHello with its handshake header.
pub(super) fn user_agent(hello: &[u8]) -> Option<Box<str>> {
    let parameters = extension(hello)?;
    let agent = match parameters.split_first_chunk() {
        // Until draft-27 the list had a length, and its fields two bytes each.
        Some((&len, list)) if usize::from(u16::from_be_bytes(len)) == list.len() => {
            find(list, |reader| reader.be16().map(u64::from))
        }
        _ => find(parameters, variable),
    };
    text(agent?, 512)
}

/// The value of the parameter in a list whose fields `number` reads.
fn find(list: &[u8], number: fn(&mut Reader<'_>) -> Option<u64>) -> Option<&[u8]> {
    let mut reader = Reader::new(list);
    loop {
        let id = number(&mut reader)?;
        let len = usize::try_from(number(&mut reader)?).ok()?;
        let value = reader.take(len)?;
        if id == USER_AGENT {
            return Some(value);
        }
    }
}

fn extension(hello: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(hello);
    // Handshake header, version, random
    reader.skip(4 + 2 + 32)?;
    let session_id = reader.u8()?;
    reader.skip(session_id.into())?;
    let ciphers = reader.be16()?;
    reader.skip(ciphers.into())?;
    let compressions = reader.u8()?;
    reader.skip(compressions.into())?;
    reader.skip(2)?;
    loop {
        let kind = reader.be16()?;
        let len = reader.be16()?;
        let data = reader.take(len.into())?;
        if EXTENSIONS.contains(&kind) {
            return Some(data);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn hello(kind: u16, parameters: &[u8]) -> Vec<u8> {
        let extension = [
            &[0, 9, 0, 1, 0xee][..],
            &kind.to_be_bytes(),
            &u16::try_from(parameters.len()).unwrap().to_be_bytes(),
            parameters,
        ]
        .concat();
        [
            &[1, 0, 0, 0, 3, 3][..],
            &[7; 32],
            &[0, 0, 2, 0x13, 0x01, 1, 0],
            &u16::try_from(extension.len()).unwrap().to_be_bytes(),
            &extension,
        ]
        .concat()
    }

    #[test]
    fn the_agent_is_found_in_both_encodings() {
        for (hello, expected) in [
            (
                hello(0x39, b"\x01\x02\x40\x00\x71\x29\x04Cr 9"),
                Some("Cr 9"),
            ),
            (
                hello(0xffa5, b"\x01\x00\x71\x29\x04Cr 9\x02\x00"),
                Some("Cr 9"),
            ),
            (
                hello(0xffa5, b"\x00\x0a\x31\x29\x00\x06Cr 9.0"),
                Some("Cr 9.0"),
            ),
            (hello(0x39, b"\x71\x29\x05Cr 9"), None),
            (hello(0x39, b"\x01\x00"), None),
            (hello(0x3a, b"\x71\x29\x04Cr 9"), None),
        ] {
            assert_eq!(user_agent(&hello).as_deref(), expected);
            for end in 0..hello.len() {
                let _ = user_agent(&hello[..end]);
            }
        }
    }
}
