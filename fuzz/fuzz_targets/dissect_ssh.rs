//! Any conversation, shown to the dissector `ssh`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("ssh");
