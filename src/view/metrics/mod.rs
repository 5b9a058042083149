//! Metrics for Prometheus out of a [`Snapshot`]: nothing is counted here, and nothing on a packet's
//! way knows of it.
//!
//! `series` keeps volume by name to a bounded number of series that never go back, `scrapers` has them
//! begin at 0 for all who scrape, `process` asks the kernel of this process, `pages` has the encoder
//! [`prometheus`](crate::encode::prometheus) write what is shown. [`descriptors`] lists what there is; the table
//! `ROWS` here is where a new family goes. `docs/metrics.md` is held against it by a test.
//!
//! No label ever carries an address or a host name.

pub mod pages;
mod process;
mod scrapers;
mod series;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use self::Kind::{Counter, Gauge, Histogram, Info};
use self::Unit::{Bytes, Seconds};
use self::process::Process;
use self::scrapers::Scrapers;
use self::series::{FLOW_LABELS, SeriesSet, VOLUME_LABELS};
use crate::classify::UnknownReason;
use crate::encode::prometheus::buckets::{self, Buckets};
use crate::encode::prometheus::{Descriptor, Families, Family, Kind, Labels, Sample, Unit, Value};
use crate::flow::Counters;
use crate::time::Timestamp;
use crate::usage::Totals;
use crate::usage::health::Checked;
use crate::usage::ledger::Volume;
use crate::view::snapshot::{Snapshot, SourceReport};

/// Label sets of volume by name that get series of their own unless told otherwise.
pub const DEFAULT_SERIES_LIMIT: usize = 10_000;

/// Turns snapshots into metrics. It remembers what it has shown, so there must be one for all.
#[derive(Debug)]
pub struct Metrics {
    series: SeriesSet,
    scrapers: Scrapers,
}

impl Metrics {
    /// Shows at most `limit` different sets of application, category, service, protocol,
    /// evidence and interface; what is seen first after that is counted under the application `other` for ever.
    pub fn new(limit: usize) -> Self {
        Self {
            series: SeriesSet::new(limit),
            scrapers: Scrapers::default(),
        }
    }

    /// `scraper` asks for a page of `snapshot`, which must not be older than the one before. Gives
    /// how many of its series have their values on it; the others stand at 0 until all who scrape
    /// have seen them so.
    pub fn ask(&mut self, scraper: IpAddr, snapshot: &Snapshot) -> usize {
        self.series.update(snapshot);
        let all = self.series.iter().count();
        let seen = self.scrapers.ask(scraper, snapshot.sequence, all);
        self.series.show(seen)
    }

    /// All families of `snapshot`, each series with its value.
    pub fn whole(&mut self, snapshot: &Snapshot) -> Families {
        self.series.update(snapshot);
        self.series.show(usize::MAX);
        self.families(snapshot)
    }

    /// All families of the `snapshot` that was asked for last.
    pub fn families(&self, snapshot: &Snapshot) -> Families {
        let context = Context {
            snapshot,
            series: &self.series,
            process: Process::now(),
        };
        let family = |row: &Row| Family {
            descriptor: row.descriptor,
            samples: (row.collect)(&context),
        };
        Families(ROWS.iter().map(family).collect())
    }
}

/// Every family there is.
pub fn descriptors() -> impl Iterator<Item = &'static Descriptor> {
    ROWS.iter().map(|row| &row.descriptor)
}

/// A family and how it is read out of a snapshot.
struct Row {
    descriptor: Descriptor,
    collect: fn(&Context<'_>) -> Vec<Sample>,
}

const fn row(
    kind: Kind,
    stem: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
    collect: fn(&Context<'_>) -> Vec<Sample>,
) -> Row {
    Row {
        descriptor: Descriptor {
            kind,
            stem,
            unit,
            labels,
            help,
        },
        collect,
    }
}

#[rustfmt::skip]
static ROWS: &[Row] = &[
    // Volume.
    row(Counter, "ottometer_wire", Some(Bytes), &[],
        "Bytes of all frames read, as on the wire.",
        |c| one(c.snapshot.ledger.wire.bytes)),
    row(Counter, "ottometer_wire_packets", None, &[],
        "Frames read.",
        |c| one(c.snapshot.ledger.wire.packets)),
    row(Counter, "ottometer", Some(Bytes), VOLUME_LABELS,
        "Bytes of whole frames of flows that have their name.",
        |c| c.volume(|counters| counters.bytes)),
    row(Counter, "ottometer_packets", None, VOLUME_LABELS,
        "Frames of flows that have their name.",
        |c| c.volume(|counters| counters.packets)),
    row(Counter, "ottometer_ip", Some(Bytes), VOLUME_LABELS,
        "Bytes of the innermost IP packets of flows that have their name.",
        |c| c.volume(|counters| counters.ip_bytes)),
    row(Counter, "ottometer_flows", None, FLOW_LABELS,
        "Flows that got their name.",
        |c| c.flows()),
    row(Counter, "ottometer_unknown", Some(Bytes), UNKNOWN_LABELS,
        "Bytes of flows for which there is no name, by reason.",
        |c| c.unknown(Totals::bytes)),
    row(Counter, "ottometer_unknown_packets", None, UNKNOWN_LABELS,
        "Frames of flows for which there is no name, by reason.",
        |c| c.unknown(Totals::packets)),
    row(Counter, "ottometer_unknown_flows", None, UNKNOWN_LABELS,
        "Flows for which there is no name, by reason.",
        |c| c.unknown(|totals| totals.flows)),
    row(Gauge, "ottometer_new_series", Some(Bytes), &[],
        "Bytes of flows under names that are new: their series stand at 0 until all who scrape have seen them.",
        |c| one(c.series.hidden().bytes())),
    row(Gauge, "ottometer_new_series_packets", None, &[],
        "Frames of flows under names that are new, as above.",
        |c| one(c.series.hidden().packets())),
    row(Gauge, "ottometer_unsettled", Some(Bytes), &[],
        "Bytes of flows whose name is not settled yet, and of fragments that wait for others.",
        |c| one(c.snapshot.ledger.unsettled.bytes)),
    row(Gauge, "ottometer_unsettled_packets", None, &[],
        "Frames of flows whose name is not settled yet, and fragments that wait for others.",
        |c| one(c.snapshot.ledger.unsettled.packets)),
    row(Counter, "ottometer_no_flow", Some(Bytes), REASON,
        "Bytes of frames that belong to no flow, by reason.",
        |c| c.no_flow(|volume| volume.bytes)),
    row(Counter, "ottometer_no_flow_packets", None, REASON,
        "Frames that belong to no flow, by reason.",
        |c| c.no_flow(|volume| volume.packets)),
    row(Counter, "ottometer_filtered", Some(Bytes), &[],
        "Bytes of frames the filter left out after they were read; not part of the wire's.",
        |c| one(c.snapshot.ledger.filtered.bytes)),
    row(Counter, "ottometer_filtered_packets", None, &[],
        "Frames the filter left out after they were read; not part of the wire's.",
        |c| one(c.snapshot.ledger.filtered.packets)),
    row(Counter, "ottometer_lying_length_packets", None, &[],
        "Frames that claimed more than their link allows and were counted as far as it does.",
        |c| one(c.snapshot.ledger.lying_lengths)),
    // Loss.
    row(Counter, "ottometer_received_packets", None, &["interface", "thread"],
        "Frames the kernel offered, those it dropped included.",
        |c| c.sources(|source| source.received)),
    row(Counter, "ottometer_dropped_packets", None, &["stage", "interface", "thread"],
        "Frames lost, by where it happened.",
        |c| c.dropped()),
    row(Counter, "ottometer_dropped", Some(Bytes), &["stage"],
        "Bytes of lost frames, where their size is known: between capture and workers.",
        |c| vec![sample(["channel".into()], c.snapshot.dropped_channel.bytes)]),
    row(Counter, "ottometer_lost_flow_records", None, &[],
        "Flow records that could not be written, or found no room while the disk was behind.",
        |c| one(c.snapshot.records_lost)),
    row(Counter, "ottometer_kept_back_records", None, &["kind"],
        "Flow records and usage records that were not to be written (--only), counted for each output.",
        |c| c.kept_back()),
    row(Gauge, "ottometer_waiting_usage_intervals", None, &[],
        "Closed intervals whose records could not be written yet; they are tried again.",
        |c| one(c.snapshot.intervals_waiting)),
    row(Gauge, "ottometer_interface_up", None, &["interface"],
        "Whether all capture threads of the interface get frames from it: 1 or 0.",
        |c| c.interfaces()),
    row(Gauge, "ottometer_overloaded", None, &[],
        "Whether new flows are counted without a look at them, to keep up: 1 or 0.",
        |c| one(u64::from(c.snapshot.overloaded))),
    // The mirror.
    row(Counter, "ottometer_mirror_checked", None, FAULT,
        "Frames (duplicate), DNS answers (dns-unasked) and flows (all else) that were looked at for a fault of the mirror.",
        |c| c.mirror(|counted| counted.checked)),
    row(Counter, "ottometer_mirror_faults", None, FAULT,
        "Those of them that showed it.",
        |c| c.mirror(|counted| counted.found)),
    // The flow table.
    row(Counter, "ottometer_flows_started", None, &[],
        "Flows that began.",
        |c| one(c.snapshot.flows)),
    // A counter's family has no _total in OpenMetrics, so ottometer_flows is taken.
    row(Gauge, "ottometer_flow_table_flows", None, &[],
        "Flows held now.",
        |c| one(c.snapshot.flows_held)),
    row(Gauge, "ottometer_flow_table_limit", None, &[],
        "Flows that can be held.",
        |c| one(c.snapshot.flows_limit)),
    // Distributions.
    row(Histogram, "ottometer_flow_settle_packets", None, &[],
        "Packets a flow had when it got its name.",
        |c| spread(Buckets::new(c.snapshot.stats.settled_packets(), buckets::SETTLE_PACKETS, 1.0))),
    row(Histogram, "ottometer_flow_settle", Some(Bytes), &[],
        "Bytes a flow had when it got its name.",
        |c| spread(Buckets::new(c.snapshot.stats.settled_bytes(), buckets::SETTLE_BYTES, 1.0))),
    row(Histogram, "ottometer_packet_size", Some(Bytes), &[],
        "Sizes of frames on the wire.",
        |c| spread(Buckets::new(c.snapshot.stats.packet_sizes(), buckets::PACKET_SIZE, 1.0))),
    row(Histogram, "ottometer_batch_duration", Some(Seconds), &[],
        "Time a worker took for a batch of frames.",
        |c| spread(Buckets::new(c.snapshot.stats.block_times(), buckets::BATCH_SECONDS, 1e9))),
    // The program.
    row(Info, "ottometer_build", None, &["version"],
        "The program's version.",
        |_| vec![sample([env!("CARGO_PKG_VERSION").into()], 1)]),
    row(Info, "ottometer_signature_set", None, &["hash", "apps", "rules"],
        "The signature set in use: hash, number of applications and of rules.",
        |c| c.signature_set()),
    row(Counter, "ottometer_signature_reloads", None, &["outcome"],
        "Signature sets that were to replace another: accepted or refused.",
        |c| vec![
            sample(["accepted".into()], c.snapshot.reloads.accepted),
            sample(["refused".into()], c.snapshot.reloads.refused),
        ]),
    row(Gauge, "ottometer_signature_loaded_timestamp", Some(Seconds), &[],
        "When the signature set in use was loaded, since 1970.",
        |c| at(c.snapshot.reloads.loaded)),
    row(Gauge, "ottometer_start_time", Some(Seconds), &[],
        "When the run began, since 1970.",
        |c| at(c.snapshot.started)),
    row(Gauge, "ottometer_counted_until_timestamp", Some(Seconds), &[],
        "Time of capture up to which everything is counted, since 1970; goes on without frames.",
        |c| at(c.snapshot.at)),
    row(Gauge, "ottometer_label_sets", None, &[],
        "Sets of application, category, service, protocol, evidence and interface with series of their own.",
        |c| one(c.series.own())),
    row(Gauge, "ottometer_label_sets_limit", None, &[],
        "How many such sets there may be.",
        |c| one(c.series.limit())),
    row(Gauge, "ottometer_label_sets_other", None, &[],
        "Further such sets, counted together under the application other.",
        |c| one(c.series.in_other())),
    // The process, by the names that all clients of Prometheus use.
    row(Counter, "process_cpu", Some(Seconds), &[],
        "Processor time of the process, user's and kernel's.",
        |c| measured(c.process.cpu_seconds.map(Value::Real))),
    row(Gauge, "process_resident_memory", Some(Bytes), &[],
        "Memory of the process that is resident.",
        |c| measured(c.process.resident_bytes.map(Value::Whole))),
    row(Gauge, "process_virtual_memory", Some(Bytes), &[],
        "Address space of the process.",
        |c| measured(c.process.virtual_bytes.map(Value::Whole))),
    row(Gauge, "process_start_time", Some(Seconds), &[],
        "When the process began, since 1970.",
        |c| measured(c.process.start_seconds.map(Value::Real))),
    row(Gauge, "process_open_fds", None, &[],
        "File descriptors of the process that are open.",
        |c| measured(c.process.open_fds.map(Value::Whole))),
    row(Gauge, "process_max_fds", None, &[],
        "File descriptors that the process may have.",
        |c| measured(c.process.max_fds.map(Value::Whole))),
];

const REASON: &[&str] = &["reason"];

const UNKNOWN_LABELS: &[&str] = &["reason", "interface"];

const FAULT: &[&str] = &["fault"];

/// What families are made of.
struct Context<'a> {
    snapshot: &'a Snapshot,
    series: &'a SeriesSet,
    process: Process,
}

impl Context<'_> {
    fn volume(&self, pick: fn(&Counters) -> u64) -> Vec<Sample> {
        let both = self.series.shown().flat_map(|(series, totals)| {
            let sides = totals.sides;
            [
                (&series.volume_labels.client, pick(&sides.client)),
                (&series.volume_labels.server, pick(&sides.server)),
            ]
        });
        both.map(|(labels, value)| Sample {
            labels: labels.clone(),
            value: Value::Whole(value),
        })
        .collect()
    }

    fn flows(&self) -> Vec<Sample> {
        let all = self.series.shown();
        all.map(|(series, totals)| Sample {
            labels: series.flow_labels.clone(),
            value: Value::Whole(totals.flows),
        })
        .collect()
    }

    /// Volume without a name by reason and interface; at zero from the start.
    fn unknown(&self, pick: fn(&Totals) -> u64) -> Vec<Sample> {
        let snapshot = self.snapshot;
        let apart = snapshot.interfaces.is_some();
        let sources = snapshot.sources.iter().filter(|_| apart);
        let interfaces: BTreeSet<&str> = sources.map(|source| &*source.interface).collect();
        let mut sums = BTreeMap::new();
        for reason in UnknownReason::ALL {
            let of = |interface| ((reason as usize, interface), Totals::default());
            sums.extend(interfaces.iter().copied().map(of));
            if interfaces.is_empty() {
                sums.extend([of("")]);
            }
        }
        for (key, totals) in snapshot.cells.iter() {
            if key.app.is_none() && key.proto.is_none() {
                let reason = key.unknown.unwrap_or(UnknownReason::NoMatch) as usize;
                let interface = snapshot.interface(key).unwrap_or_default();
                sums.entry((reason, interface)).or_default().add(totals);
            }
        }
        let reason = |place: usize| UnknownReason::ALL.get(place).map_or("", |one| one.slug());
        let sums = sums.into_iter();
        sums.map(|((place, interface), totals)| {
            let labels = [reason(place).into(), interface.to_owned().into()];
            sample(labels, pick(&totals))
        })
        .collect()
    }

    fn no_flow(&self, pick: fn(&Volume) -> u64) -> Vec<Sample> {
        let drops = self.snapshot.ledger.drops.iter();
        drops
            .map(|(reason, volume)| sample([reason.slug().into()], pick(&volume)))
            .collect()
    }

    fn mirror(&self, pick: fn(&Checked) -> u64) -> Vec<Sample> {
        let faults = self.snapshot.health.iter();
        faults
            .map(|(fault, counted)| sample([fault.slug().into()], pick(&counted)))
            .collect()
    }

    /// One value for each interface and thread, even if two sources should share both.
    fn by_source(
        &self,
        pick: fn(&SourceReport) -> u64,
    ) -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, str>, u64)> {
        let mut values: BTreeMap<(&str, usize), u64> = BTreeMap::new();
        for source in &self.snapshot.sources {
            *values
                .entry((&source.interface, source.thread))
                .or_default() += pick(source);
        }
        let owned: Vec<_> = values
            .into_iter()
            .map(|((interface, thread), value)| {
                (
                    interface.to_owned().into(),
                    thread.to_string().into(),
                    value,
                )
            })
            .collect();
        owned.into_iter()
    }

    fn sources(&self, pick: fn(&SourceReport) -> u64) -> Vec<Sample> {
        self.by_source(pick)
            .map(|(interface, thread, value)| sample([interface, thread], value))
            .collect()
    }

    fn dropped(&self) -> Vec<Sample> {
        let stage = |name: &'static str, pick| {
            self.by_source(pick).map(move |(interface, thread, value)| {
                sample([name.into(), interface, thread], value)
            })
        };
        let channel = sample(
            ["channel".into(), "".into(), "".into()],
            self.snapshot.dropped_channel.packets,
        );
        stage("interface", |source| source.dropped_interface)
            .chain(stage("ring", |source| source.dropped_ring))
            .chain([channel])
            .collect()
    }

    fn kept_back(&self) -> Vec<Sample> {
        let kept = self.snapshot.kept_back.unwrap_or_default();
        vec![
            sample(["flow".into()], kept.flows),
            sample(["usage".into()], kept.usage),
        ]
    }

    fn interfaces(&self) -> Vec<Sample> {
        let mut up: BTreeMap<&str, bool> = BTreeMap::new();
        for source in &self.snapshot.sources {
            *up.entry(&source.interface).or_insert(true) &= source.state == "up";
        }
        up.into_iter()
            .map(|(interface, up)| sample([interface.to_owned().into()], u64::from(up)))
            .collect()
    }

    fn signature_set(&self) -> Vec<Sample> {
        let set = &self.snapshot.set;
        let apps = set.catalog().app_count().to_string();
        let rules = set.rule_count().to_string();
        vec![sample(
            [set.hash().to_owned().into(), apps.into(), rules.into()],
            1,
        )]
    }
}

fn sample<const N: usize>(labels: [Cow<'static, str>; N], value: u64) -> Sample {
    let labels: Labels = Arc::new(labels);
    Sample {
        labels,
        value: Value::Whole(value),
    }
}

fn one(value: u64) -> Vec<Sample> {
    vec![sample([], value)]
}

/// What the kernel may not tell.
fn measured(value: Option<Value>) -> Vec<Sample> {
    let labels: Labels = Arc::new([]);
    let sample = value.map(|value| Sample { labels, value });
    sample.into_iter().collect()
}

fn spread(buckets: Buckets) -> Vec<Sample> {
    vec![Sample {
        labels: Arc::new([]),
        value: Value::Distribution(buckets),
    }]
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a double is what the formats carry: microseconds remain"
)]
fn at(at: Timestamp) -> Vec<Sample> {
    vec![Sample {
        labels: Arc::new([]),
        value: Value::Real(at.0 as f64 / 1e9),
    }]
}
