//! What the bytes of a packed value are. `build.rs` has this file as well.
//!
//! Numbers are LEB128. A set is the number of its files; for each its path, how long its text is, and
//! its tree; then the trees, then the texts, in the same order. A tree is the inside of a table: the
//! number of its entries, and for each the key and a value. A value is one of these tags, where it
//! begins in the text, how long it is there, and:

/// How long it is, and the bytes.
pub(super) const TEXT: u8 = 1;
/// A number, the sign in its lowest bit (zigzag).
pub(super) const INTEGER: u8 = 2;
/// Eight bytes, the lowest first.
pub(super) const FLOAT: u8 = 3;
/// A byte.
pub(super) const BOOLEAN: u8 = 4;
/// How many bytes follow, the number of values, and they.
pub(super) const LIST: u8 = 5;
/// How many bytes follow, and the inside of the table.
pub(super) const TABLE: u8 = 6;
/// Nothing more: it is what stands in the text there, between two quotes.
pub(super) const QUOTED: u8 = 7;
