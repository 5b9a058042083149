//! The client's hello: from its Initial packets, opened, or the frames of gQUIC.

use super::crypto::Keys;
use super::frames::{CryptoFrames, CryptoStream, LIMIT};
use super::header::Long;
use super::version::{Handshake, Version};
use super::{gquic, parameters};
use crate::dissect::Facts;
use crate::dissect::tls::{
    HelloOver, HelloRead, name_in_piece, read_client_hello, read_cut_client_hello,
};
use crate::flow::Side;

/// How far the hello is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Parts are missing.
    #[default]
    Waiting,
    /// It is whole, and the facts hold what it says.
    Whole,
    /// What the handshake begins with is no hello.
    Never,
}

/// A hello of which parts have come.
#[derive(Default)]
pub(super) struct Hello {
    state: State,
    handshake: Option<Handshake>,
    parts: Option<Box<CryptoStream>>,
}

impl Hello {
    /// How far it is.
    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Adds the handshake bytes in the frames of one packet.
    pub(super) fn read<'a>(
        &mut self,
        frames: impl Iterator<Item = (u64, &'a [u8])>,
        handshake: Handshake,
        facts: &mut Facts,
    ) {
        self.handshake = Some(handshake);
        let mut grown = false;
        for (offset, bytes) in frames {
            if offset == 0 && self.parts.is_none() {
                // Mostly the hello is in one piece.
                self.state = message(handshake, bytes, false, facts);
                if self.state != State::Waiting {
                    return;
                }
            }
            self.parts
                .get_or_insert_with(|| Box::new(CryptoStream::new()))
                .add(offset, bytes);
            grown = true;
        }
        if let Some(parts) = self.parts.as_ref().filter(|_| grown) {
            self.state = message(handshake, parts.prefix(), false, facts);
        }
    }

    /// Takes what there is of the hello: the rest will not come.
    pub(super) fn give_up(&self, facts: &mut Facts) {
        if let (State::Waiting, Some(handshake), Some(parts)) =
            (self.state, self.handshake, &self.parts)
        {
            message(handshake, parts.prefix(), true, facts);
            if facts.server_name.is_none() && handshake == Handshake::Tls {
                // Clients scatter the hello: of what is lost or cut off the name need not be a part.
                facts.server_name = parts.pieces().find_map(name_in_piece);
            }
        }
    }
}

/// Reads the hello at the start of `bytes`; `ended` when no more will come.
fn message(handshake: Handshake, bytes: &[u8], ended: bool, facts: &mut Facts) -> State {
    if handshake == Handshake::QuicCrypto {
        return if !gquic::may_be_chlo(bytes) {
            State::Never
        } else if gquic::read_chlo(bytes, ended, facts) {
            State::Whole
        } else {
            State::Waiting
        };
    }
    let read = if ended {
        read_cut_client_hello
    } else {
        read_client_hello
    };
    match read(bytes, HelloOver::Quic, facts) {
        HelloRead::Complete => {
            if let Some(agent) = parameters::user_agent(bytes) {
                facts.quic.get_or_insert_default().user_agent = Some(agent);
            }
            State::Whole
        }
        HelloRead::NeedMore => State::Waiting,
        HelloRead::NotAHello => State::Never,
    }
}

/// Opens the Initial packets of one side, as those of a client.
///
/// Their keys derive from the Destination Connection ID of the first of them. Later ones go to
/// the ID the server chose, under the same keys; only after a Retry (or when another connection
/// begins) the ID that is new makes new keys, and the handshake begins again.
#[derive(Default)]
pub(super) struct Opener<'a> {
    current: Option<Current<'a>>,
    /// One more than the highest packet number opened.
    expected: u64,
    scratch: Vec<u8>,
}

struct Current<'a> {
    keys: Keys,
    number: u32,
    dcid: &'a [u8],
    /// They have opened a packet.
    proven: bool,
}

impl<'a> Opener<'a> {
    /// The frames of `packet`, unless its keys are not known. Each try takes one of `left`.
    /// `hello` is emptied when the packet begins another connection.
    pub(super) fn open(
        &mut self,
        packet: &Long<'a>,
        left: &mut u32,
        hello: &mut Hello,
    ) -> Option<&[u8]> {
        let scratch = &mut self.scratch;
        let mut opened = None;
        if let Some(current) = &self.current
            && current.number == packet.number
            && (current.proven || current.dcid == packet.dcid)
        {
            *left = left.checked_sub(1)?;
            opened = current.keys.open(packet, &mut self.expected, scratch);
            if opened.is_none() && current.dcid == packet.dcid {
                return None;
            }
        }
        if opened.is_none() {
            for &salt in packet.version.salts {
                *left = left.checked_sub(1)?;
                let labels = packet.version.labels;
                let keys = Keys::derive(salt, labels, packet.dcid, Side::Client)?;
                let mut expected = 0;
                opened = keys.open(packet, &mut expected, scratch).filter(|frames| {
                    let frames = scratch.get(frames.clone()).unwrap_or_default();
                    !packet.cut || begins_hello(frames, packet.version)
                });
                let proven = opened.is_some();
                if proven {
                    *hello = Hello::default();
                    self.expected = expected;
                } else if self.current.as_ref().is_some_and(|it| it.proven) {
                    continue;
                }
                self.current = Some(Current {
                    keys,
                    number: packet.number,
                    dcid: packet.dcid,
                    proven,
                });
                if proven {
                    break;
                }
            }
        }
        self.scratch.get(opened?)
    }
}

/// Whether `payload` begins with the beginning of a hello, or with two pieces of one. Stands in for the
/// proof that a packet cannot give when its tag was cut off.
fn begins_hello(payload: &[u8], version: &Version) -> bool {
    let mut frames = CryptoFrames::new(payload, version.google_frames);
    match (frames.next(), version.handshake) {
        // Type, length of less than 2^16, legacy_version
        (Some((0, [1, 0, _, _, 3, 3, ..])), Handshake::Tls) => true,
        (Some((0, bytes)), Handshake::QuicCrypto) => bytes.starts_with(b"CHLO"),
        // Each has a type, an offset of no more than a hello is long, and a length that fits.
        (Some((first, one)), Handshake::Tls) => frames.next().is_some_and(|(second, other)| {
            let is_apart = first.abs_diff(second) >= one.len().min(other.len()) as u64;
            first.max(second) < LIMIT as u64 && is_apart && first != second
        }),
        _ => false,
    }
}
