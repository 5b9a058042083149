//! Volume by name (applications, services, categories) and by subject, and what the selected row is
//! made of.

use std::cmp::Reverse;

use ratatui::layout::Alignment;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::input::Pane;
use super::layout::{Column, Columns, latest, sparkline};
use super::sort::RowSort;
use super::state::View;
use super::text::{clean, cut, fit, wrap};
use crate::view::live::Row;
use crate::view::number::{bits_per_second, bytes, grouped, percent, short};

/// Columns of a table by name.
const NAMES: &[Column] = &[
    Column::left("name", 20, 32, 0),
    Column::left("title", 12, 24, 7),
    Column::left("category", 10, 18, 5),
    Column::right("rate", 11, 1),
    Column::right("share", 7, 2),
    Column::right("total", 9, 3),
    Column::right("flows", 7, 4),
    Column::left("trend", 10, 120, 6),
];

/// Columns of the table of subjects.
const SUBJECTS: &[Column] = &[
    Column::left("subject", 15, 43, 0),
    Column::right("rate", 11, 1),
    Column::right("share", 7, 5),
    Column::right("up", 9, 2),
    Column::right("down", 9, 3),
    Column::right("flows", 7, 7),
    Column::left("most of", 21, 60, 4),
    Column::left("trend", 10, 120, 6),
];

/// The rows of a kind that fit the search, in order.
pub(super) fn rows(view: &View, kind: usize) -> Vec<&Row> {
    let mut rows: Vec<&Row> = view.live.rows.get(kind).into_iter().flatten().collect();
    rows.retain(|row| {
        view.search.text().is_empty()
            || view
                .search
                .fits(&format!("{} {} {}", row.name, row.title, row.category))
    });
    rows.sort_by_key(|row| {
        let recent = match view.sort {
            RowSort::Rate => row.recent,
            RowSort::Total => 0,
        };
        (Reverse((recent, row.volume.bytes)), &row.name)
    });
    rows
}

/// The keys of those rows.
pub(super) fn keys(view: &View, kind: usize) -> Vec<String> {
    let rows = rows(view, kind);
    rows.into_iter().map(|row| row.name.clone()).collect()
}

/// What a run says that keeps no subjects apart.
const NOT_ASKED_FOR: &str = "This run does not keep subjects apart: start it with --by subject to see \
    who uses most, of what. A subject is an address inside one's own networks (--local), or a \
    network of them (--ipv4-prefix, --ipv6-prefix); with --by client it is the client's address.";

/// The table of a kind, and the selected row's evidence below it.
pub(super) fn lines(
    view: &mut View,
    kind: usize,
    cells: usize,
    height: usize,
) -> Vec<Line<'static>> {
    let keys = keys(view, kind);
    let below = match height {
        ..8 => 0,
        8..24 => 3,
        24..40 => 8,
        _ => 13,
    };
    let table = height.saturating_sub(below + 1);
    let Some(cursor) = view.names.get_mut(kind) else {
        return Vec::new();
    };
    let window = cursor.window(&keys, table);
    let selected = cursor.place(&keys);

    let view = &*view;
    let theme = view.theme;
    let is_subjects = view.pane == Pane::Subjects;
    if is_subjects && !view.live.has_subjects && view.live.sequence > 0 {
        let text = wrap(NOT_ASKED_FOR, cells, 0);
        return text.into_iter().map(Line::from).collect();
    }
    let columns = Columns::new(if is_subjects { SUBJECTS } else { NAMES }, cells);
    let rows = rows(view, kind);
    let mut lines = vec![columns.header(&theme)];
    if rows.is_empty() {
        let why = if view.search.text().is_empty() {
            "nothing has settled yet"
        } else {
            "no name fits the search; Esc clears it"
        };
        lines.push(Line::styled(cut(why, cells, &theme), theme.dim()));
    }
    let spark = columns.cells("trend");
    // Who uses most is seen at once where all have one scale; of names each has its own.
    let full = is_subjects.then(|| {
        let shown = rows.get(window.clone()).unwrap_or_default().iter();
        let highest = shown.flat_map(|row| latest(&row.trend, spark));
        highest.copied().max().unwrap_or_default()
    });
    let whole = match view.sort {
        RowSort::Rate => view.live.recent.bytes,
        RowSort::Total => view.live.ledger.wire.bytes,
    };
    for (place, row) in rows.iter().enumerate().take(window.end).skip(window.start) {
        let total = row.volume.bytes;
        let part = match view.sort {
            RowSort::Rate => row.recent,
            RowSort::Total => total,
        };
        let name = clean(&row.name, &theme).into_owned();
        let span = view.live.span;
        let rate = span.map_or_else(|| "-".to_owned(), |span| bits_per_second(row.recent, span));
        let share = percent(part, whole);
        let trend = sparkline(&row.trend, full, spark, &theme);
        let texts = if is_subjects {
            let parts = shares(row, 3);
            let most = clean(&parts, &theme).into_owned();
            let (up, down) = (bytes(row.up), bytes(row.down));
            [name, rate, share, up, down, short(row.flows), most, trend]
        } else {
            let title = clean(&row.title, &theme).into_owned();
            let category = clean(&row.category, &theme).into_owned();
            let (total, flows) = (bytes(total), short(row.flows));
            [name, title, category, rate, share, total, flows, trend]
        };
        let style = match place {
            place if place == selected => theme.selected(),
            _ if row.recent == 0 && view.sort == RowSort::Rate => theme.dim(),
            _ => Style::new(),
        };
        lines.push(columns.row(&texts, style, &theme));
    }
    if below > 0 {
        lines.resize(table + 1, Line::default());
        if let Some(row) = rows.get(selected) {
            lines.extend(made_of(view, row, cells, below));
        }
    }
    lines
}

/// The first parts of `row` with their shares of it.
fn shares(row: &Row, most: usize) -> String {
    let parts = row.parts.iter().take(most);
    let texts: Vec<String> = parts
        .map(|(name, bytes)| format!("{name} {}", percent(*bytes, row.volume.bytes)))
        .collect();
    texts.join(", ")
}

/// What the volume of `row` rests on, or is of.
fn made_of(view: &View, row: &Row, cells: usize, height: usize) -> Vec<Line<'static>> {
    let theme = &view.theme;
    let (up, down, parts) = if view.pane == Pane::Subjects {
        ("up", "down", "applications")
    } else {
        ("to server", "to client", "evidence")
    };
    let mut lines = vec![rule(&headline(row), cells, view)];
    if height < 8 {
        let text = format!("{parts}: {}", shares(row, row.parts.len()));
        let text = clean(&text, theme);
        let wrapped = wrap(&text, cells, 10).into_iter().map(Line::from);
        lines.extend(wrapped.take(height - 1));
        return lines;
    }
    let text = format!(
        "{} packets, {} flows, {} {up}, {} {down}; {parts}:",
        grouped(row.volume.packets),
        grouped(row.flows),
        bytes(row.up),
        bytes(row.down),
    );
    lines.push(Line::from(cut(&text, cells, theme)));
    let bar = theme.bars().last().copied().unwrap_or('#');
    let total = row.volume.bytes;
    // Names of applications are longer than those of evidence.
    let longest = row
        .parts
        .iter()
        .map(|(name, _)| super::text::width(name))
        .max();
    let name_cells = longest.unwrap_or_default().clamp(13, 24);
    for (name, part) in row.parts.iter().take(height - 2) {
        let room = cells.saturating_sub(23 + name_cells).min(60);
        let filled = u128::from(*part) * room as u128 / u128::from(total.max(1));
        let filled = usize::try_from(filled).unwrap_or(room).min(room);
        let text = format!(
            "  {} {} {} {}",
            fit(&clean(name, theme), name_cells, Alignment::Left, theme),
            fit(&percent(*part, total), 7, Alignment::Right, theme),
            fit(&bytes(*part), 10, Alignment::Right, theme),
            bar.to_string().repeat(filled),
        );
        lines.push(Line::from(cut(&text, cells, theme)));
    }
    lines
}

fn headline(row: &Row) -> String {
    let mut text = row.name.clone();
    for more in [&row.title, &row.category] {
        if !more.is_empty() && *more != text {
            text.push_str(", ");
            text.push_str(more);
        }
    }
    text
}

/// A line across with a title in it.
pub(super) fn rule(title: &str, cells: usize, view: &View) -> Line<'static> {
    let theme = &view.theme;
    let start = theme.rule().repeat(2);
    let title = cut(&clean(title, theme), cells.saturating_sub(6), theme);
    let used = super::text::width(&title) + 4;
    let rest = theme.rule().repeat(cells.saturating_sub(used));
    let text = cut(&format!("{start} {title} {rest}"), cells, theme);
    Line::from(Span::styled(text, theme.accent()))
}
