//! Which frames are of flows that somebody asks for.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// Flows by their `flow_id`.
pub type FlowIds = HashSet<u64, RandomState>;

/// Notes the frames of certain flows.
#[derive(Debug)]
pub(super) struct Marks {
    flows: Arc<FlowIds>,
    /// The frames that the packet now seen was put together from, if it was.
    parts: Vec<u64>,
    /// Numbers of the frames noted.
    frames: Vec<u64>,
}

impl Marks {
    pub(super) const fn of(flows: Arc<FlowIds>) -> Self {
        Self {
            flows,
            parts: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// The packets that follow are from these frames; from their own, where there are none.
    pub(super) fn parts(&mut self, numbers: &[u64]) {
        self.parts.clear();
        self.parts.extend_from_slice(numbers);
    }

    /// There is a packet of this flow, which came in the frame of this number.
    pub(super) fn packet(&mut self, flow_id: u64, number: u64) {
        if self.flows.contains(&flow_id) {
            if self.parts.is_empty() {
                self.frames.push(number);
            } else {
                self.frames.extend_from_slice(&self.parts);
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.frames)
    }
}
