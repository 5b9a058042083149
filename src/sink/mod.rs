//! Stage 11, where records go: encoded records into files, streams and sockets.
//!
//! A sink knows of records only how they stand one behind the other: their
//! [`Framing`](crate::encode::Framing). A new one is a file here and a row in [`SINKS`].

pub mod encoded;
pub mod file;
pub mod socket;
pub mod stream;
pub mod target;

mod exporter;

pub use exporter::Exporter;
pub use target::{Refused, Target};

use std::fs::File;
use std::io;
use std::path::PathBuf;

use self::file::{Note, Rotating, Whole};
use self::socket::{Means, Settings};
use self::stream::Stream;
use self::target::Place;
use crate::encode::{Framing, Setting};
use crate::time::Timestamp;

/// A row of [`SINKS`].
#[derive(Debug)]
pub struct Way {
    /// What stands behind the `+` of a scheme; none where the name is that of a file.
    pub scheme: Option<&'static str>,
    /// What becomes of a record.
    pub keeps: Keeps,
    /// What a URL may say about it.
    pub settings: &'static [Setting<Settings>],
    /// Makes one.
    open: Open,
}

#[derive(Debug)]
enum Open {
    File,
    Host {
        is_tls: bool,
        open: fn(Means, Framing, &Opening) -> io::Result<Box<dyn Sink>>,
    },
}

/// What becomes of a record that a sink has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// It is written, or the sink says that it is not.
    All,
    /// What is on its way when a connection breaks may be lost without a word.
    WhatWasTaken,
    /// It may be lost without a word.
    WhatArrives,
}

const REFRESH: Setting<Settings> = Setting {
    name: "refresh",
    set: |settings, said| {
        let length = humantime::parse_duration(said).ok();
        settings.refresh = length
            .filter(|length| length.as_secs() > 0)
            .ok_or_else(|| format!("`{said}` is not a length of time of at least 1s (30s, 10m)"))?;
        Ok(())
    },
};

const CA: Setting<Settings> = Setting {
    name: "ca",
    set: |settings, said| {
        settings.ca = Some(said.into());
        Ok(())
    },
};

const CERT: Setting<Settings> = Setting {
    name: "cert",
    set: |settings, said| {
        settings.cert = Some(said.into());
        Ok(())
    },
};

const KEY: Setting<Settings> = Setting {
    name: "key",
    set: |settings, said| {
        settings.key = Some(said.into());
        Ok(())
    },
};

/// The sinks. Files and streams are the first.
pub static SINKS: &[Way] = &[
    Way {
        scheme: None,
        keeps: Keeps::All,
        settings: &[],
        open: Open::File,
    },
    Way {
        scheme: Some("udp"),
        keeps: Keeps::WhatArrives,
        settings: &[REFRESH],
        open: Open::Host {
            is_tls: false,
            open: socket::open_udp,
        },
    },
    Way {
        scheme: Some("tcp"),
        keeps: Keeps::WhatWasTaken,
        settings: &[],
        open: Open::Host {
            is_tls: false,
            open: socket::open_tcp,
        },
    },
    Way {
        scheme: Some("tls"),
        keeps: Keeps::WhatWasTaken,
        settings: &[CA, CERT, KEY],
        open: Open::Host {
            is_tls: true,
            open: socket::open_tls,
        },
    },
];

/// What a sink is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// How files are rotated; without, a file is written over, and what is sent waits for who takes it.
    pub rotation: Option<file::Options>,
    /// The time now.
    pub at: Timestamp,
}

/// A sink, and what an operator should know of it.
pub struct Opened {
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// What was found.
    pub notes: Vec<Note>,
}

/// A target with all that has to be found before rights are given up.
#[derive(Clone, Debug)]
pub struct Prepared {
    framing: Framing,
    place: Ready,
}

#[derive(Clone, Debug)]
enum Ready {
    StandardOutput,
    File(PathBuf),
    Host(
        Means,
        fn(Means, Framing, &Opening) -> io::Result<Box<dyn Sink>>,
    ),
}

impl Target {
    /// Looks up the host, and reads what TLS needs, if that is where it goes.
    ///
    /// # Errors
    ///
    /// When there is no such host or file.
    pub fn prepare(&self) -> io::Result<Prepared> {
        let place = match (self.place(), &self.way().open) {
            (Place::Host(host), &Open::Host { is_tls, open }) => {
                let means = Means::find(host, is_tls)
                    .map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))?;
                Ready::Host(means, open)
            }
            (Place::File(path), _) => Ready::File(path.clone()),
            (Place::StandardOutput | Place::Host(_), _) => Ready::StandardOutput,
        };
        Ok(Prepared {
            framing: self.encoder().framing,
            place,
        })
    }
}

impl Prepared {
    /// Opens it. Of a connection of a live run that need not be there yet.
    ///
    /// # Errors
    ///
    /// When nothing can be written there.
    pub fn open(self, opening: &Opening) -> io::Result<Opened> {
        let framing = self.framing;
        let mut notes = Vec::new();
        let sink: Box<dyn Sink> = match (self.place, &opening.rotation) {
            (Ready::StandardOutput, _) => Box::new(Stream::new(io::stdout(), framing)),
            (Ready::File(path), None) => {
                let file = File::create(&path).map_err(|error| {
                    let text = format!("cannot create {}: {error}", path.display());
                    io::Error::new(error.kind(), text)
                })?;
                Box::new(Stream::new(file, framing))
            }
            (Ready::File(path), Some(rotation)) if framing == Framing::Whole => {
                let (file, found) = Whole::open(path, rotation.clone(), opening.at)?;
                notes = found;
                Box::new(file)
            }
            (Ready::File(path), Some(rotation)) => {
                let mut file = Rotating::open(path, framing, rotation.clone(), opening.at)?;
                notes = file.notes();
                Box::new(file)
            }
            (Ready::Host(means, open), _) => open(means, framing, opening)?,
        };
        Ok(Opened { sink, notes })
    }
}

/// Takes whole records, encoded, in order.
pub trait Sink: Send {
    /// What a reader has to see first: the head of each file and of each session. Said before the
    /// first record, and again whenever it has grown: then readers that have begun see what is new.
    fn head(&mut self, head: &[u8]);

    /// Takes one record.
    ///
    /// # Errors
    ///
    /// When this record was not taken. What was taken before is not concerned.
    fn put(&mut self, record: &[u8]) -> io::Result<()>;

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

    /// Writes out what has been taken; nothing more will come.
    ///
    /// # Errors
    ///
    /// When something could not be written.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// Whether the file is to end, with what the encoder ends it with.
    fn is_due(&self) -> bool {
        false
    }

    /// The file has its end: it is complete, and what comes next is another.
    ///
    /// # Errors
    ///
    /// When that could not be done. It may be tried again.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Records that were taken, were not held any more, and are known to be lost.
    fn dropped(&self) -> u64 {
        0
    }

    /// Records that were taken and are not written out; a head is none.
    fn held(&self) -> u64 {
        0
    }
}

impl Sink for Box<dyn Sink> {
    fn head(&mut self, head: &[u8]) {
        (**self).head(head);
    }

    fn put(&mut self, record: &[u8]) -> io::Result<()> {
        (**self).put(record)
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        (**self).tick(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        (**self).finish()
    }

    fn is_due(&self) -> bool {
        (**self).is_due()
    }

    fn end(&mut self) -> io::Result<()> {
        (**self).end()
    }

    fn dropped(&self) -> u64 {
        (**self).dropped()
    }

    fn held(&self) -> u64 {
        (**self).held()
    }
}
