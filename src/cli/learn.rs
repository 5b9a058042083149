//! `ottometer learn FILE...`: what has no name, by what it has in common, with drafts of signatures.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::interrupt;
use super::outputs::Files;
use super::read::Format;
use super::settings::{Input, Signatures, checked, lines, load_behaviour, positive};
use crate::classify::explain::Keep;
use crate::config::FlowOptions;
use crate::learn::behaviour::Examples;
use crate::learn::propose::{Proposal, Proposer};
use crate::learn::{Cluster, Key, Learner};
use crate::pipeline::{self, Config, Failure};
use crate::record::FlowRecord;
use crate::signature::{Ids, SignatureSet, SourceFile, files_in};
use crate::sink::Exporter;
use crate::usage::Closed;
use crate::view::learn::{self, Shown};
#[cfg(feature = "behaviour")]
use crate::view::number::grouped;

const EXAMPLES: &str = "\
Examples:
  ottometer learn trace.pcap                          what has no application, the largest first
  ottometer learn captures/ --top 100 --min-flows 5 --write drafts/
  ottometer signatures check drafts/ --with-built-in
  ottometer learn monday/ tuesday/ --train site.model   what named flows do, for --behaviour site.model
  ottometer learn trace.pcap --format json | jq -r '.clusters[].draft.text // empty'

A flow is in one cluster, that of the strongest thing it shows: the domain that the client asked for, that
of the certificate or whose that is, the client's hello, the first bytes of a side, the server's port.
A draft is named after what was seen; whoever knows what it is gives it its name, category and source.
docs/learn.md says more.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Show only the N largest clusters, and the sum of the others.
    #[arg(long, value_name = "N", default_value = "50", value_parser = positive, help_heading = "Output")]
    top: usize,

    /// Show only clusters of at least so many flows.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive, help_heading = "Output")]
    min_flows: usize,

    /// How it is written. JSON has the drafts in it.
    #[arg(long, default_value = "table", help_heading = "Output")]
    format: Format,

    /// Write the drafts of what is shown to this folder, as CATEGORY/NAME.toml. Files that are there stay.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    write: Option<PathBuf>,

    /// Train a model of what the flows of this site with proven names do, for `--behaviour` of `read` and `live`, and write it to this file. Prints by application what it is worth on flows that were kept aside.
    #[arg(long, value_name = "MODEL", help_heading = "Behaviour")]
    train: Option<PathBuf>,

    /// With --train: how many of a hundred flows that the model names must be right, of those kept aside. An application of which fewer are is never named.
    #[arg(long, value_name = "PERCENT", default_value = "99", requires = "train", value_parser = percent, help_heading = "Behaviour")]
    precision: f64,

    #[command(flatten, next_help_heading = "Signatures")]
    signatures: Signatures,

    #[command(flatten, next_help_heading = "Flows")]
    flow_table: FlowOptions,

    /// Worker threads. The results are the same for any number.
    #[arg(long, short, value_name = "N", default_value = "1", value_parser = positive)]
    workers: usize,
}

pub(super) fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let stop = interrupt::listen().context("cannot listen for signals")?;
    arguments.input.find()?;
    let mut files = Files::default();
    files.read_captures(&arguments.input.files);
    files.read_signatures(arguments.signatures.signatures.as_ref());
    files.read(arguments.flow_table.0.flows.behaviour.as_ref());
    files.write("--train", arguments.train.as_ref());
    if let Err(refusal) = files.check() {
        eprintln!("error: {refusal}");
        return Ok(ExitCode::from(2));
    }
    let settings = match checked(arguments.flow_table.0.clone()) {
        Ok(settings) => settings,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    let set = arguments.signatures.load()?;
    let mut inputs = arguments.input.open(&stop)?;
    let config = Config {
        workers: arguments.workers,
        duplicates: arguments.input.duplicates(),
        decode: settings.decode,
        flow: settings.flow,
        learning: settings.learning,
        behaviour: load_behaviour(settings.behaviour.as_deref(), &set)?,
        records: true,
        steps: true,
        keep: Keep::Unnamed,
        first_packets: arguments.train.is_some(),
        ..Config::default()
    };
    let mut collected = Collected {
        trains: arguments.train.is_some(),
        ..Collected::default()
    };
    let outcome = pipeline::run(&mut inputs, &set, &config, &mut collected, &mut |_| {});
    let damaged = arguments.input.report_damage(&inputs, &stop);
    let summary = outcome.map_err(|failure| match failure {
        Failure::Read(error) => anyhow::Error::from(error),
        Failure::Write(error) => anyhow::Error::from(error),
    })?;
    Input::report_links(&summary.ledger);
    if let Some(path) = &arguments.train {
        train(path, &collected.examples, &arguments)?;
        return Ok(match damaged {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        });
    }

    let mut learned = collected.learner.finish();
    let least = arguments.min_flows as u64;
    let mut chosen = Vec::new();
    let mut others = Vec::new();
    for (key, cluster) in std::mem::take(&mut learned.clusters) {
        let takes = chosen.len() < arguments.top && cluster.volume.flows >= least;
        if takes { &mut chosen } else { &mut others }.push((key, cluster));
    }
    learned.clusters = others;
    let shown = with_drafts(&arguments, &set, chosen)?;
    let mut out = io::stdout().lock();
    learn::write(&mut out, &learned, &shown, arguments.format.on(false))?;
    out.flush()?;
    if let Some(folder) = &arguments.write {
        write_drafts(folder, &shown)?;
    }
    Ok(match damaged {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Trains a model, writes it and prints what it is worth.
#[cfg(feature = "behaviour")]
fn train(path: &Path, examples: &Examples, arguments: &Arguments) -> anyhow::Result<()> {
    let precision = arguments.precision;
    eprintln!(
        "ottometer: training on {} flows of {} applications",
        grouped(examples.flows().len() as u64),
        grouped(examples.classes().len() as u64 - 1)
    );
    let forest = crate::learn::behaviour::train(examples, precision / 100.0)?;
    fs::write(path, forest.to_bytes()).with_context(|| path.display().to_string())?;
    let mut out = io::stdout().lock();
    learn::write_model(&mut out, &forest, precision, arguments.format.on(false))?;
    Ok(out.flush()?)
}

#[cfg(not(feature = "behaviour"))]
fn train(_: &Path, _: &Examples, _: &Arguments) -> anyhow::Result<()> {
    anyhow::bail!(
        "this build cannot train models: build with `--features behaviour`, as `make build` does"
    )
}

/// A share in percent.
fn percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (50.0..=100.0).contains(&value) => Ok(value),
        Ok(_) => Err("expected 50 to 100".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The clusters with a draft each, where there is one.
fn with_drafts(
    arguments: &Arguments,
    set: &SignatureSet,
    clusters: Vec<(Key, Cluster)>,
) -> anyhow::Result<Vec<Shown>> {
    // Ids that a site's own files have are not given again.
    let mut known: Vec<SourceFile> = Vec::new();
    let own = arguments.signatures.signatures.as_deref();
    let folders = [own, arguments.write.as_deref()];
    for folder in folders.into_iter().flatten().filter(|dir| dir.is_dir()) {
        let files = files_in(folder).map_err(|faults| anyhow::anyhow!("{}", lines(&faults)))?;
        known.extend(files);
    }
    let ids = Ids::of_folder(own.unwrap_or_else(|| Path::new("")));
    let ids = ids.map_err(|faults| anyhow::anyhow!("{}", lines(&faults)))?;
    let mut proposer = Proposer::new(set, &known, &ids, clusters.len());
    let shown = clusters.into_iter().map(|(key, cluster)| Shown {
        draft: proposer.propose(&key, &cluster),
        key,
        cluster,
    });
    Ok(shown.collect())
}

/// Writes the drafts, and says how many.
fn write_drafts(folder: &Path, shown: &[Shown]) -> anyhow::Result<()> {
    let mut written = 0;
    for Proposal { path, text, .. } in shown.iter().filter_map(|one| one.draft.as_ref()) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        let created = fs::File::create_new(&path);
        match created.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => written += 1,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                eprintln!("ottometer: {}: is there already, and stays", path.display());
            }
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    eprintln!(
        "ottometer: {written} drafts are written to {}",
        folder.display()
    );
    Ok(())
}

/// Puts records together as they come.
#[derive(Debug, Default)]
struct Collected {
    learner: Learner,
    examples: Examples,
    trains: bool,
}

impl Exporter for Collected {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        match self.trains {
            true => self.examples.add(record, set),
            false => self.learner.add(record, set),
        }
        Ok(())
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
