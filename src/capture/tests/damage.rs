//! Cut, damaged and foreign files: what is still read, and what is said.

use std::io;
use std::path::Path;

use super::{plain_files, read, read_with};
use crate::capture::error::{Compression, Error, Fault};
use crate::capture::file::{Options, Reader};
use crate::capture::listing::ByteOrder::Little;
use crate::capture::listing::MAX_RECORD;
use crate::capture::samples::{self, Bytes, PCAP, PcapHeader};
use crate::capture::{Block, LinkType};

#[test]
fn every_prefix_is_read_as_far_as_it_goes() {
    let data: [&[u8]; 3] = [b"first", b"", b"the third"];
    let timed = [(1, data[0]), (2, data[1]), (3, data[2])];
    // file, length of its header, where records end
    let rows = [
        (samples::pcap(&timed), 24, [24 + 21, 24 + 37, 24 + 62], 24),
        (
            samples::pcapng(&timed),
            28,
            [48 + 40, 48 + 72, 48 + 116],
            48,
        ),
    ];
    for (file, header_len, ends, first) in rows {
        assert_eq!(file.len(), ends[2]);
        for len in 0..=file.len() {
            let read = read(&file[..len]);
            if len < header_len {
                match read.unwrap_err() {
                    Error::Empty { .. } => assert_eq!(len, 0),
                    Error::NotACapture { start, .. } => {
                        assert!(len < 4);
                        assert_eq!(start, file[..len]);
                    }
                    Error::HeaderCut {
                        present, needed, ..
                    } => {
                        assert_eq!((present, needed), (len, header_len));
                    }
                    error => panic!("{error}"),
                }
                continue;
            }
            let contents = read.unwrap();
            let whole = ends.iter().filter(|&&end| end <= len).count();
            let seen: Vec<&[u8]> = contents.frames.iter().map(|frame| &frame.4[..]).collect();
            assert_eq!(seen, data[..whole], "of {len} bytes");
            let start = ends[..whole]
                .last()
                .copied()
                .unwrap_or_else(|| first.min(len));
            match contents.damage {
                None => assert!(len == start || len == 28, "of {len} bytes"),
                Some((offset, Fault::CutShort { present, .. })) => {
                    let start = if (29..48).contains(&len) && header_len == 28 {
                        28
                    } else {
                        start
                    };
                    assert_eq!(offset, start as u64, "of {len} bytes");
                    assert_eq!(present, (len - start) as u64, "of {len} bytes");
                }
                Some(damage) => panic!("{damage:?}"),
            }
        }
    }
}

#[test]
fn every_prefix_of_a_compressed_file_is_read() {
    for (_, file) in plain_files() {
        for (compression, packed) in [
            (Compression::Gzip, samples::gzip(&file)),
            (Compression::Zstd, samples::zstd(&file)),
            (Compression::Xz, samples::xz(&file)),
            (Compression::Bzip2, samples::bzip2(&file)),
            (Compression::Lz4, samples::lz4(&file)),
        ] {
            let mut most = 0;
            for len in (6..packed.len()).step_by(7) {
                let bytes = io::Cursor::new(packed[..len].to_vec());
                let mut reader =
                    match Reader::from_read(Path::new("a"), Box::new(bytes), &Options::default()) {
                        Ok(reader) => reader,
                        Err(Error::Read {
                            compression: found, ..
                        }) => {
                            assert_eq!(found, Some(compression));
                            continue;
                        }
                        Err(error) => panic!("{error}"),
                    };
                while reader.next_block(&mut Block::default()).unwrap() {}
                most = most.max(reader.counts().frames);
                let damage = reader.damage().unwrap();
                assert_eq!(damage.compression, Some(compression));
                assert!(matches!(damage.fault, Fault::Unreadable { .. }), "{damage}");
                let text = format!("of the data inside the {compression} file");
                assert!(damage.to_string().contains(&text), "{damage}");
            }
            // Both write this file as one piece of compressed data at the end.
            // The others give a block when they have all of it.
            assert!(most > 0 || compression != Compression::Gzip);
        }
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let good: &[(u64, &[u8])] = &[(1, b"good")];
    let order = Little;
    let pcap = |captured: u32| {
        let mut file = Bytes {
            order,
            bytes: samples::pcap(good),
        };
        samples::record(&mut file, (2, 0), (captured, captured), &[0; 300]);
        file.bytes
    };
    let pcapng = |kind: u32, length: u32, body: &[u8], trailing: u32| {
        let mut file = Bytes {
            order,
            bytes: samples::pcapng(good),
        };
        file.u32(kind).u32(length).raw(body).pad().u32(trailing);
        samples::enhanced(&mut file, 0, 1, b"never read");
        file.bytes
    };
    let packet = |interface, captured| {
        samples::enhanced_body(order, interface, 0, (captured, captured), b"abcd")
    };
    let section = |magic: u32, version: u16| {
        let mut body = Bytes::new(order);
        body.u32(magic).u16(version).u16(2).raw(&[0xff; 8]);
        body.bytes
    };
    // what, file, where, what is wrong
    let rows = [
        (
            "captured",
            pcap(262_145),
            44,
            Fault::CapturedLength {
                captured: 262_145,
                limit: 262_144,
            },
        ),
        (
            "captured",
            pcap(u32::MAX),
            44,
            Fault::CapturedLength {
                captured: u32::MAX,
                limit: 262_144,
            },
        ),
        (
            "captured",
            pcap(301),
            44,
            Fault::CutShort {
                present: 316,
                needed: 317,
            },
        ),
        (
            "no length",
            pcapng(6, 0, &[], 0),
            84,
            Fault::BlockLength {
                block: 6,
                length: 0,
            },
        ),
        (
            "short",
            pcapng(99, 8, &[], 8),
            84,
            Fault::BlockLength {
                block: 99,
                length: 8,
            },
        ),
        (
            "long",
            pcapng(99, MAX_RECORD as u32 + 1, &[], 12),
            84,
            Fault::BlockLength {
                block: 99,
                length: MAX_RECORD as u32 + 1,
            },
        ),
        (
            "all ones",
            pcapng(99, u32::MAX, &[], 12),
            84,
            Fault::BlockLength {
                block: 99,
                length: u32::MAX,
            },
        ),
        (
            "trailer",
            pcapng(99, 16, b"body", 20),
            84,
            Fault::BlockEnd {
                length: 16,
                trailing: 20,
            },
        ),
        (
            "no body",
            pcapng(6, 12, &[], 12),
            84,
            Fault::BlockLength {
                block: 6,
                length: 12,
            },
        ),
        (
            "no body",
            pcapng(2, 12, &[], 12),
            84,
            Fault::BlockLength {
                block: 2,
                length: 12,
            },
        ),
        (
            "no body",
            pcapng(3, 12, &[], 12),
            84,
            Fault::BlockLength {
                block: 3,
                length: 12,
            },
        ),
        (
            "no body",
            pcapng(1, 16, b"1234", 16),
            84,
            Fault::BlockLength {
                block: 1,
                length: 16,
            },
        ),
        (
            "interface",
            pcapng(6, 36, &packet(1, 4), 36),
            84,
            Fault::UnknownInterface {
                interface: 1,
                described: 1,
            },
        ),
        (
            "data",
            pcapng(6, 36, &packet(0, 5), 36),
            84,
            Fault::DataLength {
                captured: 5,
                length: 36,
            },
        ),
        (
            "all ones of data",
            pcapng(6, 36, &packet(0, u32::MAX), 36),
            84,
            Fault::DataLength {
                captured: u32::MAX,
                length: 36,
            },
        ),
        (
            "byte order",
            pcapng(0x0a0d_0d0a, 28, &section(0x0102_0304, 1), 28),
            84,
            Fault::ByteOrder {
                magic: [4, 3, 2, 1],
            },
        ),
        (
            "version",
            pcapng(0x0a0d_0d0a, 28, &section(0x1a2b_3c4d, 2), 28),
            84,
            Fault::Version { major: 2, minor: 2 },
        ),
    ];
    for (what, file, offset, fault) in rows {
        let offset = if file.starts_with(&[0x0a]) {
            48 + 36
        } else {
            offset
        };
        let contents = read(&file).unwrap();
        assert_eq!(contents.frames.len(), 1, "{what}");
        assert_eq!(contents.damage, Some((offset, fault)), "{what}");
    }
}

#[test]
fn a_packet_without_any_interface() {
    let mut file = Bytes::new(Little);
    samples::section(&mut file);
    samples::block(&mut file, 3, &[4, 0, 0, 0, 1, 2, 3, 4]);
    let fault = Fault::UnknownInterface {
        interface: 0,
        described: 0,
    };
    assert_eq!(read(&file.bytes).unwrap().damage, Some((28, fault)));
}

#[test]
fn interfaces_are_bounded() {
    let mut file = Bytes::new(Little);
    samples::section(&mut file);
    for _ in 0..=65_536 {
        samples::interface(&mut file, LinkType::ETHERNET, 0, &[]);
    }
    let contents = read_with(io::Cursor::new(file.bytes), &Options::default()).unwrap();
    let fault = Fault::TooManyInterfaces { limit: 65_536 };
    assert_eq!(contents.damage, Some((28 + 65_536 * 20, fault)));
}

#[test]
fn what_is_no_capture_is_refused() {
    let version = |major, minor| {
        PcapHeader {
            version: (major, minor),
            ..PCAP
        }
        .file()
        .bytes
    };
    let mut bad_section = samples::pcapng(&[]);
    bad_section[8] = 0;
    // bytes, what the message must say
    let rows: &[(&[u8], &[&str])] = &[
        (b"", &["a.pcap: not a capture file: it is empty"]),
        (
            &samples::gzip(b""),
            &["it is empty after gzip decompression"],
        ),
        (
            &samples::zstd(b""),
            &["it is empty after zstd decompression"],
        ),
        (
            b"hello, world\n",
            &[
                "a.pcap: not a capture file: it starts with 68 65 6c 6c 6f 2c",
                "\"hello, world\\n\"",
                "expected pcap or pcapng, plain or compressed by gzip, zstd, xz, bzip2 or lz4",
            ],
        ),
        (b"\xa1\xb2\xc3", &["it starts with a1 b2 c3 (\""]),
        (b"\xfd7zXZ\0nonsense and more", &["a.pcap: xz: "]),
        (b"BZh9nonsense and more", &["a.pcap: bzip2: "]),
        (b"\x04\x22\x4d\x18nonsense and more", &["a.pcap: lz4: "]),
        (
            b"\x02\x21\x4c\x18\x05\0\0\0",
            &["lz4 in the old format, which `lz4 -d` reads"],
        ),
        (
            b"\x50\x2a\x4d\x18\xff\xff\xff\xffshort",
            &["a.pcap: the file ends inside a frame that is to be skipped"],
        ),
        (
            b"\x50\x2a\x4d\x18\x01\0\0\0.",
            &["a.pcap: not a capture file: it is empty"],
        ),
        (b"PK\x03\x04", &["50 4b 03 04", ", zip)"]),
        (
            &samples::xz(&samples::bzip2(b"text")),
            &[", bzip2)", "after xz decompression"],
        ),
        (
            &samples::gzip(b"text"),
            &["74 65 78 74", "after gzip decompression"],
        ),
        (
            &samples::gzip(&samples::gzip(b"text")),
            &[", gzip)", "after gzip decompression"],
        ),
        (b"\x1f\x8bnonsense and more", &["a.pcap: gzip: "]),
        (b"\x28\xb5\x2f\xfdnonsense and more", &["a.pcap: zstd: "]),
        (
            &version(3, 0),
            &["a.pcap: bad file header: version 3.0 of the format"],
        ),
        (&version(1, 2), &["version 1.2"]),
        (
            &bad_section,
            &["bad file header: 00 3c 2b 1a where a section states its byte order"],
        ),
        (
            &PCAP.file().bytes[..23],
            &["ends inside its file header: 23 of 24 bytes"],
        ),
    ];
    for (bytes, parts) in rows {
        let message = read(bytes).unwrap_err().to_string();
        for part in *parts {
            assert!(message.contains(part), "{message}");
        }
    }
    let error = Reader::open(Path::new("no/such/file"), &Options::default()).unwrap_err();
    assert!(error.to_string().starts_with("no/such/file: "), "{error}");
    let error = Reader::open(Path::new("."), &Options::default()).unwrap_err();
    assert!(error.to_string().starts_with(".: "), "{error}");
}
