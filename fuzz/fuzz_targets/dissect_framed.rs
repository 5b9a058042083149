//! Any conversation, shown to the dissector `framed`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("framed");
