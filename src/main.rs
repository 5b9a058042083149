//! The `ottometer` command: see `ottometer --help`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A capture of short flows takes a seventh less time than with the C library's: docs/benchmarks.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match ottometer::cli::run(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ottometer: {error:#}");
            ExitCode::FAILURE
        }
    }
}
