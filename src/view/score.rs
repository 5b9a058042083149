//! The score of a run against what is known: tables, JSON, CSV.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::number::{bytes as human, grouped};
use super::summary::Format;
use super::table::{self, Column};
use crate::score::harder::Harder;
use crate::score::{Group, Name, Outcome, Score, Volume, WITHIN};

/// The score on captures as they are, or made harder.
#[derive(Debug)]
pub struct Scored {
    /// What was done to the captures.
    pub harder: Option<Harder>,
    /// What is right.
    pub score: Score,
}

impl Scored {
    fn slug(&self) -> &'static str {
        self.harder.map_or("plain", Harder::slug)
    }
}

/// Outcomes of which there are shares.
const SHARES: [Outcome; 3] = [Outcome::Right, Outcome::Missed, Outcome::Wrong];

/// Of a hundred flows.
const PERCENTILES: [u64; 3] = [50, 95, 99];

/// Writes the scores: of `top` names and confusions as tables, else of all.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(out: &mut dyn Write, scored: &[Scored], top: usize, format: Format) -> io::Result<()> {
    match format {
        Format::Table(width) => tables(out, scored, top, width),
        Format::Json => {
            let scores: Vec<Value> = scored.iter().map(object).collect();
            serde_json::to_writer_pretty(&mut *out, &json!({ "scores": scores }))?;
            out.write_all(b"\n")
        }
        Format::Csv => csv(out, scored),
    }
}

fn tables(
    out: &mut dyn Write,
    scored: &[Scored],
    top: usize,
    width: Option<usize>,
) -> io::Result<()> {
    let Some((Scored { score, .. }, harder)) = scored.split_first() else {
        return Ok(());
    };
    writeln!(out, "{}", groups(score, width))?;
    let extra = score.volume(Group::Unlabelled, Outcome::Extra);
    let (_, unlabelled) = score.share(Group::Unlabelled, Outcome::Extra);
    writeln!(
        out,
        "unlabelled: {} flows, of which {} have a name; labels of flows that were not there: {}",
        grouped(unlabelled.flows),
        grouped(extra.flows),
        grouped(score.unseen)
    )?;
    let of = |volume: Volume| {
        let flows = share(volume.flows, score.all.flows);
        format!(
            "{flows} of flows, {} of bytes",
            share(volume.bytes, score.all.bytes)
        )
    };
    writeln!(out, "without a name: {}", of(score.unknown))?;
    writeln!(out, "without an application: {}", of(score.without_app))?;
    let settled = &score.settled;
    writeln!(
        out,
        "settled within {WITHIN} packets of payload: {} of {} flows of applications; of 50, 95, 99 % within \
         {} packets and {} bytes\n",
        share(settled.within(WITHIN), settled.flows()),
        grouped(settled.flows()),
        PERCENTILES
            .map(|p| grouped(settled.packets_at(p)))
            .join(", "),
        PERCENTILES.map(|p| grouped(settled.bytes_at(p))).join(", "),
    )?;
    names(out, "application", &score.apps, top, width)?;
    if !score.services.is_empty() {
        names(out, "service", &score.services, top, width)?;
    }
    confusion(out, score, top, width)?;
    if !harder.is_empty() {
        writeln!(out, "{}", inputs(scored, width))?;
        for Scored { harder, .. } in harder {
            let harder = harder.map(|harder| (harder.slug(), harder.title()));
            let (slug, title) = harder.unwrap_or_default();
            writeln!(out, "{slug}: {title}")?;
        }
    }
    Ok(())
}

fn groups(score: &Score, width: Option<usize>) -> String {
    let columns = [
        Column::text("group"),
        Column::number("flows"),
        Column::number("right"),
        Column::number("missed"),
        Column::number("wrong"),
        Column::number("bytes").dropped(0),
        Column::number("right"),
        Column::number("missed").dropped(1),
        Column::number("wrong").dropped(1),
    ];
    let row = |group: Group| {
        let shares = SHARES.map(|outcome| score.share(group, outcome));
        let all = shares[0].1;
        let flows = shares.iter().map(|(it, all)| share(it.flows, all.flows));
        let bytes = shares.iter().map(|(it, all)| share(it.bytes, all.bytes));
        let first = [group.slug().to_owned(), grouped(all.flows)];
        let row = first.into_iter().chain(flows).chain([human(all.bytes)]);
        row.chain(bytes).collect::<Vec<String>>()
    };
    let rows: Vec<_> = [Group::Application, Group::Protocol, Group::Weak]
        .into_iter()
        .map(row)
        .collect();
    table::draw(&columns, &rows, width)
}

/// Names, those of which most flows are lost or wrong first.
fn names(
    out: &mut dyn Write,
    title: &'static str,
    names: &BTreeMap<String, Name>,
    top: usize,
    width: Option<usize>,
) -> io::Result<()> {
    let columns = [
        Column::text(title).shortened(12),
        Column::number("labelled"),
        Column::number("recall"),
        Column::number("by bytes").dropped(1),
        Column::number("answered").dropped(0),
        Column::number("precision"),
        Column::number("by bytes").dropped(1),
    ];
    let amiss = |name: &Name| {
        let lost = name.labelled.flows - name.found.flows;
        lost + name.answered.flows - name.right.flows
    };
    let mut sorted: Vec<_> = names.iter().collect();
    sorted
        .sort_by_key(|(slug, name)| (std::cmp::Reverse((amiss(name), name.labelled.flows)), *slug));
    let rows: Vec<_> = sorted
        .iter()
        .take(top)
        .map(|(slug, name)| {
            vec![
                (*slug).clone(),
                grouped(name.labelled.flows),
                share(name.found.flows, name.labelled.flows),
                share(name.found.bytes, name.labelled.bytes),
                grouped(name.answered.flows),
                share(name.right.flows, name.answered.flows),
                share(name.right.bytes, name.answered.bytes),
            ]
        })
        .collect();
    writeln!(out, "{}", table::draw(&columns, &rows, width))?;
    let others = sorted.get(top..).unwrap_or_default();
    if !others.is_empty() {
        let amiss: u64 = others.iter().map(|(_, name)| amiss(name)).sum();
        let count = grouped(others.len() as u64);
        writeln!(
            out,
            "({count} more, with {} flows lost or wrong)",
            grouped(amiss)
        )?;
    }
    writeln!(out)
}

fn confusion(
    out: &mut dyn Write,
    score: &Score,
    top: usize,
    width: Option<usize>,
) -> io::Result<()> {
    let columns = [
        Column::text("truth").shortened(12),
        Column::text("answer").shortened(12),
        Column::number("flows"),
        Column::number("bytes"),
    ];
    let mut sorted: Vec<_> = score.confusion.iter().collect();
    sorted.sort_by_key(|(names, volume)| (std::cmp::Reverse((volume.flows, volume.bytes)), *names));
    let rows: Vec<_> = sorted
        .iter()
        .take(top)
        .map(|((truth, answer), volume)| {
            let answer = if answer == "-" { "nothing" } else { answer };
            vec![
                truth.clone(),
                answer.to_owned(),
                grouped(volume.flows),
                human(volume.bytes),
            ]
        })
        .collect();
    writeln!(out, "{}", table::draw(&columns, &rows, width))?;
    let others = sorted.get(top..).unwrap_or_default();
    if !others.is_empty() {
        let flows: u64 = others.iter().map(|(_, volume)| volume.flows).sum();
        let count = grouped(others.len() as u64);
        writeln!(out, "({count} more, of {} flows)", grouped(flows))?;
    }
    writeln!(out)
}

/// A line for each kind of capture.
fn inputs(scored: &[Scored], width: Option<usize>) -> String {
    let columns = [
        Column::text("captures"),
        Column::number("flows"),
        Column::number("gone").dropped(0),
        Column::number("right"),
        Column::number("missed").dropped(1),
        Column::number("owner").dropped(1),
        Column::number("wrong"),
        Column::number("bytes right"),
        Column::number("protocol right").dropped(1),
        Column::number("wrong").dropped(1),
        Column::number("settled").dropped(0),
    ];
    let rows: Vec<_> = scored
        .iter()
        .map(|scored| {
            let score = &scored.score;
            let share_of = |it| score.share(Group::Application, it);
            let [right, missed, wrong] = SHARES.map(share_of);
            let owner = share_of(Outcome::Owner);
            let of_protocol = |it| {
                let (volume, all) = score.share(Group::Protocol, it);
                share(volume.flows, all.flows)
            };
            let flows = |(volume, all): (Volume, Volume)| share(volume.flows, all.flows);
            vec![
                scored.slug().to_owned(),
                grouped(right.1.flows),
                grouped(score.volume(Group::Application, Outcome::Gone).flows),
                flows(right),
                flows(missed),
                flows(owner),
                flows(wrong),
                share(right.0.bytes, right.1.bytes),
                of_protocol(Outcome::Right),
                of_protocol(Outcome::Wrong),
                share(score.settled.within(WITHIN), score.settled.flows()),
            ]
        })
        .collect();
    table::draw(&columns, &rows, width)
}

fn object(scored: &Scored) -> Value {
    let score = &scored.score;
    let volume = |volume: Volume| json!({ "flows": volume.flows, "bytes": volume.bytes });
    let name = |name: &Name| {
        json!({
            "labelled": volume(name.labelled),
            "found": volume(name.found),
            "answered": volume(name.answered),
            "right": volume(name.right),
        })
    };
    let names = |names: &BTreeMap<String, Name>| -> serde_json::Map<String, Value> {
        let names = names.iter();
        names.map(|(slug, it)| (slug.clone(), name(it))).collect()
    };
    let groups: serde_json::Map<String, Value> = Group::ALL
        .into_iter()
        .map(|group| {
            let outcomes = score.outcomes.iter().filter(|((of, _), _)| *of == group);
            let outcomes: serde_json::Map<String, Value> = outcomes
                .map(|((_, outcome), &it)| (outcome.slug().to_owned(), volume(it)))
                .collect();
            (group.slug().to_owned(), outcomes.into())
        })
        .collect();
    let confusion: Vec<Value> = score
        .confusion
        .iter()
        .map(|((truth, answer), it)| {
            json!({ "truth": truth, "answer": answer, "flows": it.flows, "bytes": it.bytes })
        })
        .collect();
    let settled = &score.settled;
    json!({
        "input": scored.slug(),
        "groups": groups,
        "all": volume(score.all),
        "unknown": volume(score.unknown),
        "without_app": volume(score.without_app),
        "unseen": score.unseen,
        "settled": {
            "flows": settled.flows(),
            "within_6_payload_packets": settled.within(WITHIN),
            "payload_packets": PERCENTILES.map(|p| (format!("p{p}"), settled.packets_at(p)))
                .into_iter().collect::<BTreeMap<_, _>>(),
            "bytes": PERCENTILES.map(|p| (format!("p{p}"), settled.bytes_at(p)))
                .into_iter().collect::<BTreeMap<_, _>>(),
        },
        "apps": names(&score.apps),
        "services": names(&score.services),
        "confusion": confusion,
    })
}

/// A line for each number of flows and bytes: of which input, which table, which name.
fn csv(out: &mut dyn Write, scored: &[Scored]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let header = ["input", "kind", "name", "what", "flows", "bytes"];
    writer.write_record(header).map_err(io::Error::other)?;
    for scored in scored {
        let score = &scored.score;
        let mut line = |kind: &str, name: &str, what: &str, volume: Volume| {
            let (flows, bytes) = (volume.flows.to_string(), volume.bytes.to_string());
            let fields = [scored.slug(), kind, name, what, &flows, &bytes];
            writer.write_record(fields).map_err(io::Error::other)
        };
        for (&(group, outcome), &volume) in &score.outcomes {
            line("group", group.slug(), outcome.slug(), volume)?;
        }
        line("all", "", "labelled", score.all)?;
        line("all", "", "unknown", score.unknown)?;
        line("all", "", "without-app", score.without_app)?;
        for (kind, names) in [("app", &score.apps), ("service", &score.services)] {
            for (slug, name) in names {
                line(kind, slug, "labelled", name.labelled)?;
                line(kind, slug, "found", name.found)?;
                line(kind, slug, "answered", name.answered)?;
                line(kind, slug, "right", name.right)?;
            }
        }
        for ((truth, answer), &volume) in &score.confusion {
            line("confusion", truth, answer, volume)?;
        }
    }
    writer.flush()
}

/// A share with two decimals: the next flow shows.
#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        whole => format!("{:.2} %", 100.0 * part as f64 / whole as f64),
    }
}
