//! Any conversation, shown to the dissector `mmtls`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("mmtls");
