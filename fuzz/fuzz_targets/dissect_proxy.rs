//! Any conversation, shown to the dissector `proxy`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("proxy");
