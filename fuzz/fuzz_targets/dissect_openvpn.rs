//! Any conversation, shown to the dissector `openvpn`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("openvpn");
