//! Why an interface cannot be captured from, or a socket not be had.
//!
//! Only opening fails. What happens to an interface later is a state, see
//! [`LinkState`](super::LinkState).

use std::fmt;
use std::io;

use crate::capture::error::Error as FileError;

/// Why an interface cannot be opened.
#[derive(Debug)]
pub enum Error {
    /// There is no interface of that name.
    NoSuchInterface {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// This process may not open packet sockets (on Linux: `CAP_NET_RAW`).
    PermissionDenied {
        /// The interface.
        name: String,
    },
    /// The interface is there but not up.
    Down {
        /// The interface.
        name: String,
    },
    /// libpcap does not take the filter.
    Filter {
        /// The interface.
        name: String,
        /// The filter as given.
        filter: String,
        /// What libpcap says.
        message: String,
    },
    /// The kernel does not let this thread join others in sharing the frames.
    Fanout {
        /// The interface.
        name: String,
        /// The number of the group.
        group: u16,
        /// What the kernel says.
        source: io::Error,
    },
    /// The system does not give the socket.
    Socket {
        /// What was asked for.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// Anything else libpcap reports.
    Capture {
        /// The interface.
        name: String,
        /// What libpcap says.
        message: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInterface { name, known } => {
                write!(f, "no interface '{name}'; there are: {}", known.join(", "))
            }
            Self::PermissionDenied { name } => {
                write!(f, "{name}: no permission to capture")
            }
            Self::Down { name } => write!(f, "{name}: the interface is down"),
            Self::Filter {
                name,
                filter,
                message,
            } => write!(f, "{name}: filter '{filter}': {message}"),
            Self::Fanout {
                name,
                group,
                source,
            } => {
                write!(
                    f,
                    "{name}: cannot share frames between threads (fanout group {group}): {source}"
                )?;
                match source.raw_os_error() {
                    // The kernel has one answer to all that does not fit together.
                    Some(libc::EINVAL) => {
                        f.write_str("; is another program using the same group number?")
                    }
                    Some(libc::ENOSPC) => f.write_str("; the group has all its members"),
                    _ => Ok(()),
                }
            }
            Self::Socket { name, source } => {
                write!(f, "{name}: {source}")?;
                match source.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "; another program has this port, or a device of the kernel (`ss -ulnp`, `ip -d link`)",
                    ),
                    _ => Ok(()),
                }
            }
            Self::Capture { name, message } => write!(f, "{name}: {message}"),
        }
    }
}

impl Error {
    /// What the system says of the socket that was asked for by this name.
    pub(super) fn of_socket(name: &str, source: io::Error) -> Self {
        Self::Socket {
            name: name.to_owned(),
            source,
        }
    }

    /// What libpcap says of the filter of a source that filters by itself.
    pub(super) fn of_filter(name: &str, error: FileError) -> Self {
        let name = name.to_owned();
        match error {
            FileError::Filter {
                filter, message, ..
            } => Self::Filter {
                name,
                filter,
                message,
            },
            error => Self::Capture {
                name,
                message: error.to_string(),
            },
        }
    }
}

// What the system says is part of the text: no source, so that it is said once.
impl std::error::Error for Error {}

/// What libpcap says, without the wrapping's "libpcap error: ".
pub(super) fn message(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_and_with_what() {
        let name = || "eth9".to_owned();
        let fanout = |code| Error::Fanout {
            name: name(),
            group: 7,
            source: io::Error::from_raw_os_error(code),
        };
        let rows = [
            (
                Error::NoSuchInterface {
                    name: name(),
                    known: vec!["eth0".to_owned(), "lo".to_owned()],
                },
                "no interface 'eth9'; there are: eth0, lo",
            ),
            (
                Error::PermissionDenied { name: name() },
                "eth9: no permission to capture",
            ),
            (Error::Down { name: name() }, "eth9: the interface is down"),
            (fanout(libc::EINVAL), "same group number?"),
            (fanout(libc::ENOSPC), "the group has all its members"),
            (fanout(libc::EPERM), "(fanout group 7)"),
        ];
        for (error, part) in rows {
            let text = error.to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
