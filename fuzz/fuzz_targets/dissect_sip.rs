//! Any conversation, shown to the dissector `sip`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("sip");
