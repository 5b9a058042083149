//! Stage 10c, what has no name: [`Learner`] puts flows without an application together by what they
//! have in common, and [`propose`] drafts signatures of what it found.
//!
//! A flow is in one cluster, that of the strongest thing it shows: the domain it asked for, the
//! certificate it was shown, its hello, its first bytes, its server's port. So the volume of clusters
//! adds up to what is unknown. `view` draws the tables.

pub mod behaviour;
pub mod draft;
pub mod propose;

mod cluster;
mod key;
mod party;
mod unnamed;

use std::collections::BTreeMap;

pub use cluster::{Cluster, Distinct, Tally, Volume};
pub use key::{Key, Leading};
pub use party::Party;
pub use unnamed::Unnamed;

use crate::record::FlowRecord;
use crate::signature::SignatureSet;

/// Clusters that are kept apart. A flow that would begin a further one counts for [`Key::Rest`].
const MOST_CLUSTERS: usize = 32_768;

/// Addresses that are counted apart, over all clusters.
const MOST_ADDRESSES: usize = 2 << 20;

/// Puts flows without an application together.
#[derive(Debug)]
pub struct Learner {
    clusters: BTreeMap<Key, Cluster>,
    all: Volume,
    /// Addresses for which there is still room.
    room: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Learned {
    /// The clusters, the largest first.
    pub clusters: Vec<(Key, Cluster)>,
    /// All flows, those with names included.
    pub all: Volume,
    /// Those in the clusters.
    pub unnamed: Volume,
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            clusters: BTreeMap::new(),
            all: Volume::default(),
            room: MOST_ADDRESSES,
        }
    }
}

impl Learner {
    /// Adds the record of a flow, which has ended or is one of several of its flow.
    pub fn add(&mut self, record: &FlowRecord, set: &SignatureSet) {
        let sides = record.part.counters;
        self.all.add(sides.client.bytes + sides.server.bytes);
        if let Some(flow) = Unnamed::of(record, set) {
            self.add_unnamed(&flow);
        }
    }

    /// Adds what an earlier run has said of a flow: nothing but its volume, if it has a name.
    pub fn add_told(&mut self, bytes: u64, flow: Option<&Unnamed>) {
        self.all.add(bytes);
        if let Some(flow) = flow {
            self.add_unnamed(flow);
        }
    }

    fn add_unnamed(&mut self, flow: &Unnamed) {
        let mut key = Key::of(flow);
        if self.clusters.len() >= MOST_CLUSTERS && !self.clusters.contains_key(&key) {
            key = Key::Rest;
        }
        let cluster = self.clusters.entry(key).or_default();
        cluster.add(flow, &mut self.room);
    }

    /// What was found. Clusters of one flow that have only its first bytes in common are none: they go
    /// to that of their server's port.
    pub fn finish(mut self) -> Learned {
        let alone = self.clusters.iter().filter_map(|(key, cluster)| {
            let port = key.port_instead(cluster)?;
            (cluster.volume.flows < 2).then(|| (key.clone(), port))
        });
        let alone: Vec<(Key, Key)> = alone.collect();
        for (key, port) in alone {
            if let Some(cluster) = self.clusters.remove(&key) {
                self.clusters.entry(port).or_default().join(cluster);
            }
        }
        let mut unnamed = Volume::default();
        for cluster in self.clusters.values() {
            unnamed.join(cluster.volume);
        }
        let mut clusters: Vec<(Key, Cluster)> = self.clusters.into_iter().collect();
        // Of clusters as large, in the order of their keys.
        clusters.sort_by_key(|(_, cluster)| std::cmp::Reverse(cluster.volume.bytes));
        Learned {
            clusters,
            all: self.all,
            unnamed,
        }
    }
}

#[cfg(test)]
mod tests;
