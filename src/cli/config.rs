//! `ottometer config check|schema|default`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with a settings file, with line and column; exit code 1 if anything is.
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

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut code = ExitCode::SUCCESS;
    match &arguments.command {
        Command::Check { file } => match config::load(Some(file), config::File::default()) {
            Ok(_) => writeln!(out, "{}: nothing wrong", file.display())?,
            Err(problems) => {
                for problem in problems {
                    writeln!(out, "{problem}")?;
                }
                code = ExitCode::FAILURE;
            }
        },
        Command::Schema => {
            serde_json::to_writer_pretty(&mut out, &config::schema())?;
            writeln!(out)?;
        }
        Command::Default => out.write_all(config::DEFAULT_FILE.as_bytes())?,
    }
    out.flush()?;
    Ok(code)
}
