//! Frames and conversations: what carries the bytes that the families build.
//!
//! Headers and checksums are `pnet`'s. A [`Trace`] keeps its own clock, numbers and noise, so that a
//! capture is the same whenever it is built.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use pnet::packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::{self, Ipv4Flags, MutableIpv4Packet};
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::packet::tcp::{self, MutableTcpPacket, TcpFlags};
use pnet::packet::udp::{self, MutableUdpPacket};
use pnet::packet::vlan::MutableVlanPacket;
use pnet::util::MacAddr;

/// 2026-01-02 03:04:05 UTC, when every capture begins.
const START_MICROS: u64 = 1_767_323_045_000_000;

const STEP_MICROS: u64 = 1_000;

/// What a switch takes from one port to the other.
const SECOND_MICROS: u64 = 40;

/// Ethernet's 1500 octets less the headers of IPv6 and TCP, for both families.
const SEGMENT: usize = 1440;

const CLIENT_MAC: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0x01);
const SERVER_MAC: MacAddr = MacAddr(0x02, 0, 0, 0, 0, 0x02);

/// What packets are put into before they are frames.
pub type Wrap = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// What is asked of packets.
pub type Test = Box<dyn Fn(&[u8]) -> bool>;

/// The frames of a capture, and what each of its flows is meant to be.
pub struct Trace {
    frames: Vec<(u64, Vec<u8>)>,
    intents: Vec<String>,
    now: u64,
    numbers: u64,
    wrap: Wrap,
    link: u32,
    /// How each packet is seen a second time, if it is.
    again: Option<Wrap>,
    /// Which packets are captured at all.
    shows: Test,
    /// Octets of a frame that are captured.
    snap_len: usize,
}

impl Trace {
    pub fn new() -> Self {
        Self {
            frames: Vec::new(),
            intents: Vec::new(),
            now: START_MICROS,
            numbers: 0x0001_2345_6789,
            wrap: Box::new(ethernet),
            link: 1,
            again: None,
            shows: Box::new(|_| true),
            snap_len: usize::MAX,
        }
    }

    /// The link type of the capture; Ethernet unless told.
    pub fn link(&mut self, link: u32) {
        self.link = link;
    }

    /// From now on, each IP packet is seen twice, the second time as this frame.
    pub fn see_again(&mut self, again: impl Fn(&[u8]) -> Vec<u8> + 'static) {
        self.again = Some(Box::new(again));
    }

    /// From now on, only these IP packets are captured; time passes for the others too.
    pub fn show_only(&mut self, shows: impl Fn(&[u8]) -> bool + 'static) {
        self.shows = Box::new(shows);
    }

    /// So many octets of each frame are captured.
    pub fn cut(&mut self, snap_len: usize) {
        self.snap_len = snap_len;
    }

    /// From now on, how an IP packet becomes a frame.
    pub fn wrap(&mut self, wrap: impl Fn(&[u8]) -> Vec<u8> + 'static) {
        self.wrap = Box::new(wrap);
    }

    /// From now on, plain Ethernet.
    pub fn unwrap(&mut self) {
        self.wrap = Box::new(ethernet);
    }

    /// Lets time pass.
    pub fn wait(&mut self, millis: u64) {
        self.now += millis * 1000;
    }

    /// A whole frame.
    pub fn frame(&mut self, bytes: Vec<u8>) {
        self.frames.push((self.now, bytes));
        self.now += STEP_MICROS;
    }

    /// An IP packet, as a frame.
    pub fn packet(&mut self, ip: &[u8]) {
        if !(self.shows)(ip) {
            self.now += STEP_MICROS;
            return;
        }
        let frame = (self.wrap)(ip);
        let again = self.again.as_ref().map(|again| again(ip));
        let second = self.now + SECOND_MICROS;
        self.frame(frame);
        self.frames.extend(again.map(|frame| (second, frame)));
    }

    /// The next number of a fixed series (splitmix64).
    pub fn number(&mut self) -> u64 {
        self.numbers = self.numbers.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.numbers;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Bytes as encryption leaves them.
    pub fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend(self.number().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// A flow this capture holds: protocol, client, server, what is spoken, whose it is, what for.
    pub fn intent(&mut self, proto: &str, client: &str, server: &str, meant: [&str; 3]) {
        let mut line = proto.to_owned();
        for end in [client, server] {
            let (ip, port) = match end.parse::<SocketAddr>() {
                Ok(end) => (end.ip().to_string(), end.port().to_string()),
                Err(_) => (end.to_owned(), "-".to_owned()),
            };
            line += &format!("\t{ip}\t{port}");
        }
        self.intents.push(format!("{line}\t{}", meant.join("\t")));
    }

    /// A TCP connection; nothing is sent before [`Tcp::open`].
    pub fn tcp(&mut self, client: &str, server: &str) -> Tcp<'_> {
        let next = [self.number() as u32, self.number() as u32];
        Tcp {
            ends: [end(client), end(server)],
            next,
            trace: self,
        }
    }

    /// Datagrams between two sockets.
    pub fn udp(&mut self, client: &str, server: &str) -> Udp<'_> {
        Udp {
            ends: [end(client), end(server)],
            trace: self,
        }
    }

    /// Writes a pcap file: version 2.4, microseconds.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        to.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        to.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        to.write_all(&0x4_0000_u32.to_le_bytes())?;
        to.write_all(&self.link.to_le_bytes())?;
        for (at, frame) in &self.frames {
            let len = frame.len() as u32;
            let captured = &frame[..frame.len().min(self.snap_len)];
            let seconds = (at / 1_000_000) as u32;
            for field in [seconds, (at % 1_000_000) as u32, captured.len() as u32, len] {
                to.write_all(&field.to_le_bytes())?;
            }
            to.write_all(captured)?;
        }
        to.flush()
    }

    /// The flows and what they are meant to be, as a table.
    pub fn intents(&self) -> String {
        let head = "proto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tapp_proto\tapp\tservice";
        let mut text = format!("{head}\n");
        for line in &self.intents {
            text += line;
            text.push('\n');
        }
        text
    }
}

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    Client = 0,
    Server = 1,
}

/// A TCP connection with its sequence numbers.
pub struct Tcp<'a> {
    trace: &'a mut Trace,
    ends: [SocketAddr; 2],
    next: [u32; 2],
}

impl Tcp<'_> {
    /// The three-way handshake.
    pub fn open(mut self) -> Self {
        self.segment(From::Client, 0, TcpFlags::SYN, &[]);
        self.next[0] = self.next[0].wrapping_add(1);
        self.segment(From::Server, 0, TcpFlags::SYN | TcpFlags::ACK, &[]);
        self.next[1] = self.next[1].wrapping_add(1);
        self.segment(From::Client, 0, TcpFlags::ACK, &[]);
        self
    }

    pub fn client(self, data: impl AsRef<[u8]>) -> Self {
        self.send(From::Client, data.as_ref())
    }

    pub fn server(self, data: impl AsRef<[u8]>) -> Self {
        self.send(From::Server, data.as_ref())
    }

    fn send(mut self, from: From, data: &[u8]) -> Self {
        for part in data.chunks(SEGMENT) {
            self.segment(from, 0, TcpFlags::PSH | TcpFlags::ACK, part);
            self.skip(from, part.len());
        }
        self
    }

    /// Moves a side's sequence number on: what it sent was not captured, or comes later.
    pub fn skip(&mut self, from: From, len: usize) {
        self.next[from as usize] = self.next[from as usize].wrapping_add(len as u32);
    }

    /// What each side sends next.
    pub fn numbers(&self) -> [u32; 2] {
        self.next
    }

    /// Goes on with these.
    pub fn set_numbers(mut self, next: [u32; 2]) -> Self {
        self.next = next;
        self
    }

    /// One segment, `offset` octets after what the side has sent in order.
    pub fn segment(&mut self, from: From, offset: usize, flags: u8, data: &[u8]) {
        let (me, you) = (from as usize, 1 - from as usize);
        let mut bytes = vec![0; 20 + data.len()];
        if let Some(mut segment) = MutableTcpPacket::new(&mut bytes) {
            segment.set_source(self.ends[me].port());
            segment.set_destination(self.ends[you].port());
            segment.set_sequence(self.next[me].wrapping_add(offset as u32));
            if flags & TcpFlags::ACK != 0 {
                segment.set_acknowledgement(self.next[you]);
            }
            segment.set_data_offset(5);
            segment.set_flags(flags);
            segment.set_window(0xfaf0);
            segment.set_payload(data);
            let checksum = match (self.ends[me].ip(), self.ends[you].ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    tcp::ipv4_checksum(&segment.to_immutable(), &from, &to)
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    tcp::ipv6_checksum(&segment.to_immutable(), &from, &to)
                }
                _ => 0,
            };
            segment.set_checksum(checksum);
        }
        let (source, destination) = (self.ends[me].ip(), self.ends[you].ip());
        let packet = ip(source, destination, IpNextHeaderProtocols::Tcp, &bytes);
        self.trace.packet(&packet);
    }

    /// Both sides say they are done.
    pub fn close(mut self) -> Self {
        for from in [From::Client, From::Server] {
            self.segment(from, 0, TcpFlags::FIN | TcpFlags::ACK, &[]);
            self.skip(from, 1);
        }
        self.segment(From::Client, 0, TcpFlags::ACK, &[]);
        self
    }

    /// Says what it is meant to be.
    pub fn is(self, app_proto: &str, app: &str, service: &str) {
        let [client, server] = self.ends.map(|end| end.to_string());
        self.trace
            .intent("TCP", &client, &server, [app_proto, app, service]);
    }
}

/// Datagrams between two sockets.
pub struct Udp<'a> {
    trace: &'a mut Trace,
    ends: [SocketAddr; 2],
}

impl Udp<'_> {
    pub fn client(self, data: impl AsRef<[u8]>) -> Self {
        self.send(From::Client, data.as_ref())
    }

    pub fn server(self, data: impl AsRef<[u8]>) -> Self {
        self.send(From::Server, data.as_ref())
    }

    fn send(self, from: From, data: &[u8]) -> Self {
        let (me, you) = (from as usize, 1 - from as usize);
        let packet = datagram(self.ends[me], self.ends[you], data);
        self.trace.packet(&packet);
        self
    }

    /// Says what it is meant to be.
    pub fn is(self, app_proto: &str, app: &str, service: &str) {
        let [client, server] = self.ends.map(|end| end.to_string());
        self.trace
            .intent("UDP", &client, &server, [app_proto, app, service]);
    }
}

/// An IP packet with a UDP datagram.
pub fn datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    ip(
        from.ip(),
        to.ip(),
        IpNextHeaderProtocols::Udp,
        &udp_bytes(from, to, data),
    )
}

/// UDP header and data.
pub fn udp_bytes(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8 + data.len()];
    if let Some(mut datagram) = MutableUdpPacket::new(&mut bytes) {
        datagram.set_source(from.port());
        datagram.set_destination(to.port());
        datagram.set_length(8 + data.len() as u16);
        datagram.set_payload(data);
        let checksum = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                udp::ipv4_checksum(&datagram.to_immutable(), &from, &to)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                udp::ipv6_checksum(&datagram.to_immutable(), &from, &to)
            }
            _ => 0,
        };
        datagram.set_checksum(checksum);
    }
    bytes
}

/// An IP packet of either family.
pub fn ip(from: IpAddr, to: IpAddr, protocol: IpNextHeaderProtocol, data: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut bytes = vec![0; 40 + data.len()];
            if let Some(mut packet) = MutableIpv6Packet::new(&mut bytes) {
                packet.set_version(6);
                packet.set_payload_length(data.len() as u16);
                packet.set_next_header(protocol);
                packet.set_hop_limit(64);
                packet.set_source(from);
                packet.set_destination(to);
                packet.set_payload(data);
            }
            bytes
        }
        _ => fragment(from, to, protocol, data, 0, 0, false),
    }
}

/// An IPv4 packet that is a part of a datagram: `offset` in octets.
pub fn fragment(
    from: IpAddr,
    to: IpAddr,
    protocol: IpNextHeaderProtocol,
    data: &[u8],
    identification: u16,
    offset: usize,
    more: bool,
) -> Vec<u8> {
    let mut bytes = vec![0; 20 + data.len()];
    if let (Some(mut packet), IpAddr::V4(from), IpAddr::V4(to)) =
        (MutableIpv4Packet::new(&mut bytes), from, to)
    {
        packet.set_version(4);
        packet.set_header_length(5);
        packet.set_total_length(20 + data.len() as u16);
        packet.set_identification(identification);
        packet.set_fragment_offset((offset / 8) as u16);
        let whole = offset == 0 && !more;
        packet.set_flags(match (whole, more) {
            (true, _) => Ipv4Flags::DontFragment,
            (false, true) => Ipv4Flags::MoreFragments,
            (false, false) => 0,
        });
        packet.set_ttl(64);
        packet.set_next_level_protocol(protocol);
        packet.set_source(from);
        packet.set_destination(to);
        packet.set_payload(data);
        packet.set_checksum(ipv4::checksum(&packet.to_immutable()));
    }
    bytes
}

/// An Ethernet frame around an IP packet.
pub fn ethernet(packet: &[u8]) -> Vec<u8> {
    ethernet_frame(network_type(packet), packet)
}

/// The EtherType of an IP packet.
pub fn network_type(packet: &[u8]) -> EtherType {
    match packet.first() {
        Some(0x60..=0x6f) => EtherTypes::Ipv6,
        _ => EtherTypes::Ipv4,
    }
}

/// An Ethernet frame around anything.
pub fn ethernet_frame(kind: EtherType, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + data.len()];
    if let Some(mut frame) = MutableEthernetPacket::new(&mut bytes) {
        frame.set_source(CLIENT_MAC);
        frame.set_destination(SERVER_MAC);
        frame.set_ethertype(kind);
        frame.set_payload(data);
    }
    bytes
}

/// A VLAN tag (IEEE 802.1Q) and what follows it.
pub fn vlan(identifier: u16, kind: EtherType, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4 + data.len()];
    if let Some(mut tag) = MutableVlanPacket::new(&mut bytes) {
        tag.set_vlan_identifier(identifier);
        tag.set_ethertype(kind);
        tag.set_payload(data);
    }
    bytes
}

fn end(text: &str) -> SocketAddr {
    text.parse()
        .unwrap_or_else(|_| panic!("`{text}` is no socket"))
}

/// Joins parts of a message.
pub fn join<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    parts.into_iter().collect::<Vec<_>>().concat()
}
