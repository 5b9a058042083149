//! Any conversation, shown to the dissector `http2`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("http2");
