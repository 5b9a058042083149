//! A capture file as it lies on disk or comes through a pipe, before anything is decompressed.

use std::io::{self, ErrorKind, Read};

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
    /// Looks at the first bytes, those behind any [skippable frames](is_skippable).
    pub(super) fn new(inner: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut raw = Self {
            inner,
            start: [0; MAGIC_LEN],
            start_len: 0,
            given: 0,
            count: 0,
        };
        raw.look()?;
        while is_skippable(raw.start()) {
            let mut bytes = Patient(&mut raw);
            bytes.read_exact(&mut [0; 4])?;
            skip_frame(&mut bytes)?;
            raw.look()?;
        }
        Ok(raw)
    }

    /// Looks at the next bytes; those looked at before have been given.
    fn look(&mut self) -> io::Result<()> {
        (self.start_len, self.given) = (0, 0);
        while let Some(rest) = self.start.get_mut(self.start_len..)
            && !rest.is_empty()
        {
            match Patient(&mut self.inner).read(rest)? {
                0 => break,
                count => self.start_len += count,
            }
        }
        Ok(())
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

/// Waits out pauses of a stream, and interruptions.
pub(super) struct Patient<R>(pub(super) R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if is_pause(&error) || error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

/// Whether a frame that begins so is to be skipped: zstd (RFC 8878, section 3.1.2) and LZ4 (frame format
/// 1.6.4, Skippable Frames) have the same, so that it does not tell which of them a file is of.
pub(super) const fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Passes over the rest of a skippable frame: four bytes of length, and as many bytes as it says.
pub(super) fn skip_frame(bytes: &mut impl Read) -> io::Result<()> {
    let mut len = [0; 4];
    bytes.read_exact(&mut len)?;
    let len = u64::from(u32::from_le_bytes(len));
    if io::copy(&mut bytes.take(len), &mut io::sink())? < len {
        let message = "the file ends inside a frame that is to be skipped";
        return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
    }
    Ok(())
}

/// Whether `error` says only that nothing has come for a moment: what was read before may be handed
/// on, and reading again waits for more.
pub(super) fn is_pause(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}
