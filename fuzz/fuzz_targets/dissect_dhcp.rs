//! Any conversation, shown to the dissector `dhcp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("dhcp");
