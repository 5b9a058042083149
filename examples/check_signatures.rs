//! Checks a folder of signature files and runs their tests over literal messages: `cargo run --example check_signatures -- DIR`.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;

use ottometer::signature::{Severity, check, files_in, test};

/// Captures need the whole pipeline: their tests are left to the program.
const NOT_READ: &str = "captures are not read here";

fn main() -> ExitCode {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "signatures".into());
    let files = match files_in(Path::new(&dir)) {
        Ok(files) => files,
        Err(errors) => {
            errors.iter().for_each(|error| println!("{error}"));
            return ExitCode::FAILURE;
        }
    };
    let found = check(&files);
    found.iter().for_each(|finding| println!("{finding}"));
    let errors = found
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .count();
    println!(
        "{} files, {errors} errors, {} warnings",
        files.len(),
        found.len() - errors
    );
    let unread = &mut |_: &Path| Err(NOT_READ.to_owned());
    let results = test(&files, Path::new("."), unread).unwrap_or_default();
    let mut failed = 0;
    for result in &results {
        if let Some(failure) = result
            .failure
            .as_ref()
            .filter(|text| !text.contains(NOT_READ))
        {
            println!(
                "{}:{}: test of `{}`: {failure}",
                result.path, result.line, result.subject
            );
            failed += 1;
        }
    }
    println!("{} tests, {failed} failed", results.len());
    if errors + failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
