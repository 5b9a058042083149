//! Whose traffic a flow is: the address of its end inside the operator's own networks, alone or
//! with the others of its prefix.
//!
//! [`accounts`](super::accounts) counts for subjects.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::flow::Side;

/// Whose volume is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// What belongs to no flow, or to a flow without a place in the table.
    #[default]
    Nobody,
    /// The addresses of a prefix.
    Prefix(Prefix),
    /// The subjects with the least volume of an interval that had too many.
    Other,
}

/// `nobody`, `192.0.2.1`, `2001:db8:0:100::/56`, `other`
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Other => f.write_str("other"),
        }
    }
}

/// An IP prefix; all bits after its length are zero. An IPv4-mapped IPv6 address is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// The prefix of `len` bits around `address`; of all bits, where it has no more.
    pub fn around(address: IpAddr, len: u8) -> Self {
        let address = address.to_canonical();
        let len = len.min(bits(address));
        let address = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len));
                IpAddr::V4((v4.to_bits() & mask.unwrap_or_default()).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len));
                IpAddr::V6((v6.to_bits() & mask.unwrap_or_default()).into())
            }
        };
        Self { address, len }
    }

    /// Whether `address` is in it.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && Self::around(address, self.len) == *self
    }
}

const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, len } = self;
        if *len == bits(*address) {
            write!(f, "{address}")
        } else {
            write!(f, "{address}/{len}")
        }
    }
}

/// Reads `192.0.2.0/24`, `2001:db8::/32` or a single address.
impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| {
            format!("`{text}` is no prefix: expected `192.0.2.0/24` or `2001:db8::/32`")
        })?;
        let address = address.to_canonical();
        let most = bits(address);
        let len = match len.map(str::parse::<u8>) {
            None => most,
            Some(Ok(len)) if len <= most => len,
            Some(_) => {
                return Err(format!(
                    "`{text}` is no prefix: expected a length of 0 to {most}"
                ));
            }
        };
        let prefix = Self::around(address, len);
        if prefix.address != address {
            return Err(format!(
                "`{text}` is no prefix: bits are set after the first {len}"
            ));
        }
        Ok(prefix)
    }
}

/// Which end of a flow its subject is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The one inside the operator's networks; of two inside, or two outside, the client.
    #[default]
    Local,
    /// The client.
    Client,
}

/// How subjects are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    /// Which end of a flow it is.
    pub end: End,
    /// The operator's own networks.
    pub local: Vec<Prefix>,
    /// Bits of IPv4 addresses that make a subject.
    pub ipv4_prefix: u8,
    /// Bits of IPv6 addresses that make a subject.
    pub ipv6_prefix: u8,
}

/// Networks that are local if nobody says otherwise: those of RFC 1918, RFC 6598 (carrier-grade
/// NAT) and RFC 4193 (unique local addresses), and link-local ones (RFC 3927, RFC 4291).
pub const DEFAULT_LOCAL: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

impl Default for Subjects {
    fn default() -> Self {
        let local = DEFAULT_LOCAL.iter();
        Self {
            end: End::Local,
            local: local.filter_map(|text| text.parse().ok()).collect(),
            ipv4_prefix: 32,
            ipv6_prefix: 128,
        }
    }
}

impl Subjects {
    /// The subject of a flow between these addresses, and which side it is.
    pub fn find(&self, client: IpAddr, server: IpAddr) -> (Subject, Side) {
        let is_server = self.end == End::Local && !self.is_local(client) && self.is_local(server);
        let (address, side) = if is_server {
            (server, Side::Server)
        } else {
            (client, Side::Client)
        };
        let address = address.to_canonical();
        let len = if address.is_ipv4() {
            self.ipv4_prefix
        } else {
            self.ipv6_prefix
        };
        (Subject::Prefix(Prefix::around(address, len)), side)
    }

    /// The most specific of the local networks that `subject` is in.
    pub fn network(&self, subject: Subject) -> Option<Prefix> {
        let Subject::Prefix(prefix) = subject else {
            return None;
        };
        let around = self.local.iter();
        let around = around.filter(|network| network.holds(prefix.address));
        around.max_by_key(|network| network.len).copied()
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.local.iter().any(|network| network.holds(address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_subject_is_the_local_end_or_the_client() {
        let grouped = Subjects {
            local: vec![
                "203.0.113.0/24".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            ipv4_prefix: 28,
            ipv6_prefix: 56,
            ..Subjects::default()
        };
        let client = Subjects {
            end: End::Client,
            ..Subjects::default()
        };
        let plain = Subjects::default();
        for (subjects, client, server, expected, side) in [
            (&plain, "10.0.0.1", "8.8.8.8", "10.0.0.1", Side::Client),
            (&plain, "8.8.8.8", "10.0.0.1", "10.0.0.1", Side::Server),
            (&plain, "8.8.8.8", "100.64.1.1", "100.64.1.1", Side::Server),
            (&plain, "8.8.8.8", "100.128.1.1", "8.8.8.8", Side::Client),
            (&plain, "10.0.0.1", "192.168.0.1", "10.0.0.1", Side::Client),
            (&plain, "8.8.8.8", "9.9.9.9", "8.8.8.8", Side::Client),
            (&plain, "2001:db8::1", "fd00::1", "fd00::1", Side::Server),
            (
                &plain,
                "8.8.8.8",
                "::ffff:10.0.0.1",
                "10.0.0.1",
                Side::Server,
            ),
            (&client, "8.8.8.8", "10.0.0.1", "8.8.8.8", Side::Client),
            (
                &grouped,
                "10.0.0.1",
                "203.0.113.77",
                "203.0.113.64/28",
                Side::Server,
            ),
            (
                &grouped,
                "10.0.0.33",
                "10.0.0.1",
                "10.0.0.32/28",
                Side::Client,
            ),
            (
                &grouped,
                "2001:db8:1:2ff::1",
                "fd00::1",
                "2001:db8:1:200::/56",
                Side::Client,
            ),
        ] {
            let (subject, found) = subjects.find(ip(client), ip(server));
            assert_eq!((subject.to_string().as_str(), found), (expected, side));
        }
    }

    #[test]
    fn the_network_is_the_most_specific_around_the_subject() {
        let mut subjects = Subjects::default();
        subjects.local.push("10.1.0.0/16".parse().unwrap());
        for (address, expected) in [
            ("10.1.2.3", Some("10.1.0.0/16")),
            ("10.2.2.3", Some("10.0.0.0/8")),
            ("8.8.8.8", None),
        ] {
            let (subject, _) = subjects.find(ip(address), ip("9.9.9.9"));
            let network = subjects.network(subject).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected);
        }
        assert_eq!(subjects.network(Subject::Other), None);
    }

    #[test]
    fn prefixes_that_are_none_are_refused() {
        for (text, expected) in [
            ("10.0.0.0/33", "a length of 0 to 32"),
            ("10.0.0.1/24", "bits are set after the first 24"),
            ("::1/129", "a length of 0 to 128"),
            ("10.0.0", "expected `192.0.2.0/24`"),
            ("", "expected `192.0.2.0/24`"),
        ] {
            let refusal = text.parse::<Prefix>().unwrap_err();
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
    }

    proptest! {
        #[test]
        fn a_prefix_reads_back_and_holds_what_it_is_around(
            v6 in any::<bool>(), bits in any::<u128>(), other in any::<u128>(), len in any::<u8>(),
        ) {
            let address = |bits: u128| if v6 {
                IpAddr::V6(bits.into())
            } else {
                IpAddr::V4((bits as u32).into())
            };
            let prefix = Prefix::around(address(bits), len);
            prop_assert!(prefix.holds(address(bits)));
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            let same = Prefix::around(address(other), len) == prefix;
            prop_assert_eq!(prefix.holds(address(other)), same);
        }

        /// Turned around, a flow has the same subject on the other side, unless both ends or none are
        /// local.
        #[test]
        fn the_local_end_is_found_on_either_side(a in any::<u32>(), b in any::<u32>()) {
            let subjects = Subjects::default();
            let (a, b) = (IpAddr::V4(a.into()), IpAddr::V4(b.into()));
            let (subject, side) = subjects.find(a, b);
            let (turned, other) = subjects.find(b, a);
            if subjects.is_local(a) == subjects.is_local(b) {
                prop_assert_eq!((side, other), (Side::Client, Side::Client));
            } else {
                prop_assert_eq!((subject, side), (turned, !other));
            }
        }
    }
}
