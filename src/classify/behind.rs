//! Behind a wrapper: what a recognised protocol carries is read as an opening of its own, by all
//! dissectors and rules, and so is what that carries.
//!
//! A dissector says where the inside begins ([`Outcome::Wraps`](crate::dissect::Outcome::Wraps)),
//! [`Buffer`] gets it out, [`Classifier::read`] reads each level as it reads the outermost, and
//! [`ladder`] weighs what all levels said.

use super::explain::Trace;
use super::inspection::{Inspection, MAX_DEPTH, Seen};
use super::ladder::{self, View};
use super::reading::undecided;
use super::{Classifier, Named};
use crate::dissect::Facts;
use crate::dissect::inside::Inside;
use crate::dissect::unpack::Buffer;
use crate::flow::{Opening, Transport};

/// Bytes for the ends of messages at all depths.
const MESSAGES: usize = 16 << 10;

impl Classifier {
    /// The most bytes that getting out what is inside of openings of so many bytes takes.
    pub const fn unpacking_memory(opening_bytes: usize) -> usize {
        // As a list grows it doubles. Messages are few beside their bytes.
        opening_bytes
            .saturating_mul(2 * 2 * MAX_DEPTH)
            .saturating_add(MESSAGES)
    }

    /// Shows a grown opening, and what is inside it, to dissectors and rules.
    pub(super) fn read_whole(
        &mut self,
        opening: &Opening<'_>,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        number: u32,
        steps: Option<&mut Trace>,
    ) {
        let mut buffers = std::mem::take(&mut self.buffers);
        self.read_from(opening, inspection, facts, number, steps, &mut buffers);
        self.buffers = buffers;
    }

    /// Reads a level and those inside it, as many as there are buffers.
    fn read_from(
        &mut self,
        opening: &Opening<'_>,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        number: u32,
        mut steps: Option<&mut Trace>,
        buffers: &mut [Buffer],
    ) {
        if !inspection.inside.is_some_and(Inside::is_known) {
            self.read(opening, inspection, facts, number, steps.as_deref_mut());
        }
        let Some(inside) = inspection.inside else {
            // What seemed to be inside was not: the wrapper was refused.
            inspection.inner = None;
            return;
        };
        let (Some((buffer, deeper)), Some(facts)) = (buffers.split_first_mut(), facts.as_deref())
        else {
            return;
        };
        // Where the wrapper begins is not always where the opening does.
        let mut ends = std::mem::take(&mut self.ends);
        let reading = inspection.middle.reading;
        let shown = reading.show(opening, &mut ends);
        let view = buffer.open(&shown, inside, facts);
        let inner = &mut **inspection.inner.get_or_insert_default();
        let seen = Seen::of(&view);
        if seen.bytes == 0 || inner.seen == seen {
            return;
        }
        for earlier in inner.seen.shown.until(&view) {
            self.read_from(
                &earlier,
                &mut inner.inspection,
                &mut inner.facts,
                number,
                steps.as_deref_mut(),
                deeper,
            );
        }
        inner.seen = seen;
        self.read_from(
            &view,
            &mut inner.inspection,
            &mut inner.facts,
            number,
            steps,
            deeper,
        );
    }

    /// The names of the flow, if it has seen enough (or `at_end`: whatever there is).
    pub(super) fn judge(
        &self,
        transport: Transport,
        inspection: &Inspection,
        facts: Option<&Facts>,
        at_end: bool,
    ) -> Option<Named> {
        self.judge_inside(transport, inspection, facts, None, at_end)
    }

    fn judge_inside(
        &self,
        transport: Transport,
        inspection: &Inspection,
        facts: Option<&Facts>,
        outer: Option<&View<'_>>,
        at_end: bool,
    ) -> Option<Named> {
        let view = View {
            set: &self.set,
            facts,
            tags: &inspection.tags,
            owner: inspection.owner,
            done: inspection.done,
            is_claim: inspection.is_claim,
            undecided: undecided(transport, inspection.ruled_out),
            outer,
        };
        match inspection.inner.as_deref() {
            Some(inner) => self.judge_inside(
                transport,
                &inner.inspection,
                inner.facts.as_deref(),
                Some(&view),
                at_end,
            ),
            None => ladder::settles(&view, at_end),
        }
    }
}
