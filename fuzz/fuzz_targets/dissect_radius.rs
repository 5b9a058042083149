//! Any conversation, shown to the dissector `radius`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("radius");
