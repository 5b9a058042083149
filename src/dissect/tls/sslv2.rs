//! Hellos in the form of SSL 2.0, outside of records. Clients that knew SSL 3.0 or TLS sent it
//! to find out what the server speaks (RFC 5246 appendix E.2); servers answer in records, or,
//! where they know no better, in SSL 2.0.

use super::certificate::{CertificateRead, read_names};
use super::client_hello::CLIENT_HELLO;
use super::shows::Shows;
use crate::wire::reader::Reader;

/// The message type SERVER-HELLO.
const SERVER_HELLO: u8 = 4;

/// What the bytes show: a hello, or that too few are there; `None` when it is none.
pub(super) fn shown(bytes: &[u8]) -> Option<Shows> {
    let mut reader = Reader::new(bytes);
    // The two-octet header: the top bit says that no padding follows, as in every hello.
    let high = reader.u8().filter(|high| high & 0x80 != 0)?;
    let Some(low) = reader.u8() else {
        return Some(Shows::Nothing);
    };
    let len = usize::from(high & 0x7f) << 8 | usize::from(low);
    let (kind, sound) = match reader.u8() {
        None => return Some(Shows::Nothing),
        Some(CLIENT_HELLO) => (Shows::ClientHello, client_sound(reader, len)),
        Some(SERVER_HELLO) => (Shows::ServerHello, server_sound(reader, len)),
        Some(_) => return None,
    };
    match sound {
        Some(true) => Some(kind),
        Some(false) => None,
        None => Some(Shows::Nothing),
    }
}

/// Whether the lengths of a CLIENT-HELLO agree; `None` while they are not all there.
fn client_sound(mut reader: Reader<'_>, len: usize) -> Option<bool> {
    let version = reader.be16()?;
    if !matches!(version, 0x0002 | 0x0300..=0x0304) {
        return Some(false);
    }
    let ciphers = reader.be16()?;
    let session_id = reader.be16()?;
    let challenge = reader.be16()?;
    let total = 9 + usize::from(ciphers) + usize::from(session_id) + usize::from(challenge);
    Some(
        ciphers >= 3
            && ciphers % 3 == 0
            && matches!(session_id, 0 | 16)
            && (16..=32).contains(&challenge)
            && total == len,
    )
}

/// Whether the lengths of a SERVER-HELLO agree; `None` while they are not all there.
fn server_sound(mut reader: Reader<'_>, len: usize) -> Option<bool> {
    let (session_hit, certificate_type) = (reader.u8()?, reader.u8()?);
    if session_hit > 1 || certificate_type > 1 {
        return Some(false);
    }
    let version = reader.be16()?;
    let certificate = reader.be16()?;
    let ciphers = reader.be16()?;
    let connection = reader.be16()?;
    let total = 11 + usize::from(certificate) + usize::from(ciphers) + usize::from(connection);
    Some(version == 0x0002 && ciphers % 3 == 0 && total == len)
}

/// The version a CLIENT-HELLO offers.
pub(super) fn client_version(bytes: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(bytes);
    reader.skip(3)?;
    reader.be16()
}

/// The certificate of a SERVER-HELLO.
pub(super) fn server_certificate(bytes: &[u8]) -> CertificateRead {
    let mut reader = Reader::new(bytes);
    let mut certificate = || {
        reader.skip(7)?;
        let len = reader.be16()?;
        reader.skip(4)?;
        reader.take(len.into())
    };
    certificate().map_or(CertificateRead::NeedMore, |der| {
        CertificateRead::Names(read_names(der))
    })
}
