//! The command line: arguments checked once into settings, then a run of the pipeline.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod by;
mod config;
mod explain;
mod extract;
mod interfaces;
mod interrupt;
mod learn;
mod live;
mod manual;
mod outputs;
mod read;
mod records;
mod reload;
mod score;
mod screen;
mod select;
mod settings;
mod signatures;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  ottometer read trace.pcap                         volume by application
  ottometer read *.pcapng.gz --by service --top 20  several files as one stream
  ottometer read /captures --by client              all captures in a folder
  ottometer read trace.pcap --flows - --quiet       one JSON object a flow
  ottometer read trace.pcap --interval 60s --usage usage.csv
  tcpdump -w - -i eth0 | ottometer read -           standard input
  ottometer read trace.pcap --write-pcap odd.pcapng --unknown
  ottometer explain trace.pcap --flow 10.0.0.1:50000
  ottometer score --truth truth.tsv captures/       how much of that is right?
  ottometer learn trace.pcap --write drafts/        what has no name? drafts of signatures
  ottometer interfaces                              what can be captured
  sudo ottometer live -i eth1 --tui                 a mirror port, live
  ottometer reload --dry-run --config ottometer.toml   what would new signatures change?
  ottometer signatures list --search 微信             what is it called here?
  ottometer signatures show wechat";

/// Names the applications in network traffic and counts their bytes.
#[derive(Debug, Parser)]
#[command(name = "ottometer", version, about, after_help = EXAMPLES, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Name the applications in capture files and print their volume.
    Read(Box<read::Arguments>),
    /// Name the applications on interfaces, as long as you like, and feed monitoring.
    Live(Box<live::Arguments>),
    /// Show for each flow what was seen, which rules matched and which one decided.
    Explain(Box<explain::Arguments>),
    /// Measure against known flows how much of the names is right, on captures as they are or made harder.
    Score(Box<score::Arguments>),
    /// Put together what has no name by what it has in common, and draft signatures of it.
    Learn(Box<learn::Arguments>),
    /// List what can be captured, with link state and addresses.
    Interfaces(interfaces::Arguments),
    /// Check, test, list or show signatures.
    Signatures(signatures::Arguments),
    /// Check a settings file, or print one with all defaults, or its JSON schema.
    Config(config::Arguments),
    /// Say what a reload of a live run would change, before it does.
    Reload(Box<reload::Arguments>),
    /// Print what completes commands and options in a shell.
    Completions(manual::Completions),
    /// Print the manual page, or write those of all commands to a folder.
    Man(manual::Manual),
}

/// Runs the command that `arguments` (program name first) ask for.
///
/// # Errors
///
/// What stopped it, for a person to read. Wrong usage is printed here and gives exit code 2.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            // Help and version go to standard output, wrong usage to standard error.
            let _ = error.print();
            return Ok(ExitCode::from(code));
        }
    };
    let done = match arguments.command {
        Command::Read(arguments) => read::run(*arguments),
        Command::Live(arguments) => live::run(&arguments, words.get(1..).unwrap_or_default()),
        Command::Explain(arguments) => explain::run(*arguments),
        Command::Score(arguments) => score::run(*arguments),
        Command::Learn(arguments) => learn::run(*arguments),
        Command::Interfaces(arguments) => interfaces::run(&arguments),
        Command::Signatures(arguments) => signatures::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Completions(arguments) => manual::complete(&arguments, Arguments::command()),
        Command::Man(arguments) => manual::manual(&arguments, Arguments::command()),
    };
    match done {
        // The reader of a pipe went away: that is its good right.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
