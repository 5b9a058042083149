//! CSV (RFC 4180): the same records as JSON Lines, a column a field.

use std::io::{self, Write};

use serde::Serialize;

use super::Exporter;
use super::json::{FlowObject, UsageObject};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{Cells, FlowRecord};

/// Writes a header line, then one record a line.
#[derive(Debug)]
pub struct Csv<W: Write> {
    writer: csv::Writer<W>,
    flows: bool,
    usage: bool,
}

impl<W: Write> Csv<W> {
    /// Writes flow records to `writer`.
    pub fn flows(writer: W) -> Self {
        Self {
            writer: csv::Writer::from_writer(writer),
            flows: true,
            usage: false,
        }
    }

    /// Writes usage records to `writer`.
    pub fn usage(writer: W) -> Self {
        Self {
            writer: csv::Writer::from_writer(writer),
            flows: false,
            usage: true,
        }
    }
}

/// A flow record with flat columns, the same in every row.
#[derive(Serialize)]
struct FlowRow<'a> {
    timestamp: &'a str,
    flow_id: u64,
    community_id: &'a str,
    src_ip: std::net::IpAddr,
    src_port: Option<u16>,
    dest_ip: std::net::IpAddr,
    dest_port: Option<u16>,
    proto: &'a str,
    vlan: String,
    tunnel: &'a str,
    app_proto: &'a str,
    app: &'a str,
    app_id: Option<u32>,
    service: &'a str,
    category: &'a str,
    evidence: &'a str,
    signature: &'a str,
    unknown: &'a str,
    server_name: &'a str,
    ja4: &'a str,
    settled_at_packet: u32,
    pkts_toserver: u64,
    pkts_toclient: u64,
    bytes_toserver: u64,
    bytes_toclient: u64,
    ip_bytes_toserver: u64,
    ip_bytes_toclient: u64,
    start: &'a str,
    end: &'a str,
    state: &'a str,
    reason: &'a str,
}

impl<'a> From<&'a FlowObject<'a>> for FlowRow<'a> {
    fn from(object: &'a FlowObject<'a>) -> Self {
        let vlans: Vec<String> = object.vlan.iter().map(u16::to_string).collect();
        Self {
            timestamp: &object.timestamp,
            flow_id: object.flow_id,
            community_id: &object.community_id,
            src_ip: object.src_ip,
            src_port: object.src_port,
            dest_ip: object.dest_ip,
            dest_port: object.dest_port,
            proto: &object.proto,
            vlan: vlans.join("."),
            tunnel: object.tunnel.unwrap_or_default(),
            app_proto: object.app_proto.unwrap_or_default(),
            app: object.app.unwrap_or_default(),
            app_id: object.app_id,
            service: object.service.map_or("", crate::app::Service::slug),
            category: object.category.unwrap_or_default(),
            evidence: object.evidence.map_or("", crate::verdict::Evidence::slug),
            signature: object.signature.as_deref().unwrap_or_default(),
            unknown: object.unknown.unwrap_or_default(),
            server_name: object.server_name.unwrap_or_default(),
            ja4: object.ja4.unwrap_or_default(),
            settled_at_packet: object.settled_at_packet,
            pkts_toserver: object.flow.pkts_toserver,
            pkts_toclient: object.flow.pkts_toclient,
            bytes_toserver: object.flow.bytes_toserver,
            bytes_toclient: object.flow.bytes_toclient,
            ip_bytes_toserver: object.flow.ip_bytes_toserver,
            ip_bytes_toclient: object.flow.ip_bytes_toclient,
            start: &object.flow.start,
            end: &object.flow.end,
            state: object.flow.state,
            reason: object.flow.reason,
        }
    }
}

impl<W: Write + Send> Exporter for Csv<W> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if self.flows {
            let object = FlowObject::new(record, set);
            self.writer
                .serialize(FlowRow::from(&object))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn interval(
        &mut self,
        start: Timestamp,
        sequence: u64,
        cells: &Cells,
        set: &SignatureSet,
    ) -> io::Result<()> {
        if self.usage {
            for (key, totals) in cells {
                for object in UsageObject::of(start, sequence, key, totals, set) {
                    self.writer.serialize(object).map_err(io::Error::other)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
