//! LZ4 frames, one after another, as the `lz4` tool writes and `cat` joins them.
//!
//! `lz4_flex` reads one frame and takes the end of the input for the end of the frame. Here the two
//! are told apart: a file that ends inside a frame is cut, and that is said.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use lz4_flex::frame::FrameDecoder;

use crate::capture::raw::{Raw, is_pause};

/// A decompressor. It holds three blocks at most, of 4 MiB each (LZ4 frame format 1.6.4, BD byte)
/// or 8 MiB (the format before it).
pub(super) struct Decoder {
    /// There is always one, but while it is replaced.
    frame: Option<FrameDecoder<Whole>>,
    /// Nothing of the next frame has been read.
    between: bool,
}

impl Decoder {
    pub(super) fn new(bytes: BufReader<Raw>) -> Self {
        let whole = Whole {
            bytes,
            ended: false,
        };
        Self {
            frame: Some(FrameDecoder::new(whole)),
            between: true,
        }
    }

    /// The file below.
    pub(super) fn raw(&self) -> Option<&Raw> {
        let frame = self.frame.as_ref()?;
        Some(frame.get_ref().bytes.get_ref())
    }
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(frame) = &mut self.frame {
            if self.between && frame.get_mut().is_at_end()? {
                return Ok(0);
            }
            self.between = false;
            let count = frame.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if frame.get_ref().ended {
                let message = "the file ends inside a frame";
                return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
            }
            // Its buffers are of the size this frame asked for: the next has its own.
            self.frame = self
                .frame
                .take()
                .map(|frame| FrameDecoder::new(frame.into_inner()));
            self.between = true;
        }
        Ok(0)
    }
}

/// Waits out pauses and interruptions: the frame decoder would lose what it has read of a header or
/// a block.
struct Whole {
    bytes: BufReader<Raw>,
    /// The end of the file has been met.
    ended: bool,
}

fn passes(error: &io::Error) -> bool {
    is_pause(error) || error.kind() == ErrorKind::Interrupted
}

impl Whole {
    fn is_at_end(&mut self) -> io::Result<bool> {
        loop {
            match self.bytes.fill_buf() {
                Err(error) if passes(&error) => {}
                held => return held.map(<[u8]>::is_empty),
            }
        }
    }
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.bytes.read(buffer) {
                Err(error) if passes(&error) => {}
                read => {
                    self.ended |= !buffer.is_empty() && matches!(read, Ok(0));
                    return read;
                }
            }
        }
    }
}
