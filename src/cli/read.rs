//! `ottometer read FILE...`

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::records::{flow_exporter, is_dash, usage_exporter};
use super::settings::{Flows, Input, Signatures, positive};
use crate::export::lines::Lines;
use crate::export::{Exporter, Intervals, summary};
use crate::pipeline::memory::Memory;
use crate::pipeline::{self, Config, Failure};
use crate::usage;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Write a record for each flow to this file, `-` for standard output: JSON Lines, or CSV if the name ends with .csv.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    flows: Option<PathBuf>,

    /// Write a usage record for each application, service and direction of each interval to this file (needs --interval).
    #[arg(
        long,
        value_name = "FILE",
        requires = "interval",
        help_heading = "Output"
    )]
    usage: Option<PathBuf>,

    /// Length of the intervals of --usage, in capture time and aligned to it: 60s, 5m, 1h.
    #[arg(long, value_name = "DURATION", value_parser = interval, help_heading = "Output")]
    interval: Option<Duration>,

    /// How the summary is written.
    #[arg(long, default_value = "table", help_heading = "Output")]
    format: Format,

    /// What a row of the summary is.
    #[arg(long, default_value = "app", help_heading = "Output")]
    by: By,

    /// Show only the N largest rows, and the sum of the others.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Output")]
    top: Option<usize>,

    /// Print the distributions of packet size, packets and bytes until a flow settles, and time per block.
    #[arg(long, help_heading = "Output")]
    stats: bool,

    /// No summary, no progress; warnings and errors stay.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,

    #[command(flatten, next_help_heading = "Signatures")]
    signatures: Signatures,

    #[command(flatten, next_help_heading = "Flows")]
    flow_table: Flows,

    /// Worker threads. The results are the same for any number.
    #[arg(long, short, value_name = "N", default_value = "1", value_parser = positive)]
    workers: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One JSON object.
    Json,
    /// Comma-separated values.
    Csv,
}

impl From<Format> for summary::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Table => Self::Table,
            Format::Json => Self::Json,
            Format::Csv => Self::Csv,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// Application.
    App,
    /// Service inside an application.
    Service,
    /// Category of applications.
    Category,
    /// Protocol.
    Protocol,
    /// Client address and application.
    Client,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let set = arguments.signatures.load()?;
    if let (Some(flows), Some(usage)) = (&arguments.flows, &arguments.usage)
        && flows == usage
    {
        // Each has a buffer of its own: lines would be torn.
        eprintln!(
            "error: --flows and --usage cannot be the same: {}",
            flows.display()
        );
        return Ok(ExitCode::from(2));
    }
    let mut inputs = arguments.input.open()?;
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    if let Some(path) = &arguments.flows {
        exporters.push(flow_exporter(path, create(path)?));
    }
    if let (Some(path), Some(length)) = (&arguments.usage, arguments.interval) {
        let intervals = Intervals { length, run: None };
        exporters.push(usage_exporter(path, create(path)?, intervals));
    }
    let config = Config {
        workers: arguments.workers,
        duplicates: arguments.input.duplicates(),
        decode: arguments.flow_table.decode(),
        flow: arguments.flow_table.flow(),
        usage: usage::Config {
            interval: arguments.interval,
            clients: arguments.by == By::Client,
        },
        records: arguments.flows.is_some(),
        steps: false,
        stats: arguments.stats,
    };
    let bar = progress_bar(arguments.quiet, inputs.size());
    let outcome = pipeline::run(
        &mut inputs,
        &set,
        &config,
        &mut exporters,
        &mut |position| {
            bar.set_position(position);
        },
    );
    bar.finish_and_clear();
    let damaged = arguments.input.report_damage(&inputs);
    let summary = outcome.map_err(|failure| match failure {
        Failure::Read(error) => anyhow::Error::from(error),
        Failure::Write(error) => anyhow::Error::from(error).context("cannot write the records"),
    })?;

    // Records on standard output are for programs: what is for people goes beside them.
    let to_stdout = [&arguments.flows, &arguments.usage]
        .into_iter()
        .flatten()
        .any(|path| is_dash(path));
    let mut out: Box<dyn Write> = if to_stdout {
        Box::new(io::stderr().lock())
    } else {
        Box::new(io::stdout().lock())
    };
    if !arguments.quiet {
        let format = arguments.format.into();
        let by = match arguments.by {
            By::App => summary::By::App,
            By::Service => summary::By::Service,
            By::Category => summary::By::Category,
            By::Protocol => summary::By::Protocol,
            By::Client => summary::By::Client,
        };
        summary::write(&mut out, &summary, &set, by, arguments.top, format)?;
        if matches!(arguments.format, Format::Table) {
            writeln!(out, "{}", summary.ledger)?;
            summary::write_health(&mut out, &summary)?;
        }
    }
    if arguments.quiet || matches!(arguments.format, Format::Csv) {
        summary::warn_of_health(&mut io::stderr(), &summary)?;
    }
    if let Some(stats) = &summary.stats {
        writeln!(out, "{stats}")?;
        writeln!(out, "{}", Memory::of_run(&config, &set))?;
    }
    out.flush()?;
    anyhow::ensure!(
        summary.ledger.closes(),
        "the ledger does not close: {}",
        summary.ledger
    );
    Ok(if damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if length < Duration::from_millis(1) => Err("must be at least 1ms".to_owned()),
        Ok(length) => Ok(length),
        Err(error) => Err(error.to_string()),
    }
}

fn create(path: &Path) -> anyhow::Result<Box<dyn Lines>> {
    if is_dash(path) {
        return Ok(Box::new(BufWriter::with_capacity(1 << 16, io::stdout())));
    }
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 16, file)))
}

/// A bar on a terminal, for what takes more than a moment; nothing elsewhere.
fn progress_bar(quiet: bool, size: Option<u64>) -> ProgressBar {
    if quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match size {
        Some(size) => ProgressBar::new(size),
        None => ProgressBar::no_length(),
    };
    let style = if size.is_some() {
        "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}"
    } else {
        "{spinner} {bytes} {bytes_per_sec}"
    };
    bar.set_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    bar
}
