//! What has no name, by what it has in common: tables, JSON, CSV.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::number::{bytes as human, grouped, percent};
use super::summary::Format;
use super::table::{self, Column};
use super::text::harmless;
use crate::classify::behaviour::model::{Class, Forest};
use crate::decode::IpProtocol;
use crate::flow::Side;
use crate::learn::propose::Proposal;
use crate::learn::{Cluster, Distinct, Key, Learned, Party, Tally, Volume};
use crate::record::transport_name;

/// Values of one kind that a cell shows.
const SHOWN: usize = 2;

/// A cluster as it is shown.
#[derive(Debug)]
pub struct Shown {
    /// What its flows have in common.
    pub key: Key,
    /// Its flows.
    pub cluster: Cluster,
    /// The draft of a signature.
    pub draft: Option<Proposal>,
}

/// Writes the clusters `shown` of what was `learned`, whose further clusters are left in it.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(
    out: &mut dyn Write,
    learned: &Learned,
    shown: &[Shown],
    format: Format,
) -> io::Result<()> {
    match format {
        Format::Table(width) => {
            write!(out, "{}", table(learned, shown, width))?;
            let [all, unnamed] = [learned.all, learned.unnamed];
            writeln!(
                out,
                "\n{} of {} flows, {} of {} have no application",
                grouped(unnamed.flows),
                grouped(all.flows),
                human(unnamed.bytes),
                human(all.bytes)
            )
        }
        Format::Json => {
            let clusters: Vec<Value> = shown.iter().map(object).collect();
            let value = json!({
                "all": volume(learned.all),
                "unnamed": volume(learned.unnamed),
                "clusters": clusters,
            });
            serde_json::to_writer_pretty(&mut *out, &value)?;
            out.write_all(b"\n")
        }
        Format::Csv => csv(out, shown),
    }
}

fn table(learned: &Learned, shown: &[Shown], width: Option<usize>) -> String {
    let columns = [
        Column::text("in common"),
        Column::text("").shortened(20),
        Column::number("flows"),
        Column::number("bytes"),
        Column::number("share").dropped(1),
        Column::number("clients").dropped(1),
        Column::number("servers").dropped(0),
        Column::text("ports").dropped(0),
        Column::text("shows").shortened(12).dropped(2),
        Column::text("draft").dropped(3),
    ];
    let mut rows: Vec<Vec<String>> = shown
        .iter()
        .map(|one| {
            let cluster = &one.cluster;
            vec![
                one.key.kind().to_owned(),
                harmless(&name(&one.key)).into_owned(),
                grouped(cluster.volume.flows),
                human(cluster.volume.bytes),
                percent(cluster.volume.bytes, learned.unnamed.bytes),
                distinct(&cluster.clients),
                distinct(&cluster.servers),
                ports(cluster, 3),
                harmless(&shows(&one.key, cluster)).into_owned(),
                one.draft
                    .as_ref()
                    .map_or("-", |draft| draft.rule)
                    .to_owned(),
            ]
        })
        .collect();
    let mut rest = Volume::default();
    for (_, cluster) in &learned.clusters {
        rest.join(cluster.volume);
    }
    if rest.flows > 0 {
        let mut row = vec![
            String::new(),
            format!("({} more)", grouped(learned.clusters.len() as u64)),
            grouped(rest.flows),
            human(rest.bytes),
            percent(rest.bytes, learned.unnamed.bytes),
        ];
        row.resize(columns.len(), String::new());
        rows.push(row);
    }
    table::draw(&columns, &rows, width)
}

/// What the flows of a cluster have in common, as a text.
fn name(key: &Key) -> String {
    match key {
        Key::Host(domain) | Key::Certified(domain) => domain.clone(),
        Key::Certificate { subject, issuer } => match issuer {
            Some(issuer) => format!("{} (by {})", subject.name(), issuer.name()),
            None => subject.name().to_owned(),
        },
        Key::Hello { ja4, alpn } => match alpn {
            Some(alpn) => format!("{ja4} {alpn}"),
            None => ja4.clone(),
        },
        Key::Bytes {
            transport,
            side,
            bytes,
        } => {
            let side = side_name(side.side());
            format!("{} {side} {}", transport_of(*transport), hex(bytes))
        }
        Key::Port {
            transport,
            port,
            protocol,
        } => {
            let transport = transport_of(*transport);
            let mut text = match port {
                0 => transport,
                port => format!("{transport} {port}"),
            };
            if let Some(protocol) = protocol {
                let _ = write!(text, " {protocol}");
            }
            text
        }
        Key::Rest => "too many clusters: all others".to_owned(),
    }
}

fn transport_of(number: u8) -> String {
    transport_name(IpProtocol(number)).to_lowercase()
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

/// What else its flows show.
fn shows(key: &Key, cluster: &Cluster) -> String {
    let few = |tally: &Tally| {
        let values = tally.sorted();
        let shown: Vec<&str> = values.iter().take(SHOWN).map(|(value, _)| *value).collect();
        shown.join(" ")
    };
    let leading = |side: Side| {
        let bytes = cluster.leading(side);
        let text = hex(bytes.get(..8).unwrap_or(bytes));
        (!text.is_empty()).then(|| format!("{} {text}", side_name(side)))
    };
    match key {
        Key::Host(_) => few(&cluster.hosts),
        Key::Certified(_) | Key::Certificate { .. } => few(&cluster.issuers),
        Key::Hello { .. } => few(&cluster.protocols),
        _ => {
            let sides = [leading(Side::Client), leading(Side::Server)];
            let sides: Vec<String> = sides.into_iter().flatten().collect();
            sides.join(", ")
        }
    }
}

fn distinct(addresses: &Distinct) -> String {
    let more = if addresses.is_more { "+" } else { "" };
    format!("{}{more}", grouped(addresses.count() as u64))
}

/// Servers' ports, so many at most.
fn ports(cluster: &Cluster, most: usize) -> String {
    let ports = cluster.ports.iter().filter(|&&(_, port)| port > 0);
    let mut texts: Vec<String> = ports
        .clone()
        .take(most)
        .map(|(_, port)| port.to_string())
        .collect();
    if cluster.has_more_ports || ports.count() > most {
        texts.push("...".to_owned());
    }
    texts.join(" ")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (place, byte) in bytes.iter().enumerate() {
        let separator = if place > 0 { " " } else { "" };
        let _ = write!(text, "{separator}{byte:02x}");
    }
    text
}

fn volume(volume: Volume) -> Value {
    json!({ "flows": volume.flows, "bytes": volume.bytes })
}

fn object(shown: &Shown) -> Value {
    let Shown {
        key,
        cluster,
        draft,
    } = shown;
    let mut value = Map::new();
    let mut put = |name: &str, it: Value| {
        let is_empty = it.as_array().is_some_and(Vec::is_empty) || it.is_null();
        if !is_empty {
            value.insert(name.to_owned(), it);
        }
    };
    put("kind", key.kind().into());
    put("name", name(key).into());
    match key {
        Key::Host(domain) | Key::Certified(domain) => put("domain", domain.as_str().into()),
        Key::Certificate { subject, issuer } => {
            put("subject", subject.name().into());
            put("issuer", issuer.as_ref().map(Party::name).into());
        }
        Key::Hello { .. } | Key::Bytes { .. } | Key::Port { .. } | Key::Rest => {}
    }
    put("flows", cluster.volume.flows.into());
    put("bytes", cluster.volume.bytes.into());
    put("clients", cluster.clients.count().into());
    put("servers", cluster.servers.count().into());
    if cluster.clients.is_more || cluster.servers.is_more {
        put("more_addresses", true.into());
    }
    let ports = cluster.ports.iter().filter(|&&(_, port)| port > 0);
    let ports = ports.map(|&(transport, port)| json!({ "proto": transport_name(IpProtocol(transport)), "port": port }));
    put("ports", ports.collect::<Vec<Value>>().into());
    if cluster.has_more_ports {
        put("more_ports", true.into());
    }
    let tally = |tally: &Tally| -> Value {
        let values = tally.sorted().into_iter();
        values
            .map(|(value, flows)| json!({ "value": value, "flows": flows }))
            .collect()
    };
    put("protocols", tally(&cluster.protocols));
    put("hosts", tally(&cluster.hosts));
    put("alpn", tally(&cluster.alpn));
    put("ja4", tally(&cluster.ja4));
    put("subjects", tally(&cluster.subjects));
    put("issuers", tally(&cluster.issuers));
    for side in [Side::Client, Side::Server] {
        let bytes = cluster.leading(side);
        if !bytes.is_empty() {
            put(&format!("{}_bytes", side_name(side)), hex(bytes).into());
        }
    }
    if let Some(draft) = draft {
        let it = json!({ "file": draft.path, "rule": draft.rule, "text": draft.text });
        put("draft", it);
    }
    Value::Object(value)
}

fn csv(out: &mut dyn Write, shown: &[Shown]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let header = [
        "kind",
        "name",
        "flows",
        "bytes",
        "clients",
        "servers",
        "ports",
        "protocols",
        "hosts",
        "alpn",
        "ja4",
        "subjects",
        "issuers",
        "client_bytes",
        "server_bytes",
        "draft",
        "file",
    ];
    writer.write_record(header).map_err(io::Error::other)?;
    let texts = |tally: &Tally| {
        let values = tally.sorted().into_iter();
        let values: Vec<&str> = values.map(|(value, _)| value).collect();
        one_line(&values.join(";"))
    };
    for Shown {
        key,
        cluster,
        draft,
    } in shown
    {
        let (rule, file) = draft
            .as_ref()
            .map_or(("", ""), |draft| (draft.rule, &*draft.path));
        let fields = [
            key.kind().to_owned(),
            one_line(&name(key)),
            cluster.volume.flows.to_string(),
            cluster.volume.bytes.to_string(),
            cluster.clients.count().to_string(),
            cluster.servers.count().to_string(),
            ports(cluster, usize::MAX).replace(' ', ";"),
            texts(&cluster.protocols),
            texts(&cluster.hosts),
            texts(&cluster.alpn),
            texts(&cluster.ja4),
            texts(&cluster.subjects),
            texts(&cluster.issuers),
            hex(cluster.leading(Side::Client)),
            hex(cluster.leading(Side::Server)),
            rule.to_owned(),
            file.to_owned(),
        ];
        writer.write_record(&fields).map_err(io::Error::other)?;
    }
    writer.flush()
}

/// A record shall be one line.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\0'], " ")
}

/// Writes what a model is worth, by application.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write_model(
    out: &mut dyn Write,
    forest: &Forest,
    precision: f64,
    format: Format,
) -> io::Result<()> {
    let mut classes: Vec<&Class> = forest
        .classes()
        .iter()
        .filter(|class| !class.name.is_empty())
        .collect();
    classes.sort_by_key(|class| (!class.speaks(), std::cmp::Reverse(class.of)));
    match format {
        Format::Table(width) => model_table(out, forest, &classes, precision, width),
        Format::Json => {
            let applications: Vec<Value> = classes
                .iter()
                .map(|class| {
                    json!({
                        "app": &*class.name,
                        "flows": class.of,
                        "right": class.right,
                        "wrong": class.wrong,
                        "threshold": class.least,
                    })
                })
                .collect();
            let value = json!({
                "trees": forest.trees(),
                "nodes": forest.nodes(),
                "precision_asked": precision,
                "applications": applications,
            });
            serde_json::to_writer_pretty(&mut *out, &value)?;
            out.write_all(b"\n")
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            let header = ["app", "flows", "right", "wrong", "threshold"];
            writer.write_record(header).map_err(io::Error::other)?;
            for class in classes {
                let [of, right, wrong] =
                    [class.of, class.right, class.wrong].map(|n| n.to_string());
                let least = class.least.map(|least| least.to_string());
                let fields = [
                    &*class.name,
                    &of,
                    &right,
                    &wrong,
                    least.as_deref().unwrap_or(""),
                ];
                writer.write_record(fields).map_err(io::Error::other)?;
            }
            writer.flush()
        }
    }
}

fn model_table(
    out: &mut dyn Write,
    forest: &Forest,
    classes: &[&Class],
    precision: f64,
    width: Option<usize>,
) -> io::Result<()> {
    let columns = [
        Column::text("application").shortened(12),
        Column::number("flows aside"),
        Column::number("named right"),
        Column::number("named wrong"),
        Column::number("precision"),
        Column::number("of its flows"),
        Column::text("from votes of"),
    ];
    let rows: Vec<Vec<String>> = classes
        .iter()
        .map(|class| {
            let [of, right, wrong] = [class.of, class.right, class.wrong].map(u64::from);
            let share = |part: u64, whole: u64| match whole {
                0 => "-".to_owned(),
                whole => percent(part, whole),
            };
            let least = class.least.map(|least| format!("{:.0} %", 100.0 * least));
            vec![
                class.name.to_string(),
                grouped(of),
                grouped(right),
                grouped(wrong),
                share(right, right + wrong),
                share(right, of),
                least.unwrap_or_else(|| "silent".to_owned()),
            ]
        })
        .collect();
    writeln!(out, "{}", table::draw(&columns, &rows, width))?;
    let speaking: Vec<&&Class> = classes.iter().filter(|class| class.speaks()).collect();
    let sum =
        |of: fn(&Class) -> u32| -> u64 { speaking.iter().map(|class| u64::from(of(class))).sum() };
    let (right, wrong) = (sum(|class| class.right), sum(|class| class.wrong));
    writeln!(
        out,
        "{} of {} applications can be told at {precision} %; of flows kept aside {} are named by them, {} of these right",
        speaking.len(),
        classes.len(),
        grouped(right + wrong),
        percent(right, (right + wrong).max(1)),
    )?;
    writeln!(
        out,
        "{} trees with {} nodes",
        grouped(forest.trees() as u64),
        grouped(forest.nodes() as u64)
    )
}
