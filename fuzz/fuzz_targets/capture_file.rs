//! Any bytes as a capture file: nothing panics, nothing grows, and the same frames come out
//! whatever the block size.
//!
//! The first byte picks the block size and whether there is a filter; the rest is the file.
#![no_main]

use std::io::Cursor;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use ottometer::capture::Block;
use ottometer::capture::error::Fault;
use ottometer::capture::file::{Counts, Options, Reader};
use ottometer::time::Timestamp;

/// A few compressed bytes can stand for gigabytes; this much of them is looked at.
const MOST_BYTES: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, file)) = input.split_first() else {
        return;
    };
    let filter = (choice & 1 == 1).then(|| "ip and not udp port 53".to_owned());
    let small = read(file, filter.clone(), 64 << (choice >> 1 & 7));
    let large = read(file, filter, 64 * 1024);
    if let (Some(small), Some(large)) = (small, large) {
        assert_eq!(small, large);
    }
});

/// What was read; `None` when that may depend on the block size.
fn read(file: &[u8], filter: Option<String>, block_size: usize) -> Option<(u64, u64, Counts)> {
    let options = Options {
        filter,
        block_size,
        ..Options::default()
    };
    let bytes = Box::new(Cursor::new(file.to_vec()));
    let mut reader = Reader::from_read(Path::new("fuzz"), bytes, &options).ok()?;
    let mut block = Block::default();
    let mut listed = 0_u64;
    let mut sum = 0_u64;
    let mut seen = 0;
    let mut number = 0;
    let mut watermark = Timestamp::default();
    while seen < MOST_BYTES {
        match reader.next_block(&mut block) {
            Ok(true) => {}
            Ok(false) => {
                let damage = reader.damage();
                if damage.is_some_and(|damage| matches!(damage.fault, Fault::Unreadable { .. })) {
                    // How much a decompressor gives before a fault depends on what it is asked.
                    return None;
                }
                let counts = *reader.counts();
                assert_eq!(counts.frames, listed + counts.left_out_frames);
                return Some((listed, sum, counts));
            }
            Err(_) => return None,
        }
        seen += block.bytes.len();
        for index in 0..block.frames.len() {
            let frame = block
                .frame(index)
                .expect("a listed frame lies in its block");
            assert!(frame.wire_len as usize >= frame.bytes.len());
            assert!(frame.number > number);
            number = frame.number;
            watermark = watermark.max(frame.at);
            listed += 1;
            sum = sum
                .wrapping_mul(31)
                .wrapping_add(frame.at.0 ^ u64::from(frame.wire_len));
            for &octet in frame.bytes {
                sum = sum.wrapping_mul(31).wrapping_add(octet.into());
            }
        }
        assert_eq!(block.watermark, watermark);
    }
    None
}
