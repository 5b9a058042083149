//! The `ottometer` command: see `ottometer --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ottometer::cli::run(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ottometer: {error:#}");
            ExitCode::FAILURE
        }
    }
}
