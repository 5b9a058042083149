//! Any conversation, shown to the dissector `pop3`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("pop3");
