//! Record files: of `read` written over, of a live run rotated by size and time, and compressed when
//! rotated.
//!
//! [`Rotating`] is the sink of those that grow, `whole` of those that are readable only when they are complete.
//! `open_file` is the file that is written to; `pages` lays records out so that a kill leaves no half line
//! behind, and says why; `names` gives rotated files their names; `archive` compresses and deletes them in
//! the background.

mod archive;
mod names;
mod open_file;
pub(super) mod options;
mod pages;
mod rotating;
#[cfg(test)]
mod tests;
mod whole;

pub use self::options::{Compression, Note, Options};
pub use self::rotating::Rotating;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::whole::Whole;
use super::stream::Stream;
use super::way::{Open, Opened, Opening, Place, Said};
use crate::encode::Framing;

/// A file by its name.
#[derive(Debug)]
struct Named(PathBuf);

/// The file of this name.
///
/// # Errors
///
/// None.
pub fn place(said: &Said<'_>) -> Result<Arc<dyn Place>, String> {
    Ok(Arc::new(Named(said.name.to_owned())))
}

impl Place for Named {
    fn prepare(&self) -> io::Result<Open> {
        let path = self.0.clone();
        Ok(Box::new(move |framing, opening| {
            open(path, framing, opening)
        }))
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.0)
    }
}

fn open(path: PathBuf, framing: Framing, opening: &Opening) -> io::Result<Opened> {
    let Some(rotation) = opening.rotation.clone() else {
        let file = File::create(&path).map_err(|error| {
            let text = format!("cannot create {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        return Ok(Opened::quietly(Stream::new(file, framing)));
    };
    if framing == Framing::Whole {
        let (file, notes) = Whole::open(path, rotation, opening.at)?;
        let sink = Box::new(file);
        return Ok(Opened { sink, notes });
    }
    let mut file = Rotating::open(path, framing, rotation, opening.at)?;
    let notes = file.notes();
    let sink = Box::new(file);
    Ok(Opened { sink, notes })
}
