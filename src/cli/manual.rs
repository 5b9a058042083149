//! `ottometer completions SHELL` and `ottometer man [DIR]`: made of the same arguments as `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

const COMPLETIONS: &str = "\
Examples:
  ottometer completions bash > /etc/bash_completion.d/ottometer
  ottometer completions zsh > \"${fpath[1]}/_ottometer\"
  ottometer completions fish > ~/.config/fish/completions/ottometer.fish";

const MAN: &str = "\
Examples:
  ottometer man | man -l -
  ottometer man /usr/local/share/man/man1";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub(super) struct Completions {
    /// For which shell.
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = MAN)]
pub(super) struct Manual {
    /// The folder that all pages are written to, one for each command; without it the page of the program itself goes to standard output.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub(super) fn complete(arguments: &Completions, mut command: Command) -> anyhow::Result<ExitCode> {
    // Not to standard output itself: it panics where that cannot be written.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "ottometer", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn manual(arguments: &Manual, mut command: Command) -> anyhow::Result<ExitCode> {
    let Some(folder) = &arguments.folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        io::stdout().lock().write_all(&page)?;
        return Ok(ExitCode::SUCCESS);
    };
    let cannot = || format!("cannot write manual pages to {}", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, folder).with_context(cannot)?;
    Ok(ExitCode::SUCCESS)
}
