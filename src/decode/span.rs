//! Captured bytes together with how many there were on the wire.

use crate::wire::WireError;

use super::DropReason;

/// A run of bytes of a frame of which the end may not have been captured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// What was captured; never more than `len`.
    pub(super) bytes: &'a [u8],
    /// Octets there are by the headers around.
    pub(super) len: usize,
}

impl<'a> Span<'a> {
    /// `bytes` and what the wire had behind them, `len` together.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], len: usize) -> Self {
        Self {
            bytes,
            len: len.max(bytes.len()),
        }
    }

    /// What is behind `count` octets that must all have been captured.
    #[inline]
    pub(super) fn skip(self, count: usize) -> Result<Self, DropReason> {
        match (self.len.checked_sub(count), self.bytes.get(count..)) {
            (Some(len), Some(bytes)) => Ok(Self { bytes, len }),
            (Some(_), None) => Err(DropReason::Truncated),
            (None, _) => Err(DropReason::Malformed),
        }
    }

    /// What is behind a header of `count` octets whose end the capture may have cut.
    #[inline]
    pub(super) fn behind(self, count: usize) -> Result<Self, DropReason> {
        match self.len.checked_sub(count) {
            Some(len) => Ok(Self {
                bytes: self.bytes.get(count..).unwrap_or_default(),
                len,
            }),
            None => Err(DropReason::Malformed),
        }
    }

    /// The first `len` octets, or all when there are fewer.
    #[inline]
    pub(super) fn limit(self, len: usize) -> Self {
        Self {
            bytes: self.bytes.get(..len).unwrap_or(self.bytes),
            len: self.len.min(len),
        }
    }

    /// Why a view of these bytes does not exist: where nothing was cut off, a header that does not
    /// fit contradicts the lengths around it.
    #[cold]
    pub(super) fn fault(self, error: WireError) -> DropReason {
        match error {
            WireError::Truncated if self.bytes.len() < self.len => DropReason::Truncated,
            _ => DropReason::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_cut_from_a_lie() {
        let cut = Span::new(&[1, 2, 3], 5);
        assert_eq!(
            cut.skip(3).map(|span| (span.bytes.len(), span.len)),
            Ok((0, 2))
        );
        assert_eq!(cut.skip(4).err(), Some(DropReason::Truncated));
        assert_eq!(cut.skip(6).err(), Some(DropReason::Malformed));
        assert_eq!(
            cut.behind(4).map(|span| (span.bytes.len(), span.len)),
            Ok((0, 1))
        );
        assert_eq!(cut.behind(6).err(), Some(DropReason::Malformed));
        assert_eq!(cut.fault(WireError::Truncated), DropReason::Truncated);
        assert_eq!(
            cut.limit(3).fault(WireError::Truncated),
            DropReason::Malformed
        );
        assert_eq!(cut.limit(2).bytes, [1, 2]);
        assert_eq!(
            Span::new(&[1, 2], 1).len,
            2,
            "a frame is no shorter than its capture"
        );
    }
}
