//! Any conversation, shown to the dissector `bittorrent`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("bittorrent");
