//! Any conversation, shown to the dissector `whatsapp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("whatsapp");
