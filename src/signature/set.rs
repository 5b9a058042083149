//! A set of rules, compiled, and what it is asked of flows.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use super::builtin::builtin_files;
use super::matching::address::AddressTable;
use super::matching::call::{CallRule, CallTable};
use super::matching::domain::DomainTable;
use super::matching::facts::FactTable;
use super::matching::flow::FlowTable;
use super::matching::guard::Found;
use super::matching::payload::near::Near;
use super::matching::payload::{PayloadTable, Which};
use super::matching::port::PortTable;
use super::rule::{RuleKind, Rules};
use super::source;
use crate::app::{AppId, Catalog, Proto};
use crate::dissect::Facts;
use crate::flow::{Opening, Transport};
use crate::verdict::{Evidence, RuleId, Tag};

/// All rules, compiled.
#[derive(Debug, Default)]
pub struct SignatureSet {
    pub(super) catalog: Catalog,
    pub(super) hash: Hash,
    pub(super) rules: Rules,
    pub(super) domains: DomainTable,
    pub(super) addresses: AddressTable,
    pub(super) ports: PortTable,
    pub(super) payloads: PayloadTable,
    pub(super) facts: FactTable,
    pub(super) flows: FlowTable,
    pub(super) calls: CallTable,
}

/// The hash of a set's files.
#[derive(Debug)]
pub(super) enum Hash {
    Known(String),
    /// Of the built-in files: to hash their texts, all of them must be read.
    OfBuiltin(OnceLock<String>),
}

impl Default for Hash {
    fn default() -> Self {
        Self::Known(String::new())
    }
}

impl SignatureSet {
    /// The names of this set, and of those it was compiled after.
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// SHA-256 over all files of the set, in hex: records carry it.
    pub fn hash(&self) -> &str {
        match &self.hash {
            Hash::Known(hash) => hash,
            Hash::OfBuiltin(hash) => hash.get_or_init(|| source::hash(&builtin_files())),
        }
    }

    /// Bytes it takes, about: the capacities of its tables.
    pub fn memory(&self) -> usize {
        self.catalog.memory()
            + self.rules.memory()
            + self.domains.memory()
            + self.addresses.memory()
            + self.ports.memory()
            + self.payloads.memory()
            + self.facts.memory()
            + self.flows.memory()
            + self.calls.memory()
    }

    /// How many rules there are; retired ones are not counted.
    pub const fn rule_count(&self) -> usize {
        self.rules.count()
    }

    /// Whether `tag` names an application that is in no file any more: what was learned of it must
    /// not name further flows.
    pub fn is_retired(&self, tag: &Tag) -> bool {
        tag.app.is_some_and(|app| !self.catalog.is_current(app))
    }

    /// All rules, by name; retired ones are not among them.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Tag)> {
        let rules = self.rules.iter();
        rules.map(|rule| (self.rules.name(rule.tag.rule), rule.tag))
    }

    /// The rule's name as records carry it: `wechat/domain:weixin.qq.com`.
    pub fn rule_name(&self, rule: RuleId) -> &str {
        self.rules.name(rule)
    }

    /// How strong a pattern the rule is, to break ties inside one class of evidence: labels of a
    /// name, bits of a prefix, fixed bits of everything else.
    pub fn rule_weight(&self, rule: RuleId) -> u16 {
        self.rules.get(rule).map_or(0, |rule| rule.weight)
    }

    /// Whether the rule looks at what was read of a recognised protocol, and so may name one that
    /// is carried in it.
    pub fn rule_reads_carrier(&self, rule: RuleId) -> bool {
        use RuleKind::{Http, Proto, Sip, Stun, Tls};
        self.rules
            .get(rule)
            .is_some_and(|rule| matches!(rule.kind, Http | Proto | Sip | Stun | Tls))
    }

    /// How we know what the rule says; empty where the file does not tell.
    pub fn rule_source(&self, rule: RuleId) -> &str {
        self.rules.source(rule)
    }

    /// What the rule says of a flow.
    pub fn rule_tag(&self, rule: RuleId) -> Option<Tag> {
        self.rules.tag(rule)
    }

    /// The longest domain rule that `name` falls under. `name` is lower case, without a trailing
    /// dot.
    pub fn by_name(&self, name: &str) -> Option<Tag> {
        self.domains
            .find(name)
            .and_then(|rule| self.rules.tag(rule))
    }

    /// The address rule of the longest prefix around `address` that may name a flow (not a
    /// shared one).
    pub fn by_address(&self, address: IpAddr) -> Option<Tag> {
        self.addresses
            .find(address)
            .and_then(|rule| self.rules.tag(rule))
    }

    /// Whether the file of `tag`'s application says that `proto`, spoken at its addresses, is its.
    pub fn is_spoken_at_addresses(&self, tag: &Tag, proto: Proto) -> bool {
        tag.app.is_some_and(|app| self.addresses.speaks(app, proto))
    }

    /// The port rule for a flow towards `port`.
    pub fn by_port(&self, transport: Transport, port: u16) -> Option<Tag> {
        self.ports
            .find(transport, port)
            .and_then(|rule| self.rules.tag(rule))
    }

    /// Whether any rule ties media to signalling.
    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Whether a rule ties media to signalling of `app`.
    pub fn has_calls_of(&self, app: AppId) -> bool {
        self.calls.has(app)
    }

    /// Whether speaking with a host that `tag` knows signals a call.
    pub fn is_signalling(&self, tag: &Tag) -> bool {
        tag.app
            .is_some_and(|app| self.calls.is_signalling(app, tag.service))
    }

    /// The rules that tie a flow to `relay`, of which `spoken` was recognised, to signalling.
    pub fn calls(
        &self,
        relay: SocketAddr,
        spoken: Option<Proto>,
    ) -> impl Iterator<Item = &CallRule> {
        self.calls.find(relay, spoken, &self.addresses)
    }

    /// Payload rules the newest message of `opening` makes true: at most 64, appended to `found`.
    /// Called once for each message.
    pub fn by_payload(&self, opening: &Opening<'_>, found: &mut Vec<Tag>) {
        self.find_payload(opening, Which::All, found);
    }

    /// The same, of those rules only that prove what they name.
    pub fn by_payload_proof(&self, opening: &Opening<'_>, found: &mut Vec<Tag>) {
        self.find_payload(opening, Which::Proofs, found);
    }

    fn find_payload(&self, opening: &Opening<'_>, wanted: Which, found: &mut Vec<Tag>) {
        self.payloads
            .find(opening, wanted, &self.addresses, &mut Found::new(found));
    }

    /// Payload rules that came close to `opening` as it is now, the closest first, appended to
    /// `found`. Slow, for explaining.
    pub fn near_by_payload(&self, opening: &Opening<'_>, found: &mut Vec<Near>) {
        self.payloads.near(opening, &self.addresses, found);
    }

    /// Payload rules with a strong check that hold where the streams of `opening` begin with messages
    /// that are not known to be the first ones: at most 64, appended to `found`.
    pub fn by_middle(&self, opening: &Opening<'_>, found: &mut Vec<Tag>) {
        self.payloads
            .find_middle(opening, &self.addresses, &mut Found::new(found));
    }

    /// Rules over what dissectors read (tls, http, stun, sip, proto) and the domain rule for the
    /// server's name, or else for its certificate, or its cookies: at most 64, appended to `found`.
    pub fn by_facts(&self, opening: &Opening<'_>, facts: &Facts, found: &mut Vec<Tag>) {
        let mut found = Found::new(found);
        let by_server_name = facts
            .server_name
            .as_deref()
            .and_then(|name| self.by_name(name));
        let by_server = by_server_name
            .or_else(|| self.by_certificate(facts))
            .or_else(|| self.by_cookies(facts));
        if let Some(mut tag) = by_server {
            // Without an encrypted hello it is a name like any other.
            let is_encrypted = facts.tls.as_ref().is_some_and(|tls| tls.ech);
            if tag.evidence == Evidence::OuterName && !is_encrypted {
                tag.evidence = Evidence::ServerName;
            }
            found.push(tag);
        }
        self.facts.find(opening, facts, &self.addresses, &mut found);
    }

    /// Rules over what the flow does: at most 64, appended to `found`. Asked when a message
    /// arrives and nothing better is known.
    pub fn by_flow(&self, opening: &Opening<'_>, found: &mut Vec<Tag>) {
        self.flows
            .find(opening, &self.addresses, &mut Found::new(found));
    }

    /// The domain rule for a certificate: its common name's, or the one all alternative names
    /// that fall under any rule agree on as far as the application goes (a delivery network's
    /// certificate names many).
    fn by_certificate(&self, facts: &Facts) -> Option<Tag> {
        let find = |name: &str| self.by_name(name.strip_prefix("*.").unwrap_or(name));
        let names = &facts.tls.as_deref()?.certificate;
        let common = names.common_name.as_deref().and_then(find);
        common.or_else(|| agreed(names.alternative.iter().filter_map(|name| find(name))))
    }

    /// The domain rule for the cookies of an answer whose question is not there: a server gives only
    /// those of its own domain to clients that would take them.
    fn by_cookies(&self, facts: &Facts) -> Option<Tag> {
        if facts.server_name.is_some() {
            return None;
        }
        let domains = &facts.http.as_deref()?.cookie_domains;
        // One that no rule knows is another server's, or of a server that no rule knows.
        let all_known = domains.iter().all(|name| self.by_name(name).is_some());
        agreed(domains.iter().filter_map(|name| self.by_name(name))).filter(|_| all_known)
    }
}

/// The first of `tags`, if all name the same.
fn agreed(mut tags: impl Iterator<Item = Tag>) -> Option<Tag> {
    let first = tags.next()?;
    tags.all(|tag| (tag.app, tag.proto) == (first.app, first.proto))
        .then_some(first)
}
