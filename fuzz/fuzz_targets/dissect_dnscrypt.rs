//! Any conversation, shown to the dissector `dnscrypt`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("dnscrypt");
