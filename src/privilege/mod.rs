//! What a live run may do: checked before the capture is opened, given up after.
//!
//! The bytes a capture brings come from strangers. [`drop()`] makes a mistake in reading them
//! worth little: the process goes on as a user that owns nothing, with `CAP_NET_RAW` as its only
//! capability (to open again an interface that came back; where there is none, without), and with the system calls of a
//! classifier and no others (`filter`). `capabilities(7)`, `seccomp(2)`.
//!
//! The order of a live run is therefore: [`check_capture`]; open captures, sockets to listen on,
//! key files (those that cannot be read again later stay in use); [`drop()`]; open record files, so that they belong to the user who will rotate
//! them; start threads; take in packets.

mod account;
mod capture;
mod error;
mod filter;
mod status;
mod users;

use std::fmt;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{AccessFlags, access, setgroups, setresgid, setresuid};

pub use account::Account;
pub use capture::{Denied, check_capture};
pub use error::{Error, NeedToUse, Step};
pub use status::Capabilities;

use status::Status;

/// What is given up, and what has to stay possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The user to go on as, see [`Account::to_become`].
    pub user: Option<String>,
    /// Filter system calls.
    pub seccomp: bool,
    /// Folders in which files are made, renamed and deleted later (records).
    pub writes: Vec<PathBuf>,
    /// Files and folders which are read again later (signatures, settings).
    pub reads: Vec<PathBuf>,
    /// Other hosts are called later (records, captures that they send).
    pub connects: bool,
    /// Interfaces that come back are opened again later.
    pub captures: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: None,
            seccomp: true,
            writes: Vec::new(),
            reads: Vec::new(),
            connects: false,
            captures: true,
        }
    }
}

/// What is left, as the kernel says. It is written for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The user it goes on as.
    pub account: Account,
    /// It was asked to give up root by default, and may not: it has no `CAP_SETUID` and
    /// `CAP_SETGID`, or the user does not exist in its user namespace.
    pub stays_root: bool,
    /// The capabilities it has: `CAP_NET_RAW` or none.
    pub capabilities: Capabilities,
    /// System calls are filtered.
    pub seccomp: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { name, uid, gid } = &self.account;
        write!(
            f,
            "running as {name} ({uid}:{gid}), capabilities: {}, system calls {}",
            self.capabilities,
            if self.seccomp {
                "filtered"
            } else {
                "not filtered"
            }
        )?;
        if self.stays_root {
            f.write_str("; still user root, as it may not become another here")?;
        }
        Ok(())
    }
}

/// Gives up everything but capturing, for good, and checks that it is gone.
///
/// To be called by `main` while it is the only thread: capabilities belong to threads, and those
/// started later inherit them from this one, while those that run already would keep theirs.
/// More than one thread is an error for that reason.
///
/// In this order: no core dumps and no debugger but root's (the process holds keys and other
/// people's names), `no_new_privs`, then as root an empty bounding set, no supplementary groups,
/// the group and the user; as anybody, every capability other than `CAP_NET_RAW`; then what has
/// to stay possible is tried; then the system call filter; then all is read back.
///
/// # Errors
///
/// Something could not be given up, or is still there, or what has to stay possible is not. The
/// process may have lost a part of its rights by then: it should end.
pub fn drop(options: &Options) -> Result<Report, Error> {
    let before = Status::read().map_err(Error::Status)?;
    if before.threads != 1 {
        return Err(Error::Threads {
            threads: before.threads,
        });
    }
    let account = Account::to_become(options.user.as_deref())?;

    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(step(Step::CoreLimit))?;
    prctl::set_no_new_privs().map_err(step(Step::NoNewPrivileges))?;
    if before.effective.contains(Capability::CAP_SETPCAP.into()) {
        caps::clear(None, CapSet::Bounding).map_err(|error| Error::Capabilities {
            step: Step::Bounding,
            message: error.to_string(),
        })?;
    }
    let (account, stays_root) = match account {
        None => (None, false),
        Some(account) if become_user(&account, &before, options.user.is_some())? => {
            (Some(account), false)
        }
        Some(_) => (None, true),
    };
    let kept = match options.captures {
        true => before.permitted.and(Capabilities::NET_RAW),
        false => Capabilities::default(),
    };
    keep_only(kept)?;
    // Last of these, as the kernel sets it anew whenever the user changes.
    prctl::set_dumpable(false).map_err(step(Step::Dumpable))?;

    let running_as = account.clone().unwrap_or_else(|| {
        let [_, uid, ..] = before.uids;
        let [_, gid, ..] = before.gids;
        users::numbered(uid, Some(gid))
    });
    still_possible(options, &running_as)?;
    if options.seccomp {
        filter::install(std::process::id(), options.connects).map_err(Error::Seccomp)?;
    }

    let after = Status::read().map_err(Error::Status)?;
    let expected = Expected {
        account: account.as_ref(),
        may_be_root: stays_root || options.user.is_some(),
        capabilities: kept,
        bounding_cleared: before.effective.contains(Capability::CAP_SETPCAP.into()),
        seccomp: options.seccomp,
    };
    match expected.left_over(&after) {
        Some(left) => Err(Error::LeftOver { left }),
        None => Ok(Report {
            account: running_as,
            stays_root,
            capabilities: after.permitted,
            seccomp: after.filtered,
        }),
    }
}

/// Goes on as `account`; false if that is not possible here and nobody has `asked` for it.
fn become_user(account: &Account, before: &Status, asked: bool) -> Result<bool, Error> {
    let may = |one: Capability| before.effective.contains(one.into());
    if !(asked || may(Capability::CAP_SETUID) && may(Capability::CAP_SETGID)) {
        return Ok(false);
    }
    let failed = |source: Errno| Error::Become {
        user: account.name.clone(),
        source: source.into(),
    };
    // Else the kernel empties the permitted set with the last user number that was 0.
    prctl::set_keepcaps(true).map_err(step(Step::KeepCapabilities))?;
    let done = setgroups(&[])
        .and_then(|()| setresgid(account.gid(), account.gid(), account.gid()))
        .and_then(|()| setresuid(account.uid(), account.uid(), account.uid()));
    prctl::set_keepcaps(false).map_err(step(Step::KeepCapabilities))?;
    match done {
        Ok(()) => Ok(true),
        // A user namespace may map no user but root (EINVAL) and forbid setgroups (EPERM).
        Err(Errno::EINVAL | Errno::EPERM) if !asked => Ok(false),
        Err(source) => Err(failed(source)),
    }
}

/// Leaves `kept` permitted and effective, and nothing inheritable or ambient.
fn keep_only(kept: Capabilities) -> Result<(), Error> {
    let kept = kept.to_set();
    let none = CapsHashSet::new();
    // What is effective must be permitted, what is ambient permitted and inheritable.
    for (set, value) in [
        (CapSet::Ambient, &none),
        (CapSet::Effective, &kept),
        (CapSet::Permitted, &kept),
        (CapSet::Inheritable, &none),
    ] {
        let result = match set {
            CapSet::Ambient => caps::clear(None, set),
            _ => caps::set(None, set, value),
        };
        result.map_err(|error| Error::Capabilities {
            step: Step::Capabilities,
            message: error.to_string(),
        })?;
    }
    Ok(())
}

/// Asks the kernel, as the user that goes on: it knows of parents, access lists and file systems
/// that are read-only.
fn still_possible(options: &Options, account: &Account) -> Result<(), Error> {
    let writes = options.writes.iter().map(|path| {
        let needed = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
        (path, NeedToUse::Write, needed)
    });
    let reads = options.reads.iter().map(|path| {
        let needed = match path.is_dir() {
            true => AccessFlags::R_OK | AccessFlags::X_OK,
            false => AccessFlags::R_OK,
        };
        (path, NeedToUse::Read, needed)
    });
    for (path, need, needed) in writes.chain(reads) {
        // A file without a folder in its name lies in the current one.
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        access(path, needed).map_err(|source| Error::NotUsable {
            // What is advised must be right wherever it is typed.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            is_shared: is_shared(path),
            need,
            account: account.clone(),
            source: source.into(),
        })?;
    }
    Ok(())
}

/// Whether a folder is one of the system's own: the root or directly in it.
fn is_shared(path: &Path) -> bool {
    // Through links and `..`, where that may be followed.
    let real = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned());
    real.components().count() <= 2
}

/// What [`Status`] must say in the end.
struct Expected<'a> {
    /// None if the user stays.
    account: Option<&'a Account>,
    may_be_root: bool,
    capabilities: Capabilities,
    bounding_cleared: bool,
    seccomp: bool,
}

impl Expected<'_> {
    /// The first thing that is still there and should not be.
    fn left_over(&self, after: &Status) -> Option<String> {
        let users = match self.account {
            Some(account) => {
                after.uids != [account.uid; 4]
                    || after.gids != [account.gid; 4]
                    || !after.groups.is_empty()
            }
            None => after.uids.contains(&0) && !self.may_be_root,
        };
        if users {
            return Some(format!(
                "users {:?}, groups {:?} and {:?}",
                after.uids, after.gids, after.groups
            ));
        }
        let none = Capabilities::default();
        // A kernel newer than this build may have capabilities that it cannot name and so cannot
        // take from the bounding set. With no_new_privs that set limits nothing any more.
        let bounding = match self.bounding_cleared {
            true => after.bounding.named(),
            false => none,
        };
        for (name, found, expected) in [
            ("permitted", after.permitted, self.capabilities),
            ("effective", after.effective, self.capabilities),
            ("inheritable", after.inheritable, none),
            ("ambient", after.ambient, none),
            ("bounding", bounding, none),
        ] {
            if found != expected {
                return Some(format!("{name} capabilities: {found}"));
            }
        }
        if !after.no_new_privileges {
            return Some("new privileges by programs that are started".to_owned());
        }
        if self.seccomp && !after.filtered {
            return Some("all system calls".to_owned());
        }
        (after.threads != 1).then(|| format!("{} threads", after.threads))
    }
}

fn step(step: Step) -> impl Fn(Errno) -> Error {
    move |source| Error::Step {
        step,
        source: source.into(),
    }
}

#[cfg(test)]
mod tests;
