//! Any conversation, shown to the dissector `stun`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("stun");
