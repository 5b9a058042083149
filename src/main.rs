//! The `ottometer` command.

fn main() {}
