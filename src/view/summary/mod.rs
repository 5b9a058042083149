//! The summary of a run: volume by subject, network, application, service, category, protocol,
//! evidence or several of them together.

mod by;
mod rows;

pub use by::By;
pub use rows::{Kind, Label, Row, rows};

pub(crate) use rows::label;

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use self::rows::{COLUMNS, has_column, is_directed};
use super::health;
use super::number::{bytes as human, grouped, percent};
use super::snapshot::{Snapshot, SourceReport};
use super::table::{self, Column};
use crate::signature::SignatureSet;
use crate::usage::{Cells, Summary};

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
    by: &[By],
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
            let columns: Vec<_> = COLUMNS
                .iter()
                .filter(|(name, _)| has_column(by, name))
                .collect();
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
    by: &[By],
    top: Option<usize>,
    format: Format,
) -> io::Result<()> {
    let summary = Summary {
        cells: match &snapshot.accounts {
            Some(accounts) if by.iter().any(|by| by.needs_subjects()) => Cells::clone(accounts),
            _ => Cells::clone(&snapshot.cells),
        },
        interfaces: snapshot.interfaces.clone().unwrap_or_default(),
        subjects: snapshot.subjects.clone(),
        put_together: snapshot.put_together,
        ledger: snapshot.ledger.clone(),
        health: snapshot.health,
        flows: snapshot.flows,
        span: Some((snapshot.started, snapshot.at)),
        kept_back: snapshot.kept_back.map(|kept| (kept.flows, kept.usage)),
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
    let mut object = serde_json::json!({
        "first": summary.span.map(|(first, _)| first.to_string()),
        "last": summary.span.map(|(_, last)| last.to_string()),
        "flows": summary.flows,
        "subjects_put_together": summary.put_together,
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
    });
    if let (Some((flows, usage)), Some(object)) = (summary.kept_back, object.as_object_mut()) {
        let kept = serde_json::json!({ "flows": flows, "usage": usage });
        object.insert("records_kept_back".to_owned(), kept);
    }
    object
}

/// What a table leaves out where it is too wide: the evidence, the directions, then the ends of
/// names, then counts and the category.
/// A column before or behind the name, and what stands in it.
type Beside = (&'static str, fn(&Row) -> &Option<String>);

fn table(rows: &[Row], summary: &Summary, by: &[By], width: Option<usize>) -> String {
    let first = by.iter().find(|by| by.is_name());
    let first = first.or_else(|| by.first()).copied().unwrap_or_default();
    let title = match first {
        By::App => "application",
        By::Service => "application/service",
        By::Category => "category",
        By::Protocol => "protocol",
        By::Evidence => "evidence",
        By::Subject => "subject",
        By::Network => "network",
        By::Client => "client",
        By::Interface => "interface",
    };
    // What stands in the name needs no column beside it.
    let beside = |what: By| by.contains(&what) && what != first;
    let whose: [(By, Beside); 4] = [
        (By::Interface, ("interface", |row| &row.whose.interface)),
        (By::Subject, ("subject", |row| &row.whose.subject)),
        (By::Network, ("network", |row| &row.whose.network)),
        (By::Client, ("client", |row| &row.whose.client)),
    ];
    let names: [(By, Beside); 2] = [
        (By::App, ("application", |row| &row.label.app)),
        (By::Protocol, ("protocol", |row| &row.label.protocol)),
    ];
    let chosen = |all: &[(By, Beside)]| -> Vec<Beside> {
        let all = all.iter().filter(|(what, _)| beside(*what));
        all.map(|&(_, column)| column).collect()
    };
    let (whose, names) = (chosen(&whose), chosen(&names));
    let has_service = beside(By::Service);
    let has_category = by.contains(&By::Category) && first != By::Category
        || !matches!(first, By::Category | By::Protocol | By::Evidence) && first.is_name();
    let directions = if is_directed(by) {
        ["up", "down"]
    } else {
        ["to server", "to client"]
    };
    let mut columns: Vec<_> = whose
        .iter()
        .map(|&(name, _)| Column::address(name))
        .collect();
    columns.push(if first.is_name() {
        Column::text(title).shortened(12)
    } else {
        Column::address(title)
    });
    columns.extend(names.iter().map(|&(name, _)| Column::text(name)));
    if has_service {
        columns.push(Column::text("service"));
    }
    if has_category {
        columns.push(Column::text("category").dropped(2));
    }
    columns.extend([
        Column::number("flows").dropped(4),
        Column::number("packets").dropped(3),
        Column::number("bytes"),
        Column::number("share").dropped(5),
        Column::number(directions[0]).dropped(1),
        Column::number(directions[1]).dropped(1),
        Column::text("evidence").dropped(0),
    ]);
    let whole = summary.ledger.wire.bytes;
    let cells = |row: &Row| {
        let field = |&(_, field): &Beside| field(row).clone().unwrap_or_default();
        let mut cells: Vec<String> = whose.iter().map(field).collect();
        cells.push(row.label.name.clone());
        cells.extend(names.iter().map(field));
        if has_service {
            cells.push(row.label.service.unwrap_or_default().to_owned());
        }
        if has_category {
            cells.push(row.label.category.clone());
        }
        let up = row.bytes_up.or(row.bytes_toserver);
        let down = row.bytes_down.or(row.bytes_toclient);
        cells.extend([
            grouped(row.flows),
            grouped(row.packets),
            human(row.bytes),
            percent(row.bytes, whole),
            human(up.unwrap_or_default()),
            human(down.unwrap_or_default()),
            row.evidence.clone(),
        ]);
        cells
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table::draw(&columns, &cells, width)
}

/// Writes the line below the table; two or three, where it does not fit in one.
fn write_totals(out: &mut dyn Write, summary: &Summary, width: Option<usize>) -> io::Result<()> {
    if summary.put_together > 0 {
        let subjects = grouped(summary.put_together);
        writeln!(
            out,
            "{subjects} subjects are put together as `other` (--max-accounts)"
        )?;
    }
    if let Some((flows, usage)) = summary.kept_back {
        let (flows, usage) = (grouped(flows), grouped(usage));
        writeln!(
            out,
            "not written (--only): {flows} flow records, {usage} usage records"
        )?;
    }
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
    let fits = |cells: usize| width.is_none_or(|width| cells <= width);
    if fits(totals.width() + 2 + span.width()) {
        writeln!(out, "{totals}, {span}")
    } else if fits(span.width()) {
        writeln!(out, "{totals}\n{span}")
    } else {
        writeln!(out, "{totals}\n{first} to\n{last}")
    }
}
