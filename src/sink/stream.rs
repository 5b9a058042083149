//! Records into a stream that nobody rotates: standard output, a pipe, the file of a `read`.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;

use super::way::{Open, Opened, Place, Said, Sink};
use crate::encode::Framing;

/// Bytes that are held before they are written.
const HELD: usize = 1 << 16;

/// Standard output, as the place of an output.
#[derive(Debug)]
struct StandardOutput;

/// Standard output, of which there is no more to say.
///
/// # Errors
///
/// None.
pub fn standard_output(_: &Said<'_>) -> Result<Arc<dyn Place>, String> {
    Ok(Arc::new(StandardOutput))
}

impl Place for StandardOutput {
    fn prepare(&self) -> io::Result<Open> {
        Ok(Box::new(|framing, _| {
            Ok(Opened::quietly(Stream::new(io::stdout(), framing)))
        }))
    }

    fn path(&self) -> Option<&Path> {
        Some(Path::new("-"))
    }
}

/// Records into a stream.
#[derive(Debug)]
pub struct Stream<W> {
    out: W,
    framing: Framing,
    head: Vec<u8>,
    /// Bytes of the head that the stream has.
    told: usize,
    /// Records so far, as the framing counts them.
    number: u32,
    /// What is not written yet.
    waiting: Vec<u8>,
    /// Where records end in it.
    ends: VecDeque<usize>,
}

impl<W: Write + Send> Stream<W> {
    /// Records of this framing into `out`.
    pub const fn new(out: W, framing: Framing) -> Self {
        Self {
            out,
            framing,
            head: Vec::new(),
            told: 0,
            number: 0,
            waiting: Vec::new(),
            ends: VecDeque::new(),
        }
    }

    fn add(&mut self, record: &[u8]) {
        let start = self.waiting.len();
        self.framing.on_stream(record, &mut self.waiting);
        if let Some(record) = self.waiting.get_mut(start..) {
            self.number = self.framing.number(record, self.number);
        }
    }

    /// Writes out what waits; where that fails, what is left waits on.
    fn write_out(&mut self) -> io::Result<()> {
        let mut written = 0;
        let outcome = loop {
            let rest = self.waiting.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.out.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.waiting.drain(..written);
        while self.ends.front().is_some_and(|&end| end <= written) {
            self.ends.pop_front();
        }
        self.ends.iter_mut().for_each(|end| *end -= written);
        outcome
    }
}

impl<W: Write + Send> Sink for Stream<W> {
    fn head(&mut self, head: &[u8]) {
        head.clone_into(&mut self.head);
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        if self.waiting.len() + record.len() > HELD {
            self.write_out()?;
        }
        while let Some(rest) = self.head.get(self.told..).filter(|rest| !rest.is_empty()) {
            let part = self.framing.first(rest).to_vec();
            self.told += part.len();
            self.add(&part);
        }
        self.add(record);
        self.ends.push_back(self.waiting.len());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.out.flush()
    }

    fn held(&self) -> u64 {
        self.ends.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and then none.
    struct Narrow(usize, Vec<u8>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.0).min(5);
            self.0 -= count;
            self.1.extend_from_slice(&bytes[..count]);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_not_written_is_held_and_written_later() {
        let framing = Framing::Lines { may_pad: false };
        let mut stream = Stream::new(Narrow(16, Vec::new()), framing);
        stream.head(b"a,b\n");
        for _ in 0..3 {
            stream.put(b"1,23456\n").unwrap();
        }
        assert_eq!(stream.held(), 3);
        assert!(stream.flush().is_err());
        assert_eq!(stream.held(), 2, "one of three is out, another in part");
        stream.out.0 = 100;
        stream.flush().unwrap();
        assert_eq!(stream.held(), 0);
        assert_eq!(stream.out.1, b"a,b\n1,23456\n1,23456\n1,23456\n");
    }
}
