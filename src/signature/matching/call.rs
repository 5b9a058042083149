//! `[[call]]`: where media of an application's calls goes while its client signals.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::address::AddressTable;
use crate::app::{AppId, Proto, Service};
use crate::signature::file::Ports;
use crate::verdict::Tag;

/// What media speaks, where a rule does not say otherwise.
pub(in crate::signature) const MEDIA: [Proto; 6] = [
    Proto::STUN,
    Proto::TURN,
    Proto::DTLS,
    Proto::RTP,
    Proto::RTCP,
    Proto::SRTP,
];

/// A relation between signalling and media.
#[derive(Debug)]
pub struct CallRule {
    /// Whose media it is. The evidence is what the place is worth: `address`, or `port` where the rule is
    /// about ports alone.
    pub tag: Tag,
    /// Seconds for which signalling counts.
    pub within: u32,
    pub(in crate::signature) protos: Box<[Proto]>,
    pub(in crate::signature) ports: Box<[Ports]>,
    /// Numbers of the files in one of whose prefixes the relay is; none: anywhere.
    pub(in crate::signature) networks: Box<[u16]>,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::signature) struct CallTable {
    rules: Box<[CallRule]>,
    /// Which services of an application's names signal calls, a bit each.
    signalling: HashMap<AppId, u16>,
}

/// The names that signal calls: a bit for each service, [`ANY`] for all.
#[derive(Clone, Copy, Debug)]
pub(in crate::signature) struct Signals(u16);

const ANY: u16 = 1 << 15;

impl Signals {
    pub(in crate::signature) fn new(services: &[Service], any: bool) -> Self {
        let any = if any { ANY } else { 0 };
        Self(
            services
                .iter()
                .fold(any, |all, &service| all | bit(service)),
        )
    }
}

const fn bit(service: Service) -> u16 {
    1 << service as u16
}

impl CallTable {
    /// A table of `rules`, each with the services that signal for it.
    pub(in crate::signature) fn new(rules: Vec<(CallRule, Signals)>) -> Self {
        let mut signalling = HashMap::new();
        for (rule, signals) in &rules {
            if let Some(app) = rule.tag.app {
                let bits: &mut u16 = signalling.entry(app).or_default();
                *bits |= signals.0;
            }
        }
        Self {
            rules: rules.into_iter().map(|(rule, _)| rule).collect(),
            signalling,
        }
    }

    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        size_of_val(&*self.rules) + self.signalling.capacity() * (size_of::<(AppId, u16)>() + 1)
    }

    pub(in crate::signature) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(in crate::signature) fn has(&self, app: AppId) -> bool {
        self.signalling.contains_key(&app)
    }

    pub(in crate::signature) fn is_signalling(&self, app: AppId, service: Option<Service>) -> bool {
        let wanted = ANY | service.map_or(0, bit);
        let bits = self.signalling.get(&app);
        bits.is_some_and(|bits| bits & wanted != 0)
    }

    /// The rules that hold of a flow to `relay` of which `spoken` was recognised.
    pub(in crate::signature) fn find(
        &self,
        relay: SocketAddr,
        spoken: Option<Proto>,
        addresses: &AddressTable,
    ) -> impl Iterator<Item = &CallRule> {
        self.rules.iter().filter(move |rule| {
            let speaks = match spoken {
                Some(proto) => rule.protos.contains(&proto),
                // A port alone says too little of anything.
                None => !rule.networks.is_empty(),
            };
            let has_port = |ports: &Ports| ports.range().contains(&relay.port());
            let is_port = rule.ports.is_empty() || rule.ports.iter().any(has_port);
            let is_in = |&file: &u16| addresses.owns(file, relay.ip());
            let is_there = rule.networks.is_empty() || rule.networks.iter().any(is_in);
            speaks && is_port && is_there
        })
    }
}
