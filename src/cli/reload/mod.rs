//! `ottometer reload --dry-run`: what new settings and signatures would change, before they do.
//!
//! Whether a reload would be refused is found by reading what it would read. What would be called
//! otherwise is asked of the run's own flow records: they hold what it named, and why. So the run has to
//! keep nothing for it, and there is no way into it.

mod ended;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use super::live::reload::changes;
use super::screen;
use super::select::check_names;
use super::settings::{idle, lines, positive};
use crate::classify::again::{Again, Reviewer};
use crate::config::{self, File, Period, Settings};
use crate::signature::{Loader, SignatureSet};
use crate::view::number::{bytes, grouped, percent};
use crate::view::table::{Column, draw};

use self::ended::{Flows, Said, Sum};

const EXAMPLES: &str = "\
Examples:
  ottometer reload --dry-run --config /etc/ottometer.toml
  ottometer reload --dry-run --config new.toml --before /etc/ottometer.toml
  ottometer reload --dry-run --signatures new-signatures --last 24h /var/log/ottometer/flows*.jsonl*
  ottometer reload --dry-run --config /etc/ottometer.toml && systemctl reload ottometer

The exit code is 0 when the reload would be taken, 1 when it would be refused.
A live run is reloaded by SIGHUP.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Change nothing: say what a reload would change.
    #[arg(long, required = true)]
    dry_run: bool,

    /// The settings file that a live run would read again.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The settings file as it was: which keys a reload would take into use, and which wait for the next start.
    #[arg(long, value_name = "FILE", requires = "config")]
    before: Option<PathBuf>,

    /// Folder of signatures, instead of the one that the settings file names.
    #[arg(long, value_name = "DIR")]
    signatures: Option<PathBuf>,

    /// Use only the files of --signatures, not the built-in ones.
    #[arg(long, requires = "signatures")]
    signatures_replace: bool,

    /// Flow records of the run: lines of JSON, also compressed by gzip or zstd; `-` is standard input. Default: the files that the settings file has flow records written to.
    #[arg(value_name = "FILE")]
    records: Vec<PathBuf>,

    /// Ask for flows that ended so long before the latest one.
    #[arg(long, value_name = "DURATION", default_value_t = Period(Duration::from_secs(3600)), value_parser = idle)]
    last: Period,

    /// Show only the N largest changes.
    #[arg(long, value_name = "N", default_value = "20", value_parser = positive)]
    top: usize,

    /// One JSON object, with all changes.
    #[arg(long)]
    json: bool,
}

/// What a reload would change.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Why it would be refused, a line each.
    refused: Vec<String>,
    /// The signatures it would take into use.
    #[serde(skip_serializing_if = "Option::is_none")]
    signatures: Option<Signatures>,
    /// Settings that differ from those before, if these are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Vec<Setting>>,
    /// What would become of names, if there are records.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Names>,
}

#[derive(Debug, Serialize)]
struct Signatures {
    hash: String,
    apps: usize,
    rules: usize,
}

#[derive(Debug, Serialize)]
struct Setting {
    name: &'static str,
    /// It is not taken into use before the next start.
    waits: bool,
}

/// What would become of the names of flows.
#[derive(Debug, Default, Serialize)]
struct Names {
    from: String,
    until: String,
    /// Lines that are no records of flows.
    other_lines: u64,
    all: Sum,
    same: Sum,
    changed: Sum,
    not_known: Sum,
    /// Most bytes first.
    rows: Vec<Row>,
}

/// Flows of one name that would get one other.
#[derive(Debug, Serialize)]
struct Row {
    now: String,
    /// Nothing, where it is not known.
    then: Option<String>,
    #[serde(flatten)]
    sum: Sum,
    /// One of them.
    example: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = report(arguments)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &report)?;
        writeln!(out)?;
    } else {
        report.print(&mut out, arguments)?;
    }
    out.flush()?;
    Ok(match report.refused.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn report(arguments: &Arguments) -> anyhow::Result<Report> {
    let refused = |refused| {
        Ok(Report {
            refused,
            ..Report::default()
        })
    };
    let read = |path: &Path| {
        config::load(Some(path), File::default())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let settings = match arguments.config.as_deref().map(read).transpose() {
        Ok(settings) => settings,
        Err(problems) => return refused(problems),
    };
    let set = match arguments.loader(settings.as_ref()).load_first() {
        Ok(set) => set,
        Err(findings) => return refused(vec![lines(&findings)]),
    };
    let only = settings
        .as_ref()
        .and_then(|settings| settings.records.only.as_deref());
    if let Some(Err(refusal)) = only.map(|only| check_names(only, &set)) {
        return refused(vec![refusal.to_string()]);
    }
    let before = arguments.before.as_deref().map(read).transpose();
    let before = before.map_err(|problems| anyhow::anyhow!(problems.join("\n")))?;
    let settings_changed = before.zip(settings.as_ref()).map(|(before, now)| {
        let all = changes(&before, now).into_iter();
        all.map(|(name, waits)| Setting { name, waits }).collect()
    });
    let files = match (&*arguments.records, &settings) {
        ([], Some(settings)) => ended::files_of(settings, arguments.last.0)?,
        (files, _) => files.to_vec(),
    };
    let names = match files.is_empty() {
        true => None,
        false => Some(Names::new(Flows::read(&files, arguments.last.0)?, &set)),
    };
    Ok(Report {
        refused: Vec::new(),
        signatures: Some(Signatures {
            hash: set.hash().to_owned(),
            apps: set.catalog().app_count(),
            rules: set.rule_count(),
        }),
        settings: settings_changed,
        names,
    })
}

impl Arguments {
    fn loader(&self, settings: Option<&Settings>) -> Loader {
        let signatures = settings.map(|settings| &settings.signatures);
        match (&self.signatures, signatures) {
            (None, Some(signatures)) => Loader {
                dir: signatures.dir.clone(),
                replace: signatures.replace,
            },
            (dir, _) => Loader {
                dir: dir.clone(),
                replace: self.signatures_replace,
            },
        }
    }
}

impl Names {
    /// What `set` would call these flows.
    fn new(flows: Flows, set: &SignatureSet) -> Self {
        let time =
            |time: Duration| humantime::format_rfc3339_seconds(UNIX_EPOCH + time).to_string();
        let (from, until) = flows
            .span()
            .map(|(from, until)| (time(from), time(until)))
            .unwrap_or_default();
        let mut names = Self {
            from,
            until,
            other_lines: flows.others,
            all: flows.untold,
            not_known: flows.untold,
            ..Self::default()
        };
        let reviewer = Reviewer::new(set);
        // By both names: the sum, and the largest part of it.
        let mut rows: HashMap<(String, Option<String>), (Sum, Said, Sum)> = HashMap::new();
        for (said, sum) in flows.sums() {
            names.all.add(sum);
            let then = match reviewer.name(&said.ended()) {
                Again::Same => {
                    names.same.add(sum);
                    continue;
                }
                Again::Other(tag) => {
                    names.changed.add(sum);
                    let app = tag.app.map_or("-", |app| set.catalog().app_name(app));
                    Some(called(
                        Some(app),
                        tag.service.map(|service| service.slug()),
                        &said,
                    ))
                }
                Again::Nothing => {
                    names.changed.add(sum);
                    Some(called(None, None, &said))
                }
                Again::NotKnown => {
                    names.not_known.add(sum);
                    None
                }
            };
            let now = called(said.app.as_deref(), said.service.as_deref(), &said);
            let row = rows
                .entry((now, then))
                .or_insert_with(|| (Sum::default(), said.clone(), sum));
            row.0.add(sum);
            if (row.2.bytes, &row.1.server_name) < (sum.bytes, &said.server_name) {
                (row.1, row.2) = (said, sum);
            }
        }
        names.rows = rows
            .into_iter()
            .map(|((now, then), (sum, said, _))| Row {
                now,
                then,
                sum,
                example: example(&said),
            })
            .collect();
        names.rows.sort_by(|a, b| {
            let key = |row: &Row| (row.then.is_none(), Reverse(row.sum.bytes));
            key(a)
                .cmp(&key(b))
                .then_with(|| (&a.now, &a.then).cmp(&(&b.now, &b.then)))
        });
        names
    }
}

/// `youtube/video`, `(tls)`, `unknown`
fn called(app: Option<&str>, service: Option<&str>, said: &Said) -> String {
    match (app, service, said.app_proto.as_deref()) {
        (Some(app), Some(service), _) => format!("{app}/{service}"),
        (Some(app), None, _) => app.to_owned(),
        (None, _, Some(proto)) => format!("({proto})"),
        (None, _, None) => "unknown".to_owned(),
    }
}

/// Where such a flow went, and by what it was named.
fn example(said: &Said) -> String {
    let to = match (&said.server_name, said.dest_ip) {
        (Some(host), _) => host.clone(),
        (None, Some(ip)) => crate::view::reason::endpoint(ip, said.dest_port),
        (None, None) => "-".to_owned(),
    };
    match &said.signature {
        Some(rule) => format!("{to} by {rule}"),
        None => to,
    }
}

impl Report {
    fn print(&self, out: &mut dyn Write, arguments: &Arguments) -> io::Result<()> {
        for line in &self.refused {
            writeln!(out, "{line}")?;
        }
        let Some(signatures) = &self.signatures else {
            return writeln!(
                out,
                "a reload would be refused, and everything stay as it is"
            );
        };
        writeln!(
            out,
            "signatures: {} applications, {} rules, set {}: nothing wrong",
            grouped(signatures.apps as u64),
            grouped(signatures.rules as u64),
            signatures.hash.get(..12).unwrap_or_default(),
        )?;
        if let Some(path) = &arguments.config {
            writeln!(out, "settings: {}: nothing wrong", path.display())?;
        }
        match self.settings.as_deref() {
            None => {}
            Some([]) => writeln!(out, "settings: none changes")?,
            Some(settings) => {
                for setting in settings {
                    let when = match setting.waits {
                        true => "used from the next start on",
                        false => "taken into use at once",
                    };
                    writeln!(out, "settings: {}: changes, {when}", setting.name)?;
                }
            }
        }
        match &self.names {
            None => writeln!(
                out,
                "names: not asked for: there are no flow records (give files, or a settings file that \
                 has them written as lines of JSON)"
            ),
            Some(names) => names.print(out, arguments.top),
        }
    }
}

impl Names {
    fn print(&self, out: &mut dyn Write, top: usize) -> io::Result<()> {
        if self.all.flows == 0 {
            return writeln!(
                out,
                "names: no record of a flow in {} lines",
                grouped(self.other_lines)
            );
        }
        writeln!(
            out,
            "names: of {} flows with {} that ended from {} to {}",
            grouped(self.all.flows),
            bytes(self.all.bytes),
            self.from,
            self.until,
        )?;
        for (what, sum) in [
            ("keep their name", self.same),
            ("change it", self.changed),
            ("not known", self.not_known),
        ] {
            writeln!(
                out,
                "  {what:<15} {:>10} {:>7}  {} flows",
                bytes(sum.bytes),
                percent(sum.bytes, self.all.bytes),
                grouped(sum.flows),
            )?;
        }
        if self.other_lines > 0 {
            writeln!(
                out,
                "  {} lines are no records of flows",
                grouped(self.other_lines)
            )?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::text("name now"),
            Column::text("then"),
            Column::number("bytes"),
            Column::number("flows").dropped(0),
            Column::text("for example").shortened(20),
        ];
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .take(top)
            .map(|row| {
                vec![
                    row.now.clone(),
                    row.then.clone().unwrap_or_else(|| "not known".to_owned()),
                    bytes(row.sum.bytes),
                    grouped(row.sum.flows),
                    crate::view::text::harmless(&row.example).into_owned(),
                ]
            })
            .collect();
        writeln!(
            out,
            "{}",
            draw(&columns, &rows, screen::width(&io::stdout()))
        )?;
        if self.rows.len() > top {
            writeln!(out, "{} more (--top)", self.rows.len() - top)?;
        }
        Ok(())
    }
}
