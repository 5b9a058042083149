//! What a flow is called that shows nothing but the name of its server: for lists of names.

use std::net::{IpAddr, Ipv4Addr};

use super::Named;
use super::ladder::{View, settles};
use crate::app::Proto;
use crate::dissect::{Facts, Tls, host};
use crate::flow::{Opening, Side, Stream, Transport};
use crate::signature::SignatureSet;
use crate::verdict::Tag;

const HTTPS: u16 = 443;
/// Of no operator (RFC 5737).
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Names hosts as flows of TLS to them would be.
#[derive(Debug)]
pub struct ByName<'a> {
    set: &'a SignatureSet,
    found: Vec<Tag>,
}

/// A name on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An application's.
    Named(Named),
    /// No rule knows it.
    Unknown,
    /// Not a host name (RFC 1123 section 2.1): no flow would show it.
    NoName,
}

impl<'a> ByName<'a> {
    /// Under the rules of `set`.
    pub const fn new(set: &'a SignatureSet) -> Self {
        Self {
            set,
            found: Vec::new(),
        }
    }

    /// What a flow is called whose ClientHello asks for `host` and has nothing else that a rule
    /// looks at, to an address and from one that no rule knows.
    pub fn name(&mut self, host: &str) -> Answer {
        let Some(server_name) = host::host_name(host.as_bytes()) else {
            return Answer::NoName;
        };
        let facts = Facts {
            proto: Some(Proto::TLS),
            server_name: Some(server_name),
            tls: Some(Box::new(Tls::default())),
            ..Facts::default()
        };
        let opening = Opening {
            transport: Transport::Tcp,
            client_ip: NOWHERE,
            server_ip: NOWHERE,
            client_port: 0,
            server_port: HTTPS,
            client: Stream::default(),
            server: Stream::default(),
            latest: Side::Client,
        };
        self.found.clear();
        self.set.by_facts(&opening, &facts, &mut self.found);
        let view = View {
            set: self.set,
            facts: Some(&facts),
            tags: &self.found,
            owner: Some(0),
            done: true,
            is_claim: false,
            undecided: false,
            outer: None,
        };
        match settles(&view, true) {
            Some(named) if named.app.is_some() => Answer::Named(named),
            _ => Answer::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Service;
    use crate::classify::Decider;
    use crate::signature::SourceFile;

    const FILE: &str = r#"
        [app]
        id = 60000
        name = "acme"
        title = "Acme"
        category = "messaging"
        owner = "Acme Inc."
        [[domain]]
        suffix = ["acme.*"]
        [[domain]]
        suffix = ["video.acme.test", "chat.acme.com"]
        service = "chat"
        [[tls]]
        server_name = ["voice*.acme.com"]
        service = "voice"
        source = "its documents"
        [[tls]]
        server_name = ["never*.acme.com"]
        alpn = ["acme"]
        service = "file"
        source = "its documents"
    "#;

    #[test]
    fn names_are_named_as_flows_are() {
        let set = SignatureSet::compile(&[SourceFile::new("messaging/acme.toml", FILE)]).unwrap();
        let mut names = ByName::new(&set);
        let pattern = Some((None, "acme/domain:acme.*"));
        let chat = Some(Service::Chat);
        let voice = Some(Service::Voice);
        for (host, expected) in [
            ("www.acme.de", pattern),
            ("WWW.ACME.co.uk.", pattern),
            ("chat.acme.com", Some((chat, "acme/domain:chat.acme.com"))),
            (
                "video.acme.test",
                Some((chat, "acme/domain:video.acme.test")),
            ),
            ("never1.acme.com", pattern),
            ("acme.test", None),
            ("acme.github.io", None),
            ("203.0.113.1", None),
        ] {
            let found = match names.name(host) {
                Answer::Named(named) => match named.decider {
                    Some(Decider::Rule(rule)) => Some((named.service, set.rule_name(rule))),
                    other => panic!("{host}: {other:?}"),
                },
                Answer::Unknown => None,
                Answer::NoName => panic!("{host}"),
            };
            assert_eq!(found, expected, "{host}");
        }
        let Answer::Named(named) = names.name("voice1.acme.com") else {
            panic!("no name");
        };
        assert_eq!(named.service, voice);
        for host in ["", ".", "a..b", "a b", "微.com", "https://acme.com"] {
            assert_eq!(names.name(host), Answer::NoName, "{host}");
        }
    }
}
