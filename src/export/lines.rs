//! Where the lines of an exporter go: a stream, or the rotating files of [`rotate`](super::rotate).

use std::io::{self, BufWriter, Write};

use crate::time::Timestamp;

/// Takes whole lines, in order.
pub trait Lines: Send {
    /// Whether blanks in front of a line feed mean nothing to who reads the lines. Said before the
    /// first of them.
    fn may_pad(&mut self, may: bool) {
        let _ = may;
    }

    /// The first line of every file, where the format has one. Said before the first line.
    ///
    /// # Errors
    ///
    /// As for [`Lines::line`].
    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        self.line(line)
    }

    /// Takes one line with the line feed at its end, and no other in it.
    ///
    /// # Errors
    ///
    /// When this line was not taken. What was taken before is not concerned.
    fn line(&mut self, line: &[u8]) -> io::Result<()>;

    /// Writes out what has been taken; `at` is the time now.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        let _ = at;
        self.flush()
    }

    /// Writes out what has been taken.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Lines that were taken and are not written out; a header is none.
    fn held(&self) -> u64 {
        0
    }
}

impl Lines for Box<dyn Lines> {
    fn may_pad(&mut self, may: bool) {
        (**self).may_pad(may);
    }

    fn header(&mut self, line: &[u8]) -> io::Result<()> {
        (**self).header(line)
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        (**self).line(line)
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        (**self).tick(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn held(&self) -> u64 {
        (**self).held()
    }
}

impl Lines for Box<dyn Write + Send> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(self)
    }
}

impl<W: Write + Send> Lines for BufWriter<W> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_all(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(self)
    }

    fn held(&self) -> u64 {
        memchr::memchr_iter(b'\n', self.buffer()).count() as u64
    }
}

impl Lines for Vec<u8> {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.extend_from_slice(line);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
