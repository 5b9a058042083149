//! Stage 7: what dissectors and rules say of a flow becomes its one [`Verdict`].
//!
//! The order of evidence, and when a flow has seen enough, is the table [`ladder::LADDER`]. What one
//! flow teaches about another (names from DNS, endpoints of calls) is kept in [`names`] and
//! [`calls`]. The next stage, `usage`, counts under the verdict.

pub mod calls;
pub mod explain;
pub mod ladder;
pub mod names;

use std::sync::Arc;

use crate::app::{AppId, Proto, Service};
use crate::decode::Packet;
use crate::dissect::{self, DISSECTORS, Facts, Outcome, Over};
use crate::flow::{self, Flow, Opening, Side, Transport};
use crate::signature::SignatureSet;
use crate::verdict::{Evidence, RuleId, Tag};

use self::calls::Calls;
use self::explain::Step;
use self::names::Names;

/// Why a flow, or a packet without one, has no name at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnknownReason {
    /// Nothing was carried above the transport header.
    NoPayload,
    /// The opening was read and no rule fits.
    NoMatch,
    /// The same, and the flow's beginning was not captured.
    MidStream,
    /// The flow table was full.
    TableFull,
    /// The flow began while the program could not keep up, and was counted without a look at it.
    Overload,
}

impl UnknownReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::NoPayload,
        Self::NoMatch,
        Self::MidStream,
        Self::TableFull,
        Self::Overload,
    ];

    /// The slug of the ledger.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NoPayload => "no-payload",
            Self::NoMatch => "no-match",
            Self::MidStream => "mid-stream",
            Self::TableFull => "table-full",
            Self::Overload => "overload",
        }
    }
}

/// Where a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decider {
    /// A rule of the signature set.
    Rule(RuleId),
    /// A dissector, by its place in `DISSECTORS`.
    Dissector(u8),
    /// The IP protocol number.
    ProtocolNumber,
}

/// The names of a flow; each may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Whose service it is.
    pub app: Option<AppId>,
    /// What is done inside it.
    pub service: Option<Service>,
    /// What is spoken.
    pub proto: Option<Proto>,
    /// How the strongest of the names was established.
    pub evidence: Option<Evidence>,
    /// What established it.
    pub decider: Option<Decider>,
    /// Why there is no name, when there is none.
    pub unknown: Option<UnknownReason>,
}

/// Whether a flow has its name. Written once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The opening is still read; bytes wait.
    #[default]
    Pending,
    /// Final.
    Settled {
        /// What the flow is.
        named: Named,
        /// The flow's packet that decided, from 1.
        at_packet: u32,
    },
}

/// What classification keeps of a flow.
#[derive(Debug, Default)]
pub struct Classification {
    /// The verdict.
    pub verdict: Verdict,
    /// What was read in the opening, if a dissector recognised it.
    pub facts: Option<Box<Facts>>,
    inspection: Option<Box<Inspection>>,
    /// What happened on the way, when the classifier was asked to remember.
    pub steps: Option<Box<Vec<Step>>>,
}

impl Classification {
    /// A classification that has come to `verdict`, out of `facts`.
    pub fn settled_as(verdict: Verdict, facts: Option<Box<Facts>>) -> Self {
        Self {
            verdict,
            facts,
            ..Self::default()
        }
    }

    /// Settles without a look at the flow, for this reason.
    pub fn give_up(&mut self, reason: UnknownReason) {
        self.verdict = Verdict::Settled {
            named: Named {
                unknown: Some(reason),
                ..Named::default()
            },
            at_packet: 1,
        };
    }

    /// Whether the verdict is final.
    #[inline]
    pub const fn is_settled(&self) -> bool {
        matches!(self.verdict, Verdict::Settled { .. })
    }

    /// Whether the flow has settled under a name, not for want of one.
    pub const fn is_named(&self) -> bool {
        matches!(self.verdict, Verdict::Settled { named, .. } if named.unknown.is_none())
    }

    /// Bytes of all that hangs on it, about.
    pub fn memory(&self) -> usize {
        let inspection = |inspection: &Inspection| {
            size_of::<Inspection>() + inspection.tags.capacity() * size_of::<Tag>()
        };
        let steps = |steps: &Vec<Step>| size_of_val(steps) + steps.capacity() * size_of::<Step>();
        self.facts.as_deref().map_or(0, Facts::memory)
            + self.inspection.as_deref().map_or(0, inspection)
            + self.steps.as_deref().map_or(0, steps)
    }

    /// Lets go of what was kept for the record, the verdict excepted.
    pub fn forget(&mut self) {
        self.facts = None;
        self.steps = None;
    }
}

/// State of a flow whose opening is being read; freed when the flow settles.
#[derive(Debug, Default)]
struct Inspection {
    /// Dissectors that said [`Outcome::NotMine`], by their place in `DISSECTORS`.
    ruled_out: u64,
    /// The dissector whose protocol it is.
    owner: Option<u8>,
    /// The owner has nothing more to learn.
    done: bool,
    mid_stream: bool,
    /// What rules said, the first [`MAX_TAGS`].
    tags: Vec<Tag>,
}

/// Different rules remembered of one flow.
const MAX_TAGS: usize = 32;

// `ruled_out` has a bit for each dissector.
const _: () = assert!(DISSECTORS.len() <= 64);

/// Decides flows of one worker.
#[derive(Debug)]
pub struct Classifier {
    set: Arc<SignatureSet>,
    names: Names,
    calls: Calls,
    scratch: Facts,
    found: Vec<Tag>,
    remember_steps: bool,
}

impl Classifier {
    /// A classifier over `set` that has learned nothing yet.
    pub fn new(set: Arc<SignatureSet>, remember_steps: bool) -> Self {
        Self {
            set,
            names: Names::default(),
            calls: Calls::default(),
            scratch: Facts::default(),
            found: Vec::new(),
            remember_steps,
        }
    }

    /// The most bytes that what one worker learns from flows about others takes.
    pub const fn memory_limit() -> usize {
        Names::MEMORY + Calls::MEMORY
    }

    /// Goes on with `set`, which was compiled after the one in use.
    ///
    /// Settled flows keep their verdict. Pending ones go on with the new rules and with what the old
    /// ones said; names learned from other flows stay, unless their application is retired.
    pub fn replace_set(&mut self, set: Arc<SignatureSet>) {
        self.set = set;
    }

    /// The rules in use.
    pub fn set(&self) -> &Arc<SignatureSet> {
        &self.set
    }

    /// Whether `packet` may teach about other flows, so that every worker must see it.
    ///
    /// Stateless, so that all workers learn the same whoever owns the flow.
    #[inline]
    pub fn teaches(packet: &Packet<'_>) -> bool {
        names::teaches(packet) || calls::teaches(packet)
    }

    /// Learns from a packet for which [`Classifier::teaches`] holds.
    pub fn learn(&mut self, packet: &Packet<'_>) {
        if names::teaches(packet) {
            self.names.learn(packet, &self.set);
        } else {
            self.calls.learn(packet, &self.set);
        }
    }

    /// Reads `packet` into the opening of its flow. Returns whether the flow settled on it.
    pub fn on_packet<T>(
        &mut self,
        flow: &mut Flow<T>,
        class: impl Fn(&mut T) -> &mut Classification,
        packet: &Packet<'_>,
        side: Side,
        config: &flow::Config,
    ) -> bool {
        if let Transport::Other(number) = flow.transport()
            && let Some(proto) = dissect::protocol_by_number(number)
        {
            let names = Named {
                proto: Some(proto),
                evidence: Some(Evidence::Payload),
                decider: Some(Decider::ProtocolNumber),
                ..Named::default()
            };
            settle(flow, &class, names);
            return true;
        }
        if packet.payload.is_empty() {
            // Nothing to inspect; a SYN still tells where its stream begins.
            flow.read_opening(packet, side, config, |_| true);
            return false;
        }
        let mut inspection = class(&mut flow.class).inspection.take().unwrap_or_default();
        let mut facts = class(&mut flow.class).facts.take();
        let mut steps = class(&mut flow.class).steps.take();
        if self.remember_steps && steps.is_none() {
            steps = Some(Box::default());
        }
        let number = packets(flow);
        let mut settled_by = None;
        let more = flow.read_opening(packet, side, config, |opening| {
            self.read(
                opening,
                &mut inspection,
                &mut facts,
                number,
                steps.as_deref_mut(),
            );
            settled_by = ladder::settles(&self.view(opening, &inspection, facts.as_deref()), false);
            settled_by.is_none()
        });
        let exhausted = more != Some(false) && flow.payload_packets() >= config.opening_packets;
        let swapped = facts.as_ref().is_some_and(|facts| facts.swapped);
        let state = class(&mut flow.class);
        state.inspection = Some(inspection);
        state.facts = facts;
        state.steps = steps;
        if swapped && settled_by.is_some() {
            flow.swap_sides();
        }
        if let Some(mut names) = settled_by {
            self.add_weak(flow, &class, &mut names, packet.at);
            settle(flow, &class, names);
            return true;
        }
        if exhausted {
            self.finish(flow, class, packet.at);
            return true;
        }
        false
    }

    /// Settles a flow whose opening has ended, by what there is.
    pub fn finish<T>(
        &mut self,
        flow: &mut Flow<T>,
        class: impl Fn(&mut T) -> &mut Classification,
        at: crate::time::Timestamp,
    ) {
        let mut inspection = class(&mut flow.class).inspection.take().unwrap_or_default();
        let mut facts = class(&mut flow.class).facts.take();
        let mut steps = class(&mut flow.class).steps.take();
        let number = packets(flow);
        let had_payload = flow.payload_packets() > 0;
        let mut names = match flow.last_look() {
            Some(opening) if opening.client.is_empty() && opening.server.is_empty() => {
                inspection.mid_stream = opening.client.mid_stream || opening.server.mid_stream;
                Named::default()
            }
            Some(opening) => {
                self.read(
                    &opening,
                    &mut inspection,
                    &mut facts,
                    number,
                    steps.as_deref_mut(),
                );
                ladder::settles(&self.view(&opening, &inspection, facts.as_deref()), true)
                    .unwrap_or_default()
            }
            None => Named::default(),
        };
        let swapped = facts.as_ref().is_some_and(|facts| facts.swapped);
        let mid_stream = inspection.mid_stream;
        let state = class(&mut flow.class);
        state.inspection = Some(inspection);
        state.facts = facts;
        state.steps = steps;
        if swapped {
            flow.swap_sides();
        }
        self.add_weak(flow, &class, &mut names, at);
        if names.app.is_none() && names.proto.is_none() {
            names.unknown = Some(if !had_payload {
                UnknownReason::NoPayload
            } else if mid_stream {
                UnknownReason::MidStream
            } else {
                UnknownReason::NoMatch
            });
        }
        settle(flow, &class, names);
    }

    fn view<'a>(
        &'a self,
        opening: &'a Opening<'a>,
        inspection: &'a Inspection,
        facts: Option<&'a Facts>,
    ) -> ladder::View<'a> {
        ladder::View {
            set: &self.set,
            facts,
            tags: &inspection.tags,
            owner: inspection.owner,
            done: inspection.done,
            undecided: undecided(opening.transport, inspection.ruled_out),
        }
    }

    /// Shows a grown opening to dissectors and rules.
    fn read(
        &mut self,
        opening: &Opening<'_>,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        number: u32,
        mut steps: Option<&mut Vec<Step>>,
    ) {
        inspection.mid_stream = opening.client.mid_stream || opening.server.mid_stream;
        let mut note = |step: Step| {
            if let Some(steps) = steps.as_deref_mut() {
                explain::remember(steps, step);
            }
        };
        let mut changed = false;
        let was_claimed = inspection.owner.is_some();
        if !inspection.done {
            for (place, dissector) in (0u8..).zip(DISSECTORS) {
                let bit = 1u64 << place;
                if inspection.ruled_out & bit != 0
                    || inspection.owner.is_some_and(|owner| owner != place)
                    || !takes(dissector.over, opening.transport)
                {
                    continue;
                }
                // The owner adds to what it has read; the others get a clean sheet each time.
                let sheet = match facts.as_deref_mut() {
                    Some(facts) if inspection.owner.is_some() => facts,
                    _ => &mut self.scratch,
                };
                let outcome = (dissector.dissect)(opening, sheet);
                match outcome {
                    Outcome::NotMine => {
                        if inspection.owner.is_none() {
                            inspection.ruled_out |= bit;
                        } else {
                            // It was sure; what came since cannot be read.
                            inspection.done = true;
                        }
                    }
                    Outcome::NeedMore => {}
                    Outcome::Partial | Outcome::Done => {
                        if inspection.owner.is_none() {
                            *facts = Some(Box::new(std::mem::take(&mut self.scratch)));
                        }
                        inspection.owner = Some(place);
                        inspection.done = outcome == Outcome::Done;
                        changed = true;
                        note(Step::dissected(number, opening, place, outcome));
                        break;
                    }
                }
            }
        }
        self.found.clear();
        // On the message a dissector claims, rules over bytes are asked as well: an application may
        // speak a known protocol in a way of its own, if it can be proved.
        if inspection.owner.is_none() || !was_claimed {
            self.set.by_payload(opening, &mut self.found);
            if inspection.owner.is_some() {
                self.found
                    .retain(|tag| tag.evidence == Evidence::PayloadProof);
            } else if self.found.is_empty() && inspection.tags.is_empty() {
                self.set.by_flow(opening, &mut self.found);
            }
        }
        if changed && let Some(facts) = facts.as_deref() {
            self.set.by_facts(opening, facts, &mut self.found);
        }
        for &tag in &self.found {
            if inspection.tags.len() < MAX_TAGS
                && !inspection.tags.iter().any(|known| known.rule == tag.rule)
            {
                inspection.tags.push(tag);
                note(Step::matched(number, opening, tag));
            }
        }
    }

    /// Names an application by what other flows taught, by address or by port, where nothing
    /// better is known and nothing forbids it.
    fn add_weak<T>(
        &mut self,
        flow: &mut Flow<T>,
        class: &impl Fn(&mut T) -> &mut Classification,
        names: &mut Named,
        at: crate::time::Timestamp,
    ) {
        let has_name = class(&mut flow.class)
            .facts
            .as_ref()
            .is_some_and(|facts| facts.server_name.is_some());
        let number = packets(flow);
        for &(evidence, ref vetoed) in ladder::WEAK {
            if names.app.is_some() || vetoed(names, has_name) {
                continue;
            }
            let tag = match evidence {
                Evidence::CallFamily => self.calls.of(flow, at),
                Evidence::Dns => self.names.of(flow),
                Evidence::Address => self
                    .set
                    .by_address(flow.ip(Side::Server))
                    .or_else(|| self.set.by_address(flow.ip(Side::Client))),
                _ => self.set.by_port(flow.transport(), flow.port(Side::Server)),
            };
            let tag = tag.filter(|tag| !self.set.is_retired(tag));
            let Some(tag) = tag.map(|tag| Tag { evidence, ..tag }) else {
                continue;
            };
            if let Some(steps) = class(&mut flow.class).steps.as_deref_mut() {
                explain::remember(steps, Step::inferred(number, tag));
            }
            if tag.app.is_some() {
                names.app = tag.app;
                names.service = names.service.or(tag.service);
            }
            names.proto = names.proto.or(tag.proto);
            if tag.app.is_some() || names.evidence.is_none() {
                names.evidence = Some(evidence);
                names.decider = Some(Decider::Rule(tag.rule));
            }
        }
    }
}

fn settle<T>(flow: &mut Flow<T>, class: &impl Fn(&mut T) -> &mut Classification, named: Named) {
    let at_packet = packets(flow);
    flow.close_opening();
    let state = class(&mut flow.class);
    state.inspection = None;
    state.verdict = Verdict::Settled { named, at_packet };
}

fn packets<T>(flow: &Flow<T>) -> u32 {
    u32::try_from(flow.counters.client.packets + flow.counters.server.packets).unwrap_or(u32::MAX)
}

const fn takes(over: Over, transport: Transport) -> bool {
    match transport {
        Transport::Tcp => matches!(over, Over::Tcp | Over::TcpAndUdp),
        Transport::Udp => matches!(over, Over::Udp | Over::TcpAndUdp),
        Transport::Other(_) => false,
    }
}

/// Whether any dissector of `transport` may still recognise the flow.
fn undecided(transport: Transport, ruled_out: u64) -> bool {
    (0..)
        .zip(DISSECTORS)
        .any(|(place, dissector)| ruled_out & (1 << place) == 0 && takes(dissector.over, transport))
}

#[cfg(test)]
mod tests;
