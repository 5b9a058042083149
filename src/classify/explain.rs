//! What led to a verdict, step by step, and what a flow without a name has shown, for
//! `ottometer explain`.

use crate::dissect::Outcome;
use crate::flow::{Opening, PerSide, Side};
use crate::signature::{Near, SignatureSet, entropy};
use crate::verdict::Tag;

/// Steps remembered of one flow.
const MAX_STEPS: usize = 256;

/// Messages of one flow of which side and length are remembered.
const MAX_MESSAGES: usize = 32;

/// Bytes of each side that are kept, at most.
pub const MAX_KEPT: usize = 4096;

/// Which openings are kept beyond their flow's verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// None.
    #[default]
    Nothing,
    /// Those of flows that get no name.
    Unnamed,
    /// All.
    All,
}

/// What is remembered of a flow.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What was noticed, in order.
    pub steps: Vec<Step>,
    /// Who sent the first messages, and how long they were.
    pub messages: Vec<(Side, u32)>,
    /// What was in the opening, if it was kept.
    pub opening: Option<Box<Kept>>,
    /// How far the flow had come when it was settled.
    pub settled: Option<Reached>,
}

/// How far a flow has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Its packets that carried a payload.
    pub payloads: u32,
    /// Bytes of all its packets, whole frames as on the wire.
    pub bytes: u64,
}

/// An opening that was kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// What each side sent.
    pub sides: PerSide<Sent>,
    /// Dissectors that asked for more to the last, a bit for each by its place in `DISSECTORS`.
    pub asking: u64,
    /// Rules that came close.
    pub near: Vec<Near>,
}

/// What one side sent in the opening.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The first bytes, [`MAX_KEPT`] at most.
    pub bytes: Vec<u8>,
    /// Where messages end in all that was sent.
    pub ends: Vec<u32>,
    /// How much was sent.
    pub len: usize,
    /// How many of these bytes are printable ASCII.
    pub printable: usize,
    /// As `[[flow]]` rules measure it.
    pub entropy: f64,
    /// The start of the stream was not seen.
    pub mid_stream: bool,
}

impl Trace {
    /// Bytes it takes on the heap, itself included, about.
    pub fn memory(&self) -> usize {
        let sent = |sent: &Sent| sent.bytes.capacity() + sent.ends.capacity() * size_of::<u32>();
        let kept = |kept: &Kept| {
            let sides = sent(&kept.sides.client) + sent(&kept.sides.server);
            size_of::<Kept>() + sides + kept.near.capacity() * size_of::<Near>()
        };
        size_of::<Self>()
            + self.steps.capacity() * size_of::<Step>()
            + self.messages.capacity() * size_of::<(Side, u32)>()
            + self.opening.as_deref().map_or(0, kept)
    }

    pub(super) fn remember(&mut self, step: Step) {
        if self.steps.len() < MAX_STEPS {
            self.steps.push(step);
        }
    }

    /// A message has come.
    pub(super) fn message(&mut self, opening: &Opening<'_>) {
        if self.messages.len() < MAX_MESSAGES {
            let len = u32::try_from(opening.newest().len()).unwrap_or(u32::MAX);
            self.messages.push((opening.latest, len));
        }
    }

    /// Keeps what is in the opening, which is at its end.
    pub(super) fn keep(&mut self, opening: &Opening<'_>, asking: u64, set: &SignatureSet) {
        let mut near = Vec::new();
        set.near_by_payload(opening, &mut near);
        self.opening = Some(Box::new(Kept {
            sides: PerSide {
                client: Sent::of(opening, Side::Client),
                server: Sent::of(opening, Side::Server),
            },
            asking,
            near,
        }));
    }

    /// Client and server turned out to be the other way round.
    pub(super) fn swap_sides(&mut self) {
        for (side, _) in &mut self.messages {
            *side = !*side;
        }
        if let Some(kept) = &mut self.opening {
            std::mem::swap(&mut kept.sides.client, &mut kept.sides.server);
        }
    }
}

impl Sent {
    fn of(opening: &Opening<'_>, side: Side) -> Self {
        let stream = opening.stream(side);
        let kept = stream.bytes.get(..MAX_KEPT).unwrap_or(stream.bytes);
        let ends = stream.ends.get(..MAX_MESSAGES).unwrap_or(stream.ends);
        let is_printable = |byte: &&u8| matches!(byte, 0x20..=0x7e);
        Self {
            bytes: kept.to_vec(),
            ends: ends.to_vec(),
            len: stream.bytes.len(),
            printable: stream.bytes.iter().filter(is_printable).count(),
            entropy: entropy(stream.bytes),
            mid_stream: stream.mid_stream,
        }
    }
}

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
