//! TLS begun inside a conversation of text lines: after `STARTTLS`, `STLS`, `AUTH TLS` or XMPP's
//! `<starttls/>`, what follows on the same connection are TLS records.

use super::{Facts, Outcome, dialogue};

/// Whether one of the client's whole lines asks for TLS.
pub(super) fn asked(client: &[u8], is_command: impl Fn(&[u8]) -> bool) -> bool {
    dialogue::lines(client).any(is_command)
}

/// Reads the TLS that follows the text of both sides.
pub(super) fn read(client: &[u8], server: &[u8], facts: &mut Facts) -> Outcome {
    let client = records(client).unwrap_or_default();
    read_records(client, records(server).unwrap_or_default(), facts)
}

/// Reads TLS records of both sides.
pub(super) fn read_records(client: &[u8], server: &[u8], _facts: &mut Facts) -> Outcome {
    match client.is_empty() || server.is_empty() {
        true => Outcome::Partial,
        false => Outcome::Done,
    }
}

/// Where the text of one side ends and TLS records begin: no text holds the octet with which a
/// handshake record starts.
fn records(bytes: &[u8]) -> Option<&[u8]> {
    const HANDSHAKE: u8 = 22;
    let start = memchr::memchr(HANDSHAKE, bytes)?;
    let records = bytes.get(start..)?;
    (records.get(1) == Some(&3)).then_some(records)
}
