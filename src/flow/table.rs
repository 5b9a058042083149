//! The flow table: finds or makes the flow of a packet, counts it, ends what is idle.

use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::expiry::{Reminder, Wheel};
use super::key::{End, FlowKey, Scope};
use super::opening::{Opening, PerSide, Side, Stream, Transport};
use super::reassembly::{Arrival, Reassembly};
use crate::decode::{IpProtocol, Packet, TcpSegment, Tunnel, Vlans};
use crate::time::Timestamp;

/// What a flow table may use and how long flows live, all in frame time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many flows are held at most.
    pub max_flows: usize,
    /// How many bytes of each direction dissectors see.
    pub opening_bytes: usize,
    /// How many packets with a payload dissectors see.
    pub opening_packets: u16,
    /// Idle time that ends a TCP flow.
    pub tcp_idle: Duration,
    /// Idle time that ends a TCP flow after FIN of both sides or RST.
    pub tcp_closed: Duration,
    /// Idle time that ends any other flow.
    pub udp_idle: Duration,
    /// What keeps flows with the same endpoints apart.
    pub scope: Scope,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_flows: 1 << 20,
            opening_bytes: 16 << 10,
            opening_packets: 32,
            tcp_idle: Duration::from_secs(300),
            tcp_closed: Duration::from_secs(10),
            udp_idle: Duration::from_secs(60),
            scope: Scope::None,
        }
    }
}

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Captured frames.
    pub packets: u64,
    /// Whole frames as on the wire.
    pub bytes: u64,
    /// Innermost IP packets: what is rated.
    pub ip_bytes: u64,
}

impl Counters {
    /// Adds one packet.
    #[inline]
    pub const fn count(&mut self, packet: &Packet<'_>) {
        self.packets += packet.frames as u64;
        self.bytes += packet.wire_len as u64;
        self.ip_bytes += packet.ip_len as u64;
    }

    /// Adds what another counted.
    pub const fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.ip_bytes += other.ip_bytes;
    }
}

/// Why a flow is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Both sides sent FIN.
    Fin,
    /// One side sent RST.
    Reset,
    /// Nothing came for the idle time.
    Idle,
    /// The same endpoints began a new connection.
    Reused,
    /// The table was full and this was the oldest settled flow.
    Evicted,
    /// The capture ended.
    EndOfInput,
    /// It is not: this is how far it came.
    Ongoing,
}

impl EndReason {
    /// The slug records carry.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "rst",
            Self::Idle => "idle",
            Self::Reused => "reused",
            Self::Evicted => "evicted",
            Self::EndOfInput => "end-of-input",
            Self::Ongoing => "ongoing",
        }
    }
}

/// One conversation. `T` is what classification keeps of it.
#[derive(Debug)]
pub struct Flow<T> {
    key: FlowKey,
    client: End,
    tcp: TcpFlags,
    vlans: Vlans,
    tunnel: Option<Tunnel>,
    icmp: (u8, u8),
    generation: u32,
    payload_packets: u16,
    /// Number of the first frame: unique in the stream, so it identifies the flow.
    pub first_number: u64,
    /// Time of the first frame.
    pub first: Timestamp,
    /// Latest time of a frame.
    pub last: Timestamp,
    /// What each side sent.
    pub counters: PerSide<Counters>,
    /// Where the byte streams of the low and the high end begin, if their SYN was seen.
    starts: [u32; 2],
    opening: Option<Box<OpeningBuffer>>,
    /// What classification keeps.
    pub class: T,
}

/// Control bits seen, of either side, and whose SYN was.
#[derive(Clone, Copy, Debug, Default)]
struct TcpFlags {
    fin_low: bool,
    fin_high: bool,
    rst: bool,
    /// `Flow::starts` holds the low end's start.
    start_low: bool,
    /// `Flow::starts` holds the high end's start.
    start_high: bool,
}

impl TcpFlags {
    const fn closed(self) -> bool {
        self.rst || (self.fin_low && self.fin_high)
    }
}

#[derive(Debug, Default)]
struct OpeningBuffer {
    low: Reassembly,
    high: Reassembly,
}

impl OpeningBuffer {
    /// Tells streams where they begin, unless they have begun.
    fn start_at(&mut self, [low, high]: [Option<u32>; 2]) {
        if let Some(low) = low {
            self.low.start_at(low);
        }
        if let Some(high) = high {
            self.high.start_at(high);
        }
    }

    const fn of(&mut self, end: End) -> &mut Reassembly {
        match end {
            End::Low => &mut self.low,
            End::High => &mut self.high,
        }
    }
}

impl<T> Flow<T> {
    /// The address of `side`.
    pub const fn ip(&self, side: Side) -> IpAddr {
        self.key.ip(self.end_of(side))
    }

    /// The port of `side`; zero where there are none.
    pub const fn port(&self, side: Side) -> u16 {
        self.key.port(self.end_of(side))
    }

    /// The transport protocol.
    pub const fn protocol(&self) -> IpProtocol {
        self.key.protocol()
    }

    /// The transport protocol as openings and rules name it.
    pub const fn transport(&self) -> Transport {
        match self.key.protocol() {
            IpProtocol::TCP => Transport::Tcp,
            IpProtocol::UDP | IpProtocol::UDPLITE => Transport::Udp,
            IpProtocol(other) => Transport::Other(other),
        }
    }

    /// VLAN identifiers of the first frame.
    pub const fn vlans(&self) -> Vlans {
        self.vlans
    }

    /// The outermost tunnel of the first frame.
    pub const fn tunnel(&self) -> Option<Tunnel> {
        self.tunnel
    }

    /// ICMP type and code of the first packet.
    pub const fn icmp(&self) -> (u8, u8) {
        self.icmp
    }

    /// `closed`, `established` or `new`, as EVE names the states.
    pub const fn state(&self) -> &'static str {
        if self.tcp.closed() {
            "closed"
        } else if self.counters.client.packets > 0 && self.counters.server.packets > 0 {
            "established"
        } else {
            "new"
        }
    }

    /// How many packets with a payload were seen while the opening was read.
    pub const fn payload_packets(&self) -> u16 {
        self.payload_packets
    }

    /// The payload shows that the other side is the client.
    pub const fn swap_sides(&mut self) {
        self.client = not(self.client);
        std::mem::swap(&mut self.counters.client, &mut self.counters.server);
    }

    /// Frees the opening: nothing more is to be learnt from it.
    pub fn close_opening(&mut self) {
        self.opening = None;
    }

    /// Marks the opening as ended and shows what is stored of it, for a last look. `None`: no packet had a
    /// payload. Nothing may be stored all the same, if the beginning is missing.
    pub fn last_look(&mut self) -> Option<Opening<'_>> {
        let buffer = self.opening.as_mut()?;
        buffer.low.end();
        buffer.high.end();
        let buffer = self.opening.as_ref()?;
        Some(self.view(buffer.low.stream(), buffer.high.stream(), Side::Server))
    }

    /// Takes `packet`'s payload into the opening and shows the opening to `read` if it grew.
    ///
    /// `read` returns whether it wants to see more. Returns `None` if nothing new could be read,
    /// else what `read` said.
    pub fn read_opening(
        &mut self,
        packet: &Packet<'_>,
        side: Side,
        config: &Config,
        read: impl FnOnce(&Opening<'_>) -> bool,
    ) -> Option<bool> {
        let end = self.end_of(side);
        let sequence = packet.tcp.map(|tcp| self.expect(tcp, end));
        if packet.payload.is_empty() {
            return None;
        }
        // Only now: a flow without a payload costs no buffer.
        let mut buffer = self.opening.take().unwrap_or_default();
        let [low, high] = self.starts;
        buffer.start_at([
            self.tcp.start_low.then_some(low),
            self.tcp.start_high.then_some(high),
        ]);
        // Also those that cannot be read: a flow that shows nothing new must come to an end.
        self.payload_packets = self.payload_packets.saturating_add(1);
        let mine = buffer.of(end);
        let arrival = match sequence {
            None => mine.datagram(packet.payload, config.opening_bytes),
            Some(sequence) => mine.segment(sequence, packet.payload, config.opening_bytes),
        };
        let said = match arrival {
            Arrival::Nothing => None,
            Arrival::Grew => {
                let (low, high) = (buffer.low.stream(), buffer.high.stream());
                Some(read(&self.view(low, high, side)))
            }
            Arrival::First(fresh) => {
                let ends = [u32::try_from(fresh.len()).unwrap_or(u32::MAX)];
                let alone = buffer.of(end).borrowed(fresh, &ends);
                let (low, high) = match end {
                    End::Low => (alone, buffer.high.stream()),
                    End::High => (buffer.low.stream(), alone),
                };
                let more = read(&self.view(low, high, side));
                if more {
                    buffer.of(end).keep(fresh);
                }
                Some(more)
            }
        };
        self.opening = Some(buffer);
        said
    }

    /// Notes where the streams begin, as SYN segments tell. Returns the sequence number of the
    /// segment's first payload byte.
    fn expect(&mut self, tcp: TcpSegment, end: End) -> u32 {
        if !tcp.has(TcpSegment::SYN) {
            return tcp.sequence;
        }
        let first = tcp.sequence.wrapping_add(1);
        let other = tcp.has(TcpSegment::ACK).then_some(tcp.acknowledgement);
        let (low, high) = match end {
            End::Low => (Some(first), other),
            End::High => (other, Some(first)),
        };
        if let (Some(low), false) = (low, self.tcp.start_low) {
            self.starts[0] = low;
            self.tcp.start_low = true;
        }
        if let (Some(high), false) = (high, self.tcp.start_high) {
            self.starts[1] = high;
            self.tcp.start_high = true;
        }
        first
    }

    fn view<'a>(&self, low: Stream<'a>, high: Stream<'a>, latest: Side) -> Opening<'a> {
        let (client, server) = match self.client {
            End::Low => (low, high),
            End::High => (high, low),
        };
        Opening {
            transport: self.transport(),
            client_ip: self.ip(Side::Client),
            server_ip: self.ip(Side::Server),
            client_port: self.port(Side::Client),
            server_port: self.port(Side::Server),
            client,
            server,
            latest,
        }
    }

    const fn end_of(&self, side: Side) -> End {
        match side {
            Side::Client => self.client,
            Side::Server => not(self.client),
        }
    }

    fn side_of(&self, end: End) -> Side {
        if end == self.client {
            Side::Client
        } else {
            Side::Server
        }
    }

    fn idle(&self, config: &Config) -> Duration {
        match self.key.protocol() {
            IpProtocol::TCP if self.tcp.closed() => config.tcp_closed,
            IpProtocol::TCP => config.tcp_idle,
            _ => config.udp_idle,
        }
    }

    const fn end_reason(&self, otherwise: EndReason) -> EndReason {
        if self.tcp.rst {
            EndReason::Reset
        } else if self.tcp.closed() {
            EndReason::Fin
        } else {
            otherwise
        }
    }

    fn count(&mut self, packet: &Packet<'_>, end: End) -> Side {
        let side = self.side_of(end);
        self.counters[side].count(packet);
        self.last = self.last.max(packet.at);
        if let Some(tcp) = packet.tcp {
            self.tcp.rst |= tcp.has(TcpSegment::RST);
            if tcp.has(TcpSegment::FIN) {
                match end {
                    End::Low => self.tcp.fin_low = true,
                    End::High => self.tcp.fin_high = true,
                }
            }
        }
        side
    }
}

const fn not(end: End) -> End {
    match end {
        End::Low => End::High,
        End::High => End::Low,
    }
}

/// Where a packet's flow is in the table, and who sent the packet.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    slot: u32,
    /// The sender.
    pub side: Side,
    /// The flow began with this packet.
    pub is_new: bool,
}

/// The flows of one worker.
#[derive(Debug)]
pub struct FlowTable<T> {
    config: Config,
    state: RandomState,
    index: HashTable<u32>,
    /// Slots in chunks, so that growth never copies a flow and memory follows the number of flows.
    chunks: Vec<Vec<Option<Flow<T>>>>,
    free: Vec<u32>,
    wheel: Wheel,
    due: Vec<Reminder>,
    generation: u32,
    /// The slot to look at next for a flow that may leave a full table.
    hand: usize,
}

const CHUNK: usize = 1024;

/// How many flows are looked at for one that may leave a full table.
const EVICTION_TRIES: usize = 64;

/// Reminders there may be for each flow, those of flows that are gone included, and some more, so
/// that forgetting them costs a new flow little.
const REMINDERS: (usize, usize) = (4, 1024);

/// Reminders due at once that room is kept for.
const DUE_ROOM: usize = 4096;

impl<T: Default> FlowTable<T> {
    /// An empty table.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            state: RandomState::default(),
            index: HashTable::new(),
            chunks: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            due: Vec::new(),
            generation: 0,
            hand: 0,
        }
    }

    /// How many flows are held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no flow is held.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// What the table was made with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The key, its hash and the sending end of `packet`, to be computed for a batch ahead.
    #[inline]
    pub fn locate(&self, packet: &Packet<'_>) -> (FlowKey, End, u64) {
        let (key, end) = FlowKey::of(packet, self.config.scope);
        (key, end, key.hash_with(&self.state))
    }

    /// Loads the table lines of a key about to be used, so that many loads overlap.
    #[inline]
    pub fn warm(&self, hash: u64) -> bool {
        self.index
            .find(hash, |&slot| flow_at(&self.chunks, slot).is_some())
            .is_some()
    }

    /// Finds or makes the flow of `packet` and counts the packet in it. `None` when the table is
    /// full and no flow may leave it: the caller counts the packet by that reason.
    ///
    /// Flows that end on the way are handed to `ended`.
    pub fn touch(
        &mut self,
        packet: &Packet<'_>,
        (key, end, hash): (FlowKey, End, u64),
        settled: impl Fn(&T) -> bool,
        mut ended: impl FnMut(Flow<T>, EndReason),
    ) -> Option<Touch> {
        let chunks = &self.chunks;
        let found = self
            .index
            .find(hash, |&slot| {
                flow_at(chunks, slot).is_some_and(|flow| flow.key == key)
            })
            .copied();
        if let Some(slot) = found
            && let Some(flow) = flow_at_mut(&mut self.chunks, slot)
        {
            let over = if packet.at.since(flow.last) > flow.idle(&self.config) {
                Some(flow.end_reason(EndReason::Idle))
            } else if flow.tcp.closed() && is_syn(packet) {
                Some(flow.end_reason(EndReason::Reused))
            } else {
                None
            };
            let Some(reason) = over else {
                let was_open = !flow.tcp.closed();
                let side = flow.count(packet, end);
                if was_open && flow.tcp.closed() {
                    // It is idle sooner than the reminder it has.
                    let until = flow.last.after(flow.idle(&self.config));
                    let generation = flow.generation;
                    self.wheel
                        .remind(Reminder { slot, generation }, packet.at, until);
                }
                return Some(Touch {
                    slot,
                    side,
                    is_new: false,
                });
            };
            if let Some(flow) = self.remove(slot) {
                ended(flow, reason);
            }
        }
        if self.index.len() >= self.config.max_flows {
            let flow = self.evict(&settled)?;
            let reason = flow.end_reason(EndReason::Evicted);
            ended(flow, reason);
        }
        Some(self.insert(packet, key, end, hash))
    }

    /// The flow of a packet just touched.
    #[inline]
    pub fn flow(&mut self, touch: Touch) -> Option<&mut Flow<T>> {
        flow_at_mut(&mut self.chunks, touch.slot)
    }

    /// Ends the flows that are idle at `now`.
    pub fn expire(&mut self, now: Timestamp, mut ended: impl FnMut(Flow<T>, EndReason)) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.take_due(now, &mut due);
        for reminder in due.drain(..) {
            let Some(flow) = flow_at(&self.chunks, reminder.slot) else {
                continue;
            };
            if flow.generation != reminder.generation {
                continue;
            }
            let until = flow.last.after(flow.idle(&self.config));
            if until < now {
                let reason = flow.end_reason(EndReason::Idle);
                if let Some(flow) = self.remove(reminder.slot) {
                    ended(flow, reason);
                }
            } else {
                self.wheel.remind(reminder, now, until);
            }
        }
        due.shrink_to(DUE_ROOM);
        self.due = due;
    }

    /// Ends all flows, in the order they began.
    pub fn finish(&mut self, mut ended: impl FnMut(Flow<T>, EndReason)) {
        self.index = HashTable::new();
        self.free = Vec::new();
        self.wheel = Wheel::new();
        self.hand = 0;
        let mut order: Vec<(u64, u32)> = Vec::new();
        for (slot, flow) in (0..).zip(self.chunks.iter().flatten()) {
            order.extend(flow.as_ref().map(|flow| (flow.first_number, slot)));
        }
        order.sort_unstable();
        for (_, slot) in order {
            let Some(flow) = place_mut(&mut self.chunks, slot).and_then(Option::take) else {
                continue;
            };
            let reason = flow.end_reason(EndReason::EndOfInput);
            ended(flow, reason);
        }
        self.chunks = Vec::new();
    }

    fn insert(&mut self, packet: &Packet<'_>, key: FlowKey, end: End, hash: u64) -> Touch {
        self.generation = self.generation.wrapping_add(1);
        let client = if client_sent(packet) { end } else { !end };
        let mut flow = Flow {
            key,
            client,
            tcp: TcpFlags::default(),
            vlans: packet.vlans,
            tunnel: packet.tunnel,
            icmp: packet.icmp,
            generation: self.generation,
            payload_packets: 0,
            first_number: packet.number,
            first: packet.at,
            last: packet.at,
            counters: PerSide::default(),
            starts: [0; 2],
            opening: None,
            class: T::default(),
        };
        let side = flow.count(packet, end);
        let until = flow.last.after(flow.idle(&self.config));
        let slot = self.store(flow);
        let (chunks, state) = (&self.chunks, &self.state);
        self.index.insert_unique(hash, slot, |&slot| {
            flow_at(chunks, slot).map_or(0, |flow| flow.key.hash_with(state))
        });
        let reminder = Reminder {
            slot,
            generation: self.generation,
        };
        self.wheel.remind(reminder, packet.at, until);
        let (each, more) = REMINDERS;
        if self.wheel.len() > each * self.index.len() + more {
            // Many flows came and went while little time passed.
            let chunks = &self.chunks;
            self.wheel.retain(|reminder| {
                flow_at(chunks, reminder.slot)
                    .is_some_and(|flow| flow.generation == reminder.generation)
            });
        }
        Touch {
            slot,
            side,
            is_new: true,
        }
    }

    fn store(&mut self, flow: Flow<T>) -> u32 {
        if let Some(slot) = self.free.pop() {
            if let Some(place) = place_mut(&mut self.chunks, slot) {
                *place = Some(flow);
            }
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.len() - 1;
        let mut slot = 0;
        if let Some(last) = self.chunks.last_mut() {
            slot = chunk * CHUNK + last.len();
            last.push(Some(flow));
        }
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    fn remove(&mut self, slot: u32) -> Option<Flow<T>> {
        let hash = flow_at(&self.chunks, slot)?.key.hash_with(&self.state);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        place_mut(&mut self.chunks, slot)?.take()
    }

    /// The settled flow that has been quiet longest, of the [`EVICTION_TRIES`] next slots: each
    /// time others, so that flows that may not leave never hide those that may.
    fn evict(&mut self, settled: &impl Fn(&T) -> bool) -> Option<Flow<T>> {
        let last = self.chunks.last()?.len();
        let slots = (self.chunks.len() - 1) * CHUNK + last;
        let mut chosen: Option<(Timestamp, u32)> = None;
        for _ in 0..slots.min(EVICTION_TRIES) {
            let slot = u32::try_from(self.hand).unwrap_or(u32::MAX);
            self.hand = (self.hand + 1) % slots;
            if let Some(flow) = flow_at(&self.chunks, slot)
                && settled(&flow.class)
                && chosen.is_none_or(|(quiet, _)| flow.last < quiet)
            {
                chosen = Some((flow.last, slot));
            }
        }
        self.remove(chosen?.1)
    }
}

/// Whether the sender of a flow's first packet is its client: it sent the SYN, or has no
/// well-known port while the other side has one.
const fn client_sent(packet: &Packet<'_>) -> bool {
    if let Some(tcp) = packet.tcp
        && tcp.has(TcpSegment::SYN)
    {
        return !tcp.has(TcpSegment::ACK);
    }
    // RFC 6335: system ports are assigned to services. Zero is "no port".
    !(packet.source_port != 0 && packet.source_port < 1024 && packet.destination_port >= 1024)
}

fn is_syn(packet: &Packet<'_>) -> bool {
    packet
        .tcp
        .is_some_and(|tcp| tcp.has(TcpSegment::SYN) && !tcp.has(TcpSegment::ACK))
}

#[inline]
fn flow_at<T>(chunks: &[Vec<Option<Flow<T>>>], slot: u32) -> Option<&Flow<T>> {
    let slot = slot as usize;
    chunks.get(slot / CHUNK)?.get(slot % CHUNK)?.as_ref()
}

#[inline]
fn flow_at_mut<T>(chunks: &mut [Vec<Option<Flow<T>>>], slot: u32) -> Option<&mut Flow<T>> {
    place_mut(chunks, slot)?.as_mut()
}

fn place_mut<T>(chunks: &mut [Vec<Option<Flow<T>>>], slot: u32) -> Option<&mut Option<Flow<T>>> {
    let slot = slot as usize;
    chunks.get_mut(slot / CHUNK)?.get_mut(slot % CHUNK)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
