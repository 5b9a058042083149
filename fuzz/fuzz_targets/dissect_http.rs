//! Any conversation, shown to the dissector `http`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("http");
