//! What is said of the front of some bytes, and what texts in messages are told by.

use crate::flow::Side;

/// What the front of some bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// No message of this protocol.
    Other,
    /// Too few bytes to tell.
    Short,
    /// A message.
    Message {
        /// Its length, which may reach beyond what has come.
        len: usize,
        /// How many bits of it are fixed.
        bits: u32,
        /// Who sends such a one, if that is known.
        sender: Option<Side>,
    },
}

impl Frame {
    /// A message that this side sends.
    pub(super) const fn from(sender: Side, len: usize, bits: u32) -> Self {
        Self::Message {
            len,
            bits,
            sender: Some(sender),
        }
    }

    /// A message that either side may send.
    pub(super) const fn of_either(len: usize, bits: u32) -> Self {
        Self::Message {
            len,
            bits,
            sender: None,
        }
    }
}

/// Whether `bytes` are text as people write it: no control but white space.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| *byte >= 0x20 && *byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Whether `text` begins with one of `words`, in any case, and no further letter.
pub(super) fn begins_with_word(text: &[u8], words: &[&str]) -> bool {
    let end = text
        .iter()
        .take(16)
        .position(|byte| !byte.is_ascii_alphabetic())
        .unwrap_or_else(|| text.len().min(16));
    let word = text.get(..end).unwrap_or_default();
    words
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}
