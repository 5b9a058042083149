//! Any conversation, shown to the dissector `kerberos`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("kerberos");
