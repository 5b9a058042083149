//! Where records go: encoded records into files, streams and sockets.
//!
//! A sink knows of records only how they stand one behind the other: their
//! [`Framing`](crate::encode::Framing). A new one is a file here and a row in [`SINKS`].

pub mod encoded;
pub mod file;
pub mod socket;
pub mod stream;
pub mod target;
pub mod way;

mod exporter;

pub use exporter::Exporter;
pub use target::{Prepared, Refused, Target};
pub use way::{Open, Opened, Opening, Place, Said, Sink};

use std::path::Path;

use self::way::{Named, Way};
use crate::encode::{ENCODERS, Encoder};

/// The sinks.
pub static SINKS: &[Way] = &[
    Way {
        named: Named::Dash,
        settings: &[],
        place: stream::standard_output,
    },
    Way {
        named: Named::File,
        settings: &[],
        place: file::place,
    },
    Way {
        named: Named::Url {
            scheme: "udp",
            form: "HOST:PORT",
        },
        settings: &["refresh"],
        place: socket::udp,
    },
    Way {
        named: Named::Url {
            scheme: "tcp",
            form: "HOST:PORT",
        },
        settings: &[],
        place: socket::tcp,
    },
    Way {
        named: Named::Url {
            scheme: "tls",
            form: "HOST:PORT",
        },
        settings: &["ca", "cert", "key"],
        place: socket::tls,
    },
];

impl Target {
    /// Reads what a user said. A name without an ending, and `-`, are in the first encoding.
    ///
    /// # Errors
    ///
    /// When ending or scheme are not known: they are never guessed.
    pub fn parse(said: &Path) -> Result<Self, Refused> {
        Self::find(said, SINKS)
    }
}

/// What a user may say of where records go, in words, by the tables of encodings and sinks.
pub fn places() -> String {
    let by_ending = ENCODERS.iter().enumerate().filter_map(|(place, row)| {
        let endings: Vec<_> = row.endings.iter().map(|one| format!(".{one}")).collect();
        let or_none = if place == 0 {
            " (or has no ending)"
        } else {
            ""
        };
        (!endings.is_empty()).then(|| {
            let name = if place == 0 {
                "if its name ends with"
            } else {
                "with"
            };
            format!("{} {name} {}{or_none}", row.name, endings.join(", "))
        })
    });
    let streams = || ENCODERS.iter().filter(|row| row.framing.is_stream());
    let dashes = streams().map(|row| format!("`{}:-`", row.scheme));
    let schemes = streams().map(|row: &Encoder| row.scheme);
    let urls = SINKS.iter().filter_map(|way| match way.named {
        Named::Url { scheme, form } => Some(format!("ENCODING+{scheme}://{form}")),
        Named::Dash | Named::File => None,
    });
    let join = |list: &mut dyn Iterator<Item = String>| list.collect::<Vec<_>>().join(", ");
    format!(
        "a file: {}; `-` for standard output, or {} to say how; or {} with one of {} as ENCODING",
        join(&mut { by_ending }),
        join(&mut { dashes }),
        join(&mut { urls }),
        join(&mut schemes.map(ToOwned::to_owned)),
    )
}
