//! Flows that have something in common: their volume, who takes part, what else they show.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::draft::Beginning;
use super::unnamed::Unnamed;
use crate::flow::{PerSide, Side};

/// Flows of a cluster whose messages are kept.
const SAMPLES: usize = 8;

/// Addresses of a cluster that are counted apart.
const ADDRESSES: usize = 4096;

/// Different values of one kind that are counted apart.
const VALUES: usize = 16;

/// Server ports that are kept.
const PORTS: usize = 8;

/// How long a text is that is kept.
const LONGEST: usize = 512;

/// Flows and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// How many flows.
    pub flows: u64,
    /// Bytes of their frames, as on the wire.
    pub bytes: u64,
}

impl Volume {
    /// Adds a flow.
    pub const fn add(&mut self, bytes: u64) {
        self.flows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Adds others.
    pub const fn join(&mut self, other: Self) {
        self.flows += other.flows;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Flows that have something in common.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// How much they are.
    pub volume: Volume,
    /// Their clients.
    pub clients: Distinct,
    /// Their servers.
    pub servers: Distinct,
    /// What is spoken, as far as that is known.
    pub protocols: Tally,
    /// Hosts that were asked for.
    pub hosts: Tally,
    /// What was offered in ALPN.
    pub alpn: Tally,
    /// Fingerprints of hellos.
    pub ja4: Tally,
    /// Subjects of certificates.
    pub subjects: Tally,
    /// Who has given them.
    pub issuers: Tally,
    /// IP protocols and ports of servers, in the order they came.
    pub ports: Vec<(u8, u16)>,
    /// There are more ports.
    pub has_more_ports: bool,
    /// The messages of the first flows.
    pub samples: Vec<PerSide<Beginning>>,
    /// The bytes with which all flows begin, by side; `None`: none has begun.
    leading: PerSide<Option<Vec<u8>>>,
}

impl Cluster {
    /// Adds a flow. `room` is how many further addresses may be counted apart.
    pub(super) fn add(&mut self, flow: &Unnamed, room: &mut usize) {
        self.volume.add(flow.bytes);
        self.clients.add(flow.client, room);
        self.servers.add(flow.server, room);
        for (tally, value) in [
            (&mut self.protocols, &flow.protocol),
            (&mut self.hosts, &flow.host),
            (&mut self.alpn, &flow.alpn),
            (&mut self.ja4, &flow.ja4),
        ] {
            if let Some(value) = value {
                tally.add(value, 1);
            }
        }
        for (tally, party) in [
            (&mut self.subjects, &flow.subject),
            (&mut self.issuers, &flow.issuer),
        ] {
            if let Some(party) = party {
                tally.add(party.name(), 1);
            }
        }
        self.add_port((flow.transport.0, flow.port));
        for side in [Side::Client, Side::Server] {
            self.begins_with(side, flow.messages[side].first());
        }
        let has_begun = [Side::Client, Side::Server]
            .iter()
            .any(|&side| !flow.messages[side].is_empty());
        if self.samples.len() < SAMPLES && has_begun {
            self.samples.push(flow.messages.clone());
        }
    }

    /// Adds the flows of another cluster.
    pub(super) fn join(&mut self, other: Self) {
        self.volume.join(other.volume);
        self.clients.join(other.clients);
        self.servers.join(other.servers);
        for (tally, theirs) in [
            (&mut self.protocols, other.protocols),
            (&mut self.hosts, other.hosts),
            (&mut self.alpn, other.alpn),
            (&mut self.ja4, other.ja4),
            (&mut self.subjects, other.subjects),
            (&mut self.issuers, other.issuers),
        ] {
            for (value, count) in theirs.0 {
                tally.add(&value, count);
            }
        }
        for port in other.ports {
            self.add_port(port);
        }
        self.has_more_ports |= other.has_more_ports;
        let room = SAMPLES.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
        for (side, bytes) in [
            (Side::Client, other.leading.client),
            (Side::Server, other.leading.server),
        ] {
            if let Some(bytes) = bytes {
                self.begins_with(side, &bytes);
            }
        }
    }

    /// The bytes with which `side` begins in all flows in which its beginning was seen.
    pub fn leading(&self, side: Side) -> &[u8] {
        self.leading[side].as_deref().unwrap_or_default()
    }

    fn begins_with(&mut self, side: Side, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.leading[side] {
            Some(common) => {
                let same = common.iter().zip(bytes).take_while(|(a, b)| a == b);
                let same = same.count();
                common.truncate(same);
            }
            none => *none = Some(bytes.to_vec()),
        }
    }

    fn add_port(&mut self, port: (u8, u16)) {
        if self.ports.contains(&port) {
            return;
        }
        if self.ports.len() < PORTS {
            self.ports.push(port);
        } else {
            self.has_more_ports = true;
        }
    }
}

/// How many different addresses there are.
#[derive(Clone, Debug, Default)]
pub struct Distinct {
    addresses: BTreeSet<IpAddr>,
    /// There are more than those that were counted apart.
    pub is_more: bool,
}

impl Distinct {
    fn add(&mut self, address: Option<IpAddr>, room: &mut usize) {
        let Some(address) = address else { return };
        if self.addresses.len() >= ADDRESSES || *room == 0 {
            self.is_more |= !self.addresses.contains(&address);
        } else if self.addresses.insert(address) {
            *room -= 1;
        }
    }

    fn join(&mut self, other: Self) {
        self.is_more |= other.is_more;
        for address in other.addresses {
            if self.addresses.len() < ADDRESSES {
                self.addresses.insert(address);
            } else {
                self.is_more |= !self.addresses.contains(&address);
            }
        }
    }

    /// How many, at least.
    pub fn count(&self) -> usize {
        self.addresses.len()
    }
}

/// Values and how many flows have them: the first [`VALUES`] different ones.
#[derive(Clone, Debug, Default)]
pub struct Tally(Vec<(Box<str>, u64)>);

impl Tally {
    fn add(&mut self, value: &str, count: u64) {
        let value = value.get(..value.floor_char_boundary(LONGEST));
        let value = value.unwrap_or_default();
        let known = self.0.iter_mut().find(|(known, _)| &**known == value);
        if let Some((_, sum)) = known {
            *sum += count;
        } else if self.0.len() < VALUES {
            self.0.push((value.into(), count));
        }
    }

    /// The values, the most frequent first; of those as frequent, the one that came first.
    pub fn sorted(&self) -> Vec<(&str, u64)> {
        let mut values: Vec<(&str, u64)> = self
            .0
            .iter()
            .map(|(value, count)| (&**value, *count))
            .collect();
        values.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        values
    }

    /// The one value that there is, if there is one only.
    pub fn only(&self) -> Option<&str> {
        match self.0.as_slice() {
            [(value, _)] => Some(value),
            _ => None,
        }
    }
}
