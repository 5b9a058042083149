//! Any conversation, shown to the dissector `smtp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("smtp");
