//! `ottometer explain FILE --flow ...`: why each flow has its name.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::interrupt;
use super::outputs::Files;
use super::select::{Ends, Selection};
use super::settings::{Input, Signatures, checked, load_behaviour};
use crate::classify::explain::{Keep, MAX_KEPT};
use crate::config::{FlowOptions, Size};
use crate::pipeline::{self, Config, Failure};
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::usage::Closed;
use crate::view::{opening, reason};

const EXAMPLES: &str = "\
Examples:
  ottometer explain trace.pcap --flow 10.0.0.1:50000     why this flow has its name
  ottometer explain trace.pcap --app unknown             what has none: bytes, lengths, close rules,
                                                         and the draft of a rule
  ottometer explain trace.pcap --flow 17 --all --bytes 1024

Names and bytes are what strangers sent: what a terminal would obey is written out.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Only flows with this endpoint (ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT), between two endpoints (A,B), or with this flow_id. May be given several times.
    #[arg(long = "flow", value_name = "FLOW")]
    flows: Vec<Ends>,

    /// Only flows of this application or protocol; `unknown`: those without a name.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,

    /// Show for every flow what it sent, which rules came close and the draft of a rule, not only for those without a name.
    #[arg(long)]
    all: bool,

    /// Bytes of each side that are shown in hex, at most 4KiB.
    #[arg(long, value_name = "SIZE", default_value_t = Size(256), value_parser = bytes)]
    bytes: Size,

    #[command(flatten)]
    signatures: Signatures,

    #[command(flatten)]
    flow_table: FlowOptions,
}

pub(super) fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let stop = interrupt::listen().context("cannot listen for signals")?;
    arguments.input.find()?;
    let mut files = Files::default();
    files.read_captures(&arguments.input.files);
    files.read_signatures(arguments.signatures.signatures.as_ref());
    files.read(arguments.flow_table.0.flows.behaviour.as_ref());
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
    let selection = Selection {
        ends: arguments.flows.clone(),
        names: arguments.app.iter().cloned().collect(),
        only: None,
    };
    selection.check_names(&set)?;
    let mut inputs = arguments.input.open(&stop)?;
    let config = Config {
        workers: 1,
        duplicates: arguments.input.duplicates(),
        decode: settings.decode,
        flow: settings.flow,
        learning: settings.learning,
        behaviour: load_behaviour(settings.behaviour.as_deref(), &set)?,
        records: true,
        steps: true,
        keep: if arguments.all {
            Keep::All
        } else {
            Keep::Unnamed
        },
        ..Config::default()
    };
    let mut explainer = Explainer {
        out: Box::new(io::BufWriter::new(io::stdout())),
        selection,
        bytes: usize::try_from(arguments.bytes.0).unwrap_or(MAX_KEPT),
        shown: 0,
        seen: 0,
    };
    let outcome = pipeline::run(&mut inputs, &set, &config, &mut explainer, &mut |_| {});
    let damaged = arguments.input.report_damage(&inputs, &stop);
    let summary = outcome.map_err(|failure| match failure {
        Failure::Read(error) => anyhow::Error::from(error),
        Failure::Write(error) => anyhow::Error::from(error),
    })?;
    Input::report_links(&summary.ledger);
    anyhow::ensure!(
        explainer.shown > 0,
        "none of the {} flows fits what was asked for",
        explainer.seen
    );
    Ok(if damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints the steps of the flows that are wanted.
struct Explainer {
    out: Box<dyn Write + Send>,
    selection: Selection,
    bytes: usize,
    shown: u64,
    seen: u64,
}

impl Exporter for Explainer {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        self.seen += 1;
        if !self.selection.takes(record, set) {
            return Ok(());
        }
        self.shown += 1;
        explain(&mut self.out, record, set, self.bytes)
    }

    fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn explain(
    out: &mut dyn Write,
    record: &FlowRecord,
    set: &SignatureSet,
    bytes: usize,
) -> io::Result<()> {
    writeln!(out, "{}", reason::headline(record))?;
    let shown = opening::lines(record, set, bytes);
    for line in reason::lines(record, set).into_iter().chain(shown) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)
}

fn bytes(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    let most = Size(MAX_KEPT as u64);
    if size.0 > most.0 {
        return Err(format!("must be at most {most}"));
    }
    Ok(size)
}
