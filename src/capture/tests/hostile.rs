//! Files nobody meant: no bytes make the reader panic.

use std::io;

use proptest::prelude::*;

use super::{options, read_with};
use crate::capture::error::Fault;
use crate::capture::samples;

/// Reads `bytes` in two block sizes: the same must come out of both.
fn read_anything(bytes: &[u8]) {
    let [small, large] = [64, 4096].map(|size| {
        let bytes = io::Cursor::new(bytes.to_vec());
        read_with(bytes, &options(Some("ip or not ip"), size)).ok()
    });
    match (&small, &large) {
        // How much comes out of a corrupt compressed file depends on how much was asked for.
        (_, Some(contents)) | (Some(contents), _)
            if matches!(contents.damage, Some((_, Fault::Unreadable { .. }))) => {}
        _ => assert_eq!(small, large),
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        start in prop::sample::select(vec![
            samples::pcap(&[]),
            samples::pcapng(&[]),
            samples::gzip(&samples::pcap(&[])),
            vec![0x1f, 0x8b],
            vec![0x28, 0xb5, 0x2f, 0xfd],
            vec![0xfd, b'7', b'z', b'X', b'Z', 0],
            b"BZh9".to_vec(),
            vec![0x04, 0x22, 0x4d, 0x18],
            vec![],
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        read_anything(&[start, bytes].concat());
    }

    #[test]
    fn mutations_never_panic(
        packing in 0..6,
        ng in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let frames: &[(u64, &[u8])] = &[(1, &[1; 60]), (2, &[]), (3, &[3; 100]), (4, b"end")];
        let file = if ng { samples::pcapng(frames) } else { samples::pcap(frames) };
        let mut file = match packing {
            0 => file,
            1 => samples::gzip(&file),
            2 => samples::zstd(&file),
            3 => samples::xz(&file),
            4 => samples::bzip2(&file),
            _ => samples::lz4(&file),
        };
        for (place, value) in changes {
            let place = place.index(file.len());
            file[place] ^= value;
        }
        let keep = cut.index(file.len() * 4);
        file.truncate(keep.max(4));
        read_anything(&file);
    }
}
