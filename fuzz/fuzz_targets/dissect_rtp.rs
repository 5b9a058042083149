//! Any conversation, shown to the dissector `rtp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("rtp");
