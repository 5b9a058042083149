//! Any conversation, shown to the dissector `irc`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("irc");
