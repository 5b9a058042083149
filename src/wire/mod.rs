//! Header views: bytes in, checked borrowed views out, nothing kept.
//!
//! A view exists only if its lengths hold, so no accessor fails or panics. Headers up to layer 4
//! live here; everything above is `dissect`.
#![deny(clippy::indexing_slicing)]

pub mod reader;

use std::fmt;

/// Why bytes are not the header they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// The captured bytes end inside the header.
    Truncated,
    /// A length field contradicts the bytes around it.
    BadLength,
    /// A version or type field holds a value this header cannot have.
    BadValue,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the bytes end inside the header",
            Self::BadLength => "a length field contradicts the bytes around it",
            Self::BadValue => "a field holds a value this header cannot have",
        })
    }
}

impl std::error::Error for WireError {}
