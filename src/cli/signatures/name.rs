//! `ottometer signatures name`: whose host names are.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::classify::Decider;
use crate::classify::by_name::{Answer, ByName};
use crate::cli::screen;
use crate::cli::settings::lines;
use crate::signature::{Loader, Places, SignatureSet};
use crate::view::table::{Column, draw};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottometer signatures name www.google.co.uk szlong.weixin.qq.com
  ottometer signatures name - --format csv < hosts.txt
  ottometer signatures name - --summary < hosts.txt        how many have a name?
  ottometer signatures name - --unknown < hosts.txt        which have none?
  ottometer signatures name acme.example --signatures my-signatures";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Host names; `-`: one a line, from standard input.
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,

    /// Rules of one's own in addition to the built-in ones.
    #[arg(long, value_name = "DIR")]
    signatures: Option<PathBuf>,

    /// Only the rules of --signatures.
    #[arg(long, requires = "signatures")]
    signatures_replace: bool,

    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Only how many of the names are of an application, and of which categories.
    #[arg(long)]
    summary: bool,

    /// Only the names of no application.
    #[arg(long, conflicts_with = "summary")]
    unknown: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    #[default]
    Text,
    /// Comma-separated values with a header.
    Csv,
    /// An object a line.
    Json,
}

/// What is said of a name.
#[derive(Clone, Debug, Default, Serialize)]
struct Row<'a> {
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// Not a host name.
    #[serde(skip)]
    is_none: bool,
}

const HEADER: [&str; 8] = [
    "host", "app", "category", "service", "rule", "pattern", "file", "line",
];

pub(super) fn run(out: &mut dyn Write, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let hosts = hosts(&arguments.hosts)?;
    let loader = Loader {
        dir: arguments.signatures.clone(),
        replace: arguments.signatures_replace,
    };
    let files = loader
        .files()
        .map_err(|faults| anyhow::anyhow!("{}", lines(&faults)))?;
    let set =
        SignatureSet::compile(&files).map_err(|faults| anyhow::anyhow!("{}", lines(&faults)))?;
    let places = Places::new(&files, &set);
    let mut names = ByName::new(&set);
    let rows = hosts
        .iter()
        .map(|host| row(host, &mut names, &set, &places));
    if arguments.summary {
        summary(out, rows, arguments.format)?;
    } else {
        let wanted = rows.filter(|row| !arguments.unknown || row.app.is_none());
        write_rows(out, wanted, arguments.format)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The names given, those of standard input where `-` stands; blank lines are none.
fn hosts(given: &[String]) -> anyhow::Result<Vec<String>> {
    let mut hosts = Vec::new();
    for one in given {
        if one != "-" {
            hosts.push(one.clone());
            continue;
        }
        for line in io::stdin().lock().split(b'\n') {
            let line = line.context("standard input")?;
            let line = String::from_utf8_lossy(&line);
            if !line.trim().is_empty() {
                hosts.push(line.trim().to_owned());
            }
        }
    }
    ensure!(!hosts.is_empty(), "there is no name on standard input");
    Ok(hosts)
}

fn row<'a>(
    host: &'a str,
    names: &mut ByName<'a>,
    set: &'a SignatureSet,
    places: &'a Places<'_>,
) -> Row<'a> {
    let named = match names.name(host) {
        Answer::Named(named) => named,
        other => {
            return Row {
                host,
                is_none: other == Answer::NoName,
                ..Row::default()
            };
        }
    };
    let app = named.app.and_then(|app| set.catalog().app(app));
    let rule = match named.decider {
        Some(Decider::Rule(rule)) => Some(rule),
        _ => None,
    };
    let place = rule.and_then(|rule| places.of(rule));
    Row {
        host,
        app: app.map(|app| &*app.name),
        category: app.map(|app| &*app.category),
        service: named.service.map(crate::app::Service::slug),
        rule: rule.map(|rule| set.rule_name(rule)),
        pattern: place.and_then(|place| place.pattern),
        file: place.map(|place| place.path),
        line: place.map(|place| place.line),
        is_none: false,
    }
}

const COLUMNS: [Column; 5] = [
    Column::text("host"),
    Column::text("app"),
    Column::text("service").dropped(0),
    Column::text("rule").dropped(2),
    Column::text("file").dropped(1),
];

fn write_rows<'a>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = Row<'a>>,
    format: Format,
) -> anyhow::Result<()> {
    match format {
        Format::Text => {
            let cells: Vec<Vec<String>> = rows.map(|row| cells(&row)).collect();
            writeln!(
                out,
                "{}",
                draw(&COLUMNS, &cells, screen::width(&io::stdout()))
            )?;
        }
        Format::Csv => {
            let lines = rows.map(|row| {
                let text = |text: Option<&'a str>| text.unwrap_or_default().to_owned();
                [
                    row.host.to_owned(),
                    text(row.app),
                    text(row.category),
                    text(row.service),
                    text(row.rule),
                    text(row.pattern),
                    text(row.file),
                    row.line.map(|line| line.to_string()).unwrap_or_default(),
                ]
            });
            write_csv(out, HEADER, lines)?;
        }
        Format::Json => write_lines(out, rows)?,
    }
    Ok(())
}

fn cells(row: &Row<'_>) -> Vec<String> {
    let nothing = if row.is_none { "(no host name)" } else { "-" };
    let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let file = match (row.file, row.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        _ => "-".to_owned(),
    };
    vec![
        row.host.to_owned(),
        row.app.unwrap_or(nothing).to_owned(),
        text(row.service),
        text(row.rule),
        file,
    ]
}

fn write_csv<const N: usize>(
    out: &mut dyn Write,
    header: [&str; N],
    lines: impl Iterator<Item = [String; N]>,
) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(header)?;
    for line in lines {
        csv.write_record(line)?;
    }
    csv.flush()
}

fn write_lines<T: Serialize>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = T>,
) -> anyhow::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, &row)?;
        writeln!(out)?;
    }
    Ok(())
}

/// How many names are of a kind.
#[derive(Debug, Serialize)]
struct Share {
    /// `named`, `unknown`, `no-name`, or `category` for a part of the named ones.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    hosts: usize,
    /// Of all names on the list, from 0 to 1.
    share: f64,
}

const SUMMARY: [Column; 3] = [
    Column::text("category"),
    Column::number("hosts"),
    Column::number("share"),
];

fn summary<'a>(
    out: &mut dyn Write,
    rows: impl Iterator<Item = Row<'a>>,
    format: Format,
) -> anyhow::Result<()> {
    let shares = shares(rows);
    match format {
        Format::Json => write_lines(out, shares.iter())?,
        Format::Csv => {
            let lines = shares.iter().map(|one| {
                [
                    one.kind.to_owned(),
                    one.category.clone().unwrap_or_default(),
                    one.hosts.to_string(),
                    format!("{:.6}", one.share),
                ]
            });
            write_csv(out, ["kind", "category", "hosts", "share"], lines)?;
        }
        Format::Text => {
            let cells = |one: &Share| {
                let name = one.category.clone();
                vec![
                    name.unwrap_or_else(|| format!("({})", one.kind)),
                    one.hosts.to_string(),
                    format!("{:.2} %", one.share * 100.0),
                ]
            };
            let cells: Vec<_> = shares.iter().map(cells).collect();
            writeln!(
                out,
                "{}",
                draw(&SUMMARY, &cells, screen::width(&io::stdout()))
            )?;
        }
    }
    Ok(())
}

/// The largest category first, then what is named in all, and what is not.
fn shares<'a>(rows: impl Iterator<Item = Row<'a>>) -> Vec<Share> {
    let (mut named, mut unknown, mut no_name) = (0, 0, 0);
    let mut categories = BTreeMap::<&str, usize>::new();
    for row in rows {
        match row.category {
            Some(category) => {
                named += 1;
                *categories.entry(category).or_default() += 1;
            }
            None if row.is_none => no_name += 1,
            None => unknown += 1,
        }
    }
    let all = named + unknown + no_name;
    let share = |kind, category: Option<&str>, hosts: usize| Share {
        kind,
        category: category.map(str::to_owned),
        hosts,
        share: hosts as f64 / (all as f64).max(1.0),
    };
    let mut shares: Vec<Share> = categories
        .into_iter()
        .map(|(category, hosts)| share("category", Some(category), hosts))
        .collect();
    shares.sort_by_key(|one| std::cmp::Reverse(one.hosts));
    shares.push(share("named", None, named));
    shares.push(share("unknown", None, unknown));
    if no_name > 0 {
        shares.push(share("no-name", None, no_name));
    }
    shares
}
