//! What led to a verdict, step by step, for `ottometer explain`.

use crate::dissect::Outcome;
use crate::flow::{Opening, Side};
use crate::verdict::Tag;

/// Steps remembered of one flow.
const MAX_STEPS: usize = 256;

/// One thing that was noticed about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The flow's packet, from 1.
    pub packet: u32,
    /// Who sent it, and how long its payload was; `None` for what came from other flows.
    pub message: Option<(Side, usize)>,
    /// What was noticed.
    pub event: Event,
}

/// What was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The dissector at this place of `DISSECTORS` recognised or learned something.
    Dissected(u8, Outcome),
    /// A rule matched.
    Matched(Tag),
    /// Other flows, the address or the port suggest this.
    Inferred(Tag),
}

impl Step {
    pub(super) fn dissected(
        packet: u32,
        opening: &Opening<'_>,
        place: u8,
        outcome: Outcome,
    ) -> Self {
        Self {
            packet,
            message: Some(message(opening)),
            event: Event::Dissected(place, outcome),
        }
    }

    pub(super) fn matched(packet: u32, opening: &Opening<'_>, tag: Tag) -> Self {
        Self {
            packet,
            message: Some(message(opening)),
            event: Event::Matched(tag),
        }
    }

    pub(super) const fn inferred(packet: u32, tag: Tag) -> Self {
        Self {
            packet,
            message: None,
            event: Event::Inferred(tag),
        }
    }
}

fn message(opening: &Opening<'_>) -> (Side, usize) {
    (opening.latest, opening.newest().len())
}

pub(super) fn remember(steps: &mut Vec<Step>, step: Step) {
    if steps.len() < MAX_STEPS {
        steps.push(step);
    }
}
