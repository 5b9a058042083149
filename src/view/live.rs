//! What is to be looked at of a live run, out of successive [`Snapshot`]s: a [`Live`].

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::history::{self, History, KINDS};
use super::reason;
use super::snapshot::{Snapshot, SourceReport};
use super::status::{Losses, links, unknown};
use super::summary::{By, label};
use crate::classify::UnknownReason;
use crate::decode::DropReason;
use crate::record::{FlowRecord, transport_name};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::ledger::Volume;
use crate::usage::{CellKey, Ledger};
use crate::verdict::Evidence;

/// Parts of a row: those that lead.
const MOST_PARTS: usize = 16;

/// A live run at one moment, and its last seconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Live {
    /// The number of the snapshot, from 1.
    pub sequence: u64,
    /// Time up to which all workers have reported.
    pub at: Timestamp,
    /// When the run began.
    pub started: Timestamp,
    /// The time that all that is called recent was counted in; `None` until there are two snapshots.
    pub span: Option<Duration>,
    /// Frames and bytes on the wire, recent.
    pub recent: Volume,
    /// Flows that began, recent.
    pub recent_flows: u64,
    /// Bytes that settled without a name, recent; at most those on the wire.
    pub recent_unknown: u64,
    /// Bytes a second on the wire, newest last.
    pub trend: Vec<u64>,
    /// Flows held now.
    pub flows_held: u64,
    /// Flows the tables hold at most.
    pub flows_limit: u64,
    /// New flows are counted without inspection.
    pub overloaded: bool,
    /// What was lost since the start.
    pub losses: Losses,
    /// What was lost, recent.
    pub recent_losses: Losses,
    /// Something was lost a moment ago.
    pub is_losing: bool,
    /// Frames and bytes lost in full channels.
    pub dropped_channel: Volume,
    /// Closed intervals that are not written.
    pub intervals_waiting: u64,
    /// Each capture thread's source, those that lose or do not work first.
    pub sources: Vec<SourceReport>,
    /// Each interface once, with the worst of its threads' states.
    pub links: Vec<SourceReport>,
    /// Where every byte went.
    pub ledger: LedgerView,
    /// The signatures in use.
    pub signatures: Signatures,
    /// Distributions that have values.
    pub distributions: Vec<Distribution>,
    /// Volume by application, by service, by category and by subject, in the order of names.
    pub rows: [Vec<Row>; KINDS.len()],
    /// Whether subjects are kept apart.
    pub has_subjects: bool,
    /// Subjects that were put together because there were too many accounts, over all intervals.
    pub put_together: u64,
    /// The latest flows, each once as it was told last, newest first.
    pub flows: Vec<Flow>,
}

/// The ledger as lines.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LedgerView {
    /// Every byte on the wire is counted once.
    pub closes: bool,
    /// What was read.
    pub wire: Volume,
    /// What was counted.
    pub counted: Volume,
    /// By what became of it.
    pub lines: Vec<LedgerLine>,
    /// Frames that the filter left out.
    pub filtered: u64,
    /// Frames that claim more than their link allows.
    pub lying_lengths: u64,
}

/// What became of some of the bytes.
#[derive(Clone, Debug, Serialize)]
pub struct LedgerLine {
    /// `applications`, `unknown: no-match`, `no flow: non-ip`.
    pub name: String,
    /// Since the start.
    pub volume: Volume,
    /// Bytes of it, recent; a level, as that of what is unsettled, has none.
    pub recent: Option<u64>,
    /// It should be nothing.
    pub is_alarming: bool,
}

/// The signature set in use, and what became of those that were to replace another.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Signatures {
    /// SHA-256 over its files, in hex.
    pub hash: String,
    /// Applications.
    pub apps: usize,
    /// Rules.
    pub rules: usize,
    /// When it was loaded.
    pub loaded: Timestamp,
    /// Sets taken into use after the first.
    pub accepted: u64,
    /// Sets that were refused.
    pub refused: u64,
    /// Why the last one was.
    pub last_refusal: Option<String>,
}

/// Some values of a distribution.
#[derive(Clone, Debug, Serialize)]
pub struct Distribution {
    /// Of what.
    pub name: &'static str,
    /// In what.
    pub unit: &'static str,
    /// Half of all values are not larger.
    pub p50: u64,
    /// Nine of ten are not.
    pub p90: u64,
    /// 99 of 100 are not.
    pub p99: u64,
}

/// What is counted under a name, or for a subject.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The name: `youtube`, `(tls)`, `unknown (no-match)`, `10.0.0.7`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The application's category.
    pub category: String,
    /// Flows that settled.
    pub flows: u64,
    /// Frames and bytes since the start.
    pub volume: Volume,
    /// Bytes that clients sent, or the subject.
    pub up: u64,
    /// Bytes that servers sent, or that came for the subject.
    pub down: u64,
    /// Bytes, recent.
    pub recent: u64,
    /// Bytes a second, newest last; empty for a row that does not lead.
    pub trend: Vec<u64>,
    /// What its bytes rest on, or the subject's applications: most bytes first.
    pub parts: Vec<(String, u64)>,
}

/// A flow as a row of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Flow {
    /// Number of its first frame.
    pub id: u64,
    /// Time of its latest frame.
    pub last: Timestamp,
    /// The transport protocol.
    pub transport: String,
    /// The client's address and port.
    pub client: String,
    /// The server's.
    pub server: String,
    /// `youtube/video`, `(tls)`, `unknown (no-match)`.
    pub name: String,
    /// Bytes of both sides.
    pub bytes: u64,
    /// The host it asked for, or asked DNS about.
    pub server_name: String,
    /// What the name rests on.
    pub evidence: Option<Evidence>,
    #[serde(skip)]
    record: Arc<FlowRecord>,
    #[serde(skip)]
    set: Arc<SignatureSet>,
}

impl Live {
    /// What `snapshot` says, which is the latest in `history`.
    pub fn new(snapshot: &Snapshot, history: &History) -> Self {
        let (packets, bytes, flows) = history.recent();
        let before = history.ledger_before();
        let recent_unknown = unknown(&snapshot.ledger).saturating_sub(before.map_or(0, unknown));
        let mut sources = snapshot.sources.clone();
        sources.sort_by_key(|source| {
            let lost = source.dropped_ring.saturating_add(source.dropped_interface);
            (source.state == "up", Reverse(lost))
        });
        let reloads = snapshot.reloads.clone();
        Self {
            sequence: snapshot.sequence,
            at: snapshot.at,
            started: snapshot.started,
            span: history.span(),
            recent: Volume { packets, bytes },
            recent_flows: flows,
            // What settled lately may have come before.
            recent_unknown: recent_unknown.min(bytes),
            trend: history.wire().collect(),
            flows_held: snapshot.flows_held,
            flows_limit: snapshot.flows_limit,
            overloaded: snapshot.overloaded,
            losses: Losses::of(snapshot),
            recent_losses: history.losses(),
            is_losing: history.is_losing(),
            dropped_channel: snapshot.dropped_channel,
            intervals_waiting: snapshot.intervals_waiting,
            links: links(&snapshot.sources).into_iter().cloned().collect(),
            sources,
            ledger: LedgerView::new(&snapshot.ledger, before),
            signatures: Signatures {
                hash: snapshot.set.hash().to_owned(),
                apps: snapshot.set.catalog().app_count(),
                rules: snapshot.set.rule_count(),
                loaded: reloads.loaded,
                accepted: reloads.accepted,
                refused: reloads.refused,
                last_refusal: reloads.last_refusal.as_deref().map(str::to_owned),
            },
            distributions: distributions(snapshot),
            rows: std::array::from_fn(|kind| rows(snapshot, history, kind)),
            has_subjects: snapshot.subjects.is_some(),
            put_together: snapshot.put_together,
            flows: flows_of(snapshot),
        }
    }
}

impl LedgerView {
    fn new(now: &Ledger, before: Option<&Ledger>) -> Self {
        let mut lines = Vec::new();
        let mut add = |name: String, of: &dyn Fn(&Ledger) -> Volume| {
            let volume = of(now);
            let grown = |before: &Ledger| volume.bytes.saturating_sub(of(before).bytes);
            lines.push(LedgerLine {
                volume,
                recent: before.map(grown).filter(|_| name != "unsettled"),
                is_alarming: volume.bytes > 0
                    && (name == "unknown: overload" || name == "unknown: table-full"),
                name,
            });
        };
        add("applications".to_owned(), &|ledger| ledger.applications);
        add("protocols".to_owned(), &|ledger| ledger.protocols);
        add("unsettled".to_owned(), &|ledger| ledger.unsettled);
        for reason in UnknownReason::ALL {
            add(format!("unknown: {}", reason.slug()), &|ledger| {
                let found = ledger.unknown.get(reason as usize);
                found.copied().unwrap_or_default()
            });
        }
        for (reason, volume) in now.drops.iter() {
            if volume != Volume::default() {
                add(format!("no flow: {}", reason.slug()), &|ledger| {
                    drops_of(ledger, reason)
                });
            }
        }
        Self {
            closes: now.closes(),
            wire: now.wire,
            counted: now.counted(),
            lines,
            filtered: now.filtered.packets,
            lying_lengths: now.lying_lengths,
        }
    }
}

fn drops_of(ledger: &Ledger, reason: DropReason) -> Volume {
    let found = ledger.drops.iter().find(|&(other, _)| other == reason);
    found.map_or_else(Volume::default, |(_, volume)| volume)
}

fn distributions(snapshot: &Snapshot) -> Vec<Distribution> {
    let filled = snapshot.stats.iter();
    let filled = filled.filter(|(_, _, histogram)| !histogram.is_empty());
    filled
        .map(|(name, unit, histogram)| Distribution {
            name,
            unit,
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
        })
        .collect()
}

fn rows(snapshot: &Snapshot, history: &History, kind: usize) -> Vec<Row> {
    let by = KINDS.get(kind).copied().unwrap_or_default();
    let row = |row: history::Row<'_>| {
        let totals = &row.entry.totals;
        let mut parts: Vec<(&CellKey, u64)> = row
            .entry
            .parts
            .iter()
            .map(|(key, &bytes)| (key, bytes))
            .collect();
        parts.sort_by_key(|&(key, bytes)| (Reverse(bytes), key));
        let name = |key: &CellKey| match by {
            By::Subject => label(key, &snapshot.set, By::App).name,
            _ => key.evidence.map_or("none", Evidence::slug).to_owned(),
        };
        Row {
            name: row.name.to_owned(),
            title: row.entry.title.clone(),
            category: row.entry.category.clone(),
            flows: totals.flows,
            volume: Volume {
                packets: totals.packets(),
                bytes: totals.bytes(),
            },
            up: totals.sides.client.bytes,
            down: totals.sides.server.bytes,
            recent: row.recent,
            trend: history.series(kind, row.name).collect(),
            parts: parts
                .into_iter()
                .take(MOST_PARTS)
                .map(|(key, bytes)| (name(key), bytes))
                .collect(),
        }
    };
    history.rows(kind).into_iter().map(row).collect()
}

fn flows_of(snapshot: &Snapshot) -> Vec<Flow> {
    let mut told = HashSet::new();
    let newest_first = snapshot.recent.iter().rev();
    newest_first
        .filter(|record| told.insert(record.flow_id))
        .map(|record| Flow::new(record, &snapshot.set))
        .collect()
}

impl Flow {
    fn new(record: &Arc<FlowRecord>, set: &Arc<SignatureSet>) -> Self {
        let by = if record.named.service.is_some() {
            By::Service
        } else {
            By::App
        };
        let facts = record.facts.as_deref();
        let server_name = facts.and_then(|facts| {
            let query = || facts.dns.as_deref()?.query_name.as_deref();
            facts.server_name.as_deref().or_else(query)
        });
        let (client, server) = (&record.counters.client, &record.counters.server);
        Self {
            id: record.flow_id,
            last: record.last,
            transport: transport_name(record.protocol).into_owned(),
            client: reason::endpoint(record.client_ip, record.client_port),
            server: reason::endpoint(record.server_ip, record.server_port),
            name: label(&CellKey::from(&record.named), set, by).name,
            bytes: client.bytes.saturating_add(server.bytes),
            server_name: server_name.unwrap_or_default().to_owned(),
            evidence: record.named.evidence,
            record: Arc::clone(record),
            set: Arc::clone(set),
        }
    }

    /// How its name was established, if it has one.
    pub fn evidence_name(&self) -> Option<&'static str> {
        self.evidence.map(Evidence::slug)
    }

    /// What a search looks at.
    pub fn searched(&self) -> String {
        let catalog = self.set.catalog();
        let named = &self.record.named;
        let app = named.app.and_then(|app| catalog.app(app));
        [
            &*self.transport,
            &*self.client,
            &*self.server,
            &*self.name,
            app.map_or("", |app| &app.title),
            app.map_or("", |app| &app.category),
            named.proto.map_or("", |proto| catalog.protocol_name(proto)),
            self.evidence.map_or("", Evidence::slug),
            &*self.server_name,
        ]
        .join(" ")
    }

    /// The line that says which flow it is.
    pub fn headline(&self) -> String {
        reason::headline(&self.record)
    }

    /// The reason of its name, and its times, a line each.
    pub fn reason(&self) -> Vec<String> {
        let record = &self.record;
        let mut told = reason::lines(record, &self.set);
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
        told
    }
}
