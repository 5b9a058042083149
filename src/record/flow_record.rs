//! One flow as it leaves the pipeline.

use std::net::IpAddr;
use std::sync::Arc;

use crate::classify::explain::Trace;
use crate::classify::{Classification, Named, Verdict};
use crate::decode::{IpProtocol, Tunnel, Vlans};
use crate::dissect::Facts;
use crate::flow::{Counters, EndReason, Flow, PerSide, Sequence, Side};
use crate::time::Timestamp;
use crate::usage::Subject;

/// A flow that has ended, or goes on for long: then what it has come to.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    /// Number of its first frame: unique in the stream.
    pub flow_id: u64,
    /// Time of its first frame.
    pub first: Timestamp,
    /// Latest time of a frame.
    pub last: Timestamp,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The client's port; zero where there are none.
    pub client_port: u16,
    /// The server's address.
    pub server_ip: IpAddr,
    /// The server's port; zero where there are none.
    pub server_port: u16,
    /// The transport protocol.
    pub protocol: IpProtocol,
    /// ICMP type and code of the first packet.
    pub icmp: (u8, u8),
    /// The interface by which the first frame came in, or the file it is from.
    pub interface: Option<Arc<str>>,
    /// That of the other direction, where it is another.
    pub reverse_interface: Option<Arc<str>>,
    /// VLAN identifiers of the first frame.
    pub vlans: Vlans,
    /// The outermost tunnel of the first frame.
    pub tunnel: Option<Tunnel>,
    /// Whose traffic it is, where subjects are kept apart.
    pub subject: Option<Subject>,
    /// What the flow is.
    pub named: Named,
    /// The flow's packet that decided, from 1.
    pub settled_at_packet: u32,
    /// What was read in its opening.
    pub facts: Option<Box<Facts>>,
    /// What each side sent since the flow began.
    pub counters: PerSide<Counters>,
    /// What the record before has not told of it.
    pub part: Part,
    /// `new`, `established` or `closed`.
    pub state: &'static str,
    /// Why it ended, if it has.
    pub reason: EndReason,
    /// What led to the verdict, when asked for.
    pub steps: Option<Box<Trace>>,
    /// Its first packets, when asked for.
    pub first_packets: Option<Box<Sequence>>,
    /// The client is the end that sorts first.
    pub client_is_low: bool,
}

/// What a record of a flow tells that those before it have not: all of the flow, unless it went on
/// for so long that there were some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 1.
    pub number: u32,
    /// From when on: the time of the flow's first frame, or the latest in the part before.
    pub start: Timestamp,
    /// What each side sent in it.
    pub counters: PerSide<Counters>,
}

impl Part {
    /// All of a flow.
    pub const fn whole<T>(flow: &Flow<T>) -> Self {
        Self {
            number: 1,
            start: flow.first,
            counters: flow.counters,
        }
    }
}

impl FlowRecord {
    /// Bytes it takes, about.
    pub fn memory(&self) -> usize {
        let facts = self.facts.as_deref().map_or(0, Facts::memory);
        let steps = self.steps.as_deref().map_or(0, Trace::memory);
        let packets = self.first_packets.as_ref().map_or(0, |_| Sequence::MEMORY);
        size_of::<Self>() + facts + steps + packets
    }

    /// The record of a flow that goes on, as far as it came.
    pub fn ongoing<T>(flow: &Flow<T>, class: &Classification) -> Self {
        let class = class.so_far(class.facts.clone());
        Self::new(flow, class, EndReason::Ongoing)
    }

    /// The record of a flow that has ended with this classification, the first it has.
    pub fn new<T>(flow: &Flow<T>, class: Classification, reason: EndReason) -> Self {
        let (named, settled_at_packet) = match class.verdict {
            Verdict::Settled { named, at_packet } => (named, at_packet),
            Verdict::Pending(_) => (Named::default(), 0),
        };
        Self {
            flow_id: flow.first_number,
            first: flow.first,
            last: flow.last,
            client_ip: flow.ip(Side::Client),
            client_port: flow.port(Side::Client),
            server_ip: flow.ip(Side::Server),
            server_port: flow.port(Side::Server),
            protocol: flow.protocol(),
            icmp: flow.icmp(),
            interface: None,
            reverse_interface: None,
            vlans: flow.vlans(),
            tunnel: flow.tunnel(),
            subject: None,
            named,
            settled_at_packet,
            facts: class.facts,
            counters: flow.counters,
            part: Part::whole(flow),
            state: flow.state(),
            reason,
            steps: class.steps,
            first_packets: class.first_packets,
            client_is_low: flow.client_is_low(),
        }
    }
}
