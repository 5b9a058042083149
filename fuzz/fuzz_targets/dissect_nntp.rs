//! Any conversation, shown to the dissector `nntp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("nntp");
