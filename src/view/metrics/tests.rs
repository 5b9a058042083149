//! Both forms read back, and counters over random runs.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;
use crate::app::{Proto, Service};
use crate::classify::UnknownReason;
use crate::decode::DropReason;
use crate::encode::prometheus::Format;
use crate::flow::PerSide;
use crate::signature::{SignatureSet, SourceFile};
use crate::usage::{CellKey, Cells, Totals};
use crate::verdict::Evidence;

/// A series: its name and labels.
type Key = (String, BTreeMap<String, String>);

/// Reads either form and checks all that can be checked without knowing what it is about.
fn read(text: &str, format: Format) -> BTreeMap<Key, f64> {
    let mut values = BTreeMap::new();
    let mut seen = HashSet::new();
    let (mut family, mut kind, mut unit) = (String::new(), String::new(), String::new());
    let body = match format {
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("no end mark"),
        Format::Text => text,
    };
    assert!(body.ends_with('\n') && !body.contains("# EOF"));
    let mut helped = String::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next(), words.next().unwrap(), words.next().unwrap());
            match word.unwrap() {
                "HELP" => {
                    assert!(seen.insert(name.to_owned()), "{name} comes twice");
                    assert!(!rest.contains('\\'));
                    helped = name.to_owned();
                }
                "TYPE" => {
                    assert_eq!(helped, name);
                    (family, kind, unit) = (name.to_owned(), rest.to_owned(), String::new());
                }
                "UNIT" => {
                    assert_eq!((format, &*family), (Format::OpenMetrics, name));
                    assert!(name.ends_with(&format!("_{rest}")), "{name} in {rest}");
                    unit = rest.to_owned();
                }
                word => panic!("what is {word}?"),
            }
            continue;
        }
        let (key, value) = sample_line(line);
        let suffix = key.0.strip_prefix(&family).unwrap();
        let allowed: &[&str] = match (kind.as_str(), format) {
            ("counter", Format::OpenMetrics) => &["_total"],
            ("info", Format::OpenMetrics) => &["_info"],
            ("counter" | "gauge", _) => &[""],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            (kind, _) => panic!("{kind}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        if kind == "counter" {
            assert!(key.0.ends_with("_total") && value >= 0.0, "{line}");
        }
        if format == Format::OpenMetrics {
            let has_unit = family.ends_with("_bytes") || family.ends_with("_seconds");
            assert_eq!(has_unit, !unit.is_empty(), "{family}");
        }
        assert!(values.insert(key, value).is_none(), "{line} comes twice");
    }
    check_histograms(&values);
    values
}

fn sample_line(line: &str) -> (Key, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let name = &line[..end];
    assert!(
        name.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
        "{name}"
    );
    let mut labels = BTreeMap::new();
    let mut rest = &line[end..];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    ((name.to_owned(), labels), value)
}

fn check_histograms(values: &BTreeMap<Key, f64>) {
    let mut by_name: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for ((name, labels), &value) in values {
        if let Some(stem) = name.strip_suffix("_bucket") {
            let bound = labels["le"].replace("+Inf", "inf").parse().unwrap();
            by_name.entry(stem).or_default().push((bound, value));
        }
    }
    for (stem, mut buckets) in by_name {
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(
            buckets.is_sorted_by(|a, b| a.1 <= b.1),
            "{stem}: {buckets:?}"
        );
        let count = values[&(format!("{stem}_count"), BTreeMap::new())];
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, count)), "{stem}");
        assert!(values.contains_key(&(format!("{stem}_sum"), BTreeMap::new())));
    }
}

/// Reads both forms and holds them against each other.
fn read_both(families: Families) -> BTreeMap<Key, f64> {
    let text = read(
        &families.clone().render(Format::Text).unwrap(),
        Format::Text,
    );
    let open = families.render(Format::OpenMetrics).unwrap();
    assert_eq!(text, read(&open, Format::OpenMetrics));
    text
}

fn value(values: &BTreeMap<Key, f64>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let found: Vec<f64> = values
        .iter()
        .filter(|((of, with), _)| {
            of == name
                && labels
                    .iter()
                    .all(|&(label, value)| with.get(label).is_some_and(|with| with == value))
        })
        .map(|(_, &value)| value)
        .collect();
    assert!(!found.is_empty(), "no {name} with {labels:?}");
    found.iter().sum()
}

/// A set of these applications: category and name.
fn set_of(apps: &[(&str, &str)]) -> Arc<SignatureSet> {
    let files: Vec<SourceFile> = (1..)
        .zip(apps)
        .map(|(id, (category, name))| {
            SourceFile::new(
                format!("{category}/{name}.toml"),
                format!(
                    "[app]\nid = {id}\nname = \"{name}\"\ntitle = \"{name}\"\n\
                     category = \"{category}\"\nowner = \"x\"\n\
                     [[domain]]\nsuffix = [\"{name}.example\"]\nsource = \"made up\"\n"
                ),
            )
        })
        .collect();
    let (set, _) = SignatureSet::compile_leniently(&files);
    assert_eq!(set.catalog().app_count(), apps.len());
    Arc::new(set)
}

fn totals(client: u64, server: u64) -> Totals {
    let counters = |bytes| Counters {
        packets: bytes / 100,
        bytes,
        ip_bytes: bytes - bytes / 10,
    };
    Totals {
        sides: PerSide {
            client: counters(client),
            server: counters(server),
        },
        flows: client / 1000,
    }
}

fn key(set: &SignatureSet, app: &str) -> CellKey {
    CellKey {
        app: set.catalog().app_named(app),
        service: Some(Service::Chat),
        proto: Some(Proto::TLS),
        evidence: Some(Evidence::ServerName),
        ..CellKey::NONE
    }
}

fn snapshot(
    set: Arc<SignatureSet>,
    cells: impl IntoIterator<Item = (CellKey, Totals)>,
) -> Snapshot {
    Snapshot {
        sequence: 1,
        set,
        cells: Arc::new(cells.into_iter().collect()),
        ..Snapshot::default()
    }
}

#[test]
fn shows_what_a_snapshot_holds() {
    let set = set_of(&[("messaging", "wechat"), ("video", "youtube")]);
    let dns = CellKey {
        proto: Some(Proto::DNS),
        evidence: Some(Evidence::Payload),
        ..CellKey::default()
    };
    let nameless = CellKey {
        unknown: Some(UnknownReason::MidStream),
        ..CellKey::default()
    };
    let over_quic = CellKey {
        proto: Some(Proto::QUIC),
        ..key(&set, "wechat")
    };
    let mut snapshot = snapshot(
        set.clone(),
        [
            (key(&set, "wechat"), totals(10_000, 40_000)),
            (over_quic, totals(2_000, 5_000)),
            (dns, totals(1_000, 3_000)),
            (nameless, totals(7_000, 0)),
        ],
    );
    snapshot.started = Timestamp::new(1_700_000_000, 500_000_000);
    snapshot.ledger.unknown[UnknownReason::MidStream as usize].count(70, 7_000);
    snapshot.ledger.drops.count(DropReason::NonIp, 2, 120);
    snapshot.ledger.wire.count(700, 68_120);
    snapshot.dropped_channel.count(5, 600);
    snapshot.reloads.refused = 3;
    let source = |interface: &str, thread, state, received| SourceReport {
        interface: interface.to_owned(),
        thread,
        state,
        received,
        dropped_ring: received / 10,
        dropped_interface: 1,
        ..SourceReport::default()
    };
    snapshot.sources = vec![
        source("eth0", 0, "up", 100),
        source("eth0", 1, "down", 200),
        source("eth1", 0, "up", 300),
    ];
    for size in [60, 1500, 1500] {
        snapshot.stats.packet(size);
    }
    let values = read_both(Metrics::new(10).whole(&snapshot));

    let wechat = [
        ("app", "wechat"),
        ("category", "messaging"),
        ("service", "chat"),
    ];
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);
    let rows: &[Row<'_>] = &[
        ("ottometer_bytes_total", &wechat, 57_000.0),
        (
            "ottometer_bytes_total",
            &[("app", "wechat"), ("direction", "toserver")],
            12_000.0,
        ),
        (
            "ottometer_bytes_total",
            &[("app", "wechat"), ("direction", "toclient")],
            45_000.0,
        ),
        (
            "ottometer_bytes_total",
            &[("protocol", "dns"), ("app", "")],
            4_000.0,
        ),
        ("ottometer_bytes_total", &[], 61_000.0),
        ("ottometer_ip_bytes_total", &wechat, 51_300.0),
        ("ottometer_packets_total", &wechat, 570.0),
        ("ottometer_flows_total", &wechat, 12.0),
        (
            "ottometer_unknown_bytes_total",
            &[("reason", "mid-stream")],
            7_000.0,
        ),
        (
            "ottometer_unknown_flows_total",
            &[("reason", "mid-stream")],
            7.0,
        ),
        (
            "ottometer_unknown_flows_total",
            &[("reason", "table-full")],
            0.0,
        ),
        (
            "ottometer_no_flow_bytes_total",
            &[("reason", "non-ip")],
            120.0,
        ),
        ("ottometer_wire_packets_total", &[], 700.0),
        (
            "ottometer_received_packets_total",
            &[("interface", "eth0")],
            300.0,
        ),
        (
            "ottometer_dropped_packets_total",
            &[("stage", "ring"), ("thread", "1")],
            20.0,
        ),
        (
            "ottometer_dropped_packets_total",
            &[("stage", "interface")],
            3.0,
        ),
        (
            "ottometer_dropped_packets_total",
            &[("stage", "channel")],
            5.0,
        ),
        (
            "ottometer_dropped_bytes_total",
            &[("stage", "channel")],
            600.0,
        ),
        ("ottometer_interface_up", &[("interface", "eth0")], 0.0),
        ("ottometer_interface_up", &[("interface", "eth1")], 1.0),
        (
            "ottometer_signature_reloads_total",
            &[("outcome", "refused")],
            3.0,
        ),
        (
            "ottometer_signature_set_info",
            &[("apps", "2"), ("rules", "2")],
            1.0,
        ),
        (
            "ottometer_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        ),
        ("ottometer_start_time_seconds", &[], 1_700_000_000.5),
        ("ottometer_packet_size_bytes_count", &[], 3.0),
        ("ottometer_packet_size_bytes_bucket", &[("le", "64.0")], 1.0),
        (
            "ottometer_packet_size_bytes_bucket",
            &[("le", "1518.0")],
            3.0,
        ),
        ("ottometer_label_sets", &[], 2.0),
        ("ottometer_label_sets_other", &[], 0.0),
    ];
    for (name, labels, expected) in rows {
        assert_eq!(value(&values, name, labels), *expected, "{name} {labels:?}");
    }
}

#[test]
fn the_volumes_close_as_the_ledger_does() {
    let set = set_of(&[("messaging", "wechat")]);
    let mut snapshot = snapshot(set.clone(), [(key(&set, "wechat"), totals(900, 100))]);
    let cells = snapshot.cells.clone();
    for (key, totals) in &*cells {
        snapshot.ledger.add_cell(key, totals);
    }
    snapshot.ledger.unsettled.count(1, 70);
    snapshot.ledger.drops.count(DropReason::Truncated, 2, 130);
    snapshot.ledger.wire.count(13, 1200);
    assert!(snapshot.ledger.closes());
    let values = read_both(Metrics::new(10).whole(&snapshot));
    for (wire, parts) in [
        (
            "ottometer_wire_bytes_total",
            [
                "ottometer_bytes_total",
                "ottometer_unknown_bytes_total",
                "ottometer_unsettled_bytes",
                "ottometer_no_flow_bytes_total",
            ],
        ),
        (
            "ottometer_wire_packets_total",
            [
                "ottometer_packets_total",
                "ottometer_unknown_packets_total",
                "ottometer_unsettled_packets",
                "ottometer_no_flow_packets_total",
            ],
        ),
    ] {
        let sum: f64 = parts.iter().map(|part| value(&values, part, &[])).sum();
        assert_eq!(value(&values, wire, &[]), sum, "{wire}");
    }
}

#[test]
fn escapes_label_values() {
    let nasty = "a\"b\\c\nd{e}=,é";
    let snapshot = Snapshot {
        sources: vec![SourceReport {
            interface: nasty.to_owned(),
            received: 7,
            ..SourceReport::default()
        }],
        ..Snapshot::default()
    };
    let values = read_both(Metrics::new(1).whole(&snapshot));
    let labels = [("interface", nasty)];
    assert_eq!(
        value(&values, "ottometer_received_packets_total", &labels),
        7.0
    );
}

#[test]
fn an_empty_snapshot_has_every_family_but_no_volume() {
    let families = Metrics::new(0).whole(&Snapshot::default());
    let text = families.clone().render(Format::Text).unwrap();
    for descriptor in descriptors() {
        let line = format!("# TYPE {} ", descriptor.name());
        assert!(text.contains(&line), "{line}");
    }
    let values = read_both(families);
    assert!(
        values
            .keys()
            .all(|(name, _)| name != "ottometer_bytes_total")
    );
    assert_eq!(value(&values, "ottometer_unknown_bytes_total", &[]), 0.0);
}

#[test]
fn family_names_differ_in_both_forms() {
    let text: BTreeSet<String> = descriptors().map(Descriptor::name).collect();
    let open: BTreeSet<String> = descriptors()
        .map(|row| format!("{}{}", row.stem, row.unit.map_or("", Unit::suffix)))
        .collect();
    assert_eq!(text.len(), ROWS.len());
    assert_eq!(open.len(), ROWS.len());
    for row in descriptors() {
        let name = row.name();
        assert!(
            row.help.ends_with('.') && !row.help.contains(['\\', '\n']),
            "{name}"
        );
        assert!(
            !row.stem.ends_with("_total") && !row.stem.ends_with("_info"),
            "{name}"
        );
        let mentions_unit = row.stem.ends_with("_bytes") || row.stem.ends_with("_seconds");
        assert!(!mentions_unit, "{name}: the unit is a field of its own");
    }
}

#[test]
fn beyond_the_limit_the_smaller_and_the_later_are_other_for_ever() {
    let names = [("c", "one"), ("c", "two"), ("c", "three"), ("c", "four")];
    let set = set_of(&names);
    let run = |rows: &[(&str, u64)]| {
        let cells = rows.iter();
        snapshot(
            set.clone(),
            cells.map(|&(app, bytes)| (key(&set, app), totals(bytes, 0))),
        )
    };
    let mut metrics = Metrics::new(2);
    let bytes =
        |values: &BTreeMap<Key, f64>, app| value(values, "ottometer_bytes_total", &[("app", app)]);
    let first = run(&[("one", 100), ("two", 5_000), ("three", 900)]);
    let values = read_both(metrics.whole(&first));
    assert_eq!(bytes(&values, "two"), 5_000.0);
    assert_eq!(bytes(&values, "three"), 900.0);
    assert_eq!(bytes(&values, "other"), 100.0);
    // A newcomer finds no room however large it is, and what is in `other` stays there.
    let second = run(&[
        ("one", 90_000),
        ("two", 5_000),
        ("three", 900),
        ("four", 80_000),
    ]);
    for _ in 0..2 {
        let values = read_both(metrics.whole(&second));
        assert_eq!(bytes(&values, "other"), 170_000.0);
        assert_eq!(bytes(&values, "two"), 5_000.0);
        assert_eq!(value(&values, "ottometer_label_sets", &[]), 2.0);
        assert_eq!(value(&values, "ottometer_label_sets_other", &[]), 2.0);
        let other = [("app", "other"), ("category", "other"), ("service", "")];
        assert_eq!(value(&values, "ottometer_flows_total", &other), 170.0);
    }
}

#[test]
fn the_limit_bounds_a_page_of_thousands_of_names() {
    let names: Vec<String> = (0..300).map(|number| format!("app{number}")).collect();
    let apps: Vec<(&str, &str)> = names.iter().map(|name| ("c", name.as_str())).collect();
    let set = set_of(&apps);
    let all = names.iter().flat_map(|name| {
        let of = key(&set, name);
        Service::ALL.map(|service| CellKey {
            service: Some(service),
            ..of
        })
    });
    let snapshot = snapshot(set.clone(), all.map(|key| (key, totals(1_000, 1_000))));
    let sets = names.len() * Service::ALL.len();
    assert_eq!(snapshot.cells.len(), sets);
    let limit = 1_000;
    let values = read_both(Metrics::new(limit).whole(&snapshot));
    let named = values
        .keys()
        .filter(|(_, labels)| labels.contains_key("app"));
    assert_eq!(named.count(), 7 * (limit + 1));
    let others = value(&values, "ottometer_label_sets_other", &[]);
    assert_eq!(others, f64::from(u32::try_from(sets - limit).unwrap()));
    let bytes = f64::from(u32::try_from(sets * 2_000).unwrap());
    assert_eq!(value(&values, "ottometer_bytes_total", &[]), bytes);
}

#[test]
fn a_reload_takes_nothing_back() {
    let before = set_of(&[("c", "stays"), ("c", "leaves"), ("c", "moves")]);
    let after = set_of(&[("d", "moves"), ("c", "new"), ("c", "stays")]);
    let mut metrics = Metrics::new(10);
    let bytes = |values: &BTreeMap<Key, f64>, app, category| {
        value(
            values,
            "ottometer_bytes_total",
            &[("app", app), ("category", category)],
        )
    };
    let cells = |set: &Arc<SignatureSet>, rows: &[(&str, u64)]| {
        let rows = rows.iter();
        snapshot(
            set.clone(),
            rows.map(|&(app, n)| (key(set, app), totals(n, 0))),
        )
    };
    let rows = [("stays", 100), ("leaves", 200), ("moves", 300)];
    metrics.whole(&cells(&before, &rows));
    let rows = [("stays", 150), ("moves", 1_000), ("new", 5)];
    let values = read_both(metrics.whole(&cells(&after, &rows)));
    assert_eq!(bytes(&values, "stays", "c"), 150.0);
    assert_eq!(bytes(&values, "leaves", "c"), 200.0);
    assert_eq!(bytes(&values, "moves", "c"), 300.0);
    assert_eq!(bytes(&values, "moves", "d"), 700.0);
    assert_eq!(bytes(&values, "new", "c"), 5.0);
    // The old set comes back, with counts that began again.
    let rows = [("stays", 150), ("leaves", 20), ("moves", 1_000)];
    let values = read_both(metrics.whole(&cells(&before, &rows)));
    assert_eq!(bytes(&values, "leaves", "c"), 220.0);
    assert_eq!(bytes(&values, "moves", "c"), 300.0);
}

/// One step of a run: what grows under which application, and whether the set is replaced.
type Step = (Vec<(usize, u16, u16)>, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let grown = proptest::collection::vec((0..6_usize, any::<u16>(), any::<u16>()), 0..8);
    proptest::collection::vec((grown, any::<bool>()), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever grows and however sets are replaced: no counter goes back or vanishes, and all
    /// volume is somewhere.
    #[test]
    fn counters_never_go_back(steps in steps(), limit in 0..8_usize) {
        let names = ["a", "b", "c", "d", "e", "f"];
        // The second set numbers the applications the other way round, in other categories.
        let sets = [
            set_of(&names.map(|name| ("x", name))),
            set_of(&[("x", "f"), ("y", "e"), ("x", "d"), ("y", "c"), ("x", "b"), ("y", "a")]),
        ];
        let mut metrics = Metrics::new(limit);
        let mut counted = [Totals::default(); 6];
        let mut now = Snapshot::default();
        let mut which = 0;
        let mut before: BTreeMap<Key, f64> = BTreeMap::new();
        for (grown, replace) in steps {
            which ^= usize::from(replace);
            for (app, client, server) in grown {
                counted[app].add(&totals(client.into(), server.into()));
                now.ledger.wire.count(1, client.into());
                now.stats.packet(client.into());
                now.flows += 1;
            }
            let set = &sets[which];
            now.sequence += 1;
            now.set = set.clone();
            let cells: Cells = names
                .iter()
                .zip(counted)
                .filter(|(_, totals)| *totals != Totals::default())
                .map(|(name, totals)| (key(set, name), totals))
                .collect();
            now.cells = Arc::new(cells);
            let values = read_both(metrics.whole(&now));
            for (key, value) in &before {
                let counts = ["_total", "_bucket", "_sum", "_count"];
                if counts.iter().any(|ending| key.0.ends_with(ending)) {
                    prop_assert!(values.get(key).is_some_and(|now| now >= value), "{:?}", key);
                }
            }
            let all: u64 = counted.iter().map(Totals::bytes).sum();
            if all > 0 {
                prop_assert_eq!(value(&values, "ottometer_bytes_total", &[]), all as f64);
            }
            prop_assert!(value(&values, "ottometer_label_sets", &[]) <= limit as f64);
            before = values;
        }
    }
}
