//! Any conversation, shown to the dissector `ike`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("ike");
