//! Any conversation, shown to the dissector `wireguard`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("wireguard");
