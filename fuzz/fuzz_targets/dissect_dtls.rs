//! Any conversation, shown to the dissector `dtls`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("dtls");
