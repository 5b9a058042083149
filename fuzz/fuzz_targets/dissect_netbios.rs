//! Any conversation, shown to the dissector `netbios`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("netbios");
