//! What is written must not destroy what is read, nor any capture: looked at before anything is
//! opened for writing, for every option that names a file to be written.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::records::is_dash;
use crate::capture::magic::is_capture;
use crate::config::Out;
use crate::signature;

/// Links that are followed to a file that does not exist, as the kernel does.
const MOST_LINKS: usize = 40;

/// The major number of /dev/null, /dev/zero, /dev/full: any number of writers may share them.
const MEMORY_DEVICES: u64 = 1;

/// What a run reads and writes.
#[derive(Debug, Default)]
pub(super) struct Files {
    read: Vec<PathBuf>,
    /// What asks for it, and the file.
    written: Vec<(String, PathBuf)>,
}

/// Why an output is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is what is read.
    Input { output: String, input: String },
    /// It is a capture.
    Capture(String),
    /// Two are the same.
    Twice(String, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { output, input } => {
                write!(
                    f,
                    "{output} is the same file as {input}, which is read: it would be lost"
                )
            }
            Self::Capture(output) => write!(
                f,
                "{output} is a capture, which nothing is written over or added to: name another \
                 file, or delete it first"
            ),
            Self::Twice(one, other) => write!(
                f,
                "{one} and {other} are the same file: each needs its own, or lines would be torn"
            ),
        }
    }
}

impl Files {
    /// These captures are read; `-` is standard input.
    pub(super) fn read_captures(&mut self, paths: &[PathBuf]) {
        self.read.extend_from_slice(paths);
    }

    /// This file is read, if there is one.
    pub(super) fn read(&mut self, path: Option<&PathBuf>) {
        self.read.extend(path.cloned());
    }

    /// The files of a folder of signatures are read, if there is one.
    pub(super) fn read_signatures(&mut self, folder: Option<&PathBuf>) {
        let files = folder.map(|folder| signature::look_in(folder).0);
        let paths = files.unwrap_or_default().into_iter();
        self.read
            .extend(paths.map(|file| PathBuf::from(&*file.path)));
    }

    /// `option` has this file written, if it is given; `-` is standard output.
    pub(super) fn write(&mut self, option: &str, path: Option<&PathBuf>) {
        let said = path.map(|path| (format!("{option} {}", path.display()), path.clone()));
        self.written.extend(said);
    }

    /// These outputs are written, those of them that are files; what they are authenticated by is read.
    pub(super) fn write_records(&mut self, outs: &[Out]) {
        let credentials = outs.iter().flat_map(|out| out.target.credentials());
        self.read.extend(credentials.map(Path::to_owned));
        let files = outs.iter().filter_map(|out| {
            let path = out.target.path()?;
            Some((out.to_string(), path.to_owned()))
        });
        self.written.extend(files);
    }

    /// Whether nothing that is read, and no capture, is written to, and no file twice. Standard
    /// output and standard error are looked at as well: a shell may have opened a file to add to
    /// it.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let read: Vec<(&Path, Identity)> = self
            .read
            .iter()
            .filter_map(|path| Some((path.as_path(), Identity::of_input(path)?)))
            .collect();
        let mut written: Vec<(String, Option<Identity>)> = Vec::new();
        for (name, path) in &self.written {
            written.push((name.clone(), Identity::of_output(path)));
        }
        for (place, (name, identity)) in written.iter().enumerate() {
            let Some(identity) = identity else { continue };
            let before = written.get(..place).unwrap_or_default();
            let same = before
                .iter()
                .find(|(_, other)| other.as_ref() == Some(identity));
            if let Some((other, _)) = same
                && !identity.is_shared()
            {
                return Err(Refusal::Twice(other.clone(), name.clone()));
            }
        }
        written.push(("standard output".to_owned(), Identity::of(&io::stdout())));
        written.push(("standard error".to_owned(), Identity::of(&io::stderr())));
        for (name, identity) in &written {
            let Some(identity) = identity else { continue };
            // A terminal, or a socket, is rightly both.
            let same = read.iter().find(|(_, read)| read == identity);
            if let Some((input, _)) = same
                && identity.is_storage()
            {
                return Err(Refusal::Input {
                    output: name.clone(),
                    input: if is_dash(input) {
                        "standard input".to_owned()
                    } else {
                        input.display().to_string()
                    },
                });
            }
            if identity.holds_capture() {
                return Err(Refusal::Capture(name.clone()));
            }
        }
        Ok(())
    }
}

/// Whether records that `out` asks for go where standard output goes.
pub(super) fn goes_to_standard_output(out: &Out) -> bool {
    out.target.path().is_some_and(is_standard_output)
}

/// Whether what is written to `path` goes where standard output goes.
pub(super) fn is_standard_output(path: &Path) -> bool {
    is_dash(path)
        || Identity::of(&io::stdout())
            .is_some_and(|stdout| !stdout.is_shared() && Identity::at(path) == Some(stdout))
}

/// Which file it is, whatever its names.
#[derive(Debug)]
struct Identity {
    place: Place,
    /// Where its first bytes can be read.
    path: PathBuf,
    metadata: Option<Metadata>,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Device and inode.
    Inode(u64, u64),
    /// Not there yet: the folder's device and inode, and the name in it.
    New(u64, u64, OsString),
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Identity {
    fn new(path: PathBuf, metadata: Metadata) -> Self {
        Self {
            place: Place::Inode(metadata.dev(), metadata.ino()),
            path,
            metadata: Some(metadata),
        }
    }

    /// Of an open stream of this process. `None`: it is closed.
    fn of(stream: &impl AsFd) -> Option<Self> {
        let stream = stream.as_fd();
        let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
        let opened = File::from(stream.try_clone_to_owned().ok()?);
        Some(Self::new(path.into(), opened.metadata().ok()?))
    }

    /// Of a file that is there.
    fn at(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self::new(path.to_owned(), metadata))
    }

    fn of_input(path: &Path) -> Option<Self> {
        if is_dash(path) {
            return Self::of(&io::stdin());
        }
        Self::at(path)
    }

    fn of_output(path: &Path) -> Option<Self> {
        if is_dash(path) {
            return Self::of(&io::stdout());
        }
        Self::at(path).or_else(|| Self::of_new(path.to_owned()))
    }

    /// Of a file that writing to `path` would make.
    fn of_new(mut path: PathBuf) -> Option<Self> {
        for _ in 0..MOST_LINKS {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            if let Ok(target) = fs::read_link(&path) {
                path = folder.join(target);
                continue;
            }
            let metadata = fs::metadata(folder).ok()?;
            let name = path.file_name()?.to_owned();
            return Some(Self {
                place: Place::New(metadata.dev(), metadata.ino(), name),
                path,
                metadata: None,
            });
        }
        None
    }

    /// Whether any number of writers may share it.
    fn is_shared(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| {
            metadata.file_type().is_char_device() && metadata.rdev() >> 8 == MEMORY_DEVICES
        })
    }

    /// Whether what is written to it takes the place of what was there, or comes back as input.
    fn is_storage(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| {
            let kind = metadata.file_type();
            kind.is_file() || kind.is_block_device() || kind.is_fifo()
        })
    }

    fn holds_capture(&self) -> bool {
        let is_file = self.metadata.as_ref().is_some_and(Metadata::is_file);
        is_file && File::open(&self.path).is_ok_and(|file| is_capture(Box::new(file)))
    }
}
