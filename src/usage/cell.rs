//! What is counted, and under what.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::app::{AppId, Proto, Service};
use crate::capture::InterfaceId;
use crate::classify::{Named, UnknownReason};
use crate::flow::{Counters, PerSide};
use crate::verdict::Evidence;

use super::subject::Subject;

/// What volume is counted under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Whose volume it is, where subjects are kept apart.
    pub subject: Option<Subject>,
    /// By which interface the first packets came in, where interfaces are kept apart.
    pub interface: Option<InterfaceId>,
    /// Whose service it is.
    pub app: Option<AppId>,
    /// What is done inside it.
    pub service: Option<Service>,
    /// What is spoken.
    pub proto: Option<Proto>,
    /// How the name was established.
    pub evidence: Option<Evidence>,
    /// Why there is no name.
    pub unknown: Option<UnknownReason>,
}

impl CellKey {
    /// Of nothing that is known.
    pub const NONE: Self = Self {
        subject: None,
        interface: None,
        app: None,
        service: None,
        proto: None,
        evidence: None,
        unknown: None,
    };
}

impl From<&Named> for CellKey {
    fn from(named: &Named) -> Self {
        Self {
            app: named.app,
            service: named.service,
            proto: named.proto,
            evidence: named.evidence,
            unknown: named.unknown,
            ..Self::NONE
        }
    }
}

/// A [`CellKey`]'s place in one worker's [`Usage`], from 1: that there is none takes no room of its
/// own in a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(NonZeroU32);

impl CellId {
    /// The last of so many.
    pub(super) fn last(count: usize) -> Self {
        let number = u32::try_from(count).ok().and_then(NonZeroU32::new);
        Self(number.unwrap_or(NonZeroU32::MAX))
    }

    /// Its place in a list.
    #[inline]
    pub(super) const fn place(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

/// What was counted in a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Volume sent by each side; of a subject, what it sent stands as the client's and what it got as
    /// the server's.
    pub sides: PerSide<Counters>,
    /// Flows that settled.
    pub flows: u64,
}

impl Totals {
    /// Adds what another counted.
    pub const fn add(&mut self, other: &Self) {
        self.sides.client.add(&other.sides.client);
        self.sides.server.add(&other.sides.server);
        self.flows += other.flows;
    }

    /// Bytes of both sides.
    pub const fn bytes(&self) -> u64 {
        self.sides.client.bytes + self.sides.server.bytes
    }

    /// Packets of both sides.
    pub const fn packets(&self) -> u64 {
        self.sides.client.packets + self.sides.server.packets
    }
}

/// The cells of one interval, by key.
pub type Cells = BTreeMap<CellKey, Totals>;

/// Intervals open at a time that room is reckoned for: the one that goes on, one that is late, and
/// one on its way out.
pub(super) const INTERVALS: usize = 3;

/// Buckets of a map of so many: a power of two, seven eighths full, with one control byte each.
pub(super) const fn buckets(entries: usize) -> usize {
    (entries.saturating_mul(8) / 7 + 1).next_power_of_two()
}
