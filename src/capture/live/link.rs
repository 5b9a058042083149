//! What the system says of its interfaces: whether there is one of a name, and whether it is up.
//!
//! Asked through sockets rather than `/sys`, which shows the network namespace of whoever mounted
//! it.

use std::collections::BTreeMap;
use std::io;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

/// libpcap's name for all interfaces at once.
pub(super) const ANY: &str = "any";

/// An interface as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Its number: another one when it was made anew.
    pub(super) index: u32,
    /// Set up by the operator.
    pub(super) up: bool,
    /// Up and with carrier.
    pub(super) running: bool,
    /// A loopback interface.
    pub(super) loopback: bool,
}

/// The interface `name`, if there is one.
pub(super) fn find(name: &str) -> Option<Link> {
    if name == ANY {
        return Some(Link {
            index: 0,
            up: true,
            running: true,
            loopback: false,
        });
    }
    let index = if_nametoindex(name).ok()?;
    let flags = flags().ok()?.remove(name)?;
    Some(Link {
        index,
        up: flags.contains(InterfaceFlags::IFF_UP),
        running: flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING),
        loopback: flags.contains(InterfaceFlags::IFF_LOOPBACK),
    })
}

/// The names that can be asked for.
pub(super) fn names() -> Vec<String> {
    let mut names: Vec<String> = flags().unwrap_or_default().into_keys().collect();
    // Labels of further addresses are no interfaces.
    names.retain(|name| !name.contains(':'));
    names.push(ANY.to_owned());
    names
}

fn flags() -> io::Result<BTreeMap<String, InterfaceFlags>> {
    Ok(getifaddrs()?
        .map(|entry| (entry.interface_name, entry.flags))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_there_is() {
        let loopback = find("lo").unwrap();
        assert!(loopback.loopback && loopback.index > 0);
        assert_eq!(find("no-such-thing"), None);
        assert!(find(ANY).unwrap().running);
        assert!(names().contains(&"lo".to_owned()));
    }
}
