//! `ottometer read FILE...`

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::by::{self, By};
use super::extract::{Chooser, Extract, FirstReading};
use super::interrupt;
use super::outputs::{Files, goes_to_standard_output, is_standard_output};
use super::records::exporter;
use super::screen;
use super::select::{Ends, Selection, UNKNOWN, check_names};
use super::settings::{
    Input, Signatures, as_options, checked, load_behaviour, positive, strange_to,
};
use crate::classify::explain::Keep;
use crate::clock::now;
use crate::config::{
    AccountOptions, Every, FlowOptions, Kinds, Out, RecordOptions, RecordsTable, line_and_column,
    only, outs,
};
use crate::pipeline::memory::Memory;
use crate::pipeline::{self, Config, Failure, Output, Writers};
use crate::record::{FlowRecord, Intervals, KeptBack, Only, Records};
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::sink::stream::Stream;
use crate::sink::{Opening, Sink};
use crate::time::{IntervalLength, Zone};
use crate::usage::{self, Closed};
use crate::view::number::grouped;
use crate::view::summary;

const EXAMPLES: &str = "\
Examples:
  ottometer read trace.pcap --by service --top 20
  ottometer read /captures monday.pcap.xz           a folder, and a file
  ottometer read trace.pcap --format json | jq '.rows[] | select(.kind == \"app\") | [.app, .bytes]'
  ottometer read trace.pcap --by subject,app --local 203.0.113.0/24 --format csv
  ottometer read trace.pcap --flows flows.jsonl --interval 5m --usage usage.csv
  ottometer read trace.pcap --out flows=ipfix+tcp://collector:4739
  tcpdump -U -w - -i eth0 | ottometer read - --flows -
  ottometer read trace.pcap --write-pcap unknown.pcapng --unknown
  ottometer read trace.pcap --write-pcap call.pcap --app whatsapp --flow 10.0.0.7

Sizes and lengths of time have units: 64MiB, 1GB, 30s, 5m, 1h 30m; a size without one is in bytes.
A table is as wide as the terminal, or as COLUMNS says: what does not fit is left out, the evidence
first. Where it goes to a file or a pipe it has all columns.
Of several files, those that cannot be read are told and passed by; --strict makes that a failure.
Files that are written take the place of what was there, but never of a capture or of what is read.
The first SIGINT (control-C) or SIGTERM is the end of the input: what was read until then is counted
and written. The second ends at once.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    records: RecordOptions,

    /// Write the frames of the flows that --app, --unknown and --flow ask for (of all flows without them) to this file as they were captured: pcapng if the name ends with .pcapng, else pcap. The input is read three times, so it must be files. `-` is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Frames")]
    write_pcap: Option<PathBuf>,

    /// With --write-pcap: flows of this application or protocol. May be given several times.
    #[arg(
        long,
        value_name = "NAME",
        requires = "write_pcap",
        help_heading = "Frames"
    )]
    app: Vec<String>,

    /// With --write-pcap: flows without a name.
    #[arg(long, requires = "write_pcap", help_heading = "Frames")]
    unknown: bool,

    /// With --write-pcap: flows with this endpoint (ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT), between two endpoints (A,B), or with this flow_id. May be given several times.
    #[arg(
        long = "flow",
        value_name = "FLOW",
        requires = "write_pcap",
        help_heading = "Frames"
    )]
    ends: Vec<Ends>,

    /// How the summary is written.
    #[arg(long, default_value = "table", help_heading = "Output")]
    format: Format,

    /// What rows of the summary are of: one of these, or several together (subject,app). With `subject`, `network` or `client` the records of --usage have a subject too.
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "app",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    by: Vec<By>,

    /// Show only the N largest rows, and the sum of the others.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Output")]
    top: Option<usize>,

    /// Print the distributions of packet size, packets and bytes until a flow settles, and time per block.
    #[arg(long, help_heading = "Output")]
    stats: bool,

    /// No summary, no progress; warnings and errors stay.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,

    #[command(flatten)]
    accounts: AccountOptions,

    #[command(flatten, next_help_heading = "Signatures")]
    signatures: Signatures,

    #[command(flatten, next_help_heading = "Flows")]
    flow_table: FlowOptions,

    /// Worker threads. The results are the same for any number.
    #[arg(long, short, value_name = "N", default_value = "1", value_parser = positive)]
    workers: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people: as wide as the terminal (COLUMNS goes before), whole where it is none.
    Table,
    /// One JSON object.
    Json,
    /// Comma-separated values.
    Csv,
}

impl Format {
    /// As it is written to standard error, or else to standard output.
    pub(super) fn on(self, to_stderr: bool) -> summary::Format {
        match self {
            Self::Table if to_stderr => summary::Format::Table(screen::width(&io::stderr())),
            Self::Table => summary::Format::Table(screen::width(&io::stdout())),
            Self::Json => summary::Format::Json,
            Self::Csv => summary::Format::Csv,
        }
    }
}

impl Arguments {
    /// What the options of records say.
    const fn records(&self) -> &RecordsTable {
        &self.records.0.records
    }

    /// All outputs of records.
    fn outs(&self) -> Result<Vec<Out>, String> {
        let mut problems = Vec::new();
        let outs = outs(self.records(), &mut problems);
        match problems.is_empty() {
            true => Ok(outs),
            false => Err(as_options(&problems)),
        }
    }

    fn files(&self, outs: &[Out]) -> Files {
        let mut files = Files::default();
        files.read_captures(&self.input.files);
        files.read_signatures(self.signatures.signatures.as_ref());
        files.read(self.flow_table.0.flows.behaviour.as_ref());
        files.write_records(outs);
        files.write("--write-pcap", self.write_pcap.as_ref());
        files
    }

    /// The intervals of usage.
    fn length(&self) -> Result<IntervalLength, String> {
        let RecordsTable {
            interval,
            time_zone,
            ..
        } = self.records();
        // The clock of a capture may be finer than what a live run is asked for.
        let interval = interval.unwrap_or(Every::Length(Duration::from_secs(60)));
        if matches!(interval, Every::Length(length) if length < Duration::from_millis(1)) {
            return Err("--interval: must be at least 1ms".to_owned());
        }
        let zone = time_zone.clone().map_or_else(Zone::utc, |zone| zone.0);
        Ok(interval.length(&zone))
    }

    /// Whether what is asked of flow records has any to be in.
    fn check_first_packets(&self, outs: &[Out]) -> Result<(), String> {
        let has_flows = outs.iter().any(|out| out.records == Records::Flows);
        match self.records().first_packets {
            Some(true) if !has_flows => {
                Err("--first-packets has no effect without --flows or --out flows=...".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The records that leave; without, all.
    fn only(&self, outs: &[Out]) -> Result<Option<Arc<Only>>, String> {
        let Some(text) = &self.records().only else {
            return Ok(None);
        };
        let kinds = Kinds {
            flows: self.write_pcap.is_some()
                || outs.iter().any(|out| out.records == Records::Flows),
            usage: outs.iter().any(|out| out.records == Records::Usage),
        };
        if kinds == Kinds::default() {
            return Err(
                "--only has no effect without --flows, --usage, --out or --write-pcap".to_owned(),
            );
        }
        let only = only(text, kinds);
        let only = only.map_err(|error| {
            let (line, column) = line_and_column(text, error.at);
            format!("--only:{line}:{column}: {error}")
        });
        only.map(|only| Some(Arc::new(only)))
    }

    /// The frames to be written, if some are.
    fn extract(&self, only: Option<Arc<Only>>) -> Result<Option<Extract>, String> {
        let Some(path) = &self.write_pcap else {
            return Ok(None);
        };
        let mut names = self.app.clone();
        names.extend(self.unknown.then(|| UNKNOWN.to_owned()));
        let selection = Selection {
            ends: self.ends.clone(),
            names,
            only,
        };
        Extract::new(path, selection, &self.input.files).map(Some)
    }
}

pub(super) fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let stop = interrupt::listen().context("cannot listen for signals")?;
    arguments.input.find()?;
    let asked = arguments.outs().and_then(|outs| {
        let length = arguments.length()?;
        arguments.check_first_packets(&outs)?;
        Ok((outs, length))
    });
    let (outs, length) = match asked {
        Ok(asked) => asked,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    if let Err(refusal) = arguments.files(&outs).check() {
        eprintln!("error: {refusal}");
        return Ok(ExitCode::from(2));
    }
    let AccountOptions(accounts) = arguments.accounts.clone();
    let RecordOptions(records) = arguments.records.clone();
    let FlowOptions(flow_table) = arguments.flow_table.clone();
    let mut given = flow_table.or(accounts).or(records);
    // What of records a live run is asked for in another way has been looked at above.
    given.records = RecordsTable {
        active_timeout: given.records.active_timeout,
        first_packets: given.records.first_packets,
        max_accounts: given.records.max_accounts,
        ..RecordsTable::default()
    };
    let settings = match checked(given) {
        Ok(settings) => settings,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    let by = match by::checked(&arguments.by) {
        Ok(by) => by,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    let chosen = arguments.only(&outs).and_then(|only| {
        let extract = arguments.extract(only.clone())?;
        Ok((only, extract))
    });
    let (only, extract) = match chosen {
        Ok(chosen) => chosen,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    let set = arguments.signatures.load()?;
    if let Some(extract) = &extract {
        extract.check_names(&set)?;
    }
    if let Some(only) = &only {
        check_names(only, &set)?;
    }
    let behaviour = load_behaviour(settings.behaviour.as_deref(), &set)?;
    if let Some(warning) = behaviour.as_ref().and_then(strange_to) {
        eprintln!("ottometer: warning: {warning}");
    }
    let mut inputs = arguments.input.open(&stop)?;
    let has_usage = outs.iter().any(|out| out.records == Records::Usage);
    let intervals = Intervals {
        length: length.clone(),
        run: None,
        interfaces: Arc::clone(inputs.interfaces()),
    };
    let mut records = Vec::new();
    for out in &outs {
        records.push(Output {
            name: out.target.to_string(),
            records: out.records,
            exporter: exporter(out, open(out)?, intervals.clone(), only.clone()),
        });
    }
    let frames_out = extract.as_ref().map(Extract::create).transpose()?;
    let mut outputs = Outputs {
        records: Writers::start(records, &set)?,
        chooser: extract.as_ref().map(Extract::chooser),
    };
    let config = Config {
        workers: arguments.workers,
        duplicates: arguments.input.duplicates(),
        decode: settings.decode,
        flow: settings.flow,
        learning: settings.learning,
        behaviour,
        usage: usage::Config {
            interval: has_usage.then_some(length),
            subjects: by::subjects(&by, &settings.subjects),
            by_interface: by.contains(&summary::By::Interface),
            max_accounts: settings.records.max_accounts,
        },
        interfaces: Arc::clone(inputs.interfaces()),
        records: outs.iter().any(|out| out.records == Records::Flows) || extract.is_some(),
        active_timeout: settings.records.active_timeout,
        first_packets: settings.records.first_packets,
        steps: false,
        keep: Keep::Nothing,
        stats: arguments.stats,
        mark: None,
    };
    let bar = progress_bar(arguments.quiet, inputs.size());
    let mut reached = 0;
    let outcome = pipeline::run(&mut inputs, &set, &config, &mut outputs, &mut |position| {
        reached = position;
        bar.set_position(position);
    });
    bar.finish_and_clear();
    let damaged = arguments.input.report_damage(&inputs, &stop);
    let mut summary = outcome.map_err(|failure| match failure {
        Failure::Read(error) => anyhow::Error::from(error),
        Failure::Write(error) => anyhow::Error::from(error).context("cannot write the records"),
    })?;

    summary.kept_back = only.as_ref().map(|only| {
        let KeptBack { flows, usage } = only.kept_back();
        (flows, usage)
    });
    Input::report_links(&summary.ledger);
    let dropped = outputs.records.dropped();
    if dropped > 0 {
        eprintln!(
            "warning: {} records were sent to where nobody takes them",
            grouped(dropped)
        );
    }

    // Records on standard output are for programs: what is for people goes beside them.
    let frames = arguments.write_pcap.as_ref();
    let to_stdout = outs.iter().any(goes_to_standard_output)
        || frames.is_some_and(|path| is_standard_output(path));
    let mut out: Box<dyn Write> = if to_stdout {
        Box::new(io::stderr().lock())
    } else {
        Box::new(io::stdout().lock())
    };
    if !arguments.quiet {
        let format = arguments.format.on(to_stdout);
        summary::write(&mut out, &summary, &set, &by, arguments.top, format)?;
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
    drop(out);
    anyhow::ensure!(
        summary.ledger.closes(),
        "the ledger does not close: {}",
        summary.ledger
    );
    if let (Some(extract), Some(out), Some(chooser)) = (&extract, frames_out, outputs.chooser) {
        let first = FirstReading {
            flows: chooser.flows,
            frames: inputs.counts().frames,
            position: reached,
        };
        let written = extract.run(out, &arguments.input, first, &set, &config, &stop)?;
        if written.is_cut {
            eprintln!("ottometer: ended by a signal: not all frames of the flows are written");
        }
        if !arguments.quiet {
            eprintln!(
                "ottometer: {} frames of {} flows written to {}",
                grouped(written.frames),
                grouped(written.flows),
                extract.path().display(),
            );
        }
    }
    Ok(if damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Where flows and intervals go.
struct Outputs {
    records: Writers,
    chooser: Option<Chooser>,
}

impl Exporter for Outputs {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if let Some(chooser) = &mut self.chooser {
            chooser.flow(record, set)?;
        }
        self.records.flow(record, set)
    }

    fn flows(&mut self, records: Vec<FlowRecord>, set: &SignatureSet) -> io::Result<()> {
        if let Some(chooser) = &mut self.chooser {
            let mut records = records.iter();
            records.try_for_each(|record| chooser.flow(record, set))?;
        }
        self.records.flows(records, set)
    }

    fn interval(&mut self, closed: &Closed, sequence: u64, set: &SignatureSet) -> io::Result<()> {
        self.records.interval(closed, sequence, set)
    }

    fn closed(&mut self, closed: Closed, sequence: u64, set: &SignatureSet) -> io::Result<()> {
        self.records.closed(closed, sequence, set)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.records.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.records.finish()
    }
}

fn open(out: &Out) -> io::Result<Box<dyn Sink>> {
    if goes_to_standard_output(out) {
        let framing = out.target.encoder().framing;
        return Ok(Box::new(Stream::new(io::stdout(), framing)));
    }
    let opening = Opening {
        rotation: None,
        at: now(),
    };
    Ok(out.target.prepare()?.open(&opening)?.sink)
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
        "{bar:40} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
    } else {
        "{spinner} {decimal_bytes} {decimal_bytes_per_sec}"
    };
    bar.set_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    bar
}
