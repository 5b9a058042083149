//! Community ID v1: the same text for the same flow in every tool that writes it
//! (<https://github.com/corelight/community-id-spec>).

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::decode::IpProtocol;

/// One flow's identifier, with seed 0. Ports are ignored for protocols without; ICMP gives type
/// and code instead.
pub(super) fn community_id(
    protocol: IpProtocol,
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    icmp: (u8, u8),
) -> String {
    let (source_port, destination_port, one_way) = match protocol {
        IpProtocol::ICMP => icmp_ports(icmp, ICMP_PAIRS),
        IpProtocol::ICMPV6 => icmp_ports(icmp, ICMPV6_PAIRS),
        _ => (source.1, destination.1, false),
    };
    let source = (source.0, source_port);
    let destination = (destination.0, destination_port);
    let (a, b) = if one_way || source <= destination {
        (source, destination)
    } else {
        (destination, source)
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    for (ip, _) in [a, b] {
        match ip {
            IpAddr::V4(v4) => hash.update(v4.octets()),
            IpAddr::V6(v6) => hash.update(v6.octets()),
        }
    }
    hash.update([protocol.0, 0]);
    let has_ports = matches!(
        protocol,
        IpProtocol::TCP
            | IpProtocol::UDP
            | IpProtocol::SCTP
            | IpProtocol::ICMP
            | IpProtocol::ICMPV6
    );
    if has_ports {
        hash.update(a.1.to_be_bytes());
        hash.update(b.1.to_be_bytes());
    }
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

/// Types that answer one another, as the specification pairs them.
const ICMP_PAIRS: &[(u8, u8)] = &[
    (8, 0),
    (0, 8),
    (13, 14),
    (14, 13),
    (15, 16),
    (16, 15),
    (10, 9),
    (9, 10),
    (17, 18),
    (18, 17),
];
const ICMPV6_PAIRS: &[(u8, u8)] = &[
    (128, 129),
    (129, 128),
    (133, 134),
    (134, 133),
    (135, 136),
    (136, 135),
    (130, 131),
    (131, 130),
    // Who are you (RFC 4620).
    (139, 140),
    (140, 139),
    (144, 145),
    (145, 144),
];

fn icmp_ports((kind, code): (u8, u8), pairs: &[(u8, u8)]) -> (u16, u16, bool) {
    match pairs.iter().find(|pair| pair.0 == kind) {
        Some(&(_, answer)) => (u16::from(kind), u16::from(answer), false),
        None => (u16::from(kind), u16::from(code), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's baseline of the same name.
    #[test]
    fn gives_the_published_values() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let cases = [
            (
                IpProtocol::TCP,
                ("128.232.110.120", 34855),
                ("66.35.250.204", 80),
                (0, 0),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                IpProtocol::TCP,
                ("66.35.250.204", 80),
                ("128.232.110.120", 34855),
                (0, 0),
                "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            ),
            (
                IpProtocol::UDP,
                ("192.168.1.52", 54585),
                ("8.8.8.8", 53),
                (0, 0),
                "1:d/FP5EW3wiY1vCndhwleRRKHowQ=",
            ),
        ];
        for (protocol, source, destination, icmp, expected) in cases {
            let got = community_id(
                protocol,
                (ip(source.0), source.1),
                (ip(destination.0), destination.1),
                icmp,
            );
            assert_eq!(got, expected);
        }
    }

    /// The algorithm by hand: SHA-1 of seed, addresses, protocol, zero, and the two types as ports,
    /// the lower end first; of the reference's own tests where these have the type.
    #[test]
    fn types_of_icmpv6_that_answer_each_other() {
        let (a, b) = ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea");
        let (c, d) = ("2001:db8::1", "2001:db8::2");
        for (source, destination, kind, expected) in [
            (a, b, 135, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            (b, a, 136, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
            (a, b, 139, "1:5M4clpPt0fX67/4bIqQT4gA26Dw="),
            (b, a, 140, "1:5M4clpPt0fX67/4bIqQT4gA26Dw="),
            (b, a, 139, "1:cOJwEcSbkW1UEpyFTXIP4GMDabo="),
            (c, d, 144, "1:ms66bqjCiS0Nx3DNXCp9wH22xNw="),
            (d, c, 145, "1:ms66bqjCiS0Nx3DNXCp9wH22xNw="),
        ] {
            let ends = [source, destination].map(|text| (text.parse::<IpAddr>().unwrap(), 0));
            let got = community_id(IpProtocol::ICMPV6, ends[0], ends[1], (kind, 0));
            assert_eq!(got, expected, "{source} {kind}");
        }
    }

    #[test]
    fn icmp_request_and_reply_are_one_flow() {
        let (a, b) = (IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 1]));
        let request = community_id(IpProtocol::ICMP, (a, 0), (b, 0), (8, 0));
        let reply = community_id(IpProtocol::ICMP, (b, 0), (a, 0), (0, 0));
        assert_eq!(request, reply);
    }
}
