//! Who signals: which applications' calls a client may be in, because it showed one by proof, asked DNS
//! for the hosts of one, or began to speak with them.
//!
//! That two things happen at one time proves nothing: what follows from it is worth what an address or
//! a port is (`[[call]]` rules say which), and nothing where two applications fit.

use std::net::{IpAddr, SocketAddr};

use super::generations::{Generations, seconds};
use crate::app::{AppId, Proto};
use crate::decode::Packet;
use crate::dissect::tls;
use crate::flow::{Flow, Side, Transport};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::{Evidence, Tag};

/// Applications remembered of one client: those that it showed last.
const MAX_APPS: usize = 4;

/// Buckets of a generation of clients.
const BUCKETS: usize = 1 << 14;

/// Whether `packet` begins with a ClientHello of TLS.
#[inline]
pub(super) fn is_hello(packet: &Packet<'_>) -> bool {
    matches!(packet.payload, [22, 3, _, _, _, 1, ..])
}

/// Which applications clients signal to.
#[derive(Debug)]
pub(super) struct Signalling {
    clients: Generations<IpAddr, [Option<Shown>; MAX_APPS]>,
    any: bool,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    app: AppId,
    /// In seconds of 1970.
    at: u32,
}

impl Default for Signalling {
    fn default() -> Self {
        Self {
            clients: Generations::new(BUCKETS),
            any: false,
        }
    }
}

impl Signalling {
    /// The most bytes they take.
    pub(super) const MEMORY: usize =
        Generations::<IpAddr, [Option<Shown>; MAX_APPS]>::memory(BUCKETS);

    /// Learns from a packet of which [`is_hello`] holds.
    pub(super) fn learn_hello(&mut self, packet: &Packet<'_>, set: &SignatureSet) {
        if !set.has_calls() {
            return;
        }
        let tag = tls::name_in_hello(packet.payload).and_then(|name| set.by_name(name));
        if let Some(tag) = tag {
            self.names(packet.source.to_ip(packet.version), &tag, packet.at, set);
        }
    }

    /// `client` was told an address of a host that `tag` knows, or speaks with it.
    pub(super) fn names(&mut self, client: IpAddr, tag: &Tag, at: Timestamp, set: &SignatureSet) {
        if let Some(app) = tag.app
            && set.is_signalling(tag)
        {
            self.show(client, app, at);
        }
    }

    /// `client` has sent what proves a call.
    pub(super) fn calls(&mut self, client: IpAddr, tag: Tag, at: Timestamp, set: &SignatureSet) {
        if let Some(app) = tag.app
            && set.has_calls_of(app)
        {
            self.show(client, app, at);
        }
    }

    fn show(&mut self, client: IpAddr, app: AppId, at: Timestamp) {
        let known = self.clients.get(&client);
        let mut apps = known.unwrap_or_default();
        let shown = Shown {
            app,
            at: seconds(at),
        };
        let place = apps.iter().position(|it| it.is_none_or(|it| it.app == app));
        // Without room the one that was shown longest ago goes.
        let oldest = || {
            (0..MAX_APPS).min_by_key(|&place| apps.get(place).copied().flatten().map(|it| it.at))
        };
        if let Some(slot) = place.or_else(oldest).and_then(|place| apps.get_mut(place)) {
            *slot = Some(shown);
            self.clients.insert(client, apps);
            self.any = true;
        }
    }

    /// The one application whose calls this flow may be media of, `spoken` being what was recognised, by
    /// rules whose word is worth `evidence`. `None` where two fit.
    pub(super) fn of<T>(
        &self,
        flow: &Flow<T>,
        spoken: Option<Proto>,
        evidence: Evidence,
        at: Timestamp,
        set: &SignatureSet,
    ) -> Option<Tag> {
        if !self.any || flow.transport() != Transport::Udp {
            return None;
        }
        let mut found: Option<Tag> = None;
        for side in [Side::Server, Side::Client] {
            let Some(apps) = self.clients.get(&flow.ip(!side)) else {
                continue;
            };
            let relay = SocketAddr::new(flow.ip(side), flow.port(side));
            for rule in set.calls(relay, spoken) {
                let is_open = |shown: &Shown| {
                    Some(shown.app) == rule.tag.app
                        && seconds(at).saturating_sub(shown.at) <= rule.within
                };
                if rule.tag.evidence != evidence || !apps.iter().flatten().any(is_open) {
                    continue;
                }
                match found {
                    Some(other) if other.app != rule.tag.app => return None,
                    Some(_) => {}
                    None => found = Some(rule.tag),
                }
            }
        }
        found
    }
}
