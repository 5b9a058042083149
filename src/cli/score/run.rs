//! Reading captures for their score, as they are or made harder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;

use super::super::settings::Input;
use crate::capture::Block;
use crate::capture::file::{Options, Reader};
use crate::capture::inputs::Inputs;
use crate::capture::stop::Stop;
use crate::capture::writer::{Error, Format, Writer};
use crate::classify::behaviour::Behaviour;
use crate::config::Settings;
use crate::pipeline::{self, Config, Failure};
use crate::record::FlowRecord;
use crate::score::Seen;
use crate::score::harder::{Harder, Rewriter, Rewritten};
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::usage::Closed;

/// What is read as one.
#[derive(Debug)]
pub(super) struct Capture {
    /// As the truth names it.
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
}

/// Reads captures.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    pub(super) input: &'a Input,
    pub(super) settings: &'a Settings,
    pub(super) set: &'a Arc<SignatureSet>,
    /// Names by what flows do, if there is a model.
    pub(super) behaviour: Option<Behaviour>,
    pub(super) stop: &'a Stop,
    pub(super) seed: u64,
    /// Where harder captures are written to.
    pub(super) write: Option<&'a Path>,
}

impl Runner<'_> {
    /// What the flows of each of `captures` are called, `workers` at a time, in their order.
    pub(super) fn all<'c>(
        &self,
        captures: &'c [Capture],
        harder: Option<Harder>,
        workers: usize,
    ) -> Vec<(&'c Capture, anyhow::Result<Seen>)> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(capture) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.stop.is_asked() {
                    break;
                }
                let seen = self.one(capture, harder);
                let seen = seen.with_context(|| match capture.name.as_str() {
                    "" => "cannot be read".to_owned(),
                    name => name.to_owned(),
                });
                done.push((capture, seen));
            }
            done
        };
        let mut done: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for thread in threads {
                match thread.join() {
                    Ok(others) => done.extend(others),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        done.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        done
    }

    fn one(&self, capture: &Capture, harder: Option<Harder>) -> anyhow::Result<Seen> {
        let mut inputs = self.input.open_these(&capture.files, self.stop)?;
        if let Some(harder) = harder {
            inputs = self.harder(inputs, &capture.name, harder)?;
        }
        let config = Config {
            workers: 1,
            duplicates: self.input.duplicates(),
            decode: self.settings.decode.clone(),
            flow: self.settings.flow.clone(),
            learning: self.settings.learning,
            behaviour: self.behaviour.clone(),
            records: true,
            steps: true,
            ..Config::default()
        };
        let mut taker = Taker::default();
        pipeline::run(&mut inputs, self.set, &config, &mut taker, &mut |_| {}).map_err(
            |failure| match failure {
                Failure::Read(error) => anyhow::Error::from(error),
                Failure::Write(error) => anyhow::Error::from(error),
            },
        )?;
        Ok(taker.seen)
    }

    /// The frames of `inputs`, made harder.
    fn harder(&self, mut inputs: Inputs, name: &str, harder: Harder) -> anyhow::Result<Inputs> {
        let mut writer = Writer::new(Vec::new(), Format::Pcapng);
        let mut rewriter = Rewriter::new(harder, self.seed);
        let mut block = Block::default();
        let mut rewritten = Vec::new();
        while inputs.next_block(&mut block)? {
            for frame in (0..block.frames.len()).filter_map(|index| block.frame(index)) {
                rewriter.frame(frame, &mut rewritten);
                write(&mut writer, &mut rewritten)?;
            }
        }
        rewriter.finish(&mut rewritten);
        write(&mut writer, &mut rewritten)?;
        let bytes = writer.finish()?;
        if let Some(folder) = self.write {
            save(&folder.join(harder.slug()), name, &bytes)?;
        }
        let options = Options::default();
        let reader = Reader::from_read(Path::new(name), Box::new(Cursor::new(bytes)), &options)?;
        Ok(Inputs::of_reader(reader, &options))
    }
}

fn write(writer: &mut Writer<Vec<u8>>, frames: &mut Vec<Rewritten>) -> Result<(), Error> {
    frames
        .drain(..)
        .try_for_each(|frame| writer.write(&frame.frame()))
}

fn save(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let name = match name {
        "" => "all",
        name => name.split(".pcap").next().unwrap_or(name),
    };
    let path = folder.join(format!("{name}.pcapng"));
    let written = fs::create_dir_all(folder).and_then(|()| {
        // Never over a capture that is there.
        let mut file = BufWriter::new(File::create_new(&path)?);
        io::Write::write_all(&mut file, bytes)?;
        io::Write::flush(&mut file)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Takes in what flows are called.
#[derive(Debug, Default)]
struct Taker {
    seen: Seen,
}

impl Exporter for Taker {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        self.seen.add(record, set);
        Ok(())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
