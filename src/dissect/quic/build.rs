//! Builds Initial packets as a client or server sends them, for tests, benches, sample
//! captures and captures made harder: the other way round of what this module reads.
//!
//! ```
//! use ottometer::dissect::quic::build;
//!
//! let hello = build::client_hello("www.example.com", &["h3"], 0);
//! let datagrams = build::initial_packets(1, b"destcid8", b"", &hello);
//! assert_eq!(datagrams.len(), 1);
//! assert_eq!(datagrams[0].len(), 1200);
//! ```

use super::crypto::{Keys, TAG_LEN};
use super::frames::CryptoFrames;
use super::header::{MIN_INITIAL_DATAGRAM, Packet, Packets, connection_id, variable};
use super::version::{Handshake, PacketType, version};
use crate::flow::Side;
use crate::wire::reader::Reader;

/// How much of a ClientHello [`initial_packets`] puts into one datagram.
const HELLO_BYTES_A_DATAGRAM: usize = 1100;

/// The header of an Initial packet (RFC 9000 section 17.2.2) and what its keys are made of.
#[derive(Clone, Copy, Debug)]
pub struct Initial<'a> {
    /// A version this module can decrypt.
    pub version: u32,
    /// Destination Connection ID, up to 20 bytes.
    pub dcid: &'a [u8],
    /// Source Connection ID, up to 20 bytes.
    pub scid: &'a [u8],
    /// The token of a Retry packet or NEW_TOKEN frame; mostly empty.
    pub token: &'a [u8],
    /// Packet number.
    pub number: u32,
    /// Who sends it.
    pub sender: Side,
    /// The Destination Connection ID of the client's first Initial packet (after a Retry: of the
    /// first after it), which the keys derive from. For that packet itself it is `dcid`.
    pub keyed_by: &'a [u8],
}

impl<'a> Initial<'a> {
    /// The client's first packet.
    pub const fn first(version: u32, dcid: &'a [u8], scid: &'a [u8]) -> Self {
        Self {
            version,
            dcid,
            scid,
            token: b"",
            number: 0,
            sender: Side::Client,
            keyed_by: dcid,
        }
    }

    /// The protected packet with `frames`, padded so that it is `len` bytes long if they leave
    /// room. `None` when the version has no known keys or a length does not fit its field.
    pub fn packet(&self, frames: &[u8], len: usize) -> Option<Vec<u8>> {
        let version = version(self.version)?;
        let kind = version
            .types
            .iter()
            .position(|&kind| kind == PacketType::Initial)?;
        let mut bytes = Vec::with_capacity(len.max(64));
        // Long header, fixed bit, type, packet number of four bytes
        bytes.push(0xc3 | u8::try_from(kind).ok()? << 4);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        for id in [self.dcid, self.scid] {
            bytes.push(u8::try_from(id.len()).ok().filter(|&len| len <= 20)?);
            bytes.extend_from_slice(id);
        }
        push_variable(&mut bytes, self.token.len())?;
        bytes.extend_from_slice(self.token);
        let number_offset = bytes.len() + 2;
        let end = (number_offset + 4 + frames.len() + TAG_LEN).max(len);
        let length = u16::try_from(end - number_offset).ok()?;
        if length >= 0x4000 {
            return None;
        }
        bytes.extend_from_slice(&(length | 0x4000).to_be_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(frames);
        bytes.resize(end - TAG_LEN, 0);
        let salt = *version.salts.first()?;
        Keys::derive(salt, version.labels, self.keyed_by, self.sender)?.seal(bytes, number_offset)
    }
}

/// A client's Initial packet, opened.
#[derive(Clone, Debug)]
pub struct Apart {
    /// The version.
    pub version: u32,
    /// Destination Connection ID.
    pub dcid: Vec<u8>,
    /// Source Connection ID.
    pub scid: Vec<u8>,
    /// The token.
    pub token: Vec<u8>,
    /// Packet number.
    pub number: u32,
    /// Its CRYPTO frames: offset and bytes.
    pub crypto: Vec<(usize, Vec<u8>)>,
    /// Frames are those of gQUIC.
    pub is_google: bool,
    /// Bytes of the datagram that the packet takes.
    pub len: usize,
}

/// Opens the client's Initial packet that `datagram` begins with, by the keys that derive from
/// `keyed_by`; without it, from the packet's own Destination Connection ID. `None` when it is none, is
/// cut, or has other keys.
pub fn take_apart(datagram: &[u8], keyed_by: Option<&[u8]>) -> Option<Apart> {
    let Some(Packet::Long(packet)) = Packets::new(datagram).next() else {
        return None;
    };
    if packet.kind != PacketType::Initial || packet.cut {
        return None;
    }
    let mut reader = Reader::new(packet.bytes);
    reader.skip(1 + 4)?;
    let dcid = connection_id(&mut reader)?;
    let scid = connection_id(&mut reader)?;
    let token = usize::try_from(variable(&mut reader)?).ok()?;
    let token = reader.take(token)?;
    let version = packet.version;
    let salt = *version.salts.first()?;
    let keyed_by = keyed_by.unwrap_or(dcid);
    let keys = Keys::derive(salt, version.labels, keyed_by, Side::Client)?;
    let (mut next, mut scratch) = (0, Vec::new());
    let frames = keys.open(&packet, &mut next, &mut scratch)?;
    let crypto = CryptoFrames::new(scratch.get(frames)?, version.google_frames);
    let crypto =
        crypto.map(|(offset, bytes)| Some((usize::try_from(offset).ok()?, bytes.to_vec())));
    Some(Apart {
        version: packet.number,
        dcid: dcid.to_vec(),
        scid: scid.to_vec(),
        token: token.to_vec(),
        number: u32::try_from(next.checked_sub(1)?).ok()?,
        crypto: crypto.collect::<Option<_>>()?,
        is_google: version.google_frames,
        len: packet.bytes.len(),
    })
}

/// What a client sends first: `hello` (for Q050 a CHLO, else a ClientHello with its four-byte
/// handshake header) in order, over as many datagrams of 1200 bytes as it needs.
///
/// Empty when `version` has no known keys or a connection ID is longer than 20 bytes.
pub fn initial_packets(version: u32, dcid: &[u8], scid: &[u8], hello: &[u8]) -> Vec<Vec<u8>> {
    let packet = |(index, part): (usize, &[u8])| {
        let frame = crypto_frame(version, index * HELLO_BYTES_A_DATAGRAM, part)?;
        let header = Initial {
            number: u32::try_from(index).ok()?,
            ..Initial::first(version, dcid, scid)
        };
        header.packet(&frame, MIN_INITIAL_DATAGRAM)
    };
    hello
        .chunks(HELLO_BYTES_A_DATAGRAM)
        .enumerate()
        .map(packet)
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// A CRYPTO frame (RFC 9000 section 19.6) as `version` encodes it. `None` when the version is
/// not known or `offset` or the length is not below 2^30.
pub fn crypto_frame(version: u32, offset: usize, data: &[u8]) -> Option<Vec<u8>> {
    let google = self::version(version)?.handshake == Handshake::QuicCrypto;
    let mut frame = vec![if google { 0x08 } else { 0x06 }];
    push_variable(&mut frame, offset)?;
    push_variable(&mut frame, data.len())?;
    frame.extend_from_slice(data);
    Some(frame)
}

/// A TLS 1.3 ClientHello of QUIC (RFC 9001) that asks for `server_name` and offers `alpn`, with
/// its handshake header. `key_share` more bytes of key share make it as long as one with
/// post-quantum key agreement (1184 for X25519MLKEM768).
///
/// Lengths that do not fit their fields are cut to what fits.
pub fn client_hello(server_name: &str, alpn: &[&str], key_share: usize) -> Vec<u8> {
    let mut protocols = Vec::new();
    for protocol in alpn {
        push_vector(&mut protocols, 1, protocol.as_bytes());
    }
    let mut name = vec![0];
    push_vector(&mut name, 2, server_name.as_bytes());
    // X25519, or X25519MLKEM768 when there is more
    let mut share = if key_share == 0 {
        vec![0x00, 0x1d]
    } else {
        vec![0x11, 0xec]
    };
    push_vector(&mut share, 2, &vec![0x5a; 32 + key_share]);
    let mut extensions = Vec::new();
    for (kind, data) in [
        (0x0000_u16, vector(2, &name)),
        (0x000a, vector(2, &[0x11, 0xec, 0x00, 0x1d, 0x00, 0x17])),
        (0x000d, vector(2, &[0x04, 0x03, 0x08, 0x04, 0x04, 0x01])),
        (0x0010, vector(2, &protocols)),
        (0x002b, vector(1, &[0x03, 0x04])),
        (0x002d, vector(1, &[0x01])),
        (0x0033, vector(2, &share)),
        // initial_max_data, initial_max_streams_bidi, initial_source_connection_id
        (
            0x0039,
            vec![
                0x04, 0x04, 0x80, 0x10, 0x00, 0x00, 0x08, 0x02, 0x40, 0x64, 0x0f, 0x00,
            ],
        ),
    ] {
        extensions.extend_from_slice(&kind.to_be_bytes());
        push_vector(&mut extensions, 2, &data);
    }
    let mut body = vec![0x03, 0x03];
    body.extend_from_slice(&[0x0a; 32]);
    push_vector(&mut body, 1, &[]);
    push_vector(&mut body, 2, &[0x13, 0x01, 0x13, 0x02, 0x13, 0x03]);
    push_vector(&mut body, 1, &[0]);
    push_vector(&mut body, 2, &extensions);
    let mut message = vec![1];
    push_vector(&mut message, 3, &body);
    message
}

/// Appends `data` with its length in `width` bytes before it.
fn push_vector(bytes: &mut Vec<u8>, width: u32, data: &[u8]) {
    let len = data.len().min((1 << (8 * width)) - 1);
    let skipped = (usize::BITS - 8 * width) as usize / 8;
    bytes.extend(len.to_be_bytes().into_iter().skip(skipped));
    bytes.extend(data.iter().take(len));
}

fn vector(width: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_vector(&mut bytes, width, data);
    bytes
}

/// Appends a variable-length integer (RFC 9000 section 16) below 2^30.
fn push_variable(bytes: &mut Vec<u8>, value: usize) -> Option<()> {
    let value = u32::try_from(value).ok().filter(|&it| it < 1 << 30)?;
    match value {
        0..0x40 => bytes.push(value as u8),
        0x40..0x4000 => bytes.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        _ => bytes.extend_from_slice(&(value | 0x8000_0000).to_be_bytes()),
    }
    Some(())
}
