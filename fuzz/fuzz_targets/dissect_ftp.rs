//! Any conversation, shown to the dissector `ftp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("ftp");
