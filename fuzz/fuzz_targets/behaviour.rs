//! Any bytes as a model of behaviour: it is refused or can be asked, and what was read is what is
//! written.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ottometer::classify::behaviour::features::Features;
use ottometer::classify::behaviour::model::Forest;
use ottometer::flow::{End, Sequence};

fuzz_target!(|input: &[u8]| {
    let Ok(forest) = Forest::from_bytes(input) else {
        return;
    };
    let mut sequence = Sequence::default();
    for (place, &byte) in (0..).zip(input) {
        let end = if byte & 1 == 1 { End::Low } else { End::High };
        sequence.push(end, u32::from(byte) << 8, Duration::from_millis(place));
    }
    let mut votes = Vec::new();
    for client_is_low in [false, true] {
        if let Some(features) = Features::of(sequence.sides(client_is_low), 6, 443) {
            forest.decide(&features, &mut votes);
        }
    }
    assert_eq!(Forest::from_bytes(&forest.to_bytes()).as_ref(), Ok(&forest));
});
