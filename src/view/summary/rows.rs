//! The rows of a summary, with what each is as fields of its own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::by::By;
use crate::app::Service;
use crate::capture::Interfaces;
use crate::classify::UnknownReason;
use crate::signature::SignatureSet;
use crate::usage::{CellKey, Subject, Subjects, Summary, Totals};
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
    /// A subject, its network, or a client.
    Subject,
    /// An interface.
    Interface,
    /// What names rest on.
    Evidence,
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
            Self::Subject => "subject",
            Self::Interface => "interface",
            Self::Evidence => "evidence",
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
    /// Whose volume it is.
    #[serde(flatten)]
    pub whose: Whose,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_toserver: Option<u64>,
    /// Of these, sent by servers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_toclient: Option<u64>,
    /// Of these, sent by the subject, with [`By::Subject`] and [`By::Network`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_up: Option<u64>,
    /// Of these, sent to the subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_down: Option<u64>,
    /// Bytes of the innermost IP packets.
    pub ip_bytes: u64,
    /// The evidence most of the bytes rest on.
    pub evidence: String,
}

/// Whose volume a row is and where it came in, as far as that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Whose {
    /// The interface by which the flows came in, with [`By::Interface`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The subject, with [`By::Subject`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The most specific local network around it, with [`By::Network`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The client's address, with [`By::Client`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl Whose {
    fn of(key: &CellKey, by: &[By], subjects: &Subjects, interfaces: &Interfaces) -> Self {
        let has = |one| by.contains(&one);
        let subject = key.subject;
        let network = subject.and_then(|subject| subjects.network(subject));
        let client = subject.filter(|&subject| subject != Subject::Nobody);
        let text = |subject: Subject| subject.to_string();
        let interface = key.interface.filter(|_| has(By::Interface));
        Self {
            interface: interface.map(|id| interfaces.name(id).to_owned()),
            subject: subject.filter(|_| has(By::Subject)).map(text),
            network: network
                .filter(|_| has(By::Network))
                .map(|network| network.to_string()),
            client: client.filter(|_| has(By::Client)).map(text),
        }
    }
}

/// Whether directions are the subject's: up and down.
pub(super) fn is_directed(by: &[By]) -> bool {
    by.contains(&By::Subject) || by.contains(&By::Network)
}

/// Whether rows have this column.
pub(super) fn has_column(by: &[By], name: &str) -> bool {
    match name {
        "interface" => by.contains(&By::Interface),
        "subject" => by.contains(&By::Subject),
        "network" => by.contains(&By::Network),
        "client" => by.contains(&By::Client),
        "bytes_up" | "bytes_down" => is_directed(by),
        "bytes_toserver" | "bytes_toclient" => !is_directed(by),
        _ => true,
    }
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

/// A column of CSV: its name, and how to get it.
type Column = (&'static str, fn(&Row) -> String);

/// The columns of CSV, in the order of the fields of [`Row`]. Some are there only where they are asked for, see
/// [`has_column`].
pub(super) const COLUMNS: [Column; 22] = [
    ("interface", |row| {
        row.whose.interface.clone().unwrap_or_default()
    }),
    ("subject", |row| {
        row.whose.subject.clone().unwrap_or_default()
    }),
    ("network", |row| {
        row.whose.network.clone().unwrap_or_default()
    }),
    ("client", |row| row.whose.client.clone().unwrap_or_default()),
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
    ("bytes_toserver", |row| number(row.bytes_toserver)),
    ("bytes_toclient", |row| number(row.bytes_toclient)),
    ("bytes_up", |row| number(row.bytes_up)),
    ("bytes_down", |row| number(row.bytes_down)),
    ("ip_bytes", |row| row.ip_bytes.to_string()),
    ("evidence", |row| row.evidence.clone()),
];

/// The rows of `summary`, most bytes first, at most `top`; what is left over is summed up last.
pub fn rows(summary: &Summary, set: &SignatureSet, by: &[By], top: Option<usize>) -> Vec<Row> {
    type Group = (Totals, BTreeMap<Option<Evidence>, u64>);
    let subjects = summary.subjects.as_deref().cloned().unwrap_or_default();
    let by_evidence = by.contains(&By::Evidence);
    let mut groups: BTreeMap<(Whose, Label, Option<Evidence>), Group> = BTreeMap::new();
    for (key, totals) in &summary.cells {
        let whose = Whose::of(key, by, &subjects, &summary.interfaces);
        let label = label_of(key, set, by, &whose);
        let apart = key.evidence.filter(|_| by_evidence);
        let (sum, evidence) = groups.entry((whose, label, apart)).or_default();
        sum.add(totals);
        *evidence.entry(key.evidence).or_default() += totals.bytes();
    }
    let directed = is_directed(by);
    let mut rows: Vec<Row> = groups
        .into_iter()
        .map(|((whose, label, _), (totals, evidence))| {
            let most = evidence.into_iter().max_by_key(|&(_, bytes)| bytes);
            Row {
                whose,
                label,
                flows: totals.flows,
                packets: totals.packets(),
                bytes: totals.bytes(),
                bytes_toserver: (!directed).then_some(totals.sides.client.bytes),
                bytes_toclient: (!directed).then_some(totals.sides.server.bytes),
                bytes_up: directed.then_some(totals.sides.client.bytes),
                bytes_down: directed.then_some(totals.sides.server.bytes),
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
            .then_with(|| (&a.whose, &a.label).cmp(&(&b.whose, &b.label)))
            .then_with(|| a.evidence.cmp(&b.evidence))
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
        whose: Whose::default(),
        label,
        flows: 0,
        packets: 0,
        bytes: 0,
        bytes_toserver: None,
        bytes_toclient: None,
        bytes_up: None,
        bytes_down: None,
        ip_bytes: 0,
        evidence: String::new(),
    };
    rest.iter().fold(nothing, |mut sum, row| {
        sum.flows += row.flows;
        sum.packets += row.packets;
        sum.bytes += row.bytes;
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            *sum = more.map(|more| sum.unwrap_or_default() + more);
        };
        add(&mut sum.bytes_toserver, row.bytes_toserver);
        add(&mut sum.bytes_toclient, row.bytes_toclient);
        add(&mut sum.bytes_up, row.bytes_up);
        add(&mut sum.bytes_down, row.bytes_down);
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

/// What the row is called that `key` is counted in: by the first name asked for, with what the others
/// say beside it; by the subject where no name is, or by the interface alone.
fn label_of(key: &CellKey, set: &SignatureSet, by: &[By], whose: &Whose) -> Label {
    let mut names = by.iter().filter(|by| by.is_name());
    let Some(&first) = names.next() else {
        let Whose {
            interface,
            subject,
            network,
            client,
        } = whose;
        let subject = subject.as_ref().or(network.as_ref()).or(client.as_ref());
        let kind = match subject {
            None if by == [By::Interface] => Kind::Interface,
            _ => Kind::Subject,
        };
        let name = subject.or(interface.as_ref());
        return Label::new(kind, name.cloned().unwrap_or_default());
    };
    names.fold(label(key, set, first), |mut all, &by| {
        let more = label(key, set, by);
        all.app = all.app.or(more.app);
        all.service = all.service.or(more.service);
        all.protocol = all.protocol.or(more.protocol);
        if all.category.is_empty() {
            all.category = more.category;
        }
        all
    })
}

/// What the row is called that `key` is counted in.
pub(crate) fn label(key: &CellKey, set: &SignatureSet, by: By) -> Label {
    let catalog = set.catalog();
    let app = key.app.and_then(|id| catalog.app(id));
    let protocol = key.proto.map(|proto| catalog.protocol_name(proto));
    match (by, app, protocol) {
        (By::Evidence, ..) => {
            let evidence = key.evidence.map_or("none", Evidence::slug);
            Label::new(Kind::Evidence, evidence.to_owned())
        }
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
        (_, Some(app), _) => {
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
