//! The summary of a run: volume by application, service, category, protocol or client.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

use super::health;
use super::number::{bytes as human, grouped, percent};
use super::snapshot::{Snapshot, SourceReport};
use crate::classify::UnknownReason;
use crate::signature::SignatureSet;
use crate::usage::{CellKey, Cells, Summary, Totals};
use crate::verdict::Evidence;

/// What a row of the summary is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// An application.
    #[default]
    App,
    /// A service of an application.
    Service,
    /// A category of applications.
    Category,
    /// A protocol.
    Protocol,
    /// A client address and an application.
    Client,
}

/// How the summary is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON object.
    Json,
    /// Comma-separated values.
    Csv,
}

/// One row of the summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The client's address, with [`By::Client`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The application, service, category or protocol.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The application's category.
    pub category: String,
    /// Flows that settled under it.
    pub flows: u64,
    /// Captured frames.
    pub packets: u64,
    /// Bytes as on the wire.
    pub bytes: u64,
    /// Of these, sent by clients.
    pub bytes_toserver: u64,
    /// Of these, sent by servers.
    pub bytes_toclient: u64,
    /// Bytes of the innermost IP packets.
    pub ip_bytes: u64,
    /// The evidence most of the bytes rest on.
    pub evidence: String,
}

/// The columns of CSV, in the order of the fields of [`Row`]. The first is there with [`By::Client`].
const COLUMNS: [&str; 11] = [
    "client",
    "name",
    "title",
    "category",
    "flows",
    "packets",
    "bytes",
    "bytes_toserver",
    "bytes_toclient",
    "ip_bytes",
    "evidence",
];

/// The rows of `summary`, most bytes first, at most `top`; what is left over is summed up last.
pub fn rows(summary: &Summary, set: &SignatureSet, by: By, top: Option<usize>) -> Vec<Row> {
    type Group = (Totals, BTreeMap<Option<Evidence>, u64>);
    let mut groups: BTreeMap<(Option<String>, String, String, String), Group> = BTreeMap::new();
    let mut add = |client: Option<String>, key: &CellKey, totals: &Totals| {
        let (name, title, category) = names(key, set, by);
        let (sum, evidence) = groups.entry((client, name, title, category)).or_default();
        sum.add(totals);
        *evidence.entry(key.evidence).or_default() += totals.bytes();
    };
    if by == By::Client {
        for ((ip, key), totals) in &summary.clients {
            add(Some(ip.to_string()), key, totals);
        }
        // What found no place in the flow table is no client's.
        for (key, totals) in &summary.cells {
            if key.unknown == Some(UnknownReason::TableFull) {
                add(None, key, totals);
            }
        }
    } else {
        for (key, totals) in &summary.cells {
            add(None, key, totals);
        }
    }
    let mut rows: Vec<Row> = groups
        .into_iter()
        .map(|((client, name, title, category), (totals, evidence))| {
            let most = evidence.into_iter().max_by_key(|&(_, bytes)| bytes);
            Row {
                client,
                name,
                title,
                category,
                flows: totals.flows,
                packets: totals.packets(),
                bytes: totals.bytes(),
                bytes_toserver: totals.sides.client.bytes,
                bytes_toclient: totals.sides.server.bytes,
                ip_bytes: totals.sides.client.ip_bytes + totals.sides.server.ip_bytes,
                evidence: most
                    .and_then(|(class, _)| class)
                    .map_or("", Evidence::slug)
                    .to_owned(),
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        b.bytes
            .cmp(&a.bytes)
            .then_with(|| (&a.client, &a.name).cmp(&(&b.client, &b.name)))
    });
    if let Some(top) = top
        && rows.len() > top
    {
        let rest = rows.split_off(top);
        let name = format!("({} more)", rest.len());
        rows.push(rest.into_iter().fold(Row::named(name), |mut sum, row| {
            sum.flows += row.flows;
            sum.packets += row.packets;
            sum.bytes += row.bytes;
            sum.bytes_toserver += row.bytes_toserver;
            sum.bytes_toclient += row.bytes_toclient;
            sum.ip_bytes += row.ip_bytes;
            sum
        }));
    }
    rows
}

impl Row {
    const fn named(name: String) -> Self {
        Self {
            client: None,
            name,
            title: String::new(),
            category: String::new(),
            flows: 0,
            packets: 0,
            bytes: 0,
            bytes_toserver: 0,
            bytes_toclient: 0,
            ip_bytes: 0,
            evidence: String::new(),
        }
    }
}

/// Writes the summary.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(
    out: &mut dyn Write,
    summary: &Summary,
    set: &SignatureSet,
    by: By,
    top: Option<usize>,
    format: Format,
) -> io::Result<()> {
    let rows = rows(summary, set, by, top);
    match format {
        Format::Table => out.write_all(table(&rows, summary, by).as_bytes()),
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(out);
            // The header is there without rows too, and every row has all of its fields.
            let columns = COLUMNS.get(usize::from(by != By::Client)..);
            writer
                .write_record(columns.unwrap_or_default())
                .map_err(io::Error::other)?;
            for mut row in rows {
                if by == By::Client {
                    row.client.get_or_insert_default();
                }
                writer.serialize(row).map_err(io::Error::other)?;
            }
            writer.flush()
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut *out, &json(&rows, summary, set))?;
            out.write_all(b"\n")
        }
    }
}

/// Writes the summary of a live run, and what was lost where.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write_live(
    out: &mut dyn Write,
    snapshot: &Snapshot,
    by: By,
    top: Option<usize>,
    format: Format,
) -> io::Result<()> {
    let summary = Summary {
        cells: Cells::clone(&snapshot.cells),
        ledger: snapshot.ledger.clone(),
        health: snapshot.health,
        flows: snapshot.flows,
        span: Some((snapshot.started, snapshot.at)),
        ..Summary::default()
    };
    if matches!(format, Format::Json) {
        let rows = rows(&summary, &snapshot.set, by, top);
        let mut object = json(&rows, &summary, &snapshot.set);
        add_live(&mut object, snapshot);
        serde_json::to_writer_pretty(&mut *out, &object)?;
        return out.write_all(b"\n");
    }
    write(out, &summary, &snapshot.set, by, top, format)?;
    if matches!(format, Format::Table) {
        for source in &snapshot.sources {
            writeln!(
                out,
                "{} (thread {}): {}, {} frames offered, dropped: {} ring, {} interface",
                source.interface,
                source.thread,
                source.state,
                grouped(source.received),
                grouped(source.dropped_ring),
                grouped(source.dropped_interface),
            )?;
        }
        let lost = (snapshot.records_lost, snapshot.usage_records_lost);
        if lost != (0, 0) {
            let (flows, usage) = (grouped(lost.0), grouped(lost.1));
            writeln!(out, "lost: {flows} flow records, {usage} usage records")?;
        }
        writeln!(out, "{}", summary.ledger)?;
        write_health(out, &summary)?;
    }
    Ok(())
}

/// Writes what is wrong with the mirror, a line each: nothing, as a rule.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write_health(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    for line in health::lines(&summary.health) {
        writeln!(out, "mirror: {line}")?;
    }
    Ok(())
}

/// Writes the same where there is no summary for people, as warnings.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn warn_of_health(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    for line in health::lines(&summary.health) {
        writeln!(out, "ottometer: warning: the mirror: {line}")?;
    }
    Ok(())
}

/// What only a live run has.
fn add_live(object: &mut serde_json::Value, snapshot: &Snapshot) {
    let sum = |field: fn(&SourceReport) -> u64| snapshot.sources.iter().map(field).sum::<u64>();
    let sources: Vec<_> = snapshot
        .sources
        .iter()
        .map(|source| {
            serde_json::json!({
                "interface": source.interface,
                "thread": source.thread,
                "state": source.state,
                "since": source.since.to_string(),
                "received": source.received,
                "dropped_ring": source.dropped_ring,
                "dropped_interface": source.dropped_interface,
            })
        })
        .collect();
    let dropped = serde_json::json!({
        "interface": sum(|source| source.dropped_interface),
        "ring": sum(|source| source.dropped_ring),
        "channel": snapshot.dropped_channel.packets,
    });
    let reloads = serde_json::json!({
        "accepted": snapshot.reloads.accepted,
        "refused": snapshot.reloads.refused,
        "last_refusal": snapshot.reloads.last_refusal.as_deref(),
    });
    if let Some(object) = object.as_object_mut() {
        object.insert("sources".to_owned(), sources.into());
        object.insert("dropped".to_owned(), dropped);
        object.insert("records_lost".to_owned(), snapshot.records_lost.into());
        let usage = snapshot.usage_records_lost;
        object.insert("usage_records_lost".to_owned(), usage.into());
        object.insert("reloads".to_owned(), reloads);
    }
}

fn json(rows: &[Row], summary: &Summary, set: &SignatureSet) -> serde_json::Value {
    let ledger = &summary.ledger;
    let volume = |volume: crate::usage::ledger::Volume| serde_json::json!({ "packets": volume.packets, "bytes": volume.bytes });
    let lines: serde_json::Map<String, serde_json::Value> = ledger
        .lines()
        .into_iter()
        .map(|(name, counted)| (name, volume(counted)))
        .collect();
    let mirror: serde_json::Map<String, serde_json::Value> = summary
        .health
        .iter()
        .map(|(fault, counted)| {
            let counted = serde_json::json!({ "checked": counted.checked, "found": counted.found });
            (fault.slug().to_owned(), counted)
        })
        .collect();
    serde_json::json!({
        "first": summary.span.map(|(first, _)| first.to_string()),
        "last": summary.span.map(|(_, last)| last.to_string()),
        "flows": summary.flows,
        "signature_set": set.hash(),
        "rows": rows,
        "mirror": {
            "checks": mirror,
            "warnings": health::lines(&summary.health).collect::<Vec<_>>(),
        },
        "ledger": {
            "wire": volume(ledger.wire),
            "filtered": volume(ledger.filtered),
            "lying_lengths": ledger.lying_lengths,
            "counted": lines,
            "closes": ledger.closes(),
        },
    })
}

/// Name, title and category of the row that `key` is counted in; the latter two may be empty.
pub(crate) fn names(key: &CellKey, set: &SignatureSet, by: By) -> (String, String, String) {
    let catalog = set.catalog();
    let unknown = || match key.unknown {
        Some(reason) => format!("unknown ({})", reason.slug()),
        None => "unknown".to_owned(),
    };
    let proto = key
        .proto
        .map(|proto| catalog.protocol_name(proto).to_owned());
    let app = key.app.and_then(|id| catalog.app(id));
    match (by, app) {
        (By::Protocol, _) => (proto.unwrap_or_else(unknown), String::new(), String::new()),
        (By::Category, Some(app)) => (app.category.to_string(), String::new(), String::new()),
        (By::Category, None) => (
            proto.map_or_else(unknown, |_| "(protocol only)".to_owned()),
            String::new(),
            String::new(),
        ),
        (By::Service, Some(app)) => {
            let service = key.service.map_or("-", crate::app::Service::slug);
            (
                format!("{}/{service}", app.name),
                app.title.to_string(),
                app.category.to_string(),
            )
        }
        (By::App | By::Client, Some(app)) => (
            app.name.to_string(),
            app.title.to_string(),
            app.category.to_string(),
        ),
        // A protocol that is no application's is shown by its own name, marked as such.
        (_, None) => {
            let name = proto.map_or_else(unknown, |proto| format!("({proto})"));
            (name, String::new(), String::new())
        }
    }
}

/// Lines above and below the rows, none between them.
const RULED: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().header_separator(line).bottom_border(line)
};

fn table(rows: &[Row], summary: &Summary, by: By) -> String {
    let title = match by {
        By::App | By::Client => "application",
        By::Service => "application/service",
        By::Category => "category",
        By::Protocol => "protocol",
    };
    let mut header = vec![
        title,
        "category",
        "flows",
        "packets",
        "bytes",
        "share",
        "to server",
        "to client",
        "evidence",
    ];
    if by == By::Client {
        header.insert(0, "client");
    }
    let mut table = Table::new();
    table
        .load_style(RULED)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    let whole = summary.ledger.wire.bytes;
    for row in rows {
        let number = |value: u64| Cell::new(grouped(value)).set_alignment(CellAlignment::Right);
        let bytes = |value: u64| Cell::new(human(value)).set_alignment(CellAlignment::Right);
        let mut cells = vec![
            Cell::new(&row.name),
            Cell::new(&row.category),
            number(row.flows),
            number(row.packets),
            bytes(row.bytes),
            Cell::new(percent(row.bytes, whole)).set_alignment(CellAlignment::Right),
            bytes(row.bytes_toserver),
            bytes(row.bytes_toclient),
            Cell::new(&row.evidence),
        ];
        if let Some(client) = &row.client {
            cells.insert(0, Cell::new(client));
        } else if by == By::Client {
            cells.insert(0, Cell::new(""));
        }
        table.add_row(cells);
    }
    let mut text = String::new();
    let span = summary
        .span
        .map_or_else(String::new, |(first, last)| format!(", {first} to {last}"));
    let _ = writeln!(text, "{table}");
    let _ = writeln!(
        text,
        "{} flows, {} packets, {} on the wire{span}",
        grouped(summary.flows),
        grouped(summary.ledger.wire.packets),
        human(summary.ledger.wire.bytes),
    );
    text
}
