//! Any conversation, shown to the dissector `rtmp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("rtmp");
