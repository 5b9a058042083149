//! A capture file as it lies on disk or comes through a pipe, before anything is decompressed.

use std::io::{self, Read};

/// Enough to tell compressed files from everything else.
const MAGIC_LEN: usize = 6;

/// The file as it lies on disk or comes through a pipe; its first bytes have been looked at.
pub(super) struct Raw {
    inner: Box<dyn Read + Send>,
    start: [u8; MAGIC_LEN],
    start_len: usize,
    given: usize,
    pub(super) count: u64,
}

impl Raw {
    pub(super) fn new(mut inner: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut start = [0; MAGIC_LEN];
        let mut start_len = 0;
        while let Some(rest) = start.get_mut(start_len..).filter(|rest| !rest.is_empty()) {
            match inner.read(rest) {
                Ok(0) => break,
                Ok(count) => start_len += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            inner,
            start,
            start_len,
            given: 0,
            count: 0,
        })
    }

    pub(super) fn start(&self) -> &[u8] {
        self.start.get(..self.start_len).unwrap_or_default()
    }
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let looked_at = self.start().get(self.given..).unwrap_or_default();
        let count = if looked_at.is_empty() {
            self.inner.read(buffer)?
        } else {
            let mut looked_at = looked_at;
            let count = looked_at.read(buffer)?;
            self.given += count;
            count
        };
        self.count += count as u64;
        Ok(count)
    }
}

/// Whether `error` says only that nothing has come for a moment: what was read before may be handed
/// on, and reading again waits for more.
pub(super) fn is_pause(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
