//! Frames into a capture file as they were captured: pcap or pcapng, with nanoseconds.

use std::error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::capture::{Frame, LinkType};

/// As the file header of a pcap file says how long frames may be: no limit of ours.
const SNAP_LEN: u32 = 262_144;

/// Writes frames to `out`.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    format: Format,
    /// Link types that have been described, in the order of their interfaces.
    links: Vec<LinkType>,
    begun: bool,
}

/// A capture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One link type.
    Pcap,
    /// Any number of them.
    Pcapng,
}

/// Why a frame was not written.
#[derive(Debug)]
pub enum Error {
    /// What the system says.
    Io(io::Error),
    /// A pcap file has one link type.
    Mixed {
        /// That of the frames before.
        first: LinkType,
        /// That of this one.
        other: LinkType,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Mixed { first, other } => write!(
                f,
                "the frames are of the link types {} and {}, and a pcap file holds one: give a \
                 name that ends with .pcapng",
                first.0, other.0
            ),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Mixed { .. } => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Format {
    /// What the name of a file asks for. `None`: something that is not written.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_ref().and_then(|ending| ending.to_str()) {
            Some("pcapng" | "ntar") => Some(Self::Pcapng),
            Some("gz" | "zst" | "xz" | "bz2" | "lz4") => None,
            _ => Some(Self::Pcap),
        }
    }
}

impl<W: Write> Writer<W> {
    /// Writes a file of this format to `out`.
    pub const fn new(out: W, format: Format) -> Self {
        Self {
            out,
            format,
            links: Vec::new(),
            begun: false,
        }
    }

    /// Adds a frame.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or the format cannot hold it.
    pub fn write(&mut self, frame: &Frame<'_>) -> Result<(), Error> {
        self.begin(frame.link)?;
        match self.format {
            Format::Pcap => self.record(frame)?,
            Format::Pcapng => self.packet_block(frame)?,
        }
        Ok(())
    }

    /// Ends the file, which is a capture without frames if there were none, and gives back what it was
    /// written to.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, Error> {
        if !self.begun {
            self.begin(LinkType::ETHERNET)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// Writes what must stand before a frame of this link type.
    fn begin(&mut self, link: LinkType) -> Result<(), Error> {
        if !self.begun {
            self.begun = true;
            match self.format {
                Format::Pcap => self.file_header(link)?,
                Format::Pcapng => self.section_header()?,
            }
        }
        if self.links.contains(&link) {
            return Ok(());
        }
        match (self.format, self.links.first()) {
            (Format::Pcap, Some(&first)) => return Err(Error::Mixed { first, other: link }),
            (Format::Pcap, None) => {}
            (Format::Pcapng, _) => self.interface(link)?,
        }
        self.links.push(link);
        Ok(())
    }

    fn words(&mut self, words: &[u32]) -> io::Result<()> {
        words
            .iter()
            .try_for_each(|word| self.out.write_all(&word.to_le_bytes()))
    }

    /// draft-ietf-opsawg-pcap, section 4.
    fn file_header(&mut self, link: LinkType) -> io::Result<()> {
        self.words(&[0xa1b2_3c4d, 2 | 4 << 16, 0, 0, SNAP_LEN, link.0.into()])
    }

    /// Section 5. The seconds end in 2106.
    fn record(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let (seconds, nanoseconds) = (frame.at.0 / 1_000_000_000, frame.at.0 % 1_000_000_000);
        self.words(&[
            u32::try_from(seconds).unwrap_or(u32::MAX),
            nanoseconds as u32,
            length(frame),
            frame.wire_len,
        ])?;
        self.out.write_all(frame.bytes)
    }

    /// draft-ietf-opsawg-pcapng, section 4.1: version 1.0, of unknown length.
    fn section_header(&mut self) -> io::Result<()> {
        self.words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28])
    }

    /// Section 4.2: no limit to the length of frames, and `if_tsresol` (9) of nanoseconds.
    fn interface(&mut self, link: LinkType) -> io::Result<()> {
        self.words(&[1, 32, link.0.into(), 0, 9 | 1 << 16, 9, 0, 32])
    }

    /// Section 4.3.
    fn packet_block(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let place = self.links.iter().position(|&link| link == frame.link);
        let interface = u32::try_from(place.unwrap_or_default()).unwrap_or_default();
        let captured = length(frame);
        let padded = captured.next_multiple_of(4);
        let len = 32 + padded;
        let (high, low) = ((frame.at.0 >> 32) as u32, frame.at.0 as u32);
        self.words(&[6, len, interface, high, low, captured, frame.wire_len])?;
        self.out.write_all(frame.bytes)?;
        let padding = [0; 3];
        let missing = (padded - captured) as usize;
        self.out
            .write_all(padding.get(..missing).unwrap_or_default())?;
        self.words(&[len])
    }
}

/// It fits: readers refuse longer records.
fn length(frame: &Frame<'_>) -> u32 {
    u32::try_from(frame.bytes.len()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::capture::file::{Options, Reader};
    use crate::capture::{Block, Envelope, InterfaceId};
    use crate::time::Timestamp;

    fn frame(at: u64, link: LinkType, wire_len: u32, bytes: &[u8]) -> Frame<'_> {
        Frame {
            at: Timestamp(at),
            number: 1,
            link,
            wire_len,
            frames: 1,
            envelope: Envelope::None,
            interface: InterfaceId::default(),
            bytes,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let frames = [
            frame(1_700_000_000_123_456_789, LinkType::ETHERNET, 5, b"whole"),
            frame(1_700_000_000_123_456_790, LinkType::ETHERNET, 9000, b"cut"),
            frame(1, LinkType::RAW, 4, b"four"),
            frame(0, LinkType::ETHERNET, 60, b""),
        ];
        for (format, count) in [
            (Format::Pcap, 0),
            (Format::Pcap, 2),
            (Format::Pcapng, 0),
            (Format::Pcapng, 4),
        ] {
            let frames = &frames[..count];
            let mut bytes = Vec::new();
            let mut writer = Writer::new(&mut bytes, format);
            frames.iter().for_each(|frame| writer.write(frame).unwrap());
            writer.finish().unwrap();
            let bytes = Box::new(Cursor::new(bytes));
            let mut reader = Reader::from_read(Path::new("x"), bytes, &Options::default()).unwrap();
            let (mut block, mut seen) = (Block::default(), Vec::new());
            while reader.next_block(&mut block).unwrap() {
                for index in 0..block.frames.len() {
                    let frame = block.frame(index).unwrap();
                    seen.push((frame.at, frame.link, frame.wire_len, frame.bytes.to_vec()));
                }
            }
            let expected: Vec<_> = frames
                .iter()
                .map(|frame| (frame.at, frame.link, frame.wire_len, frame.bytes.to_vec()))
                .collect();
            assert_eq!(seen, expected, "{format:?}");
            assert!(reader.damage().is_none());
        }
    }

    #[test]
    fn pcap_has_one_link_type() {
        let mut writer = Writer::new(Vec::new(), Format::Pcap);
        writer
            .write(&frame(0, LinkType::ETHERNET, 1, b"a"))
            .unwrap();
        let error = writer.write(&frame(0, LinkType::RAW, 1, b"b")).unwrap_err();
        assert!(error.to_string().contains("1 and 101"), "{error}");
    }

    #[test]
    fn names_say_the_format() {
        for (name, format) in [
            ("a.pcap", Some(Format::Pcap)),
            ("a.pcapng", Some(Format::Pcapng)),
            ("A.PCAPNG", Some(Format::Pcapng)),
            ("a.cap", Some(Format::Pcap)),
            ("-", Some(Format::Pcap)),
            ("a.pcap.gz", None),
            ("a.pcapng.zst", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
