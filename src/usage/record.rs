//! One flow as it leaves the program.

use std::net::IpAddr;

use crate::classify::explain::Trace;
use crate::classify::{Classification, Named, Verdict};
use crate::decode::{IpProtocol, Tunnel, Vlans};
use crate::dissect::Facts;
use crate::flow::{Counters, EndReason, Flow, PerSide, Side};
use crate::time::Timestamp;

/// A flow that has ended.
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
    /// VLAN identifiers of the first frame.
    pub vlans: Vlans,
    /// The outermost tunnel of the first frame.
    pub tunnel: Option<Tunnel>,
    /// What the flow is.
    pub named: Named,
    /// The flow's packet that decided, from 1.
    pub settled_at_packet: u32,
    /// What was read in its opening.
    pub facts: Option<Box<Facts>>,
    /// What each side sent.
    pub counters: PerSide<Counters>,
    /// `new`, `established` or `closed`.
    pub state: &'static str,
    /// Why it ended.
    pub reason: EndReason,
    /// What led to the verdict, when asked for.
    pub steps: Option<Box<Trace>>,
}

impl FlowRecord {
    /// Bytes it takes, about.
    pub fn memory(&self) -> usize {
        let facts = self.facts.as_deref().map_or(0, Facts::memory);
        let steps = self.steps.as_deref().map_or(0, Trace::memory);
        size_of::<Self>() + facts + steps
    }

    /// The record of a flow that goes on, as far as it came.
    pub fn ongoing<T>(flow: &Flow<T>, class: &Classification) -> Self {
        let class = Classification::settled_as(class.verdict, class.facts.clone());
        Self::new(flow, class, EndReason::Ongoing)
    }

    /// The record of a flow that has ended with this classification.
    pub fn new<T>(flow: &Flow<T>, class: Classification, reason: EndReason) -> Self {
        let (named, settled_at_packet) = match class.verdict {
            Verdict::Settled { named, at_packet } => (named, at_packet),
            Verdict::Pending => (Named::default(), 0),
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
            vlans: flow.vlans(),
            tunnel: flow.tunnel(),
            named,
            settled_at_packet,
            facts: class.facts,
            counters: flow.counters,
            state: flow.state(),
            reason,
            steps: class.steps,
        }
    }
}
