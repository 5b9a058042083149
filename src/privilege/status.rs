//! What the kernel says this process may do: `/proc/self/status` (`proc_pid_status(5)`).
//!
//! It is read rather than asked for call by call: one place shows users, groups, every set of
//! capabilities (those this build has no name for as well), threads and filters, as they are.

use std::{fmt, fs, io};

use caps::{Capability, CapsHashSet};

/// Where it is read.
pub(super) const PATH: &str = "/proc/self/status";

/// A set of capabilities, bit by bit as `capabilities(7)` numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The one a capture needs.
    pub const NET_RAW: Self = Self(1 << Capability::CAP_NET_RAW as u8);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those in both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// As the crate takes them.
    pub(super) fn to_set(self) -> CapsHashSet {
        let mut set = caps::all();
        set.retain(|&one| self.contains(Self::from(one)));
        set
    }

    /// Those which this build has a name for.
    pub(super) fn named(self) -> Self {
        self.and(Self(
            caps::all().iter().fold(0, |bits, one| bits | one.bitmask()),
        ))
    }
}

impl From<Capability> for Capabilities {
    fn from(one: Capability) -> Self {
        Self(one.bitmask())
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut names: Vec<(u8, String)> = self
            .to_set()
            .iter()
            .map(|one| (one.index(), one.to_string()))
            .collect();
        let unnamed = self.0 & !self.named().0;
        for bit in (0..64).filter(|bit| unnamed >> bit & 1 == 1) {
            names.push((bit, format!("capability {bit}")));
        }
        names.sort();
        for (place, (_, name)) in names.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

/// The lines of the file that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Real, effective, saved and file system user.
    pub(super) uids: [u32; 4],
    /// Likewise the group.
    pub(super) gids: [u32; 4],
    pub(super) groups: Vec<u32>,
    pub(super) threads: usize,
    pub(super) inheritable: Capabilities,
    pub(super) permitted: Capabilities,
    pub(super) effective: Capabilities,
    pub(super) bounding: Capabilities,
    pub(super) ambient: Capabilities,
    pub(super) no_new_privileges: bool,
    /// A system call filter is on: `SECCOMP_MODE_FILTER`.
    pub(super) filtered: bool,
}

impl Status {
    /// The calling process as it is now.
    pub(super) fn read() -> io::Result<Self> {
        let text = fs::read_to_string(PATH)?;
        Self::parse(&text).map_err(|line| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("no usable line '{line}'"),
            )
        })
    }

    /// Reads the text; what is missing or not understood is the error.
    fn parse(text: &str) -> Result<Self, &'static str> {
        Ok(Self {
            uids: four(text, "Uid")?,
            gids: four(text, "Gid")?,
            groups: numbers(text, "Groups")?,
            threads: number(text, "Threads")?,
            inheritable: set(text, "CapInh")?,
            permitted: set(text, "CapPrm")?,
            effective: set(text, "CapEff")?,
            bounding: set(text, "CapBnd")?,
            ambient: set(text, "CapAmb")?,
            no_new_privileges: number::<u8>(text, "NoNewPrivs")? == 1,
            // Only there where the kernel was built with it.
            filtered: number::<u8>(text, "Seccomp").is_ok_and(|mode| mode == 2),
        })
    }
}

fn value<'a>(text: &'a str, name: &'static str) -> Result<&'a str, &'static str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .ok_or(name)
}

fn number<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, &'static str> {
    value(text, name)?.parse().map_err(|_| name)
}

fn numbers(text: &str, name: &'static str) -> Result<Vec<u32>, &'static str> {
    value(text, name)?
        .split_whitespace()
        .map(|one| one.parse().map_err(|_| name))
        .collect()
}

fn four(text: &str, name: &'static str) -> Result<[u32; 4], &'static str> {
    numbers(text, name)?.try_into().map_err(|_| name)
}

fn set(text: &str, name: &'static str) -> Result<Capabilities, &'static str> {
    u64::from_str_radix(value(text, name)?, 16)
        .map(Capabilities)
        .map_err(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tx\nUid:\t1000\t0\t1000\t0\nGid:\t5\t5\t5\t5\nGroups:\t5 27 \n\
        Threads:\t3\nCapInh:\t0000000000000000\nCapPrm:\t0000000000002000\n\
        CapEff:\t0000000000002000\nCapBnd:\t000003ffffffffff\nCapAmb:\t0000000000000000\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";

    #[test]
    fn every_line_is_read() {
        let status = Status::parse(TEXT).unwrap();
        assert_eq!(status.uids, [1000, 0, 1000, 0]);
        assert_eq!(status.gids, [5; 4]);
        assert_eq!(status.groups, [5, 27]);
        assert_eq!(status.threads, 3);
        assert_eq!(status.permitted, Capabilities::NET_RAW);
        assert_eq!(status.effective, Capabilities::NET_RAW);
        assert!(status.inheritable.is_empty() && status.ambient.is_empty());
        assert!(status.no_new_privileges && status.filtered);
        assert!(!status.bounding.and(status.bounding.named()).is_empty());
    }

    #[test]
    fn a_line_that_is_missing_or_odd_is_named() {
        for (from, to, expected) in [
            ("Uid:\t1000\t0\t1000\t0", "Uid:\t1000\t0", "Uid"),
            ("CapBnd", "CapXyz", "CapBnd"),
            ("CapPrm:\t0000000000002000", "CapPrm:\tnone", "CapPrm"),
            ("Threads:\t3", "Threads:\t", "Threads"),
            ("Groups:\t5 27", "Groups:\t5 x", "Groups"),
        ] {
            assert_eq!(
                Status::parse(&TEXT.replace(from, to)),
                Err(expected),
                "{to}"
            );
        }
        let without = TEXT.replace("Seccomp:\t2\nSeccomp_filters:\t3\n", "");
        assert!(!Status::parse(&without).unwrap().filtered);
    }

    #[test]
    fn capabilities_have_names() {
        for (bits, expected) in [
            (0, "none"),
            (1 << 13, "CAP_NET_RAW"),
            (
                1 << 13 | 1 << 12 | 1 << 63,
                "CAP_NET_ADMIN, CAP_NET_RAW, capability 63",
            ),
        ] {
            assert_eq!(Capabilities(bits).to_string(), expected);
        }
    }
}
