//! Any conversation, shown to the dissector `smb`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("smb");
