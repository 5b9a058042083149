//! One conversation: who takes part, what it has counted, and its opening while that is read.

use std::net::IpAddr;
use std::time::Duration;

use super::attachment::Attachment;
use super::buffers::{Buffers, OpeningBuffer};
use super::config::Config;
use super::counters::Counters;
use super::expiry::Reminder;
use super::key::{End, FlowKey};
use super::opening::{Opening, PerSide, Side, Stream, Transport};
use super::quic;
use super::reassembly::Arrival;
use super::tcp::Tcp;
use crate::decode::{IpProtocol, Packet, TcpSegment, Tunnel, Vlans};
use crate::time::Timestamp;

/// What an unanswered try again may be late.
const RETRY_GRACE: Duration = Duration::from_secs(5);

/// A flow of so many packets is beyond its first exchange.
const HANDSHAKE_PACKETS: u64 = 4;

/// One conversation. `T` is what classification keeps of it.
///
/// What each packet of a settled flow needs comes first, so that it shares as few cache lines as can be.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Flow<T> {
    pub(super) key: FlowKey,
    client: End,
    /// It is among those that leave a full table first.
    pub(super) is_slight: bool,
    /// It came to be so after its beginning.
    pub(super) has_turned: bool,
    payload_packets: u16,
    pub(super) generation: u32,
    /// Latest time of a frame.
    pub last: Timestamp,
    pub(super) progress: Progress,
    /// What the opening counts for within the memory of all openings.
    pub(super) charged: u32,
    /// Packets that may belong to a connection after this one, until that is known.
    pub(super) held: Option<Box<Self>>,
    /// What each side sent.
    pub counters: PerSide<Counters>,
    /// What classification keeps.
    pub class: T,
    opening: Option<Box<OpeningBuffer>>,
    /// What is kept for its record counts for within the memory of all that is.
    pub(super) kept: u32,
    /// Number of the first frame: unique in the stream, so it identifies the flow.
    pub first_number: u64,
    /// Time of the first frame.
    pub first: Timestamp,
    vlans: Vlans,
    tunnel: Option<Tunnel>,
    icmp: (u8, u8),
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
    /// The table was full and this was the first to leave it.
    Evicted,
    /// The clock that stamps frames was set back.
    ClockSetBack,
    /// The capture ended.
    EndOfInput,
    /// It is not: it goes on for so long that there is a record of what it has come to.
    ActiveTimeout,
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
            Self::ClockSetBack => "clock-set-back",
            Self::EndOfInput => "end-of-input",
            Self::ActiveTimeout => "active-timeout",
            Self::Ongoing => "ongoing",
        }
    }
}

/// How far the connection that a flow is has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    Tcp(Tcp),
    Quic(quic::Connection),
    /// There is none, or nothing is known of it.
    Other,
}

/// To which flow a packet with the sockets of this one belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// To this.
    GoesOn,
    /// This one is over: to the next, with those held.
    Over(EndReason),
    /// That is not known yet.
    Held,
    /// To the one whose packets are held, which has taken this one's place.
    Succeeded,
    /// To the one whose packets are held. It is this one, of which only the beginning was another.
    Joined,
}

impl<T> Flow<T> {
    /// A flow that begins with `packet`, which is not counted yet.
    pub(super) fn new(packet: &Packet<'_>, key: FlowKey, end: End) -> Self
    where
        T: Default,
    {
        Self {
            key,
            client: if client_sent(packet) { end } else { !end },
            progress: match packet.protocol {
                IpProtocol::TCP => Progress::Tcp(Tcp::default()),
                _ => Progress::Other,
            },
            is_slight: true,
            has_turned: false,
            vlans: packet.vlans,
            tunnel: packet.tunnel,
            icmp: packet.icmp,
            generation: 0,
            charged: 0,
            kept: 0,
            payload_packets: 0,
            first_number: packet.number,
            first: packet.at,
            last: packet.at,
            counters: PerSide::default(),
            held: None,
            opening: None,
            class: T::default(),
        }
    }

    /// Reads from each cache line that its next packet needs.
    #[inline]
    pub(super) const fn warm(&self) -> u64 {
        self.generation as u64 ^ self.held.is_some() as u64 ^ self.counters.server.ip_bytes
    }

    /// Reads from each cache line that its end needs.
    #[inline]
    pub(super) const fn warm_whole(&self) -> u64 {
        self.warm() ^ self.opening.is_some() as u64 ^ self.first_number ^ self.icmp.0 as u64
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
        if self.is_closed() {
            "closed"
        } else if self.counters.client.packets > 0 && self.counters.server.packets > 0 {
            "established"
        } else {
            "new"
        }
    }

    /// Both sides have said FIN, or one RST: most likely nothing more will be said.
    pub const fn is_closed(&self) -> bool {
        match &self.progress {
            Progress::Tcp(tcp) => tcp.is_closed(),
            _ => false,
        }
    }

    /// Whether its beginning was seen: a SYN, or a client's first Initial of QUIC.
    pub const fn begins_here(&self) -> bool {
        match &self.progress {
            Progress::Tcp(tcp) => tcp.has_syn(),
            Progress::Quic(_) => true,
            Progress::Other => false,
        }
    }

    /// Whether the client is the end that sorts first.
    pub const fn client_is_low(&self) -> bool {
        matches!(self.client, End::Low)
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
    pub fn close_opening(&mut self, buffers: &mut Buffers) {
        if let Some(buffer) = self.opening.take() {
            buffers.put(buffer);
        }
    }

    /// The same, the buffer let go of: there is too little memory.
    pub(super) fn drop_opening(&mut self) {
        self.opening = None;
    }

    /// Bytes the opening takes, what the allocator needs to keep it included.
    pub(super) fn opening_memory(&self) -> usize {
        self.opening.as_deref().map_or(0, OpeningBuffer::memory)
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

    /// Takes `packet`'s payload into the opening, in one of `buffers` if it is the first, and shows the
    /// opening to `read` if it grew.
    ///
    /// `read` returns whether it wants to see more; if not, the opening is to be closed. Returns `None`
    /// if nothing new could be read, else what `read` said.
    pub fn read_opening(
        &mut self,
        packet: &Packet<'_>,
        side: Side,
        config: &Config,
        buffers: &mut Buffers,
        read: impl FnOnce(&Opening<'_>) -> bool,
    ) -> Option<bool> {
        let end = self.end_of(side);
        if packet.payload.is_empty() {
            // One that was cut off is none that was not there.
            let cut = packet.payload_len > 0;
            self.payload_packets = self.payload_packets.saturating_add(u16::from(cut));
            return None;
        }
        // A flow without a payload costs no buffer, and one that its first packet tells enough of
        // only borrows one.
        let kept = self.opening.take();
        let is_first = kept.is_none();
        let mut buffer = kept.unwrap_or_else(|| buffers.take());
        let sequence = packet.tcp.map(|tcp| tcp.first_octet());
        if let Progress::Tcp(tcp) = &self.progress {
            buffer.start_at([End::Low, End::High].map(|end| tcp.start(end)));
        }
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
        if is_first && said == Some(false) {
            buffers.put(buffer);
        } else {
            self.opening = Some(buffer);
        }
        said
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

    /// How long it may say nothing.
    pub(super) fn idle(&self, config: &Config) -> Duration {
        let usual = match self.key.protocol() {
            IpProtocol::TCP if self.is_closed() => return config.tcp_closed,
            IpProtocol::TCP => config.tcp_idle,
            _ => config.udp_idle,
        };
        if !self.is_new() {
            return usual;
        }
        // RFC 6298 section 5.5: who gets no answer waits twice as long each time.
        let tried = self.last.since(self.first) + RETRY_GRACE;
        usual.min(config.half_open_idle.max(tried))
    }

    /// Whether nothing but an attempt was seen: a handshake that is not over, or one packet.
    pub(super) const fn is_new(&self) -> bool {
        let packets = self.counters.client.packets + self.counters.server.packets;
        packets <= 1
            || match &self.progress {
                Progress::Tcp(tcp) => !tcp.has_data() && !tcp.stands(),
                _ => false,
            }
    }

    /// Whether it leaves a full table first: an attempt, or one that has ended.
    pub(super) const fn may_leave_first(&self) -> bool {
        self.is_closed() || self.is_new()
    }

    pub(super) const fn end_reason(&self, otherwise: EndReason) -> EndReason {
        match &self.progress {
            Progress::Tcp(tcp) if tcp.is_reset() => EndReason::Reset,
            Progress::Tcp(tcp) if tcp.is_closed() => EndReason::Fin,
            _ => otherwise,
        }
    }

    /// Whether a packet that has the sockets of this flow, which is not idle, is surely its own: nearly
    /// all are. Of the others [`Flow::fate`] tells.
    #[inline(always)]
    pub(super) fn surely_goes_on(&self, packet: &Packet<'_>) -> bool {
        match &packet.tcp {
            Some(segment) => !segment.has(TcpSegment::SYN) && self.held.is_none(),
            None => !quic::may_begin(packet.payload),
        }
    }

    /// To which flow a packet of `end` belongs that has the sockets of this one, which is not idle.
    #[inline]
    pub(super) fn fate(&self, packet: &Packet<'_>, end: End) -> Fate
    where
        T: Attachment,
    {
        match (&self.progress, packet.tcp) {
            (Progress::Tcp(tcp), Some(segment)) => {
                if segment.has(TcpSegment::SYN) || self.held.is_some() {
                    self.fate_of_segment(tcp, &segment, end)
                } else {
                    Fate::GoesOn
                }
            }
            (progress, None) if quic::may_begin(packet.payload) && self.class.is_settled() => {
                let is_left = match progress {
                    Progress::Quic(connection) => {
                        connection.is_left_by(self.side_of(end), packet.payload)
                    }
                    // Its handshake was not seen, or is over: else this might be an answer to it.
                    _ => {
                        let packets = self.counters.client.packets + self.counters.server.packets;
                        packets >= HANDSHAKE_PACKETS
                            && quic::Connection::begun_by(packet.payload).is_some()
                    }
                };
                if is_left {
                    Fate::Over(EndReason::Reused)
                } else {
                    Fate::GoesOn
                }
            }
            _ => Fate::GoesOn,
        }
    }

    #[cold]
    fn fate_of_segment(&self, tcp: &Tcp, segment: &TcpSegment, end: End) -> Fate {
        let is_syn = segment.has(TcpSegment::SYN);
        let is_answer = is_syn && segment.has(TcpSegment::ACK);
        let other_side_seen = self.counters[self.side_of(!end)].packets > 0;
        if let Some(held) = self.held.as_deref()
            && let Progress::Tcp(next) = &held.progress
            && (!is_syn || is_answer)
        {
            // Both ends agree on the new numbers, or only one can be heard.
            let answers = is_answer && (next.is_answered_by(end, segment) || next.has_moved());
            let agrees = !segment.has(TcpSegment::RST)
                && (held.counters[held.side_of(!end)].packets > 0 || !is_syn && !other_side_seen);
            if answers || !is_syn && next.fits_better(tcp, end, segment) {
                // Also what no receiver takes, an RST's data say, was shown as the flow's.
                let has_shown = tcp.has_data() || self.payload_packets > 0;
                return match (agrees, has_shown || tcp.is_closed()) {
                    (false, _) => Fate::Held,
                    (true, true) => Fate::Succeeded,
                    (true, false) => Fate::Joined,
                };
            }
        }
        let is_known =
            tcp.is_known_syn(end, segment) || is_answer && tcp.is_answered_by(end, segment);
        // Nobody sends a SYN again once both sides have said that they are done; after a refusal some do.
        let has_finished = tcp.is_closed() && self.end_reason(EndReason::Reused) == EndReason::Fin;
        if !is_syn || is_known && (is_answer || !has_finished) {
            return Fate::GoesOn;
        }
        // A SYN with other numbers: of another connection, or of nobody who is listened to.
        let is_over = tcp.is_closed() || tcp.has_ended(end) && !other_side_seen;
        if is_over {
            Fate::Over(self.end_reason(EndReason::Reused))
        } else if tcp.may_move() {
            Fate::GoesOn
        } else if is_answer && !other_side_seen {
            // The other direction was not captured.
            Fate::Over(EndReason::Reused)
        } else {
            Fate::Held
        }
    }

    /// Whether `segment` is the first SYN, after segments of which it was only guessed who is the
    /// client.
    #[inline]
    fn is_asked_first(&self, segment: &TcpSegment, end: End) -> bool {
        segment.has(TcpSegment::SYN)
            && !segment.has(TcpSegment::ACK)
            && end != self.client
            // What was shown of a side stays that side's.
            && self.payload_packets == 0
            && matches!(&self.progress, Progress::Tcp(tcp) if !tcp.has_syn())
    }

    /// Takes a packet that may belong to a connection after this one.
    pub(super) fn hold(&mut self, packet: &Packet<'_>, end: End, config: &Config)
    where
        T: Default,
    {
        let key = self.key;
        let held = self
            .held
            .get_or_insert_with(|| Box::new(Self::new(packet, key, end)));
        let side = held.count(packet, end);
        held.read_opening(packet, side, config, &mut Buffers::default(), |_| true);
    }

    /// Counts what was held back as this flow's own: it belongs to no other. Returns it.
    pub fn take_held(&mut self) -> Option<PerSide<Counters>> {
        let held = self.held.take()?;
        let mut counters = held.counters;
        if held.client != self.client {
            std::mem::swap(&mut counters.client, &mut counters.server);
        }
        self.counters.client.add(&counters.client);
        self.counters.server.add(&counters.server);
        self.last = self.last.max(held.last);
        Some(counters)
    }

    /// Goes on with the beginning that is held.
    pub(super) fn join_held(&mut self) {
        if let Some(held) = self.held.as_deref_mut() {
            self.progress = held.progress;
            self.opening = self.opening.take().or_else(|| held.opening.take());
            if held.client != self.client {
                self.swap_sides();
            }
        }
        self.take_held();
    }

    #[inline(always)]
    pub(super) fn count(&mut self, packet: &Packet<'_>, end: End) -> Side {
        if packet
            .tcp
            .is_some_and(|segment| self.is_asked_first(&segment, end))
        {
            self.swap_sides();
        }
        let side = self.side_of(end);
        self.counters[side].count(packet);
        self.last = self.last.max(packet.at);
        match (&mut self.progress, &packet.tcp) {
            (Progress::Tcp(tcp), Some(segment)) => tcp.take(end, segment, packet.payload_len),
            (Progress::Quic(connection), _) => connection.take(side, packet.payload),
            (progress, _) => {
                if quic::may_begin(packet.payload)
                    && packet.protocol == IpProtocol::UDP
                    && let Some(connection) = quic::Connection::begun_by(packet.payload)
                {
                    *progress = Progress::Quic(connection);
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
