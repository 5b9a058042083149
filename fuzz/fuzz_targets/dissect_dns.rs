//! Any conversation, shown to the dissector `dns`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("dns");
