//! The rows of a summary, with what each is as fields of its own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::By;
use crate::app::Service;
use crate::classify::UnknownReason;
use crate::signature::SignatureSet;
use crate::usage::{CellKey, Summary, Totals};
use crate::verdict::Evidence;

/// What a row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An application, or a service of one.
    App,
    /// A category of applications.
    Category,
    /// A protocol; where applications are asked for, one that is no application's.
    Protocol,
    /// What has no name, by its reason.
    Unknown,
    /// The sum of the rows that `--top` leaves out.
    Rest,
}

impl Kind {
    /// The word records carry.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Category => "category",
            Self::Protocol => "protocol",
            Self::Unknown => "unknown",
            Self::Rest => "rest",
        }
    }
}

/// What a row is called, for people and for machines.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Label {
    /// What the row stands for.
    pub kind: Kind,
    /// What the table for people shows: `wechat`, `(tls)`, `unknown (no-match)`, `(92 more)`.
    pub name: String,
    /// The application's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The service's slug, with [`By::Service`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<&'static str>,
    /// The protocol's slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Why it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<&'static str>,
    /// How many rows are summed up, in the row of the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<usize>,
    /// What people call it.
    pub title: String,
    /// The application's category.
    pub category: String,
}

/// One row of the summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The client's address, with [`By::Client`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What it is called.
    #[serde(flatten)]
    pub label: Label,
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

/// A column of CSV: its name, and how to get it.
type Column = (&'static str, fn(&Row) -> String);

/// The columns of CSV, in the order of the fields of [`Row`]. The first is there with [`By::Client`].
pub(super) const COLUMNS: [Column; 17] = [
    ("client", |row| row.client.clone().unwrap_or_default()),
    ("kind", |row| row.label.kind.slug().to_owned()),
    ("name", |row| row.label.name.clone()),
    ("app", |row| row.label.app.clone().unwrap_or_default()),
    ("service", |row| {
        row.label.service.unwrap_or_default().to_owned()
    }),
    ("protocol", |row| {
        row.label.protocol.clone().unwrap_or_default()
    }),
    ("unknown", |row| {
        row.label.unknown.unwrap_or_default().to_owned()
    }),
    ("rest", |row| {
        row.label
            .rest
            .map(|rows| rows.to_string())
            .unwrap_or_default()
    }),
    ("title", |row| row.label.title.clone()),
    ("category", |row| row.label.category.clone()),
    ("flows", |row| row.flows.to_string()),
    ("packets", |row| row.packets.to_string()),
    ("bytes", |row| row.bytes.to_string()),
    ("bytes_toserver", |row| row.bytes_toserver.to_string()),
    ("bytes_toclient", |row| row.bytes_toclient.to_string()),
    ("ip_bytes", |row| row.ip_bytes.to_string()),
    ("evidence", |row| row.evidence.clone()),
];

/// The rows of `summary`, most bytes first, at most `top`; what is left over is summed up last.
pub fn rows(summary: &Summary, set: &SignatureSet, by: By, top: Option<usize>) -> Vec<Row> {
    type Group = (Totals, BTreeMap<Option<Evidence>, u64>);
    let mut groups: BTreeMap<(Option<String>, Label), Group> = BTreeMap::new();
    let mut add = |client: Option<String>, key: &CellKey, totals: &Totals| {
        let (sum, evidence) = groups.entry((client, label(key, set, by))).or_default();
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
        .map(|((client, label), (totals, evidence))| {
            let most = evidence.into_iter().max_by_key(|&(_, bytes)| bytes);
            Row {
                client,
                label,
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
            .then_with(|| (&a.client, &a.label.name).cmp(&(&b.client, &b.label.name)))
    });
    if let Some(top) = top
        && rows.len() > top
    {
        let rest = rows.split_off(top);
        rows.push(sum(&rest));
    }
    rows
}

fn sum(rest: &[Row]) -> Row {
    let label = Label {
        rest: Some(rest.len()),
        ..Label::new(Kind::Rest, format!("({} more)", rest.len()))
    };
    let nothing = Row {
        client: None,
        label,
        flows: 0,
        packets: 0,
        bytes: 0,
        bytes_toserver: 0,
        bytes_toclient: 0,
        ip_bytes: 0,
        evidence: String::new(),
    };
    rest.iter().fold(nothing, |mut sum, row| {
        sum.flows += row.flows;
        sum.packets += row.packets;
        sum.bytes += row.bytes;
        sum.bytes_toserver += row.bytes_toserver;
        sum.bytes_toclient += row.bytes_toclient;
        sum.ip_bytes += row.ip_bytes;
        sum
    })
}

impl Label {
    const fn new(kind: Kind, name: String) -> Self {
        Self {
            kind,
            name,
            app: None,
            service: None,
            protocol: None,
            unknown: None,
            rest: None,
            title: String::new(),
            category: String::new(),
        }
    }

    fn unknown(reason: Option<UnknownReason>) -> Self {
        let reason = reason.map(UnknownReason::slug);
        let name = reason.map_or_else(
            || "unknown".to_owned(),
            |reason| format!("unknown ({reason})"),
        );
        Self {
            unknown: reason,
            ..Self::new(Kind::Unknown, name)
        }
    }
}

/// What the row is called that `key` is counted in.
pub(crate) fn label(key: &CellKey, set: &SignatureSet, by: By) -> Label {
    let catalog = set.catalog();
    let app = key.app.and_then(|id| catalog.app(id));
    let protocol = key.proto.map(|proto| catalog.protocol_name(proto));
    match (by, app, protocol) {
        (By::Protocol, _, Some(protocol)) => Label {
            protocol: Some(protocol.to_owned()),
            ..Label::new(Kind::Protocol, protocol.to_owned())
        },
        (By::Category, Some(app), _) => Label {
            category: app.category.to_string(),
            ..Label::new(Kind::Category, app.category.to_string())
        },
        (By::Category, None, Some(_)) => Label::new(Kind::Protocol, "(protocol only)".to_owned()),
        (By::Protocol, _, None) | (_, None, None) => Label::unknown(key.unknown),
        // A protocol that is no application's is shown by its own name, marked as such.
        (_, None, Some(protocol)) => Label {
            protocol: Some(protocol.to_owned()),
            ..Label::new(Kind::Protocol, format!("({protocol})"))
        },
        (By::App | By::Client | By::Service, Some(app), _) => {
            let service = key.service.map(Service::slug);
            let (name, service) = if by == By::Service {
                (format!("{}/{}", app.name, service.unwrap_or("-")), service)
            } else {
                (app.name.to_string(), None)
            };
            Label {
                app: Some(app.name.to_string()),
                service,
                title: app.title.to_string(),
                category: app.category.to_string(),
                ..Label::new(Kind::App, name)
            }
        }
    }
}
