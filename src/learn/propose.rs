//! Drafts of signature files out of clusters: what all flows of one have in common, as a rule.
//!
//! A draft names what nobody has named yet; it is for whoever knows what that is. Only drafts that
//! `signatures check` accepts are given.

use std::collections::BTreeSet;

use super::cluster::Cluster;
use super::draft::{self, Named};
use super::key::Key;
use super::party::Party;
use crate::signature::{Draft, FIRST_OF_SITES, Ids, Severity, SignatureSet, SourceFile, check};

/// Ports of a rule, at most.
const PORTS: usize = 4;

/// What ALPN offers that tells nothing of who speaks: the registered identifiers of HTTP.
const HTTP: [&str; 6] = ["h2", "h3", "http/1.1", "http/1.0", "hq-interop", "h2c"];

/// A file of signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its folder, a slash and its name: `other/example-com.toml`.
    pub path: String,
    /// The kind of rule in it.
    pub rule: &'static str,
    /// What it says.
    pub text: String,
}

/// Gives out names and ids to drafts.
#[derive(Debug)]
pub struct Proposer<'a> {
    set: &'a SignatureSet,
    /// Free ids, in order.
    ids: Vec<u32>,
    taken: BTreeSet<String>,
    /// Domains that drafts have: the same one may be asked for here and certified there.
    claimed: BTreeSet<String>,
}

impl<'a> Proposer<'a> {
    /// For drafts beside `files`, of which `set` is compiled; at most `count`.
    pub fn new(set: &'a SignatureSet, files: &[SourceFile], ids: &Ids, count: usize) -> Self {
        let free = ids.free(files, None).filter(|&id| id >= FIRST_OF_SITES);
        let mut ids: Vec<u32> = free.take(count).collect();
        ids.reverse();
        Self {
            set,
            ids,
            taken: BTreeSet::new(),
            claimed: BTreeSet::new(),
        }
    }

    /// A draft of the file that names the flows of this cluster.
    pub fn propose(&mut self, key: &Key, cluster: &Cluster) -> Option<Proposal> {
        let flows = cluster.volume.flows;
        let source = format!(
            "{flows} {} of a site, put together by `ottometer learn`: say how it is known",
            if flows == 1 { "flow" } else { "flows" }
        );
        match key {
            Key::Host(domain) | Key::Certified(domain) => self.app(
                domain,
                "domain",
                String::new(),
                std::slice::from_ref(domain),
            ),
            Key::Certificate { subject, issuer } => {
                let mut keys = vec![match subject {
                    Party::Organisation(name) => ("organisation", name.as_str()),
                    Party::Common(name) => ("common_name", name.as_str()),
                }];
                keys.extend(issuer.as_ref().map(|issuer| match issuer {
                    Party::Organisation(name) => ("issuer_organisation", name.as_str()),
                    Party::Common(name) => ("issuer", name.as_str()),
                }));
                self.app(subject.name(), "tls", table(&keys, &[], &source)?, &[])
            }
            Key::Hello { ja4, alpn } => {
                let own = alpn.as_deref().unwrap_or_default().split(',');
                let own: Vec<&str> = own
                    .filter(|one| !one.is_empty() && !HTTP.contains(one))
                    .collect();
                let ports = ports(cluster);
                let rule = match own.first() {
                    Some(one) => table(&[("alpn", one)], &[], &source),
                    // A fingerprint is a client's, not a service's: with the port it may be one's.
                    None if !ports.is_empty() && ports != [443] => {
                        table(&[("ja4", ja4)], &ports, &source)
                    }
                    None => None,
                };
                let name = own.first().map_or(ja4.as_str(), |one| one);
                self.app(name, "tls", rule?, &[])
            }
            Key::Bytes { .. } | Key::Port { .. } => self.protocol(key, cluster, &source),
            Key::Rest => None,
        }
    }

    /// A file of an application, by its domains and further rules.
    fn app(
        &mut self,
        name: &str,
        rule: &'static str,
        rules: String,
        hosts: &[String],
    ) -> Option<Proposal> {
        if hosts.iter().any(|host| self.claimed.contains(host)) {
            return None;
        }
        let slug = self.slug(name)?;
        let title: String = name.chars().filter(|one| !one.is_control()).collect();
        let draft = Draft {
            id: *self.ids.last()?,
            name: &slug,
            title: &title,
            category: "other",
            owner: &title,
            hosts,
        };
        let proposal = accepted(Proposal {
            path: format!("other/{slug}.toml"),
            rule,
            text: draft.text() + &rules,
        })?;
        self.ids.pop();
        self.taken.insert(slug);
        self.claimed.extend(hosts.iter().cloned());
        Some(proposal)
    }

    /// A file of a protocol, by the first messages.
    fn protocol(&mut self, key: &Key, cluster: &Cluster, source: &str) -> Option<Proposal> {
        let transport = key.transport()?;
        let ports = ports(cluster);
        let named = match crate::record::transport_name(transport) {
            name if ports.is_empty() => format!("unnamed-{name}"),
            name => format!("unnamed-{name}-{}", ports.first()?),
        };
        let slug = self.slug(&named)?;
        let named = Named {
            name: &slug,
            title: &named,
            source,
            protocol: transport,
            ports: &ports,
        };
        let proposal = Proposal {
            path: format!("protocol/{slug}.toml"),
            rule: "payload",
            text: draft::draft(&named, &cluster.samples)?,
        };
        let proposal = accepted(proposal)?;
        self.taken.insert(slug);
        Some(proposal)
    }

    /// What may be a slug of `name`, and is none yet.
    fn slug(&self, name: &str) -> Option<String> {
        let mut slug = String::new();
        for one in name.chars().take(60) {
            match one.to_ascii_lowercase() {
                one @ ('a'..='z' | '0'..='9') => slug.push(one),
                _ if slug.is_empty() || slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
        }
        let slug = slug.trim_end_matches('-');
        if slug.is_empty() {
            return None;
        }
        let catalog = self.set.catalog();
        let is_free = |slug: &String| {
            !self.taken.contains(slug)
                && catalog.app_named(slug).is_none()
                && catalog.protocol_named(slug).is_none()
        };
        let numbered = (2..1000).map(|number| format!("{slug}-{number}"));
        std::iter::once(slug.to_owned())
            .chain(numbered)
            .find(is_free)
    }
}

/// The proposal, if it is a file that can be used as it is.
fn accepted(proposal: Proposal) -> Option<Proposal> {
    let file = SourceFile::new(proposal.path.clone(), proposal.text.clone());
    let faults = check(&[file]);
    let is_bad = faults.iter().any(|one| one.severity == Severity::Error);
    (!is_bad).then_some(proposal)
}

/// A rule over TLS. `None` where a text would be a pattern, or nothing.
fn table(keys: &[(&str, &str)], ports: &[u16], source: &str) -> Option<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut text = String::from("\n[[tls]]\n");
    for (key, value) in keys {
        if value.trim().is_empty() || value.contains('*') {
            return None;
        }
        text.push_str(&format!("{key} = [{}]\n", quoted(value)));
    }
    if !ports.is_empty() {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        text.push_str(&format!("port = [{}]\n", ports.join(", ")));
    }
    text.push_str(&format!("source = {}\n", quoted(source)));
    Some(text)
}

/// The ports of all flows, if they are few.
fn ports(cluster: &Cluster) -> Vec<u16> {
    let mut ports: Vec<u16> = cluster.ports.iter().map(|&(_, port)| port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.retain(|&port| port > 0);
    if cluster.has_more_ports || ports.len() > PORTS {
        ports.clear();
    }
    ports
}
