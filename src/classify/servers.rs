//! What a client showed of a server on one flow, for its other flows to that server that show nothing:
//! one of which the mirror has the server's side only, one joined in the middle, a session of TLS
//! that is resumed.
//!
//! A client that names a server at an address has been led there by that name, as one that asked DNS
//! for it. What it proved to speak with one port of it says the same of that port alone. Where several
//! applications' names, or names that no rule knows, led the client to one address, that proves nothing.
//!
//! Each worker knows what the flows it owns showed, which is all there is to know: all flows of two
//! addresses are one worker's, so any number of them says the same. Memory is bounded by two
//! generations of entries.

use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;

use super::generations::Generations;
use super::generations::seconds;
use super::ladder::carries_applications;
use super::names::{NO_APP, NO_RULE, Names};
use super::{Decider, Named};
use crate::app::{AppId, Proto, Service};
use crate::dissect::{Facts, host};
use crate::flow::{Flow, Side, Transport};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::{Evidence, RuleId, Tag};

/// Seconds it is believed for: addresses of delivery networks serve others soon.
const LIFETIME: u32 = 600;

/// Buckets of a generation.
const BUCKETS: usize = 1 << 15;

/// What clients showed of servers.
#[derive(Debug)]
pub(super) struct Servers {
    state: RandomState,
    /// By the hash of both addresses, and of the port where it holds for that alone.
    shown: Generations<u64, Shown>,
    any: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    /// [`NO_RULE`]: no rule knows the name.
    rule: RuleId,
    app: AppId,
    /// Different applications, or none, were shown.
    mixed: bool,
    /// What is done there, if that was always the same.
    service: Option<Service>,
    /// What is spoken, where it holds for one port.
    proto: Option<Proto>,
    /// In seconds of 1970.
    at: u32,
}

/// Where something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    /// At the address.
    Address,
    /// At one port of it.
    Port(Transport, u16),
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            state: RandomState::default(),
            shown: Generations::new(BUCKETS),
            any: false,
        }
    }
}

impl Servers {
    /// The most bytes they take.
    pub(super) const MEMORY: usize = Generations::<u64, Shown>::memory(BUCKETS);

    /// Learns from a flow that has just been named `names` by what `facts` say.
    pub(super) fn learn<T>(
        &mut self,
        flow: &Flow<T>,
        names: &Named,
        facts: Option<&Facts>,
        at: Timestamp,
    ) {
        // Behind a proxy it is not the server that has the name.
        let is_proxied = facts.is_some_and(|facts| facts.destination.is_some());
        if names.remembered || is_proxied {
            return;
        }
        let name = facts.and_then(|facts| facts.server_name.as_deref());
        let has_name = name.is_some_and(|name| !host::is_address(name));
        let (scope, proto) = match (names.evidence, names.app) {
            (Some(Evidence::ServerName), Some(_)) => (Scope::Address, None),
            (Some(Evidence::PayloadProof), Some(_)) if !has_name => {
                let port = flow.port(Side::Server);
                (Scope::Port(flow.transport(), port), names.proto)
            }
            (_, None) if has_name => (Scope::Address, None),
            _ => return,
        };
        let rule = match names.decider {
            Some(Decider::Rule(rule)) if names.app.is_some() => rule,
            _ => NO_RULE,
        };
        let shown = Shown {
            rule,
            app: names.app.unwrap_or(NO_APP),
            mixed: false,
            service: names.service,
            proto,
            at: seconds(at),
        };
        let key = self.key(flow.ip(Side::Client), flow.ip(Side::Server), scope);
        let before = self.shown.get(&key).filter(|it| it.is_recent(shown.at));
        let shown = before.map_or(shown, |before| before.and(shown));
        self.shown.insert(key, shown);
        self.any = true;
    }

    /// What this flow's client showed of its server on others, if one of which `spoken` was recognised may
    /// be of the same application.
    pub(super) fn of<T>(
        &self,
        flow: &Flow<T>,
        spoken: Option<Proto>,
        dns: &Names,
        set: &SignatureSet,
    ) -> Option<Tag> {
        if !self.any {
            return None;
        }
        // How its client begins would be recognised.
        let is_client_seen = flow.begins_here() && flow.counters.client.packets > 0;
        // Which end is the server is not known of all flows; of those that taught it was.
        [Side::Server, Side::Client].into_iter().find_map(|server| {
            let (client, address) = (flow.ip(!server), flow.ip(server));
            let port = Scope::Port(flow.transport(), flow.port(server));
            let shown = |scope| {
                let shown = self.shown.get(&self.key(client, address, scope))?;
                shown.is_recent(seconds(flow.first)).then_some(shown)
            };
            let at_port = shown(port)
                .filter(|it| !is_client_seen && (spoken.is_none() || it.proto == spoken));
            let at_address = shown(Scope::Address).filter(|it| {
                // What is said of the port speaks against it.
                spoken.is_none_or(carries_applications)
                    && it.agrees(at_port)
                    && !dns.is_shared(address, flow.first)
            });
            let tag = |shown: Shown| shown.tag(set);
            at_address.and_then(tag).or_else(|| at_port.and_then(tag))
        })
    }

    fn key(&self, client: IpAddr, server: IpAddr, scope: Scope) -> u64 {
        self.state.hash_one((client, server, scope))
    }
}

impl Shown {
    /// A flow that begins at `now` may be of the same time.
    const fn is_recent(&self, now: u32) -> bool {
        now.abs_diff(self.at) <= LIFETIME
    }

    /// Both of them.
    fn and(self, later: Self) -> Self {
        let is_same = self.app == later.app;
        Self {
            mixed: self.mixed || !is_same,
            service: later.service.filter(|_| self.service == later.service),
            ..later
        }
    }

    /// Whether it names the same application as `other`, if there is that.
    fn agrees(&self, other: Option<Self>) -> bool {
        other.is_none_or(|other| other.app == self.app)
    }

    /// What it says of other flows.
    fn tag(self, set: &SignatureSet) -> Option<Tag> {
        let tag = set.rule_tag(self.rule).filter(|tag| tag.app.is_some())?;
        (!self.mixed).then_some(Tag {
            service: self.service,
            proto: self.proto,
            ..tag
        })
    }
}
