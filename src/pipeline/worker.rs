//! A worker: each frame runs to completion here, on state no other thread sees.

use std::sync::Arc;
use std::time::Duration;

use crate::capture::{Block, Frame, InterfaceId, Interfaces};
use crate::classify::names::Answers;
use crate::classify::{Classification, Classifier, UnknownReason, Verdict};
use crate::decode::{Aside, Datagram, Decoded, Decoder, Packet, Placed};
use crate::flow::{
    self, Attachment, End, EndReason, Flow, FlowTable, Located, Sequence, Side, Touch, Unplaced,
};
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::accounts::AccountRef;
use crate::usage::health::{Fault, Seen};
use crate::usage::ledger::{Drops, Volume};
use crate::usage::{CellId, CellKey, Cells, Health, Stats, Usage};

use super::Config;
use super::halves::Halves;
use super::marks::Marks;
use super::parts::{Due, Told};
use super::steer::{Entry, drop_frame};
use super::stopwatch::Stopwatch;
use super::watch::Watch;

/// What packets are counted under that find no place in the flow table.
const TABLE_FULL: CellKey = CellKey {
    unknown: Some(UnknownReason::TableFull),
    ..CellKey::NONE
};

/// Frames decoded before their flows are looked up, so that the table's memory accesses overlap.
const BATCH: usize = 32;

/// What the pipeline keeps of a flow.
///
/// What each packet of a settled flow needs comes first.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct State {
    /// Where the flow's bytes are counted, once it has settled.
    cell: Option<CellId>,
    /// From when on a record of it may be due, though it goes on; [`Due::NOW`] while its first
    /// packets are noted, so that where none are, no packet is asked.
    due: Due,
    /// For whom its bytes are counted.
    account: AccountRef,
    /// What its opening shows of the mirror.
    seen: Seen,
    /// By which its first packet came in.
    interface: InterfaceId,
    class: Classification,
    /// What its records have told so far.
    told: Told,
}

impl Attachment for State {
    #[inline]
    fn is_settled(&self) -> bool {
        self.class.is_settled()
    }

    fn memory(&self) -> usize {
        self.class.memory()
    }
}

impl AsMut<Classification> for State {
    #[inline]
    fn as_mut(&mut self) -> &mut Classification {
        &mut self.class
    }
}

impl AsMut<AccountRef> for State {
    #[inline]
    fn as_mut(&mut self) -> &mut AccountRef {
        &mut self.account
    }
}

/// What others saw that a worker has to learn in between.
pub(super) trait Teacher {
    /// Whether there is something of the time up to `until`.
    fn is_due(&self, until: Timestamp) -> bool;

    /// Teaches it.
    fn teach(&mut self, until: Timestamp, worker: &mut Worker);
}

/// Of nothing: what there is to learn is in the share itself.
impl Teacher for () {
    fn is_due(&self, _: Timestamp) -> bool {
        false
    }

    fn teach(&mut self, _: Timestamp, _: &mut Worker) {}
}

/// Packets that are run together, and their places: made once for a block, as they are large.
#[derive(Debug, Default)]
struct Batch<'a> {
    packets: [Option<Packet<'a>>; BATCH],
    /// Without a place, a packet is of a batch before.
    places: [Option<Located>; BATCH],
    /// By which each came in.
    interfaces: [InterfaceId; BATCH],
    /// How many there are.
    count: usize,
}

/// One of the pipeline's workers.
#[derive(Debug)]
pub(super) struct Worker {
    decoder: Decoder,
    flows: FlowTable<State>,
    handler: FlowHandler,
    drops: Drops,
    /// Where packets without a place are counted, that came in by the same interface as the last one.
    table_full: (InterfaceId, CellId),
    flow_config: flow::Config,
    /// New flows are counted without a look at them.
    sheds: bool,
    marks: Option<Marks>,
}

/// What has come of frames since it was last asked.
#[derive(Debug)]
pub(super) struct Produced {
    /// Flows that ended, or have gone on for long.
    pub(super) records: Vec<FlowRecord>,
    /// Intervals that closed.
    pub(super) closed: Vec<(Timestamp, Cells)>,
    /// Frames of the flows asked for.
    pub(super) marked: Vec<u64>,
}

/// What a worker has counted at its end.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) drops: Drops,
    pub(super) health: Health,
    /// Flows that showed one direction, where other threads may have the other.
    pub(super) halves: Halves,
    pub(super) flows: u64,
    pub(super) stats: Option<Stats>,
}

/// What a worker has counted so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// Volume by name in intervals that are not closed.
    pub(super) open: Cells,
    /// Frames of no flow, since the start.
    pub(super) drops: Drops,
    /// Volume without its final name.
    pub(super) unsettled: Volume,
    /// Flows that began.
    pub(super) flows: u64,
    /// Flows in the table.
    pub(super) flows_held: u64,
    /// What tells of the mirror, since the start.
    pub(super) health: Health,
    /// Distributions since the start.
    pub(super) stats: Option<Stats>,
}

/// How long the first packets of a flow are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// They may name it.
    UntilNamed,
    /// They are in its record.
    ForRecord,
}

impl Keeps {
    fn by(config: &Config) -> Option<Self> {
        match config.first_packets && config.records {
            true => Some(Self::ForRecord),
            false => config.behaviour.is_some().then_some(Self::UntilNamed),
        }
    }
}

/// What happens to flows: naming, counting, reporting.
#[derive(Debug)]
struct FlowHandler {
    classifier: Classifier,
    usage: Usage,
    interfaces: Arc<Interfaces>,
    stats: Option<Stats>,
    records: Option<Vec<FlowRecord>>,
    /// After how long a flow that goes on has one.
    active_timeout: Option<Duration>,
    /// The first packets of flows are noted, and kept for their records.
    first_packets: Option<Keeps>,
    closed: Vec<(Timestamp, Cells)>,
    flows: u64,
    /// Volume of flows that have not settled.
    unsettled: Volume,
    /// What ended flows tell of the mirror.
    health: Health,
    /// Flows that showed one direction, where another thread may have the other.
    halves: Option<Halves>,
    /// Where somebody watches.
    watch: Option<Watch>,
}

impl Worker {
    pub(super) fn new(config: &Config, classifier: Classifier) -> Self {
        let mut usage = Usage::new(config.usage.clone());
        let interface = InterfaceId::default();
        let table_full = (interface, usage.cell_at(TABLE_FULL, interface));
        Self {
            decoder: Decoder::new(config.decode.clone()),
            flows: FlowTable::new(config.flow.clone()),
            handler: FlowHandler {
                classifier,
                usage,
                interfaces: Arc::clone(&config.interfaces),
                stats: config.stats.then(Stats::default),
                records: config.records.then(Vec::new),
                active_timeout: config.active_timeout.filter(|_| config.records),
                first_packets: Keeps::by(config),
                closed: Vec::new(),
                flows: 0,
                unsettled: Volume::default(),
                health: Health::default(),
                halves: None,
                watch: None,
            },
            drops: Drops::default(),
            table_full,
            flow_config: config.flow.clone(),
            sheds: false,
            marks: config.mark.clone().map(Marks::of),
        }
    }

    /// Runs all frames of a block.
    pub(super) fn run_block(&mut self, block: &Block) {
        let mut next = 0;
        let mut batch = Batch::default();
        while next < block.frames.len() {
            next += self.run_frames(block, next, &mut batch);
        }
    }

    /// Runs this worker's share of a block, and learns in between what `teacher` has to teach.
    pub(super) fn run_share(
        &mut self,
        block: &Block,
        entries: Vec<Entry>,
        teacher: &mut impl Teacher,
    ) {
        let mut batch = Batch::default();
        for entry in entries {
            let at = match &entry {
                Entry::Frame(index, _) => block.frames.get(*index as usize).map(|frame| frame.at),
                Entry::Datagram(datagram) => Some(datagram.at),
                Entry::Lesson(..) | Entry::DatagramLesson(_) => None,
            };
            if let Some(at) = at
                && teacher.is_due(at)
            {
                self.run_batch(&mut batch);
                teacher.teach(at, self);
            }
            if batch.count == BATCH || !matches!(entry, Entry::Frame(..)) {
                self.run_batch(&mut batch);
            }
            match entry {
                Entry::Frame(index, placed) => self.put(block, index, &placed, &mut batch),
                Entry::Lesson(index, placed) => {
                    if let Some(frame) = block.frame(index as usize) {
                        self.handler.classifier.learn(&placed.packet(&frame));
                    }
                }
                Entry::Datagram(datagram) => self.on_datagram(datagram),
                Entry::DatagramLesson(datagram) => self.learn_datagram(&datagram),
            }
        }
        self.run_batch(&mut batch);
    }

    /// Learns from a frame that another worker counts.
    pub(super) fn learn(&mut self, frame: Frame<'_>) {
        if let Decoded::Packet(packet) = self.decoder.decode(frame) {
            self.handler.classifier.learn(&packet);
        }
    }

    /// Learns from a datagram that another worker counts.
    pub(super) fn learn_datagram(&mut self, datagram: &Datagram) {
        if let Decoded::Packet(packet) = self.decoder.decode_datagram(datagram) {
            self.handler.classifier.learn(&packet);
        }
    }

    /// Ends what is idle at the end of a block.
    pub(super) fn end_block(&mut self, watermark: Timestamp, began: Option<Stopwatch>) {
        let drops = &mut self.drops;
        self.decoder
            .expire(watermark, &mut |reason, frames, bytes| {
                drops.count(reason, u64::from(frames), bytes);
            });
        while self.flows.expire(watermark) {
            self.end_flows();
        }
        self.end_flows();
        let handler = &mut self.handler;
        handler
            .closed
            .append(&mut handler.usage.take_until(watermark, &self.flows));
        if let (Some(stats), Some(began)) = (&mut handler.stats, began) {
            stats.block(began.elapsed());
        }
    }

    /// A running stopwatch, if time is measured.
    pub(super) fn stopwatch(&self) -> Option<Stopwatch> {
        self.handler.stats.is_some().then(Stopwatch::start)
    }

    /// What happened since it was last asked.
    pub(super) fn take(&mut self) -> Produced {
        let records = self.handler.records.as_mut();
        Produced {
            records: records.map(std::mem::take).unwrap_or_default(),
            closed: std::mem::take(&mut self.handler.closed),
            marked: self.marks.as_mut().map(Marks::take).unwrap_or_default(),
        }
    }

    /// Whether flows that begin from now on are counted without a look at them.
    pub(super) const fn shed(&mut self, sheds: bool) {
        self.sheds = sheds;
    }

    /// Follows flows from when they settle, for [`Worker::take_news`].
    pub(super) fn follow(&mut self) {
        self.handler.watch = Some(Watch::default());
    }

    /// Keeps note of flows that show one direction, for [`Worker::take_halves`].
    pub(super) fn tell_halves(&mut self) {
        self.handler.halves = Some(Halves::default());
    }

    /// Flows that have ended and showed one direction, if they are kept note of.
    pub(super) fn take_halves(&mut self) -> Halves {
        let halves = self.handler.halves.as_mut();
        halves.map(std::mem::take).unwrap_or_default()
    }

    /// What has become of the flows followed, if any are.
    pub(super) fn take_news(&mut self) -> Vec<FlowRecord> {
        let watch = self.handler.watch.as_mut();
        watch
            .map(|watch| watch.take(&self.flows))
            .unwrap_or_default()
    }

    /// The rules in use.
    pub(super) fn set(&self) -> &Arc<SignatureSet> {
        self.handler.classifier.set()
    }

    /// Names flows by `set` from now on.
    pub(super) fn replace_set(&mut self, set: Arc<SignatureSet>) {
        self.handler.classifier.replace_set(set);
    }

    /// What is counted so far and not in a closed interval, by subject, where subjects are kept apart and
    /// somebody watches or `wanted` it.
    pub(super) fn accounts(&mut self, wanted: bool) -> Option<Cells> {
        let handler = &mut self.handler;
        if handler.watch.is_none() && !wanted {
            return None;
        }
        handler.usage.open_accounts(&self.flows)
    }

    /// What is counted so far and not in a closed interval.
    pub(super) fn tally(&self) -> Tally {
        let mut unsettled = self.handler.unsettled;
        let (packets, bytes) = self.decoder.waiting();
        unsettled.count(packets, bytes);
        Tally {
            open: self.handler.usage.open(),
            drops: self.drops,
            unsettled,
            flows: self.handler.flows,
            flows_held: self.flows.len() as u64,
            health: self.handler.health,
            stats: self.handler.stats.clone(),
        }
    }

    /// Lets flows live, and be inspected, as long as `config` says; how much is held stays.
    pub(super) fn pace(&mut self, config: &flow::Config) {
        self.flows.pace(config);
        self.flow_config = self.flows.config().clone();
    }

    /// Ends all flows and intervals: what comes next may be of times before.
    pub(super) fn end_all(&mut self, reason: EndReason) {
        let drops = &mut self.drops;
        self.decoder.finish(&mut |reason, frames, bytes| {
            drops.count(reason, u64::from(frames), bytes);
        });
        self.flows.finish(reason);
        self.end_flows();
        let handler = &mut self.handler;
        handler.closed.append(&mut handler.usage.take_all());
    }

    /// Counts and records the flows that have ended.
    fn end_flows(&mut self) {
        while let Some((flow, reason)) = self.flows.next_ended() {
            self.handler.end(flow, reason);
        }
    }

    /// Ends all flows: what happened since it was last asked, and all there was.
    pub(super) fn finish(mut self) -> (Produced, Totals) {
        self.end_all(EndReason::EndOfInput);
        let produced = self.take();
        let totals = Totals {
            drops: self.drops,
            health: self.handler.health,
            halves: self.take_halves(),
            flows: self.handler.flows,
            stats: self.handler.stats,
        };
        (produced, totals)
    }

    /// Decodes and runs frames of a block from the one at `first` on. Returns how many, at least one.
    fn run_frames<'b>(&mut self, block: &'b Block, first: usize, batch: &mut Batch<'b>) -> usize {
        let last = block.frames.len().min(first + BATCH);
        let entries = block.frames.get(first..last).unwrap_or_default();
        // Another core wrote the block: fetching the headers of all frames at once takes hardly
        // longer than fetching those of one.
        let fetched = entries.iter().fold(0u8, |sum, frame| {
            let at = frame.offset as usize;
            let line = |ahead: usize| block.bytes.get(at + ahead).copied().unwrap_or_default();
            sum ^ line(12) ^ line(12 + 64)
        });
        std::hint::black_box(fetched);
        let mut other = None;
        let Batch {
            packets,
            places,
            interfaces,
            count,
        } = &mut *batch;
        let slots = packets.iter_mut().zip(places).zip(interfaces);
        for (((packet, place), interface), (index, entry)) in slots.zip((first..).zip(entries)) {
            *count += 1;
            *place = None;
            // A frame outside its buffer cannot be (the reader checks): pass it all the same.
            let Some(frame) = block.frame(index) else {
                continue;
            };
            match self.decoder.decode_into(frame, packet) {
                None => {
                    *place = packet.as_ref().map(|packet| self.flows.locate(packet));
                    *interface = entry.interface;
                }
                Some(Aside::Fragment) => {}
                Some(Aside::Dropped(reason)) => drop_frame(&mut self.drops, reason, frame),
                Some(Aside::Datagram(datagram)) => {
                    // It comes after the packets before it: end the batch here.
                    other = Some(datagram);
                    break;
                }
            }
        }
        let done = *count;
        self.run_batch(batch);
        if let Some(datagram) = other {
            self.on_datagram(datagram);
        }
        done
    }

    /// Adds to `batch`, in which there is room, a frame that was decoded to `placed`.
    #[inline]
    fn put<'b>(&self, block: &'b Block, index: u32, placed: &Placed, batch: &mut Batch<'b>) {
        let index = index as usize;
        let at = batch.count;
        if let Some(frame) = block.frame(index)
            && let Some(packet) = batch.packets.get_mut(at)
            && let Some(place) = batch.places.get_mut(at)
            && let Some(interface) = batch.interfaces.get_mut(at)
            && let Some(entry) = block.frames.get(index)
        {
            let packet = packet.insert(placed.packet(&frame));
            *place = Some(self.flows.locate(packet));
            *interface = entry.interface;
            batch.count += 1;
        }
    }

    /// Loads the table lines of the packets in `batch`, then walks and empties it.
    #[inline(always)]
    fn run_batch(&mut self, batch: &mut Batch<'_>) {
        let count = std::mem::take(&mut batch.count);
        let places = batch.places.get_mut(..count).unwrap_or_default();
        self.flows.look_ahead(places);
        let packets = batch.packets.iter().zip(&*places).zip(&batch.interfaces);
        for ((packet, place), interface) in packets {
            if let (Some(packet), Some(place)) = (packet, place) {
                self.on_packet(packet, place, *interface);
            }
        }
    }

    #[inline]
    fn on_packet(&mut self, packet: &Packet<'_>, located: &Located, interface: InterfaceId) {
        if Classifier::teaches(packet) {
            let Answers { read, unasked } = self.handler.classifier.learn(packet);
            // Other workers read them too; here they are counted.
            self.handler.health.count(Fault::DnsUnasked, read, unasked);
        }
        let touch = match self.flows.touch(packet, located) {
            Ok(touch) => touch,
            Err(reason) => return self.unplaced(packet, interface, reason),
        };
        let Some(flow) = self.flows.flow(touch) else {
            return;
        };
        let handler = &mut self.handler;
        if let Some(marks) = &mut self.marks {
            marks.packet(flow.first_number, packet.number);
        }
        let Some(cell) = flow.class.cell else {
            return self.inspect(packet, touch, located.end, interface);
        };
        if !flow.class.seen.knows(touch.side) {
            flow.class.seen.packet(packet, touch.side, interface);
        }
        handler.usage.count(cell, touch.side, packet);
        handler
            .usage
            .follow(flow, touch.slot(), (packet, touch.side));
        if flow.class.due.may_be(packet.at) {
            handler.attend(flow, packet, located.end);
        }
    }

    /// Counts a packet of no flow.
    #[cold]
    fn unplaced(&mut self, packet: &Packet<'_>, interface: InterfaceId, reason: Unplaced) {
        self.end_flows();
        let handler = &mut self.handler;
        match reason {
            Unplaced::Full => {
                let (of, cell) = &mut self.table_full;
                if *of != interface {
                    (*of, *cell) = (interface, handler.usage.cell_at(TABLE_FULL, interface));
                }
                handler.usage.count(*cell, Side::Client, packet);
            }
            Unplaced::Held => handler
                .unsettled
                .count(u64::from(packet.frames), u64::from(packet.wire_len)),
        }
    }

    /// Reads a packet of a flow that has not settled.
    #[inline(never)]
    fn inspect(&mut self, packet: &Packet<'_>, touch: Touch, end: End, interface: InterfaceId) {
        if touch.is_new {
            self.end_flows();
        }
        let (handler, mut side) = (&mut self.handler, touch.side);
        let Some(flow) = self.flows.flow(touch) else {
            return;
        };
        let (frames, bytes) = (u64::from(packet.frames), u64::from(packet.wire_len));
        handler.unsettled.count(frames, bytes);
        if touch.is_new {
            handler.flows += 1;
            flow.class.due = handler.due(flow.first);
            flow.class.interface = interface;
            if handler.classifier.begin(flow) {
                side = !side;
            }
            if self.sheds {
                flow.class.class.give_up(UnknownReason::Overload);
                return handler.settle(flow, packet.at);
            }
            if handler.first_packets.is_some() {
                flow.class.due = Due::NOW;
            }
        }
        if flow.class.due == Due::NOW {
            handler.note(flow, packet, end);
        }
        flow.class.seen.packet(packet, side, interface);
        let settles = handler
            .classifier
            .on_packet(flow, packet, side, &self.flow_config);
        if !flow.class.class.is_named() {
            flow.class.seen.nameless(packet);
        }
        if settles {
            handler.settle(flow, packet.at);
        }
        if flow.class.due.may_be(packet.at) {
            handler.tell(flow, packet.at);
        }
        // What takes memory came with a payload or was found when the flow began.
        if packet.payload.is_empty() && !touch.is_new && !settles {
            return;
        }
        self.flows.book(touch);
        while let Some(flow) = self.flows.next_to_cut() {
            handler.cut(flow);
        }
    }

    fn on_datagram(&mut self, mut datagram: Box<Datagram>) {
        loop {
            let next = match self.decoder.decode_datagram(&datagram) {
                Decoded::Packet(packet) => {
                    let located = self.flows.locate(&packet);
                    if let Some(marks) = &mut self.marks {
                        marks.parts(&datagram.numbers);
                    }
                    self.on_packet(&packet, &located, datagram.interface);
                    if let Some(marks) = &mut self.marks {
                        marks.parts(&[]);
                    }
                    return;
                }
                Decoded::Fragment => return,
                Decoded::Datagram(inner) => inner,
                Decoded::Dropped(reason) => {
                    let (frames, bytes) = (datagram.frames, u64::from(datagram.wire_len));
                    return self.drops.count(reason, u64::from(frames), bytes);
                }
            };
            datagram = next;
        }
    }
}

impl FlowHandler {
    /// Credits a flow that has just settled with all that waited for its name.
    fn settle(&mut self, flow: &mut Flow<State>, at: Timestamp) {
        let Verdict::Settled { named, .. } = flow.class.class.verdict else {
            return;
        };
        let cell = self
            .usage
            .cell_at(CellKey::from(&named), flow.class.interface);
        flow.class.cell = Some(cell);
        self.usage.credit(cell, &flow.counters, at);
        flow.class.account = self.usage.settle(cell, flow);
        let (client, server) = (flow.counters.client, flow.counters.server);
        self.unsettled
            .take_away(client.packets + server.packets, client.bytes + server.bytes);
        if let Some(stats) = &mut self.stats {
            stats.settled(client.packets + server.packets, client.bytes + server.bytes);
        }
        if self.first_packets == Some(Keeps::UntilNamed) {
            flow.class.class.first_packets = None;
        }
        let facts = match (&self.records, &self.watch) {
            (None, _) => flow.class.class.facts.take(),
            (Some(_), Some(_)) => flow.class.class.facts.clone(),
            (Some(_), None) => None,
        };
        match &mut self.watch {
            Some(watch) => {
                let class = flow.class.class.so_far(facts);
                watch.settled(flow, class);
            }
            None => self.classifier.reuse(facts),
        }
    }

    /// Takes from a flow the memory that others need: it settles by what it has shown, or lets go
    /// of what it kept for its record.
    fn cut(&mut self, flow: &mut Flow<State>) {
        let waits = !flow.class.class.is_settled();
        if waits {
            self.conclude(flow, flow.last);
        } else {
            flow.class.class.forget();
        }
        if let Some(stats) = &mut self.stats {
            stats.cut(waits);
        }
    }

    /// Settles a flow by what it has shown: its opening has ended.
    fn conclude(&mut self, flow: &mut Flow<State>, at: Timestamp) {
        self.classifier.finish(flow, at);
        self.settle(flow, at);
    }

    fn end(&mut self, flow: &mut Flow<State>, reason: EndReason) {
        self.usage.bring(flow.class.account, flow);
        if let Some(held) = flow.take_held()
            && let Some(cell) = flow.class.cell
        {
            let place = (cell, flow.class.account);
            self.usage.add(place, flow, &held);
            let (client, server) = (held.client, held.server);
            self.unsettled
                .take_away(client.packets + server.packets, client.bytes + server.bytes);
        }
        if !flow.class.class.is_settled() {
            let at = flow.last;
            self.conclude(flow, at);
        }
        if let Verdict::Settled { named, .. } = &flow.class.class.verdict {
            self.classifier.end(flow, named, reason);
        }
        let (protocol, seen) = (flow.protocol(), &flow.class.seen);
        self.health.flow_ended(protocol, &flow.counters, seen);
        if let Some(halves) = &mut self.halves
            && seen.has_payload()
        {
            halves.add(flow);
        }
        if let Some(watch) = &mut self.watch {
            watch.ended(flow, reason);
        }
        if self.records.is_some() {
            let class = std::mem::take(&mut flow.class.class);
            self.record(flow, class, reason);
        }
        self.usage.release(std::mem::take(&mut flow.class.account));
    }

    /// From when on a record may be due of a flow of which nothing was told since this time.
    fn due(&self, since: Timestamp) -> Due {
        let timeout = self.active_timeout;
        timeout.map_or_else(Due::default, |timeout| Due::at(since.after(timeout)))
    }

    /// Notes a packet among the first of its flow, and writes a record if one is due.
    #[cold]
    #[inline(never)]
    fn attend(&mut self, flow: &mut Flow<State>, packet: &Packet<'_>, end: End) {
        if flow.class.due == Due::NOW {
            self.note(flow, packet, end);
        }
        self.tell(flow, packet.at);
    }

    /// Notes a packet among the first of its flow, until there are enough.
    fn note(&self, flow: &mut Flow<State>, packet: &Packet<'_>, end: End) {
        if packet.payload_len == 0 {
            return;
        }
        let after = packet.at.since(flow.first);
        let class = &mut flow.class.class;
        // What takes memory is booked while the flow is inspected: it begins then or never.
        if class.first_packets.is_none() && !class.is_settled() {
            class.first_packets = Some(Box::default());
        }
        if let Some(sequence) = &mut class.first_packets {
            sequence.push(end, packet.payload_len, after);
        }
        if class.first_packets.as_deref().is_none_or(Sequence::is_full) {
            flow.class.due = self.due(flow.class.told.until(flow));
        }
    }

    /// Writes a record of a flow that goes on, if one is due.
    #[cold]
    #[inline(never)]
    fn tell(&mut self, flow: &mut Flow<State>, now: Timestamp) {
        let until = flow.class.told.until(flow);
        let timeout = self.active_timeout;
        if timeout.is_none_or(|timeout| now < until.after(timeout)) {
            return;
        }
        let class = &flow.class.class;
        let class = Classification {
            first_packets: class.first_packets.clone(),
            ..class.so_far(class.facts.clone())
        };
        let number = self.record(flow, class, EndReason::ActiveTimeout);
        flow.class.told = Told::all(flow, number);
        if flow.class.due != Due::NOW {
            flow.class.due = self.due(flow.last);
        }
    }

    /// Writes a record of a flow. Gives the number of the part that it is of.
    fn record(&mut self, flow: &Flow<State>, class: Classification, reason: EndReason) -> u32 {
        let part = flow.class.told.part(flow);
        let subject = self.usage.subject(flow.class.account, flow);
        let first = flow.class.interface;
        let other = flow.class.seen.other_than(first);
        let name = |interface| self.interfaces.own_name(interface);
        if let Some(records) = &mut self.records {
            records.push(FlowRecord {
                part,
                subject,
                interface: name(first),
                reverse_interface: other.and_then(name),
                ..FlowRecord::new(flow, class, reason)
            });
        }
        part.number
    }
}
