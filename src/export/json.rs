//! JSON Lines: flow records with the names of Suricata's EVE where EVE has them, and usage records.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;

use serde::Serialize;

use super::community_id::community_id;
use super::lines::Lines;
use super::{Exporter, Intervals, Rest, decider_name, transport_name};
use crate::app::Service;
use crate::dissect::{Facts, RECORDED, Value};
use crate::flow::Counters;
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{CellKey, Cells, FlowRecord, Totals};
use crate::verdict::Evidence;

/// Bytes of a line that can be written so that a kill does not leave half of it, see
/// [`rotate`](super::rotate).
const LONGEST_LINE: usize = 4096;

/// Writes one object a line.
#[derive(Debug)]
pub struct Json<W: Lines> {
    writer: W,
    line: Vec<u8>,
    flows: bool,
    usage: Option<Intervals>,
    rest: Rest,
}

impl<W: Lines> Json<W> {
    /// Writes flow records to `writer`.
    pub const fn flows(writer: W) -> Self {
        Self {
            writer,
            line: Vec::new(),
            flows: true,
            usage: None,
            rest: Rest::new(),
        }
    }

    /// Writes usage records to `writer`.
    pub const fn usage(writer: W, intervals: Intervals) -> Self {
        Self {
            writer,
            line: Vec::new(),
            flows: false,
            usage: Some(intervals),
            rest: Rest::new(),
        }
    }

    fn make(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, object)?;
        self.line.push(b'\n');
        Ok(())
    }
}

impl<W: Lines> Exporter for Json<W> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if !self.flows {
            return Ok(());
        }
        let mut object = FlowObject::new(record, set);
        self.make(&object)?;
        while self.line.len() > LONGEST_LINE && object.shorten() {
            self.make(&object)?;
        }
        self.writer.line(&self.line)
    }

    fn interval(
        &mut self,
        start: Timestamp,
        sequence: u64,
        cells: &Cells,
        set: &SignatureSet,
    ) -> io::Result<()> {
        let Some(intervals) = self.usage else {
            return Ok(());
        };
        let interval = Interval::new(start, sequence, cells, intervals);
        let first = self.rest.take(sequence);
        for (place, object) in UsageObject::all(&interval, cells, set).skip(first) {
            let made = self.make(&object);
            if let Err(error) = made.and_then(|()| self.writer.line(&self.line)) {
                self.rest.keep(sequence, place, interval.records);
                return Err(error);
            }
        }
        Ok(())
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        self.writer.tick(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn held(&self) -> u64 {
        self.writer.held() + self.rest.records()
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
    pub(super) inner_proto: Option<&'a str>,
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
    #[serde(flatten)]
    pub(super) facts: RecordedFacts<'a>,
    pub(super) settled_at_packet: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) remembered: bool,
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
            inner_proto: record.named.inner.map(|proto| catalog.protocol_name(proto)),
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
            facts: RecordedFacts(
                record
                    .facts
                    .as_deref()
                    .map(Facts::recorded)
                    .unwrap_or_default(),
            ),
            settled_at_packet: record.settled_at_packet,
            remembered: record.named.remembered,
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

/// The facts of a record, each a field of its object: those of [`RECORDED`].
#[derive(Debug)]
pub(super) struct RecordedFacts<'a>([Option<Value<'a>>; RECORDED.len()]);

impl<'a> RecordedFacts<'a> {
    /// The text of this name; nothing if there is none.
    pub(super) fn text(&self, name: &str) -> &'a str {
        let mut named = RECORDED.iter().zip(&self.0);
        match named.find(|&(&of, _)| of == name) {
            Some((_, &Some(Value::Text(text)))) => text,
            _ => "",
        }
    }

    /// Leaves out what has this name. `false`: there is no such.
    fn leave_out(&mut self, name: &str) -> bool {
        let mut named = RECORDED.iter().zip(&mut self.0);
        let found = named.find(|(of, _)| **of == name);
        found.and_then(|(_, value)| value.take()).is_some()
    }
}

impl Serialize for RecordedFacts<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = RECORDED.iter().zip(&self.0);
        serializer.collect_map(named.filter_map(|(name, value)| Some((name, value.as_ref()?))))
    }
}

impl FlowObject<'_> {
    /// Leaves out the least useful of the long texts that are left. `false`: there is none.
    fn shorten(&mut self) -> bool {
        let mut long = ["alpn", "user_agent", "query_name"].into_iter();
        long.any(|name| self.facts.leave_out(name))
    }
}

/// What all usage records of an interval say.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) run: Option<String>,
    pub(super) sequence: u64,
    pub(super) records: usize,
}

impl Interval {
    pub(super) fn new(start: Timestamp, sequence: u64, cells: &Cells, of: Intervals) -> Self {
        Self {
            start: start.to_string(),
            end: start.after(of.length).to_string(),
            run: of.run.map(|run| run.to_string()),
            sequence,
            records: usage_records(cells),
        }
    }
}

/// Usage records of a cell.
const DIRECTIONS: usize = 2;

/// Usage records of an interval.
pub(crate) fn usage_records(cells: &Cells) -> usize {
    cells.len() * DIRECTIONS
}

/// A usage record: one cell, one direction.
#[derive(Debug, Serialize)]
pub(super) struct UsageObject<'a> {
    pub(super) timestamp: &'a str,
    pub(super) event_type: &'static str,
    pub(super) end: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<&'a str>,
    pub(super) sequence: u64,
    pub(super) records: usize,
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
    /// The records of an interval, numbered from zero.
    pub(super) fn all(
        interval: &'a Interval,
        cells: &'a Cells,
        set: &'a SignatureSet,
    ) -> impl Iterator<Item = (usize, Self)> {
        cells
            .iter()
            .flat_map(move |(key, totals)| Self::of(interval, key, totals, set))
            .enumerate()
    }

    fn of(
        interval: &'a Interval,
        key: &CellKey,
        totals: &Totals,
        set: &'a SignatureSet,
    ) -> [Self; DIRECTIONS] {
        let catalog = set.catalog();
        let app = key.app.and_then(|id| catalog.app(id));
        let half = |direction, counters: &Counters, flows| Self {
            timestamp: &interval.start,
            event_type: "usage",
            end: &interval.end,
            run: interval.run.as_deref(),
            sequence: interval.sequence,
            records: interval.records,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Named;
    use crate::decode::Vlans;
    use crate::dissect::{Dns, Facts, Http, Tls};
    use crate::flow::{EndReason, PerSide};
    use std::time::Duration;

    fn record(facts: Facts) -> FlowRecord {
        FlowRecord {
            flow_id: 1,
            first: Timestamp::default(),
            last: Timestamp::default(),
            client_ip: [10, 0, 0, 1].into(),
            client_port: 1,
            server_ip: [10, 0, 0, 2].into(),
            server_port: 2,
            protocol: crate::decode::IpProtocol::TCP,
            icmp: (0, 0),
            vlans: Vlans::default(),
            tunnel: None,
            named: Named::default(),
            settled_at_packet: 0,
            facts: Some(Box::new(facts)),
            counters: PerSide::default(),
            state: "new",
            reason: EndReason::Idle,
            steps: None,
        }
    }

    #[test]
    fn hostile_texts_do_not_make_a_line_too_long() {
        let wild = |len: usize| Some("\u{1}".repeat(len).into());
        // (list entries, what is left: user agent, query name)
        for (entries, user_agent, query_name) in
            [(0, false, true), (3, false, true), (32, false, true)]
        {
            let facts = Facts {
                server_name: wild(255),
                tls: Some(Box::new(Tls {
                    alpn: vec!["a".repeat(255).into(); entries],
                    ..Tls::default()
                })),
                http: Some(Box::new(Http {
                    user_agent: wild(512),
                    ..Http::default()
                })),
                dns: Some(Box::new(Dns {
                    query_name: wild(255),
                    ..Dns::default()
                })),
                ..Facts::default()
            };
            let mut json = Json::flows(Vec::new());
            json.flow(&record(facts), &SignatureSet::default()).unwrap();
            assert!(json.writer.len() <= LONGEST_LINE, "{}", json.writer.len());
            let value: serde_json::Value = serde_json::from_slice(&json.writer).unwrap();
            assert_eq!(value["server_name"].as_str().unwrap().len(), 255);
            assert!(value.get("alpn").is_none());
            assert_eq!(value.get("user_agent").is_some(), user_agent);
            assert_eq!(value.get("query_name").is_some(), query_name);
        }
    }

    #[test]
    fn the_manual_names_every_fact_of_a_record() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/records.md");
        let manual = std::fs::read_to_string(path).unwrap();
        for name in RECORDED {
            assert!(manual.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn usage_records_name_their_interval() {
        let cells: Cells = [(CellKey::default(), Totals::default())].into();
        let run = Timestamp::new(1_767_323_045, 5);
        for (run, expected) in [
            (None, None),
            (Some(run), Some("2026-01-02T03:04:05.000000005Z")),
        ] {
            let length = Duration::from_secs(60);
            let mut json = Json::usage(Vec::new(), Intervals { length, run });
            json.interval(Timestamp::new(120, 0), 7, &cells, &SignatureSet::default())
                .unwrap();
            let lines: Vec<serde_json::Value> = json
                .writer
                .split(|&byte| byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice(line).unwrap())
                .collect();
            assert_eq!(lines.len(), 2);
            for line in lines {
                assert_eq!(line["timestamp"], "1970-01-01T00:02:00.000000000Z");
                assert_eq!(line["end"], "1970-01-01T00:03:00.000000000Z");
                assert_eq!(line.get("run").and_then(|run| run.as_str()), expected);
                assert_eq!(
                    (&line["sequence"], &line["records"]),
                    (&7.into(), &2.into())
                );
                assert!(line["signature_set"].is_string());
            }
        }
    }
}
