//! Any conversation, shown to the dissector `quic`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("quic");
