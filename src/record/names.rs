//! Names that records carry and that nobody else gives.

use std::borrow::Cow;

use crate::classify::Decider;
use crate::decode::IpProtocol;
use crate::dissect::DISSECTORS;
use crate::signature::SignatureSet;

/// The name of a transport protocol as EVE writes it.
pub(crate) fn transport_name(protocol: IpProtocol) -> Cow<'static, str> {
    let name = match protocol {
        IpProtocol::TCP => "TCP",
        IpProtocol::UDP => "UDP",
        IpProtocol::UDPLITE => "UDPLITE",
        IpProtocol::ICMP => "ICMP",
        IpProtocol::ICMPV6 => "IPV6-ICMP",
        IpProtocol::SCTP => "SCTP",
        IpProtocol::DCCP => "DCCP",
        IpProtocol::IGMP => "IGMP",
        IpProtocol::GRE => "GRE",
        IpProtocol::ESP => "ESP",
        IpProtocol::AH => "AH",
        IpProtocol::IPV4 => "IPIP",
        IpProtocol::IPV6 => "IPV6",
        IpProtocol(89) => "OSPF",
        IpProtocol(103) => "PIM",
        IpProtocol(112) => "VRRP",
        IpProtocol(113) => "PGM",
        IpProtocol(other) => return other.to_string().into(),
    };
    name.into()
}

/// The transport protocol of this name, or number.
pub(crate) fn transport_by_name(name: &str) -> Option<IpProtocol> {
    let mut all = (0..=u8::MAX).map(IpProtocol);
    let is_it = |protocol: &IpProtocol| {
        transport_name(*protocol).eq_ignore_ascii_case(name) || protocol.0.to_string() == name
    };
    all.find(is_it)
}

/// What decided, as records and `explain` name it: a rule, or `dissector:NAME`.
pub(crate) fn decider_name(decider: Decider, set: &SignatureSet) -> Cow<'_, str> {
    match decider {
        Decider::Rule(rule) => set.rule_name(rule).into(),
        Decider::Dissector(place) => {
            let name = DISSECTORS
                .get(usize::from(place))
                .map_or("", |row| row.name);
            format!("dissector:{name}").into()
        }
        Decider::ProtocolNumber => "ip-protocol".into(),
        Decider::Behaviour => "behaviour".into(),
    }
}
