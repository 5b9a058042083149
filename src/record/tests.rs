use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::schema::schema;
use super::*;
use crate::dissect::RECORDED;
use crate::signature::SignatureSet;
use crate::time::Timestamp;

/// Whether the values of `record` are what their columns say.
fn holds(record: &impl Record) {
    for (column, value) in record.values() {
        match value {
            Some(value) => assert!(value.is_of(column.kind), "{}: {value:?}", column.name),
            None => assert!(!column.required, "{}", column.name),
        }
    }
}

fn present(record: &impl Record) -> usize {
    record.values().filter(|(_, value)| value.is_some()).count()
}

#[test]
fn values_are_of_their_columns_kinds() {
    let set = SignatureSet::builtin();
    let (sparse, full) = (samples::sparse(), samples::full(&set, "a text"));
    let (sparse, full) = (FlowView::new(&sparse, &set), FlowView::new(&full, &set));
    holds(&sparse);
    holds(&full);
    let required = FlowView::columns().filter(|column| column.required).count();
    // And why it ended.
    assert_eq!(present(&sparse), required + 1);
    // Not ICMP, has a name, and no ClientHello was read.
    let absent = ["icmp_type", "icmp_code", "unknown", "ja4"];
    for (column, value) in full.values() {
        assert_eq!(
            value.is_none(),
            absent.contains(&column.name),
            "{}",
            column.name
        );
    }
    let cells = samples::cells(&set);
    let interval = samples::interval(&cells, None);
    let records: Vec<UsageRecord<'_>> = samples::usage(&interval, &cells, &set).collect();
    assert_eq!(records.len(), interval.records);
    records.iter().for_each(holds);
    for end in [None, Some(RunEnd::default())] {
        let record = RunRecord {
            run: Timestamp::new(1, 0),
            interfaces: [Box::from("eth0")].into(),
            interval: Some(Duration::from_secs(300).into()),
            set: SignatureSet::builtin().into(),
            end,
        };
        holds(&record);
        // Intervals of a length, or of the calendar of a time zone.
        let columns = RunRecord::columns().count() - 2;
        assert_eq!(present(&record) == columns, end.is_some());
    }
}

/// Whether names are unique, and members of an object stand together after all others.
fn is_in_order<R: Record>() {
    let mut names = BTreeSet::new();
    let mut objects = Vec::new();
    for column in R::columns() {
        assert!(names.insert(column.name), "{} is there twice", column.name);
        assert!(!column.meaning.is_empty(), "{}", column.name);
        if objects.last() != Some(&column.object) {
            assert!(!objects.contains(&column.object), "{}", column.name);
            objects.push(column.object);
        }
    }
}

#[test]
fn names_are_unique_and_objects_whole() {
    is_in_order::<FlowView<'_>>();
    is_in_order::<UsageRecord<'_>>();
    is_in_order::<RunRecord>();
    for name in RECORDED.iter().chain(&flow::EXPENDABLE) {
        let mut columns = FlowView::columns();
        let column = columns.find(|column| column.name == *name).unwrap();
        assert!(!column.required, "{name}");
    }
}

/// With `UPDATE_SCHEMA` set, writes the file that is else compared.
fn kept(name: &str, current: &str) {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, current).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == current,
        "{name} is not current: run the tests with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_schemas_are_current() {
    for (name, schema) in [
        ("flow", schema::<FlowView<'_>>("A flow record of ottometer")),
        (
            "usage",
            schema::<UsageRecord<'_>>("A usage record of ottometer"),
        ),
        ("run", schema::<RunRecord>("A run record of ottometer")),
    ] {
        let text = serde_json::to_string_pretty(&schema).unwrap();
        kept(&format!("docs/schemas/{name}.json"), &format!("{text}\n"));
    }
}

/// The table of the manual.
fn manual<R: Record>() -> String {
    let mut text = "| field | type | IPFIX | what |\n| --- | --- | --- | --- |\n".to_owned();
    for column in R::columns() {
        let object = column
            .object
            .map(|object| format!("{object}."))
            .unwrap_or_default();
        let kind = match column.kind {
            Kind::Text | Kind::Code => "text".to_owned(),
            Kind::Texts => "texts".to_owned(),
            Kind::Unsigned(bits) => format!("u{bits}"),
            Kind::Numbers => "u16s".to_owned(),
            Kind::WideNumbers => "u32s".to_owned(),
            Kind::Flag => "flag".to_owned(),
            Kind::Time => "time".to_owned(),
            Kind::Address => "address".to_owned(),
        };
        let unit = match column.unit {
            "" => String::new(),
            unit => format!(", {unit}"),
        };
        let element = match column.element {
            Element::None => String::new(),
            Element::Number(number) => number.to_string(),
            Element::ByFamily { v4, v6 } => format!("{v4}, {v6}"),
            Element::Reverse(number) => format!("{number} reverse"),
        };
        let is_optional = if column.required { "" } else { "?" };
        let Column { name, meaning, .. } = column;
        writeln!(
            text,
            "| `{object}{name}` | {kind}{is_optional}{unit} | {element} | {meaning} |"
        )
        .unwrap();
    }
    text
}

#[test]
fn the_manual_has_every_field() {
    let name = "docs/records.md";
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for (record, table) in [
        ("flow", manual::<FlowView<'_>>()),
        ("usage", manual::<UsageRecord<'_>>()),
        ("run", manual::<RunRecord>()),
    ] {
        let begin = format!("<!-- fields of {record} records -->\n");
        let start = text.find(&begin).unwrap() + begin.len();
        let end = start + text[start..].find("<!-- end -->").unwrap();
        text.replace_range(start..end, &table);
    }
    kept(name, &text);
}

/// What the manual says of the fields of EVE: those it calls the same, or different, are there, and
/// those it calls absent are not.
#[test]
fn the_manual_is_right_about_the_fields_of_eve() {
    let manual = include_str!("../../docs/records.md");
    let (_, table) = manual.split_once("<!-- fields of EVE -->\n").unwrap();
    let (table, _) = table.split_once("<!-- end -->").unwrap();
    let ours: BTreeSet<String> = FlowView::columns()
        .map(|column| match column.object {
            Some(object) => format!("{object}.{}", column.name),
            None => column.name.to_owned(),
        })
        .collect();
    let mut seen = BTreeSet::new();
    for row in table.lines().skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, here, _] = cells.as_slice() else {
            panic!("{row}")
        };
        let name = name.trim_matches('`').to_owned();
        let is_there = ours.contains(&name);
        match *here {
            "same" | "differs" => assert!(is_there, "{name} is not there"),
            "absent" => assert!(!is_there, "{name} is there"),
            other => panic!("{name}: {other}"),
        }
        assert!(seen.insert(name), "{row} is there twice");
    }
    // Types that the JSON Schema of EVE gives.
    for (name, kind) in [
        ("event_type", Kind::Text),
        ("vlan", Kind::Numbers),
        ("src_port", Kind::Unsigned(16)),
        ("icmp_type", Kind::Unsigned(8)),
        ("community_id", Kind::Text),
        ("pkts_toserver", Kind::Unsigned(64)),
        ("bytes_toclient", Kind::Unsigned(64)),
        ("state", Kind::Text),
    ] {
        let mut columns = FlowView::columns();
        let column = columns.find(|column| column.name == name).unwrap();
        assert_eq!(column.kind, kind, "{name}");
    }
}
