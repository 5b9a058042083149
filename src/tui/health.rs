//! Where every byte went, what was lost on the way, and the state of the sources.

use ratatui::layout::Alignment;
use ratatui::style::Style;
use ratatui::text::Line;

use super::breakdown::rule;
use super::layout::{Column, Columns};
use super::state::View;
use super::text::{clean, fit, wrap};
use crate::view::number::{bits_per_second, bytes, grouped, percent};

const LEDGER: &[Column] = &[
    Column::left("where every byte went", 22, 30, 0),
    Column::right("share", 7, 2),
    Column::right("bytes", 10, 1),
    Column::right("rate", 11, 3),
    Column::right("packets", 15, 4),
];

const SOURCES: &[Column] = &[
    Column::left("interface", 10, 16, 0),
    Column::right("thread", 6, 4),
    Column::left("state", 5, 5, 1),
    Column::left("since (UTC)", 19, 19, 6),
    Column::right("received", 15, 5),
    Column::right("ring drops", 11, 2),
    Column::right("if drops", 11, 3),
];

/// All of it, in lines of at most `cells` cells; the caller scrolls.
pub(super) fn lines(view: &View, cells: usize) -> Vec<Line<'static>> {
    let mut lines = closing(view, cells);
    lines.extend(ledger(view, cells));
    lines.push(Line::default());
    lines.extend(sources(view, cells));
    lines.push(Line::default());
    lines.extend(reloads(view, cells));
    lines.extend(distributions(view, cells));
    lines
}

fn closing(view: &View, cells: usize) -> Vec<Line<'static>> {
    let (ledger, theme) = (&view.live.ledger, &view.theme);
    let (text, style) = if ledger.closes {
        let text = format!(
            "The ledger closes: {} bytes in {} frames, each counted once.",
            grouped(ledger.wire.bytes),
            grouped(ledger.wire.packets)
        );
        (text, theme.good())
    } else {
        let counted = ledger.counted;
        let text = format!(
            "THE LEDGER DOES NOT CLOSE: {} of {} bytes, {} of {} frames are counted.",
            grouped(counted.bytes),
            grouped(ledger.wire.bytes),
            grouped(counted.packets),
            grouped(ledger.wire.packets)
        );
        (text, theme.alarm())
    };
    wrapped(&text, cells, style)
}

fn ledger(view: &View, cells: usize) -> Vec<Line<'static>> {
    let theme = &view.theme;
    let columns = Columns::new(LEDGER, cells);
    let mut lines = vec![columns.header(theme)];
    let ledger = &view.live.ledger;
    for line in &ledger.lines {
        let rate = match (line.recent, view.live.span) {
            (Some(recent), Some(span)) => bits_per_second(recent, span),
            _ => "-".to_owned(),
        };
        let style = match line.volume.bytes {
            0 => theme.dim(),
            _ if line.is_alarming => theme.warning(),
            _ => Style::new(),
        };
        let texts = [
            line.name.clone(),
            percent(line.volume.bytes, ledger.wire.bytes),
            bytes(line.volume.bytes),
            rate,
            grouped(line.volume.packets),
        ];
        lines.push(columns.row(&texts, style, theme));
    }
    for (count, text) in [
        (ledger.filtered, "frames were left out by the filter"),
        (
            ledger.lying_lengths,
            "frames claim more than their link allows",
        ),
    ] {
        if count > 0 {
            lines.extend(wrapped(
                &format!("{} {text}", grouped(count)),
                cells,
                theme.dim(),
            ));
        }
    }
    lines
}

fn sources(view: &View, cells: usize) -> Vec<Line<'static>> {
    let (live, theme) = (&view.live, &view.theme);
    let columns = Columns::new(SOURCES, cells);
    let mut lines = vec![columns.header(theme)];
    for source in &live.sources {
        let since = source.since.to_string();
        let texts = [
            clean(&source.interface, theme).into_owned(),
            source.thread.to_string(),
            source.state.to_owned(),
            since.get(..19).unwrap_or(&since).replace('T', " "),
            grouped(source.received),
            grouped(source.dropped_ring),
            grouped(source.dropped_interface),
        ];
        let style = match source.state {
            "up" if source.dropped_ring == 0 && source.dropped_interface == 0 => Style::new(),
            "up" => theme.warning(),
            _ => theme.alarm(),
        };
        lines.push(columns.row(&texts, style, theme));
    }
    let channel = live.dropped_channel;
    let text = format!(
        "full channels: {} frames, {} dropped; {} flow records lost",
        grouped(channel.packets),
        bytes(channel.bytes),
        grouped(live.losses.records),
    );
    let style = if channel.packets > 0 || live.losses.records > 0 {
        theme.warning()
    } else {
        Style::new()
    };
    lines.extend(wrapped(&text, cells, style));
    if live.intervals_waiting > 1 {
        let waiting = grouped(live.intervals_waiting);
        let text = format!("{waiting} usage intervals cannot be written and wait");
        lines.extend(wrapped(&text, cells, theme.alarm()));
    }
    if live.overloaded {
        let text = "OVERLOAD: new flows are counted without inspection, as unknown: overload";
        lines.extend(wrapped(text, cells, theme.alarm()));
    }
    lines
}

fn reloads(view: &View, cells: usize) -> Vec<Line<'static>> {
    let (signatures, theme) = (&view.live.signatures, &view.theme);
    let mut lines = vec![rule("signatures", cells, view)];
    let loaded = signatures.loaded.to_string();
    let text = format!(
        "set {}: {} applications, {} rules, loaded {} UTC; {} taken into use since, {} refused",
        signatures.hash.get(..16).unwrap_or_default(),
        grouped(signatures.apps as u64),
        grouped(signatures.rules as u64),
        loaded.get(..19).unwrap_or(&loaded).replace('T', " "),
        grouped(signatures.accepted),
        grouped(signatures.refused),
    );
    lines.extend(wrapped(&text, cells, Style::new()));
    if let Some(why) = &signatures.last_refusal {
        for line in why.lines().take(8) {
            let text = format!("refused: {}", clean(line, theme));
            lines.extend(wrapped(&text, cells, theme.warning()));
        }
    }
    lines
}

fn distributions(view: &View, cells: usize) -> Vec<Line<'static>> {
    let theme = &view.theme;
    let all = view.live.distributions.iter();
    let mut lines: Vec<Line<'static>> = all
        .map(|one| {
            let text = format!(
                "{}: p50 {}, p90 {}, p99 {} {}",
                one.name,
                grouped(one.p50),
                grouped(one.p90),
                grouped(one.p99),
                one.unit
            );
            Line::from(fit(&text, cells, Alignment::Left, theme))
        })
        .collect();
    if !lines.is_empty() {
        lines.insert(0, Line::default());
        lines.insert(1, rule("distributions", cells, view));
    }
    lines
}

fn wrapped(text: &str, cells: usize, style: Style) -> Vec<Line<'static>> {
    wrap(text, cells, 2)
        .into_iter()
        .map(|text| Line::styled(text, style))
        .collect()
}
