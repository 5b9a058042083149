//! Any conversation, shown to the dissector its first byte chooses.
//!
//! `dissect_NAME` gives all its time to one dissector.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottometer::dissect::DISSECTORS;

fuzz_target!(|input: &[u8]| {
    if let Some((&choice, conversation)) = input.split_first() {
        let row = &DISSECTORS[usize::from(choice) % DISSECTORS.len()];
        ottometer_fuzz::dissect(row, conversation);
    }
});
