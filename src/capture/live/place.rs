//! Where frames come from, as a user says it: the name of an interface, or a URL.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::host::{Host, host_and_port};
use crate::wire::geneve::Geneve;
use crate::wire::vxlan::Vxlan;

/// The port that other programs send captures from, or to: none is assigned.
const CAPTURES: u16 = 57_012;

/// Schemes, and the port of each.
const SCHEMES: [(&str, u16); 4] = [
    ("vxlan", Vxlan::PORTS[0]),
    ("geneve", Geneve::PORT),
    ("pcap", CAPTURES),
    ("pcap-listen", CAPTURES),
];

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A network interface of this name, or `any`.
    Interface(String),
    /// `vxlan://`, `geneve://`: a UDP socket with this address, to which a mirror sends frames.
    Datagrams(Mirror, SocketAddr),
    /// `pcap://`: a host that sends a capture to those who connect.
    Sender(Host),
    /// `pcap-listen://`: a TCP socket with this address, for one who connects and sends a capture.
    Listener(SocketAddr),
}

/// How a mirror wraps frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// RFC 7348.
    Vxlan,
    /// RFC 8926.
    Geneve,
}

impl Place {
    /// Reads what a user said.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(said: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = said.split_once("://") else {
            // As the kernel has them (`dev_valid_name`), but for the length.
            let is_name = |c: char| !c.is_whitespace() && c != '/';
            return if !said.is_empty() && said.chars().all(is_name) {
                Ok(Self::Interface(said.to_owned()))
            } else {
                Err(format!("`{said}` is not the name of an interface"))
            };
        };
        let mut schemes = SCHEMES.iter();
        let Some(&(scheme, usual)) = schemes.find(|(name, _)| scheme.eq_ignore_ascii_case(name))
        else {
            let known = SCHEMES.map(|(name, _)| format!("{name}://")).join(", ");
            return Err(format!(
                "`{said}`: frames come from {known} or an interface"
            ));
        };
        let (host, port) =
            host_and_port(rest).ok_or_else(|| format!("`{said}`: `{rest}` is not ADDRESS:PORT"))?;
        let port = port.unwrap_or(usual);
        if scheme == "pcap" {
            return if host.is_empty() {
                Err(format!("`{said}` names no host to connect to"))
            } else {
                Ok(Self::Sender(Host {
                    name: host.into(),
                    port,
                }))
            };
        }
        let address = match host {
            // IPv4 as well.
            "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            host => host.parse().map_err(|_| {
                format!("`{said}`: `{host}` is not an address of this host, nor 0.0.0.0 or [::]")
            })?,
        };
        let address = SocketAddr::new(address, port);
        Ok(match scheme {
            "vxlan" => Self::Datagrams(Mirror::Vxlan, address),
            "geneve" => Self::Datagrams(Mirror::Geneve, address),
            _ => Self::Listener(address),
        })
    }

    /// Whether it takes the right to capture.
    pub const fn is_interface(&self) -> bool {
        matches!(self, Self::Interface(_))
    }

    /// Whether it calls out to another host.
    pub const fn connects(&self) -> bool {
        matches!(self, Self::Sender(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_or_refused() {
        let at = |text: &str| text.parse().unwrap();
        let interface = |name: &str| Ok(Place::Interface(name.to_owned()));
        let host = |name: &str, port| {
            Ok(Place::Sender(Host {
                name: name.into(),
                port,
            }))
        };
        let vxlan = |text| Ok(Place::Datagrams(Mirror::Vxlan, at(text)));
        let geneve = |text| Ok(Place::Datagrams(Mirror::Geneve, at(text)));
        // What is said, and the place or a part of why it is refused.
        let rows: [(&str, Result<Place, &str>); 24] = [
            ("eth0", interface("eth0")),
            ("any", interface("any")),
            ("br-1.100:2", interface("br-1.100:2")),
            ("", Err("not the name of an interface")),
            ("eth 0", Err("not the name of an interface")),
            ("/dev/eth0", Err("not the name of an interface")),
            ("vxlan://0.0.0.0:4789", vxlan("0.0.0.0:4789")),
            ("VXLAN://10.0.0.1", vxlan("10.0.0.1:4789")),
            ("vxlan://", vxlan("[::]:4789")),
            ("vxlan://:8472/", vxlan("[::]:8472")),
            ("geneve://[::]:6081", geneve("[::]:6081")),
            ("geneve://[fe80::1]", geneve("[fe80::1]:6081")),
            ("vxlan://mirror", Err("`mirror` is not an address")),
            ("vxlan://0.0.0.0:0", Err("is not ADDRESS:PORT")),
            ("vxlan://0.0.0.0:99999", Err("is not ADDRESS:PORT")),
            ("vxlan://[::1", Err("is not ADDRESS:PORT")),
            ("vxlan://[mirror]", Err("is not ADDRESS:PORT")),
            (
                "pcap://sensor.example:57000",
                host("sensor.example", 57_000),
            ),
            ("pcap://[::1]", host("::1", 57_012)),
            ("pcap://:57012", Err("names no host")),
            ("pcap://u@host", Err("is not ADDRESS:PORT")),
            (
                "pcap-listen://127.0.0.1:5",
                Ok(Place::Listener(at("127.0.0.1:5"))),
            ),
            ("pcap-listen://", Ok(Place::Listener(at("[::]:57012")))),
            (
                "gre://",
                Err("frames come from vxlan://, geneve://, pcap://"),
            ),
        ];
        for (said, expected) in rows {
            match (Place::parse(said), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{said}"),
                (Err(text), Err(part)) => assert!(text.contains(part), "{said}: {text}"),
                (found, _) => panic!("{said}: {found:?}"),
            }
        }
    }
}
