//! What dissectors and rules say of a flow becomes its one [`Verdict`].
//!
//! The order of evidence, and when a flow has seen enough, is the table [`ladder::LADDER`]. What one
//! flow teaches about another (names from DNS, endpoints of calls, places at which data, media and
//! peers are waited for) is kept in [`names`], [`calls`] and [`places`]. The next stage, `usage`, counts under the verdict.

pub mod again;
mod answer;
pub mod behaviour;
mod behind;
pub mod by_name;
pub mod calls;
pub mod explain;
mod generations;
mod hosts;
mod inspection;
pub mod ladder;
mod middle;
mod named;
pub mod names;
mod places;
mod reading;
mod remembered;
mod roles;
mod servers;
mod signalling;
mod streams;
mod veiled;
mod weak;

pub use self::named::{Decider, Named, UnknownReason};

use std::sync::Arc;

use crate::app::Proto;
use crate::decode::{IpProtocol, Packet};
use crate::dissect::unpack::Buffer;
use crate::dissect::{self, DISSECTORS, Facts};
use crate::flow::{self, Attachment, EndReason, Flow, PerSide, Sequence, Side, Transport};
use crate::signature::SignatureSet;
use crate::verdict::{Evidence, Tag};

use self::behaviour::Behaviour;
use self::calls::Calls;
use self::explain::{Keep, Reached, Trace};
use self::hosts::Mac;
use self::inspection::{Inspection, MAX_DEPTH, merge};
use self::names::{Answers, Learning, Names};
use self::places::Places;
use self::remembered::Remembered;
use self::servers::Servers;
use self::signalling::Signalling;

/// Whether a flow has its name, and what is needed until then. Written once.
#[derive(Debug)]
pub enum Verdict {
    /// The opening is still read; bytes wait.
    Pending(Pending),
    /// Final.
    Settled {
        /// What the flow is.
        named: Named,
        /// The flow's packet that decided, from 1.
        at_packet: u32,
    },
}

impl Default for Verdict {
    fn default() -> Self {
        Self::Pending(Pending::default())
    }
}

/// What a flow's name is looked for with.
#[derive(Debug, Default)]
pub struct Pending {
    inspection: Option<Box<Inspection>>,
    /// A SYN showed who is the client.
    is_syn_seen: bool,
    /// What it was called before was looked for when it began, and not found.
    is_unheard_of: bool,
    /// The link-layer address the client's first packet came from.
    client_mac: Option<Mac>,
    /// All is known of it but what it does, for which its next packets are waited for.
    waiting: Option<Box<Named>>,
}

/// What classification keeps of a flow.
#[derive(Debug, Default)]
pub struct Classification {
    /// The verdict.
    pub verdict: Verdict,
    /// What was read in the opening, if a dissector recognised it.
    pub facts: Option<Box<Facts>>,
    /// What happened on the way, when the classifier was asked to remember.
    pub steps: Option<Box<Trace>>,
    /// The first packets, where they are noted.
    pub first_packets: Option<Box<Sequence>>,
}

impl AsMut<Self> for Classification {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

impl Attachment for Classification {
    #[inline]
    fn is_settled(&self) -> bool {
        self.is_settled()
    }

    fn memory(&self) -> usize {
        self.memory()
    }
}

impl Classification {
    /// As far as it has come, out of `facts`: for a record of a flow that goes on.
    pub fn so_far(&self, facts: Option<Box<Facts>>) -> Self {
        let verdict = match self.verdict {
            Verdict::Pending(_) => Verdict::default(),
            Verdict::Settled { named, at_packet } => Verdict::Settled { named, at_packet },
        };
        Self {
            verdict,
            facts,
            ..Self::default()
        }
    }

    /// What its name is looked for with, as long as it has none.
    const fn pending(&mut self) -> Option<&mut Pending> {
        match &mut self.verdict {
            Verdict::Pending(pending) => Some(pending),
            Verdict::Settled { .. } => None,
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
        let facts = || self.facts.as_deref().map_or(0, Facts::memory);
        let read = match &self.verdict {
            Verdict::Pending(pending) => {
                let waiting = pending.waiting.as_ref().map_or(0, |_| size_of::<Named>());
                // An inspection knows what it has read.
                let inspection = pending.inspection.as_deref();
                waiting + inspection.map_or_else(facts, Inspection::memory)
            }
            Verdict::Settled { .. } => facts(),
        };
        read + self.steps.as_deref().map_or(0, Trace::memory)
            + self.first_packets.as_ref().map_or(0, |_| Sequence::MEMORY)
    }

    /// Lets go of what was kept for the record, the verdict excepted.
    pub fn forget(&mut self) {
        self.facts = None;
        self.steps = None;
        self.first_packets = None;
    }
}

/// Inspections and sheets of facts kept for flows to come: many flows end at once.
const SPARES: usize = 64;

/// Decides flows of one worker.
#[derive(Debug)]
pub struct Classifier {
    set: Arc<SignatureSet>,
    /// Counts the sets there were.
    set_number: u32,
    names: Names,
    calls: Calls,
    places: Places,
    signalling: Signalling,
    servers: Servers,
    remembered: Remembered,
    scratch: Facts,
    found: Vec<Tag>,
    /// Where the messages of a reading end.
    ends: PerSide<Vec<u32>>,
    buffers: Vec<Buffer>,
    /// What openings are collected in, of flows that have settled.
    openings: flow::Buffers,
    /// What the flows that settled last were inspected with.
    #[expect(
        clippy::vec_box,
        reason = "flows hold them boxed, and nothing is to be moved"
    )]
    spare: Vec<Box<Inspection>>,
    /// Sheets that facts were written on, clean.
    #[expect(
        clippy::vec_box,
        reason = "flows hold them boxed, and nothing is to be moved"
    )]
    sheets: Vec<Box<Facts>>,
    remember_steps: bool,
    keep: Keep,
    behaviour: Option<Behaviour>,
    votes: Vec<f32>,
}

impl Classifier {
    /// A classifier over `set` that has learned nothing yet.
    pub fn new(set: Arc<SignatureSet>, remember_steps: bool) -> Self {
        Self {
            set,
            set_number: 0,
            names: Names::new(&Learning::default()),
            calls: Calls::default(),
            places: Places::default(),
            signalling: Signalling::default(),
            servers: Servers::default(),
            remembered: Remembered::default(),
            scratch: Facts::default(),
            found: Vec::new(),
            ends: PerSide::default(),
            spare: Vec::new(),
            sheets: Vec::new(),
            buffers: std::iter::repeat_with(Buffer::default)
                .take(MAX_DEPTH)
                .collect(),
            openings: flow::Buffers::default(),
            remember_steps,
            keep: Keep::Nothing,
            behaviour: None,
            votes: Vec::new(),
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

    /// The same, naming by `behaviour` what has no other name: its first packets are to be noted.
    #[must_use]
    pub fn with_behaviour(self, behaviour: Option<Behaviour>) -> Self {
        Self { behaviour, ..self }
    }

    /// The most bytes that what one worker learns from flows about others takes.
    pub const fn memory_limit(learning: &Learning) -> usize {
        let learned = learning.dns_memory + Calls::MEMORY + Places::MEMORY + Signalling::MEMORY;
        learned
            + Servers::MEMORY
            + Remembered::MEMORY
            + SPARES * Inspection::SPARE
            + flow::Buffers::MEMORY
    }

    /// Goes on with `set`, which was compiled after the one in use.
    ///
    /// Settled flows keep their verdict. Pending ones go on with the new rules and with what the old
    /// ones said; names learned from other flows stay, unless their application is retired.
    pub fn replace_set(&mut self, set: Arc<SignatureSet>) {
        self.set = set;
        self.set_number = self.set_number.wrapping_add(1);
    }

    /// The rules in use.
    pub fn set(&self) -> &Arc<SignatureSet> {
        &self.set
    }

    /// Whether `packet` may teach about other flows, so that every worker must see it.
    ///
    /// Stateless, so that all workers learn the same whoever owns the flow.
    #[inline(always)]
    pub fn teaches(packet: &Packet<'_>) -> bool {
        // Nearly all say no: by a look at ports and the first octets.
        names::teaches(packet)
            || match packet.protocol {
                IpProtocol::TCP => teaches_over_tcp(packet),
                IpProtocol::UDP => {
                    calls::is_stun(packet)
                        || calls::is_sip(packet)
                        || places::teaches_over_udp(packet)
                }
                _ => false,
            }
    }

    /// Learns from a packet for which [`Classifier::teaches`] holds. Returns the answers of DNS that
    /// ended with it.
    pub fn learn(&mut self, packet: &Packet<'_>) -> Answers {
        if names::teaches(packet) {
            return self.names.learn(packet, &self.set, &mut self.signalling);
        }
        if calls::is_stun(packet) || calls::is_sip(packet) {
            let (places, signalling) = (&mut self.places, &mut self.signalling);
            self.calls.learn(packet, &self.set, places, signalling);
        } else if signalling::is_hello(packet) {
            self.signalling.learn_hello(packet, &self.set);
        } else if packet.protocol == IpProtocol::TCP {
            self.places.learn_segment(packet, &self.set);
        } else {
            self.places.learn_datagram(packet);
        }
        Answers::default()
    }

    /// A flow has begun: with a new connection, of which nothing is remembered, or in the middle.
    /// Returns whether it is remembered that the other side is the client.
    pub fn begin<T: AsMut<Classification>>(&mut self, flow: &mut Flow<T>) -> bool {
        if flow.begins_here() {
            self.remembered.forget(&flow.key());
            return false;
        }
        let turns = self.remembered.turn(flow);
        if let Some(pending) = flow.class.as_mut().pending() {
            pending.is_unheard_of = turns.is_none();
        }
        turns == Some(true)
    }

    /// A flow that was called so has ended. It may go on.
    pub fn end<T>(&mut self, flow: &Flow<T>, named: &Named, reason: EndReason) {
        self.remembered.keep(flow, named, reason);
    }

    /// Reads `packet` into the opening of its flow. Returns whether the flow settled on it.
    pub fn on_packet<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
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
            self.settle(flow, names);
            return true;
        }
        let Some(pending) = flow.class.as_mut().pending() else {
            return false;
        };
        if pending.waiting.is_some() {
            return self.go_on_waiting(flow, packet.at);
        }
        pending.is_syn_seen |= roles::shows_client(packet, side);
        if side == Side::Client {
            pending.client_mac = pending.client_mac.or_else(|| packet.source_mac.copied());
        }
        if packet.payload.is_empty() {
            // Nothing to inspect; a SYN still tells where its stream begins.
            flow.read_opening(packet, side, config, &mut self.openings, |_| true);
            return false;
        }
        if flow.payload_packets() == 0 && self.places.is_transfer(flow, packet.at) {
            self.settle(flow, transfer());
            return true;
        }
        let class = flow.class.as_mut();
        let inspection = class
            .pending()
            .and_then(|pending| pending.inspection.take());
        let mut inspection = inspection.or_else(|| self.spare.pop()).unwrap_or_default();
        let (mut facts, mut steps) = (class.facts.take(), class.steps.take());
        if self.remember_steps && steps.is_none() {
            steps = Some(Box::default());
        }
        let number = packets(flow);
        let mut settled_by = None;
        let mut openings = std::mem::take(&mut self.openings);
        let more = flow.read_opening(packet, side, config, &mut openings, |opening| {
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
        self.openings = openings;
        if settled_by.is_some() {
            merge(&mut facts, &mut inspection);
        } else {
            inspection.weigh(facts.as_deref());
        }
        let exhausted = more != Some(false) && flow.payload_packets() >= config.opening_packets;
        let swapped = inspection.is_swapped(facts.as_deref());
        let class = flow.class.as_mut();
        if let Some(pending) = class.pending() {
            pending.inspection = Some(inspection);
        }
        class.facts = facts;
        class.steps = steps;
        if swapped && settled_by.is_some() {
            class.steps.iter_mut().for_each(|trace| trace.swap_sides());
            flow.swap_sides();
        }
        if let Some(mut names) = settled_by {
            self.add_weak(flow, &mut names, packet.at, !swapped);
            if !swapped && self.waits(flow, &names) {
                self.wait(flow, names);
                return false;
            }
            self.settle(flow, names);
            self.learn_server(flow, packet.at);
            return true;
        }
        if exhausted {
            self.finish(flow, packet.at);
            self.learn_server(flow, packet.at);
            return true;
        }
        false
    }

    /// Settles a flow whose opening has ended, by what there is.
    pub fn finish<T: AsMut<Classification>>(
        &mut self,
        flow: &mut Flow<T>,
        at: crate::time::Timestamp,
    ) {
        if self.end_waiting(flow, at) {
            return;
        }
        let class = flow.class.as_mut();
        let inspection = class
            .pending()
            .and_then(|pending| pending.inspection.take());
        let mut inspection = inspection.or_else(|| self.spare.pop()).unwrap_or_default();
        let (mut facts, mut steps) = (class.facts.take(), class.steps.take());
        let number = packets(flow);
        let had_payload = flow.payload_packets() > 0;
        let mut is_veiled = false;
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
                is_veiled = !has_name && veiled::is_veiled(&opening);
                if let Some(trace) = steps.as_deref_mut()
                    && (self.keep == Keep::All || self.keep == Keep::Unnamed && !has_name)
                {
                    trace.keep(&opening, inspection.asking, &self.set);
                }
                names
            }
            None => Named::default(),
        };
        merge(&mut facts, &mut inspection);
        let swapped = inspection.is_swapped(facts.as_deref());
        let mid_stream = inspection.mid_stream;
        let class = flow.class.as_mut();
        if let Some(pending) = class.pending() {
            pending.inspection = Some(inspection);
        }
        class.facts = facts;
        class.steps = steps;
        if swapped {
            class.steps.iter_mut().for_each(|trace| trace.swap_sides());
            flow.swap_sides();
        }
        self.add_weak(flow, &mut names, at, false);
        if names.app.is_none() && names.proto.is_none() {
            names.unknown = Some(if !had_payload {
                UnknownReason::NoPayload
            } else if mid_stream {
                UnknownReason::MidStream
            } else if is_veiled {
                UnknownReason::VpnLike
            } else {
                UnknownReason::NoMatch
            });
        }
        self.settle(flow, names);
    }

    /// Takes facts nobody asks for any more, so that the next flow's are written on the same sheet.
    pub fn reuse(&mut self, facts: Option<Box<Facts>>) {
        if self.sheets.len() < SPARES
            && let Some(mut facts) = facts
        {
            *facts = Facts::default();
            self.sheets.push(facts);
        }
    }

    /// Ends the inspection of a flow. What it was inspected with is used for the next one.
    fn end_inspection<T: AsMut<Classification>>(&mut self, flow: &mut Flow<T>) {
        if let Some(pending) = flow.class.as_mut().pending()
            && let Some(mut spare) = pending.inspection.take()
            && self.spare.len() < SPARES
        {
            spare.reset();
            self.spare.push(spare);
        }
        flow.close_opening(&mut self.openings);
    }

    /// Settles a flow that was inspected.
    fn settle<T: AsMut<Classification>>(&mut self, flow: &mut Flow<T>, named: Named) {
        self.end_inspection(flow);
        let at_packet = packets(flow);
        let reached = Reached {
            payloads: flow.payload_packets().into(),
            bytes: flow.counters.client.bytes + flow.counters.server.bytes,
        };
        let class = flow.class.as_mut();
        if let Some(trace) = class.steps.as_deref_mut() {
            trace.settled = Some(reached);
        }
        class.verdict = Verdict::Settled { named, at_packet };
    }
}

/// The names of a data connection that FTP's control connection spoke of: what is carried does not
/// matter, files may look like anything.
fn transfer() -> Named {
    Named {
        proto: Some(Proto::FTP_DATA),
        evidence: Some(Evidence::CallFamily),
        decider: decider("ftp"),
        ..Named::default()
    }
}

/// The dissector of this name.
fn decider(name: &str) -> Option<Decider> {
    let place = DISSECTORS.iter().position(|row| row.name == name)?;
    u8::try_from(place).ok().map(Decider::Dissector)
}

/// Whether a TCP segment may say something of calls or of places. Both begin with words or numbers.
#[inline(always)]
fn teaches_over_tcp(packet: &Packet<'_>) -> bool {
    match packet.payload.first() {
        Some(b'2' | b'A'..=b'Z' | b'a'..=b'z') => {
            calls::is_sip(packet) || places::teaches_over_tcp(packet)
        }
        Some(22) => signalling::is_hello(packet),
        _ => false,
    }
}

fn packets<T>(flow: &Flow<T>) -> u32 {
    u32::try_from(flow.counters.client.packets + flow.counters.server.packets).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod behind_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod remembered_tests;

#[cfg(test)]
mod servers_tests;
