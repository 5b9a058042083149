//! What flows of a cluster have in common.

use std::net::IpAddr;

use super::cluster::Cluster;
use super::party::Party;
use super::unnamed::Unnamed;
use crate::decode::IpProtocol;
use crate::flow::Side;

/// Bytes at the beginning of a flow that put it into a cluster: as many as chance does not make alike.
const LEADING: usize = 4;

/// What all flows of a cluster have in common: the first of these that a flow has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The domain that the client asked for, one label below the public suffix.
    Host(String),
    /// A domain that the server's certificate is for, one label below the public suffix.
    Certified(String),
    /// Whose the server's certificate is, and who has given it.
    Certificate {
        /// The subject.
        subject: Party,
        /// The issuer.
        issuer: Option<Party>,
    },
    /// What the client's hello is like.
    Hello {
        /// JA4.
        ja4: String,
        /// What it offers in ALPN.
        alpn: Option<String>,
    },
    /// The first bytes that a side sent.
    Bytes {
        /// What carries them.
        transport: u8,
        /// Whose they are.
        side: Leading,
        /// The bytes.
        bytes: [u8; LEADING],
    },
    /// What carries the flow, and the server's port.
    Port {
        /// The number of the IP protocol.
        transport: u8,
        /// The port; zero where there are none.
        port: u16,
        /// What is spoken, as far as that is known.
        protocol: Option<String>,
    },
    /// All the rest, when there were too many clusters.
    Rest,
}

/// Whose bytes a cluster has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leading {
    /// The client's.
    Client,
    /// The server's, where the client sent too little.
    Server,
}

impl Leading {
    /// The side.
    pub const fn side(self) -> Side {
        match self {
            Self::Client => Side::Client,
            Self::Server => Side::Server,
        }
    }
}

impl Key {
    /// What puts `flow` into a cluster.
    pub(super) fn of(flow: &Unnamed) -> Self {
        if let Some(domain) = flow.host.as_deref().and_then(domain) {
            return Self::Host(domain);
        }
        if let Some(domain) = flow.certified.as_deref().and_then(domain) {
            return Self::Certified(domain);
        }
        if let Some(subject) = &flow.subject {
            return Self::Certificate {
                subject: subject.clone(),
                issuer: flow.issuer.clone(),
            };
        }
        if let Some(ja4) = &flow.ja4 {
            return Self::Hello {
                ja4: ja4.clone(),
                alpn: flow.alpn.clone(),
            };
        }
        let sides = [
            (Leading::Client, &flow.messages.client),
            (Leading::Server, &flow.messages.server),
        ];
        let leading = sides
            .into_iter()
            .find_map(|(side, sent)| Some((side, *sent.first().first_chunk::<LEADING>()?)));
        if let Some((side, bytes)) = leading
            && flow.protocol.is_none()
        {
            return Self::Bytes {
                transport: flow.transport.0,
                side,
                bytes,
            };
        }
        Self::Port {
            transport: flow.transport.0,
            port: flow.port,
            protocol: flow.protocol.clone(),
        }
    }

    /// Where a flow with first bytes that no other has belongs.
    pub(super) fn port_instead(&self, cluster: &Cluster) -> Option<Self> {
        let Self::Bytes { transport, .. } = *self else {
            return None;
        };
        Some(Self::Port {
            transport,
            port: cluster.ports.first().map_or(0, |&(_, port)| port),
            protocol: None,
        })
    }

    /// What kind of thing it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Certified(_) => "certificate-host",
            Self::Certificate { .. } => "certificate",
            Self::Hello { .. } => "hello",
            Self::Bytes { .. } => "bytes",
            Self::Port { .. } => "port",
            Self::Rest => "rest",
        }
    }

    /// The IP protocol of all flows, where that is part of the key.
    pub const fn transport(&self) -> Option<IpProtocol> {
        match self {
            Self::Bytes { transport, .. } | Self::Port { transport, .. } => {
                Some(IpProtocol(*transport))
            }
            _ => None,
        }
    }
}

/// The domain one label below the public suffix that `host` is or is below; the host itself where it is
/// alone. `None` for addresses.
fn domain(host: &str) -> Option<String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || bare.parse::<IpAddr>().is_ok() {
        return None;
    }
    let host = host.to_ascii_lowercase();
    // Of dots alone there is none.
    let domain = psl::domain_str(&host).filter(|domain| !domain.starts_with('.'));
    let domain = domain.map(str::to_owned);
    Some(domain.unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_cut_below_the_public_suffix() {
        for (host, expected) in [
            ("www.example.co.uk", Some("example.co.uk")),
            ("a.b.Example.com", Some("example.com")),
            ("example.com", Some("example.com")),
            // Whoever has a name there.
            ("shop.someone.github.io", Some("someone.github.io")),
            ("printer", Some("printer")),
            ("co.uk", Some("co.uk")),
            ("nas.corp.internal", Some("corp.internal")),
            ("203.0.113.7", None),
            ("2001:db8::1", None),
            ("[2001:db8::1]", None),
            ("", None),
            ("...", Some("...")),
        ] {
            assert_eq!(domain(host).as_deref(), expected, "{host}");
        }
    }
}
