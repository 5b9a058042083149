//! An opening that has grown is shown to dissectors and rules.

use super::explain::{Step, Trace};
use super::inspection::{Asked, Inspection};
use super::middle::Reading;
use super::{Classifier, answer};
use crate::dissect::{self, DISSECTORS, Facts, Outcome};
use crate::flow::{Opening, PerSide, Transport};
use crate::verdict::Tag;

/// What was found in a reading of a flow.
#[derive(Clone, Copy, Debug)]
enum Found {
    Dissected(u8, Outcome),
    Matched(Tag),
}

impl Classifier {
    /// Shows a grown opening to dissectors and rules, but not what is inside it.
    pub(super) fn read(
        &mut self,
        opening: &Opening<'_>,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        number: u32,
        mut steps: Option<&mut Trace>,
    ) {
        inspection.mid_stream = opening.client.mid_stream || opening.server.mid_stream;
        let asked_of = Asked::of(opening, self.set_number);
        if inspection.is_read(asked_of) && steps.is_none() {
            inspection.is_claim = false;
            return;
        }
        let begins_anew = inspection.middle.begins_anew(opening);
        if begins_anew && inspection.owner.is_none() {
            inspection.ruled_out = 0;
        }
        let mut ends = std::mem::take(&mut self.ends);
        let reading = inspection.middle.reading;
        let shown = reading.show(opening, &mut ends);
        let is_traced = steps.is_some();
        let mut note = |step: Step| {
            if let Some(trace) = steps.as_deref_mut() {
                trace.remember(step);
            }
        };
        let mut changed = false;
        inspection.asked |= shown.server.is_empty();
        let sure = inspection.judge_answer(&shown, facts);
        let was_claimed = inspection.owner.is_some();
        inspection.asking = 0;
        // Who traces a flow sees each question.
        let is_known = inspection.up_to_date == Some(asked_of) && !begins_anew && !is_traced;
        if !inspection.done && !is_known {
            let mut ruled_out = inspection.ruled_out;
            let mut asking = 0;
            let asked = match inspection.server_only {
                true => answer::alone(&shown),
                false => shown,
            };
            let answer = self.ask(&asked, inspection.owner, &mut ruled_out, &mut asking, facts);
            (inspection.ruled_out, inspection.asking) = (ruled_out, asking);
            match answer {
                // It was sure; what came since cannot be read.
                Some((_, Outcome::NotMine)) => inspection.done = true,
                Some((place, outcome)) => {
                    inspection.claim(place, outcome);
                    inspection.up_to_date = Some(asked_of).filter(|_| outcome == Outcome::UpToDate);
                    changed = true;
                    note(Step::dissected(number, opening, place, outcome));
                }
                None => {}
            }
        }
        if let (None, Some((place, proto))) = (inspection.owner, sure) {
            *facts = Some(Box::new(Facts {
                proto: Some(proto),
                ..Facts::default()
            }));
            inspection.owner = Some(place);
            changed = true;
            note(Step::dissected(number, opening, place, Outcome::Partial));
        }
        self.found.clear();
        // On the message a dissector claims, rules over bytes are asked as well: an application may
        // speak a known protocol in a way of its own, if it can be proved.
        if inspection.owner.is_none() || !was_claimed {
            if inspection.owner.is_some() {
                self.set.by_payload_proof(&shown, &mut self.found);
            } else {
                self.set.by_payload(&shown, &mut self.found);
                if self.found.is_empty() && inspection.tags.is_empty() {
                    self.set.by_flow(&shown, &mut self.found);
                }
            }
        }
        if changed && let Some(facts) = facts.as_deref() {
            self.set.by_facts(&shown, facts, &mut self.found);
        }
        inspection.remember(&self.found, |tag| {
            note(Step::matched(number, opening, tag));
        });
        // What seems to come behind junk may come behind a wrapper that is not sure of itself yet.
        let may_be_wrapped = !inspection.mid_stream && inspection.asking & dissect::WRAPPING != 0;
        if inspection.owner.is_none() && !inspection.is_proved() && !may_be_wrapped {
            self.read_middle(opening, inspection, facts, &mut ends, |event| {
                note(match event {
                    Found::Dissected(place, outcome) => {
                        Step::dissected(number, opening, place, outcome)
                    }
                    Found::Matched(tag) => Step::matched(number, opening, tag),
                });
            });
        }
        inspection.is_claim = inspection.is_claimed_alone(opening);
        self.ends = ends;
    }

    /// Asks the dissectors that are not in `ruled_out`, or only the owner, of `shown`: the one that
    /// is sure (or, if it is the owner, no longer so) and what it says. Facts are taken from it.
    /// Those that need more are added to `asking`.
    fn ask(
        &mut self,
        shown: &Opening<'_>,
        owner: Option<u8>,
        ruled_out: &mut u64,
        asking: &mut u64,
        facts: &mut Option<Box<Facts>>,
    ) -> Option<(u8, Outcome)> {
        let mut left = dissect::over(shown.transport) & !*ruled_out;
        if let Some(owner) = owner {
            left &= 1 << owner;
        }
        while left != 0 {
            let place = left.trailing_zeros();
            let bit = 1u64 << place;
            left &= !bit;
            let (Ok(place), Some(dissector)) =
                (u8::try_from(place), DISSECTORS.get(place as usize))
            else {
                break;
            };
            // The owner adds to what it has read; the others get a clean sheet each time.
            let sheet = match facts.as_deref_mut() {
                Some(facts) if owner.is_some() => facts,
                _ => &mut self.scratch,
            };
            match (dissector.dissect)(shown, sheet) {
                Outcome::NotMine if owner.is_some() => return Some((place, Outcome::NotMine)),
                Outcome::NotMine => *ruled_out |= bit,
                Outcome::NeedMore => *asking |= bit,
                outcome @ (Outcome::Partial
                | Outcome::UpToDate
                | Outcome::Done
                | Outcome::Wraps(_)) => {
                    if owner.is_none() {
                        let mut sheet = self.sheets.pop().unwrap_or_default();
                        std::mem::swap(&mut *sheet, &mut self.scratch);
                        *facts = Some(sheet);
                    }
                    return Some((place, outcome));
                }
            }
        }
        None
    }

    /// Tries what has a strong check on other readings of the flow.
    fn read_middle(
        &mut self,
        opening: &Opening<'_>,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        ends: &mut PerSide<Vec<u32>>,
        mut note: impl FnMut(Found),
    ) {
        if let Some((reading, mut ruled_out)) = inspection.middle.waiting.take() {
            if self.try_reading(
                (opening, reading),
                &mut ruled_out,
                inspection,
                facts,
                ends,
                &mut note,
            ) {
                return;
            }
            if undecided(opening.transport, ruled_out) {
                inspection.middle.waiting = Some((reading, ruled_out));
            }
        }
        let mut middle = inspection.middle;
        middle.readings(opening, |reading, rules_only| {
            let mut ruled_out = match rules_only {
                true => u64::MAX,
                false => !dissect::STRONG_IN_THE_MIDDLE,
            };
            if self.try_reading(
                (opening, reading),
                &mut ruled_out,
                inspection,
                facts,
                ends,
                &mut note,
            ) {
                return true;
            }
            if inspection.middle.waiting.is_none() && undecided(opening.transport, ruled_out) {
                inspection.middle.waiting = Some((reading, ruled_out));
            }
            false
        });
        (middle.reading, middle.waiting) = (inspection.middle.reading, inspection.middle.waiting);
        inspection.middle = middle;
    }

    /// Whether a dissector or a proof fits this reading, which then becomes the flow's.
    fn try_reading(
        &mut self,
        (opening, reading): (&Opening<'_>, Reading),
        ruled_out: &mut u64,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        ends: &mut PerSide<Vec<u32>>,
        note: &mut impl FnMut(Found),
    ) -> bool {
        let shown = reading.show(opening, ends);
        let claimed = self.ask(&shown, None, ruled_out, &mut 0, facts);
        self.found.clear();
        self.set.by_middle(&shown, &mut self.found);
        if let Some((place, outcome)) = claimed {
            inspection.claim(place, outcome);
            note(Found::Dissected(place, outcome));
            if let Some(facts) = facts.as_deref() {
                self.set.by_facts(&shown, facts, &mut self.found);
            }
        }
        inspection.remember(&self.found, |tag| note(Found::Matched(tag)));
        let fits = claimed.is_some() || !self.found.is_empty();
        if fits {
            inspection.middle.reading = reading;
        }
        fits
    }
}

/// Whether any dissector of `transport` may still recognise the flow.
pub(super) const fn undecided(transport: Transport, ruled_out: u64) -> bool {
    dissect::over(transport) & !ruled_out != 0
}
