//! Messages and sets (RFC 7011, section 3).

use std::io;

use crate::encode::framing::{MESSAGE_HEADER, MESSAGE_VERSION};
use crate::time::Timestamp;

/// Appends a message (RFC 7011, section 3.1) with what `sets` appends to it. Its sequence number is
/// the sink's to say.
pub(super) fn message(
    domain: u32,
    at: Timestamp,
    out: &mut Vec<u8>,
    sets: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&MESSAGE_VERSION);
    out.extend_from_slice(&[0; 2]);
    let seconds = at.0 / 1_000_000_000;
    out.extend_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&domain.to_be_bytes());
    debug_assert_eq!(out.len() - start, MESSAGE_HEADER);
    let length =
        sets(out).and_then(|()| u16::try_from(out.len() - start).map_err(io::Error::other));
    match (length, out.get_mut(start + 2..start + 4)) {
        (Ok(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        (length, _) => {
            out.truncate(start);
            length.map(drop)
        }
    }
}

/// A set with its header (RFC 7011, section 3.3.2), without padding.
pub(super) fn set(id: u16, records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = u16::try_from(records.len() + 4).map_err(io::Error::other)?;
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(records);
    Ok(())
}
