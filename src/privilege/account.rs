//! The user a run that was started as root goes on as.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::fchown;

use nix::unistd::{Gid, Uid};

/// A user and its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, or its number where it has none.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

impl Account {
    /// Makes `file`, opened while still root, this user's: so that it can be renamed, opened
    /// again and deleted later, in a folder with the sticky bit as well.
    ///
    /// # Errors
    ///
    /// What the system says, where the file system has no owners for example.
    pub fn own(&self, file: &File) -> io::Result<()> {
        fchown(file, Some(self.uid), Some(self.gid))
    }

    pub(super) fn uid(&self) -> Uid {
        Uid::from_raw(self.uid)
    }

    pub(super) fn gid(&self) -> Gid {
        Gid::from_raw(self.gid)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
