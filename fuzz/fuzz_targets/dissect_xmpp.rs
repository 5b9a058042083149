//! Any conversation, shown to the dissector `xmpp`.
#![no_main]

ottometer_fuzz::fuzz_dissector!("xmpp");
