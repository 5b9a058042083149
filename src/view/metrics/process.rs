//! What the kernel says of this process (proc(5)), under the names that all Prometheus clients use.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

/// This process at one moment. What the kernel does not say is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// Seconds of processor time, user's and kernel's.
    pub(super) cpu_seconds: Option<f64>,
    /// Bytes of memory that are resident.
    pub(super) resident_bytes: Option<u64>,
    /// Bytes of address space.
    pub(super) virtual_bytes: Option<u64>,
    /// When it began, in seconds since 1970.
    pub(super) start_seconds: Option<f64>,
    /// File descriptors that are open.
    pub(super) open_fds: Option<u64>,
    /// How many may be.
    pub(super) max_fds: Option<u64>,
}

impl Process {
    /// As it is now.
    pub(super) fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let unit = |name| sysconf(name).ok().flatten();
        let ticks = unit(SysconfVar::CLK_TCK);
        let page = unit(SysconfVar::PAGE_SIZE).and_then(|bytes| u64::try_from(bytes).ok());
        Self {
            open_fds: open_fds(),
            max_fds: getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .map(|(soft, _)| soft),
            ..Self::parse(&stat, &system, ticks, page)
        }
    }

    /// What `/proc/self/stat` says, with the time of the start of the machine in `/proc/stat`.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a double is what the formats carry"
    )]
    fn parse(stat: &str, system: &str, ticks: Option<i64>, page: Option<u64>) -> Self {
        // The second field is the program's name in parentheses, which may hold anything.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |count: u64| Some(count as f64 / ticks.filter(|&ticks| ticks > 0)? as f64);
        let booted = system.lines().find_map(|line| line.strip_prefix("btime "));
        let booted = booted.and_then(|text| text.trim().parse::<f64>().ok());
        let cpu = || seconds(field(14)?.saturating_add(field(15)?));
        let start = || Some(booted? + seconds(field(22)?)?);
        Self {
            cpu_seconds: cpu(),
            start_seconds: start(),
            virtual_bytes: field(23),
            resident_bytes: field(24).zip(page).map(|(pages, page)| pages * page),
            ..Self::default()
        }
    }
}

/// A process that gave up its rights may not list its descriptors, but may ask how many they are,
/// where the kernel tells (Linux 6.2).
fn open_fds() -> Option<u64> {
    const FOLDER: &str = "/proc/self/fd";
    let told = fs::metadata(FOLDER).ok().map(|folder| folder.len());
    told.filter(|&count| count > 0).or_else(|| {
        // Without the one that lists them.
        let count = fs::read_dir(FOLDER).ok()?.count() as u64;
        Some(count.saturating_sub(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 1000 4096000 \
                    25 18446744073709551615 1 1";
        let found = Process::parse(stat, "cpu 1 2\nbtime 1700000000\n", Some(100), Some(4096));
        let expected = Process {
            cpu_seconds: Some(2.0),
            resident_bytes: Some(25 * 4096),
            virtual_bytes: Some(4_096_000),
            start_seconds: Some(1_700_000_010.0),
            ..Process::default()
        };
        assert_eq!(found, expected);
        for cut in 0..stat.len() {
            Process::parse(&stat[..cut], "btime x", None, None);
        }
    }

    #[test]
    fn this_process_is_known() {
        let found = Process::now();
        assert!(found.cpu_seconds.is_some() && found.start_seconds > Some(1.0e9));
        assert!(found.resident_bytes > Some(1 << 20) && found.virtual_bytes > found.resident_bytes);
        assert!(found.open_fds >= Some(3) && found.open_fds < found.max_fds);
    }
}
