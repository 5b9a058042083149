//! Names learned from DNS: which application's address this is, for this client, for how long.
//!
//! Learning is stateless towards flows: each DNS response is read by itself, by every worker, so
//! that all workers know the same. Memory is bounded by two generations of entries.

use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::app::AppId;
use crate::decode::{IpProtocol, Packet};
use crate::dissect::dns;
use crate::flow::{Flow, Side};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::verdict::Tag;

/// Entries a generation holds; two are kept.
const GENERATION: usize = 8_192;

/// An answer is used by a connection that begins a little later than its time to live says.
const GRACE: Duration = Duration::from_secs(10);

const DNS_PORT: u16 = 53;

/// Whether `packet` may be a DNS response.
#[inline]
pub(super) fn teaches(packet: &Packet<'_>) -> bool {
    packet.source_port == DNS_PORT
        && matches!(packet.protocol, IpProtocol::UDP | IpProtocol::TCP)
        && packet.payload.len() > 12
}

/// What DNS responses taught so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// What `client` was told of `server`.
    told: Generations<(IpAddr, IpAddr), Told>,
    /// Which applications' names lead to an address, for any client.
    addresses: Generations<IpAddr, Shared>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    tag: Option<Tag>,
    until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Shared {
    app: Option<AppId>,
    /// Names of different applications (or of none) lead here: the address proves nothing.
    mixed: bool,
    until: Timestamp,
}

impl Names {
    /// The most bytes they take.
    pub(super) const MEMORY: usize =
        Generations::<(IpAddr, IpAddr), Told>::MEMORY + Generations::<IpAddr, Shared>::MEMORY;

    /// Learns the answers of a DNS response.
    pub(super) fn learn(&mut self, packet: &Packet<'_>, set: &SignatureSet) {
        let message = match packet.protocol {
            // RFC 1035 section 4.2.2: two octets of length. Only a message that fills one segment.
            IpProtocol::TCP => match packet.payload.split_first_chunk() {
                Some((&length, rest)) if usize::from(u16::from_be_bytes(length)) == rest.len() => {
                    rest
                }
                _ => return,
            },
            _ => packet.payload,
        };
        let client = packet.destination.to_ip(packet.version);
        dns::answers(message, &mut |answer| {
            let until = packet
                .at
                .after(Duration::from_secs(u64::from(answer.ttl)).saturating_add(GRACE));
            let tag = set.by_name(answer.name);
            let app = tag.and_then(|tag| tag.app);
            let shared = match self.addresses.get(&answer.address) {
                Some(old) if old.until >= packet.at => Shared {
                    app: old.app,
                    mixed: old.mixed || old.app != app,
                    until: old.until.max(until),
                },
                _ => Shared {
                    app,
                    mixed: false,
                    until,
                },
            };
            self.addresses.insert(answer.address, shared);
            self.told
                .insert((client, answer.address), Told { tag, until });
        });
    }

    /// The application whose name led this flow's client to its server.
    pub(super) fn of<T>(&self, flow: &Flow<T>) -> Option<Tag> {
        let (client, server) = (flow.ip(Side::Client), flow.ip(Side::Server));
        self.told_of(client, server, flow.first)
            .or_else(|| self.told_of(server, client, flow.first))
    }

    fn told_of(&self, client: IpAddr, server: IpAddr, began: Timestamp) -> Option<Tag> {
        let told = self
            .told
            .get(&(client, server))
            .filter(|told| told.until >= began)?;
        let shared = self.addresses.get(&server)?;
        told.tag.filter(|tag| !shared.mixed && tag.app.is_some())
    }
}

/// A bounded map: when the young generation is full it becomes the old one, and the old one goes.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K, V> Default for Generations<K, V> {
    fn default() -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
        }
    }
}

impl<K, V> Generations<K, V> {
    /// The most bytes it takes: two maps of a power of two of buckets, seven eighths full, with one
    /// control byte each. One that grows has its old buckets besides, but is not full then.
    pub(super) const MEMORY: usize =
        2 * (GENERATION * 8 / 7 + 1).next_power_of_two() * (size_of::<(K, V)>() + 1);
}

impl<K: std::hash::Hash + Eq, V: Copy> Generations<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}
