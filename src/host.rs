//! Another host as people name it: a name or an address, and a port.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name or address.
    pub name: Box<str>,
    /// The port.
    pub port: u16,
}

impl Host {
    /// Looks up its addresses, of which there is at least one.
    ///
    /// # Errors
    ///
    /// When there is no such host.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let found = (&*self.name, self.port).to_socket_addrs();
        let found = found.map(|found| found.collect::<Vec<_>>());
        match found {
            Ok(found) if found.is_empty() => Err(ErrorKind::NotFound.into()),
            found => found,
        }
        .map_err(|error| {
            let text = format!("the host {} is not found: {error}", self.name);
            io::Error::new(error.kind(), text)
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.name, self.port)
    }
}

/// Splits `HOST`, `HOST:PORT`, `:PORT`, `[V6]`, `[V6]:PORT` or nothing, each with a `/` behind it or not.
/// `None`: it is none of these. The host may be empty.
pub fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, rest) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            // A zone may stand behind it (RFC 4007, section 11).
            let address = host.split('%').next().unwrap_or_default();
            address.parse::<Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if !host.chars().all(is_name) {
        return None;
    }
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port.parse().ok().filter(|&port| port > 0)?))),
        None => rest.is_empty().then_some((host, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (said, expected) in [
            ("", Some(("", None))),
            ("/", Some(("", None))),
            ("probe.example", Some(("probe.example", None))),
            ("10.0.0.1:9/", Some(("10.0.0.1", Some(9)))),
            (":9", Some(("", Some(9)))),
            ("[2001:db8::1]", Some(("2001:db8::1", None))),
            ("[fe80::1%eth0]:9", Some(("fe80::1%eth0", Some(9)))),
            ("[::1", None),
            ("[probe]", None),
            ("::1", None),
            ("probe:", None),
            ("probe:0", None),
            ("probe:65536", None),
            ("user@probe", None),
            ("probe/path", None),
        ] {
            assert_eq!(host_and_port(said), expected, "{said}");
        }
    }

    #[test]
    fn a_host_that_is_none_says_so() {
        let host = |name: &str| Host {
            name: name.into(),
            port: 9,
        };
        let found = host("127.0.0.1").addresses().unwrap();
        assert_eq!(found, ["127.0.0.1:9".parse().unwrap()]);
        let error = host("no.such.host.invalid").addresses().unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("the host no.such.host.invalid is not found"));
    }
}
