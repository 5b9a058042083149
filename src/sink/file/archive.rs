//! What is done with rotated files: the oldest are deleted, the others compressed, one at a time,
//! on a thread of its own.
//!
//! The folder is all the state there is: the thread is only told to look. So what a crash left
//! undone is done when the program starts again, and done once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::names::{Listing, Names};
use super::open_file::MODE;
use super::options::Compression;

/// Bytes compressed between two looks at whether to stop.
const BLOCK: usize = 1 << 16;

/// The thread, and how it is spoken to.
#[derive(Debug)]
pub(super) struct Archive {
    jobs: Option<Sender<Job>>,
    errors: Receiver<io::Error>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    /// See what there is to do.
    Look,
    /// Say when all is done.
    #[cfg(test)]
    Report(Sender<()>),
}

impl Archive {
    /// Starts the thread, which looks at once.
    pub(super) fn start(
        names: Names,
        keep: Option<usize>,
        compression: Compression,
    ) -> io::Result<Self> {
        // One place: who is told to look while it looks will look once more.
        let (jobs, inbox) = bounded(1);
        let (failed, errors) = bounded(16);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("record-files".to_owned())
            .spawn(move || {
                let work = Work {
                    names,
                    keep,
                    compression,
                    stop: stopped,
                };
                for job in inbox {
                    match job {
                        Job::Look => {
                            if let Err(error) = work.look() {
                                let _ = failed.try_send(error);
                            }
                        }
                        #[cfg(test)]
                        Job::Report(to) => {
                            let _ = to.send(());
                        }
                    }
                }
            })?;
        let archive = Self {
            jobs: Some(jobs),
            errors,
            stop,
            thread: Some(thread),
        };
        archive.look();
        Ok(archive)
    }

    /// There may be something to do.
    pub(super) fn look(&self) {
        if let Some(jobs) = &self.jobs {
            // Where there is no room, it is going to look anyway.
            let _ = jobs.try_send(Job::Look);
        }
    }

    /// What went wrong since the last time, if anything.
    pub(super) fn error(&self) -> Option<io::Error> {
        self.errors.try_iter().last()
    }

    /// Waits until nothing is left to do.
    #[cfg(test)]
    pub(super) fn wait(&self) {
        let (to, done) = bounded(1);
        let jobs = self.jobs.as_ref().unwrap();
        jobs.send(Job::Look).unwrap();
        jobs.send(Job::Report(to)).unwrap();
        done.recv().unwrap();
    }
}

impl Drop for Archive {
    /// Stops within a block. What is not finished is done at the next start.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    names: Names,
    keep: Option<usize>,
    compression: Compression,
    stop: Arc<AtomicBool>,
}

impl Work {
    /// Does all there is to do. One file that cannot be dealt with does not keep the others back.
    fn look(&self) -> io::Result<()> {
        let mut listing = self.names.list()?;
        let mut outcome = Ok(());
        for path in std::mem::take(&mut listing.unfinished) {
            let removed = remove(&path);
            outcome = outcome.and(removed);
        }
        let deleted = self.delete_oldest(&mut listing);
        outcome = outcome.and(deleted);
        if self.compression == Compression::None {
            return outcome;
        }
        for rotated in listing.rotated.values() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let Some(plain) = &rotated.plain else {
                continue;
            };
            // Both are there when a crash came between the renaming and the deletion: the compressed
            // one is whole, or it would not have its name.
            let done = if rotated.compressed.is_empty() {
                self.compress(plain)
            } else {
                Ok(true)
            };
            let put_away = match done {
                Ok(true) => remove(plain),
                Ok(false) => Ok(()),
                Err(error) => Err(about(plain, error)),
            };
            outcome = outcome.and(put_away);
        }
        outcome
    }

    fn delete_oldest(&self, listing: &mut Listing) -> io::Result<()> {
        let mut outcome = Ok(());
        while let Some(keep) = self.keep
            && listing.rotated.len() > keep
            && let Some((_, oldest)) = listing.rotated.pop_first()
        {
            for path in oldest.plain.iter().chain(&oldest.compressed) {
                let removed = remove(path);
                outcome = outcome.and(removed);
            }
        }
        outcome
    }

    /// Compresses a file beside itself. Returns whether that was done: not when told to stop.
    fn compress(&self, plain: &Path) -> io::Result<bool> {
        let suffix = self.compression.suffix().unwrap_or_default();
        let (done, unfinished) = Names::compressed(plain, suffix);
        let whole = self.copy(plain, &unfinished);
        if !matches!(whole, Ok(true)) {
            let _ = fs::remove_file(&unfinished);
            return whole;
        }
        fs::rename(&unfinished, &done)?;
        // The name has to be on disk before the original goes.
        File::open(self.names.folder())?.sync_all()?;
        Ok(true)
    }

    fn copy(&self, plain: &Path, to: &Path) -> io::Result<bool> {
        let from = File::open(plain)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(to)?;
        let out = BufWriter::with_capacity(BLOCK, file);
        let out = match self.compression {
            Compression::None => return Ok(false),
            Compression::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(out, flate2::Compression::default());
                if !self.copy_blocks(from, &mut encoder)? {
                    return Ok(false);
                }
                encoder.finish()?
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                if !self.copy_blocks(from, &mut encoder)? {
                    return Ok(false);
                }
                encoder.finish()?
            }
        };
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(true)
    }

    fn copy_blocks(&self, mut from: File, to: &mut impl Write) -> io::Result<bool> {
        let mut block = vec![0; BLOCK];
        while !self.stop.load(Ordering::Relaxed) {
            match from.read(&mut block) {
                Ok(0) => return Ok(true),
                Ok(len) => to.write_all(block.get(..len).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).map_err(|error| about(path, error))
}

fn about(path: &Path, error: io::Error) -> io::Error {
    let text = format!("cannot put away {}: {error}", path.display());
    io::Error::new(error.kind(), text)
}
