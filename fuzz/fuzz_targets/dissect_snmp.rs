//! Any conversation, shown to the dissector `snmp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("snmp");
