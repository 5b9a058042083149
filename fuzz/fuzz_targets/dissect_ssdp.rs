//! Any conversation, shown to the dissector `ssdp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("ssdp");
