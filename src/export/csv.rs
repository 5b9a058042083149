//! CSV (RFC 4180): the same records as JSON Lines, a column a field.

use std::io;

use serde::Serialize;

use super::json::{FlowObject, Interval, UsageObject};
use super::lines::Lines;
use super::{Exporter, Intervals, Rest};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{Cells, FlowRecord};

/// Writes a header line, then one record a line.
#[derive(Debug)]
pub struct Csv<W: Lines> {
    writer: W,
    text: Vec<u8>,
    headed: bool,
    flows: bool,
    usage: Option<Intervals>,
    rest: Rest,
}

impl<W: Lines> Csv<W> {
    /// Writes flow records to `writer`.
    pub const fn flows(writer: W) -> Self {
        Self {
            writer,
            text: Vec::new(),
            headed: false,
            flows: true,
            usage: None,
            rest: Rest::new(),
        }
    }

    /// Writes usage records to `writer`.
    pub const fn usage(writer: W, intervals: Intervals) -> Self {
        Self {
            writer,
            text: Vec::new(),
            headed: false,
            flows: false,
            usage: Some(intervals),
            rest: Rest::new(),
        }
    }

    fn write(&mut self, row: &impl Serialize) -> io::Result<()> {
        self.text.clear();
        let mut out = csv::WriterBuilder::new()
            .has_headers(!self.headed)
            .buffer_capacity(1 << 10)
            .from_writer(&mut self.text);
        out.serialize(row).map_err(io::Error::other)?;
        out.flush()?;
        drop(out);
        let mut line = self.text.as_mut_slice();
        if !self.headed {
            let end = memchr::memchr(b'\n', line).map_or(0, |place| place + 1);
            let (header, first) = line.split_at_mut(end);
            self.writer.header(header)?;
            self.headed = true;
            line = first;
        }
        // A field may hold a line feed, in quotes; a record shall be one line nevertheless.
        if let Some((_, fields)) = line.split_last_mut() {
            for byte in fields {
                if matches!(byte, b'\n' | b'\r' | 0) {
                    *byte = b' ';
                }
            }
        }
        self.writer.line(line)
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
    inner_proto: &'a str,
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
    remembered: bool,
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
    /// Nothing, or blanks before the end of a page of a rotated file.
    fill: &'static str,
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
            inner_proto: object.inner_proto.unwrap_or_default(),
            app: object.app.unwrap_or_default(),
            app_id: object.app_id,
            service: object.service.map_or("", crate::app::Service::slug),
            category: object.category.unwrap_or_default(),
            evidence: object.evidence.map_or("", crate::verdict::Evidence::slug),
            signature: object.signature.as_deref().unwrap_or_default(),
            unknown: object.unknown.unwrap_or_default(),
            server_name: object.facts.text("server_name"),
            ja4: object.facts.text("ja4"),
            settled_at_packet: object.settled_at_packet,
            remembered: object.remembered,
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
            fill: "",
        }
    }
}

/// A usage record with the same columns in every row.
#[derive(Serialize)]
struct UsageRow<'a> {
    timestamp: &'a str,
    event_type: &'a str,
    end: &'a str,
    run: &'a str,
    sequence: u64,
    records: usize,
    app: Option<&'a str>,
    app_id: Option<u32>,
    service: Option<crate::app::Service>,
    app_proto: Option<&'a str>,
    category: Option<&'a str>,
    evidence: Option<crate::verdict::Evidence>,
    unknown: Option<&'a str>,
    direction: &'a str,
    packets: u64,
    bytes: u64,
    ip_bytes: u64,
    flows: u64,
    signature_set: &'a str,
    fill: &'static str,
}

impl<'a> From<&'a UsageObject<'a>> for UsageRow<'a> {
    fn from(object: &'a UsageObject<'a>) -> Self {
        Self {
            timestamp: object.timestamp,
            event_type: object.event_type,
            end: object.end,
            run: object.run.unwrap_or_default(),
            sequence: object.sequence,
            records: object.records,
            app: object.app,
            app_id: object.app_id,
            service: object.service,
            app_proto: object.app_proto,
            category: object.category,
            evidence: object.evidence,
            unknown: object.unknown,
            direction: object.direction,
            packets: object.packets,
            bytes: object.bytes,
            ip_bytes: object.ip_bytes,
            flows: object.flows,
            signature_set: object.signature_set,
            fill: "",
        }
    }
}

impl<W: Lines> Exporter for Csv<W> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if !self.flows {
            return Ok(());
        }
        let object = FlowObject::new(record, set);
        self.write(&FlowRow::from(&object))
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
            if let Err(error) = self.write(&UsageRow::from(&object)) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::usage::{CellKey, Totals};

    #[test]
    fn usage_rows_have_all_columns() {
        let cells: Cells = [(CellKey::default(), Totals::default())].into();
        let intervals = Intervals {
            length: Duration::from_secs(60),
            run: Some(Timestamp::new(1, 0)),
        };
        let mut csv = Csv::usage(Vec::new(), intervals);
        for sequence in 3..5 {
            let start = Timestamp::new(60 * sequence, 0);
            csv.interval(start, sequence, &cells, &SignatureSet::default())
                .unwrap();
        }
        let mut reader = csv::Reader::from_reader(csv.writer.as_slice());
        let header: Vec<String> = reader
            .headers()
            .unwrap()
            .iter()
            .map(str::to_owned)
            .collect();
        assert_eq!(header.last().unwrap(), "fill");
        let place = |name| header.iter().position(|column| column == name).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 4);
        for (row, sequence) in rows.iter().zip(["3", "3", "4", "4"]) {
            assert_eq!(&row[place("sequence")], sequence);
            assert_eq!(&row[place("records")], "2");
            assert_eq!(&row[place("run")], "1970-01-01T00:00:01.000000000Z");
            assert!(row[place("end")] > row[place("timestamp")]);
            assert_eq!(&row[place("fill")], "");
        }
    }

    #[test]
    fn a_record_is_one_line() {
        #[derive(Serialize)]
        struct Row {
            text: &'static str,
            fill: &'static str,
        }
        for (text, expected) in [
            ("plain", "text,fill\nplain,\n"),
            ("a\nb\r\nc", "text,fill\n\"a b  c\",\n"),
            ("a\"\n", "text,fill\n\"a\"\" \",\n"),
        ] {
            let mut csv = Csv::flows(Vec::new());
            csv.write(&Row { text, fill: "" }).unwrap();
            assert_eq!(String::from_utf8_lossy(&csv.writer), expected);
        }
    }
}
