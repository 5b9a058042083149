//! The right to capture, `CAP_NET_RAW`: whether it is there, and the exact command that gives it.
//!
//! It is enough for all a capture does: the packet socket, its ring (`PACKET_RX_RING`), BPF
//! filter, fanout group and promiscuous mode (`PACKET_ADD_MEMBERSHIP`), see `packet(7)`.
//! `docs/privileges.md` shows the experiment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::status::{Capabilities, Status};

/// Checks that packets can be captured here, by opening a socket that receives none.
///
/// Where the right is permitted and only has to be taken up (`setcap cap_net_raw=p`), it is.
/// `arguments` are those of the running command, without the program's name: they are repeated
/// in the command that would work.
///
/// # Errors
///
/// Packets may not be captured; what would change that.
pub fn check_capture(arguments: &[OsString]) -> Result<(), Denied> {
    let _ = caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW);
    match socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        None,
    ) {
        Err(Errno::EPERM | Errno::EACCES) => Err(Denied::new(arguments)),
        // What else is wrong is told best by the capture itself.
        _ => Ok(()),
    }
}

/// Packets may not be captured: what is missing, and how it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    program: PathBuf,
    arguments: Vec<OsString>,
    cause: Cause,
}

/// Why the right is not there: each is helped by something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Nobody has given it.
    NotGiven,
    /// Nobody has, and the program's file cannot carry it: the file system is mounted `nosuid`.
    NoSuid,
    /// Nothing this process starts gains any right: neither `setcap` nor `sudo` has an effect.
    NoNewPrivileges,
    /// Root without it, as in a container.
    Root,
    /// No process here can have it.
    NotBounded,
    /// It is there, but only for network namespaces made in this user namespace.
    UserNamespace,
    /// It is there, and something else refuses.
    Policy,
}

impl Denied {
    /// Finds out why a capture was refused with a permission error. `arguments` as for
    /// [`check_capture`].
    pub fn new(arguments: &[OsString]) -> Self {
        let program = program();
        let cause = match Status::read() {
            Ok(status) => Cause::of(&status, initial_namespace(), nosuid(&program)),
            Err(_) => Cause::NotGiven,
        };
        Self {
            program,
            arguments: arguments.to_vec(),
            cause,
        }
    }
}

impl Cause {
    fn of(status: &Status, initial_namespace: bool, nosuid: bool) -> Self {
        let has = |set: Capabilities| set.contains(Capabilities::NET_RAW);
        if has(status.effective) {
            return if initial_namespace {
                Self::Policy
            } else {
                Self::UserNamespace
            };
        }
        if !has(status.bounding) {
            Self::NotBounded
        } else if status.uids.get(1) == Some(&0) {
            Self::Root
        } else if status.no_new_privileges {
            Self::NoNewPrivileges
        } else if nosuid {
            Self::NoSuid
        } else {
            Self::NotGiven
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = quoted(self.program.as_os_str());
        let setcap = |f: &mut fmt::Formatter<'_>, program: &str| {
            write!(f, "\n  sudo setcap cap_net_raw=ep {program}")
        };
        let sudo = |f: &mut fmt::Formatter<'_>| {
            write!(f, "\n  sudo {program}")?;
            self.arguments
                .iter()
                .try_for_each(|argument| write!(f, " {}", quoted(argument)))
        };
        f.write_str("capturing packets needs the right CAP_NET_RAW")?;
        match self.cause {
            Cause::NotGiven => {
                f.write_str("; give it to the program, once:")?;
                setcap(f, &program)?;
                f.write_str("\nor start it as root, all else of which it gives up:")?;
                sudo(f)
            }
            Cause::NoSuid => {
                f.write_str(
                    "; the program lies on a file system mounted nosuid, where it cannot be \
                     given to a file: copy it elsewhere first:",
                )?;
                let copy = "/usr/local/bin/ottometer";
                write!(f, "\n  sudo install {program} {copy}")?;
                setcap(f, copy)?;
                f.write_str("\nor start it as root, all else of which it gives up:")?;
                sudo(f)
            }
            Cause::NoNewPrivileges => {
                f.write_str(
                    "; this process can gain no right (no_new_privs is set), neither by setcap \
                     nor by sudo: give it from outside, by AmbientCapabilities=CAP_NET_RAW in a \
                     systemd unit or allowPrivilegeEscalation: true in Kubernetes, or run this \
                     in another shell:",
                )?;
                setcap(f, &program)
            }
            Cause::Root => f.write_str(
                ", which even root does not have here: start the container or the unit with \
                     it (docker run --cap-add NET_RAW ..., AmbientCapabilities=CAP_NET_RAW)",
            ),
            Cause::NotBounded => f.write_str(
                ", which no process here can have: it is not in the bounding set. Start the \
                 container with it:\n  docker run --cap-add NET_RAW ...\n(podman alike; \
                 Kubernetes: securityContext.capabilities.add: [NET_RAW]; a systemd unit: \
                 CapabilityBoundingSet=CAP_NET_RAW)",
            ),
            Cause::UserNamespace => f.write_str(
                " in the user namespace that owns the network; here it is that of another one \
                 (a container without root, unshare -U): capture outside of it, or in a network \
                 namespace made inside of it (unshare -Urn)",
            ),
            Cause::Policy => f.write_str(
                ", which is there, and still packet sockets are refused: by a seccomp filter or \
                 a security module (AppArmor, SELinux) that was put on from outside",
            ),
        }
    }
}

impl std::error::Error for Denied {}

/// The running program's file.
fn program() -> PathBuf {
    let path = env::current_exe().unwrap_or_else(|_| PathBuf::from("ottometer"));
    // The kernel says so of a file that was replaced since: the new one is meant.
    match path
        .to_str()
        .and_then(|path| path.strip_suffix(" (deleted)"))
    {
        Some(original) if !path.exists() => PathBuf::from(original),
        _ => path,
    }
}

fn nosuid(program: &Path) -> bool {
    statvfs(program).is_ok_and(|file_system| file_system.flags().contains(FsFlags::ST_NOSUID))
}

/// The first user namespace maps every user to itself (`user_namespaces(7)`).
fn initial_namespace() -> bool {
    fs::read_to_string("/proc/self/uid_map").map_or(true, |map| {
        map.split_whitespace().eq(["0", "0", "4294967295"])
    })
}

/// `word` so that a shell takes it as one word.
pub(super) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            uids: [1000; 4],
            gids: [1000; 4],
            groups: Vec::new(),
            threads: 1,
            inheritable: Capabilities::default(),
            permitted: Capabilities::default(),
            effective: Capabilities::default(),
            bounding: Capabilities::NET_RAW,
            ambient: Capabilities::default(),
            no_new_privileges: false,
            filtered: false,
        }
    }

    #[test]
    fn each_cause_is_told_from_the_others() {
        let none = Capabilities::default();
        let raw = Capabilities::NET_RAW;
        // Effective, bounding, user, no_new_privs, first user namespace, nosuid.
        for (effective, bounding, uid, no_new_privileges, initial, nosuid, expected) in [
            (none, raw, 1000, false, true, false, Cause::NotGiven),
            (none, raw, 1000, false, true, true, Cause::NoSuid),
            (none, raw, 1000, true, true, true, Cause::NoNewPrivileges),
            (none, raw, 0, false, true, false, Cause::Root),
            (none, none, 0, false, true, false, Cause::NotBounded),
            (none, none, 1000, true, true, false, Cause::NotBounded),
            (raw, raw, 0, false, false, false, Cause::UserNamespace),
            (raw, raw, 1000, false, true, false, Cause::Policy),
        ] {
            let status = Status {
                uids: [uid; 4],
                effective,
                bounding,
                no_new_privileges,
                ..status()
            };
            assert_eq!(Cause::of(&status, initial, nosuid), expected);
        }
    }

    #[test]
    fn each_cause_says_what_to_do() {
        for (cause, expected) in [
            (
                Cause::NotGiven,
                vec![
                    "\n  sudo setcap cap_net_raw=ep '/opt/my tools/ottometer'\n",
                    "\n  sudo '/opt/my tools/ottometer' live -i eth0 --filter 'not port 22'",
                ],
            ),
            (
                Cause::NoSuid,
                vec![
                    "nosuid",
                    "\n  sudo install '/opt/my tools/ottometer' /usr/local/bin/ottometer\n",
                    "\n  sudo setcap cap_net_raw=ep /usr/local/bin/ottometer\n",
                ],
            ),
            (Cause::NoNewPrivileges, vec!["no_new_privs", "systemd"]),
            (Cause::Root, vec!["--cap-add NET_RAW"]),
            (
                Cause::NotBounded,
                vec!["--cap-add NET_RAW", "bounding set", "CapabilityBoundingSet"],
            ),
            (Cause::UserNamespace, vec!["user namespace"]),
            (Cause::Policy, vec!["AppArmor"]),
        ] {
            let denied = Denied {
                program: PathBuf::from("/opt/my tools/ottometer"),
                arguments: ["live", "-i", "eth0", "--filter", "not port 22"]
                    .map(OsString::from)
                    .to_vec(),
                cause,
            };
            let text = denied.to_string();
            for part in expected {
                assert!(text.contains(part), "{cause:?}: {text}");
            }
        }
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, expected) in [
            ("/usr/bin/ottometer", "/usr/bin/ottometer"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("~", "'~'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(OsStr::new(word)), expected);
        }
    }
}
