//! The latest flows, and the reason of the selected one's name.

use std::collections::HashSet;
use std::sync::Arc;

use ratatui::style::Style;
use ratatui::text::Line;

use super::View;
use super::breakdown::rule;
use super::layout::{Column, Columns};
use super::text::{clean, cut, wrap};
use crate::record::{FlowRecord, transport_name};
use crate::signature::SignatureSet;
use crate::usage::CellKey;
use crate::verdict::Evidence;
use crate::view::number::bytes;
use crate::view::reason;
use crate::view::snapshot::Snapshot;
use crate::view::summary::{By, label};

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

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Latest,
    Bytes,
}

impl Sort {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Latest => Self::Bytes,
            Self::Bytes => Self::Latest,
        }
    }
}

/// The flows of `snapshot`, each once as it was told last, newest first.
pub(super) fn latest(snapshot: &Snapshot) -> Vec<Arc<FlowRecord>> {
    let mut told = HashSet::new();
    let newest_first = snapshot.recent.iter().rev();
    newest_first
        .filter(|record| told.insert(record.flow_id))
        .map(Arc::clone)
        .collect()
}

/// The flows that fit the search, in order.
pub(super) fn rows(view: &View) -> Vec<Arc<FlowRecord>> {
    let mut rows = view.flows.clone();
    if !view.search.text().is_empty() {
        rows.retain(|record| view.search.fits(&searched(record, &view.snapshot.set)));
    }
    if view.flow_sort == Sort::Bytes {
        rows.sort_by_key(|record| std::cmp::Reverse(volume(record)));
    }
    rows
}

/// The keys of those rows.
pub(super) fn keys(rows: &[Arc<FlowRecord>]) -> Vec<u64> {
    rows.iter().map(|record| record.flow_id).collect()
}

/// The list, and the reason of the selected flow's name: below it, beside it where there is room,
/// or alone when it was opened.
pub(super) fn draw(view: &mut View, cells: usize, height: usize) -> Vec<Line<'static>> {
    let rows = rows(view);
    let keys = keys(&rows);
    let theme = view.theme;
    let selected = view.flow.place(&keys);
    if view.opened
        && let Some(record) = rows.get(selected)
    {
        let lines = detail(view, record, cells);
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
    let columns = Columns::new(COLUMNS, cells);
    let mut lines = vec![columns.header(&theme)];
    if rows.is_empty() {
        let why = if view.flows.is_empty() {
            "no flow has settled yet"
        } else {
            "no flow fits the search; Esc clears it"
        };
        lines.push(Line::styled(cut(why, cells, &theme), theme.dim()));
    }
    for (place, record) in rows.iter().enumerate().take(window.end).skip(window.start) {
        let style = if place == selected {
            theme.selected()
        } else {
            Style::new()
        };
        let texts = texts(view, record);
        lines.push(columns.row(&texts, style, &theme));
    }
    if below > 0 {
        lines.resize(table + 1, Line::default());
        if let Some(record) = rows.get(selected) {
            lines.extend(detail(view, record, cells).into_iter().take(below));
        }
    }
    lines
}

fn texts(view: &View, record: &FlowRecord) -> [String; 8] {
    let theme = &view.theme;
    let last = record.last.to_string();
    let server_name = server_name(record);
    [
        last.get(11..19).unwrap_or_default().to_owned(),
        transport_name(record.protocol).into_owned(),
        reason::endpoint(record.client_ip, record.client_port),
        reason::endpoint(record.server_ip, record.server_port),
        clean(&name(record, &view.snapshot.set), theme).into_owned(),
        bytes(volume(record)),
        clean(server_name, theme).into_owned(),
        record.named.evidence.map_or("-", Evidence::slug).to_owned(),
    ]
}

/// `youtube/video`, `(tls)`, `unknown (no-match)`.
fn name(record: &FlowRecord, set: &SignatureSet) -> String {
    let by = if record.named.service.is_some() {
        By::Service
    } else {
        By::App
    };
    label(&CellKey::from(&record.named), set, by).name
}

fn server_name(record: &FlowRecord) -> &str {
    let facts = record.facts.as_deref();
    facts
        .and_then(|facts| {
            let query = || facts.dns.as_deref()?.query_name.as_deref();
            facts.server_name.as_deref().or_else(query)
        })
        .unwrap_or_default()
}

const fn volume(record: &FlowRecord) -> u64 {
    let (client, server) = (&record.counters.client, &record.counters.server);
    client.bytes.saturating_add(server.bytes)
}

/// What a search looks at.
fn searched(record: &FlowRecord, set: &SignatureSet) -> String {
    let catalog = set.catalog();
    let app = record.named.app.and_then(|app| catalog.app(app));
    let proto = record.named.proto;
    [
        &*transport_name(record.protocol),
        &*reason::endpoint(record.client_ip, record.client_port),
        &*reason::endpoint(record.server_ip, record.server_port),
        &*name(record, set),
        app.map_or("", |app| &app.title),
        app.map_or("", |app| &app.category),
        proto.map_or("", |proto| catalog.protocol_name(proto)),
        record.named.evidence.map_or("", Evidence::slug),
        server_name(record),
    ]
    .join(" ")
}

/// The reason of a flow's name, in lines of at most `cells` cells.
fn detail(view: &View, record: &FlowRecord, cells: usize) -> Vec<Line<'static>> {
    let theme = &view.theme;
    let set = &view.snapshot.set;
    let mut lines = vec![rule(&reason::headline(record), cells, view)];
    let mut told = reason::lines(record, set);
    // What decided comes first: it is what is asked for, and low terminals cut off the end.
    told.sort_by_key(|line| {
        let order = ["verdict", "decided", "runner-up", "seen"];
        let place = order.iter().position(|label| line.starts_with(label));
        place.unwrap_or(order.len())
    });
    let mut times = format!(
        "time       first {}, last {}, {}",
        record.first, record.last, record.state
    );
    if let Some(tunnel) = record.tunnel {
        times.push_str(", in ");
        times.push_str(tunnel.slug());
    }
    for vlan in record.vlans.as_slice() {
        times.push_str(&format!(", VLAN {vlan}"));
    }
    told.push(times);
    for line in told {
        let wrapped = wrap(&clean(&line, theme), cells, 11);
        lines.extend(wrapped.into_iter().map(Line::from));
    }
    lines
}
