//! Any conversation, shown to the dissector `ntp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("ntp");
