//! Tests that cannot do their work here, for want of a right or of a program.

use std::fs::OpenOptions;
use std::io::Write;

/// Says why a test is skipped, on standard error itself: the test runner does not hold that back.
/// `scripts/test.sh` names a file in `OTTOMETER_SKIPS` and counts what is noted there: the reason and
/// the test, a line each.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("\n*** SKIPPED: {test}: {why} ***\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    let Some(path) = std::env::var_os("OTTOMETER_SKIPS") else {
        return;
    };
    let mut notes = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .unwrap();
    // One write, so that tests beside one another do not mix.
    notes
        .write_all(format!("{why}\t{test}\n").as_bytes())
        .unwrap();
}
