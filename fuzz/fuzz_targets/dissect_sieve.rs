//! Any conversation, shown to the dissector `sieve`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("sieve");
