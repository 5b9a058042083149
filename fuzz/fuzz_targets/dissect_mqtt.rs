//! Any conversation, shown to the dissector `mqtt`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("mqtt");
