//! LZ4 frames, one after another, as the `lz4` tool writes and `cat` joins them.
//!
//! `lz4_flex` reads one frame and takes the end of the input for the end of the frame. Here the two
//! are told apart: a file that ends inside a frame is cut, and that is said.

use std::io::{self, BufReader, Cursor, ErrorKind, Read};

use lz4_flex::frame::FrameDecoder;

use crate::capture::raw::{Patient, Raw, is_skippable, skip_frame};

/// The magic number of a frame (LZ4 frame format 1.6.4).
pub(super) const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// That of the format before it, which `lz4 -l` writes and which is not read: its blocks say nothing of
/// their end but that the file ends, or another frame begins.
const LEGACY: [u8; 4] = 0x184c_2102_u32.to_le_bytes();

/// A decompressor. It holds three blocks at most, of 4 MiB each (LZ4 frame format 1.6.4, BD byte).
pub(super) struct Decoder {
    /// There is always one, but while it is replaced.
    frame: Option<FrameDecoder<Whole>>,
    /// Nothing of the next frame has been read.
    between: bool,
}

impl Decoder {
    pub(super) fn new(bytes: BufReader<Raw>) -> Self {
        let whole = Whole {
            bytes: Patient(bytes),
            magic: Cursor::default(),
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
        Some(frame.get_ref().bytes.0.get_ref())
    }
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(frame) = &mut self.frame {
            if self.between && !frame.get_mut().next_frame()? {
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
    bytes: Patient<BufReader<Raw>>,
    /// The magic number of the frame, which has been looked at.
    magic: Cursor<Vec<u8>>,
    /// The end of the file has been met.
    ended: bool,
}

impl Whole {
    /// Goes to the next frame that is not to be skipped; whether there is one.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            let mut magic = Vec::with_capacity(MAGIC.len());
            let mut first = self.bytes.by_ref().take(MAGIC.len() as u64);
            first.read_to_end(&mut magic)?;
            if is_skippable(&magic) {
                skip_frame(&mut self.bytes)?;
                continue;
            }
            if magic == LEGACY {
                let message = "a frame of the old format, which is not read (`lz4 -d` reads it)";
                return Err(io::Error::new(ErrorKind::InvalidData, message));
            }
            let is_there = !magic.is_empty();
            self.magic = Cursor::new(magic);
            return Ok(is_there);
        }
    }
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let looked_at = self.magic.read(buffer)?;
        if looked_at > 0 {
            return Ok(looked_at);
        }
        let read = self.bytes.read(buffer);
        self.ended |= !buffer.is_empty() && matches!(read, Ok(0));
        read
    }
}
