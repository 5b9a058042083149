//! Blocks, compression, filters: how the frames come out.

use std::io::{self, Read};
use std::path::Path;

use super::{Trickle, frames, options, plain_files, read_with};
use crate::capture::Block;
use crate::capture::file::{Counts, Options, Reader};
use crate::capture::listing::MAX_RECORD;
use crate::capture::samples::{self, PCAP, PcapHeader};

#[test]
fn compression_makes_no_difference() {
    for (data, file) in plain_files() {
        let wanted = frames(&file);
        assert_eq!(wanted.len(), data.len());
        let (one, two) = file.split_at(file.len() / 3);
        // Of zstd and lz4 alike, also without anything inside.
        let skipped = vec![0x52, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let empty = vec![0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        let between = |one: Vec<u8>, two: Vec<u8>| {
            let (skipped, empty) = (skipped.clone(), empty.clone());
            [&skipped, &empty, &one, &empty, &skipped, &two, &skipped]
                .map(Vec::as_slice)
                .concat()
        };
        let rows = [
            ("gzip", samples::gzip(&file)),
            (
                "gzip members",
                [samples::gzip(one), samples::gzip(two)].concat(),
            ),
            ("zstd", samples::zstd(&file)),
            (
                "zstd frames",
                [samples::zstd(one), samples::zstd(two)].concat(),
            ),
            (
                "zstd with skippable frames",
                between(samples::zstd(one), samples::zstd(two)),
            ),
            ("xz", samples::xz(&file)),
            ("xz streams", [samples::xz(one), samples::xz(two)].concat()),
            ("bzip2", samples::bzip2(&file)),
            (
                "bzip2 streams",
                [samples::bzip2(one), samples::bzip2(two)].concat(),
            ),
            ("lz4", samples::lz4(&file)),
            (
                "lz4 frames",
                [samples::lz4(one), samples::lz4(b""), samples::lz4(two)].concat(),
            ),
            (
                "lz4 with skippable frames",
                between(samples::lz4(one), samples::lz4(two)),
            ),
        ];
        for (what, file) in rows {
            assert_eq!(frames(&file), wanted, "{what}");
        }
    }
}

#[test]
fn long_records_grow_their_block_and_no_other() {
    let long = vec![7; 200_000];
    let frames: Vec<(u64, &[u8])> = vec![(1, b"a"), (2, &long), (3, b"b"), (4, &long), (5, b"c")];
    for file in [samples::pcap(&frames), samples::pcapng(&frames)] {
        let bytes = Box::new(io::Cursor::new(file));
        let mut reader = Reader::from_read(Path::new("a"), bytes, &options(None, 1000)).unwrap();
        let mut block = Block::default();
        let mut lens = Vec::new();
        while reader.next_block(&mut block).unwrap() {
            let longest = block.frames.iter().map(|frame| frame.captured).max();
            let limit = if longest > Some(1000) { 200_100 } else { 1000 };
            assert!(block.bytes.len() <= limit, "{}", block.bytes.len());
            lens.extend(block.frames.iter().map(|frame| frame.captured));
        }
        assert_eq!(lens, [1, 200_000, 1, 200_000, 1]);
    }
    // As long as the header allows, but never without bound.
    let header = PcapHeader {
        snaplen: u32::MAX,
        ..PCAP
    };
    for (captured, fits) in [(MAX_RECORD as u32 - 64, true), (MAX_RECORD as u32, false)] {
        let mut file = header.file();
        samples::record(
            &mut file,
            (1, 0),
            (captured, captured),
            &vec![0; captured as usize],
        );
        let contents = read_with(io::Cursor::new(file.bytes), &Options::default()).unwrap();
        assert_eq!(contents.frames.len(), usize::from(fits));
        assert_eq!(contents.damage.is_none(), fits);
        assert_eq!(contents.counts.lying_lengths, 0);
    }
}

#[test]
fn blocks_are_cut_by_their_bytes_alone() {
    for (_, file) in plain_files() {
        let cuts = |bytes: Box<dyn Read + Send>| {
            let mut reader = Reader::from_read(Path::new("a"), bytes, &options(None, 512)).unwrap();
            let mut block = Block::default();
            let mut cuts = Vec::new();
            while reader.next_block(&mut block).unwrap() {
                cuts.push((block.first_number, block.frames.len()));
            }
            cuts
        };
        let whole = cuts(Box::new(io::Cursor::new(file.clone())));
        assert!(whole.len() > 10);
        assert_eq!(cuts(Box::new(Trickle::new(&file))), whole);
        assert_eq!(cuts(Box::new(io::Cursor::new(samples::gzip(&file)))), whole);
    }
}

/// An Ethernet frame with a UDP datagram in IPv4 to `port`.
fn datagram(port: u16) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12] = 0x08;
    frame[14] = 0x45;
    frame[23] = 17;
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}

#[test]
fn filters_keep_the_numbers_of_the_capture() {
    let (dns, web) = (datagram(53), datagram(443));
    let all = [&dns, &web, &web, &dns, &web, &dns, &web, &web];
    let timed: Vec<(u64, &[u8])> = all
        .iter()
        .enumerate()
        .map(|(place, frame)| (100 + place as u64, &frame[..]))
        .collect();
    // filter, numbers
    let rows: &[(&str, &[u64])] = &[
        ("udp port 53", &[1, 4, 6]),
        ("udp port 443", &[2, 3, 5, 7, 8]),
        ("udp", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("tcp", &[]),
    ];
    for file in [samples::pcap(&timed), samples::pcapng(&timed)] {
        for &(filter, numbers) in rows {
            for size in [64, 200, 300, 100_000] {
                let bytes = io::Cursor::new(file.clone());
                let contents = read_with(bytes, &options(Some(filter), size)).unwrap();
                let seen: Vec<u64> = contents.frames.iter().map(|frame| frame.0).collect();
                assert_eq!(seen, numbers, "{filter} in blocks of {size}");
                let left_out = 8 - numbers.len() as u64;
                let counts = Counts {
                    frames: 8,
                    left_out_frames: left_out,
                    left_out_bytes: left_out * 60,
                    lying_lengths: 0,
                };
                assert_eq!(contents.counts, counts, "{filter} in blocks of {size}");
            }
        }
        let bytes = Box::new(io::Cursor::new(file));
        let mut reader =
            Reader::from_read(Path::new("a"), bytes, &options(Some("tcp"), 4096)).unwrap();
        while reader.next_block(&mut Block::default()).unwrap() {}
        let first_at = reader.first_at().map(|at| at.0);
        assert_eq!(first_at, Some(100_000), "a frame left out has a time, too");
    }
}

#[test]
fn bad_filters_are_refused() {
    for file in [samples::pcap(&[(1, b"a")]), samples::pcapng(&[(1, b"a")])] {
        let error = read_with(io::Cursor::new(file), &options(Some("udp prot 53"), 4096));
        let message = error.unwrap_err().to_string();
        assert!(
            message.starts_with("a.pcap: filter 'udp prot 53' does not compile"),
            "{message}"
        );
        assert!(message.contains("syntax error"), "{message}");
    }
}
