//! Any conversation, shown to the dissector `tls`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("tls");
