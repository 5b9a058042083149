//! `ottometer signatures next-id` and `new`: ids for new files, and the files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::cli::settings::lines;
use crate::config::{closest, did_you_mean};
use crate::signature::{self, Diagnostic, Draft, Ids, Severity, SourceFile};

pub(super) const EXAMPLES: &str = "\
Examples:
  ottometer signatures new messaging/acme --title Acme --owner 'Acme Inc.' --host acme.example
  ottometer signatures new shopping/acme-shop --host 'acmeshop.*' --from 5000
  ottometer signatures next-id --count 100      ids for files that a script writes";

/// Where ids are counted.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// Folder with CATEGORY/NAME.toml files, and with tombstones.toml where ids are the project's.
    #[arg(long, value_name = "DIR", default_value = "signatures")]
    dir: PathBuf,

    /// Ids from this one on that are free; default: those above all there are and were.
    #[arg(long, value_name = "ID")]
    from: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct NextId {
    /// How many, one a line.
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u32,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// The category and the slug: `messaging/acme`.
    #[arg(value_name = "CATEGORY/NAME")]
    name: String,

    /// The name people know; default: the slug.
    #[arg(long)]
    title: Option<String>,

    /// Who runs it; default: the title.
    #[arg(long)]
    owner: Option<String>,

    /// A domain of its own, with all below it; `brand.*`: under every public suffix. May be given several times.
    #[arg(long, value_name = "DOMAIN")]
    host: Vec<String>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn next_id(out: &mut dyn Write, arguments: &NextId) -> anyhow::Result<ExitCode> {
    let (files, ids) = arguments.place.read()?;
    let wanted = arguments.count as usize;
    let free: Vec<u32> = ids
        .free(&files, arguments.place.from)
        .take(wanted)
        .collect();
    ensure!(free.len() == wanted, "only {} ids are left", free.len());
    for id in free {
        writeln!(out, "{id}")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn new(out: &mut dyn Write, arguments: &New) -> anyhow::Result<ExitCode> {
    let (category, name) = arguments
        .name
        .split_once('/')
        .context("expected CATEGORY/NAME: messaging/acme")?;
    let (mut files, ids) = arguments.place.read()?;
    check_category(category, &arguments.place.dir)?;
    let id = ids
        .free(&files, arguments.place.from)
        .next()
        .context("no id is left")?;
    let title = arguments.title.as_deref().unwrap_or(name);
    let draft = Draft {
        id,
        name,
        title,
        category,
        owner: arguments.owner.as_deref().unwrap_or(title),
        hosts: &arguments.host,
    };
    let folder = arguments.place.dir.join(category);
    let path = folder.join(format!("{name}.toml"));
    ensure!(!path.exists(), "{}: there is one already", path.display());
    let shown = path.display().to_string();
    files.push(SourceFile::new(shown.clone(), draft.text()));
    let mut faults = signature::check(&files);
    faults.retain(|fault| *fault.path == *shown && fault.severity == Severity::Error);
    if !faults.is_empty() {
        bail!("nothing is written:\n{}", lines(&faults));
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    fs::write(&path, draft.text()).with_context(|| path.display().to_string())?;
    writeln!(out, "{shown}: id {id}")?;
    Ok(ExitCode::SUCCESS)
}

impl Place {
    fn read(&self) -> anyhow::Result<(Vec<SourceFile>, Ids)> {
        let told = |faults: Vec<Diagnostic>| anyhow::anyhow!("{}", lines(&faults));
        let shown = self.dir.display();
        ensure!(
            self.dir.is_dir(),
            "{shown}: no such folder (another one: --dir)"
        );
        let ids = Ids::of_folder(&self.dir).map_err(told)?;
        Ok((signature::files_in(&self.dir).map_err(told)?, ids))
    }
}

/// A misspelt category would be a new one.
fn check_category(category: &str, dir: &Path) -> anyhow::Result<()> {
    if signature::is_known_category(category) || dir.join(category).is_dir() {
        return Ok(());
    }
    let known = signature::CATEGORIES.map(|(slug, _)| slug);
    bail!(
        "no category is called `{category}` (for one of your own make the folder {}){}",
        dir.join(category).display(),
        did_you_mean(closest(category, known)),
    );
}
