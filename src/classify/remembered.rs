//! Names of flows that said nothing for long and may go on: channels that beat every few minutes.
//!
//! What a flow was called is kept for its sockets for an hour of frame time. A flow that begins in the
//! middle between the same sockets takes the name, unless it shows a better one; a new connection
//! forgets it. Each worker remembers the flows it owns; memory is bounded by two generations.

use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Named;
use super::generations::make_old;
use crate::app::Proto;
use crate::decode::IpProtocol;
use crate::flow::{EndReason, Flow, FlowKey};
use crate::time::Timestamp;

/// Names a generation holds; two are kept.
const GENERATION: usize = 32_768;

/// Names held at most.
#[cfg(test)]
pub(super) const MOST: usize = 2 * GENERATION;

/// How long a name is remembered.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Protocols of questions and answers: the next ones have no more to do with these than with any.
const FORGOTTEN: &[Proto] = &[Proto::DNS, Proto::NTP, Proto::SNMP, Proto::STUN];

#[derive(Clone, Copy, Debug)]
struct Entry {
    named: Named,
    /// The low end of the key is the client.
    client_is_low: bool,
    /// When the flow was heard last.
    at: Timestamp,
}

/// What flows were called that may go on.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    young: HashMap<FlowKey, Entry, RandomState>,
    old: HashMap<FlowKey, Entry, RandomState>,
}

impl Remembered {
    /// The most bytes it takes: two maps of a power of two of buckets, seven eighths full, with one
    /// control byte each.
    pub(super) const MEMORY: usize =
        2 * (GENERATION * 8 / 7 + 1).next_power_of_two() * (size_of::<(FlowKey, Entry)>() + 1);

    /// How many names are held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Keeps the name of a flow that has ended for `reason`, if it may go on.
    pub(super) fn keep<T>(&mut self, flow: &Flow<T>, named: &Named, reason: EndReason) {
        let may_go_on = matches!(reason, EndReason::Idle | EndReason::Evicted)
            && matches!(flow.protocol(), IpProtocol::TCP | IpProtocol::UDP)
            && flow.payload_packets() > 0
            && !named.proto.is_some_and(|proto| FORGOTTEN.contains(&proto));
        if !may_go_on || named.app.is_none() && named.proto.is_none() {
            return;
        }
        if self.young.len() >= GENERATION {
            make_old(&mut self.young, &mut self.old);
        }
        let entry = Entry {
            named: *named,
            client_is_low: flow.client_is_low(),
            at: flow.last,
        };
        self.young.insert(flow.key(), entry);
    }

    /// A new connection begins between these sockets.
    pub(super) fn forget(&mut self, key: &FlowKey) {
        // Most runs have nothing to forget.
        if !self.young.is_empty() {
            self.young.remove(key);
        }
        if !self.old.is_empty() {
            self.old.remove(key);
        }
    }

    /// Makes the client of a flow that has begun in the middle who it was before. Returns whether
    /// that was the other side; `None`: nothing is known of it.
    pub(super) fn turn<T>(&self, flow: &mut Flow<T>) -> Option<bool> {
        let turns = self.get(flow)?.client_is_low != flow.client_is_low();
        if turns {
            flow.swap_sides();
        }
        Some(turns)
    }

    /// What a flow was called before that has begun in the middle.
    pub(super) fn of<T>(&self, flow: &Flow<T>) -> Option<Named> {
        self.get(flow).map(|entry| entry.named)
    }

    fn get<T>(&self, flow: &Flow<T>) -> Option<Entry> {
        if flow.begins_here() || self.young.is_empty() && self.old.is_empty() {
            return None;
        }
        let key = flow.key();
        let entry = self.young.get(&key).or_else(|| self.old.get(&key))?;
        (flow.first.since(entry.at) <= LIFETIME).then_some(*entry)
    }
}

/// Adds to `names`, which a flow's own opening gives, what it was called before where that says more.
pub(super) fn complete(names: &mut Named, before: &Named) {
    let other_protocol =
        names.proto.is_some() && before.proto.is_some() && names.proto != before.proto;
    if names.app.is_some() || other_protocol || before.app.is_none() && names.proto.is_some() {
        return;
    }
    let proto = names.proto;
    *names = Named {
        proto: proto.or(before.proto),
        remembered: true,
        ..*before
    };
}
