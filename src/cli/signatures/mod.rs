//! `ottometer signatures check|test|list|show|name|next-id|new|schema`.

mod name;
mod new;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use self::new::{New, NextId};
use super::screen;
use super::select::unknown_name;
use super::settings::lines;
use crate::capture::file::Options;
use crate::capture::inputs::Inputs;
use crate::config::{closest, did_you_mean};
use crate::pipeline::trial::{Trial, observed};
use crate::pipeline::{self, Config};
use crate::record::FlowRecord;
use crate::signature::{
    self, Conversation, Fate, ListRow, Observed, Runner, Severity, SignatureSet, SourceFile,
};
use crate::sink::Exporter;
use crate::usage::Closed;
use crate::verdict::RuleId;
use crate::view::table::{Column, draw};

const LIST_EXAMPLES: &str = "\
Examples:
  ottometer signatures list --search wechat
  ottometer signatures list --search 微信
  ottometer signatures list --search szlong.weixin.qq.com   whose is this host?
  ottometer signatures list --category messaging --json";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look for mistakes: bad syntax, names claimed twice, weak patterns, missing tests.
    Check {
        /// Folder with CATEGORY/NAME.toml files; default: the built-in ones.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,

        /// Check the folder's files together with the built-in ones, as a run with --signatures has them.
        #[arg(long, requires = "folder")]
        with_built_in: bool,

        /// Warnings are a failure too.
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Run the tests in signature files. Captures they name are looked for from the current folder.
    Test {
        /// Folder with CATEGORY/NAME.toml files; default: the built-in ones.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// List the applications and protocols.
    #[command(after_help = LIST_EXAMPLES)]
    List {
        /// Folder with CATEGORY/NAME.toml files; default: the built-in ones.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,

        /// Only those with this text in slug, title, owner or a domain, or with a domain that this host is under. May be given several times: all must fit.
        #[arg(long, short, value_name = "TEXT")]
        search: Vec<String>,

        /// Only those of this category.
        #[arg(long, value_name = "NAME")]
        category: Option<String>,

        /// One JSON array, with titles and domains.
        #[arg(long)]
        json: bool,
    },
    /// Show the rules of one application or protocol, and how each is known.
    Show {
        /// Its slug: `wechat`.
        name: String,

        /// Folder with CATEGORY/NAME.toml files; default: the built-in ones.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Say whose host names are: application, service and rule, as a flow of TLS to them shows.
    #[command(after_help = name::EXAMPLES)]
    Name(name::Arguments),
    /// Print ids that new files may have: never one that is, or was, another's.
    NextId(NextId),
    /// Write a file for a new application, with the next id.
    #[command(after_help = new::EXAMPLES)]
    New(New),
    /// Print the JSON schema of signature files, for editors.
    Schema,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let code = match &arguments.command {
        Command::Check {
            folder,
            with_built_in,
            deny_warnings,
        } => check(&mut out, folder.as_deref(), *with_built_in, *deny_warnings)?,
        Command::Test { folder } => test(&mut out, &files(folder.as_deref())?)?,
        Command::List {
            folder,
            search,
            category,
            json,
        } => {
            let rows = chosen(&files(folder.as_deref())?, search, category.as_deref())?;
            list(&mut out, &rows, *json)?
        }
        Command::Show { name, folder } => show(&mut out, &files(folder.as_deref())?, name)?,
        Command::Name(arguments) => name::run(&mut out, arguments)?,
        Command::NextId(arguments) => new::next_id(&mut out, arguments)?,
        Command::New(arguments) => new::new(&mut out, arguments)?,
        Command::Schema => {
            serde_json::to_writer_pretty(&mut out, &signature::schema())?;
            writeln!(out)?;
            ExitCode::SUCCESS
        }
    };
    out.flush()?;
    Ok(code)
}

fn files(folder: Option<&Path>) -> anyhow::Result<Vec<SourceFile>> {
    let Some(folder) = folder else {
        return Ok(signature::builtin_files());
    };
    anyhow::ensure!(
        folder.is_dir(),
        "{}: no such folder (to look for a name: signatures list --search {0})",
        folder.display()
    );
    let files =
        signature::files_in(folder).map_err(|findings| anyhow::anyhow!("{}", lines(&findings)))?;
    some(files, folder)
}

fn some(files: Vec<SourceFile>, folder: &Path) -> anyhow::Result<Vec<SourceFile>> {
    anyhow::ensure!(
        !files.is_empty(),
        "{}: no CATEGORY/NAME.toml in it",
        folder.display()
    );
    Ok(files)
}

fn check(
    out: &mut dyn Write,
    folder: Option<&Path>,
    with_built_in: bool,
    deny_warnings: bool,
) -> anyhow::Result<ExitCode> {
    let (mut files, mut findings) = match folder {
        None => (signature::builtin_files(), Vec::new()),
        Some(folder) => match signature::look_in(folder) {
            (files, found) if found.is_empty() => (some(files, folder)?, found),
            looked => looked,
        },
    };
    match folder.map(signature::Ids::of_folder) {
        None => findings.extend(signature::Ids::builtin().check(&files)),
        Some(Ok(ids)) => findings.extend(ids.check(&files)),
        Some(Err(found)) => findings.extend(found),
    }
    if with_built_in {
        findings.extend(signature::Ids::builtin().check_gone(&files));
        files = signature::with_built_in(files);
    }
    findings.extend(signature::check(&files));
    findings.sort();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let errors = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let warnings = findings.len() - errors;
    writeln!(
        out,
        "{} files: {errors} errors, {warnings} warnings",
        files.len()
    )?;
    Ok(if errors > 0 || (deny_warnings && warnings > 0) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn test(out: &mut dyn Write, files: &[SourceFile]) -> anyhow::Result<ExitCode> {
    let results = signature::test(files, Path::new("."), &mut Pipeline)
        .map_err(|findings| anyhow::anyhow!("{}", lines(&findings)))?;
    let mut failed = 0;
    for result in &results {
        if let Some(failure) = &result.failure {
            failed += 1;
            writeln!(
                out,
                "{}:{}: {}: {failure}",
                result.path, result.line, result.subject
            )?;
        }
    }
    writeln!(
        out,
        "{} tests passed, {failed} failed",
        results.len() - failed
    )?;
    Ok(if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The rows that are asked for: at least one.
fn chosen(
    files: &[SourceFile],
    search: &[String],
    category: Option<&str>,
) -> anyhow::Result<Vec<ListRow>> {
    let mut rows = signature::list(files);
    if let Some(category) = category {
        let mut known: BTreeSet<&str> = rows.iter().map(|row| row.category.as_str()).collect();
        known.extend(signature::CATEGORIES.map(|(slug, _)| slug));
        if !known.contains(category) {
            let meant = did_you_mean(closest(category, known.iter().copied()));
            let known: Vec<&str> = known.into_iter().collect();
            bail!(
                "no category is called `{category}`: there are {}{meant}",
                known.join(", ")
            );
        }
        rows.retain(|row| row.category == category);
        if rows.is_empty() {
            bail!("there is no application of the category `{category}` here");
        }
    }
    let known: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    rows.retain(|row| search.iter().all(|text| row.fits(text)));
    if rows.is_empty() {
        let known = known.iter().map(String::as_str);
        let meant = search.first().and_then(|text| closest(text, known));
        bail!(
            "nothing has `{}` in slug, title, owner or domains{}",
            search.join("` and `"),
            did_you_mean(meant)
        );
    }
    Ok(rows)
}

const COLUMNS: [Column; 6] = [
    Column::number("id").dropped(2),
    Column::text("name").shortened(12),
    Column::text("title").shortened(12),
    Column::text("category").dropped(3),
    Column::text("owner").dropped(1),
    Column::text("rules").dropped(0),
];

fn list(out: &mut dyn Write, rows: &[ListRow], json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let rows: Vec<serde_json::Value> = rows.iter().map(json_of).collect();
        serde_json::to_writer_pretty(&mut *out, &rows)?;
        writeln!(out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells = |row: &ListRow| {
        let id = row.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let rules = row.rules.iter();
        let rules: Vec<String> = rules
            .map(|(kind, count)| format!("{count} {}", kind.slug()))
            .collect();
        vec![
            id,
            row.name.clone(),
            row.title.clone(),
            row.category.clone(),
            row.owner.clone(),
            rules.join(", "),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    let width = screen::width(&io::stdout());
    writeln!(out, "{}", draw(&COLUMNS, &cells, width))?;
    Ok(ExitCode::SUCCESS)
}

fn json_of(row: &ListRow) -> serde_json::Value {
    let rules: serde_json::Map<String, serde_json::Value> = row
        .rules
        .iter()
        .map(|(kind, &count)| (kind.slug().to_owned(), count.into()))
        .collect();
    let mut object = serde_json::json!({
        "name": row.name,
        "title": row.title,
        "category": row.category,
        "domains": row.domains,
        "rules": rules,
        "tests": row.tests,
    });
    if let (Some(id), Some(object)) = (row.id, object.as_object_mut()) {
        object.insert("id".to_owned(), id.into());
        object.insert("owner".to_owned(), row.owner.as_str().into());
    }
    object
}

fn show(out: &mut dyn Write, files: &[SourceFile], name: &str) -> anyhow::Result<ExitCode> {
    let rows = signature::list(files);
    let row = rows.iter().find(|row| row.name == name);
    let row = row.with_context(|| {
        let known = rows
            .iter()
            .map(|row| (row.name.as_str(), row.title.as_str()));
        unknown_name(name, known)
    })?;
    writeln!(out, "{} {}", row.name, row.title)?;
    if let Some(id) = row.id {
        writeln!(
            out,
            "id {id}, category {}, owner {}",
            row.category, row.owner
        )?;
    }
    let (set, _) = SignatureSet::compile_leniently(files);
    for rule in signature::show(&set, name) {
        let service = rule.service.map_or("-", crate::app::Service::slug);
        let proto = rule.proto.as_deref().unwrap_or("-");
        let evidence = rule.evidence;
        writeln!(
            out,
            "  {:<48} {evidence:<14} service {service:<8} proto {proto}",
            rule.name
        )?;
        if !rule.source.is_empty() {
            writeln!(out, "      {}", rule.source)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs tests as captures are read.
struct Pipeline;

impl Runner for Pipeline {
    fn capture(&mut self, set: &Arc<SignatureSet>, path: &Path) -> Result<Vec<Observed>, String> {
        observe(path, set)
    }

    fn converse(
        &mut self,
        set: &Arc<SignatureSet>,
        conversation: &Conversation,
        rules: &[RuleId],
    ) -> Fate {
        Trial::new(set).run(conversation).fate(rules, set)
    }
}

/// The flows of a capture, for tests that name one.
fn observe(path: &Path, set: &Arc<SignatureSet>) -> Result<Vec<Observed>, String> {
    let run = || -> anyhow::Result<Vec<Observed>> {
        let mut inputs = Inputs::open(&[path], &Options::default())?;
        let config = Config {
            records: true,
            ..Config::default()
        };
        let mut observer = Observer(Vec::new());
        if let Err(failure) = pipeline::run(&mut inputs, set, &config, &mut observer, &mut |_| {}) {
            bail!("{}: {failure:?}", path.display());
        }
        Ok(observer.0)
    };
    run().map_err(|error| format!("{error:#}"))
}

/// Keeps what each flow was found to be.
struct Observer(Vec<Observed>);

impl Exporter for Observer {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        self.0.push(observed(&record.named, set));
        Ok(())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
