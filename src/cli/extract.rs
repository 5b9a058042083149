//! `read --write-pcap FILE`: the frames of the flows that are asked for.
//!
//! What a flow is shows only after its first frames have passed, so the input is read three times:
//! to name the flows, to find the frames of those asked for (by the same code, so they are the same
//! flows), and to copy them. What is held meanwhile is a number for each such flow and a bit for
//! each frame of the input.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use super::outputs::is_standard_output;
use super::records::is_dash;
use super::select::Selection;
use super::settings::Input;
use crate::capture::Block;
use crate::capture::stop::Stop;
use crate::capture::writer::{Error, Format, Writer};
use crate::decode;
use crate::pipeline::{self, Config, Failure, FlowIds};
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::usage::{self, Closed};

/// Flows whose frames can be asked for: what is kept of them is 64 MiB or so.
const MOST_FLOWS: usize = 1 << 22;

/// What is to be written, and where to.
#[derive(Debug)]
pub(super) struct Extract {
    path: PathBuf,
    format: Format,
    selection: Selection,
}

/// What the first reading has come to.
#[derive(Debug)]
pub(super) struct FirstReading {
    /// The flows that are asked for.
    pub(super) flows: FlowIds,
    /// How many frames were read.
    pub(super) frames: u64,
    /// How many bytes of the input that took.
    pub(super) position: u64,
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) frames: u64,
    pub(super) flows: u64,
    /// A signal ended it before all frames of the first reading had their turn.
    pub(super) is_cut: bool,
}

impl Extract {
    /// Frames of `selection` into `path`, out of `files`.
    ///
    /// # Errors
    ///
    /// Why that is not possible.
    pub(super) fn new(
        path: &Path,
        selection: Selection,
        files: &[PathBuf],
    ) -> Result<Self, String> {
        let format = Format::of(path).ok_or_else(|| {
            format!(
                "--write-pcap {}: captures are written as .pcap or .pcapng, not compressed",
                path.display()
            )
        })?;
        let is_file = |path: &PathBuf| {
            // What does not exist is told when it is opened.
            !is_dash(path) && fs::metadata(path).map_or(true, |metadata| metadata.is_file())
        };
        if let Some(stream) = files.iter().find(|path| !is_file(path)) {
            let name = if is_dash(stream) {
                "standard input".to_owned()
            } else {
                stream.display().to_string()
            };
            return Err(format!(
                "--write-pcap reads its input three times, and {name} can be read once: save it \
                 to a file first"
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            format,
            selection,
        })
    }

    /// Where the frames go.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is anything of the names that are asked for.
    pub(super) fn check_names(&self, set: &SignatureSet) -> anyhow::Result<()> {
        self.selection.check_names(set)
    }

    /// Chooses flows as they end.
    pub(super) fn chooser(&self) -> Chooser {
        Chooser {
            selection: self.selection.clone(),
            flows: FlowIds::default(),
        }
    }

    /// Opens the file that is written.
    pub(super) fn create(&self) -> anyhow::Result<Box<dyn Write>> {
        if is_standard_output(&self.path) {
            return Ok(Box::new(BufWriter::with_capacity(1 << 16, io::stdout())));
        }
        let file = File::create(&self.path)
            .with_context(|| format!("cannot create {}", self.path.display()))?;
        Ok(Box::new(BufWriter::with_capacity(1 << 16, file)))
    }

    /// Reads `input` twice again and writes the frames of the flows chosen to `out`.
    pub(super) fn run(
        &self,
        out: Box<dyn Write>,
        input: &Input,
        first: FirstReading,
        set: &Arc<SignatureSet>,
        config: &Config,
        stop: &Stop,
    ) -> anyhow::Result<Written> {
        let flows = first.flows.len() as u64;
        let was_asked = stop.is_asked();
        // Neither goes further than the reading before it.
        let (marked, until) = mark(input, first, set, config, stop)?;
        let mut writer = Writer::new(out, self.format);
        let mut frames = 0;
        // Where a signal has ended a reading, this one follows it to there; else one may come now.
        let follows = stop.is_asked();
        let mut inputs = input.open(&Stop::default())?;
        let mut block = Block::default();
        'blocks: while inputs.next_block(&mut block)? && (follows || !stop.is_asked()) {
            for index in 0..block.frames.len() {
                let Some(frame) = block.frame(index) else {
                    continue;
                };
                if frame.number > until {
                    break 'blocks;
                }
                if marked.has(frame.number) {
                    writer.write(&frame).map_err(|error| self.failed(error))?;
                    frames += 1;
                }
            }
        }
        writer.finish().map_err(|error| self.failed(error))?;
        Ok(Written {
            frames,
            flows,
            is_cut: !was_asked && stop.is_asked(),
        })
    }

    /// What cannot be written whole is not left behind to be taken for it.
    fn failed(&self, error: Error) -> anyhow::Error {
        if matches!(error, Error::Mixed { .. })
            && fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_file())
        {
            let _ = fs::remove_file(&self.path);
        }
        let context = format!("cannot write {}", self.path.display());
        match error {
            Error::Io(error) => anyhow::Error::from(error).context(context),
            mixed @ Error::Mixed { .. } => anyhow::Error::from(mixed).context(context),
        }
    }
}

/// Finds the frames of the flows chosen, and how many frames were read for that.
fn mark(
    input: &Input,
    first: FirstReading,
    set: &Arc<SignatureSet>,
    config: &Config,
    stop: &Stop,
) -> anyhow::Result<(Frames, u64)> {
    let config = Config {
        decode: decode::Config {
            frame_numbers: true,
            ..config.decode.clone()
        },
        usage: usage::Config::default(),
        records: false,
        stats: false,
        mark: Some(Arc::new(first.flows)),
        ..config.clone()
    };
    // A first reading that a signal ended is followed as far as it went; else one may come now.
    let reached = Arc::new(AtomicBool::new(false));
    let was_asked = stop.is_asked();
    let stop = if was_asked {
        Stop::between_blocks(Arc::clone(&reached))
    } else {
        stop.clone()
    };
    let mut inputs = input.open(&stop)?;
    let mut frames = Frames::default();
    let outcome = pipeline::run(&mut inputs, set, &config, &mut frames, &mut |position| {
        if was_asked && position >= first.position {
            reached.store(true, Ordering::SeqCst);
        }
    });
    outcome.map_err(|failure| match failure {
        Failure::Read(error) => anyhow::Error::from(error),
        Failure::Write(error) => anyhow::Error::from(error),
    })?;
    Ok((frames, first.frames.min(inputs.counts().frames)))
}

/// Takes the numbers of flows that are asked for.
#[derive(Debug)]
pub(super) struct Chooser {
    selection: Selection,
    pub(super) flows: FlowIds,
}

impl Exporter for Chooser {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if !self.selection.takes(record, set) {
            return Ok(());
        }
        if self.flows.len() >= MOST_FLOWS {
            return Err(io::Error::other(format!(
                "more than {MOST_FLOWS} flows are asked for by --write-pcap: ask for fewer"
            )));
        }
        self.flows.insert(record.flow_id);
        Ok(())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Frames by their numbers, a bit each.
#[derive(Debug, Default)]
struct Frames {
    words: Vec<u64>,
}

impl Frames {
    fn add(&mut self, number: u64) {
        let Ok(place) = usize::try_from(number / 64) else {
            return;
        };
        if place >= self.words.len() {
            self.words.resize(place + 1, 0);
        }
        if let Some(word) = self.words.get_mut(place) {
            *word |= 1 << (number % 64);
        }
    }

    fn has(&self, number: u64) -> bool {
        let place = usize::try_from(number / 64).ok();
        let word = place.and_then(|place| self.words.get(place));
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

impl Exporter for Frames {
    fn flow(&mut self, _: &FlowRecord, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn frames(&mut self, numbers: &[u64]) -> io::Result<()> {
        numbers.iter().for_each(|&number| self.add(number));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
