//! Any conversation, shown to the dissector `postgres`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("postgres");
