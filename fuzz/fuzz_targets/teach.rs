//! Any payload to those that learn from a flow about others; its first byte chooses which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottometer::dissect::dns::NameAnswer;
use ottometer::dissect::{dns, ftp_data, sip, stun};

/// The most addresses that one payload may teach.
const MOST: usize = 64;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, payload)) = input.split_first() else {
        return;
    };
    let mut count = 0;
    let mut name = |answer: &NameAnswer<'_>| {
        count += 1;
        assert!(!answer.name.is_empty() && answer.name.len() <= 255);
        assert!(
            !answer.name.ends_with('.') && !answer.name.contains(|c: char| c.is_ascii_uppercase())
        );
    };
    match choice % 5 {
        0 => dns::answers(payload, &mut name),
        1 => dns::answers_in_stream(payload, &mut name),
        4 => {
            let read = dns::transaction(payload, |transaction| {
                assert!(!transaction.name.is_empty() && transaction.name.len() <= 255);
            });
            count += usize::from(read.is_some());
        }
        2 => stun::lessons(payload, &mut |_| count += 1),
        3 => sip::media(payload, &mut |_| count += 1),
        _ => count += usize::from(ftp_data::announced(payload).is_some()),
    }
    assert!(count <= MOST, "{count} addresses");
});
