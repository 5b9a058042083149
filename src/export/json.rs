//! JSON Lines: flow records with the names of Suricata's EVE where EVE has them, and usage records.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;

use super::community_id::community_id;
use super::{Exporter, decider_name, transport_name};
use crate::app::Service;
use crate::flow::Counters;
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{CellKey, Cells, FlowRecord, Totals};
use crate::verdict::Evidence;

/// Writes one object a line.
#[derive(Debug)]
pub struct Json<W: Write> {
    writer: W,
    flows: bool,
    usage: bool,
}

impl<W: Write> Json<W> {
    /// Writes flow records to `writer`.
    pub const fn flows(writer: W) -> Self {
        Self {
            writer,
            flows: true,
            usage: false,
        }
    }

    /// Writes usage records to `writer`.
    pub const fn usage(writer: W) -> Self {
        Self {
            writer,
            flows: false,
            usage: true,
        }
    }
}

impl<W: Write + Send> Exporter for Json<W> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if !self.flows {
            return Ok(());
        }
        serde_json::to_writer(&mut self.writer, &FlowObject::new(record, set))?;
        self.writer.write_all(b"\n")
    }

    fn interval(
        &mut self,
        start: Timestamp,
        sequence: u64,
        cells: &Cells,
        set: &SignatureSet,
    ) -> io::Result<()> {
        if !self.usage {
            return Ok(());
        }
        for (key, totals) in cells {
            for object in UsageObject::of(start, sequence, key, totals, set) {
                serde_json::to_writer(&mut self.writer, &object)?;
                self.writer.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A flow record as it is written; also the columns of CSV.
#[derive(Debug, Serialize)]
pub(super) struct FlowObject<'a> {
    pub(super) timestamp: String,
    pub(super) event_type: &'static str,
    pub(super) flow_id: u64,
    pub(super) community_id: String,
    pub(super) src_ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) src_port: Option<u16>,
    pub(super) dest_ip: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dest_port: Option<u16>,
    pub(super) proto: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    pub(super) vlan: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tunnel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_proto: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) app_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) evidence: Option<Evidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unknown: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Box<str>]>::is_empty")]
    pub(super) alpn: &'a [Box<str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ja4: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) query_name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) ech: bool,
    pub(super) settled_at_packet: u32,
    pub(super) flow: FlowCounters,
}

/// The `flow` object of EVE, and the subscriber's bytes.
#[derive(Debug, Serialize)]
pub(super) struct FlowCounters {
    pub(super) pkts_toserver: u64,
    pub(super) pkts_toclient: u64,
    pub(super) bytes_toserver: u64,
    pub(super) bytes_toclient: u64,
    pub(super) ip_bytes_toserver: u64,
    pub(super) ip_bytes_toclient: u64,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) state: &'static str,
    pub(super) reason: &'static str,
}

impl<'a> FlowObject<'a> {
    pub(super) fn new(record: &'a FlowRecord, set: &'a SignatureSet) -> Self {
        use crate::decode::IpProtocol;
        let catalog = set.catalog();
        let app = record.named.app.and_then(|id| catalog.app(id));
        let facts = record.facts.as_deref();
        let has_ports = record.client_port != 0 || record.server_port != 0;
        let is_icmp = matches!(record.protocol, IpProtocol::ICMP | IpProtocol::ICMPV6);
        let counters = &record.counters;
        let start = record.first.to_string();
        Self {
            timestamp: start.clone(),
            event_type: "flow",
            flow_id: record.flow_id,
            community_id: community_id(
                record.protocol,
                (record.client_ip, record.client_port),
                (record.server_ip, record.server_port),
                record.icmp,
            ),
            src_ip: record.client_ip,
            src_port: has_ports.then_some(record.client_port),
            dest_ip: record.server_ip,
            dest_port: has_ports.then_some(record.server_port),
            proto: transport_name(record.protocol),
            icmp_type: is_icmp.then_some(record.icmp.0),
            icmp_code: is_icmp.then_some(record.icmp.1),
            vlan: record.vlans.as_slice(),
            tunnel: record.tunnel.map(crate::decode::Tunnel::slug),
            app_proto: record.named.proto.map(|proto| catalog.protocol_name(proto)),
            app: app.map(|app| &*app.name),
            app_id: app.map(|app| app.id),
            service: record.named.service,
            category: app.map(|app| &*app.category),
            evidence: record.named.evidence,
            signature: record
                .named
                .decider
                .map(|decider| decider_name(decider, set)),
            unknown: record
                .named
                .unknown
                .map(crate::classify::UnknownReason::slug),
            server_name: facts.and_then(|facts| facts.server_name.as_deref()),
            alpn: facts.map_or(&[], |facts| &facts.alpn),
            ja4: facts.and_then(|facts| facts.ja4.as_deref()),
            user_agent: facts.and_then(|facts| facts.user_agent.as_deref()),
            query_name: facts.and_then(|facts| facts.query_name.as_deref()),
            ech: facts.is_some_and(|facts| facts.ech),
            settled_at_packet: record.settled_at_packet,
            flow: FlowCounters {
                pkts_toserver: counters.client.packets,
                pkts_toclient: counters.server.packets,
                bytes_toserver: counters.client.bytes,
                bytes_toclient: counters.server.bytes,
                ip_bytes_toserver: counters.client.ip_bytes,
                ip_bytes_toclient: counters.server.ip_bytes,
                start,
                end: record.last.to_string(),
                state: record.state,
                reason: record.reason.slug(),
            },
        }
    }
}

/// A usage record: one cell, one direction.
#[derive(Debug, Serialize)]
pub(super) struct UsageObject<'a> {
    pub(super) timestamp: String,
    pub(super) event_type: &'static str,
    pub(super) sequence: u64,
    pub(super) app: Option<&'a str>,
    pub(super) app_id: Option<u32>,
    pub(super) service: Option<Service>,
    pub(super) app_proto: Option<&'a str>,
    pub(super) category: Option<&'a str>,
    pub(super) evidence: Option<Evidence>,
    pub(super) unknown: Option<&'static str>,
    pub(super) direction: &'static str,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) ip_bytes: u64,
    /// Flows are counted once, with what the client sent.
    pub(super) flows: u64,
    pub(super) signature_set: &'a str,
}

impl<'a> UsageObject<'a> {
    pub(super) fn of(
        start: Timestamp,
        sequence: u64,
        key: &CellKey,
        totals: &Totals,
        set: &'a SignatureSet,
    ) -> [Self; 2] {
        let catalog = set.catalog();
        let app = key.app.and_then(|id| catalog.app(id));
        let half = |direction, counters: &Counters, flows| Self {
            timestamp: start.to_string(),
            event_type: "usage",
            sequence,
            app: app.map(|app| &*app.name),
            app_id: app.map(|app| app.id),
            service: key.service,
            app_proto: key.proto.map(|proto| catalog.protocol_name(proto)),
            category: app.map(|app| &*app.category),
            evidence: key.evidence,
            unknown: key.unknown.map(crate::classify::UnknownReason::slug),
            direction,
            packets: counters.packets,
            bytes: counters.bytes,
            ip_bytes: counters.ip_bytes,
            flows,
            signature_set: set.hash(),
        };
        [
            half("toserver", &totals.sides.client, totals.flows),
            half("toclient", &totals.sides.server, 0),
        ]
    }
}
