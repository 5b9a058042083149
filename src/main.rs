//! The `ottometer` command: see `ottometer --help`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A tenth of the time of a capture of short flows with glibc's: docs/performance.md.
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
