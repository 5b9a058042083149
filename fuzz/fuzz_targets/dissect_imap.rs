//! Any conversation, shown to the dissector `imap`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("imap");
