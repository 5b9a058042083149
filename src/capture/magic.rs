//! Whether a file is a capture, told by its first bytes: what no output may write over.
//!
//! More formats are known here than can be read: a file that another program recorded is worth as
//! much.

use std::io::Read;

use crate::capture::input::Input;
use crate::capture::{pcap, pcapng};

/// As much as a magic number takes.
const LEN: usize = 4;

/// The first bytes of captures that are not read. Variants of pcap as libpcap lists them
/// (`sf-pcap.c`), in both byte orders; snoop (RFC 1761); Microsoft's Network Monitor 1 and 2.
const OTHERS: [[u8; LEN]; 9] = [
    [0xa1, 0xb2, 0x34, 0xcd],
    [0xcd, 0x34, 0xb2, 0xa1],
    [0xa1, 0x2b, 0x3c, 0x4d],
    [0x4d, 0x3c, 0x2b, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xcb],
    [0xcb, 0xc3, 0xb2, 0xa1],
    *b"snoo",
    *b"RTSS",
    *b"GMBU",
];

/// Whether `bytes`, plain or compressed, begin as a capture does.
pub fn is_capture(bytes: Box<dyn Read + Send>) -> bool {
    let Ok(mut input) = Input::new(bytes) else {
        return false;
    };
    let mut start = [0; LEN];
    let (filled, _) = input.fill(&mut start);
    filled == LEN
        && (start == pcapng::MAGIC
            || pcap::Magic::parse(start).is_some()
            || OTHERS.contains(&start))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::capture::samples;

    #[test]
    fn captures_are_told_from_everything_else() {
        let pcap = samples::pcap(&[(1, b"frame")]);
        let pcapng = samples::pcapng(&[(1, b"frame")]);
        let mut big_endian = pcap.clone();
        big_endian[..4].copy_from_slice(&[0xa1, 0xb2, 0x3c, 0x4d]);
        let mut cut = samples::gzip(&pcap);
        cut.truncate(cut.len() - 8);
        let records = b"{\"event_type\":\"flow\"}\n".to_vec();
        for (name, bytes, expected) in [
            ("pcap", pcap.clone(), true),
            ("pcapng", pcapng.clone(), true),
            ("nanoseconds, big endian", big_endian, true),
            ("magic alone", pcap[..4].to_vec(), true),
            ("gzip", samples::gzip(&pcap), true),
            ("zstd", samples::zstd(&pcapng), true),
            ("xz", samples::xz(&pcap), true),
            ("bzip2", samples::bzip2(&pcap), true),
            ("lz4", samples::lz4(&pcap), true),
            ("cut gzip", cut, true),
            ("snoop", b"snoop\0\0\0".to_vec(), true),
            ("empty", Vec::new(), false),
            ("three bytes", pcap[..3].to_vec(), false),
            ("records", records.clone(), false),
            ("compressed records", samples::gzip(&records), false),
            ("nothing compressed", samples::zstd(b""), false),
            ("gzip magic alone", vec![0x1f, 0x8b], false),
        ] {
            assert_eq!(is_capture(Box::new(Cursor::new(bytes))), expected, "{name}");
        }
    }
}
