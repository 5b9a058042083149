//! What another set of signatures would call a flow that has ended, as far as its record tells.
//!
//! A record has the host that was asked for, the server's address and port, what was spoken and the
//! rule that decided, but not the bytes. So rules over names, addresses and ports are asked anew; of
//! all others it is only known whether the rule that decided is still there and says the same.

use std::collections::HashMap;
use std::net::IpAddr;

use super::ladder::carries_applications;
use crate::flow::Transport;
use crate::signature::SignatureSet;
use crate::verdict::{Evidence, Tag};

/// What the record of a flow says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended<'a> {
    /// The application, if it has one.
    pub app: Option<&'a str>,
    /// What was done inside it.
    pub service: Option<&'a str>,
    /// What was spoken.
    pub proto: Option<&'a str>,
    /// How the name was established.
    pub evidence: Option<Evidence>,
    /// The rule that decided: `wechat/domain:weixin.qq.com`.
    pub rule: Option<&'a str>,
    /// The host that was asked for.
    pub server_name: Option<&'a str>,
    /// The ClientHello was encrypted: the host may be a placeholder.
    pub ech: bool,
    /// The name is that of a flow before it.
    pub remembered: bool,
    /// The transport protocol, where it has ports.
    pub transport: Option<Transport>,
    /// The server's address.
    pub server_ip: Option<IpAddr>,
    /// The server's port.
    pub server_port: u16,
}

/// What the other set makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Its name stays.
    Same,
    /// It gets the application, and perhaps the service, of this tag.
    Other(Tag),
    /// The rule by which it was named does not fit any more, and no other rule over names, addresses
    /// or ports does: only its protocol is left.
    Nothing,
    /// What decided is not in the record.
    NotKnown,
}

/// A set that is asked of flows that have ended.
#[derive(Debug)]
pub struct Reviewer<'a> {
    set: &'a SignatureSet,
    /// What the rules of a name say; nothing, where several have it and say different things.
    rules: HashMap<&'a str, Option<Tag>>,
}

impl<'a> Reviewer<'a> {
    /// Of this set.
    pub fn new(set: &'a SignatureSet) -> Self {
        let mut rules: HashMap<&str, Option<Tag>> = HashMap::new();
        for (name, tag) in set.rules() {
            let says = |tag: Tag| (tag.app, tag.service);
            rules
                .entry(name)
                .and_modify(|known| *known = known.filter(|known| says(*known) == says(tag)))
                .or_insert(Some(tag));
        }
        Self { set, rules }
    }

    /// What the set calls the flow.
    pub fn name(&self, ended: &Ended<'_>) -> Again {
        let host = ended.server_name.and_then(|name| self.set.by_name(name));
        let host = host.filter(|tag| tag.app.is_some());
        let Some(evidence) = ended.evidence.filter(|_| ended.app.is_some()) else {
            return match host {
                // With the set before it would have been named by it.
                Some(tag) => Again::Other(tag),
                None => self.name_nameless(ended),
            };
        };
        if ended.remembered {
            return self.by_rule(ended);
        }
        if let Some(tag) = host {
            let is_outer = ended.ech && tag.evidence == Evidence::OuterName;
            let class = match is_outer {
                true => Evidence::OuterName,
                false => Evidence::ServerName,
            };
            let again = self.compare(ended, tag);
            if class < evidence || class == evidence && decided_by_host(ended) {
                return again;
            }
            if class == evidence && again != Again::Same {
                return Again::NotKnown;
            }
        }
        let pattern = |kind| pattern(ended, kind);
        match evidence {
            // No rule has it any more.
            Evidence::ServerName if host.is_none() && decided_by_host(ended) => Again::Nothing,
            Evidence::Address => {
                let address = ended.server_ip;
                let decided = pattern("address")
                    .zip(address)
                    .is_some_and(|(prefix, address)| holds(prefix, address));
                match address.and_then(|address| self.by_address(ended, address)) {
                    Some(tag) if decided => self.compare(ended, tag),
                    None if decided => self.by_port(ended),
                    _ => self.by_rule(ended),
                }
            }
            // Who signalled is in no record.
            Evidence::Port if pattern("call").is_some() => self.by_rule(ended),
            Evidence::Port => {
                let address = ended.server_ip.filter(|_| ended.server_name.is_none());
                match address.and_then(|address| self.by_address(ended, address)) {
                    // Which end is the server is not known of all flows.
                    Some(_) => Again::NotKnown,
                    None => self.by_port(ended),
                }
            }
            _ => self.by_rule(ended),
        }
    }

    /// A flow without an application, whose host has none either.
    fn name_nameless(&self, ended: &Ended<'_>) -> Again {
        let address = ended.server_ip.filter(|_| ended.server_name.is_none());
        let by_address = address.and_then(|address| self.by_address(ended, address));
        let by_port = ended.transport.filter(|_| ended.proto.is_none());
        let by_port = by_port.and_then(|transport| self.set.by_port(transport, ended.server_port));
        let may_have = by_address.or(by_port).is_some_and(|tag| tag.app.is_some());
        // What names a protocol is a rule, with the file's name before it, or a dissector.
        let rule = ended.rule.filter(|rule| rule.contains('/'));
        let is_gone = rule.is_some_and(|rule| !self.rules.contains_key(rule));
        // The set before may have said the same of a flow whose ends were not told apart.
        match may_have || is_gone {
            true => Again::NotKnown,
            false => Again::Same,
        }
    }

    fn by_address(&self, ended: &Ended<'_>, address: IpAddr) -> Option<Tag> {
        let tag = self.set.by_address(address)?;
        let proto = ended
            .proto
            .map(|slug| self.set.catalog().protocol_named(slug));
        let may_name = match proto {
            None => true,
            Some(proto) => proto.is_some_and(|proto| {
                carries_applications(proto) || self.set.is_spoken_at_addresses(&tag, proto)
            }),
        };
        may_name.then_some(tag)
    }

    fn by_port(&self, ended: &Ended<'_>) -> Again {
        let transport = ended.transport.filter(|_| {
            // A port never speaks against a recognised protocol; its own rule may have named that.
            ended.proto.is_none() || ended.evidence == Some(Evidence::Port)
        });
        let tag = transport.and_then(|transport| self.set.by_port(transport, ended.server_port));
        match tag.filter(|tag| tag.app.is_some()) {
            Some(tag) => self.compare(ended, tag),
            None => Again::Nothing,
        }
    }

    /// Whether the rule that decided is there, and says the same.
    fn by_rule(&self, ended: &Ended<'_>) -> Again {
        let rule = ended
            .rule
            .and_then(|name| self.rules.get(name).copied().flatten());
        match rule.map(|tag| self.compare(ended, tag)) {
            Some(Again::Same) => Again::Same,
            _ => Again::NotKnown,
        }
    }

    fn compare(&self, ended: &Ended<'_>, tag: Tag) -> Again {
        let app = tag.app.map(|app| self.set.catalog().app_name(app));
        // A rule that tells no service leaves it to others, which are not asked.
        let service = tag.service.map(|service| service.slug());
        if app == ended.app && (service.is_none() || service == ended.service) {
            Again::Same
        } else {
            Again::Other(tag)
        }
    }
}

/// The pattern of the rule that decided, if it is one of this kind.
fn pattern<'a>(ended: &Ended<'a>, kind: &str) -> Option<&'a str> {
    let (_, rule) = ended.rule?.split_once('/')?;
    rule.strip_prefix(kind)?.strip_prefix(':')
}

/// Whether the host of the record is what the rule looked at that decided: a certificate has names too.
fn decided_by_host(ended: &Ended<'_>) -> bool {
    let (Some(pattern), Some(host)) = (pattern(ended, "domain"), ended.server_name) else {
        return false;
    };
    let begins_a_label = |before: &str| before.is_empty() || before.ends_with('.');
    if let Some(brand) = pattern.strip_suffix(".*") {
        // Under every public suffix: the longest of those that count have three labels.
        return host.match_indices(brand).any(|(at, _)| {
            let before = host.get(..at).unwrap_or_default();
            let after = host.get(at + brand.len()..).unwrap_or_default();
            let suffix = after.strip_prefix('.');
            begins_a_label(before) && suffix.is_some_and(|it| it.split('.').count() <= 3)
        });
    }
    host.strip_suffix(pattern).is_some_and(begins_a_label)
}

/// Whether `address` is in `prefix`: `192.0.2.0/24`, `2001:db8::/32`, a single address.
fn holds(prefix: &str, address: IpAddr) -> bool {
    let (network, length) = match prefix.split_once('/') {
        Some((network, length)) => (network, length.parse::<u32>().ok()),
        None => (prefix, None),
    };
    let Ok(network) = network.parse::<IpAddr>() else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differ = network.to_bits() ^ address.to_bits();
            differ.leading_zeros() >= length.unwrap_or(32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differ = network.to_bits() ^ address.to_bits();
            differ.leading_zeros() >= length.unwrap_or(128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SourceFile;

    fn set() -> SignatureSet {
        let file = |id: u32, name: &str, rules: &str| {
            SourceFile::new(
                format!("video/{name}.toml"),
                format!(
                    "[app]\nid = {id}\nname = \"{name}\"\ntitle = \"{name}\"\ncategory = \"video\"\n\
                     owner = \"x\"\n{rules}"
                ),
            )
        };
        let files = [
            file(
                1,
                "tube",
                "[[domain]]\nsuffix = [\"tube.example\"]\nservice = \"video\"\n\
                 [[address]]\nprefix = [\"198.51.100.0/24\"]\n",
            ),
            file(
                2,
                "ads",
                "[[domain]]\nsuffix = [\"ads.tube.example\"]\n\
                 [[payload]]\nname = \"hello\"\ntransport = \"tcp\"\ndirection = \"client\"\n\
                 at = [{ offset = 0, hex = \"0102030405060708\" }]\nevidence = \"payload\"\n\
                 source = \"made up\"\n",
            ),
        ];
        let (set, found) = SignatureSet::compile_leniently(&files);
        assert_eq!(set.catalog().app_count(), 2, "{found:?}");
        set
    }

    #[test]
    fn what_can_be_asked_again_is_and_the_rest_is_not_claimed() {
        let set = set();
        let reviewer = Reviewer::new(&set);
        let tls = Ended {
            proto: Some("tls"),
            evidence: Some(Evidence::Payload),
            rule: Some("dissector:tls"),
            transport: Some(Transport::Tcp),
            server_ip: Some([192, 0, 2, 1].into()),
            server_port: 443,
            ..Ended::default()
        };
        let tube = Ended {
            app: Some("tube"),
            service: Some("video"),
            evidence: Some(Evidence::ServerName),
            rule: Some("tube/domain:tube.example"),
            server_name: Some("a.tube.example"),
            ..tls
        };
        let old = Ended {
            app: Some("old"),
            service: None,
            rule: Some("old/domain:old.example"),
            server_name: Some("www.old.example"),
            ..tube
        };
        let by_address = Ended {
            app: Some("tube"),
            service: None,
            evidence: Some(Evidence::Address),
            rule: Some("tube/address:198.51.100.0/24"),
            server_name: None,
            server_ip: Some([198, 51, 100, 7].into()),
            ..tube
        };
        let by_call = Ended {
            app: Some("tube"),
            service: None,
            proto: Some("rtp"),
            evidence: Some(Evidence::Port),
            rule: Some("tube/call:media"),
            server_name: None,
            ..tube
        };
        let by_bytes = Ended {
            app: Some("ads"),
            evidence: Some(Evidence::Payload),
            rule: Some("ads/payload:hello"),
            ..tls
        };
        let rows: &[(&str, Ended<'_>, &str)] = &[
            ("its host", tube, "same"),
            ("a call whose rule is gone", by_call, "not known"),
            (
                "a longer suffix",
                Ended {
                    server_name: Some("x.ads.tube.example"),
                    ..tube
                },
                "ads",
            ),
            ("a rule that is gone", old, "nothing"),
            (
                "of another application now",
                Ended {
                    rule: Some("old/domain:tube.example"),
                    server_name: Some("a.tube.example"),
                    ..old
                },
                "tube",
            ),
            (
                "another service now",
                Ended {
                    service: Some("chat"),
                    ..tube
                },
                "tube",
            ),
            (
                "a certificate decided, not the host",
                Ended {
                    server_name: Some("203.0.113.1"),
                    ..old
                },
                "not known",
            ),
            (
                "a certificate decided, and the host has a rule now",
                Ended {
                    server_name: Some("tube.example"),
                    ..old
                },
                "not known",
            ),
            ("no host, no application", tls, "same"),
            (
                "a host that has one now",
                Ended {
                    server_name: Some("tube.example"),
                    ..tls
                },
                "tube",
            ),
            (
                "an address that may have one now",
                Ended {
                    server_ip: Some([198, 51, 100, 7].into()),
                    ..tls
                },
                "not known",
            ),
            (
                "a protocol whose rule is gone",
                Ended {
                    rule: Some("time/payload:request"),
                    ..tls
                },
                "not known",
            ),
            (
                "a host under any public suffix",
                Ended {
                    app: Some("brand"),
                    rule: Some("brand/domain:tube.*"),
                    server_name: Some("www.tube.example"),
                    ..tube
                },
                "tube",
            ),
            ("its address", by_address, "same"),
            (
                "an address that left the prefix",
                Ended {
                    rule: Some("tube/address:198.51.0.0/16"),
                    server_ip: Some([198, 51, 101, 7].into()),
                    ..by_address
                },
                "nothing",
            ),
            (
                "an address of another end",
                Ended {
                    server_ip: Some([203, 0, 113, 1].into()),
                    ..by_address
                },
                "same",
            ),
            ("bytes, whose rule is there", by_bytes, "same"),
            (
                "bytes, whose rule is gone",
                Ended {
                    rule: Some("ads/payload:bye"),
                    ..by_bytes
                },
                "not known",
            ),
            (
                "bytes, and a host that says better",
                Ended {
                    server_name: Some("tube.example"),
                    ..by_bytes
                },
                "tube",
            ),
            (
                "proved, whatever the host",
                Ended {
                    evidence: Some(Evidence::PayloadProof),
                    server_name: Some("tube.example"),
                    ..by_bytes
                },
                "same",
            ),
            (
                "remembered",
                Ended {
                    remembered: true,
                    server_name: None,
                    ..old
                },
                "not known",
            ),
        ];
        for (what, ended, expected) in rows {
            let got = match reviewer.name(ended) {
                Again::Same => "same",
                Again::Nothing => "nothing",
                Again::NotKnown => "not known",
                Again::Other(tag) => set.catalog().app_name(tag.app.unwrap()),
            };
            assert_eq!(got, *expected, "{what}");
        }
    }

    #[test]
    fn a_rule_decided_by_the_hosts_it_holds() {
        for (rule, host, expected) in [
            ("a/domain:tube.example", "tube.example", true),
            ("a/domain:tube.example", "www.tube.example", true),
            ("a/domain:tube.example", "youtube.example", false),
            ("a/domain:tube.*", "tube.co.uk", true),
            ("a/domain:tube.*", "www.tube.com", true),
            ("a/domain:tube.*", "youtube.com", false),
            ("a/domain:tube.*", "tube", false),
            ("a/domain:tube.*", "tube.a.b.c.example", false),
            ("a/http:tube.example", "tube.example", false),
            ("dissector:tls", "tube.example", false),
        ] {
            let ended = Ended {
                rule: Some(rule),
                server_name: Some(host),
                ..Ended::default()
            };
            assert_eq!(decided_by_host(&ended), expected, "{rule} {host}");
        }
    }

    #[test]
    fn prefixes_hold_addresses() {
        for (prefix, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::/32", "192.0.2.1", false),
            ("x", "192.0.2.1", false),
        ] {
            assert_eq!(
                holds(prefix, address.parse().unwrap()),
                expected,
                "{prefix} {address}"
            );
        }
    }
}
