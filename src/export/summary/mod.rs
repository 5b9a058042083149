//! The summary of a run: volume by application, service, category, protocol or client.

mod rows;

pub use rows::{Kind, Label, Row, rows};

pub(crate) use rows::label;

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use self::rows::COLUMNS;
use super::health;
use super::number::{bytes as human, grouped, percent};
use super::snapshot::{Snapshot, SourceReport};
use super::table::{self, Column};
use crate::signature::SignatureSet;
use crate::usage::{Cells, Summary};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, in at most so many columns of a screen; `None`: as wide as it gets.
    Table(Option<usize>),
    /// One JSON object.
    Json,
    /// Comma-separated values.
    Csv,
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
        Format::Table(width) => {
            writeln!(out, "{}", table(&rows, summary, by, width))?;
            write_totals(out, summary, width)
        }
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(out);
            // The header is there without rows too, and every row has all of its fields.
            let columns = COLUMNS.get(usize::from(by != By::Client)..);
            let columns = columns.unwrap_or_default();
            writer
                .write_record(columns.iter().map(|(name, _)| name))
                .map_err(io::Error::other)?;
            for row in &rows {
                writer
                    .write_record(columns.iter().map(|(_, field)| field(row)))
                    .map_err(io::Error::other)?;
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
    if matches!(format, Format::Table(_)) {
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

/// What a table leaves out where it is too wide: the evidence, the directions, then the ends of
/// names, then counts and the category.
fn table(rows: &[Row], summary: &Summary, by: By, width: Option<usize>) -> String {
    let title = match by {
        By::App | By::Client => "application",
        By::Service => "application/service",
        By::Category => "category",
        By::Protocol => "protocol",
    };
    let mut columns = vec![
        Column::text(title).shortened(12),
        Column::text("category").dropped(2),
        Column::number("flows").dropped(4),
        Column::number("packets").dropped(3),
        Column::number("bytes"),
        Column::number("share").dropped(5),
        Column::number("to server").dropped(1),
        Column::number("to client").dropped(1),
        Column::text("evidence").dropped(0),
    ];
    let has_category = !matches!(by, By::Category | By::Protocol);
    if !has_category {
        columns.remove(1);
    }
    if by == By::Client {
        columns.insert(0, Column::text("client"));
    }
    let whole = summary.ledger.wire.bytes;
    let cells = |row: &Row| {
        let mut cells = vec![
            row.label.name.clone(),
            row.label.category.clone(),
            grouped(row.flows),
            grouped(row.packets),
            human(row.bytes),
            percent(row.bytes, whole),
            human(row.bytes_toserver),
            human(row.bytes_toclient),
            row.evidence.clone(),
        ];
        if !has_category {
            cells.remove(1);
        }
        if by == By::Client {
            cells.insert(0, row.client.clone().unwrap_or_default());
        }
        cells
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table::draw(&columns, &cells, width)
}

/// Writes the line below the table; two, where it does not fit in one.
fn write_totals(out: &mut dyn Write, summary: &Summary, width: Option<usize>) -> io::Result<()> {
    let totals = format!(
        "{} flows, {} packets, {} on the wire",
        grouped(summary.flows),
        grouped(summary.ledger.wire.packets),
        human(summary.ledger.wire.bytes),
    );
    let Some((first, last)) = summary.span else {
        return writeln!(out, "{totals}");
    };
    let span = format!("{first} to {last}");
    let one = totals.width() + 2 + span.width();
    if width.is_some_and(|width| one > width) {
        writeln!(out, "{totals}\n{span}")
    } else {
        writeln!(out, "{totals}, {span}")
    }
}
