//! The latest flows, and the reason of the selected one's name.

use ratatui::style::Style;
use ratatui::text::Line;

use super::breakdown::rule;
use super::layout::{Column, Columns};
use super::sort::FlowSort;
use super::state::View;
use super::text::{clean, cut, wrap};
use crate::view::live::Flow;
use crate::view::number::bytes;

const COLUMNS: &[Column] = &[
    Column::left("last", 8, 8, 5),
    Column::left("proto", 5, 9, 4),
    Column::left("client", 21, 47, 1),
    Column::left("server", 21, 47, 2),
    Column::left("name", 14, 28, 0),
    Column::right("bytes", 9, 3),
    Column::left("server name", 20, 60, 6),
    Column::left("evidence", 13, 13, 7),
];

/// The flows that fit the search, in order.
pub(super) fn rows(view: &View) -> Vec<&Flow> {
    let mut rows: Vec<&Flow> = view.live.flows.iter().collect();
    if !view.search.text().is_empty() {
        rows.retain(|flow| view.search.fits(&flow.searched()));
    }
    if view.flow_sort == FlowSort::Bytes {
        rows.sort_by_key(|flow| std::cmp::Reverse(flow.bytes));
    }
    rows
}

/// The keys of those rows.
pub(super) fn keys(rows: &[&Flow]) -> Vec<u64> {
    rows.iter().map(|flow| flow.id).collect()
}

/// The list, and the reason of the selected flow's name: below it, beside it where there is room,
/// or alone when it was opened.
pub(super) fn draw(view: &mut View, cells: usize, height: usize) -> Vec<Line<'static>> {
    let keys = keys(&rows(view));
    let theme = view.theme;
    let selected = view.flow.place(&keys);
    if view.opened
        && let Some(flow) = rows(view).get(selected)
    {
        let lines = detail(view, flow, cells);
        view.scroll = view.scroll.min(lines.len().saturating_sub(height));
        return lines.into_iter().skip(view.scroll).take(height).collect();
    }
    let below = match height {
        ..8 => 0,
        // The reason is seldom longer; what is left out, Enter shows.
        8..30 => height / 2,
        _ => 16,
    };
    let table = height.saturating_sub(below + 1);
    let window = view.flow.window(&keys, table);
    let view = &*view;
    let rows = rows(view);
    let columns = Columns::new(COLUMNS, cells);
    let mut lines = vec![columns.header(&theme)];
    if rows.is_empty() {
        let why = if view.live.flows.is_empty() {
            "no flow has settled yet"
        } else {
            "no flow fits the search; Esc clears it"
        };
        lines.push(Line::styled(cut(why, cells, &theme), theme.dim()));
    }
    for (place, flow) in rows.iter().enumerate().take(window.end).skip(window.start) {
        let style = if place == selected {
            theme.selected()
        } else {
            Style::new()
        };
        let texts = texts(view, flow);
        lines.push(columns.row(&texts, style, &theme));
    }
    if below > 0 {
        lines.resize(table + 1, Line::default());
        if let Some(flow) = rows.get(selected) {
            lines.extend(detail(view, flow, cells).into_iter().take(below));
        }
    }
    lines
}

fn texts(view: &View, flow: &Flow) -> [String; 8] {
    let theme = &view.theme;
    let last = flow.last.to_string();
    [
        last.get(11..19).unwrap_or_default().to_owned(),
        flow.transport.clone(),
        flow.client.clone(),
        flow.server.clone(),
        clean(&flow.name, theme).into_owned(),
        bytes(flow.bytes),
        clean(&flow.server_name, theme).into_owned(),
        flow.evidence_name().unwrap_or("-").to_owned(),
    ]
}

/// The reason of a flow's name, in lines of at most `cells` cells.
fn detail(view: &View, flow: &Flow, cells: usize) -> Vec<Line<'static>> {
    let mut lines = vec![rule(&flow.headline(), cells, view)];
    for line in flow.reason() {
        let wrapped = wrap(&clean(&line, &view.theme), cells, 11);
        lines.extend(wrapped.into_iter().map(Line::from));
    }
    lines
}
