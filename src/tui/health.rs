//! Where every byte went, what was lost on the way, and the state of the sources.

use std::cmp::Reverse;

use ratatui::layout::Alignment;
use ratatui::style::Style;
use ratatui::text::Line;

use super::View;
use super::breakdown::rule;
use super::layout::{Column, Columns};
use super::text::{clean, fit, wrap};
use crate::classify::UnknownReason;
use crate::usage::Ledger;
use crate::usage::ledger::Volume;
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
    let (ledger, theme) = (&view.snapshot.ledger, &view.theme);
    let (text, style) = if ledger.closes() {
        let text = format!(
            "The ledger closes: {} bytes in {} frames, each counted once.",
            grouped(ledger.wire.bytes),
            grouped(ledger.wire.packets)
        );
        (text, theme.good())
    } else {
        let counted = ledger.counted();
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
    let now = &view.snapshot.ledger;
    let before = view.history.ledger_before();
    for (name, of) in places() {
        let volume = of(now);
        if volume == Volume::default() && name.starts_with("no flow") {
            continue;
        }
        // What is unsettled is a level, not a count: it has no rate.
        let rate = match (before, view.history.span()) {
            (Some(before), Some(span)) if name != "unsettled" => {
                bits_per_second(volume.bytes.saturating_sub(of(before).bytes), span)
            }
            _ => "-".to_owned(),
        };
        let alarming = name == "unknown: overload" || name == "unknown: table-full";
        let style = match volume.bytes {
            0 => theme.dim(),
            _ if alarming => theme.warning(),
            _ => Style::new(),
        };
        let texts = [
            name,
            percent(volume.bytes, now.wire.bytes),
            bytes(volume.bytes),
            rate,
            grouped(volume.packets),
        ];
        lines.push(columns.row(&texts, style, theme));
    }
    for (count, text) in [
        (now.filtered.packets, "frames were left out by the filter"),
        (
            now.lying_lengths,
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

type Of = Box<dyn Fn(&Ledger) -> Volume>;

/// The lines of a ledger and how to find them.
fn places() -> Vec<(String, Of)> {
    let mut places: Vec<(String, Of)> = vec![
        (
            "applications".to_owned(),
            Box::new(|ledger| ledger.applications),
        ),
        ("protocols".to_owned(), Box::new(|ledger| ledger.protocols)),
        ("unsettled".to_owned(), Box::new(|ledger| ledger.unsettled)),
    ];
    for reason in UnknownReason::ALL {
        places.push((
            format!("unknown: {}", reason.slug()),
            Box::new(move |ledger| {
                let found = ledger.unknown.get(reason as usize);
                found.copied().unwrap_or_default()
            }),
        ));
    }
    for reason in crate::decode::DropReason::ALL {
        places.push((
            format!("no flow: {}", reason.slug()),
            Box::new(move |ledger| {
                let found = ledger.drops.iter().find(|&(other, _)| other == reason);
                found.map_or_else(Volume::default, |(_, volume)| volume)
            }),
        ));
    }
    places
}

fn sources(view: &View, cells: usize) -> Vec<Line<'static>> {
    let (snapshot, theme) = (&view.snapshot, &view.theme);
    let columns = Columns::new(SOURCES, cells);
    let mut lines = vec![columns.header(theme)];
    let mut sources: Vec<_> = snapshot.sources.iter().collect();
    sources.sort_by_key(|source| {
        let lost = source.dropped_ring.saturating_add(source.dropped_interface);
        (source.state == "up", Reverse(lost))
    });
    for source in sources {
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
    let channel = snapshot.dropped_channel;
    let text = format!(
        "full channels: {} frames, {} dropped; {} flow records lost",
        grouped(channel.packets),
        bytes(channel.bytes),
        grouped(snapshot.records_lost),
    );
    let style = if channel.packets > 0 || snapshot.records_lost > 0 {
        theme.warning()
    } else {
        Style::new()
    };
    lines.extend(wrapped(&text, cells, style));
    if snapshot.intervals_waiting > 1 {
        let waiting = grouped(snapshot.intervals_waiting);
        let text = format!("{waiting} usage intervals cannot be written and wait");
        lines.extend(wrapped(&text, cells, theme.alarm()));
    }
    if snapshot.overloaded {
        let text = "OVERLOAD: new flows are counted without inspection, as unknown: overload";
        lines.extend(wrapped(text, cells, theme.alarm()));
    }
    lines
}

fn reloads(view: &View, cells: usize) -> Vec<Line<'static>> {
    let (snapshot, theme) = (&view.snapshot, &view.theme);
    let reloads = &snapshot.reloads;
    let mut lines = vec![rule("signatures", cells, view)];
    let loaded = reloads.loaded.to_string();
    let text = format!(
        "set {}: {} applications, {} rules, loaded {} UTC; {} taken into use since, {} refused",
        snapshot.set.hash().get(..16).unwrap_or_default(),
        grouped(snapshot.set.catalog().app_count() as u64),
        grouped(snapshot.set.rule_count() as u64),
        loaded.get(..19).unwrap_or(&loaded).replace('T', " "),
        grouped(reloads.accepted),
        grouped(reloads.refused),
    );
    lines.extend(wrapped(&text, cells, Style::new()));
    if let Some(why) = &reloads.last_refusal {
        for line in why.lines().take(8) {
            let text = format!("refused: {}", clean(line, theme));
            lines.extend(wrapped(&text, cells, theme.warning()));
        }
    }
    lines
}

fn distributions(view: &View, cells: usize) -> Vec<Line<'static>> {
    let theme = &view.theme;
    let filled = view
        .snapshot
        .stats
        .iter()
        .filter(|(_, _, histogram)| !histogram.is_empty());
    let mut lines: Vec<Line<'static>> = filled
        .map(|(name, unit, histogram)| {
            let quantiles: Vec<String> = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)]
                .into_iter()
                .map(|(title, quantile)| {
                    format!("{title} {}", grouped(histogram.value_at_quantile(quantile)))
                })
                .collect();
            let text = format!("{name}: {} {unit}", quantiles.join(", "));
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
