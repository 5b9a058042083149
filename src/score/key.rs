//! When a label and a record speak of the same flow.

use std::fmt;
use std::net::IpAddr;

use crate::decode::IpProtocol;
use crate::record::{FlowRecord, transport_by_name, transport_name};

/// The five-tuple of a flow, whoever is its client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    protocol: u8,
    /// The lower one first.
    ends: [(IpAddr, u16); 2],
}

impl FlowKey {
    /// The flow of `protocol` between two ends, in either order. Ports count only where the protocol
    /// has them.
    pub fn new(protocol: IpProtocol, one: (IpAddr, u16), other: (IpAddr, u16)) -> Self {
        let has_ports = matches!(
            protocol,
            IpProtocol::TCP
                | IpProtocol::UDP
                | IpProtocol::UDPLITE
                | IpProtocol::SCTP
                | IpProtocol::DCCP
        );
        let port = |(ip, port): (IpAddr, u16)| (ip, if has_ports { port } else { 0 });
        let mut ends = [port(one), port(other)];
        ends.sort_unstable();
        Self {
            protocol: protocol.0,
            ends,
        }
    }

    /// The flow of a record.
    pub fn of(record: &FlowRecord) -> Self {
        Self::new(
            record.protocol,
            (record.client_ip, record.client_port),
            (record.server_ip, record.server_port),
        )
    }

    /// The transport protocol by its name or number, as flow records write it; ICMPv6 by its usual
    /// names as well.
    pub(super) fn protocol(text: &str) -> Option<IpProtocol> {
        match text.to_ascii_uppercase().as_str() {
            "ICMPV6" | "ICMP6" => Some(IpProtocol::ICMPV6),
            name => transport_by_name(name),
        }
    }

    /// The transport protocol as flow records write it, and both ends.
    pub fn parts(&self) -> (String, [(IpAddr, u16); 2]) {
        let name = transport_name(IpProtocol(self.protocol)).into_owned();
        (name, self.ends)
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, [(one, one_port), (other, other_port)]) = self.parts();
        write!(f, "{name} {one} {one_port} {other} {other_port}")
    }
}
