//! `ottometer score --truth TABLE FILE...`: how much of the names is right.

mod report;

mod run;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use self::report::Report;
use self::run::{Capture, Runner};
use super::interrupt;
use super::outputs::Files;
use super::read::Format;
use super::settings::{Input, Signatures, checked, load_behaviour, positive};
use crate::config::FlowOptions;
use crate::score::harder::Harder;
use crate::score::{Seen, Truth};
use crate::view::number::grouped;
use crate::view::score::{self, Scored};

const EXAMPLES: &str = "\
Examples:
  ottometer score --truth truth.tsv captures/
  ottometer score --truth flows.csv trace.pcap --report outcomes.tsv
  ottometer score --truth truth.tsv captures/ --harder all
  ottometer score --truth truth.tsv captures/ --harder loss-1,gtp-u --write harder/
  ottometer score --truth truth.tsv captures/ --format json | jq '.scores[0].groups.application'

The truth is a table, a flow a line, values apart by tabs (by commas where the name ends with .csv). Its
first line names the columns; those that count are

  capture    the capture's file name; without this column all captures are one stream
  proto      TCP, UDP, ... or its number
  src_ip src_port dest_ip dest_port    either end may be the source
  app        applications that are right, `|` between them, the best one first; `-`: none is known
  service    services that are right
  app_proto  protocols that are right; asked for where there is no application
  strength   sure (as without the column), weak (a guess), unknown (nobody knows)
  bytes      the weight of the flow; without, what is counted

These are names of flow records: what `ottometer read trace.pcap --flows flows.csv` writes is a truth once
it has been corrected. docs/accuracy.md says more, and what is measured for ottometer itself.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// What the flows are: a table, a flow a line.
    #[arg(long, value_name = "TABLE")]
    truth: PathBuf,

    /// Measure on captures made harder as well: one or several of these, or `all`.
    #[arg(
        long,
        value_name = "HOW",
        value_delimiter = ',',
        help_heading = "Harder captures"
    )]
    harder: Vec<Choice>,

    /// What chance decides in harder captures: the same number, the same captures.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        help_heading = "Harder captures"
    )]
    seed: u64,

    /// Write the harder captures to this folder, as HOW/NAME.pcapng.
    #[arg(
        long,
        value_name = "DIR",
        requires = "harder",
        help_heading = "Harder captures"
    )]
    write: Option<PathBuf>,

    /// How the score is written.
    #[arg(long, default_value = "table", help_heading = "Output")]
    format: Format,

    /// Write what became of each label to this file, apart by tabs; `-` is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    report: Option<PathBuf>,

    /// Show only the N names, and confusions, of which most is lost.
    #[arg(long, value_name = "N", default_value = "20", value_parser = positive, help_heading = "Output")]
    top: usize,

    #[command(flatten, next_help_heading = "Signatures")]
    signatures: Signatures,

    #[command(flatten, next_help_heading = "Flows")]
    flow_table: FlowOptions,

    /// Captures that are read at once. The results are the same for any number.
    #[arg(long, short, value_name = "N", default_value = "1", value_parser = positive)]
    workers: usize,
}

/// What `--harder` asks for.
#[derive(Clone, Copy, Debug)]
enum Choice {
    All,
    One(Harder),
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        const VARIANTS: [Choice; Harder::ALL.len() + 1] = {
            let mut variants = [Choice::All; Harder::ALL.len() + 1];
            let mut place = 0;
            while place < Harder::ALL.len() {
                variants[place + 1] = Choice::One(Harder::ALL[place]);
                place += 1;
            }
            variants
        };
        &VARIANTS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::All => PossibleValue::new("all").help("each of those that follow"),
            Self::One(harder) => PossibleValue::new(harder.slug()).help(harder.title()),
        })
    }
}

impl Arguments {
    /// What is done to the captures, each once: nothing first.
    fn inputs(&self) -> Vec<Option<Harder>> {
        let asked: BTreeSet<Harder> = self
            .harder
            .iter()
            .flat_map(|choice| match choice {
                Choice::All => Harder::ALL.to_vec(),
                Choice::One(harder) => vec![*harder],
            })
            .collect();
        [None]
            .into_iter()
            .chain(asked.into_iter().map(Some))
            .collect()
    }
}

pub(super) fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let stop = interrupt::listen().context("cannot listen for signals")?;
    arguments.input.find()?;
    let mut files = Files::default();
    files.read_captures(&arguments.input.files);
    files.read_signatures(arguments.signatures.signatures.as_ref());
    files.read(Some(&arguments.truth));
    files.read(arguments.flow_table.0.flows.behaviour.as_ref());
    files.write("--report", arguments.report.as_ref());
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
    let truth = Truth::read(&arguments.truth)?;
    let captures = match captures(&arguments, &truth) {
        Ok(captures) => captures,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    let set = arguments.signatures.load()?;
    let runner = Runner {
        input: &arguments.input,
        settings: &settings,
        set: &set,
        behaviour: load_behaviour(settings.behaviour.as_deref(), &set)?,
        stop: &stop,
        seed: arguments.seed,
        write: arguments.write.as_deref(),
    };
    let mut report = arguments
        .report
        .as_deref()
        .map(Report::create)
        .transpose()?;
    let mut scored = Vec::new();
    let mut failed = 0;
    // What was seen before something was taken out of the captures.
    let mut whole: Vec<Seen> = Vec::new();
    for harder in arguments.inputs() {
        let mut score = crate::score::Score::default();
        let read = runner.all(&captures, harder, arguments.workers);
        for (place, (capture, seen)) in read.into_iter().enumerate() {
            let seen = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    eprintln!("ottometer: warning: passed by: {error:#}");
                    failed += 1;
                    Seen::default()
                }
            };
            let before = harder.and_then(|_| whole.get(place));
            for judged in truth.judge(&capture.name, &seen, before, &set) {
                score.add(&judged);
                if let Some(report) = &mut report {
                    report.add(harder, &capture.name, &judged)?;
                }
            }
            if harder.is_none() {
                whole.push(seen);
            }
        }
        scored.push(Scored { harder, score });
        if stop.is_asked() {
            break;
        }
    }
    let to_stdout = report
        .as_ref()
        .is_some_and(|report| report.is_standard_output);
    if let Some(report) = report {
        report.finish()?;
    }
    let mut out: Box<dyn Write> = match to_stdout {
        true => Box::new(io::stderr().lock()),
        false => Box::new(io::stdout().lock()),
    };
    let format = arguments.format.on(to_stdout);
    score::write(&mut out, &scored, arguments.top, format)?;
    out.flush()?;
    if stop.is_asked() {
        eprintln!("ottometer: ended by a signal: the score is of what was read until then");
        return Ok(ExitCode::FAILURE);
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The captures there are labels of. Tells of others, and of labels whose capture is not among them.
fn captures(arguments: &Arguments, truth: &Truth) -> Result<Vec<Capture>, String> {
    let table = arguments.truth.display();
    if let [first, ..] = truth.unreadable() {
        let count = grouped(truth.unreadable().len() as u64);
        eprintln!(
            "ottometer: warning: {table}:{first}: {count} lines have no IP address where one should be: \
             their flows count as missed"
        );
    }
    let files = &arguments.input.files;
    if !truth.names_captures() {
        return Ok(vec![Capture {
            name: String::new(),
            files: files.clone(),
        }]);
    }
    let name = |path: &PathBuf| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let mut captures: Vec<Capture> = Vec::new();
    let mut unlabelled = 0;
    for path in files {
        let name = name(path);
        if !truth.has(&name) {
            unlabelled += 1;
            continue;
        }
        if captures.iter().any(|capture| capture.name == name) {
            return Err(format!(
                "two captures are called {name}, as {table} names them"
            ));
        }
        captures.push(Capture {
            files: vec![path.clone()],
            name,
        });
    }
    if captures.is_empty() {
        return Err(format!("{table} has labels of none of these captures"));
    }
    let missing = truth.captures();
    let missing = missing.filter(|name| captures.iter().all(|capture| capture.name != *name));
    let missing: Vec<&str> = missing.collect();
    if let [first, ..] = missing.as_slice() {
        let count = missing.len();
        eprintln!(
            "ottometer: {table} has labels of {count} captures that are not read: {first}, ..."
        );
    }
    if unlabelled > 0 {
        eprintln!("ottometer: {table} has no labels of {unlabelled} captures: they are left out");
    }
    Ok(captures)
}
