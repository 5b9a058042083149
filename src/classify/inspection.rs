//! What is known of a flow while its opening is read.

use super::answer;
use super::middle::Middle;
use crate::app::Proto;
use crate::dissect::inside::Inside;
use crate::dissect::unpack::Shown;
use crate::dissect::{DISSECTORS, Facts, Outcome};
use crate::flow::{Opening, PerSide, Transport};
use crate::verdict::{Evidence, Tag};

/// Streams shorter than this are looked at whenever they grow: most hellos and requests are.
pub(super) const LONG_STREAM: usize = 4 << 10;

/// Wrappers in one another that are looked behind.
pub(super) const MAX_DEPTH: usize = 3;

/// Different rules remembered of one flow.
pub(super) const MAX_TAGS: usize = 32;

// `ruled_out` has a bit for each dissector.
const _: () = assert!(DISSECTORS.len() <= 64);

/// What a dissector was asked of: how much each side had sent, and with which set of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    sides: PerSide<usize>,
    set_number: u32,
}

impl Asked {
    pub(super) const fn of(opening: &Opening<'_>, set_number: u32) -> Self {
        Self {
            sides: PerSide {
                client: opening.client.bytes.len(),
                server: opening.server.bytes.len(),
            },
            set_number,
        }
    }
}

/// State of a flow whose opening is being read; freed when the flow settles.
#[derive(Debug, Default)]
pub(super) struct Inspection {
    /// Dissectors that said [`Outcome::NotMine`], by their place in `DISSECTORS`.
    pub(super) ruled_out: u64,
    /// Dissectors that said [`Outcome::NeedMore`] to the latest message.
    pub(super) asking: u64,
    /// The dissector whose protocol it is.
    pub(super) owner: Option<u8>,
    /// The owner has nothing more to learn.
    pub(super) done: bool,
    /// What the owner has read, if nothing but more bytes could tell more.
    pub(super) up_to_date: Option<Asked>,
    pub(super) mid_stream: bool,
    /// Where the flow is read from.
    pub(super) middle: Middle,
    /// The client spoke before the server.
    pub(super) asked: bool,
    /// What the server said first has been held against what the client's bytes claim.
    pub(super) answered: bool,
    /// The server speaks another protocol than the client's bytes claim: only it is read.
    pub(super) server_only: bool,
    /// All that is known was said by the client of a TCP connection: the server's answer may refute it.
    pub(super) is_claim: bool,
    /// What rules said, the first [`MAX_TAGS`].
    pub(super) tags: Vec<Tag>,
    /// What a dissector read has changed since [`Inspection::weigh`].
    pub(super) is_unweighed: bool,
    /// Bytes that it takes, as weighed last.
    weight: usize,
    /// Bytes of each side at the last look.
    pub(super) looked_at: PerSide<usize>,
    /// Where the owner says that another protocol begins.
    pub(super) inside: Option<Inside>,
    /// That other one.
    pub(super) inner: Option<Box<Inner>>,
}

/// What is known of a protocol that another one carries.
#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) inspection: Inspection,
    pub(super) facts: Option<Box<Facts>>,
    /// What of it has been read.
    pub(super) seen: Seen,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: usize,
    ended: bool,
    pub(super) shown: Shown,
}

impl Seen {
    pub(super) const fn of(opening: &Opening<'_>) -> Self {
        Self {
            bytes: opening.client.bytes.len() + opening.server.bytes.len(),
            ended: opening.client.ended && opening.server.ended,
            shown: Shown::of(opening),
        }
    }
}

impl Inner {
    /// Bytes it takes, itself included, about.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() - size_of::<Inspection>() + self.inspection.memory()
    }
}

impl Inspection {
    /// The most bytes that one takes which is not in use.
    pub(super) const SPARE: usize =
        size_of::<Self>() + MAX_TAGS.next_power_of_two() * size_of::<Tag>();

    /// Bytes it takes, and what was read at all levels as weighed last, about.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.weight
            + self.tags.capacity() * size_of::<Tag>()
            + self.inner.as_deref().map_or(0, Inner::memory)
    }

    /// Weighs what dissectors have read: `facts` and what is inside. Each is weighed once a change, as
    /// there are many fields.
    pub(super) fn weigh(&mut self, facts: Option<&Facts>) {
        if std::mem::take(&mut self.is_unweighed) {
            self.weight = facts.map_or(0, Facts::memory);
        }
        if let Some(inner) = self.inner.as_deref_mut() {
            inner.inspection.weigh(inner.facts.as_deref());
        }
    }

    /// Makes it that of a flow of which nothing has been read.
    pub(super) fn reset(&mut self) {
        let mut tags = std::mem::take(&mut self.tags);
        tags.clear();
        *self = Self {
            tags,
            ..Self::default()
        };
    }

    /// Whether `opening` has grown enough since the last look for another one; notes the look.
    ///
    /// Each look reads the whole opening. A byte stream that is long already and grows by drops
    /// would be read in full for each drop; so it is looked at again when it has grown by a quarter,
    /// when it has ended, and when the other side speaks.
    pub(super) fn is_due(&mut self, opening: &Opening<'_>) -> bool {
        let stream = opening.stream(opening.latest);
        let looked_at = &mut self.looked_at[opening.latest];
        let grown = stream.bytes.len() - (*looked_at).min(stream.bytes.len());
        let due = opening.transport != Transport::Tcp
            || stream.ended
            || *looked_at < LONG_STREAM
            || grown >= *looked_at / 4;
        if due {
            *looked_at = stream.bytes.len();
        }
        due
    }

    /// Whether all that can be learned from `asked_of` is known: who speaks has read it or has nothing
    /// more to learn, and the server's answer was held against it.
    pub(super) fn is_read(&self, asked_of: Asked) -> bool {
        self.owner.is_some() && self.answered && (self.done || self.up_to_date == Some(asked_of))
    }

    /// The dissector at `place` says for sure that it is its protocol.
    pub(super) fn claim(&mut self, place: u8, outcome: Outcome) {
        self.is_unweighed = true;
        self.owner = Some(place);
        self.done = outcome == Outcome::Done;
        self.up_to_date = None;
        self.inside = match outcome {
            Outcome::Wraps(inside) => Some(inside),
            _ => None,
        };
    }

    /// Adds what is new in `found`, and tells it.
    pub(super) fn remember(&mut self, found: &[Tag], mut new: impl FnMut(Tag)) {
        for &tag in found {
            if self.tags.len() < MAX_TAGS && !self.tags.iter().any(|known| known.rule == tag.rule) {
                self.tags.push(tag);
                new(tag);
            }
        }
    }

    /// Gives up what the client's bytes alone claim if the server's first bytes are clearly of
    /// another protocol. Returns which, where that is sure.
    pub(super) fn judge_answer(
        &mut self,
        opening: &Opening<'_>,
        facts: &mut Option<Box<Facts>>,
    ) -> Option<(u8, Proto)> {
        // Behind a wrapper that is passed the server may say whatever it likes.
        let is_passed = self.inside.is_some_and(Inside::is_known);
        if self.answered || !self.asked || is_passed {
            return None;
        }
        match answer::said(opening, self.owner) {
            answer::Said::Short => None,
            answer::Said::Nothing => {
                self.answered = true;
                None
            }
            answer::Said::Other(sure) => {
                self.answered = true;
                self.server_only = true;
                self.ruled_out = 0;
                self.owner = None;
                self.done = false;
                // A rule that knows an application may know how it is answered.
                self.tags.retain(|tag| tag.app.is_some());
                *facts = None;
                self.is_unweighed = true;
                sure
            }
        }
    }

    /// Whether all that is known was said by the client of a TCP connection: a claim that the
    /// server's answer may refute.
    pub(super) fn is_claimed_alone(&self, opening: &Opening<'_>) -> bool {
        opening.transport == Transport::Tcp && self.asked && !self.answered && !opening.server.ended
    }

    /// Whether a rule has proved what this is.
    pub(super) fn is_proved(&self) -> bool {
        self.tags
            .iter()
            .any(|tag| tag.evidence == Evidence::PayloadProof)
    }

    /// Whether who was taken for the client is the server.
    pub(super) fn is_swapped(&self, facts: Option<&Facts>) -> bool {
        facts.is_some_and(|facts| facts.swapped) != self.middle.reading.turned
    }
}

/// Adds what was read inside to the facts of the flow.
pub(super) fn merge(facts: &mut Option<Box<Facts>>, inspection: &mut Inspection) {
    let mut next = inspection.inner.take();
    while let (Some(facts), Some(mut inner)) = (facts.as_deref_mut(), next) {
        if let Some(inside) = inner.facts.take() {
            facts.absorb(*inside);
        }
        next = inner.inspection.inner.take();
    }
}
