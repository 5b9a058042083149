//! Volume by name: applications, services, categories, and what the selected one rests on.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::View;
use super::history::{KINDS, Row};
use super::layout::{Column, Columns, sparkline};
use super::text::{clean, cut, fit, wrap};
use crate::verdict::Evidence;
use crate::view::number::{bits_per_second, bytes, grouped, percent, short};
use ratatui::layout::Alignment;

/// Columns of a table by name.
const COLUMNS: &[Column] = &[
    Column::left("name", 20, 32, 0),
    Column::left("title", 12, 24, 7),
    Column::left("category", 10, 18, 5),
    Column::right("rate", 11, 1),
    Column::right("share", 7, 2),
    Column::right("total", 9, 3),
    Column::right("flows", 7, 4),
    Column::left("trend", 10, 120, 6),
];

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Rate,
    Total,
}

impl Sort {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Rate => Self::Total,
            Self::Total => Self::Rate,
        }
    }
}

/// The rows of a kind that fit the search, in order.
pub(super) fn rows(view: &View, kind: usize) -> Vec<Row<'_>> {
    let mut rows = view.history.rows(kind);
    rows.retain(|row| {
        view.search.text().is_empty()
            || view.search.fits(&format!(
                "{} {} {}",
                row.name, row.entry.title, row.entry.category
            ))
    });
    rows.sort_by(|a, b| {
        let total = |row: &Row<'_>| row.entry.totals.bytes();
        let order = match view.sort {
            Sort::Rate => (b.recent, total(b)).cmp(&(a.recent, total(a))),
            Sort::Total => total(b).cmp(&total(a)),
        };
        order.then_with(|| a.name.cmp(b.name))
    });
    rows
}

/// The keys of those rows.
pub(super) fn keys(view: &View, kind: usize) -> Vec<String> {
    let rows = rows(view, kind);
    rows.into_iter().map(|row| row.name.to_owned()).collect()
}

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

    let theme = view.theme;
    let columns = Columns::new(COLUMNS, cells);
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
    let whole = match view.sort {
        Sort::Rate => view.history.recent().1,
        Sort::Total => view.snapshot.ledger.wire.bytes,
    };
    for (place, row) in rows.iter().enumerate().take(window.end).skip(window.start) {
        let total = row.entry.totals.bytes();
        let part = match view.sort {
            Sort::Rate => row.recent,
            Sort::Total => total,
        };
        let texts = [
            clean(row.name, &theme).into_owned(),
            clean(&row.entry.title, &theme).into_owned(),
            clean(&row.entry.category, &theme).into_owned(),
            view.history
                .span()
                .map_or_else(|| "-".to_owned(), |span| bits_per_second(row.recent, span)),
            percent(part, whole),
            bytes(total),
            short(row.entry.totals.flows),
            sparkline(view.history.series(kind, row.name), spark, &theme),
        ];
        let style = match place {
            place if place == selected => theme.selected(),
            _ if row.recent == 0 && view.sort == Sort::Rate => theme.dim(),
            _ => Style::new(),
        };
        lines.push(columns.row(&texts, style, &theme));
    }
    if below > 0 {
        lines.resize(table + 1, Line::default());
        if let Some(row) = rows.get(selected) {
            lines.extend(evidence(view, row, cells, below));
        }
    }
    lines
}

/// What the volume of `row` rests on.
fn evidence(view: &View, row: &Row<'_>, cells: usize, height: usize) -> Vec<Line<'static>> {
    let theme = &view.theme;
    let mut shares: Vec<(Option<Evidence>, u64)> = row
        .entry
        .evidence
        .iter()
        .map(|(&evidence, &bytes)| (evidence, bytes))
        .collect();
    shares.sort_by_key(|&(evidence, bytes)| (std::cmp::Reverse(bytes), evidence));
    let total = row.entry.totals.bytes();
    let name = |evidence: Option<Evidence>| evidence.map_or("none", Evidence::slug);
    let mut lines = vec![rule(&headline(row), cells, view)];
    if height < 8 {
        let texts: Vec<String> = shares
            .into_iter()
            .map(|(evidence, bytes)| format!("{} {}", name(evidence), percent(bytes, total)))
            .collect();
        let text = format!("evidence: {}", texts.join(", "));
        let wrapped = wrap(&text, cells, 10).into_iter().map(Line::from);
        lines.extend(wrapped.take(height - 1));
        return lines;
    }
    let packets = row.entry.totals.packets();
    let sides = &row.entry.totals.sides;
    let text = format!(
        "{} packets, {} flows, {} to server, {} to client; evidence:",
        grouped(packets),
        grouped(row.entry.totals.flows),
        bytes(sides.client.bytes),
        bytes(sides.server.bytes),
    );
    lines.push(Line::from(cut(&text, cells, theme)));
    let bar = theme.bars().last().copied().unwrap_or('#');
    for (evidence, part) in shares.into_iter().take(height - 2) {
        let room = cells.saturating_sub(36).min(60);
        let filled = u128::from(part) * room as u128 / u128::from(total.max(1));
        let filled = usize::try_from(filled).unwrap_or(room).min(room);
        let text = format!(
            "  {} {} {} {}",
            fit(name(evidence), 13, Alignment::Left, theme),
            fit(&percent(part, total), 7, Alignment::Right, theme),
            fit(&bytes(part), 10, Alignment::Right, theme),
            bar.to_string().repeat(filled),
        );
        lines.push(Line::from(cut(&text, cells, theme)));
    }
    lines
}

fn headline(row: &Row<'_>) -> String {
    let mut text = row.name.to_owned();
    for more in [&row.entry.title, &row.entry.category] {
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

const _: () = assert!(KINDS.len() == 3, "the panes of names are the first three");
