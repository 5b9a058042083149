//! Several capture files as one stream, in the order of their first frames.
//!
//! The front door of stage 1 for files: [`Inputs`] looks at the head of each file, then reads one
//! after the other with [`Reader`]. Frames are numbered through, and the watermark never falls.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::capture::Block;
use crate::capture::error::{Damage, Error};
use crate::capture::file::{Counts, Options, Reader};
use crate::capture::input;
use crate::time::Timestamp;

/// Capture files as one stream of blocks.
#[derive(Debug)]
pub struct Inputs {
    options: Options,
    waiting: VecDeque<Waiting>,
    current: Option<Reader>,
    size: Option<u64>,
    /// What the files before the current one held.
    counts: Counts,
    watermark: Timestamp,
    position: u64,
    damages: Vec<Damage>,
}

/// A file whose turn has not come.
#[derive(Debug)]
enum Waiting {
    /// To be opened again, so that a thousand files do not take a thousand descriptors.
    Closed(PathBuf),
    /// Cannot be opened again; with the block that was read to see its time.
    Open(Box<Reader>, Option<Block>),
}

impl Inputs {
    /// Opens all of `paths` and orders them by the times of their first frames; files with the
    /// same time stay in the order given.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`], for any of them.
    pub fn open<P: AsRef<Path>>(paths: &[P], options: &Options) -> Result<Self, Error> {
        let mut size = Some(0_u64);
        let mut ordered = Vec::with_capacity(paths.len());
        let mut block = Block::default();
        for path in paths {
            let path = path.as_ref();
            let mut reader = Reader::open(path, options)?;
            size = size
                .zip(reader.size())
                .map(|(sum, size)| sum.saturating_add(size));
            if paths.len() == 1 {
                let waiting = Waiting::Open(Box::new(reader), None);
                ordered.push((None, waiting));
                break;
            }
            while reader.first_at().is_none() && reader.next_block(&mut block)? {}
            let first_at = reader.first_at();
            let waiting = if can_be_reopened(path) {
                Waiting::Closed(path.to_owned())
            } else {
                Waiting::Open(Box::new(reader), Some(std::mem::take(&mut block)))
            };
            ordered.push((first_at, waiting));
        }
        // The sort is stable: equal times keep their order.
        ordered.sort_by_key(|&(first_at, _)| first_at);
        Ok(Self {
            options: options.clone(),
            waiting: ordered.into_iter().map(|(_, waiting)| waiting).collect(),
            current: None,
            size,
            counts: Counts::default(),
            watermark: Timestamp::default(),
            position: 0,
            damages: Vec::new(),
        })
    }

    /// Fills `block` with the next frames; whatever it held is gone. `false` at the end of the
    /// last file.
    ///
    /// # Errors
    ///
    /// When a file cannot be opened any more, or libpcap does not take the filter for a link type
    /// that turns up.
    pub fn next_block(&mut self, block: &mut Block) -> Result<bool, Error> {
        loop {
            let read = match &mut self.current {
                Some(reader) => reader.next_block(block)?,
                None => match self.waiting.pop_front() {
                    Some(waiting) => self.start(waiting, block)?,
                    None => false,
                },
            };
            if read {
                block.first_number += self.counts.frames;
                block.position = block.position.saturating_add(self.position);
                self.watermark = self.watermark.max(block.watermark);
                block.watermark = self.watermark;
                return Ok(true);
            }
            match self.current.take() {
                Some(reader) => self.finish(&reader),
                None if self.waiting.is_empty() => {
                    block.frames.clear();
                    block.left_out.clear();
                    block.first_number = self.counts.frames + 1;
                    block.position = self.position;
                    block.watermark = self.watermark;
                    return Ok(false);
                }
                None => {}
            }
        }
    }

    /// What was wrong with the files read so far.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// What has been read so far, of all files.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        if let Some(reader) = &self.current {
            counts.add(reader.counts());
        }
        counts
    }

    /// The size of all files as they lie on disk, for progress; `None` when one is a pipe.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Makes `waiting` the current file. Whether `block` holds frames of it already.
    fn start(&mut self, waiting: Waiting, block: &mut Block) -> Result<bool, Error> {
        let (reader, first) = match waiting {
            Waiting::Closed(path) => (Reader::open(&path, &self.options)?, None),
            Waiting::Open(reader, first) => (*reader, first),
        };
        let reader = self.current.insert(reader);
        match first {
            Some(first) if reader.counts().frames > 0 => {
                *block = first;
                Ok(true)
            }
            _ => reader.next_block(block),
        }
    }

    fn finish(&mut self, reader: &Reader) {
        self.counts.add(reader.counts());
        self.position = self.position.saturating_add(reader.position());
        self.damages.extend(reader.damage().cloned());
    }
}

/// Whether opening `path` again gives the same bytes: not so for pipes.
fn can_be_reopened(path: &Path) -> bool {
    !input::is_standard_input(path) && fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::error::Fault;
    use crate::capture::samples;

    /// Files of one frame each, whose bytes are the name: name, microseconds.
    fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> Vec<PathBuf> {
        files
            .iter()
            .map(|(name, bytes)| {
                let path = folder.join(name);
                fs::write(&path, bytes).unwrap();
                path
            })
            .collect()
    }

    fn read(inputs: &mut Inputs) -> Vec<(u64, u64, String)> {
        let mut block = Block::default();
        let mut seen = Vec::new();
        let (mut watermark, mut position) = (Timestamp::default(), 0);
        while inputs.next_block(&mut block).unwrap() {
            assert!(block.watermark >= watermark && block.position >= position);
            (watermark, position) = (block.watermark, block.position);
            for index in 0..block.frames.len() {
                let frame = block.frame(index).unwrap();
                assert!(frame.at <= watermark);
                let text = String::from_utf8(frame.bytes.to_vec()).unwrap();
                seen.push((frame.number, frame.at.0 / 1_000, text));
            }
        }
        assert_eq!(block.watermark, watermark);
        assert!(block.frames.is_empty());
        seen
    }

    #[test]
    fn several_files_are_one_stream() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("late", samples::pcap(&[(30, b"late"), (31, b"later")])),
            ("tie-1", samples::pcapng(&[(20, b"tie 1"), (99, b"ahead")])),
            ("none", samples::pcap(&[])),
            ("tie-2", samples::gzip(&samples::pcap(&[(20, b"tie 2")]))),
            (
                "early",
                samples::zstd(&samples::pcapng(&[(10, b"early"), (5, b"before")])),
            ),
        ];
        let paths = write(folder.path(), &files);
        let mut inputs = Inputs::open(&paths, &Options::default()).unwrap();
        let size: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(inputs.size(), Some(size as u64));
        let wanted = [
            (1, 10, "early"),
            (2, 5, "before"),
            (3, 20, "tie 1"),
            (4, 99, "ahead"),
            (5, 20, "tie 2"),
            (6, 30, "late"),
            (7, 31, "later"),
        ]
        .map(|(number, at, text)| (number, at, text.to_owned()));
        assert_eq!(read(&mut inputs), wanted);
        assert_eq!(inputs.counts().frames, 7);
        assert_eq!(inputs.damages(), []);
        assert_eq!(inputs.position, size as u64);
    }

    #[test]
    fn damage_ends_a_file_and_not_the_stream() {
        let folder = tempfile::tempdir().unwrap();
        let mut cut = samples::pcap(&[(1, b"whole"), (2, b"cut")]);
        cut.pop();
        let files = [("cut", cut), ("good", samples::pcap(&[(3, b"good")]))];
        let paths = write(folder.path(), &files);
        let mut inputs = Inputs::open(&paths, &Options::default()).unwrap();
        let texts: Vec<String> = read(&mut inputs).into_iter().map(|seen| seen.2).collect();
        assert_eq!(texts, ["whole", "good"]);
        let [damage] = inputs.damages() else {
            panic!("{:?}", inputs.damages());
        };
        assert_eq!(damage.path, paths[0]);
        assert_eq!(damage.offset, 45);
        assert_eq!(
            damage.fault,
            Fault::CutShort {
                present: 18,
                needed: 19
            }
        );
        assert!(
            damage
                .to_string()
                .ends_with("damaged at byte 45: the file ends inside a record: 18 of 19 bytes")
        );
    }

    #[test]
    fn the_order_is_that_of_all_frames_the_filter_that_of_some() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (
                "second",
                samples::pcap(&[(5, b"short"), (6, b"a longer text")]),
            ),
            (
                "first",
                samples::pcap(&[(1, b"brief"), (9, b"a long text")]),
            ),
        ];
        let paths = write(folder.path(), &files);
        let options = Options {
            filter: Some("greater 10".to_owned()),
            ..Options::default()
        };
        let mut inputs = Inputs::open(&paths, &options).unwrap();
        let wanted = [
            (2, 9, "a long text".to_owned()),
            (4, 6, "a longer text".to_owned()),
        ];
        assert_eq!(read(&mut inputs), wanted);
        let counts = inputs.counts();
        assert_eq!((counts.frames, counts.left_out_frames), (4, 2));
        assert_eq!(counts.left_out_bytes, 10);
    }

    #[test]
    fn a_bad_file_is_refused_before_any_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("good", samples::pcap(&[(3, b"good")])),
            ("bad", b"text".to_vec()),
        ];
        let paths = write(folder.path(), &files);
        let error = Inputs::open(&paths, &Options::default()).unwrap_err();
        assert!(
            error.to_string().contains("bad: not a capture file"),
            "{error}"
        );
    }

    #[test]
    fn no_files_are_an_empty_stream() {
        let mut inputs = Inputs::open::<&Path>(&[], &Options::default()).unwrap();
        assert_eq!(inputs.size(), Some(0));
        assert_eq!(read(&mut inputs), []);
    }
}
