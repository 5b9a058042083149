//! Any conversation, shown to the dissector `mysql`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("mysql");
