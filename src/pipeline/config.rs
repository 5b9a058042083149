//! What a run needs to know.

use std::sync::Arc;
use std::time::Duration;

use super::duplicates::Duplicates;
use super::marks::FlowIds;
use crate::capture::Interfaces;
use crate::classify::behaviour::Behaviour;
use crate::classify::explain::Keep;
use crate::classify::names::Learning;
use crate::{decode, flow, usage};

/// What a run needs to know.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How many workers; zero is taken for one.
    pub workers: usize,
    /// What is done about second copies of frames.
    pub duplicates: Duplicates,
    /// For each worker's decoder.
    pub decode: decode::Config,
    /// For all flow tables together: each worker has its share of `max_flows`.
    pub flow: flow::Config,
    /// What flows teach about others, of which each worker keeps all.
    pub learning: Learning,
    /// What is counted.
    pub usage: usage::Config,
    /// Names of the interfaces; of captures those of the inputs.
    pub interfaces: Arc<Interfaces>,
    /// Make flow records.
    pub records: bool,
    /// After how long a flow that goes on has a record of what came since the one before; without, only
    /// when it ends.
    pub active_timeout: Option<Duration>,
    /// Note the first packets of each flow (in the flow records).
    pub first_packets: bool,
    /// Names by what flows do, for those that show an encrypted hello and nothing else.
    pub behaviour: Option<Behaviour>,
    /// Remember the steps to each verdict (in the flow records).
    pub steps: bool,
    /// Openings that are kept with them.
    pub keep: Keep,
    /// Measure distributions.
    pub stats: bool,
    /// Tell the exporter the frames of these flows.
    pub mark: Option<Arc<FlowIds>>,
}
