//! Any conversation, shown to the dissector `ldap`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("ldap");
