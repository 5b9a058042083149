//! Any conversation, shown to the dissector `rdp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("rdp");
