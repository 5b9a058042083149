//! One conversation: who takes part, what it has counted, and its opening while that is read.

use std::net::IpAddr;
use std::time::Duration;

use super::expiry::Reminder;
use super::key::{End, FlowKey};
use super::opening::{Opening, PerSide, Side, Stream, Transport};
use super::reassembly::{ALLOCATION, Arrival, Reassembly};
use super::table::{Config, Counters, EndReason};
use crate::decode::{IpProtocol, Packet, TcpSegment, Tunnel, Vlans};
use crate::time::Timestamp;

/// One conversation. `T` is what classification keeps of it.
#[derive(Debug)]
pub struct Flow<T> {
    pub(super) key: FlowKey,
    client: End,
    pub(super) tcp: TcpFlags,
    vlans: Vlans,
    tunnel: Option<Tunnel>,
    icmp: (u8, u8),
    pub(super) generation: u32,
    /// What the opening counts for within the memory of all openings.
    pub(super) charged: u32,
    /// What is kept for its record counts for within the memory of all that is.
    pub(super) kept: u32,
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
pub(super) struct TcpFlags {
    fin_low: bool,
    fin_high: bool,
    rst: bool,
    /// `Flow::starts` holds the low end's start.
    start_low: bool,
    /// `Flow::starts` holds the high end's start.
    start_high: bool,
}

impl TcpFlags {
    pub(super) const fn closed(self) -> bool {
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
    /// A flow that begins with `packet`, which is not counted yet.
    pub(super) fn new(packet: &Packet<'_>, key: FlowKey, end: End, generation: u32) -> Self
    where
        T: Default,
    {
        Self {
            key,
            client: if client_sent(packet) { end } else { !end },
            tcp: TcpFlags::default(),
            vlans: packet.vlans,
            tunnel: packet.tunnel,
            icmp: packet.icmp,
            generation,
            charged: 0,
            kept: 0,
            payload_packets: 0,
            first_number: packet.number,
            first: packet.at,
            last: packet.at,
            counters: PerSide::default(),
            starts: [0; 2],
            opening: None,
            class: T::default(),
        }
    }

    /// What identifies it as long as it lasts.
    pub const fn key(&self) -> FlowKey {
        self.key
    }

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

    /// Both sides have said FIN, or one RST: nothing more will be said.
    pub const fn is_closed(&self) -> bool {
        self.tcp.closed()
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

    /// Bytes the opening takes, what the allocator needs to keep it included.
    pub(super) fn opening_memory(&self) -> usize {
        self.opening.as_ref().map_or(0, |buffer| {
            size_of::<OpeningBuffer>() + ALLOCATION + buffer.low.memory() + buffer.high.memory()
        })
    }

    /// Whether `entry` is of this flow and its opening takes memory.
    pub(super) fn opens(&self, entry: Reminder) -> bool {
        self.generation == entry.generation && self.charged > 0
    }

    /// Whether `entry` is of this flow and something is kept for its record.
    pub(super) fn keeps(&self, entry: Reminder) -> bool {
        self.generation == entry.generation && self.kept > 0
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

    pub(super) fn idle(&self, config: &Config) -> Duration {
        match self.key.protocol() {
            IpProtocol::TCP if self.tcp.closed() => config.tcp_closed,
            IpProtocol::TCP => config.tcp_idle,
            _ => config.udp_idle,
        }
    }

    pub(super) const fn end_reason(&self, otherwise: EndReason) -> EndReason {
        if self.tcp.rst {
            EndReason::Reset
        } else if self.tcp.closed() {
            EndReason::Fin
        } else {
            otherwise
        }
    }

    pub(super) fn count(&mut self, packet: &Packet<'_>, end: End) -> Side {
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
