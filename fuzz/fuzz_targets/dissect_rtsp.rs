//! Any conversation, shown to the dissector `rtsp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("rtsp");
