//! Stage 7: what dissectors and rules say of a flow becomes its one [`Verdict`].
//!
//! The order of evidence, and when a flow has seen enough, is the table [`ladder::LADDER`]. What one
//! flow teaches about another (names from DNS, endpoints of calls, data connections of FTP) is kept
//! in [`names`], [`calls`] and [`transfers`]. The next stage, `usage`, counts under the verdict.

mod answer;
mod behind;
pub mod calls;
pub mod explain;
mod generations;
mod hosts;
pub mod ladder;
mod middle;
pub mod names;
mod remembered;
mod roles;
mod streams;
mod transfers;

use std::sync::Arc;

use crate::app::{AppId, Proto, Service};
use crate::decode::Packet;
use crate::dissect::inside::{Buffer, Inside};
use crate::dissect::{self, DISSECTORS, Facts, Outcome, Over};
use crate::flow::{self, EndReason, Flow, Opening, PerSide, Side, Transport};
use crate::signature::SignatureSet;
use crate::verdict::{Evidence, RuleId, Tag};

use self::behind::{Inner, MAX_DEPTH};
use self::calls::Calls;
use self::explain::{Keep, Step, Trace};
use self::hosts::Mac;
use self::middle::{Middle, Reading};
use self::names::{Answers, Learning, Names};
use self::remembered::Remembered;
use self::transfers::Transfers;

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
    /// What is spoken: of protocols in one another, the outermost.
    pub proto: Option<Proto>,
    /// What is spoken inside it, if it carries another protocol: the innermost that is known.
    pub inner: Option<Proto>,
    /// How the strongest of the names was established.
    pub evidence: Option<Evidence>,
    /// What established it.
    pub decider: Option<Decider>,
    /// Why there is no name, when there is none.
    pub unknown: Option<UnknownReason>,
    /// All this was established on a flow between the same sockets, of which this is the rest.
    pub remembered: bool,
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
    /// A SYN showed who is the client.
    is_syn_seen: bool,
    /// The link-layer address the client's first packet came from.
    client_mac: Option<Mac>,
    /// What happened on the way, when the classifier was asked to remember.
    pub steps: Option<Box<Trace>>,
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
        self.facts.as_deref().map_or(0, Facts::memory)
            + self.inspection.as_deref().map_or(0, Inspection::memory)
            + self.steps.as_deref().map_or(0, Trace::memory)
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
    /// Dissectors that said [`Outcome::NeedMore`] to the latest message.
    asking: u64,
    /// The dissector whose protocol it is.
    owner: Option<u8>,
    /// The owner has nothing more to learn.
    done: bool,
    mid_stream: bool,
    /// Where the flow is read from.
    middle: Middle,
    /// The client spoke before the server.
    asked: bool,
    /// What the server said first has been held against what the client's bytes claim.
    answered: bool,
    /// The server speaks another protocol than the client's bytes claim: only it is read.
    server_only: bool,
    /// All that is known was said by the client of a TCP connection: the server's answer may refute it.
    is_claim: bool,
    /// What rules said, the first [`MAX_TAGS`].
    tags: Vec<Tag>,
    /// Bytes of each side at the last look.
    looked_at: PerSide<usize>,
    /// Where the owner says that another protocol begins.
    inside: Option<Inside>,
    /// That other one.
    inner: Option<Box<Inner>>,
}

impl Inspection {
    /// Bytes it takes, about.
    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.tags.capacity() * size_of::<Tag>()
            + self.inner.as_deref().map_or(0, Inner::memory)
    }

    /// Whether `opening` has grown enough since the last look for another one; notes the look.
    ///
    /// Each look reads the whole opening. A byte stream that is long already and grows by drops
    /// would be read in full for each drop; so it is looked at again when it has grown by a quarter,
    /// when it has ended, and when the other side speaks.
    fn is_due(&mut self, opening: &Opening<'_>) -> bool {
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

    /// The dissector at `place` says for sure that it is its protocol.
    fn claim(&mut self, place: u8, outcome: Outcome) {
        self.owner = Some(place);
        self.done = outcome == Outcome::Done;
        self.inside = match outcome {
            Outcome::Wraps(inside) => Some(inside),
            _ => None,
        };
    }

    /// Adds what is new in `found`, and tells it.
    fn remember(&mut self, found: &[Tag], mut new: impl FnMut(Tag)) {
        for &tag in found {
            if self.tags.len() < MAX_TAGS && !self.tags.iter().any(|known| known.rule == tag.rule) {
                self.tags.push(tag);
                new(tag);
            }
        }
    }

    /// Gives up what the client's bytes alone claim if the server's first bytes are clearly of
    /// another protocol. Returns which, where that is sure.
    fn judge_answer(
        &mut self,
        opening: &Opening<'_>,
        facts: &mut Option<Box<Facts>>,
    ) -> Option<(u8, Proto)> {
        if self.answered || !self.asked || self.inside.is_some() {
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
                sure
            }
        }
    }

    /// Whether all that is known was said by the client of a TCP connection: a claim that the
    /// server's answer may refute.
    fn is_claimed_alone(&self, opening: &Opening<'_>) -> bool {
        opening.transport == Transport::Tcp && self.asked && !self.answered && !opening.server.ended
    }

    /// Whether a rule has proved what this is.
    fn is_proved(&self) -> bool {
        self.tags
            .iter()
            .any(|tag| tag.evidence == Evidence::PayloadProof)
    }

    /// Whether who was taken for the client is the server.
    fn is_swapped(&self, facts: Option<&Facts>) -> bool {
        facts.is_some_and(|facts| facts.swapped) != self.middle.reading.turned
    }
}

/// What was found in a reading of a flow.
#[derive(Clone, Copy, Debug)]
enum Found {
    Dissected(u8, Outcome),
    Matched(Tag),
}

/// Streams shorter than this are looked at whenever they grow: most hellos and requests are.
const LONG_STREAM: usize = 4 << 10;

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
    transfers: Transfers,
    remembered: Remembered,
    scratch: Facts,
    found: Vec<Tag>,
    /// Where the messages of a reading end.
    ends: PerSide<Vec<u32>>,
    buffers: [Buffer; MAX_DEPTH],
    remember_steps: bool,
    keep: Keep,
}

impl Classifier {
    /// A classifier over `set` that has learned nothing yet.
    pub fn new(set: Arc<SignatureSet>, remember_steps: bool) -> Self {
        Self {
            set,
            names: Names::new(&Learning::default()),
            calls: Calls::default(),
            transfers: Transfers::default(),
            remembered: Remembered::default(),
            scratch: Facts::default(),
            found: Vec::new(),
            ends: PerSide::default(),
            buffers: Default::default(),
            remember_steps,
            keep: Keep::Nothing,
        }
    }

    /// Keeps these openings with the steps that are remembered.
    pub const fn keep_openings(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// The same, learning as `learning` says.
    #[must_use]
    pub fn with_learning(mut self, learning: &Learning) -> Self {
        self.names = Names::new(learning);
        self
    }

    /// The most bytes that what one worker learns from flows about others takes.
    pub const fn memory_limit(learning: &Learning) -> usize {
        learning.dns_memory + Calls::MEMORY + Transfers::MEMORY + Remembered::MEMORY
    }

    /// Answers of DNS read so far: every worker reads all.
    pub const fn dns_answers(&self) -> Answers {
        self.names.answers()
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
        names::teaches(packet) || calls::teaches(packet) || transfers::teaches(packet)
    }

    /// Learns from a packet for which [`Classifier::teaches`] holds.
    pub fn learn(&mut self, packet: &Packet<'_>) {
        if names::teaches(packet) {
            self.names.learn(packet, &self.set);
        } else if calls::teaches(packet) {
            self.calls.learn(packet, &self.set);
        } else {
            self.transfers.learn(packet);
        }
    }

    /// A flow has begun: with a new connection, of which nothing is remembered, or in the middle.
    /// Returns whether it is remembered that the other side is the client.
    pub fn begin<T>(&mut self, flow: &mut Flow<T>) -> bool {
        if flow.begins_here() {
            self.remembered.forget(&flow.key());
            false
        } else {
            self.remembered.turn(flow)
        }
    }

    /// A flow that was called so has ended. It may go on.
    pub fn end<T>(&mut self, flow: &Flow<T>, named: &Named, reason: EndReason) {
        self.remembered.keep(flow, named, reason);
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
        let state = class(&mut flow.class);
        state.is_syn_seen |= roles::shows_client(packet, side);
        if side == Side::Client {
            state.client_mac = state.client_mac.or(packet.source_mac);
        }
        if packet.payload.is_empty() {
            // Nothing to inspect; a SYN still tells where its stream begins.
            flow.read_opening(packet, side, config, |_| true);
            return false;
        }
        if flow.payload_packets() == 0 && self.transfers.has(flow, packet.at) {
            settle(flow, &class, transfer());
            return true;
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
            if let Some(trace) = steps.as_deref_mut() {
                trace.message(opening);
            }
            if !inspection.is_due(opening) {
                return true;
            }
            self.read_whole(
                opening,
                &mut inspection,
                &mut facts,
                number,
                steps.as_deref_mut(),
            );
            settled_by = self.judge(opening.transport, &inspection, facts.as_deref(), false);
            if let Some(trace) = steps.as_deref_mut()
                && settled_by.is_some()
                && self.keep == Keep::All
            {
                trace.keep(opening, inspection.asking, &self.set);
            }
            settled_by.is_none()
        });
        if settled_by.is_some() {
            behind::merge(&mut facts, &mut inspection);
        }
        let exhausted = more != Some(false) && flow.payload_packets() >= config.opening_packets;
        let swapped = inspection.is_swapped(facts.as_deref());
        let state = class(&mut flow.class);
        state.inspection = Some(inspection);
        state.facts = facts;
        state.steps = steps;
        if swapped && settled_by.is_some() {
            state.steps.iter_mut().for_each(|trace| trace.swap_sides());
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
                self.read_whole(
                    &opening,
                    &mut inspection,
                    &mut facts,
                    number,
                    steps.as_deref_mut(),
                );
                let names = self
                    .judge(opening.transport, &inspection, facts.as_deref(), true)
                    .unwrap_or_default();
                let has_name = names.app.is_some() || names.proto.is_some();
                if let Some(trace) = steps.as_deref_mut()
                    && (self.keep == Keep::All || self.keep == Keep::Unnamed && !has_name)
                {
                    trace.keep(&opening, inspection.asking, &self.set);
                }
                names
            }
            None => Named::default(),
        };
        behind::merge(&mut facts, &mut inspection);
        let swapped = inspection.is_swapped(facts.as_deref());
        let mid_stream = inspection.mid_stream;
        let state = class(&mut flow.class);
        state.inspection = Some(inspection);
        state.facts = facts;
        state.steps = steps;
        if swapped {
            state.steps.iter_mut().for_each(|trace| trace.swap_sides());
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

    /// Shows a grown opening to dissectors and rules, but not what is inside it.
    fn read(
        &mut self,
        opening: &Opening<'_>,
        inspection: &mut Inspection,
        facts: &mut Option<Box<Facts>>,
        number: u32,
        mut steps: Option<&mut Trace>,
    ) {
        inspection.mid_stream = opening.client.mid_stream || opening.server.mid_stream;
        if inspection.middle.begins_anew(opening) && inspection.owner.is_none() {
            inspection.ruled_out = 0;
        }
        let mut ends = std::mem::take(&mut self.ends);
        let reading = inspection.middle.reading;
        let shown = match reading.is_plain() {
            true => *opening,
            false => reading.show(opening, &mut ends),
        };
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
        if !inspection.done {
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
            self.set.by_payload(&shown, &mut self.found);
            if inspection.owner.is_some() {
                self.found
                    .retain(|tag| tag.evidence == Evidence::PayloadProof);
            } else if self.found.is_empty() && inspection.tags.is_empty() {
                self.set.by_flow(&shown, &mut self.found);
            }
        }
        if changed && let Some(facts) = facts.as_deref() {
            self.set.by_facts(&shown, facts, &mut self.found);
        }
        inspection.remember(&self.found, |tag| {
            note(Step::matched(number, opening, tag));
        });
        if inspection.owner.is_none() && !inspection.is_proved() {
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
        for (place, dissector) in (0u8..).zip(DISSECTORS) {
            let bit = 1u64 << place;
            if *ruled_out & bit != 0
                || owner.is_some_and(|owner| owner != place)
                || !takes(dissector.over, shown.transport)
            {
                continue;
            }
            // The owner adds to what it has read; the others get a clean sheet each time.
            let sheet = match facts.as_deref_mut() {
                Some(facts) if owner.is_some() => facts,
                _ => &mut self.scratch,
            };
            match (dissector.dissect)(shown, sheet) {
                Outcome::NotMine if owner.is_some() => return Some((place, Outcome::NotMine)),
                Outcome::NotMine => *ruled_out |= bit,
                Outcome::NeedMore => *asking |= bit,
                outcome @ (Outcome::Partial | Outcome::Done | Outcome::Wraps(_)) => {
                    if owner.is_none() {
                        *facts = Some(Box::new(std::mem::take(&mut self.scratch)));
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
                false => !dissect::strong_in_the_middle(),
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

    /// Names an application by what other flows taught, by address or by port, where nothing
    /// better is known and nothing forbids it.
    fn add_weak<T>(
        &mut self,
        flow: &mut Flow<T>,
        class: &impl Fn(&mut T) -> &mut Classification,
        names: &mut Named,
        at: crate::time::Timestamp,
    ) {
        let state = class(&mut flow.class);
        let facts = state.facts.as_deref();
        let has_name = facts.is_some_and(|facts| facts.server_name.is_some())
            && names.evidence != Some(Evidence::OuterName);
        let dissected = facts.and_then(|facts| facts.proto);
        // Behind a proxy the address it was told counts, not its own.
        let behind = facts.and_then(|facts| facts.destination_ip);
        let (is_syn_seen, client_mac) = (state.is_syn_seen, state.client_mac);
        let number = packets(flow);
        let before = self.remembered.of(flow).filter(|before| {
            let app = before.app;
            !has_name && app.is_none_or(|app| self.set.catalog().is_current(app))
        });
        // What was proved of the flow itself goes before what others teach of it.
        let is_own = |before: &Named| before.evidence.is_some_and(|it| it < Evidence::CallFamily);
        if let Some(before) = before.filter(is_own) {
            remembered::complete(names, &before);
        }
        for &(evidence, ref vetoed) in ladder::WEAK {
            // An outer name stands until something better is known.
            let is_placeholder =
                names.evidence == Some(Evidence::OuterName) && evidence < Evidence::OuterName;
            let is_named = names.app.is_some() && !is_placeholder;
            if is_named || vetoed(names, has_name) {
                continue;
            }
            let tag = match evidence {
                Evidence::CallFamily => self.calls.of(flow, at),
                Evidence::Dns => self.names.of(flow, client_mac, &self.set),
                Evidence::Address => behind
                    .or_else(|| {
                        roles::server(flow, is_syn_seen, dissected).map(|side| flow.ip(side))
                    })
                    .and_then(|address| self.set.by_address(address))
                    .filter(|tag| {
                        names.proto.is_none_or(|proto| {
                            ladder::carries_applications(proto)
                                || self.set.is_spoken_at_addresses(tag, proto)
                        })
                    }),
                _ => self.set.by_port(flow.transport(), flow.port(Side::Server)),
            };
            let tag = tag.filter(|tag| !self.set.is_retired(tag));
            let Some(tag) = tag.map(|tag| Tag { evidence, ..tag }) else {
                continue;
            };
            if let Some(trace) = class(&mut flow.class).steps.as_deref_mut() {
                trace.remember(Step::inferred(number, tag));
            }
            if tag.app.is_some() {
                if names.app.is_some() {
                    names.service = None;
                }
                names.app = tag.app;
                names.service = names.service.or(tag.service);
            }
            names.proto = names.proto.or(tag.proto);
            if tag.app.is_some() || names.evidence.is_none() {
                names.evidence = Some(evidence);
                names.decider = Some(Decider::Rule(tag.rule));
                names.remembered = false;
            }
        }
        if let Some(before) = before {
            remembered::complete(names, &before);
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

/// The names of a data connection that FTP's control connection spoke of: what is carried does not
/// matter, files may look like anything.
fn transfer() -> Named {
    let place = DISSECTORS.iter().position(|row| row.name == "ftp");
    Named {
        proto: Some(Proto::FTP_DATA),
        evidence: Some(Evidence::CallFamily),
        decider: place
            .and_then(|place| u8::try_from(place).ok())
            .map(Decider::Dissector),
        ..Named::default()
    }
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
mod behind_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod remembered_tests;
