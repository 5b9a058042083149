//! Any conversation, shown to the dissector `socks`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("socks");
