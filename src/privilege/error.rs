//! Why privileges could not be given up: always a reason not to go on.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Account;
use super::capture::quoted;
use super::status;

/// What went wrong; see [`drop`](super::drop()).
#[derive(Debug)]
pub enum Error {
    /// There are other threads, which would keep their capabilities.
    Threads {
        /// How many there are with this one.
        threads: usize,
    },
    /// The kernel's account of this process cannot be read, so nothing can be checked.
    Status(io::Error),
    /// There is no such user.
    NoSuchUser {
        /// As it was given.
        user: String,
    },
    /// The user database cannot be read.
    Users {
        /// Who was looked for.
        user: String,
        /// What the system says.
        source: io::Error,
    },
    /// The user could not be changed.
    Become {
        /// To whom.
        user: String,
        /// What the system says.
        source: io::Error,
    },
    /// A right could not be given up.
    Step {
        /// Which.
        step: Step,
        /// What the system says.
        source: io::Error,
    },
    /// Capabilities could not be given up.
    Capabilities {
        /// Which.
        step: Step,
        /// What the system says.
        message: String,
    },
    /// System calls cannot be filtered.
    Seccomp(seccompiler::Error),
    /// The user that goes on cannot use what it will need.
    NotUsable {
        /// The file or folder, from the root.
        path: PathBuf,
        /// It is the root or directly in it: nobody should be advised to give it away.
        is_shared: bool,
        /// What for.
        need: NeedToUse,
        /// Who.
        account: Account,
        /// What the system says.
        source: io::Error,
    },
    /// All went well by what the calls said, and yet something is still there.
    LeftOver {
        /// What.
        left: String,
    },
}

/// What a file or folder is needed for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedToUse {
    /// To make, rename and delete files in it.
    Write,
    /// To read it again.
    Read,
}

/// A right that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `RLIMIT_CORE`.
    CoreLimit,
    /// `PR_SET_DUMPABLE`.
    Dumpable,
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// `PR_SET_KEEPCAPS`, for the change of user.
    KeepCapabilities,
    /// `PR_CAPBSET_DROP`.
    Bounding,
    /// `capset(2)`.
    Capabilities,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CoreLimit => "core dumps",
            Self::Dumpable => "debuggers",
            Self::NoNewPrivileges => "new privileges",
            Self::KeepCapabilities => "capabilities over the change of user",
            Self::Bounding => "the bounding set of capabilities",
            Self::Capabilities => "capabilities",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads { threads } => write!(
                f,
                "cannot give up privileges: there are {threads} threads, and each keeps its own"
            ),
            Self::Status(source) => write!(f, "cannot read {}: {source}", status::PATH),
            Self::NoSuchUser { user } => write!(f, "there is no user '{user}'"),
            Self::Users { user, source } => write!(f, "cannot look up user '{user}': {source}"),
            Self::Become { user, source } => write!(
                f,
                "cannot become user '{user}': {source} (that takes root with CAP_SETUID and \
                 CAP_SETGID)"
            ),
            Self::Step { step, source } => write!(f, "cannot give up {step}: {source}"),
            Self::Capabilities { step, message } => write!(f, "cannot give up {step}: {message}"),
            Self::Seccomp(source) => write!(f, "cannot filter system calls: {source}"),
            Self::NotUsable {
                path,
                is_shared,
                need,
                account: Account { name, uid, gid },
                source,
            } => {
                let shown = quoted(path.as_os_str());
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) {
                    return match need {
                        NeedToUse::Write => write!(
                            f,
                            "there is no folder {shown} ({source}), where user {name} is to \
                             write: folders are not made by themselves"
                        ),
                        NeedToUse::Read => write!(
                            f,
                            "there is no {shown} ({source}), which user {name} is to read again"
                        ),
                    };
                }
                match need {
                    NeedToUse::Write if *is_shared => write!(
                        f,
                        "{shown} is not writable for user {name} ({source}), who is to write \
                         there: choose a folder for records alone, which belongs to {uid}:{gid}, \
                         or who it is by --user NAME"
                    ),
                    NeedToUse::Write => write!(
                        f,
                        "{shown} is not writable for user {name} ({source}), who will write \
                         there: chown {uid}:{gid} {shown}, or choose who it is by --user NAME"
                    ),
                    NeedToUse::Read => write!(
                        f,
                        "{shown} is not readable for user {name} ({source}), who will read it \
                         again: move it, change its mode, or choose who it is by --user NAME"
                    ),
                }
            }
            Self::LeftOver { left } => write!(f, "privileges are left over: {left}"),
        }
    }
}

// What the system says is in the text already: as a source it would be printed twice.
impl std::error::Error for Error {}
