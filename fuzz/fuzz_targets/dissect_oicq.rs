//! Any conversation, shown to the dissector `oicq`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("oicq");
