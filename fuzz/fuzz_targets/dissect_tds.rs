//! Any conversation, shown to the dissector `tds`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("tds");
