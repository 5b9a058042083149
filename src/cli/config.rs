//! `ottometer config check|schema|default`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::select::check_names;
use crate::config;
use crate::signature::Loader;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with a settings file and with the signatures it asks for, with line and column; exit code 1 if anything is.
    Check {
        /// The settings file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON schema of the settings file, for editors.
    Schema,
    /// Print a settings file with every key, its description and its default.
    Default,
}

/// What a run with this settings file would refuse, a line each: of the file, else of the signatures
/// it asks for, else of names that these do not have.
fn wrong(file: &Path) -> Vec<String> {
    let settings = match config::load(Some(file), config::File::default()) {
        Ok(settings) => settings,
        Err(problems) => return problems.iter().map(ToString::to_string).collect(),
    };
    let loader = Loader {
        dir: settings.signatures.dir,
        replace: settings.signatures.replace,
    };
    let set = match loader.load_first() {
        Ok(set) => set,
        Err(findings) => return findings.iter().map(ToString::to_string).collect(),
    };
    let checked = settings.records.only.map(|only| check_names(&only, &set));
    let refusal = checked.and_then(Result::err);
    refusal
        .map(|refusal| format!("{}: {refusal}", file.display()))
        .into_iter()
        .collect()
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut code = ExitCode::SUCCESS;
    match &arguments.command {
        Command::Check { file } => {
            let wrong = wrong(file);
            for line in &wrong {
                writeln!(out, "{line}")?;
            }
            if wrong.is_empty() {
                writeln!(out, "{}: nothing wrong", file.display())?;
            } else {
                code = ExitCode::FAILURE;
            }
        }
        Command::Schema => {
            serde_json::to_writer_pretty(&mut out, &config::schema())?;
            writeln!(out)?;
        }
        Command::Default => out.write_all(config::DEFAULT_FILE.as_bytes())?,
    }
    out.flush()?;
    Ok(code)
}
