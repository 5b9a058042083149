//! Any conversation, shown to the dissector `telegram`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("telegram");
